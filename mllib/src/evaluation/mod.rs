//! How good predictions are.
//!
//! Each family has a *partial* that is filled row by row in one pass and merged ([`ScoreCounts`], [`ConfusionCounts`],
//! [`RegressionSums`], [`LogLoss`], [`Contingency`]), so that it can be computed per partition, and the metrics that follow from it. A
//! plain slice is one partial.

mod binary;
mod clustering;
mod dataset;
mod log_loss;
mod multiclass;
mod regression;

pub use binary::{BinaryMetrics, CurvePoint, ScoreCount, ScoreCounts};
pub use clustering::{Agreement, ClusteringMetrics, Contingency};
pub use log_loss::LogLoss;
pub use multiclass::{ConfusionCounts, MulticlassMetrics};
pub use regression::{RegressionMetrics, RegressionSums};
