//! Metrics of clusters: how well they are apart, and how well they agree with labels.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Distinct labels beyond this are no classes.
const LABELS_MAX: usize = 4096;
/// Pairs of a label and a cluster beyond this are not counted: 40 MiB.
const CELLS_MAX: usize = 1 << 20;

/// Metrics of clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusteringMetrics {
    /// Rows measured on.
    pub rows: u64,
    /// Columns of these rows.
    pub columns: usize,
    /// Sum of what rows cost at their centres.
    pub cost: f64,
    /// By cluster: rows.
    pub sizes: Vec<u64>,
    /// Mean of the rows' silhouettes `(b - a) / max(a, b)`, where `a` is the mean distance from the other rows of the same
    /// cluster and `b` the least mean distance from the rows of another; 0 for a row alone in its cluster. Nothing if there
    /// is one cluster only.
    pub silhouette: Option<f64>,
    /// Against labels, if these are two whole numbers or more, but not more than 4096, and not a million in clusters.
    pub agreement: Option<Agreement>,
}

/// How well clusters agree with labels; none of the figures depends on what clusters are called.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Share of rows that have the most frequent label of their cluster. More clusters make it larger.
    pub purity: f64,
    /// Pairs of rows that are together in both or apart in both, adjusted for chance: 0 for random clusters, at most 1
    /// (Hubert and Arabie 1985).
    pub adjusted_rand_index: f64,
    /// Mutual information by the mean of the two entropies: 0 to 1.
    pub normalized_mutual_information: f64,
}

/// Rows by label and cluster; mergeable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contingency {
    cells: BTreeMap<(u64, u32), u64>,
    /// A label was no whole number, or there were too many.
    is_unlabeled: bool,
}

impl Contingency {
    /// Adds a row.
    pub fn push(&mut self, label: f64, cluster: u32) {
        if self.is_unlabeled || label.fract() != 0.0 || !label.is_finite() {
            return self.give_up();
        }
        // Adding 0 makes -0 and 0 one label.
        *self.cells.entry(((label + 0.0).to_bits(), cluster)).or_default() += 1;
        if self.cells.len() > CELLS_MAX {
            self.give_up();
        }
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(mut self, other: Contingency) -> Contingency {
        for (cell, n) in other.cells {
            *self.cells.entry(cell).or_default() += n;
        }
        if self.is_unlabeled || other.is_unlabeled || self.cells.len() > CELLS_MAX {
            self.give_up();
        }
        self
    }
    fn give_up(&mut self) {
        self.is_unlabeled = true;
        self.cells.clear();
    }
    fn labels(&self) -> usize {
        let mut last = None;
        self.cells.keys().filter(|(label, _)| last.replace(*label) != Some(*label)).count()
    }
    /// The metrics, if there are labels to agree with.
    pub fn agreement(&self) -> Option<Agreement> {
        if self.is_unlabeled || !(2..=LABELS_MAX).contains(&self.labels()) {
            return None;
        }
        let (mut labels, mut clusters) = (BTreeMap::<u64, u64>::new(), BTreeMap::<u32, (u64, u64)>::new());
        for ((label, cluster), n) in &self.cells {
            *labels.entry(*label).or_default() += n;
            let (all, most) = clusters.entry(*cluster).or_default();
            (*all, *most) = (*all + n, (*most).max(*n));
        }
        let rows = labels.values().sum::<u64>() as f64;
        let of = |n: &u64| *n as f64;
        let pairs = |n: f64| n * (n - 1.0) / 2.0;
        let (of_labels, of_clusters) =
            (labels.values().map(of), clusters.values().map(|(all, _)| *all as f64));
        let together: f64 = self.cells.values().map(of).map(pairs).sum();
        let (a, b): (f64, f64) = (of_labels.clone().map(pairs).sum(), of_clusters.clone().map(pairs).sum());
        let (by_chance, most) = (a * b / pairs(rows), (a + b) / 2.0);
        let entropy = |counts: &mut dyn Iterator<Item = f64>| {
            counts.map(|n| -(n / rows) * (n / rows).ln()).sum::<f64>()
        };
        let both = entropy(&mut self.cells.values().map(of));
        let (of_labels, of_clusters) = (entropy(&mut of_labels.clone()), entropy(&mut of_clusters.clone()));
        let mean = (of_labels + of_clusters) / 2.0;
        Some(Agreement {
            purity: clusters.values().map(|(_, most)| *most as f64).sum::<f64>() / rows,
            adjusted_rand_index: if most > by_chance {
                (together - by_chance) / (most - by_chance)
            } else {
                1.0
            },
            normalized_mutual_information: ((of_labels + of_clusters - both) / mean).clamp(0.0, 1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, u32)]) -> Contingency {
        let mut all = Contingency::default();
        pairs.iter().for_each(|(label, cluster)| all.push(*label, *cluster));
        all
    }

    /// scikit-learn 1.9.1: `adjusted_rand_score([0, 0, 1, 1, 1, 2], [1, 1, 1, 0, 0, 2])` and
    /// `normalized_mutual_info_score` of the same.
    #[test]
    fn as_scikit_learn_counts() {
        let pairs = [(0.0, 1), (0.0, 1), (1.0, 1), (1.0, 0), (1.0, 0), (2.0, 2)];
        let (left, right) = pairs.split_at(2);
        let agreement = of(left).merge(of(right)).agreement().unwrap();
        assert!((agreement.purity - 5.0 / 6.0).abs() < 1e-12);
        assert!((agreement.adjusted_rand_index - 0.3181818181818182).abs() < 1e-9, "{agreement:?}");
        assert!((agreement.normalized_mutual_information - 0.6853314789615866).abs() < 1e-9, "{agreement:?}");
        assert_eq!(of(&pairs).agreement(), Some(agreement));
        let same = of(&[(3.0, 1), (-1.0, 0), (3.0, 1)]).agreement().unwrap();
        assert_eq!((same.adjusted_rand_index, same.purity), (1.0, 1.0));
        assert!((same.normalized_mutual_information - 1.0).abs() < 1e-12);
    }

    #[test]
    fn not_everything_is_a_label() {
        assert_eq!(of(&[(1.0, 0), (1.0, 1)]).agreement(), None);
        assert_eq!(of(&[(1.0, 0), (1.5, 1), (2.0, 0)]).agreement(), None);
        assert_eq!(of(&[(1.0, 0)]).merge(of(&[(0.5, 0)])).agreement(), None);
        let many: Vec<(f64, u32)> = (0..5000).map(|i| (f64::from(i), 0)).collect();
        assert_eq!(of(&many).merge(Contingency::default()).agreement(), None);
        assert_eq!(Contingency::default().agreement(), None);
    }
}
