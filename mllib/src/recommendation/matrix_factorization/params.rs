//! Parameters of matrix factorisation.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::Consistency;
use std::str::FromStr;

/// How factors are found; see the [module](super).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// Minibatches on a table of items.
    #[default]
    Sgd,
    /// Blocks of items that rotate over the partitions.
    Dsgd,
    /// Coordinate descent, feature by feature.
    Ccd,
}

impl Solver {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Solver::Sgd => "sgd",
            Solver::Dsgd => "dsgd",
            Solver::Ccd => "ccd",
        }
    }
}

impl FromStr for Solver {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Solver::Sgd, Solver::Dsgd, Solver::Ccd].into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of sgd, dsgd, ccd"))
    }
}

/// Parameters of matrix factorisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixFactorizationParams {
    /// Number of factors of a user and of an item.
    pub rank: usize,
    /// How they are found.
    #[serde(default)]
    pub solver: Solver,
    /// Of `dsgd`: further passes over a block, at most, while others are not done with theirs. Results then depend on how fast
    /// they are.
    #[serde(default)]
    pub fugue: usize,
    /// Of `ccd`: how often a feature is moved, of users and of items, before the next.
    #[serde(default = "one")]
    pub inner_iterations: usize,
    /// Passes over the ratings at most; of `ccd`, over all features.
    pub epochs: usize,
    /// Step of the first epoch; `ccd` has none.
    pub step_size: f64,
    /// Factor of the step from epoch to epoch; `ccd` has none.
    pub decay: f64,
    /// Weight of the penalty, once a rating.
    pub regularization: f64,
    /// Fits a bias of every user and item, around the mean rating.
    pub biases: bool,
    /// Factors of at least 0. Takes no biases.
    pub non_negative: bool,
    /// Of `sgd`: ratings of each partition in a clock; `None`: 1024, or as few as keep the ratings of the most rated item in a
    /// clock at about 32.
    pub batch: Option<usize>,
    /// Of `sgd`: how old the factors may be that a minibatch reads.
    pub consistency: Consistency,
    /// Ends the training after an epoch in which the sum of squared errors fell by less than this share.
    pub tolerance: Option<f64>,
    /// Seed of the first factors and of the order of ratings.
    pub seed: u64,
}

fn one() -> usize {
    1
}

impl Default for MatrixFactorizationParams {
    fn default() -> Self {
        MatrixFactorizationParams {
            rank: 20,
            solver: Solver::Sgd,
            fugue: 0,
            inner_iterations: 1,
            epochs: 50,
            step_size: 0.02,
            decay: 0.97,
            regularization: 0.1,
            biases: true,
            non_negative: false,
            batch: None,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl MatrixFactorizationParams {
    /// Factors of at least 0, without biases; other parameters at their defaults.
    pub fn non_negative() -> Self {
        MatrixFactorizationParams { non_negative: true, biases: false, ..Default::default() }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.rank >= 1, "rank", || "must be at least 1".into())?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        require(self.batch != Some(0), "batch", || "must be at least 1".into())?;
        let (step, penalty) = (self.step_size, self.regularization);
        require(step > 0.0 && step.is_finite(), "step_size", || {
            format!("must be a positive number, not {step}")
        })?;
        require(self.decay > 0.0 && self.decay <= 1.0, "decay", || {
            format!("must be above 0 and at most 1, not {}", self.decay)
        })?;
        require(penalty >= 0.0 && penalty.is_finite(), "regularization", || {
            format!("must be at least 0, not {penalty}")
        })?;
        let steps = self.solver != Solver::Ccd;
        require(!steps || step * penalty < 1.0, "step_size", || {
            format!("must be below {} here, so that the penalty alone does not overshoot", 1.0 / penalty)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())?;
        self.check_solver()?;
        require(!(self.non_negative && self.biases), "non_negative", || {
            "takes no biases: they would be negative for ratings below the mean".into()
        })
    }
    /// Refuses what the solver makes no use of.
    fn check_solver(&self) -> Result<()> {
        let default = MatrixFactorizationParams::default();
        let (rotates, is_ccd) = (self.solver == Solver::Dsgd, self.solver == Solver::Ccd);
        require(rotates || self.fugue == 0, "fugue", || "is for the solver dsgd".into())?;
        let on_a_table = match self.solver {
            Solver::Sgd => "",
            Solver::Dsgd => "is for the solver sgd: dsgd works on blocks that nobody else has",
            Solver::Ccd => "is for the solver sgd: ccd moves one feature at a time, of all users or items",
        };
        let on_table = on_a_table.is_empty();
        require(on_table || self.batch.is_none(), "batch", || on_a_table.into())?;
        require(on_table || self.consistency == Consistency::Bsp, "consistency", || on_a_table.into())?;
        let of_steps = "is for the solvers sgd and dsgd: ccd goes to the minimum of each value";
        require(!is_ccd || self.step_size == default.step_size, "step_size", || of_steps.into())?;
        require(!is_ccd || self.decay == default.decay, "decay", || of_steps.into())?;
        require(self.inner_iterations >= 1, "inner_iterations", || "must be at least 1".into())?;
        require(is_ccd || self.inner_iterations == 1, "inner_iterations", || "is for the solver ccd".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = MatrixFactorizationParams::default;
        let ccd = || MatrixFactorizationParams { solver: Solver::Ccd, ..good() };
        good().check().unwrap();
        MatrixFactorizationParams { inner_iterations: 3, regularization: 60.0, ..ccd() }.check().unwrap();
        MatrixFactorizationParams::non_negative().check().unwrap();
        for (bad, name) in [
            (MatrixFactorizationParams { rank: 0, ..good() }, "rank"),
            (MatrixFactorizationParams { epochs: 0, ..good() }, "epochs"),
            (MatrixFactorizationParams { batch: Some(0), ..good() }, "batch"),
            (MatrixFactorizationParams { step_size: f64::NAN, ..good() }, "step_size"),
            (MatrixFactorizationParams { step_size: 20.0, ..good() }, "step_size"),
            (MatrixFactorizationParams { decay: 1.5, ..good() }, "decay"),
            (MatrixFactorizationParams { regularization: -1.0, ..good() }, "regularization"),
            (MatrixFactorizationParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
            (MatrixFactorizationParams { non_negative: true, ..good() }, "non_negative"),
            (MatrixFactorizationParams { fugue: 1, ..good() }, "fugue"),
            (MatrixFactorizationParams { batch: Some(9), solver: Solver::Dsgd, ..good() }, "batch"),
            (
                MatrixFactorizationParams { consistency: Consistency::Async, solver: Solver::Dsgd, ..good() },
                "consistency",
            ),
            (MatrixFactorizationParams { inner_iterations: 2, ..good() }, "inner_iterations"),
            (MatrixFactorizationParams { inner_iterations: 0, ..ccd() }, "inner_iterations"),
            (MatrixFactorizationParams { step_size: 0.1, ..ccd() }, "step_size"),
            (MatrixFactorizationParams { decay: 0.9, ..ccd() }, "decay"),
            (MatrixFactorizationParams { batch: Some(9), ..ccd() }, "batch"),
            (MatrixFactorizationParams { consistency: Consistency::Ssp(1), ..ccd() }, "consistency"),
            (MatrixFactorizationParams { fugue: 1, ..ccd() }, "fugue"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }
}
