//! Files in an object store and on the web are read as those on disk: the same rows, each byte about once.
//!
//! The server is one of our own ([`slackwater_tests::object_server`]), so these tests need no network.

mod faults;
mod listing;

use slackwater_dataflow::Context;
use slackwater_loaders::codec::Decoder;
use slackwater_loaders::sink::Existing;
use slackwater_loaders::table::Frame;
use slackwater_loaders::write::WriteOptions;
use slackwater_loaders::{
    Compression, ExpansionLimit, Format, InputFile, ReadTables, ResolveOptions, StoreOptions, TableOptions,
    resolve,
};
use slackwater_tests::object_server::ObjectServer;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Partitions that files are read in.
const PARTITIONS: usize = 4;

/// A folder and what serves it.
struct Place {
    folder: TempDir,
    server: ObjectServer,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let server = ObjectServer::start(folder.path());
        Place { folder, server }
    }
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), content).unwrap();
    }
    /// Options that reach the server, with little patience.
    fn options(&self) -> ResolveOptions {
        let settings = self.server.s3().into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let stores = StoreOptions { settings, deadline: Duration::from_secs(5), retries: 3 };
        ResolveOptions { stores, ..ResolveOptions::default() }
    }
    fn resolve(&self, input: &str) -> slackwater_dataflow::Result<Vec<InputFile>> {
        resolve(&[input], &self.options())
    }
    /// The last parts of the names of what an input stands for.
    fn names(&self, input: &str) -> Vec<String> {
        let files = self.resolve(input).unwrap_or_else(|e| panic!("{input}: {e}"));
        files.iter().map(|f| Path::new(f.name()).file_name().unwrap().to_str().unwrap().to_string()).collect()
    }
}

/// Lines of LIBSVM text.
fn rows(count: u64) -> String {
    let mut text = String::new();
    for i in 0..count {
        let (a, b) = (1 + i % 19, 20 + i * i % 31);
        writeln!(text, "{} {a}:{} {b}:0.25 90:{}", i % 2, i % 1000, i as f64 / 8.0).unwrap();
    }
    text
}

fn table(cx: &Context, files: &[InputFile]) -> Frame {
    cx.read_table_files(files, &TableOptions::default(), PARTITIONS).unwrap()
}

#[test]
fn every_format_reads_the_same_from_a_store_as_from_disk() {
    let place = Place::new();
    let cx = Context::local(2).unwrap();
    place.write("rows.svm", rows(20_000));
    let source = table(&cx, &place.resolve(place.path("rows.svm").to_str().unwrap()).unwrap());
    let formats = [
        ("rows.svm.gz", Format::Libsvm, Some(Compression::Gzip)),
        ("rows.svm.bz2", Format::Libsvm, Some(Compression::Bzip2)),
        ("rows.csv", Format::Csv, None),
        ("rows.csv.zst", Format::Csv, Some(Compression::Zstd)),
        ("rows.parquet", Format::Parquet, None),
        ("rows.arrow", Format::Arrow, None),
        ("rows.arrows", Format::ArrowStream, None),
        ("rows.jsonl", Format::JsonLines, None),
    ];
    let plain = ("rows.svm", Format::Libsvm, None);
    for (name, format, compression) in formats.into_iter().chain([plain]) {
        let path = place.path(name);
        if name != plain.0 {
            let write = WriteOptions { compression, ..WriteOptions::default() };
            source.save_file(&path, Existing::Refuse, format, &write, &mut |_| Ok(())).unwrap();
        }
        let want = table(&cx, &place.resolve(path.to_str().unwrap()).unwrap()).collect().unwrap();
        assert_eq!(want.num_rows(), 20_000, "{name}");
        for url in [place.server.web(name), format!("s3://bucket/{name}")] {
            let files = place.resolve(&url).unwrap();
            assert_eq!((files[0].name(), files[0].bytes()), (url.as_str(), path.metadata().unwrap().len()));
            assert!(!files[0].is_in_memory(), "every process of a cluster can read it");
            assert!(table(&cx, &files).collect().unwrap() == want, "{url}");
        }
    }
}

/// Nothing is asked for twice, and little that is not needed.
#[test]
fn each_byte_of_a_text_is_read_about_once() {
    let place = Place::new();
    let cx = Context::local(2).unwrap();
    let text = rows(150_000);
    place.write("rows.svm", &text);
    for url in [place.server.web("rows.svm"), "s3://bucket/rows.svm".to_string()] {
        let frame = table(&cx, &place.resolve(&url).unwrap());
        place.server.served();
        place.server.asked();
        assert_eq!(frame.count().unwrap(), 150_000);
        let (served, asked) = (place.server.served(), place.server.asked());
        let length = text.len() as u64;
        assert!(served >= length && served * 10 <= length * 13, "{served} of {length}");
        assert!(asked.iter().all(|a| a.header("if-match").is_some()), "each of one version");
        // 256 KiB, 512 KiB, 1 MiB: not a request for each buffer.
        assert!(asked.len() <= PARTITIONS * 6, "{} requests", asked.len());
    }
}

#[test]
fn a_column_of_parquet_costs_a_part_of_the_file() {
    let place = Place::new();
    let cx = Context::local(2).unwrap();
    let mut text = String::from("id,a,b,c,d\n");
    for i in 0..60_000u64 {
        let noise = |k: u64| (i + k).wrapping_mul(6_364_136_223_846_793_005) >> 20;
        writeln!(text, "{i},{},{},{},{}", noise(1), noise(2), noise(3), noise(4)).unwrap();
    }
    place.write("wide.csv", text);
    let csv = table(&cx, &place.resolve(place.path("wide.csv").to_str().unwrap()).unwrap());
    let path = place.path("wide.parquet");
    csv.save_file(&path, Existing::Refuse, Format::Parquet, &WriteOptions::default(), &mut |_| Ok(()))
        .unwrap();
    let length = path.metadata().unwrap().len();
    let all = table(&cx, &place.resolve("s3://bucket/wide.parquet").unwrap());
    place.server.served();
    place.server.asked();
    assert!(all.collect().unwrap() == csv.collect().unwrap());
    let (served, asked) = (place.server.served(), place.server.asked().len());
    assert!(served * 10 <= length * 13, "{served} of {length} in {asked} requests");
    let narrow = all.select(&["b"]).unwrap();
    assert!(narrow.collect().unwrap() == csv.select(&["b"]).unwrap().collect().unwrap());
    let (served, asked) = (place.server.served(), place.server.asked().len());
    assert!(served * 2 < length, "{served} of {length}");
    assert!(asked <= 40, "{asked} requests");
}

#[test]
fn what_is_local_needs_no_server() {
    let place = Place::new();
    place.write("a b.svm", "1 1:1\n");
    let shown = place.folder.path().display();
    assert_eq!(place.names(&format!("file://{shown}/a%20b.svm")), ["a b.svm"]);
    assert_eq!(place.names(&format!("file://{shown}/*.svm")), ["a b.svm"]);
    let e = place.resolve("hdfs://node/a.svm").unwrap_err();
    assert_eq!(e.exit_code(), 3);
    assert!(
        e.to_string().contains("a scheme that is not known\n  hint: known are s3://, s3a://, gs://"),
        "{e}"
    );
}

/// Also prints what it costs, of a file of as many bytes as `SLACKWATER_THROUGHPUT` says (with `--nocapture`).
#[test]
fn large_files_come_whole() {
    let place = Place::new();
    let line = rows(5000);
    let bytes = std::env::var("SLACKWATER_THROUGHPUT").map_or(40_000_000, |n| n.parse().unwrap());
    place.write("large.svm", line.repeat(bytes / line.len()));
    let disk = place.path("large.svm").display().to_string();
    for input in [disk.clone(), disk, place.server.web("large.svm"), "s3://bucket/large.svm".to_string()] {
        let file = &place.resolve(&input).unwrap()[0];
        let mut decoder = Decoder::open(file, ExpansionLimit::NONE).unwrap();
        let (mut piece, start, mut bytes) = (vec![0; 256 << 10], Instant::now(), 0);
        loop {
            match decoder.read(&mut piece).unwrap() {
                0 => break,
                n => bytes += n,
            }
        }
        assert_eq!(bytes as u64, file.bytes());
        println!("{:.2} GB/s {input}", bytes as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
}
