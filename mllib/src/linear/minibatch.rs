//! Stochastic gradient descent by minibatches, with the weights in a parameter table.
//!
//! # Problem
//! `min_W 1/n Σ_i loss(W'x_i + b, y_i) + λ/2 ‖W‖²`, with the logistic loss of one output or the softmax loss of one
//! output a class; intercepts are not penalised. A clock takes `batch` rows of every partition; with `G` the sum of
//! their gradients, all at weights that are at most as stale as the table allows,
//! `W <- W - step decay^epoch (m/n G + λ W)`, where `m` is the number of clocks of an epoch (so `m/n` is one over the
//! mean number of rows in a clock). The penalty is applied some times an epoch, for all clocks since.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the loss, summed while the epoch ran, fell by less than `tolerance` (relative).
//!
//! # Cost
//! An epoch reads every row once, and sends one number a touched weight, clock and partition.
//!
//! # References
//! The multiclass logistic regression of Bösen (Wei et al. 2015, Managed communication and consistency for fast
//! data-parallel iterative analytics); Ho et al. 2013 for the consistency.

use super::params::TrainingParams;
use crate::objective::{DatasetRows, RowSlice, softmax};
use crate::optimization::{Observer, Report, Solution, TableTrained, TableTraining, require_convergence};
use slackwater_dataflow::block::Row;
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, TableExt, TableSpec, TableView};
use std::sync::Arc;

/// Epochs unless said.
const EPOCHS: usize = 20;
/// How often an epoch applies the penalty, which touches every weight.
const PENALTIES_PER_EPOCH: u64 = 8;

/// What the outputs are.
#[derive(Debug, Clone)]
pub(crate) enum Outputs {
    /// One output; the label of the positive class.
    Positive(f64),
    /// One output a class; the classes, ascending.
    Classes(Arc<[f64]>),
}

impl Outputs {
    fn count(&self) -> usize {
        match self {
            Outputs::Positive(_) => 1,
            Outputs::Classes(classes) => classes.len(),
        }
    }
    /// Replaces margins by the derivative of the loss; returns the loss.
    fn derive(&self, z: &mut [f64], label: f64) -> f64 {
        match self {
            Outputs::Positive(positive) => {
                let sign = if label == *positive { 1.0 } else { -1.0 };
                let margin = sign * z[0];
                let e = (-margin.abs()).exp();
                let (probability_of_error, loss) = match margin >= 0.0 {
                    true => (e / (1.0 + e), e.ln_1p()),
                    false => (1.0 / (1.0 + e), e.ln_1p() - margin),
                };
                z[0] = -sign * probability_of_error;
                loss
            }
            Outputs::Classes(classes) => {
                let class = classes.partition_point(|c| *c < label);
                let own = z[class];
                let loss = softmax(z) - own;
                z[class] -= 1.0;
                loss
            }
        }
    }
}

/// One training.
pub(crate) struct Minibatch<'a> {
    pub params: &'a TrainingParams,
    pub outputs: Outputs,
    pub columns: usize,
    pub rows: u64,
    pub snapshots: Option<Snapshots>,
}

/// What a minibatch needs to know.
struct Descent {
    outputs: Outputs,
    columns: usize,
    intercept: bool,
    rows: f64,
    step: f64,
    decay: f64,
    penalty: f64,
}

impl Descent {
    fn margins(&self, row: &Row<'_>, w: &TableView<'_, f64>, of_column: &mut [f64], z: &mut [f64]) {
        match self.intercept {
            true => w.read_row(self.columns, z),
            false => z.fill(0.0),
        }
        for (j, x) in row.indices.iter().zip(row.values) {
            w.read_row(*j as usize, of_column);
            z.iter_mut().zip(&*of_column).for_each(|(z, w)| *z += x * w);
        }
    }
    fn run(&self, batch: &[RowSlice], w: &mut TableView<'_, f64>, clock: &mut Clock) {
        let (k, per_epoch) = (self.outputs.count(), clock.clocks_per_epoch());
        let step = self.step * self.decay.powi(clock.epoch() as i32);
        let rate = step * per_epoch as f64 / self.rows;
        // All derivatives first, then all increments: the gradient is of one point.
        let rows = || batch.iter().flat_map(RowSlice::iter);
        let (mut derivatives, mut of_column) = (vec![0.0; k * rows().count()], vec![0.0; k]);
        let mut loss = 0.0;
        for ((label, row), z) in rows().zip(derivatives.chunks_exact_mut(k)) {
            self.margins(&row, w, &mut of_column, z);
            loss += self.outputs.derive(z, label);
        }
        clock.loss(loss);
        for ((_, row), a) in rows().zip(derivatives.chunks_exact(k)) {
            let mut inc = |column: usize, x: f64| {
                of_column.iter_mut().zip(a).for_each(|(step, a)| *step = -rate * a * x);
                w.inc_dense(column, 0, &of_column);
            };
            row.indices.iter().zip(row.values).for_each(|(j, x)| inc(*j as usize, *x));
            if self.intercept {
                inc(self.columns, 1.0);
            }
        }
        self.shrink(step, w, clock);
    }
    /// Applies the penalty for all clocks since it was last applied; each partition takes some of the columns.
    fn shrink(&self, step: f64, w: &mut TableView<'_, f64>, clock: &Clock) {
        if self.penalty == 0.0 {
            return;
        }
        let (per_epoch, now) = (clock.clocks_per_epoch(), clock.number() % clock.clocks_per_epoch());
        let times = PENALTIES_PER_EPOCH.min(per_epoch);
        let due = |clocks: u64| clocks * times / per_epoch;
        if due(now + 1) == due(now) {
            return;
        }
        let since = per_epoch as f64 / times as f64;
        let factor = (1.0 - step * self.penalty).powf(since) - 1.0;
        let mut of_column = vec![0.0; w.columns()];
        for j in (clock.partition()..self.columns).step_by(clock.partitions()) {
            w.read_row(j, &mut of_column);
            of_column.iter_mut().for_each(|value| *value *= factor);
            w.inc_dense(j, 0, &of_column);
        }
    }
}

impl Minibatch<'_> {
    /// Minimises from zero. `objective` is asked for value and gradient norm at the end.
    ///
    /// # Errors
    /// Numerical, if the loss is not finite; what the engine reports.
    pub(crate) fn minimize(
        self,
        rows: &DatasetRows,
        objective: impl FnOnce(&[f64]) -> Result<(f64, f64)>,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let (params, table) = (self.params, self.params.table);
        let (factor, penalty) = (params.scaling.loss_factor(self.rows), params.scaling.penalty_factor());
        let n = self.rows as f64;
        let spec = TableSpec::dense(self.columns + usize::from(params.intercept), self.outputs.count());
        let slices = rows.slices(table.batch);
        let weights = slices.context().table("weights", spec.consistency(table.consistency))?;
        let outputs = self.outputs.count() as f64;
        let descent = Descent {
            outputs: self.outputs,
            columns: self.columns,
            intercept: params.intercept,
            rows: n,
            step: params.step_size,
            decay: table.decay,
            // The same problem, scaled so that the losses are a mean.
            penalty: penalty / (factor * n),
        };
        if descent.step * descent.penalty >= 1.0 {
            let most = 1.0 / descent.penalty;
            let message = format!("must be below {most} here, so that the penalty alone does not overshoot");
            return Err(Error::config("step_size", message));
        }
        let epochs = params.iterations_max.unwrap_or(EPOCHS);
        let training = slices
            .epochs(epochs as u64)
            .batch(1)
            .seed(params.seed)
            .update(&weights, move |batch, w, clock| descent.run(batch, w, clock));
        let run = TableTraining {
            snapshots: self.snapshots,
            tolerance: params.tolerance,
            objective: &|loss| loss * factor,
        };
        let TableTrained { history, stop, .. } = run.run(training, observer)?;
        require_convergence(&history, factor * n * outputs.max(2.0).ln(), params.step_size)?;
        let weights = weights.values().to_vec();
        let (objective, gradient_norm) = objective(&weights)?;
        let report = Report {
            iterations: history.len(),
            evaluations: 1,
            other_sweeps: history.len(),
            objective_history: history,
            gradient_norm,
            stop,
        };
        Ok(Solution { weights, objective, report })
    }
}
