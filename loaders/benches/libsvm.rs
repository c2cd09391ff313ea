//! How fast LIBSVM text is parsed: `cargo bench -p slackwater-loaders --bench libsvm [-- FILE...]`.
//!
//! Without files it makes two: one of the shape of RCV1 (75 values a row on average, 50,000 columns, six significant
//! digits), one of the shape of a9a (14 ones a row), and one of 28 values a row with up to 17 digits, as Python prints
//! them. Each is parsed from the page cache, on one thread and on two over byte ranges, and as a dataset on two workers;
//! the best of several runs counts, which is what the machine can do when left alone.

mod common;

use common::Random;
use slackwater_dataflow::{Context, Result};
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::text::TextReader;
use slackwater_loaders::{InputFile, ReadExt, ReadLimits, Split, split::splits};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const RUNS: usize = 7;

/// A normal number.
fn normal(random: &mut Random) -> f64 {
    (-2.0 * (1.0 - random.uniform()).ln()).sqrt() * (std::f64::consts::TAU * random.uniform()).cos()
}

/// As C's `%.6g`.
fn six_digits(out: &mut String, x: f64) {
    let exponent = x.abs().log10().floor() as i32;
    if exponent < -4 {
        let text = format!("{x:.5e}");
        let (m, e) = text.split_once('e').unwrap();
        let e: i32 = e.parse().unwrap();
        let _ = write!(
            out,
            "{}e{}{:02}",
            m.trim_end_matches('0').trim_end_matches('.'),
            if e < 0 { '-' } else { '+' },
            e.abs()
        );
    } else {
        let decimals = (5 - exponent).max(0) as usize;
        out.push_str(format!("{x:.decimals$}").trim_end_matches('0').trim_end_matches('.'));
    }
}

fn rcv1_like(rows: usize) -> String {
    let (mut r, mut out) = (Random(1), String::new());
    for _ in 0..rows {
        let n = (75f64.ln() - 0.18 + 0.6 * normal(&mut r)).exp().clamp(5.0, 600.0) as usize;
        // Columns as if hashed: a power law over 50,000, not ordered by frequency.
        let mut columns: Vec<u64> = (0..n)
            .map(|_| {
                ((50_020f64.powf(r.uniform()) * 20f64.powf(1.0 - r.uniform())) as u64 * 40_503) % 50_000 + 1
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        out.push_str(if r.uniform() < 0.5 { "+1" } else { "-1" });
        let values: Vec<f64> = columns.iter().map(|_| 1.0 + 8.0 * r.uniform()).collect();
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (column, value) in columns.iter().zip(values) {
            let _ = write!(out, " {column}:");
            six_digits(&mut out, value / norm);
        }
        out.push('\n');
    }
    out
}

fn a9a_like(rows: usize) -> String {
    let (mut r, mut out) = (Random(2), String::new());
    for _ in 0..rows {
        out.push_str(if r.uniform() < 0.24 { "+1 " } else { "-1 " });
        for group in 0..14 {
            let _ = write!(out, "{}:1 ", group * 9 + 1 + r.next() % 9);
        }
        out.push('\n');
    }
    out
}

/// Python's shortest digits, up to 17 of them.
fn long_digits(rows: usize) -> String {
    let (mut r, mut out) = (Random(3), String::new());
    for _ in 0..rows {
        out.push('1');
        for column in 1..=28 {
            let _ = write!(out, " {column}:{:?}", normal(&mut r));
        }
        out.push('\n');
    }
    out
}

fn parse(splits: &[Split], threads: usize) -> (usize, usize) {
    let next = AtomicUsize::new(0);
    let work = || -> Result<(usize, usize)> {
        let (mut rows, mut nnz) = (0, 0);
        while let Some(split) = splits.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut reader = LibsvmReader::open(split, &LibsvmOptions::default())?;
            while let Some(block) = reader.next_block(&mut |bad| Err(bad.into()))? {
                rows += block.rows();
                nnz += block.features.nnz();
            }
        }
        Ok((rows, nnz))
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let sums = workers.into_iter().map(|w| w.join().expect("no panic").expect("the data are right"));
        sums.fold((0, 0), |(a, b), (rows, nnz)| (a + rows, b + nnz))
    })
}

fn read_lines(splits: &[Split]) -> usize {
    let mut lines = 0;
    for split in splits {
        let mut reader = TextReader::open(split, ReadLimits::default()).expect("the file is there");
        while let Some(block) = reader.next_block(&mut |bad| Err(bad.into())).expect("the text is right") {
            lines += block.lines().count();
        }
    }
    lines
}

fn best<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let mut best = (f64::INFINITY, None);
    for _ in 0..RUNS {
        let start = Instant::now();
        let result = run();
        let seconds = start.elapsed().as_secs_f64();
        if seconds < best.0 {
            best = (seconds, Some(result));
        }
    }
    (best.0, best.1.expect("at least one run"))
}

fn measure(name: &str, file: &InputFile) {
    let splits = splits(std::slice::from_ref(file), 1);
    let gigabytes = file.bytes() as f64 / 1e9;
    for threads in [1, 2] {
        let (seconds, (rows, nnz)) = best(|| parse(&splits, threads));
        println!(
            "{name:>12}: {threads} thread(s) {:6.3} GB/s {:7.1} M values/s   ({rows} rows, {nnz} values, {:.1} MB)",
            gigabytes / seconds,
            nnz as f64 / seconds / 1e6,
            gigabytes * 1e3
        );
    }
    let cx = Context::local(2).expect("a context");
    let blocks = cx.read_libsvm_blocks(file.name()).expect("the file is there");
    let (seconds, nnz) = best(|| {
        blocks.aggregate(0, |n, b| *n += b.features.nnz(), |a, b| *a += b).expect("the data are right")
    });
    println!("{name:>12}: 2 workers   {:6.3} GB/s   ({nnz} values)", gigabytes / seconds);
    let points = cx.read_libsvm(file.name()).expect("the file is there");
    let (seconds, rows) = best(|| points.count().expect("the data are right"));
    println!("{name:>12}: as points   {:6.3} GB/s   ({rows} rows)", gigabytes / seconds);
    let (seconds, lines) = best(|| read_lines(&splits));
    println!("{name:>12}: as text     {:6.3} GB/s   ({lines} lines)", gigabytes / seconds);
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for path in &files {
        measure(path, &InputFile::from_path(path).expect("the file can be read"));
    }
    if files.is_empty() {
        let dir = tempfile::tempdir().expect("a folder for the data");
        for (name, text) in [
            ("rcv1-like", rcv1_like(100_000)),
            ("a9a-like", a9a_like(1_000_000)),
            ("long digits", long_digits(100_000)),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("there is room for the data");
            measure(name, &InputFile::from_path(&path).expect("the file was written"));
        }
    }
}
