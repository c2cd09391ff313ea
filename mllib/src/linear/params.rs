//! Parameters that every linear trainer has.

use crate::objective::Scaling;
use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::Consistency;
use std::fmt;
use std::str::FromStr;

/// How a linear model is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// Spark's gradient descent ([`crate::optimization::GradientDescent`]).
    Sgd,
    /// L-BFGS; OWL-QN if there is an L1 penalty.
    Lbfgs,
    /// Trust-region Newton.
    Newton,
    /// Dual coordinate descent.
    Dual,
    /// Normal equations (regression).
    Normal,
    /// Stochastic gradient descent by minibatches on a parameter table ([`super::minibatch`]).
    Minibatch,
    /// Working sets of columns ([`crate::regression::lasso`], [`crate::classification::sparse_logistic`]).
    WorkingSet,
    /// Coordinate descent on weights that are chosen many at a time ([`crate::regression::lasso::ScheduleParams`]).
    Scheduled,
}

impl Solver {
    const NAMES: [(&'static str, Solver); 8] = [
        ("sgd", Solver::Sgd),
        ("lbfgs", Solver::Lbfgs),
        ("newton", Solver::Newton),
        ("dual", Solver::Dual),
        ("normal", Solver::Normal),
        ("minibatch", Solver::Minibatch),
        ("working-set", Solver::WorkingSet),
        ("scheduled", Solver::Scheduled),
    ];
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, s)| s == self).expect("every solver has a name").0;
        f.write_str(name)
    }
}

impl FromStr for Solver {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, s)| *s).ok_or_else(|| {
            let names = Self::NAMES.map(|(n, _)| n).join(", ");
            Error::config("solver", format!("`{name}` is none of {names}"))
        })
    }
}

/// Parameters of training on a parameter table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TableParams {
    /// Rows of each partition in a minibatch.
    pub batch: usize,
    /// Factor of the step from epoch to epoch.
    pub decay: f64,
    /// How old the weights may be that a minibatch reads.
    pub consistency: Consistency,
}

impl Default for TableParams {
    fn default() -> Self {
        TableParams { batch: 100, decay: 0.95, consistency: Consistency::Bsp }
    }
}

/// Parameters that every linear trainer has. `Default` is LIBLINEAR's problem with `C = 1` and no intercept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingParams {
    /// The solver; `None` chooses one that fits.
    pub solver: Option<Solver>,
    /// Weight of losses against penalty.
    pub scaling: Scaling,
    /// Share of `‖w‖₁` in the penalty, in [0, 1]; the rest is `1/2 w'w`.
    pub l1_ratio: f64,
    /// Adds an intercept. It is not penalised, but for the solvers `sgd` and `dual`, which use a column of ones.
    pub intercept: bool,
    /// Penalises the weights of columns scaled to unit sample deviation, as Spark does by default. The model is for the
    /// columns as they are.
    pub standardize: bool,
    /// Iterations (for `dual`: passes) at most; `None` is the solver's default.
    pub iterations_max: Option<usize>,
    /// When to stop; `None` is the solver's default. `lbfgs`: relative fall of the objective and relative gradient norm
    /// [1e-6]; `newton`: relative gradient norm [1e-3]; `dual`: relative duality gap [1e-3]; `sgd`: relative change of
    /// weights [1e-3]; `working-set`: duality gap relative to the loss without weights
    /// [1e-6].
    pub tolerance: Option<f64>,
    /// First step of `sgd`.
    pub step_size: f64,
    /// Share of rows in a batch of `sgd`.
    pub mini_batch_fraction: f64,
    /// What `minibatch` needs besides.
    #[serde(default)]
    pub table: TableParams,
    /// Seed of whatever is random: batches of `sgd`, order of rows in `dual`.
    pub seed: u64,
}

impl Default for TrainingParams {
    fn default() -> Self {
        TrainingParams {
            solver: None,
            scaling: Scaling::Sum { c: 1.0 },
            l1_ratio: 0.0,
            intercept: false,
            standardize: false,
            iterations_max: None,
            tolerance: None,
            step_size: 1.0,
            mini_batch_fraction: 1.0,
            table: TableParams::default(),
            seed: 42,
        }
    }
}

impl TrainingParams {
    /// LIBLINEAR's scaling, `1/2 w'w + C Σ loss`.
    pub fn cost(c: f64) -> Self {
        TrainingParams { scaling: Scaling::Sum { c }, ..Default::default() }
    }
    /// Spark's scaling, `1/n Σ loss + reg ((1 - α)/2 w'w + α ‖w‖₁)`, with intercept and standardised columns.
    pub fn regularized(regularization: f64, l1_ratio: f64) -> Self {
        TrainingParams {
            scaling: Scaling::Mean { regularization },
            l1_ratio,
            intercept: true,
            standardize: true,
            ..Default::default()
        }
    }
    /// Checks every value by itself.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        match self.scaling {
            Scaling::Sum { c } => {
                require(c > 0.0 && c.is_finite(), "c", || format!("must be a positive number, not {c}"))?
            }
            Scaling::Mean { regularization: r } => {
                require(r >= 0.0 && r.is_finite(), "regularization", || {
                    format!("must be at least 0, not {r}")
                })?
            }
        }
        let within = |x: f64| (0.0..=1.0).contains(&x);
        require(within(self.l1_ratio), "l1_ratio", || {
            format!("must be within 0 and 1, not {}", self.l1_ratio)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())?;
        require(self.iterations_max != Some(0), "iterations_max", || "must be at least 1".into())?;
        require(self.step_size > 0.0, "step_size", || format!("must be positive, not {}", self.step_size))?;
        let TableParams { batch, decay, .. } = self.table;
        require(batch > 0, "batch", || "must be at least 1".into())?;
        require(decay > 0.0 && decay <= 1.0, "decay", || {
            format!("must be above 0 and at most 1, not {decay}")
        })?;
        let fraction = self.mini_batch_fraction;
        require(fraction > 0.0 && within(fraction), "mini_batch_fraction", || {
            format!("must be above 0 and at most 1, not {fraction}")
        })
    }
    /// True if the penalty has an absolute part.
    pub fn has_l1(&self) -> bool {
        self.l1_ratio > 0.0 && self.scaling.penalty_factor() > 0.0
    }
    /// Checks that `solver` can do what the other parameters ask, for a model that offers `offered`.
    pub(crate) fn check_solver(&self, solver: Solver, offered: &[Solver], smooth: bool) -> Result<()> {
        let refuse = |why: &str| Err(Error::config("solver", format!("`{solver}` {why}")));
        if !offered.contains(&solver) {
            let names: Vec<String> = offered.iter().map(Solver::to_string).collect();
            return refuse(&format!("is not offered here; choose one of {}", names.join(", ")));
        }
        match solver {
            Solver::Lbfgs | Solver::Newton if !smooth => {
                refuse("needs a smooth loss: use `squared-hinge`, or the solver `dual`")
            }
            Solver::Newton | Solver::Dual | Solver::Normal | Solver::Minibatch if self.has_l1() => {
                refuse("takes no L1 penalty: use `lbfgs`")
            }
            Solver::Sgd if self.has_l1() && self.l1_ratio < 1.0 => {
                refuse("takes an L1 or an L2 penalty, not both")
            }
            Solver::Sgd if matches!(self.scaling, Scaling::Sum { .. }) => {
                refuse("works on means: give `regularization` instead of `c`")
            }
            Solver::Dual if self.scaling.penalty_factor() == 0.0 => refuse("needs a penalty"),
            Solver::Sgd | Solver::Dual | Solver::Minibatch if self.standardize => {
                refuse("does not standardise: scale the data before")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        TrainingParams::default().check().unwrap();
        let bad = |p: TrainingParams, name: &str| {
            let e = p.check().unwrap_err();
            assert!(e.to_string().contains(name) && e.exit_code() == 2, "{e}");
        };
        bad(TrainingParams::cost(0.0), "c");
        bad(TrainingParams::regularized(-1.0, 0.0), "regularization");
        bad(TrainingParams::regularized(1.0, 2.0), "l1_ratio");
        bad(TrainingParams { mini_batch_fraction: 0.0, ..Default::default() }, "mini_batch_fraction");
        assert_eq!("dual".parse::<Solver>().unwrap(), Solver::Dual);
        assert!("fast".parse::<Solver>().unwrap_err().to_string().contains("newton"));
        assert_eq!(Solver::Lbfgs.to_string(), "lbfgs");
    }

    #[test]
    fn solvers_are_checked() {
        let offered = [Solver::Sgd, Solver::Newton, Solver::Dual];
        let p = TrainingParams::regularized(0.1, 0.5);
        assert!(p.check_solver(Solver::Newton, &offered, true).is_err());
        assert!(p.check_solver(Solver::Lbfgs, &offered, true).is_err());
        let p = TrainingParams::cost(1.0);
        assert!(p.check_solver(Solver::Sgd, &offered, true).is_err());
        assert!(p.check_solver(Solver::Newton, &offered, false).is_err());
        p.check_solver(Solver::Dual, &offered, false).unwrap();
    }
}
