//! Metrics of datasets of (score or prediction, label) pairs: one pass, partials merged in a fixed tree.

use super::{
    BinaryMetrics, ConfusionCounts, MulticlassMetrics, RegressionMetrics, RegressionSums, ScoreCounts,
};
use slackwater_dataflow::{Dataset, Record, Result};
use std::iter::once;

/// What every partition's pairs become, merged.
fn merged<A: Record>(
    pairs: &Dataset<(f64, f64)>,
    collect: impl Fn(&mut dyn Iterator<Item = (f64, f64)>) -> A + Send + Sync + 'static,
    merge: impl Fn(A, A) -> A + Send + Sync + Clone + 'static,
) -> Result<Option<A>> {
    pairs.map_partitions(move |mut pairs| once(collect(&mut pairs))).reduce(merge)
}

impl BinaryMetrics {
    /// Metrics of (score, label) pairs, as [`BinaryMetrics::new`]. Every distinct score travels once.
    ///
    /// # Errors
    /// What the job reports.
    pub fn of(pairs: &Dataset<(f64, f64)>) -> Result<Self> {
        let count = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
            ScoreCounts::new(pairs.map(|(score, label)| (score, label > 0.5)))
        };
        Ok(merged(pairs, count, ScoreCounts::merge)?.unwrap_or_default().into())
    }
}

impl MulticlassMetrics {
    /// Metrics of (prediction, label) pairs.
    ///
    /// # Errors
    /// What the job reports.
    pub fn of(pairs: &Dataset<(f64, f64)>) -> Result<Self> {
        let count = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
            let mut counts = ConfusionCounts::default();
            pairs.for_each(|(prediction, label)| counts.push(prediction, label));
            counts
        };
        Ok(merged(pairs, count, ConfusionCounts::merge)?.unwrap_or_default().into())
    }
}

impl RegressionMetrics {
    /// Metrics of (prediction, label) pairs.
    ///
    /// # Errors
    /// What the job reports.
    pub fn of(pairs: &Dataset<(f64, f64)>) -> Result<Self> {
        let sum = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
            let mut sums = RegressionSums::default();
            pairs.for_each(|(prediction, label)| sums.push(prediction, label));
            sums
        };
        Ok(merged(pairs, sum, RegressionSums::merge)?.unwrap_or_default().into())
    }
}
