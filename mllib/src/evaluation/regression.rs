//! Metrics of predicted numbers, defined as in Spark's `RegressionMetrics`.

use crate::stat::Moments;
use serde::{Deserialize, Serialize};

/// Sums over (prediction, label) pairs, mergeable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionSums {
    labels: Moments,
    predictions: Moments,
    errors: Moments,
    squared_error: f64,
    absolute_error: f64,
}

impl RegressionSums {
    /// Adds a row.
    pub fn push(&mut self, prediction: f64, label: f64) {
        let error = label - prediction;
        self.labels.push(label);
        self.predictions.push(prediction);
        self.errors.push(error);
        self.squared_error += error * error;
        self.absolute_error += error.abs();
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(self, other: RegressionSums) -> RegressionSums {
        RegressionSums {
            labels: self.labels.merge(other.labels),
            predictions: self.predictions.merge(other.predictions),
            errors: self.errors.merge(other.errors),
            squared_error: self.squared_error + other.squared_error,
            absolute_error: self.absolute_error + other.absolute_error,
        }
    }
}

/// Metrics of predicted numbers. Without rows they are NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RegressionMetrics {
    /// Number of rows.
    pub rows: u64,
    /// Mean squared error.
    pub mean_squared_error: f64,
    /// Its square root.
    pub root_mean_squared_error: f64,
    /// Mean absolute error.
    pub mean_absolute_error: f64,
    /// `1 - Σ (y - p)² / Σ (y - mean y)²`; minus infinity or NaN if labels do not vary.
    pub r2: f64,
    /// `1/n Σ (p - mean y)²`: Spark's explained variance.
    pub explained_variance: f64,
    /// `1 - var(y - p) / var(y)`: scikit-learn's explained variance.
    pub explained_variance_ratio: f64,
}

impl From<RegressionSums> for RegressionMetrics {
    fn from(s: RegressionSums) -> Self {
        let n = s.labels.count;
        let offset = s.predictions.mean - s.labels.mean;
        RegressionMetrics {
            rows: n as u64,
            mean_squared_error: s.squared_error / n,
            root_mean_squared_error: (s.squared_error / n).sqrt(),
            mean_absolute_error: s.absolute_error / n,
            r2: 1.0 - s.squared_error / s.labels.squares,
            explained_variance: (s.predictions.squares + n * offset * offset) / n,
            explained_variance_ratio: 1.0 - s.errors.squares / s.labels.squares,
        }
    }
}

impl RegressionMetrics {
    /// Metrics of (prediction, label) pairs.
    pub fn new(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut sums = RegressionSums::default();
        pairs.into_iter().for_each(|(prediction, label)| sums.push(prediction, label));
        sums.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_example() {
        // The example of scikit-learn's r2_score, mean_squared_error and explained_variance_score.
        let pairs = [(2.5, 3.0), (0.0, -0.5), (2.0, 2.0), (8.0, 7.0)];
        let m = RegressionMetrics::new(pairs);
        assert_eq!(m.mean_squared_error, 0.375);
        assert_eq!(m.mean_absolute_error, 0.5);
        assert!((m.r2 - 0.948_608_137_045).abs() < 1e-12);
        assert!((m.explained_variance_ratio - 0.957_173_447_537).abs() < 1e-12);
        let mean = (3.0 - 0.5 + 2.0 + 7.0) / 4.0;
        let explained = pairs.iter().map(|(p, _)| (p - mean) * (p - mean)).sum::<f64>() / 4.0;
        assert!((m.explained_variance - explained).abs() < 1e-12);
        let (mut a, mut b) = (RegressionSums::default(), RegressionSums::default());
        pairs[..1].iter().for_each(|(p, y)| a.push(*p, *y));
        pairs[1..].iter().for_each(|(p, y)| b.push(*p, *y));
        assert!((RegressionMetrics::from(a.merge(b)).r2 - m.r2).abs() < 1e-15);
    }
}
