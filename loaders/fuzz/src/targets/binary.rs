//! Parquet, Arrow and codecs.

use super::read_table;
use crate::engine::MEMORY_BYTES;
use crate::{Seen, Target};
use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression as Packed;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use slackwater_loaders::codec::{Decoder, Encoder};
use slackwater_loaders::{Compression, ExpansionLimit, Format, InputFile, TableOptions, open_table};
use std::io::Write;
use std::sync::Arc;

/// A batch with columns of many types.
pub fn batch() -> RecordBatch {
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..5 {
        lists.append_value((0..row).map(Some));
    }
    let x = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(-1.0), Some(f64::NAN), Some(2.0)]));
    let names = Arc::new(StringArray::from(vec![Some("a"), Some("bcd"), None, Some(""), Some("\u{df}")]));
    let kinds: DictionaryArray<Int32Type> = vec!["p", "q", "p", "p", "q"].into_iter().collect();
    let inside = StructArray::from(vec![
        (Arc::new(Field::new("x", DataType::Float64, true)), x.clone() as ArrayRef),
        (Arc::new(Field::new("s", DataType::Utf8, true)), names.clone() as ArrayRef),
    ]);
    let columns: [(&str, ArrayRef); 8] = [
        ("i", Arc::new(Int64Array::from_iter_values([1, -2, 3, 1 << 40, 5]))),
        ("x", x),
        ("name", names),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None]))),
        ("list", Arc::new(lists.finish())),
        ("kind", Arc::new(kinds)),
        ("inside", Arc::new(inside)),
        ("when", Arc::new(TimestampMillisecondArray::from(vec![0, 1, -1, i64::MAX / 1000, 7]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// As a Parquet file.
pub fn parquet_file(batch: &RecordBatch, packed: Packed, version: WriterVersion) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(packed)
        .set_writer_version(version)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(3))
        .build();
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).and_then(|()| writer.close()).expect("memory takes it");
    bytes
}

fn ipc_options(packed: Option<CompressionType>) -> IpcWriteOptions {
    IpcWriteOptions::default().try_with_compression(packed).expect("a codec that there is")
}

/// As an Arrow file.
pub fn arrow_file(batch: &RecordBatch, packed: Option<CompressionType>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer =
        FileWriter::try_new_with_options(&mut bytes, &batch.schema(), ipc_options(packed)).expect("a writer");
    writer
        .write(batch)
        .and_then(|()| writer.write(batch))
        .and_then(|()| writer.finish())
        .expect("memory takes it");
    drop(writer);
    bytes
}

/// As an Arrow stream.
pub fn arrow_stream(batch: &RecordBatch, packed: Option<CompressionType>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &batch.schema(), ipc_options(packed))
        .expect("a writer");
    writer
        .write(batch)
        .and_then(|()| writer.write(batch))
        .and_then(|()| writer.finish())
        .expect("memory takes it");
    drop(writer);
    bytes
}

/// Packed by the project's own encoder.
pub fn packed(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = Encoder::new(vec![], compression).expect("an encoder");
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn open(format: Format, name: &str, input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let options = TableOptions { format: Some(format), ..TableOptions::default() };
    read_table(open_table(&[InputFile::from_bytes(name, input)], &options, 3), choice, &mut seen);
    seen
}

fn parquet(input: &[u8], choice: u64) -> Seen {
    open(Format::Parquet, "a.parquet", input, choice)
}
fn arrow(input: &[u8], choice: u64) -> Seen {
    open(Format::Arrow, "a.arrow", input, choice)
}
fn arrow_streams(input: &[u8], choice: u64) -> Seen {
    open(Format::ArrowStream, "a.arrows", input, choice)
}

fn unpack(input: &[u8], name: &str) -> Seen {
    let mut seen = Seen::default();
    let file = InputFile::from_bytes(name, input);
    let mut decoder = match Decoder::open(&file, ExpansionLimit::default()) {
        Ok(decoder) => decoder,
        Err(e) => {
            seen.note(&e.to_string());
            return seen;
        }
    };
    let mut piece = vec![0; 64 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => seen.rows += n as u64,
            Err(e) => {
                seen.note(&e.to_string());
                break;
            }
        }
    }
    seen
}
fn gzip(input: &[u8], _: u64) -> Seen {
    unpack(input, "a.gz")
}
fn zstd(input: &[u8], _: u64) -> Seen {
    unpack(input, "a.zst")
}
fn bzip2(input: &[u8], _: u64) -> Seen {
    unpack(input, "a.bz2")
}
fn lz4(input: &[u8], _: u64) -> Seen {
    unpack(input, "a.lz4")
}
fn snappy(input: &[u8], _: u64) -> Seen {
    unpack(input, "a.sz")
}

/// Files of `arrow-testing` and `parquet-testing`, where they are.
fn testing(endings: &[&str], under: &[&str]) -> Vec<Vec<u8>> {
    const BYTES_MAX: u64 = 16 << 10;
    let Some(data) = std::env::var_os("SLACKWATER_DATA").map(std::path::PathBuf::from) else { return vec![] };
    let mut todo: Vec<_> = under.iter().map(|u| data.join(u)).collect();
    let mut found = vec![];
    while let Some(folder) = todo.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                todo.push(path);
            } else if endings.iter().any(|e| name.contains(e))
                && path.metadata().is_ok_and(|about| about.len() <= BYTES_MAX)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// All of them.
pub fn targets() -> Vec<Target> {
    let batch = batch();
    let some = batch.project(&[0, 1, 2]).expect("columns that there are");
    let one = batch.project(&[0]).expect("a column that there is");
    let slow = |name, mut corpus: Vec<Vec<u8>>, more: Vec<Vec<u8>>, run, share| {
        corpus.extend(more);
        Target {
            name,
            corpus,
            words: &[b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"],
            run,
            share,
            repeats: false,
            memory: MEMORY_BYTES,
        }
    };
    let codec = |name, compression: Compression, run| {
        let sample: String =
            (0..200).map(|i| format!("{} {}:0.{}\n", i % 2, i % 60 + 1, i * 7919 % 100_003)).collect();
        let corpus = [&b""[..], b"x", sample.as_bytes(), &[b'a'; 5000]].map(|b| packed(b, compression));
        let two = [corpus[1].clone(), corpus[2].clone()].concat();
        let corpus = corpus.into_iter().chain([two]).collect();
        Target { name, corpus, words: &[], run, share: 30, repeats: false, memory: MEMORY_BYTES }
    };
    use WriterVersion::{PARQUET_1_0, PARQUET_2_0};
    vec![
        slow(
            "parquet",
            vec![
                parquet_file(&one, Packed::UNCOMPRESSED, PARQUET_1_0),
                parquet_file(&some, Packed::SNAPPY, PARQUET_1_0),
                parquet_file(&batch, Packed::UNCOMPRESSED, PARQUET_2_0),
                parquet_file(&batch, Packed::ZSTD(Default::default()), PARQUET_2_0),
                parquet_file(&some, Packed::LZ4_RAW, PARQUET_1_0),
                parquet_file(&some, Packed::GZIP(Default::default()), PARQUET_2_0),
                parquet_file(&some, Packed::BROTLI(Default::default()), PARQUET_1_0),
                // Found: a footer that says that there are more rows than could ever be counted.
                include_bytes!("../../found/rows_without_end.parquet").to_vec(),
            ],
            testing(&["parquet"], &["parquet-testing", "arrow-testing"]),
            parquet,
            30,
        ),
        slow(
            "arrow_file",
            vec![
                arrow_file(&one, None),
                arrow_file(&batch, None),
                arrow_file(&some, Some(CompressionType::LZ4_FRAME)),
                arrow_file(&batch, Some(CompressionType::ZSTD)),
            ],
            testing(&["arrow-ipc-file", ".arrow_file", ".arrow"], &["arrow-testing"]),
            arrow,
            30,
        ),
        slow(
            "arrow_stream",
            vec![
                arrow_stream(&one, None),
                arrow_stream(&batch, None),
                arrow_stream(&some, Some(CompressionType::LZ4_FRAME)),
                arrow_stream(&batch, Some(CompressionType::ZSTD)),
            ],
            testing(&["arrow-ipc-stream", ".stream"], &["arrow-testing"]),
            arrow_streams,
            30,
        ),
        codec("gzip", Compression::Gzip, gzip),
        codec("zstd", Compression::Zstd, zstd),
        codec("bzip2", Compression::Bzip2, bzip2),
        codec("lz4", Compression::Lz4, lz4),
        codec("snappy", Compression::Snappy, snappy),
    ]
}
