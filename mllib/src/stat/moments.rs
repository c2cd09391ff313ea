//! Mean and variance in one pass, mergeable.
//!
//! # Guarantees
//! No cancellation: squared deviations are accumulated from running means, never as a difference of large sums. The
//! result depends on the order of merges only by rounding, so it is merged in a fixed tree.
//!
//! # References
//! Welford, Technometrics 4 (1962), for one value; Chan, Golub and LeVeque, *Updating formulae and a pairwise algorithm
//! for computing sample variances* (1979), for merging.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::CsrBlock;

/// Count, mean and sum of squared deviations of real numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many numbers.
    pub count: f64,
    /// Their mean; 0 of none.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub squares: f64,
}

impl Moments {
    /// Adds one number.
    #[inline]
    pub fn push(&mut self, x: f64) {
        self.count += 1.0;
        let delta = x - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (x - self.mean);
    }
    /// The numbers of both.
    #[must_use]
    pub fn merge(self, other: Moments) -> Moments {
        let count = self.count + other.count;
        if count == 0.0 {
            return self;
        }
        let delta = other.mean - self.mean;
        let share = other.count / count;
        Moments {
            count,
            mean: self.mean + delta * share,
            squares: self.squares + other.squares + delta * delta * self.count * share,
        }
    }
    /// Sample variance, with `n - 1`; 0 of fewer than two numbers.
    pub fn sample_variance(&self) -> f64 {
        if self.count > 1.0 { (self.squares / (self.count - 1.0)).max(0.0) } else { 0.0 }
    }
    /// Variance with `n`; 0 of no numbers.
    pub fn population_variance(&self) -> f64 {
        if self.count > 0.0 { self.squares / self.count } else { 0.0 }
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut moments = Moments::default();
        numbers.into_iter().for_each(|x| moments.push(x));
        moments
    }
}

/// [`Moments`] of every column of sparse rows. Zeros are not visited: they are accounted for when asked.
///
/// 24 bytes a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnMoments {
    rows: u64,
    /// Of stored values only.
    stored: Vec<Moments>,
}

impl ColumnMoments {
    /// No rows of `columns` columns.
    pub fn new(columns: usize) -> Self {
        ColumnMoments { rows: 0, stored: vec![Moments::default(); columns] }
    }
    /// Adds rows; wider rows widen the result.
    pub fn push(&mut self, block: &CsrBlock) {
        self.widen(block.columns());
        self.rows += block.rows() as u64;
        for (column, x) in block.indices().iter().zip(block.values()) {
            self.stored[*column as usize].push(*x);
        }
    }
    /// The rows of both.
    #[must_use]
    pub fn merge(mut self, other: ColumnMoments) -> ColumnMoments {
        self.widen(other.stored.len());
        self.rows += other.rows;
        for (mine, theirs) in self.stored.iter_mut().zip(other.stored) {
            *mine = mine.merge(theirs);
        }
        self
    }
    fn widen(&mut self, columns: usize) {
        if columns > self.stored.len() {
            self.stored.resize(columns, Moments::default());
        }
    }
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.stored.len()
    }
    /// Moments of one column, zeros included.
    pub fn column(&self, j: usize) -> Moments {
        let stored = self.stored[j];
        stored.merge(Moments { count: self.rows as f64 - stored.count, ..Default::default() })
    }
    /// Means of all columns.
    pub fn means(&self) -> Vec<f64> {
        (0..self.columns()).map(|j| self.column(j).mean).collect()
    }
    /// Sample standard deviations (with `n - 1`) of all columns.
    pub fn sample_deviations(&self) -> Vec<f64> {
        (0..self.columns()).map(|j| self.column(j).sample_variance().sqrt()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slackwater_dataflow::block::CsrBuilder;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    proptest! {
        #[test]
        fn merged_or_not(numbers in prop::collection::vec(-1e3..1e3f64, 0..40), cut in 0usize..40) {
            let cut = cut.min(numbers.len());
            let all: Moments = numbers.iter().copied().collect();
            let (a, b) = numbers.split_at(cut);
            let merged = a.iter().copied().collect::<Moments>().merge(b.iter().copied().collect());
            prop_assert!(close(all.mean, merged.mean) && close(all.squares, merged.squares));
            let mean = numbers.iter().sum::<f64>() / numbers.len().max(1) as f64;
            let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
            prop_assert!(close(all.mean, mean) && close(all.squares, squares));
        }
    }

    #[test]
    fn zeros_count() {
        let mut rows = CsrBuilder::default();
        for x in [1.0, 0.0, 3.0] {
            if x != 0.0 {
                rows.push(1, x);
            }
            rows.end_row();
        }
        let mut moments = ColumnMoments::new(1);
        moments.push(&rows.finish(2));
        let column = moments.column(1);
        assert_eq!((moments.rows(), moments.columns()), (3, 2));
        assert!(close(column.mean, 4.0 / 3.0) && close(column.sample_variance(), 7.0 / 3.0), "{column:?}");
        assert_eq!(moments.column(0).sample_variance(), 0.0);
    }
}
