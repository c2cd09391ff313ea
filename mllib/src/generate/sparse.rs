//! Sparse rows of two classes, shaped as texts are.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledPoint, Vector};
use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::{Context, Dataset, Result, rng};

/// Deviation of the logarithm of how many values a row has, and of how large they are: as in RCV1.
const LENGTH_DEVIATION: f64 = 0.6;
/// Ranks before this are equally common: the words that every text has are left out of such data.
const COMMON: f64 = 20.0;

/// Sparse rows of two classes, labelled -1 and 1: of the shape of texts, with the weights of words, each row of length 1.
///
/// How many values a row has is log-normal, how common a column is falls with its rank, ranks are scattered over the
/// columns, values are positive and have six digits. A hidden weight of every column decides which class a row is in,
/// but for the share [`Sparse::flip`] of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sparse {
    /// Number of rows.
    pub rows: u64,
    /// Number of columns.
    pub columns: u64,
    /// Values of a row, on average; duplicates fall away, so a few fewer.
    pub nonzeros: f64,
    /// Share of rows whose label is the other one.
    pub flip: f64,
}

impl Default for Sparse {
    fn default() -> Self {
        Sparse { rows: 1000, columns: 10_000, nonzeros: 75.0, flip: 0.05 }
    }
}

impl Sparse {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.rows >= 1, "samples", || "must be at least 1".into())?;
        require((1..=i32::MAX as u64).contains(&self.columns), "features", || {
            format!("must be from 1 to {}", i32::MAX)
        })?;
        require(self.nonzeros >= 1.0 && self.nonzeros <= self.columns as f64, "nonzeros", || {
            format!("must be from 1 to the number of columns, not {}", self.nonzeros)
        })?;
        require((0.0..=0.5).contains(&self.flip), "flip", || {
            format!("must be from 0 to 0.5, not {}", self.flip)
        })
    }
    /// The rows, lazily. Costs three random numbers and a hash a value.
    pub fn dataset(&self, cx: &Context, partitions: usize, seed: u64) -> Dataset<LabeledPoint> {
        let made = self.clone();
        cx.range(0..self.rows, partitions).map(move |i| made.row(i, seed))
    }
    fn row(&self, i: u64, seed: u64) -> LabeledPoint {
        let mut rng = rng::stream(seed, i);
        let of_weights = hash_of(&(seed, "weights"));
        let log_mean = self.nonzeros.ln() - LENGTH_DEVIATION * LENGTH_DEVIATION / 2.0;
        let length = (log_mean + LENGTH_DEVIATION * rng::normal(&mut rng)).exp().round();
        let most = (8.0 * self.nonzeros).min(self.columns as f64);
        let mut columns: Vec<u32> =
            (0..length.clamp(1.0, most) as u64).map(|_| self.column(&mut rng)).collect();
        columns.sort_unstable();
        columns.dedup();
        let sizes: Vec<f64> =
            columns.iter().map(|_| (LENGTH_DEVIATION * rng::normal(&mut rng)).exp()).collect();
        let norm = sizes.iter().map(|v| v * v).sum::<f64>().sqrt();
        let values: Vec<f64> = sizes.iter().map(|v| six_digits(v / norm)).collect();
        let margin: f64 = columns
            .iter()
            .zip(&values)
            .map(|(j, v)| v * rng::normal(&mut rng::stream(of_weights, u64::from(*j))))
            .sum();
        let flip = rng::unit_f64(&mut rng) < self.flip;
        let label = if (margin > 0.0) != flip { 1.0 } else { -1.0 };
        let features = Vector::sparse(self.columns as usize, columns, values);
        LabeledPoint::new(label, features.expect("columns rise, and are fewer than there are"))
    }
    /// A column; the rank has a density that falls as one over it.
    fn column(&self, rng: &mut rng::Stream) -> u32 {
        let n = self.columns as f64;
        let rank = COMMON * ((n + COMMON) / COMMON).powf(rng::unit_f64(rng)) - COMMON;
        let rank = (rank as u64).min(self.columns - 1);
        // Odd numbers without a common factor with the number of columns scatter ranks one to one.
        let mut step = 0x9e37_79b1;
        while gcd(step, self.columns) != 1 {
            step += 2;
        }
        (rank * step % self.columns) as u32
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The nearest number of six decimal digits, for values from 0 to 1.
fn six_digits(x: f64) -> f64 {
    let scale = 10f64.powi(5 - x.log10().floor() as i32);
    (x * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(made: &Sparse, partitions: usize, seed: u64) -> Vec<LabeledPoint> {
        made.dataset(&Context::local(2).unwrap(), partitions, seed).collect().unwrap()
    }

    #[test]
    fn rows_are_as_long_as_said_and_columns_as_common() {
        let made = Sparse { rows: 2000, columns: 5000, nonzeros: 50.0, flip: 0.0 };
        let rows = rows(&made, 4, 1);
        let values: usize = rows.iter().map(|r| r.features.iter().count()).sum();
        assert!((80_000..104_000).contains(&values), "{values}");
        let mut often = vec![0u32; 5000];
        for row in &rows {
            let norm: f64 = row.features.iter().map(|(_, v)| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-4, "{norm}");
            row.features.iter().for_each(|(j, _)| often[j] += 1);
        }
        let common = often.iter().filter(|n| **n > 200).count();
        let rare = often.iter().filter(|n| **n < 10).count();
        assert!((20..200).contains(&common) && rare > 2500, "{common} {rare}");
        let positive = rows.iter().filter(|r| r.label == 1.0).count();
        assert!((600..1400).contains(&positive), "{positive}");
    }

    #[test]
    fn labels_follow_hidden_weights() {
        let weight = |j: usize| rng::normal(&mut rng::stream(hash_of(&(3u64, "weights")), j as u64));
        for (flip, about) in [(0.0, 0), (0.25, 500)] {
            let made = Sparse { rows: 2000, flip, ..Sparse::default() };
            let made = rows(&made, 3, 3);
            let wrong = made.iter().filter(|r| {
                let margin: f64 = r.features.iter().map(|(j, v)| v * weight(j)).sum();
                (margin > 0.0) != (r.label > 0.0)
            });
            assert!(wrong.count().abs_diff(about) < 80 * about.min(1) + 1, "{flip}");
        }
    }

    #[test]
    fn the_seed_decides_and_partitions_do_not() {
        let made = Sparse { rows: 50, columns: 6, nonzeros: 2.0, flip: 0.1 };
        assert!(rows(&made, 1, 7) == rows(&made, 5, 7));
        assert!(rows(&made, 1, 7) != rows(&made, 1, 8));
        assert!(rows(&made, 1, 7).iter().all(|r| r.features.size() == 6));
    }

    #[test]
    fn values_have_six_digits_and_are_checked() {
        assert_eq!([0.123_456_789, 0.001_234_564_9, 1.0].map(six_digits), [0.123_457, 0.001_234_56, 1.0]);
        for (bad, name) in [
            (Sparse { rows: 0, ..Sparse::default() }, "samples"),
            (Sparse { columns: 0, ..Sparse::default() }, "features"),
            (Sparse { nonzeros: 0.5, ..Sparse::default() }, "nonzeros"),
            (Sparse { columns: 10, nonzeros: 11.0, ..Sparse::default() }, "nonzeros"),
            (Sparse { flip: 0.6, ..Sparse::default() }, "flip"),
        ] {
            assert!(bad.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
