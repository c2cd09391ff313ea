//! Parameters of sparse logistic regression.

use crate::regression::lasso::{Folds, LassoParams, Penalties, Scaling, ScheduleParams};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Parameters of sparse logistic regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparseLogisticParams {
    /// Which penalties are fitted; the model is that of the last one, or of the one that cross-validation chooses.
    pub penalties: Penalties,
    /// Share of `|b|₁` in the penalty, above 0 and at most 1; the rest is `1/2 |b|²`.
    pub l1_ratio: f64,
    /// Adds an intercept, which is not penalised.
    pub intercept: bool,
    /// Penalises the weights of columns scaled to deviation 1 (with `n`). The model is for the columns as they are.
    pub standardize: bool,
    /// The gap at which a problem is solved, relative to the loss without weights.
    pub tolerance: f64,
    /// Passes over the columns at most, for each penalty.
    pub passes_max: usize,
    /// Cross-validation of the path, by the mean loss.
    pub folds: Option<Folds>,
    /// Seed of the folds, and of schedules.
    pub seed: u64,
    /// Coordinate descent on weights that are chosen so, instead of working sets.
    #[serde(default)]
    pub schedule: Option<ScheduleParams>,
}

impl Default for SparseLogisticParams {
    fn default() -> Self {
        LassoParams::default().into()
    }
}

impl From<LassoParams> for SparseLogisticParams {
    /// With the same parameters.
    fn from(lasso: LassoParams) -> Self {
        SparseLogisticParams {
            penalties: lasso.penalties,
            l1_ratio: lasso.l1_ratio,
            intercept: lasso.intercept,
            standardize: lasso.standardize,
            tolerance: lasso.tolerance,
            passes_max: lasso.passes_max,
            folds: lasso.folds,
            seed: lasso.seed,
            schedule: lasso.schedule,
        }
    }
}

impl SparseLogisticParams {
    /// With this penalty, all of it absolute values.
    pub fn with_penalty(penalty: f64) -> Self {
        SparseLogisticParams { penalties: Penalties::Value(penalty), ..Default::default() }
    }
    /// How the columns of a design must be made.
    pub fn scaling(&self) -> Scaling {
        self.as_lasso().scaling()
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.as_lasso().check_beside("logistic regression")
    }
    /// The lasso with the same parameters.
    pub(super) fn as_lasso(&self) -> LassoParams {
        LassoParams {
            penalties: self.penalties,
            l1_ratio: self.l1_ratio,
            intercept: self.intercept,
            standardize: self.standardize,
            tolerance: self.tolerance,
            passes_max: self.passes_max,
            folds: self.folds,
            seed: self.seed,
            schedule: self.schedule,
        }
    }
}
