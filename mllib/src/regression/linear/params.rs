//! Parameters of linear regression.

use crate::linalg::cholesky;
use crate::linear::{Solver, TrainingParams};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Parameters of linear regression.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LinearRegressionParams {
    /// What all linear trainers have.
    pub training: TrainingParams,
}

const OFFERED: [Solver; 4] = [Solver::Normal, Solver::Lbfgs, Solver::Newton, Solver::Sgd];

impl LinearRegressionParams {
    /// Spark's `LinearRegression` with `regParam` and `elasticNetParam`, other parameters at their defaults there.
    pub fn spark(regularization: f64, l1_ratio: f64) -> Self {
        LinearRegressionParams { training: TrainingParams::regularized(regularization, l1_ratio) }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.training.check()?;
        match self.training.solver {
            Some(solver) => self.training.check_solver(solver, &OFFERED, true),
            None => Ok(()),
        }
    }
    /// The solver that will run for so many columns.
    pub(super) fn solver(&self, columns: usize) -> Solver {
        let direct = columns <= cholesky::DIMENSION_MAX && !self.training.has_l1();
        self.training.solver.unwrap_or(if direct { Solver::Normal } else { Solver::Lbfgs })
    }
}
