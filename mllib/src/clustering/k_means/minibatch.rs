//! Minibatches, with the centres in a parameter table.
//!
//! A row of the table is the sum of a centre's rows and, last, their number: the centre is the one over the other. So
//! Sculley's step, `c += (x - c) / n` for the `n`-th row of a centre, is an addition of `(x, 1)`, which commutes: whatever
//! order the increments of many partitions come in, and however late, no row is lost or counted twice, and a centre is
//! always the mean of rows.

use super::lloyd::{Descent, direct, told};
use super::nearest::{Nearest, Scratch};
use super::params::{Centers, KMeansParams};
use super::rows::{Packed, PackedRows, RowPartition};
use crate::optimization::{Observer, TableTrained, TableTraining};
use slackwater_dataflow::{Dataset, Result};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, TableExt, TableSpec, TableView};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A centre of fewer rows is where it began: what is left of forgotten ones is rounding.
const ROWS_LEAST: f64 = 1e-9;

/// Neighbouring rows of a partition: one minibatch.
#[derive(Debug, Clone)]
struct Batch {
    of: Arc<Packed>,
    rows: Range<usize>,
}

/// The rows in equal minibatches of at most `batch`.
fn batches(rows: &PackedRows, batch: usize) -> Dataset<Batch> {
    rows.partitions.expand(move |partition: &RowPartition, out| {
        let of = &partition.rows;
        let n = of.rows();
        let parts = n.div_ceil(batch);
        let cut = |i: usize| i * n / parts.max(1);
        out.extend((0..parts).map(|i| Batch { of: of.clone(), rows: cut(i)..cut(i + 1) }));
    })
}

/// Trains. The history has what the rows cost while each epoch ran.
///
/// # Errors
/// What the training reports.
pub(super) fn descend(
    rows: &PackedRows,
    params: &KMeansParams,
    first: Centers,
    snapshots: Option<Snapshots>,
    observer: &mut Observer<'_>,
) -> Result<Descent> {
    let (k, table) = (params.k, &params.minibatch);
    let spec = TableSpec::<f64>::dense(k, first.columns() + 1).consistency(table.consistency);
    let sums = rows.partitions.context().table("sums of rows by centre", spec)?;
    let steps = Arc::new(Steps { first: Arc::new(first), params: params.clone(), pool: Mutex::default() });
    let of_clock = steps.clone();
    let training = batches(rows, table.batch)
        .epochs(table.epochs as u64)
        .batch(1)
        .seed(params.seed)
        .update(&sums, move |batches, sums, clock| of_clock.run(batches, sums, clock));
    let run = TableTraining {
        snapshots,
        tolerance: params.tolerance,
        objective: &|cost| told(cost, params.distance),
    };
    let TableTrained { history, stop, .. } = run.run(training, observer)?;
    Ok(Descent { centers: steps.centers(&sums.values()), history, stop })
}

/// What a worker works with; kept from one minibatch to the next.
#[derive(Debug, Default)]
struct Room {
    sums: Vec<f64>,
    increments: Vec<f64>,
    scratch: Scratch,
}

/// What a minibatch needs to know.
struct Steps {
    /// Where centres are that have no rows yet.
    first: Arc<Centers>,
    params: KMeansParams,
    pool: Mutex<Vec<Room>>,
}

impl Steps {
    /// The centres of the table's values.
    fn centers(&self, sums: &[f64]) -> Centers {
        let mut centers = Centers::clone(&self.first);
        let columns = centers.columns();
        for (j, row) in sums.chunks_exact(columns + 1).enumerate() {
            let (sum, n) = row.split_at(columns);
            if n[0] > ROWS_LEAST {
                let mut mean: Vec<f64> = sum.iter().map(|s| s / n[0]).collect();
                if direct(&mut mean, self.params.distance) {
                    centers.row_mut(j).copy_from_slice(&mean);
                }
            }
        }
        centers
    }
    fn run(&self, batches: &[Batch], table: &mut TableView<'_, f64>, clock: &mut Clock) {
        let pool = || self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = pool().pop().unwrap_or_default();
        let width = table.columns();
        room.sums.resize(table.rows() * width, 0.0);
        table.read_rows(0, &mut room.sums);
        let centers = self.centers(&room.sums);
        if clock.number().is_multiple_of(clock.clocks_per_epoch()) && clock.epoch() > 0 {
            self.forget(table, clock);
        }
        room.increments.clear();
        room.increments.resize(room.sums.len(), 0.0);
        for Batch { of, rows } in batches {
            let nearest = Nearest::new(of, &centers);
            let mut cost = 0.0;
            nearest.for_each(rows.clone(), &mut room.scratch, |row, found| {
                let center = found.center as usize;
                cost += nearest.distance(row, center);
                let to = &mut room.increments[center * width..][..width];
                of.for_each(row, |j, x| to[j] += f64::from(x));
                to.iter_mut().zip(of.shift()).for_each(|(sum, s)| *sum += s);
                to[width - 1] += 1.0;
            });
            clock.loss(cost);
        }
        for (j, increments) in room.increments.chunks_exact(width).enumerate() {
            if increments[width - 1] > 0.0 {
                table.inc_dense(j, 0, increments);
            }
        }
        pool().push(room);
    }
    /// Lets the rows of earlier epochs count less. Each partition takes some of the centres.
    fn forget(&self, table: &mut TableView<'_, f64>, clock: &Clock) {
        let lost = 1.0 - self.params.minibatch.decay;
        if lost == 0.0 {
            return;
        }
        let mut row = vec![0.0; table.columns()];
        for j in (clock.partition()..table.rows()).step_by(clock.partitions()) {
            table.read_row(j, &mut row);
            row.iter_mut().for_each(|x| *x *= -lost);
            table.inc_dense(j, 0, &row);
        }
    }
}
