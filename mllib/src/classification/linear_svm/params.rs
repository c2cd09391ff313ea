//! Parameters of the support vector machine.

use crate::linear::{Solver, TrainingParams};
use crate::objective::Scaling;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Which loss is minimised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SvmLoss {
    /// `max(0, 1 - y z)`.
    Hinge,
    /// `max(0, 1 - y z)²`: smooth, so more solvers can do it.
    #[default]
    SquaredHinge,
}

/// Parameters of the support vector machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinearSvmParams {
    /// The loss.
    pub loss: SvmLoss,
    /// What all linear trainers have.
    pub training: TrainingParams,
}

const OFFERED: [Solver; 4] = [Solver::Dual, Solver::Newton, Solver::Lbfgs, Solver::Sgd];

impl LinearSvmParams {
    /// Spark's `SVMWithSGD.train(data, iterations, step, regularization)`: hinge, no intercept, full batches.
    pub fn spark(iterations: usize, step_size: f64, regularization: f64) -> Self {
        let training = TrainingParams {
            solver: Some(Solver::Sgd),
            scaling: Scaling::Mean { regularization },
            iterations_max: Some(iterations),
            step_size,
            ..Default::default()
        };
        LinearSvmParams { loss: SvmLoss::Hinge, training }
    }
    /// Checks all values; returns the solver that will run.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<Solver> {
        self.training.check()?;
        let solver = self.training.solver.unwrap_or(match self.loss {
            _ if self.training.has_l1() => Solver::Lbfgs,
            SvmLoss::Hinge => Solver::Dual,
            SvmLoss::SquaredHinge => Solver::Newton,
        });
        self.training.check_solver(solver, &OFFERED, self.loss == SvmLoss::SquaredHinge)?;
        Ok(solver)
    }
}
