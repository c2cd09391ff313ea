//! Parameters of the group lasso and the sparse group lasso.

use crate::params::require;
use crate::regression::lasso::{LassoParams, Penalties, Scaling};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Parameters of the group lasso and the sparse group lasso.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupLassoParams {
    /// Which penalties are fitted; the model is that of the last one.
    pub penalties: Penalties,
    /// Share of `|b|₁` in the penalty: 0 for the group lasso, up to 1 for the lasso.
    pub l1_ratio: f64,
    /// Adds an intercept, which is not penalised.
    pub intercept: bool,
    /// Penalises the weights of columns scaled to deviation 1 (with `n`). The model is for the columns as they are.
    pub standardize: bool,
    /// The gap at which a problem is solved, relative to `|y|² / (2n)`.
    pub tolerance: f64,
    /// Passes over the columns at most, for each penalty.
    pub passes_max: usize,
}

impl Default for GroupLassoParams {
    fn default() -> Self {
        GroupLassoParams {
            penalties: Penalties::Ratio(0.1),
            l1_ratio: 0.0,
            intercept: true,
            standardize: true,
            tolerance: 1e-6,
            passes_max: 100,
        }
    }
}

impl GroupLassoParams {
    /// How the columns of a design must be made.
    pub fn scaling(&self) -> Scaling {
        Scaling { center: self.intercept, standardize: self.standardize }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.l1_ratio >= 0.0 && self.l1_ratio <= 1.0, "l1_ratio", || {
            format!("must be from 0 to 1, not {}", self.l1_ratio)
        })?;
        LassoParams { l1_ratio: 1.0, ..self.as_lasso() }.check()
    }
    /// What is the same in a lasso.
    pub(super) fn as_lasso(&self) -> LassoParams {
        LassoParams {
            penalties: self.penalties,
            l1_ratio: self.l1_ratio,
            intercept: self.intercept,
            standardize: self.standardize,
            tolerance: self.tolerance,
            passes_max: self.passes_max,
            ..Default::default()
        }
    }
}
