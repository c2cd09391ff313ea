//! Fully connected networks: samples a second of training, on made-up rows of 440 columns and 1993 classes. The peer is
//! PyTorch (`float32`, `torch.optim.SGD`) with the same shape, minibatches and step on the same machine.
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench neural_network -- [WORKERS] [CASE ...]
//! ```
//!
//! Cases: `large` (six hidden layers of 1024 units, 7.7 million parameters, 256 rows a step), `tutorial` (four of 512 units, 2.0
//! million, 256 rows a step), `products` (the products of matrices of a step of `large` alone: what no engine could be
//! faster than).
//!
//! Two cores of a virtual AMD EPYC (Zen 3), samples a second: `large` 1630 with one worker and 2550 with two, PyTorch 2.15 1500
//! and 3110; `tutorial` 5900 and 10 700 (ssp:5 8060), PyTorch 6470 and 10 630; the products alone 1720 and 2930.
//!
//! Printed: samples a second, and a second of processor time (Linux), from the end of the first epoch to the end of the
//! last, and the loss.

use slackwater_dataflow::{Context, rng};
use slackwater_mllib::classification::NeuralNetworkParams;
use slackwater_mllib::generate::Classification;
use slackwater_mllib::linalg::gemm::{Matrix, Write, gemm};
use slackwater_mllib::objective::DatasetRows;
use slackwater_paramstore::Consistency;
use std::ops::ControlFlow;
use std::time::Instant;

const COLUMNS: usize = 440;
const CLASSES: usize = 1993;
/// Rows in a step, of all partitions.
const BATCH: usize = 256;

/// Seconds of processor time that this process has used, of all its threads.
fn processor_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have blanks; times in user and in system mode are the 12th and 13th field after it.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

fn train(name: &str, hidden: Vec<usize>, rows: u64, workers: usize, consistency: Consistency) {
    let cx = Context::local(workers).expect("a local context starts");
    let made = Classification { rows, columns: COLUMNS, classes: CLASSES, ..Default::default() };
    let rows_of = DatasetRows::from_points(&made.dataset(&cx, workers, 1));
    let params = NeuralNetworkParams {
        hidden,
        batch: BATCH / workers,
        epochs: 3,
        step_size: 0.05,
        consistency,
        ..Default::default()
    };
    let network = params.for_rows(&rows_of).expect("the rows are sound");
    let parameters = network.parameters();
    let mut ends = vec![];
    let model = network.train(None, &mut |_| {
        ends.push((Instant::now(), processor_seconds()));
        ControlFlow::Continue(())
    });
    let model = model.expect("it does not diverge");
    let (first, last) = (ends[0], ends[ends.len() - 1]);
    let samples = rows as f64 * (ends.len() - 1) as f64;
    let rate = samples / last.0.duration_since(first.0).as_secs_f64();
    let of_processor = samples / (last.1 - first.1);
    println!(
        "{name}: {parameters} parameters, {workers} workers, {consistency}: {rate:.0} samples/s, {of_processor:.0} a second \
         of processor time ({:.1} GFLOP), loss {:.4}",
        6e-9 * parameters as f64 * of_processor,
        model.summary().loss
    );
}

/// The products of a step of `large`, for the rows of one of `workers` partitions, on as many threads.
fn products(workers: usize) {
    const STEPS: usize = 5;
    let rows = BATCH / workers;
    let widths = [&[COLUMNS][..], &[1024; 6], &[CLASSES]].concat();
    let (start, processor) = (Instant::now(), processor_seconds());
    std::thread::scope(|scope| {
        for thread in 0..workers {
            let widths = &widths;
            scope.spawn(move || {
                let mut rng = rng::stream(1, thread as u64);
                let mut random =
                    |n: usize| (0..n).map(|_| rng::unit_f64(&mut rng) as f32).collect::<Vec<_>>();
                for w in widths.windows(2) {
                    let (m, n) = (w[0], w[1]);
                    let (weights, x, d) = (random(m * n), random(rows * m), random(rows * n));
                    let (mut out, mut back, mut gradient) =
                        (vec![0.0; rows * n], vec![0.0; rows * m], vec![0.0; m * n]);
                    let (weights, x, d) =
                        (Matrix::new(&weights, m, n), Matrix::new(&x, rows, m), Matrix::new(&d, rows, n));
                    for _ in 0..STEPS {
                        gemm(1.0, x, weights, Write::Replace, &mut out);
                        gemm(1.0, d, weights.transposed(), Write::Replace, &mut back);
                        gemm(1.0, x.transposed(), d, Write::Replace, &mut gradient);
                    }
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let flops: usize = widths.windows(2).map(|w| 6 * w[0] * w[1] * BATCH * STEPS).sum();
    let (rate, processor) = ((BATCH * STEPS) as f64 / seconds, processor_seconds() - processor);
    println!(
        "products: {workers} threads: {rate:.0} samples/s, {:.0} a second of processor time ({:.1} GFLOP)",
        (BATCH * STEPS) as f64 / processor,
        1e-9 * flops as f64 / processor
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let workers: usize = words.first().and_then(|w| w.parse().ok()).unwrap_or(1);
    let chosen: Vec<&str> =
        words.iter().map(String::as_str).filter(|w| w.parse::<usize>().is_err()).collect();
    let chosen = if chosen.is_empty() { vec!["products", "large", "tutorial"] } else { chosen };
    for case in chosen {
        match case {
            "products" => products(workers),
            "large" => train("large", vec![1024; 6], 10_240, workers, Consistency::Bsp),
            "tutorial" => {
                for consistency in [Consistency::Bsp, Consistency::Ssp(5)] {
                    train("tutorial", vec![512; 4], 10_240, workers, consistency);
                }
            }
            other => eprintln!("unknown case {other}"),
        }
    }
}
