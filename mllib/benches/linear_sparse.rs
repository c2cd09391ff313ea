//! Sparse linear classification: 500,000 rows, 50,000 columns, 35 million values, text-like (power-law columns, rows of
//! unit length). The peer is LIBLINEAR 2.50 on the same rows.
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench linear_sparse -- [THREADS] [CASE ...]
//! ```
//!
//! The word `engine` among the arguments runs on a dataset with so many workers instead of plain threads.
//!
//! Cases: sweeps, newton, lbfgs, svm-newton, svm-dual, hinge-dual, logistic-dual, l1. With `SLACKWATER_BENCH_SPARSE` the
//! rows come from that directory (little-endian arrays `sparse_train.{offsets,indices}` of u32 and
//! `sparse_train.{values,labels}` of f64); otherwise rows of the same shape are generated.
//!
//! Printed: seconds until the objective is within 0.1 % of the best known (of the given rows; for generated rows only
//! the whole run means something), and in all.

//!
//! # Measured
//! Two cores of a Xeon (Sapphire Rapids, virtual), idle; seconds to 0.1 % of the optimum / in all; LIBLINEAR 2.50 on one
//! thread of the same machine, with the objective at which it ended, in all.
//!
//! | problem | solver | one thread | two threads | LIBLINEAR |
//! |---|---|---|---|---|
//! | logistic | newton | 0.80 / 1.09 (225,889.8) | 0.42 / 0.57 | `-s 0 -e 0.01`: 3.7 (225,892.9) |
//! | logistic | lbfgs | 0.78 / 1.81 (225,889.7) | 0.41 / 0.98 | the same |
//! | logistic | dual | 1.90 / 1.90 (225,898) | 0.96 / 1.25 (225,939) | `-s 7 -e 0.1`: 6.2 (225,889.6) |
//! | squared hinge | newton | 1.3 / 1.8 (204,742.6) | 0.68 / 0.99 | `-s 2 -e 0.01`: 4.3 (204,751.7) |
//! | squared hinge | dual | 2.3 / 2.3 (204,762) | 3.1 / 4.8 (204,795) | `-s 1 -e 0.1`: 4.7 (204,746.7) |
//! | hinge | dual | 2.2 / 2.2 (206,878) | 5.2 / 5.4 (206,936) | `-s 3 -e 0.1`: 4.7 (206,846.7) |
//! | logistic, L1 | owlqn | 1.5 / 4.7 (199,684.3) | 1.1 / 3.3 | `-s 6 -e 0.01`: 5.1 (199,697.2) |
//!
//! Where it loses: dual descent on two partitions takes more rounds than two threads make up for.

use slackwater_dataflow::block::{CsrBuilder, LabeledBlock, TARGET_BLOCK_NONZEROS};
use slackwater_dataflow::{Context, rng};
use slackwater_mllib::objective::{
    DatasetRows, LocalRows, Logistic, Loss, MarginKernel, Objective, Penalty, Regularized, SquaredHinge,
    Sweep, Target,
};
use slackwater_mllib::optimization::{
    DualCoordinateDescent, DualLoss, HingeDual, InitialMatrix, Lbfgs, LogisticDual, Newton, Observer, OwlQn,
    Progress, Solution, SquaredHingeDual,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

const ROWS: usize = 500_000;
const COLUMNS: usize = 50_000;

/// Rows in compressed form.
struct Data {
    offsets: Vec<u32>,
    indices: Vec<u32>,
    values: Vec<f64>,
    labels: Vec<f64>,
}

fn read<const N: usize, T>(path: &Path, f: impl Fn([u8; N]) -> T) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    bytes.as_chunks::<N>().0.iter().map(|b| f(*b)).collect()
}

fn stored(directory: &Path) -> Data {
    let file = |name: &str| directory.join(format!("sparse_train.{name}"));
    Data {
        offsets: read(&file("offsets"), u32::from_le_bytes),
        indices: read(&file("indices"), u32::from_le_bytes),
        values: read(&file("values"), f64::from_le_bytes),
        labels: read(&file("labels"), f64::from_le_bytes),
    }
}

/// Log-normal row lengths, columns with a power law and in random order, rows of unit length, labels of a sparse
/// hyperplane with noise.
fn generated() -> Data {
    let mut rng = rng::stream(1, 0);
    let mut cumulative: Vec<f64> = (0..COLUMNS)
        .scan(0.0, |sum, rank| {
            *sum += (rank as f64 + 21.0).powf(-1.05);
            Some(*sum)
        })
        .collect();
    let total = cumulative[COLUMNS - 1];
    cumulative.iter_mut().for_each(|c| *c /= total);
    let mut names: Vec<u32> = (0..COLUMNS as u32).collect();
    (1..COLUMNS).rev().for_each(|i| names.swap(i, rng::below(&mut rng, i as u64 + 1) as usize));
    let sparse_normal = |_| if rng::unit_f64(&mut rng) < 0.2 { rng::normal(&mut rng) } else { 0.0 };
    let truth: Vec<f64> = (0..COLUMNS).map(sparse_normal).collect();
    let mut data = Data { offsets: vec![0], indices: vec![], values: vec![], labels: vec![] };
    for _ in 0..ROWS {
        let length = (75f64.ln() - 0.18 + 0.6 * rng::normal(&mut rng)).exp().clamp(5.0, 600.0) as usize;
        let draw = |_| cumulative.partition_point(|c| *c < rng::unit_f64(&mut rng)).min(COLUMNS - 1);
        let mut ranks: Vec<usize> = (0..length).map(draw).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut row: Vec<(u32, f64)> =
            ranks.iter().map(|r| (names[*r], (COLUMNS as f64 / (*r as f64 + 1.0)).ln() + 0.5)).collect();
        row.sort_unstable_by_key(|(j, _)| *j);
        let norm = row.iter().map(|(_, x)| x * x).sum::<f64>().sqrt();
        let z: f64 = row.iter().map(|(j, x)| x / norm * truth[*j as usize]).sum();
        data.indices.extend(row.iter().map(|(j, _)| *j));
        data.values.extend(row.iter().map(|(_, x)| x / norm));
        data.offsets.push(data.indices.len() as u32);
        data.labels.push(if z + 0.1 * rng::normal(&mut rng) > 0.0 { 1.0 } else { -1.0 });
    }
    data
}

/// Contiguous partitions of blocks.
fn partitioned(data: &Data, partitions: usize) -> Vec<Vec<LabeledBlock>> {
    let n = data.labels.len();
    let partition = |p: usize| {
        let mut rows = p * n / partitions..(p + 1) * n / partitions;
        let mut blocks = vec![];
        while !rows.is_empty() {
            let mut features = CsrBuilder::with_capacity(1 << 10, TARGET_BLOCK_NONZEROS + 1024);
            let mut labels = vec![];
            while features.nnz() < TARGET_BLOCK_NONZEROS {
                let Some(i) = rows.next() else { break };
                for k in data.offsets[i] as usize..data.offsets[i + 1] as usize {
                    features.push(data.indices[k], data.values[k]);
                }
                features.end_row();
                labels.push(data.labels[i]);
            }
            blocks.push(LabeledBlock { labels, features: features.finish(COLUMNS) });
        }
        blocks
    };
    (0..partitions).map(partition).collect()
}

fn problem<S: Sweep + Clone, L: Loss>(rows: &S, loss: L, penalty: Penalty) -> impl Objective + use<S, L> {
    let kernel = MarginKernel::new(loss, Target::Positive(1.0), COLUMNS, false);
    Regularized::new(rows.clone(), kernel, 1.0, &penalty)
}

/// Runs a solver and prints when it came within 0.1 % of `best`.
fn report(
    name: &str,
    best: f64,
    solve: impl FnOnce(&mut Observer<'_>) -> slackwater_mllib::Result<Solution>,
) {
    let start = Instant::now();
    let mut reached = None;
    let mut observe = |p: &Progress<'_>| {
        if reached.is_none() && p.objective <= 1.001 * best {
            reached = Some((start.elapsed().as_secs_f64(), p.objective));
        }
        ControlFlow::Continue(())
    };
    let s = solve(&mut observe).expect("the data is sound");
    let all = start.elapsed().as_secs_f64();
    let at_target = reached.map_or("never".into(), |(t, f)| format!("{t:.3} s ({f:.0})"));
    let r = &s.report;
    println!(
        "{name}: target {at_target}; in all {all:.3} s, objective {:.2}, {} iterations, {} evaluations, {} other \
         sweeps, {}",
        s.objective, r.iterations, r.evaluations, r.other_sweeps, r.stop
    );
}

fn sweeps(rows: &(impl Sweep + Clone)) {
    let mut f = problem(rows, Logistic, Penalty::l2(1.0));
    let (w, mut g, mut h) = (vec![0.001; COLUMNS], vec![0.0; COLUMNS], vec![0.0; COLUMNS]);
    let timed = |name: &str, work: &mut dyn FnMut()| {
        let best = (0..5).map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        });
        println!("sweep {name}: {:.1} ms", 1e3 * best.fold(f64::INFINITY, f64::min));
    };
    timed("value and gradient", &mut || {
        f.value_and_gradient(&w, &mut g).expect("sound");
    });
    timed("Hessian-vector", &mut || f.hessian_vector(&w, &mut h).expect("sound"));
    timed("diagonal", &mut || f.hessian_diagonal(&mut h).expect("sound"));
}

fn dual<L: DualLoss>(rows: &impl Sweep, name: &str, best: f64, loss: L) {
    let solver = DualCoordinateDescent { tolerance: 1e-3, ..Default::default() };
    report(name, best, |o| solver.minimize(rows, loss, Target::Positive(1.0), COLUMNS, o));
}

fn run(case: &str, rows: &(impl Sweep + Clone)) {
    // Optima of the given rows, by LIBLINEAR with tight tolerances.
    let (logistic, squared_hinge, hinge, l1) = (225_889.646, 204_742.59, 206_750.24, 199_684.24);
    let start = || vec![0.0; COLUMNS];
    match case {
        "sweeps" => sweeps(rows),
        "newton" => report("logistic, newton", logistic, |o| {
            let solver = Newton { gradient_tolerance: 1e-3, ..Default::default() };
            solver.minimize(&mut problem(rows, Logistic, Penalty::l2(1.0)), start(), o)
        }),
        "lbfgs" => report("logistic, lbfgs", logistic, |o| {
            let initial_matrix = InitialMatrix::HessianDiagonal;
            let solver = Lbfgs { gradient_tolerance: 1e-3, initial_matrix, ..Default::default() };
            solver.minimize(&mut problem(rows, Logistic, Penalty::l2(1.0)), start(), o)
        }),
        "svm-newton" => report("squared hinge, newton", squared_hinge, |o| {
            let solver = Newton { gradient_tolerance: 1e-3, ..Default::default() };
            solver.minimize(&mut problem(rows, SquaredHinge, Penalty::l2(1.0)), start(), o)
        }),
        "l1" => report("logistic L1, owlqn", l1, |o| {
            let solver = OwlQn {
                gradient_tolerance: 1e-3,
                initial_matrix: InitialMatrix::HessianDiagonal,
                ..Default::default()
            };
            solver.minimize(&mut problem(rows, Logistic, Penalty::l1(1.0)), start(), o)
        }),
        "svm-dual" => dual(rows, "squared hinge, dual", squared_hinge, SquaredHingeDual),
        "hinge-dual" => dual(rows, "hinge, dual", hinge, HingeDual),
        "logistic-dual" => dual(rows, "logistic, dual", logistic, LogisticDual),
        other => eprintln!("unknown case {other}"),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let threads: usize = words.first().and_then(|w| w.parse().ok()).unwrap_or(1);
    let chosen: Vec<&str> =
        words.iter().map(String::as_str).filter(|w| w.parse::<usize>().is_err()).collect();
    let all = ["sweeps", "newton", "lbfgs", "svm-newton", "l1", "svm-dual", "hinge-dual", "logistic-dual"];
    let data = match std::env::var_os("SLACKWATER_BENCH_SPARSE") {
        Some(directory) => stored(Path::new(&directory)),
        None => generated(),
    };
    let parts = partitioned(&data, threads);
    println!("{} rows, {} values, {threads} partitions and threads", data.labels.len(), data.values.len());
    drop(data);
    let cases: Vec<&str> = chosen.iter().copied().filter(|c| *c != "engine").collect();
    let cases = if cases.is_empty() { &all[..] } else { &cases[..] };
    if chosen.contains(&"engine") {
        let cx = Context::local(threads).expect("a local context starts");
        let rows = DatasetRows::from_blocks(&cx.from_partitions(parts));
        cases.iter().for_each(|case| run(case, &rows));
    } else {
        let rows = LocalRows::new(parts, threads);
        cases.iter().for_each(|case| run(case, &rows));
    }
}
