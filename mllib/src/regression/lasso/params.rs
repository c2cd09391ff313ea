//! Parameters of the lasso and the elastic net.

use super::column::Scaling;
use super::scheduled::ScheduleParams;
use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// Which penalties are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalties {
    /// This one.
    Value(f64),
    /// This part of the least that leaves no weights.
    Ratio(f64),
    /// A path from the least that leaves no weights to a part of it, each penalty the same part of the one before.
    Path {
        /// How many.
        count: usize,
        /// The last, relative to the first.
        ratio: f64,
    },
}

/// Which penalty of a path cross-validation chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The one with the least mean error.
    #[default]
    Minimum,
    /// The largest whose mean error is within one standard error of the least (glmnet's `lambda.1se`).
    OneStandardError,
}

/// How a path is cross-validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folds {
    /// How many.
    pub count: usize,
    /// Which penalty is chosen.
    pub rule: Rule,
}

/// Parameters of the lasso and the elastic net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LassoParams {
    /// Which penalties are fitted; the model is that of the last one, or of the one that cross-validation chooses.
    pub penalties: Penalties,
    /// Share of `|b|₁` in the penalty, above 0 and at most 1; the rest is `1/2 |b|²`.
    pub l1_ratio: f64,
    /// Adds an intercept, which is not penalised.
    pub intercept: bool,
    /// Penalises the weights of columns scaled to deviation 1 (with `n`). The model is for the columns as they are.
    pub standardize: bool,
    /// The gap at which a problem is solved, relative to `|y|² / (2n)`.
    pub tolerance: f64,
    /// Passes over the columns at most, for each penalty.
    pub passes_max: usize,
    /// Cross-validation of the path.
    pub folds: Option<Folds>,
    /// Seed of the folds, and of schedules.
    pub seed: u64,
    /// Coordinate descent on weights that are chosen so, instead of working sets.
    #[serde(default)]
    pub schedule: Option<ScheduleParams>,
}

impl Default for LassoParams {
    fn default() -> Self {
        LassoParams {
            penalties: Penalties::Ratio(0.1),
            l1_ratio: 1.0,
            intercept: true,
            standardize: true,
            tolerance: 1e-6,
            passes_max: 100,
            folds: None,
            seed: 42,
            schedule: None,
        }
    }
}

impl LassoParams {
    /// The lasso with this penalty.
    pub fn lasso(penalty: f64) -> Self {
        LassoParams { penalties: Penalties::Value(penalty), ..Default::default() }
    }
    /// The elastic net with this penalty.
    pub fn elastic_net(penalty: f64, l1_ratio: f64) -> Self {
        LassoParams { l1_ratio, ..Self::lasso(penalty) }
    }
    /// How the columns of a design must be made.
    pub fn scaling(&self) -> Scaling {
        Scaling { center: self.intercept, standardize: self.standardize }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.check_beside("linear regression")
    }
    /// [`check`](LassoParams::check), where `other` is what to use without an absolute penalty.
    pub(crate) fn check_beside(&self, other: &str) -> Result<()> {
        let within = |name: &str, x: f64| {
            require(x > 0.0 && x <= 1.0, name, || format!("must be above 0 and at most 1, not {x}"))
        };
        match self.penalties {
            Penalties::Value(x) => require(x > 0.0 && x.is_finite(), "regularization", || {
                format!("must be a positive number, not {x}; without a penalty, use {other}")
            })?,
            Penalties::Ratio(ratio) => within("regularization ratio", ratio)?,
            Penalties::Path { count, ratio } => {
                require(count >= 1, "path", || "must have at least 1 penalty".into())?;
                within("path ratio", ratio)?;
            }
        }
        require(self.l1_ratio > 0.0 && self.l1_ratio <= 1.0, "l1_ratio", || {
            format!("must be above 0 and at most 1, not {}; for 0, use {other}", self.l1_ratio)
        })?;
        require(self.tolerance >= 0.0, "tolerance", || "must be at least 0".into())?;
        require(self.passes_max >= 1, "iterations_max", || "must be at least 1".into())?;
        if let Some(schedule) = &self.schedule {
            schedule.check()?;
            require(!matches!(self.penalties, Penalties::Path { .. }), "path", || {
                "a schedule fits one penalty; paths are fitted by working sets".into()
            })?;
        }
        match (self.folds, self.penalties) {
            (None, _) => Ok(()),
            (Some(_), Penalties::Value(_) | Penalties::Ratio(_)) => {
                Err(Error::config("folds", "choose among the penalties of a path: say how many it has"))
            }
            (Some(folds), _) => {
                require(folds.count >= 2, "folds", || format!("must be at least 2, not {}", folds.count))
            }
        }
    }
    /// The penalties, where `largest` is the least that leaves no weights.
    pub(crate) fn values(&self, largest: f64) -> Vec<f64> {
        match self.penalties {
            Penalties::Value(x) => vec![x],
            Penalties::Ratio(ratio) => vec![ratio * largest],
            Penalties::Path { count, ratio } => {
                let step = libm::log(ratio) / (count.max(2) - 1) as f64;
                (0..count).map(|i| largest * libm::exp(step * i as f64)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        LassoParams::default().check().unwrap();
        let with = |penalties| LassoParams { penalties, ..Default::default() };
        let folds = Some(Folds { count: 1, rule: Rule::Minimum });
        for (bad, name) in [
            (LassoParams::lasso(0.0), "regularization"),
            (with(Penalties::Ratio(1.5)), "ratio"),
            (with(Penalties::Path { count: 0, ratio: 0.1 }), "path"),
            (LassoParams::elastic_net(1.0, 0.0), "l1_ratio"),
            (LassoParams { tolerance: -1.0, ..Default::default() }, "tolerance"),
            (LassoParams { folds, ..Default::default() }, "folds"),
            (LassoParams { folds, ..with(Penalties::Path { count: 3, ratio: 0.1 }) }, "folds"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.to_string().contains(name) && e.exit_code() == 2, "{e}");
        }
        let path = with(Penalties::Path { count: 3, ratio: 0.01 }).values(2.0);
        assert!(
            (path[1] - 0.2).abs() < 1e-12 && (path[2] - 0.02).abs() < 1e-12 && path[0] == 2.0,
            "{path:?}"
        );
    }
}
