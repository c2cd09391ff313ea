//! K-fold cross-validation.
//!
//! # Cost
//! `folds` fits a candidate. Folds are not copied: a row belongs to the fold that its random number says
//! ([`fold_of`]), and a fit leaves that fold out.
//!
//! # Guarantees
//! The fold of a row depends on seed, partition and place in the partition only. The expected size of each fold is the
//! same, as in Spark's `kFold`; the sizes themselves vary.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng::{self, Stream};
use slackwater_dataflow::{Error, Result};

/// Which end of a metric is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Accuracy, areas, R².
    Larger,
    /// Errors, losses.
    Smaller,
}

impl Direction {
    /// True if `a` is better than `b`; NaN is never better.
    fn prefers(self, a: f64, b: f64) -> bool {
        match self {
            Direction::Larger => a > b || b.is_nan() && !a.is_nan(),
            Direction::Smaller => a < b || b.is_nan() && !a.is_nan(),
        }
    }
}

/// Derived streams of this module are those of this operation.
const OPERATION: u64 = u64::from_be_bytes(*b"    fold");

/// The folds of a partition's rows in order: an endless iterator of numbers below `folds`.
pub fn fold_of(seed: u64, partition: usize, folds: usize) -> impl Iterator<Item = usize> {
    let mut stream: Stream = rng::partition_stream(seed, OPERATION, partition);
    std::iter::repeat_with(move || rng::below(&mut stream, folds as u64) as usize)
}

/// Scores of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// One a fold.
    pub scores: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation.
    pub deviation: f64,
}

/// How to cross-validate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Number of folds, at least 2.
    pub folds: usize,
    /// Which end of the metric is good.
    pub direction: Direction,
}

impl CrossValidation {
    /// Scores every candidate on every fold: `score(candidate, fold)` fits on the rest and evaluates on the fold.
    /// Returns the index of the best candidate (the first of equals) and all scores.
    ///
    /// # Errors
    /// Config, for fewer than 2 folds or no candidates; numerical, if no candidate has a score; what `score` reports.
    pub fn run<P>(
        &self,
        candidates: &[P],
        mut score: impl FnMut(&P, usize) -> Result<f64>,
    ) -> Result<(usize, Vec<Candidate>)> {
        if self.folds < 2 {
            return Err(Error::config("folds", format!("must be at least 2, not {}", self.folds)));
        }
        if candidates.is_empty() {
            return Err(Error::config("grid", "has no candidates"));
        }
        let mut results = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let scores = (0..self.folds).map(|fold| score(candidate, fold)).collect::<Result<Vec<f64>>>()?;
            let moments: crate::stat::Moments = scores.iter().copied().collect();
            let deviation = moments.sample_variance().sqrt();
            results.push(Candidate { scores, mean: moments.mean, deviation });
        }
        let better = |best: usize, i: usize| {
            if self.direction.prefers(results[i].mean, results[best].mean) { i } else { best }
        };
        let best = (1..results.len()).fold(0, better);
        if results[best].mean.is_nan() {
            return Err(Error::new(slackwater_dataflow::ErrorKind::Numerical(
                "no candidate has a score: every one is NaN".into(),
            )));
        }
        Ok((best, results))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_mean_wins() {
        let cv = CrossValidation { folds: 3, direction: Direction::Smaller };
        let scores = [[3.0, 3.0, 3.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [f64::NAN, 0.0, 0.0]];
        let (best, all) = cv.run(&[0, 1, 2, 3], |c, fold| Ok(scores[*c][fold])).unwrap();
        assert_eq!((best, all[1].mean, all[1].deviation), (1, 2.0, 1.0));
        let cv = CrossValidation { direction: Direction::Larger, ..cv };
        assert_eq!(cv.run(&[3, 0, 1], |c, fold| Ok(scores[*c][fold])).unwrap().0, 1);
        assert!(cv.run(&[3], |c, fold| Ok(scores[*c][fold])).is_err());
        assert!(cv.run(&[] as &[u8], |_, _| Ok(0.0)).is_err());
    }

    #[test]
    fn folds_are_even_and_repeatable() {
        let folds: Vec<usize> = fold_of(7, 2, 4).take(4000).collect();
        assert_eq!(folds, fold_of(7, 2, 4).take(4000).collect::<Vec<_>>());
        for fold in 0..4 {
            let size = folds.iter().filter(|f| **f == fold).count();
            assert!((900..1100).contains(&size), "{size}");
        }
    }
}
