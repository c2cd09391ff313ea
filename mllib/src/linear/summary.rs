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
}
