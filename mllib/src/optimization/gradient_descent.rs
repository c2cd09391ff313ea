//! Spark's gradient descent: what `SVMWithSGD` and its siblings run.
//!
//! # Problem
//! `min 1/n Σ loss + reg penalty(w)`, penalty none, `1/2 w'w` or `‖w‖₁`, on all weights, an intercept included (Spark
//! appends a column of ones).
//!
//! # Stopping rule
//! `‖w_i - w_{i-1}‖ < tolerance max(‖w_i‖, 1)` from the second iteration on; or `iterations_max`.
//!
//! # Cost
//! One sweep an iteration. With a full batch, the default, this is a subgradient method with steps
//! `step_size / sqrt(i)`: cheap to explain, slow to converge. It is here to give Spark's numbers; for a good model use
//! another solver.
//!
//! # References
//! Spark 4, `mllib.optimization.GradientDescent.runMiniBatchSGD` and `Updater`.

use super::report::{Observer, Report, Solution, Stop, require_finite};
use crate::linalg::dense::{axpy, distance, norm1, norm2, scale};
use crate::objective::{RowKernel, Sweep, add_vectors, check_width};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result, rng};
use std::borrow::Cow;

/// How weights follow a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Updater {
    /// No penalty.
    Simple,
    /// `reg/2 w'w`.
    SquaredL2,
    /// `reg ‖w‖₁`, by soft thresholds.
    L1,
}

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct GradientDescent {
    /// Length of the first step; the `i`-th is this over `sqrt(i)`.
    pub step_size: f64,
    /// Iterations at most.
    pub iterations_max: usize,
    /// Weight of the penalty.
    pub regularization: f64,
    /// The penalty.
    pub updater: Updater,
    /// Relative change of weights below which to stop.
    pub tolerance: f64,
    /// Share of rows in a batch, in (0, 1]; a batch is drawn anew for each iteration.
    pub mini_batch_fraction: f64,
    /// Seed of the batches.
    pub seed: u64,
}

impl Default for GradientDescent {
    fn default() -> Self {
        GradientDescent {
            step_size: 1.0,
            iterations_max: 100,
            regularization: 0.01,
            updater: Updater::SquaredL2,
            tolerance: 0.001,
            mini_batch_fraction: 1.0,
            seed: 42,
        }
    }
}

/// Derived streams of this solver are those of this operation.
const OPERATION: u64 = u64::from_be_bytes(*b"     sgd");

impl Updater {
    /// One update in place; returns the new penalty.
    fn update(self, w: &mut [f64], gradient: &[f64], step: f64, regularization: f64) -> f64 {
        match self {
            Updater::Simple => {
                axpy(-step, gradient, w);
                0.0
            }
            Updater::SquaredL2 => {
                scale(1.0 - step * regularization, w);
                axpy(-step, gradient, w);
                let norm = norm2(w);
                0.5 * regularization * norm * norm
            }
            Updater::L1 => {
                axpy(-step, gradient, w);
                let shrinkage = regularization * step;
                w.iter_mut().for_each(|w| *w = w.signum() * (w.abs() - shrinkage).max(0.0));
                regularization * norm1(w)
            }
        }
    }
}

impl GradientDescent {
    /// Minimises over `rows` from `w`. The report's history is Spark's loss history: the batch's mean loss before each
    /// update plus the penalty after the one before.
    ///
    /// # Errors
    /// Numerical, if the loss is not finite; what the sweep reports.
    pub fn minimize<S: Sweep, K: RowKernel>(
        &self,
        rows: &S,
        kernel: &K,
        mut w: Vec<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let n = kernel.dimension();
        assert_eq!(w.len(), n, "a start of another dimension");
        let mut report = Report::new();
        let mut penalty = self.updater.update(&mut w.clone(), &vec![0.0; n], 0.0, self.regularization);
        let mut before: Option<Vec<f64>> = None;
        for iteration in 1..=self.iterations_max {
            let Some(mut sum) = self.batch(rows, kernel, &w, iteration)? else {
                return Err(Error::input("there are no rows", ""));
            };
            let count = sum[n + 1];
            if count == 0.0 {
                // An empty batch: Spark goes on with the next one.
                continue;
            }
            let loss = sum[n] / count + penalty;
            sum.truncate(n);
            scale(1.0 / count, &mut sum);
            let norm = norm2(&sum);
            require_finite(loss, norm)?;
            let stopped = report.note(loss, norm, &w, observer);
            report.evaluations += 1;
            report.iterations = iteration;
            if stopped {
                return Ok(report.finish(w, Stop::Observer));
            }
            let step = self.step_size / (iteration as f64).sqrt();
            penalty = self.updater.update(&mut w, &sum, step, self.regularization);
            let limit = self.tolerance * norm2(&w).max(1.0);
            if before.is_some_and(|before| distance(&before, &w) < limit) {
                return Ok(report.finish(w, Stop::Weights));
            }
            before = Some(w.clone());
        }
        Ok(report.finish(w, Stop::IterationLimit))
    }
    /// Sum of gradients, of losses, and number of rows of a batch.
    fn batch<S: Sweep, K: RowKernel>(
        &self,
        rows: &S,
        kernel: &K,
        w: &[f64],
        iteration: usize,
    ) -> Result<Option<Vec<f64>>> {
        let (kernel, w) = (kernel.clone(), w.to_vec());
        let (fraction, seed) = (self.mini_batch_fraction, self.seed.wrapping_add(iteration as u64));
        rows.fold(
            move |p, blocks| {
                check_width(blocks, kernel.columns())?;
                let blocks = sample(blocks, fraction, seed, p);
                let mut sum = kernel.evaluate(&blocks, &w, &mut vec![]);
                sum.push(blocks.iter().map(LabeledBlock::rows).sum::<usize>() as f64);
                Ok(sum)
            },
            add_vectors,
        )
    }
}

/// Each row with probability `fraction`.
fn sample(blocks: &[LabeledBlock], fraction: f64, seed: u64, partition: usize) -> Cow<'_, [LabeledBlock]> {
    if fraction >= 1.0 {
        return Cow::Borrowed(blocks);
    }
    let mut stream = rng::partition_stream(seed, OPERATION, partition);
    Cow::Owned(blocks.iter().map(|b| b.filter(|_| rng::unit_f64(&mut stream) < fraction)).collect())
}
