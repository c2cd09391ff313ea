//! What training did.

use super::params::Solver;
use crate::optimization::Report;
use serde::{Deserialize, Serialize};

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The solver that ran.
    pub solver: Solver,
    /// Rows that were learnt from.
    pub rows: u64,
    /// Columns of those rows.
    pub columns: usize,
    /// The objective at the end, in the scaling of the parameters.
    pub objective: f64,
    /// Iterations, history, and why it ended.
    pub report: Report,
    /// Of a path of penalties: what came of each, the model's last; empty for a single penalty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathPoint>,
}

/// How the problem of one penalty was solved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathPoint {
    /// The penalty.
    pub regularization: f64,
    /// The objective.
    pub objective: f64,
    /// The duality gap: the objective is at most this far above its least value.
    pub gap: f64,
    /// Weights that are not zero.
    pub nonzeros: usize,
    /// Passes over the columns.
    pub passes: usize,
    /// Products of columns with a residual in these passes.
    pub products: u64,
    /// Epochs of coordinate descent on working sets.
    pub epochs: usize,
    /// True if the gap is as small as was asked for.
    pub converged: bool,
}

impl TrainingSummary {
    /// With the path that it ends, if there is one.
    pub(crate) fn keep_path(&mut self, path: impl IntoIterator<Item = PathPoint>) {
        let path: Vec<PathPoint> = path.into_iter().collect();
        if path.len() > 1 {
            self.path = path;
        }
    }
}
