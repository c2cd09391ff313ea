//! The lasso and sparse logistic regression on designs by column: seconds to a duality gap, beside other libraries.
//!
//! ```text
//! python3 mllib/benches/lasso.py FOLDER               makes the designs, and runs this and the others in turns
//! python3 mllib/benches/sparse_logistic.py FOLDER     the same for sparse logistic regression
//! cargo bench -p slackwater-mllib --bench lasso -- FOLDER CASE PART WORKERS RUNS [logistic]
//! ```
//!
//! `FOLDER` has `CASE.y` (targets) and either `CASE.x` (all values, column by column) or `CASE.offsets`, `CASE.rows`,
//! `CASE.values` (those that are not zero); `f64`, offsets `u64`, rows `u32`, little endian. The penalty is `PART` of the least
//! that leaves no weights; `PART` may be `path`: 100 penalties down to a hundredth. With `logistic` rows whose target is positive are
//! one class, and the others the other one. Columns are in memory when time begins, as
//! they are for the others. Printed, as JSON: seconds of each run, objective, gap, weights, passes, products.
//!
//! # Measured
//! Milliseconds at a tenth / a twentieth of the largest penalty, two workers (others: as many threads as they use of two). The
//! last two designs on an idle machine of two cores, one after the other; the others while it was busy with builds, where the
//! same run may take twice as long the next time.
//!
//! | design | this | celer 0.7.4 | skglm 0.5 | scikit-learn 1.9.1 |
//! |---|---|---|---|---|
//! | alon, 62 x 2,000 | 0.6 / 1.0 | 2.7 / 7.7 | 18 / 24 | 12 / 117 |
//! | golub, 72 x 7,129 | 1.2 / 2.3 | 11 / 14 | 117 / 84 | 232 / 171 |
//! | riboflavin, 71 x 4,088 | 2.5 / 1.5 | 28 / 19 | 42 / 31 | 43 / 160 |
//! | wheat, 599 x 1,279 | 11 / 30 | 40 / 240 | 86 / 177 | 20 / 422 |
//! | strads, 500 x 1,000 (not in turns) | 24 / 61 | 312 / 630 | 250 / 495 | 446 / 1,104 |
//! | sparse, 10,000 x 100,000, 10 M values | - / 54 | - / 306 | - / 410 | - / 206 |
//! | dense, 2,000 x 200,000 | 438 / 776 | - / 5,534 | - / 3,640 | not run |

use slackwater_dataflow::Context;
use slackwater_mllib::classification::SparseLogisticParams;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::lasso::{
    ColumnBlock, Design, IN_PROGRAM_BYTES, LassoParams, Penalties, Scaling,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Blocks of columns that a large design is cut into.
const BLOCKS: usize = 64;
const AS_IT_IS: Scaling = Scaling { center: false, standardize: false };

/// `count` values of a file, from the `from`th on.
fn read<const N: usize, T>(path: &Path, from: usize, count: usize, of: fn([u8; N]) -> T) -> Vec<T> {
    let mut bytes = vec![0; N * count];
    let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.read_exact_at(&mut bytes, (N * from) as u64).expect("the file is long enough");
    bytes.as_chunks().0.iter().map(|b| of(*b)).collect()
}

fn length(path: &Path, bytes: usize) -> usize {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).len() as usize / bytes
}

/// The `k`th block of some columns.
fn block(case: &Path, rows: usize, columns: usize, k: usize) -> ColumnBlock {
    let (from, to) = (k * columns / BLOCKS, (k + 1) * columns / BLOCKS);
    let file = |kind: &str| case.with_extension(kind);
    if file("x").exists() {
        let values = read(&file("x"), from * rows, (to - from) * rows, f64::from_le_bytes);
        return ColumnBlock::dense(from, rows, values, AS_IT_IS);
    }
    let mut offsets = read(&file("offsets"), from, to - from + 1, u64::from_le_bytes);
    let (first, count) = (offsets[0], (offsets[to - from] - offsets[0]) as usize);
    offsets.iter_mut().for_each(|o| *o -= first);
    let row_numbers = read(&file("rows"), first as usize, count, u32::from_le_bytes);
    let values = read(&file("values"), first as usize, count, f64::from_le_bytes);
    ColumnBlock::sparse(from, rows, offsets, row_numbers, values, AS_IT_IS)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let (words, is_logistic) = match &words[..] {
        [words @ .., last] if last == "logistic" => (words, true),
        words => (words, false),
    };
    let [folder, case, part, workers, runs] = words else {
        eprintln!("FOLDER CASE PART WORKERS RUNS [logistic], as the head of this file says");
        return;
    };
    let case: PathBuf = Path::new(folder).join(case);
    let rows = length(&case.with_extension("y"), 8);
    let columns = match case.with_extension("x").exists() {
        true => length(&case.with_extension("x"), 8) / rows,
        false => length(&case.with_extension("offsets"), 8) - 1,
    };
    let mut targets = read(&case.with_extension("y"), 0, rows, f64::from_le_bytes);
    if is_logistic {
        targets.iter_mut().for_each(|y| *y = f64::from(*y > 0.0));
    }
    let workers: usize = workers.parse().expect("a number of workers");
    let cx = Context::local(workers).expect("a local context starts");
    let of = case.clone();
    let blocks = cx.range(0..BLOCKS as u64, BLOCKS).map(move |k| block(&of, rows, columns, k as usize));
    let design = Design::from_columns(&blocks, targets, AS_IT_IS, IN_PROGRAM_BYTES).expect("the files fit");
    let penalties = match part.as_str() {
        "path" => Penalties::Path { count: 100, ratio: 0.01 },
        part => Penalties::Ratio(part.parse().expect("a part of the largest penalty, or path")),
    };
    let params = LassoParams { penalties, intercept: false, standardize: false, ..Default::default() };
    let mut seconds = vec![];
    let mut last = vec![];
    for _ in 0..runs.parse().expect("a number of runs") {
        let start = Instant::now();
        let path = match is_logistic {
            false => params.train_design(&design, &mut silent).expect("the problem is sound").path,
            true => {
                let params = SparseLogisticParams::from(params.clone());
                params.train_design(&design, &mut silent).expect("the problem is sound").path
            }
        };
        seconds.push(start.elapsed().as_secs_f64());
        last = path;
    }
    let point = last.last().expect("there is a run");
    let passes: usize = last.iter().map(|p| p.passes).sum();
    let products: u64 = last.iter().map(|p| p.products).sum();
    let epochs: usize = last.iter().map(|p| p.epochs).sum();
    println!(
        "{{\"seconds\": {seconds:?}, \"objective\": {:?}, \"gap\": {:?}, \"nonzeros\": {}, \"passes\": {passes}, \"products\": \
         {products}, \"epochs\": {epochs}, \"converged\": {}}}",
        point.objective,
        point.gap,
        point.nonzeros,
        last.iter().all(|p| p.converged),
    );
}
