//! What the tests share: real data where `SLACKWATER_DATA` says so, and generated data.
#![allow(dead_code, reason = "each test uses its part")]

pub mod design;

use slackwater_dataflow::block::{CsrBuilder, LabeledBlock};
use slackwater_dataflow::{Context, Dataset, rng};
use slackwater_mllib::objective::LocalRows;
use std::io::Read;
use std::path::PathBuf;

/// Rows in order, and the number of columns.
#[derive(Clone)]
pub struct Rows {
    pub labels: Vec<f64>,
    pub rows: Vec<Vec<(u32, f64)>>,
    pub columns: usize,
}

impl Rows {
    /// Rows `from..to` as one block.
    pub fn block(&self, from: usize, to: usize) -> LabeledBlock {
        self.choose(&(from..to).collect::<Vec<_>>())
    }
    /// The chosen rows as one block.
    pub fn choose(&self, chosen: &[usize]) -> LabeledBlock {
        let mut features = CsrBuilder::default();
        for i in chosen {
            self.rows[*i].iter().for_each(|(j, x)| features.push(*j, *x));
            features.end_row();
        }
        let labels = chosen.iter().map(|i| self.labels[*i]).collect();
        LabeledBlock { labels, features: features.finish(self.columns) }
    }
    /// Contiguous partitions of two blocks each.
    pub fn partitioned(&self, partitions: usize, threads: usize) -> LocalRows {
        let n = self.labels.len();
        let partition = |p: usize| {
            let (from, to) = (p * n / partitions, (p + 1) * n / partitions);
            let middle = (from + to) / 2;
            vec![self.block(from, middle), self.block(middle, to)]
        };
        LocalRows::new((0..partitions).map(partition).collect(), threads)
    }
    /// As a dataset, contiguous partitions of two blocks each.
    pub fn dataset(&self, cx: &Context, partitions: usize) -> Dataset<LabeledBlock> {
        let n = self.labels.len();
        let blocks = |p: usize| {
            let (from, to) = (p * n / partitions, (p + 1) * n / partitions);
            let cuts = [from, from + (to - from) / 3, to];
            cuts.windows(2).map(|c| self.block(c[0], c[1])).collect::<Vec<_>>()
        };
        cx.from_partitions((0..partitions).map(blocks).collect())
    }
    pub fn whole(&self) -> LabeledBlock {
        self.block(0, self.labels.len())
    }
}

/// A file below `SLACKWATER_DATA`, unpacked; `None`, with a note, if the variable is not set.
pub fn data_bytes(path: &str) -> Option<Vec<u8>> {
    let Some(root) = std::env::var_os("SLACKWATER_DATA") else {
        eprintln!("skipped: SLACKWATER_DATA is not set, so {path} is not there");
        return None;
    };
    let path = PathBuf::from(root).join(path);
    let mut bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_some_and(|e| e == "gz") {
        let packed = std::mem::take(&mut bytes);
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    }
    Some(bytes)
}

/// [`data_bytes`] of a text.
pub fn data_text(path: &str) -> Option<String> {
    data_bytes(path).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Reads LIBSVM text, indices from 1 (from 0 if one is 0), at least `columns` columns.
pub fn parse_libsvm(text: &str, columns: usize) -> Rows {
    let mut all = Rows { labels: vec![], rows: vec![], columns };
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let mut tokens = line.split_ascii_whitespace();
        all.labels.push(tokens.next().unwrap().parse().unwrap());
        all.rows.push(
            tokens
                .map(|t| t.split_once(':').unwrap())
                .map(|(j, x)| (j.parse::<u32>().unwrap(), x.parse().unwrap()))
                .collect(),
        );
    }
    let base = all.rows.iter().flatten().map(|(j, _)| *j).min().unwrap_or(1).min(1);
    all.rows.iter_mut().flatten().for_each(|(j, _)| *j -= base);
    let width = all.rows.iter().flatten().map(|(j, _)| *j as usize + 1).max().unwrap_or(0);
    all.columns = all.columns.max(width);
    all
}

pub fn libsvm(path: &str, columns: usize) -> Option<Rows> {
    data_text(path).map(|text| parse_libsvm(&text, columns))
}

/// Sparse rows with labels ±1 of a noisy hyperplane.
pub fn generated(rows: usize, columns: usize, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let truth: Vec<f64> = (0..columns).map(|_| rng::normal(&mut rng)).collect();
    let mut all = Rows { labels: vec![], rows: vec![], columns };
    for _ in 0..rows {
        let row: Vec<(u32, f64)> = (0..columns as u32)
            .filter(|_| rng::unit_f64(&mut rng) < 0.4)
            .collect::<Vec<u32>>()
            .into_iter()
            .map(|j| (j, rng::normal(&mut rng)))
            .collect();
        let z: f64 = row.iter().map(|(j, x)| x * truth[*j as usize]).sum();
        all.labels.push(if z + rng::normal(&mut rng) > 0.0 { 1.0 } else { -1.0 });
        all.rows.push(row);
    }
    all
}

/// `|a - b|` is at most `tolerance` relative to the larger.
#[track_caller]
pub fn assert_close(a: f64, b: f64, tolerance: f64) {
    let scale = a.abs().max(b.abs()).max(f64::MIN_POSITIVE);
    assert!((a - b).abs() <= tolerance * scale, "{a} and {b} differ by more than {tolerance} of their size");
}
