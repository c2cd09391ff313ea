//! Training: from pairs to a table, and from the table to a model.

use super::model::Attributes;
use super::pairs::{SIMILAR, Squares};
use super::{DistanceMetricModel, DistanceMetricParams, DistanceMetricSummary, PairDifferences};
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linear::Features;
use crate::objective::{DatasetRows, RowSlice};
use crate::optimization::{Observer, TableTrained, TableTraining, require_convergence, silent};
use crate::pool::Pool;
use crate::random::unit_of;
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, TableExt, TableSpec, TableView};

impl DistanceMetricParams {
    /// Fits a model to pairs that are drawn from the labels of rows: a dataset of points or blocks, or [`DatasetRows`].
    /// Collective: every process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](DistanceMetricParams::fit_observed), and those of [`PairDifferences::of_labels`].
    pub fn fit(&self, rows: impl Into<DatasetRows>) -> Result<DistanceMetricModel> {
        self.check()?;
        let differences = PairDifferences::of_labels(&rows.into(), self.pairs, self.seed)?;
        self.fit_observed(&differences, None, &mut silent)
    }
    /// Fits a model to pairs, with snapshots, and with an observer, which is told the loss of every epoch. Collective.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; input, if no dissimilar pair differs in any column; numerical, if training
    /// diverges; what the engine reports.
    pub fn fit_observed(
        &self,
        pairs: &PairDifferences,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<DistanceMetricModel> {
        self.check()?;
        let (columns, rank) = (pairs.columns(), self.rank_for(pairs.columns())?);
        let squares = pairs.squares()?;
        let scales = scales(&squares, self.standardize)?;
        let records = pairs.rows().slices(1);
        let spec = TableSpec::dense(rank, columns)
            .init(first_map(rank, columns, self.margin, self.seed))
            .consistency(self.consistency)
            .rule(self.rule());
        let table = records.context().table("distance metric", spec)?;
        let descent = Descent {
            rank,
            scales: scales.clone(),
            margin: self.margin,
            of_similar: 1.0 / squares.similar as f64,
            of_dissimilar: self.dissimilar_weight / squares.dissimilar as f64,
            step: self.step_size,
            decay: self.decay,
            pool: Pool::default(),
        };
        let training = records
            .epochs(self.epochs as u64)
            .batch(self.batch)
            .seed(self.seed)
            .update(&table, move |batch, table, clock| descent.run(batch, table, clock));
        let run = TableTraining { snapshots, tolerance: self.tolerance, objective: &|loss| loss };
        let TableTrained { history, stop, .. } = run.run(training, observer)?;
        require_convergence(&history, self.margin * self.dissimilar_weight, self.step_size)?;
        let summary = DistanceMetricSummary {
            similar: squares.similar,
            dissimilar: squares.dissimilar,
            partitions: records.num_partitions(),
            loss: history.last().copied().unwrap_or(f64::NAN),
            loss_history: history,
            stop,
        };
        let mut map = table.values().to_vec();
        map.chunks_exact_mut(columns).for_each(|row| scale(row, &scales));
        let attributes = Attributes { columns, rank, params: self.clone(), summary };
        Ok(DistanceMetricModel::new(map, attributes))
    }
}

/// What columns are multiplied by, for dissimilar pairs to have a mean squared distance of 1. A column in which they do not
/// differ has no weight if columns are to weigh the same.
fn scales(squares: &Squares, standardize: bool) -> Result<Vec<f32>> {
    let means: Vec<f64> = squares.sums.iter().map(|sum| sum / squares.dissimilar as f64).collect();
    let (total, varied) = (means.iter().sum::<f64>(), means.iter().filter(|mean| **mean > 0.0).count());
    if varied == 0 || !total.is_finite() {
        let message = "the dissimilar pairs do not differ in any column, or by too much for a number";
        return Err(Error::input(message, "look at the data, and at how columns are scaled"));
    }
    let scale = |mean: &f64| match standardize {
        true if *mean == 0.0 => 0.0,
        true => 1.0 / (mean * varied as f64).sqrt(),
        false => 1.0 / total.sqrt(),
    };
    Ok(means.iter().map(|mean| scale(mean) as f32).collect())
}

fn scale(row: &mut [f32], scales: &[f32]) {
    row.iter_mut().zip(scales).for_each(|(x, scale)| *x *= scale);
}

/// The first map, by row and column: it keeps squares of lengths in the mean, times `margin`.
fn first_map(rank: usize, columns: usize, margin: f64, seed: u64) -> impl Fn(usize, usize) -> f32 + 'static {
    let size = margin.sqrt();
    // Even numbers within these bounds have the variance 1 / rank.
    let bound = size * (3.0 / rank as f64).sqrt();
    move |row, column| match rank == columns {
        true if row == column => size as f32,
        true => 0.0,
        false => ((2.0 * unit_of([seed, row as u64, column as u64]) - 1.0) * bound) as f32,
    }
}

/// What a minibatch works with.
#[derive(Debug, Default)]
struct Scratch {
    /// `L`.
    map: Vec<f32>,
    /// By pair: `x - y`, with scaled columns.
    differences: Vec<f32>,
    /// By pair: `L(x - y)`, and then its factor in the gradient.
    mapped: Vec<f32>,
    /// What is to be added to `L`.
    increments: Vec<f32>,
}

/// What a minibatch needs to know.
struct Descent {
    rank: usize,
    scales: Vec<f32>,
    margin: f64,
    /// Weight of a pair in the loss.
    of_similar: f64,
    of_dissimilar: f64,
    step: f64,
    decay: f64,
    pool: Pool<Scratch>,
}

impl Descent {
    fn run(&self, batch: &[RowSlice], table: &mut TableView<'_, f32>, clock: &mut Clock) {
        self.pool.with(|scratch| {
            scratch.map.resize(self.rank * self.scales.len(), 0.0);
            table.read_rows(0, &mut scratch.map);
            let step = self.step * self.decay.powf(clock.epoch() as f64);
            let rate = step * clock.clocks_per_epoch() as f64;
            clock.loss(self.derive(batch, -rate, scratch));
            table.inc_rows(0, &scratch.increments);
        });
    }
    /// The loss of some pairs at the map that was read, and its gradient, times `factor`, in `increments`.
    fn derive(&self, batch: &[RowSlice], factor: f64, scratch: &mut Scratch) -> f64 {
        let Scratch { map, differences, mapped, increments } = scratch;
        let (rank, columns) = (self.rank, self.scales.len());
        let pairs = || batch.iter().flat_map(RowSlice::iter);
        let count = pairs().count();
        differences.resize(count * columns, 0.0);
        for ((_, row), place) in pairs().zip(differences.chunks_exact_mut(columns)) {
            row.write(place);
            scale(place, &self.scales);
        }
        let differences = Matrix::new(differences, count, columns);
        mapped.resize(count * rank, 0.0);
        gemm(1.0, differences, Matrix::new(map, rank, columns).transposed(), Write::Replace, mapped);
        let mut loss = 0.0;
        for ((label, _), z) in pairs().zip(mapped.chunks_exact_mut(rank)) {
            let square: f64 = z.iter().map(|z| f64::from(*z).powi(2)).sum();
            let (value, slope) = match (label == SIMILAR, self.margin - square) {
                (true, _) => (square, self.of_similar),
                (false, missing) if missing > 0.0 => (missing, -self.of_dissimilar),
                (false, _) => (0.0, 0.0),
            };
            loss += value * slope.abs();
            // The derivative of ‖z‖² is 2z.
            z.iter_mut().for_each(|z| *z *= (2.0 * slope) as f32);
        }
        increments.resize(rank * columns, 0.0);
        let mapped = Matrix::new(mapped, count, rank).transposed();
        gemm(factor as f32, mapped, differences, Write::Replace, increments);
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::block::{LabeledPoint, Vector, pack};
    use slackwater_dataflow::{Context, rng};
    use std::sync::{Arc, Mutex};

    const COLUMNS: usize = 6;
    const RANK: usize = 4;

    /// Thirty pairs, and a map at which about half of the dissimilar ones are too close.
    fn made() -> (Vec<RowSlice>, Descent, Scratch) {
        let mut rng = rng::stream(8, 0);
        let mut number = || rng::normal(&mut rng);
        let mut point = |i: u8| {
            let values: Vec<f64> = (0..COLUMNS).map(|_| number()).collect();
            LabeledPoint::new(f64::from(u8::from(i.is_multiple_of(3))), Vector::dense(values))
        };
        let points: Vec<LabeledPoint> = (0..30).map(&mut point).collect();
        let cx = Context::local(1).unwrap();
        let blocks = cx.from_partitions(vec![pack(points.into_iter()).collect::<Vec<_>>()]);
        let found = Arc::new(Mutex::new(vec![]));
        let push = found.clone();
        let slices = DatasetRows::from_blocks(&blocks).slices(7);
        slices.foreach(move |slice| push.lock().unwrap().push(slice.clone())).unwrap();
        let batch = found.lock().unwrap().clone();
        let descent = Descent {
            rank: RANK,
            scales: (0..COLUMNS).map(|j| 0.5 + j as f32 / 8.0).collect(),
            margin: 1.5,
            of_similar: 0.1,
            of_dissimilar: 0.07,
            step: 1.0,
            decay: 1.0,
            pool: Pool::default(),
        };
        let map = (0..RANK * COLUMNS).map(|_| (0.4 * number()) as f32).collect();
        (batch, descent, Scratch { map, ..Scratch::default() })
    }

    #[test]
    fn gradients_are_slopes() {
        let (batch, descent, mut scratch) = made();
        descent.derive(&batch, 2.0, &mut scratch);
        let gradient = scratch.increments.clone();
        let mut steep = 0;
        for (at, got) in gradient.iter().enumerate() {
            // Narrow enough that no pair crosses the margin, wide enough for numbers of 24 bits.
            const HALF: f32 = 1.0 / 512.0;
            let mut loss_at = |by: f32| {
                let before = scratch.map[at];
                scratch.map[at] += by;
                let loss = descent.derive(&batch, 1.0, &mut scratch);
                scratch.map[at] = before;
                loss
            };
            let want = 2.0 * (loss_at(HALF) - loss_at(-HALF)) / f64::from(2.0 * HALF);
            assert!((f64::from(*got) - want).abs() < 2e-3 * (1.0 + want.abs()), "{at}: {got} {want}");
            steep += usize::from(want.abs() > 0.05);
        }
        assert!(steep > RANK * COLUMNS / 2, "{steep}");
    }

    #[test]
    fn scales_make_the_mean_square_one() {
        let squares = Squares { similar: 1, dissimilar: 4, sums: vec![16.0, 0.0, 64.0, 4.0] };
        for standardize in [false, true] {
            let scales = scales(&squares, standardize).unwrap();
            let means = squares.sums.iter().zip(&scales).map(|(s, c)| s / 4.0 * f64::from(*c).powi(2));
            assert!((means.sum::<f64>() - 1.0).abs() < 1e-6, "{scales:?}");
            assert_eq!(scales[1] == 0.0, standardize);
            assert_eq!(scales[0] == scales[2], !standardize);
        }
        let same = Squares { similar: 1, dissimilar: 4, sums: vec![0.0; 3] };
        assert_eq!(super::scales(&same, true).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn first_maps_keep_squares_of_lengths() {
        let (rank, columns) = (60, 400);
        let first = first_map(rank, columns, 4.0, 1);
        // Of the vector whose values are all 1, of a squared length of `columns`.
        let square: f64 =
            (0..rank).map(|i| (0..columns).map(|j| f64::from(first(i, j))).sum::<f64>().powi(2)).sum();
        assert!((square / columns as f64 / 4.0 - 1.0).abs() < 0.4, "{square}");
        let squares: f64 = (0..rank)
            .flat_map(|i| (0..columns).map(move |j| (i, j)))
            .map(|(i, j)| f64::from(first(i, j)).powi(2))
            .sum();
        assert!((squares / columns as f64 / 4.0 - 1.0).abs() < 0.02, "{squares}");
        let square = first_map(3, 3, 4.0, 1);
        assert_eq!((square(1, 1), square(0, 1)), (2.0, 0.0));
    }
}
