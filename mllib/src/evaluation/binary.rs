//! Metrics of scores for two classes: curves and the areas under them.
//!
//! # Guarantees
//! Rows with equal scores are one point of every curve, so the areas do not depend on the order of rows; definitions
//! and end points are those of Spark's `BinaryClassificationMetrics`.
//!
//! # Cost
//! 24 bytes a distinct score; a sort a partial. [`ScoreCounts::downsample`] bounds the number of points.

use serde::{Deserialize, Serialize};

/// Weight of positive and negative rows at one score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreCount {
    /// The score.
    pub score: f64,
    /// Weight of rows of the positive class.
    pub positives: f64,
    /// Weight of the other rows.
    pub negatives: f64,
}

/// Distinct scores, falling, with their counts. NaN counts as the lowest score of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreCounts {
    counts: Vec<ScoreCount>,
}

/// Order of scores from high to low; equal floats, also 0 and -0, are equal.
fn falling(a: &ScoreCount, b: &ScoreCount) -> std::cmp::Ordering {
    b.score.partial_cmp(&a.score).unwrap_or_else(|| a.score.is_nan().cmp(&b.score.is_nan()))
}

impl ScoreCounts {
    /// Counts (score, is positive) pairs.
    pub fn new(pairs: impl IntoIterator<Item = (f64, bool)>) -> Self {
        Self::weighted(pairs.into_iter().map(|(score, positive)| (score, positive, 1.0)))
    }
    /// Counts (score, is positive, weight) triples.
    pub fn weighted(rows: impl IntoIterator<Item = (f64, bool, f64)>) -> Self {
        let count = |(score, positive, weight)| {
            let (positives, negatives) = if positive { (weight, 0.0) } else { (0.0, weight) };
            ScoreCount { score, positives, negatives }
        };
        let mut counts: Vec<ScoreCount> = rows.into_iter().map(count).collect();
        counts.sort_by(falling);
        Self::collapse(counts)
    }
    /// Sums neighbours of equal score.
    fn collapse(sorted: Vec<ScoreCount>) -> Self {
        let mut counts: Vec<ScoreCount> = Vec::with_capacity(sorted.len());
        for next in sorted {
            match counts.last_mut().filter(|last| falling(last, &next).is_eq()) {
                Some(last) => {
                    last.positives += next.positives;
                    last.negatives += next.negatives;
                }
                None => counts.push(next),
            }
        }
        ScoreCounts { counts }
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(self, other: ScoreCounts) -> ScoreCounts {
        let mut both = Vec::with_capacity(self.counts.len() + other.counts.len());
        let (mut left, mut right) = (self.counts.into_iter().peekable(), other.counts.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            both.extend(if falling(a, b).is_le() { left.next() } else { right.next() });
        }
        both.extend(left.chain(right));
        Self::collapse(both)
    }
    /// About `bins` points: neighbouring scores are counted together under the highest of them, as Spark's `numBins`
    /// does. 0 keeps all.
    #[must_use]
    pub fn downsample(self, bins: usize) -> ScoreCounts {
        let group = self.counts.len().checked_div(bins).unwrap_or(0);
        if group < 2 {
            return self;
        }
        let sum = |g: &[ScoreCount]| ScoreCount {
            score: g[0].score,
            positives: g.iter().map(|c| c.positives).sum(),
            negatives: g.iter().map(|c| c.negatives).sum(),
        };
        ScoreCounts { counts: self.counts.chunks(group).map(sum).collect() }
    }
    /// The counts, highest score first.
    pub fn counts(&self) -> &[ScoreCount] {
        &self.counts
    }
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Abscissa.
    pub x: f64,
    /// Ordinate.
    pub y: f64,
}

/// What holds if everything with at least a threshold's score is called positive.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    threshold: f64,
    true_positives: f64,
    false_positives: f64,
}

/// Metrics of a binary classifier's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryMetrics {
    cuts: Vec<Cut>,
    positives: f64,
    negatives: f64,
}

impl From<ScoreCounts> for BinaryMetrics {
    fn from(counts: ScoreCounts) -> Self {
        let (mut positives, mut negatives) = (0.0, 0.0);
        let mut cuts = Vec::with_capacity(counts.counts.len());
        for c in counts.counts {
            positives += c.positives;
            negatives += c.negatives;
            cuts.push(Cut { threshold: c.score, true_positives: positives, false_positives: negatives });
        }
        BinaryMetrics { cuts, positives, negatives }
    }
}

/// `part / whole`, or `empty` if the whole is 0.
fn share(part: f64, whole: f64, empty: f64) -> f64 {
    if whole == 0.0 { empty } else { part / whole }
}

/// Area under a curve by trapezoids.
fn area(points: &[CurvePoint]) -> f64 {
    points.windows(2).map(|w| (w[1].x - w[0].x) * (w[1].y + w[0].y) / 2.0).sum()
}

impl BinaryMetrics {
    /// Metrics of (score, label) pairs; a label above 0.5 is positive, so both 0/1 and -1/+1 will do.
    pub fn new(pairs: impl IntoIterator<Item = (f64, f64)>) -> Self {
        ScoreCounts::new(pairs.into_iter().map(|(score, label)| (score, label > 0.5))).into()
    }
    /// Weight of the rows of the positive class.
    pub fn positives(&self) -> f64 {
        self.positives
    }
    /// Weight of the rows of the negative class.
    pub fn negatives(&self) -> f64 {
        self.negatives
    }
    fn recall(&self, c: &Cut) -> f64 {
        share(c.true_positives, self.positives, 0.0)
    }
    fn precision(c: &Cut) -> f64 {
        share(c.true_positives, c.true_positives + c.false_positives, 1.0)
    }
    fn by_threshold(&self, f: impl Fn(&Cut) -> f64) -> Vec<CurvePoint> {
        self.cuts.iter().map(|c| CurvePoint { x: c.threshold, y: f(c) }).collect()
    }
    /// False positive rate (x) and true positive rate (y), from (0, 0) to (1, 1).
    pub fn roc(&self) -> Vec<CurvePoint> {
        let inner = self
            .cuts
            .iter()
            .map(|c| CurvePoint { x: share(c.false_positives, self.negatives, 0.0), y: self.recall(c) });
        let ends = [CurvePoint { x: 0.0, y: 0.0 }, CurvePoint { x: 1.0, y: 1.0 }];
        std::iter::once(ends[0]).chain(inner).chain(std::iter::once(ends[1])).collect()
    }
    /// Area under the ROC curve: the probability that a random positive row scores above a random negative one, ties
    /// counting half.
    pub fn area_under_roc(&self) -> f64 {
        area(&self.roc())
    }
    /// Recall (x) and precision (y), beginning at recall 0 with the first precision.
    pub fn precision_recall(&self) -> Vec<CurvePoint> {
        let points = self.cuts.iter().map(|c| CurvePoint { x: self.recall(c), y: Self::precision(c) });
        let first = self.cuts.first().map(|c| CurvePoint { x: 0.0, y: Self::precision(c) });
        first.into_iter().chain(points).collect()
    }
    /// Area under the precision-recall curve, by trapezoids.
    pub fn area_under_precision_recall(&self) -> f64 {
        area(&self.precision_recall())
    }
    /// Precision by threshold (x), thresholds falling.
    pub fn precision_by_threshold(&self) -> Vec<CurvePoint> {
        self.by_threshold(Self::precision)
    }
    /// Recall by threshold (x), thresholds falling.
    pub fn recall_by_threshold(&self) -> Vec<CurvePoint> {
        self.by_threshold(|c| self.recall(c))
    }
    /// `(1 + β²) precision recall / (β² precision + recall)` by threshold (x), thresholds falling.
    pub fn f_measure_by_threshold(&self, beta: f64) -> Vec<CurvePoint> {
        let squared = beta * beta;
        self.by_threshold(|c| {
            let (p, r) = (Self::precision(c), self.recall(c));
            share((1.0 + squared) * p * r, squared * p + r, 0.0)
        })
    }
    /// The threshold with the largest F1, and that F1.
    pub fn best_f1(&self) -> Option<CurvePoint> {
        self.f_measure_by_threshold(1.0).into_iter().max_by(|a, b| a.y.total_cmp(&b.y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIES: [(f64, f64); 7] =
        [(0.1, 0.0), (0.1, 1.0), (0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.6, 1.0), (0.8, 1.0)];

    #[test]
    fn ties_as_in_spark() {
        let m = BinaryMetrics::new(TIES);
        assert!((m.area_under_roc() - 0.7083333333333334).abs() < 1e-15);
        assert!((m.area_under_precision_recall() - 0.8339285714285714).abs() < 1e-15);
        let f: Vec<f64> = m.f_measure_by_threshold(1.0).iter().map(|p| p.y).collect();
        assert_eq!(f.len(), 4);
        assert!((f[0] - 0.4).abs() < 1e-15 && (f[1] - 0.75).abs() < 1e-15);
        assert_eq!(m.best_f1().unwrap().x, 0.6);
    }

    #[test]
    fn bins_keep_the_ends() {
        let counts = ScoreCounts::new((0..100).map(|i| (i as f64, i % 3 == 0)));
        let few = counts.clone().downsample(10);
        assert_eq!((few.counts().len(), few.counts()[0].score), (10, 99.0));
        let (all, few) = (BinaryMetrics::from(counts), BinaryMetrics::from(few));
        assert_eq!((all.positives(), all.negatives()), (few.positives(), few.negatives()));
        assert!((all.area_under_roc() - few.area_under_roc()).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn area_is_the_share_of_ordered_pairs(rows in prop::collection::vec((0u8..6, any::<bool>()), 2..40), cut in 0usize..40) {
            let pairs: Vec<(f64, bool)> = rows.iter().map(|(s, y)| (*s as f64, *y)).collect();
            let (positive, negative): (Vec<_>, Vec<_>) = pairs.iter().partition(|p| p.1);
            prop_assume!(!positive.is_empty() && !negative.is_empty());
            let mut sum = 0.0;
            for (a, _) in &positive {
                for (b, _) in &negative {
                    sum += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                }
            }
            let expected = sum / (positive.len() * negative.len()) as f64;
            let (a, b) = pairs.split_at(cut.min(pairs.len()));
            let merged = ScoreCounts::new(a.to_vec()).merge(ScoreCounts::new(b.to_vec()));
            prop_assert_eq!(&merged, &ScoreCounts::new(pairs.clone()));
            prop_assert!((BinaryMetrics::from(merged).area_under_roc() - expected).abs() < 1e-12);
        }
    }
}
