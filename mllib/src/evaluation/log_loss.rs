//! Minus the mean logarithm of the probability that was given to the true label.

use serde::{Deserialize, Serialize};

/// Probabilities are clipped to at least this (as Spark and scikit-learn 1.x do), so that one certain error does not
/// make the mean infinite.
const LEAST_PROBABILITY: f64 = 1e-15;

/// A running mean of `-ln p`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LogLoss {
    sum: f64,
    rows: f64,
}

impl LogLoss {
    /// Adds a row whose true label was given probability `p`.
    pub fn push(&mut self, p: f64) {
        self.sum -= p.max(LEAST_PROBABILITY).ln();
        self.rows += 1.0;
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(self, other: LogLoss) -> LogLoss {
        LogLoss { sum: self.sum + other.sum, rows: self.rows + other.rows }
    }
    /// The mean; NaN without rows.
    pub fn mean(&self) -> f64 {
        self.sum / self.rows
    }
}
