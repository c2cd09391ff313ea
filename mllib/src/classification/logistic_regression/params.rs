//! Parameters of logistic regression.

use crate::linear::{Solver, TrainingParams};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// One output for two classes, or one a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Binary for two classes, multinomial for more.
    #[default]
    Auto,
    /// One output; labels are 0 and 1, or -1 and +1.
    Binary,
    /// One output a class, also for two.
    Multinomial,
}

/// Parameters of logistic regression.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LogisticRegressionParams {
    /// Binary or multinomial.
    pub family: Family,
    /// What all linear trainers have.
    pub training: TrainingParams,
}

const BINARY: [Solver; 5] = [Solver::Newton, Solver::Lbfgs, Solver::Dual, Solver::Sgd, Solver::Minibatch];
const MULTINOMIAL: [Solver; 3] = [Solver::Lbfgs, Solver::Newton, Solver::Minibatch];

impl LogisticRegressionParams {
    /// Spark's `LogisticRegression` with `regParam` and `elasticNetParam`, other parameters at their defaults there.
    pub fn spark(regularization: f64, l1_ratio: f64) -> Self {
        let training = TrainingParams {
            solver: Some(Solver::Lbfgs),
            ..TrainingParams::regularized(regularization, l1_ratio)
        };
        LogisticRegressionParams { training, ..Default::default() }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.training.check()?;
        match (self.family, self.training.solver) {
            (Family::Auto, Some(solver)) => self.training.check_solver(solver, &BINARY, true),
            (Family::Binary, _) => self.solver(false).map(drop),
            (Family::Multinomial, _) => self.solver(true).map(drop),
            (Family::Auto, None) => Ok(()),
        }
    }
    /// The solver that will run.
    pub(super) fn solver(&self, multinomial: bool) -> Result<Solver> {
        let default = if multinomial || self.training.has_l1() { Solver::Lbfgs } else { Solver::Newton };
        let solver = self.training.solver.unwrap_or(default);
        if multinomial && !MULTINOMIAL.contains(&solver) {
            return Err(Error::config(
                "solver",
                format!("`{solver}` takes two classes only: use `lbfgs`, `newton` or `minibatch`"),
            ));
        }
        self.training.check_solver(solver, &BINARY, true)?;
        Ok(solver)
    }
}
