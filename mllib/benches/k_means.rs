//! k-means: 20 of Lloyd's iterations over a million rows of 64 columns, 256 centres, from given ones.
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench k_means -- [WORKERS] [FOLDER]
//! ```
//!
//! `FOLDER` has rows and first centres as matrices of `f32` that NumPy wrote, `km_X.npy` and `km_init.npy`; without it, rows
//! around 400 places are made up. Printed: seconds, seconds of processor time (Linux), and the cost. Packing is what a
//! training takes that hardly iterates: the reading of the rows is in it, and in the whole.
//!
//! Rows of NumPy (a million around 400 places; the first centres are rows), on a machine that was busy with other work, so
//! in seconds of processor time, one after the other in the same minutes, without link-time optimisation:
//!
//! | | one thread | two | cost |
//! |---|---|---|---|
//! | this, all, of which packing | 8.3, 0.7 | 8.5, 0.8 | 8.420117e7 |
//! | faiss 1.15.1, training alone | 10.1 | 11.7 | 8.420114e7 |
//! | scikit-learn 1.9.1, Lloyd, training alone | 13.4 | 13.6 | 8.420116e7 |
//!
//! So 0.82 of the time of faiss and 0.62 of that of scikit-learn, with packing, and with a last pass for the cost that faiss
//! does not make. The two-thread runs of the peers were under a heavier load than ours, and wall times say nothing here. What
//! was expected of each step, and what came of it (one thread):
//!
//! * Tiles without bounds, 11.9 s: products should take most of it, and took half; a quarter went into comparing scores.
//! * Bounds (Hamerly): half the products should be spared. 10.4 s: not before the fourth iteration are any, since every
//!   iteration some centre moves far; groups of centres with bounds of their own would spare more, for more memory.
//! * Scores compared in registers, and tiles of 192 rows: a fifth should go. 8.3 s.

use slackwater_dataflow::block::{CsrBuilder, LabeledBlock};
use slackwater_dataflow::{Context, Dataset, rng};
use slackwater_mllib::clustering::k_means::{Centers, KMeansParams};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 64;
const CENTERS: usize = 256;
const ITERATIONS: usize = 20;
const PARTITIONS: usize = 8;
const ROWS_OF_A_BLOCK: usize = 4096;

/// Seconds of processor time that this process has used, of all its threads.
fn processor_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have blanks; times in user and in system mode are the 12th and 13th field after it.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// The values of a matrix of `f32` that NumPy wrote, version 1 of its format.
fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("the file is there");
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "{} is no such file", path.display());
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..header]);
    assert!(text.contains("'<f4'") && text.contains("'fortran_order': False"), "{text}");
    bytes[header..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Rows around places that have random sizes and spreads.
fn made_up() -> Vec<f32> {
    const PLACES: usize = 400;
    let mut rng = rng::stream(6, 0);
    let places: Vec<f64> = (0..PLACES * COLUMNS).map(|_| 1.2 * rng::normal(&mut rng)).collect();
    let spreads: Vec<f64> = (0..PLACES).map(|_| 0.6 + 0.8 * rng::unit_f64(&mut rng)).collect();
    let mut values = Vec::with_capacity(ROWS * COLUMNS);
    for _ in 0..ROWS {
        let place = rng::below(&mut rng, PLACES as u64) as usize;
        let of_place = &places[place * COLUMNS..][..COLUMNS];
        values.extend(of_place.iter().map(|c| (c + spreads[place] * rng::normal(&mut rng)) as f32));
    }
    values
}

fn blocks(cx: &Context, values: &Arc<Vec<f32>>) -> Dataset<LabeledBlock> {
    let values = values.clone();
    cx.range(0..PARTITIONS as u64, PARTITIONS).flat_map(move |p| {
        let rows = values.len() / COLUMNS;
        let (from, to) = (p as usize * rows / PARTITIONS, (p as usize + 1) * rows / PARTITIONS);
        let values = values.clone();
        (from..to).step_by(ROWS_OF_A_BLOCK).map(move |first| {
            let last = (first + ROWS_OF_A_BLOCK).min(to);
            let mut features = CsrBuilder::with_capacity(last - first, (last - first) * COLUMNS);
            for row in values[first * COLUMNS..last * COLUMNS].chunks_exact(COLUMNS) {
                row.iter().enumerate().for_each(|(j, x)| features.push(j as u32, f64::from(*x)));
                features.end_row();
            }
            LabeledBlock { labels: vec![0.0; last - first], features: features.finish(COLUMNS) }
        })
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let workers: usize = words.first().and_then(|w| w.parse().ok()).unwrap_or(1);
    let folder = words.iter().find(|w| w.parse::<usize>().is_err()).map(Path::new);
    let (values, first) = match folder {
        Some(folder) => (npy(&folder.join("km_X.npy")), npy(&folder.join("km_init.npy"))),
        None => {
            let values = made_up();
            let first = (0..CENTERS).flat_map(|j| values[j * 3907 * COLUMNS..][..COLUMNS].to_vec());
            let first = first.collect();
            (values, first)
        }
    };
    let values = Arc::new(values);
    let first: Vec<f64> = first.into_iter().map(f64::from).collect();
    let fit = |k: usize, iterations_max: usize| {
        let cx = Context::local(workers).expect("a local context starts");
        let params = KMeansParams { iterations_max, tolerance: Some(0.0), ..KMeansParams::new(k) };
        let first = Centers::new(first[..k * COLUMNS].to_vec(), k).expect("numbers");
        let (start, processor) = (Instant::now(), processor_seconds());
        let model = params.fit_from(&blocks(&cx, &values), &first).expect("the rows are sound");
        (start.elapsed().as_secs_f64(), processor_seconds() - processor, model.summary().cost)
    };
    let packing = fit(1, 1);
    let whole = fit(CENTERS, ITERATIONS);
    println!(
        "{} rows of {COLUMNS}, {CENTERS} centres, {ITERATIONS} iterations, {workers} workers: {:.3} s, {:.2} s of processor \
         time, of which packing {:.3} and {:.2}; cost {:.6e}",
        values.len() / COLUMNS,
        whole.0,
        whole.1,
        packing.0,
        packing.1,
        whole.2
    );
}
