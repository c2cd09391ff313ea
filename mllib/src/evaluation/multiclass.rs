//! Metrics of predicted classes: the confusion matrix and what follows from it.
//!
//! Classes are the labels that occur, as labels or as predictions. A share of nothing (precision of a class that was
//! never predicted) is 0, as in Spark and scikit-learn.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Weight of rows by (label, prediction); mergeable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfusionCounts {
    cells: BTreeMap<(ClassKey, ClassKey), f64>,
}

/// A label, ordered as a number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct ClassKey(f64);

impl PartialEq for ClassKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for ClassKey {}
impl PartialOrd for ClassKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ClassKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Adding 0 makes -0 and 0 one class.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

impl ConfusionCounts {
    /// Adds a row.
    pub fn push(&mut self, prediction: f64, label: f64) {
        self.push_weighted(prediction, label, 1.0);
    }
    /// Adds a row with a weight.
    pub fn push_weighted(&mut self, prediction: f64, label: f64, weight: f64) {
        *self.cells.entry((ClassKey(label), ClassKey(prediction))).or_default() += weight;
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(mut self, other: ConfusionCounts) -> ConfusionCounts {
        for (key, weight) in other.cells {
            *self.cells.entry(key).or_default() += weight;
        }
        self
    }
}

/// Metrics of predicted classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MulticlassMetrics {
    classes: Vec<f64>,
    /// Row by row: labels down, predictions across.
    confusion: Vec<Vec<f64>>,
    total: f64,
}

impl From<ConfusionCounts> for MulticlassMetrics {
    fn from(counts: ConfusionCounts) -> Self {
        let mut classes: Vec<f64> = counts.cells.keys().flat_map(|(y, p)| [y.0 + 0.0, p.0 + 0.0]).collect();
        classes.sort_by(f64::total_cmp);
        classes.dedup();
        let place = |c: ClassKey| {
            classes
                .binary_search_by(|other| other.total_cmp(&(c.0 + 0.0)))
                .expect("every class was collected")
        };
        let mut confusion = vec![vec![0.0; classes.len()]; classes.len()];
        for ((label, prediction), weight) in &counts.cells {
            confusion[place(*label)][place(*prediction)] += weight;
        }
        let total = counts.cells.values().sum();
        MulticlassMetrics { classes, confusion, total }
    }
}

/// `part / whole`, or 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

impl MulticlassMetrics {
    /// Metrics of (prediction, label) pairs.
    pub fn new(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut counts = ConfusionCounts::default();
        pairs.into_iter().for_each(|(prediction, label)| counts.push(prediction, label));
        counts.into()
    }
    /// The classes, ascending.
    pub fn classes(&self) -> &[f64] {
        &self.classes
    }
    /// Weight of rows by label (down) and prediction (across), classes ascending.
    pub fn confusion(&self) -> &[Vec<f64>] {
        &self.confusion
    }
    fn labelled(&self, i: usize) -> f64 {
        self.confusion[i].iter().sum()
    }
    fn predicted(&self, i: usize) -> f64 {
        self.confusion.iter().map(|row| row[i]).sum()
    }
    /// Share of rows whose class was predicted; equal to micro-averaged precision, recall and F1. 0 without rows.
    pub fn accuracy(&self) -> f64 {
        share((0..self.classes.len()).map(|i| self.confusion[i][i]).sum(), self.total)
    }
    /// Precision of the `i`-th class: share of its predictions that are right.
    pub fn precision(&self, i: usize) -> f64 {
        share(self.confusion[i][i], self.predicted(i))
    }
    /// Recall of the `i`-th class: share of its rows that were found. Also its true positive rate.
    pub fn recall(&self, i: usize) -> f64 {
        share(self.confusion[i][i], self.labelled(i))
    }
    /// Share of the other classes' rows that were taken for the `i`-th class.
    pub fn false_positive_rate(&self, i: usize) -> f64 {
        share(self.predicted(i) - self.confusion[i][i], self.total - self.labelled(i))
    }
    /// `(1 + β²) precision recall / (β² precision + recall)` of the `i`-th class.
    pub fn f_measure(&self, i: usize, beta: f64) -> f64 {
        let (p, r, squared) = (self.precision(i), self.recall(i), beta * beta);
        share((1.0 + squared) * p * r, squared * p + r)
    }
    /// Mean of a per-class metric, weighted by the rows of each class.
    fn weighted(&self, metric: impl Fn(usize) -> f64) -> f64 {
        share((0..self.classes.len()).map(|i| self.labelled(i) * metric(i)).sum(), self.total)
    }
    /// Precision, averaged over classes by their rows.
    pub fn weighted_precision(&self) -> f64 {
        self.weighted(|i| self.precision(i))
    }
    /// Recall, averaged over classes by their rows (equal to the accuracy).
    pub fn weighted_recall(&self) -> f64 {
        self.weighted(|i| self.recall(i))
    }
    /// F measure, averaged over classes by their rows.
    pub fn weighted_f_measure(&self, beta: f64) -> f64 {
        self.weighted(|i| self.f_measure(i, beta))
    }
    /// F1, averaged over classes with equal weights.
    pub fn macro_f1(&self) -> f64 {
        let n = self.classes.len();
        share((0..n).map(|i| self.f_measure(i, 1.0)).sum(), n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparks_test_case() {
        // MulticlassMetricsSuite: confusion 2 1 1 / 1 3 0 / 0 0 1.
        let pairs = [
            (0.0, 0.0),
            (0.0, 1.0),
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (1.0, 1.0),
            (1.0, 1.0),
            (2.0, 2.0),
            (2.0, 0.0),
        ];
        let m = MulticlassMetrics::new(pairs);
        assert_eq!(m.confusion(), [[2.0, 1.0, 1.0], [1.0, 3.0, 0.0], [0.0, 0.0, 1.0]]);
        assert_eq!(m.classes(), [0.0, 1.0, 2.0]);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(m.accuracy(), 6.0 / 9.0);
        close(m.precision(0), 2.0 / 3.0);
        close(m.recall(0), 0.5);
        close(m.false_positive_rate(0), 0.2);
        close(m.f_measure(1, 1.0), 0.75);
        close(m.weighted_precision(), 4.0 / 9.0 * 2.0 / 3.0 + 4.0 / 9.0 * 0.75 + 1.0 / 9.0 * 0.5);
        close(m.weighted_recall(), m.accuracy());
        let merged = pairs.chunks(4).map(|c| {
            let mut counts = ConfusionCounts::default();
            c.iter().for_each(|(p, y)| counts.push(*p, *y));
            counts
        });
        assert_eq!(MulticlassMetrics::from(merged.reduce(ConfusionCounts::merge).unwrap()), m);
    }
}
