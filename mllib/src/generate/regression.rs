//! Rows with numbers for labels, made of a few of the columns.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledPoint, Vector};
use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::{Context, Dataset, Result, rng};
use std::sync::Arc;

/// Rows whose label is a sum of a few columns, and noise.
///
/// Values are normal with deviation 1 and at most four digits behind the point. Columns are in groups, one after the other;
/// those of a group share a factor, so that two of them have the correlation [`Regression::correlation`]. Informative columns
/// are spread evenly; their coefficients are normal. What a row is depends on the seed and on its number alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// Number of rows.
    pub rows: u64,
    /// Number of columns.
    pub columns: usize,
    /// Columns that the label is made of.
    pub informative: usize,
    /// Deviation of the noise, relative to that of the label without it were columns independent.
    pub noise: f64,
    /// Groups of columns that share a factor; 0: every column is by itself.
    pub groups: usize,
    /// Correlation of two columns of a group, where all values are there.
    pub correlation: f64,
    /// Share of values that are not zero; the others are drawn value by value.
    pub density: f64,
}

impl Default for Regression {
    fn default() -> Self {
        Regression {
            rows: 1000,
            columns: 100,
            informative: 10,
            noise: 0.1,
            groups: 0,
            correlation: 0.5,
            density: 1.0,
        }
    }
}

/// A coefficient of each informative column, by column.
type Coefficients = Arc<Vec<(usize, f64)>>;

impl Regression {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.rows >= 1, "samples", || "must be at least 1".into())?;
        require((1..=i32::MAX as usize).contains(&self.columns), "features", || {
            format!("must be from 1 to {}", i32::MAX)
        })?;
        require(self.informative <= self.columns, "informative", || {
            format!("must be at most the number of columns, not {}", self.informative)
        })?;
        require(self.noise >= 0.0 && self.noise.is_finite(), "noise", || {
            format!("must be at least 0, not {}", self.noise)
        })?;
        require(self.groups <= self.columns, "groups", || {
            format!("must be at most the number of columns, not {}", self.groups)
        })?;
        require((0.0..=1.0).contains(&self.correlation), "correlation", || {
            format!("must be from 0 to 1, not {}", self.correlation)
        })?;
        require(self.density > 0.0 && self.density <= 1.0, "density", || {
            format!("must be above 0 and at most 1, not {}", self.density)
        })
    }
    /// The rows, lazily. Costs a normal number a value, and one a value that is zero to tell so.
    pub fn dataset(&self, cx: &Context, partitions: usize, seed: u64) -> Dataset<LabeledPoint> {
        let (made, coefficients) = (self.clone(), self.coefficients(seed));
        cx.range(0..self.rows, partitions).map(move |i| made.row(i, seed, &coefficients))
    }
    /// The coefficients that labels are made with, by column.
    pub fn coefficients(&self, seed: u64) -> Coefficients {
        let of_coefficients = hash_of(&(seed, "coefficients"));
        let coefficient = |k: usize| {
            let j = k * self.columns / self.informative;
            (j, rng::normal(&mut rng::stream(of_coefficients, j as u64)))
        };
        Arc::new((0..self.informative).map(coefficient).collect())
    }
    fn row(&self, i: u64, seed: u64, coefficients: &Coefficients) -> LabeledPoint {
        let mut rng = rng::stream(seed, i);
        let factors: Vec<f64> = (0..self.groups).map(|_| rng::normal(&mut rng)).collect();
        let (shared, own) = match self.groups {
            0 => (0.0, 1.0),
            _ => (self.correlation.sqrt(), (1.0 - self.correlation).sqrt()),
        };
        let mut next = coefficients.iter().peekable();
        let (mut columns, mut values, mut label) = (vec![], vec![], 0.0);
        for j in 0..self.columns {
            let there = self.density >= 1.0 || rng::unit_f64(&mut rng) < self.density;
            let factor = factors.get(j * self.groups / self.columns).copied().unwrap_or(0.0);
            let x = if there { shared * factor + own * rng::normal(&mut rng) } else { 0.0 };
            let x = (x * 1e4).round() / 1e4;
            if let Some((_, c)) = next.next_if(|(of, _)| *of == j) {
                label += c * x;
            }
            if x != 0.0 {
                columns.push(j as u32);
                values.push(x);
            }
        }
        let size = coefficients.iter().map(|(_, c)| c * c).sum::<f64>().sqrt() * self.density.sqrt();
        let size = if size > 0.0 { size } else { 1.0 };
        label += self.noise * size * rng::normal(&mut rng);
        let features = Vector::sparse(self.columns, columns, values);
        LabeledPoint::new(
            (label * 1e4).round() / 1e4,
            features.expect("columns rise, and are fewer than there are"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(made: &Regression, partitions: usize, seed: u64) -> Vec<LabeledPoint> {
        made.dataset(&Context::local(2).unwrap(), partitions, seed).collect().unwrap()
    }

    #[test]
    fn columns_of_a_group_are_correlated_and_others_are_not() {
        let made = Regression {
            rows: 4000,
            columns: 6,
            groups: 2,
            correlation: 0.8,
            informative: 2,
            ..Default::default()
        };
        let rows = rows(&made, 3, 1);
        let product = |a: usize, b: usize| {
            rows.iter().map(|r| r.features.get(a) * r.features.get(b)).sum::<f64>() / 4000.0
        };
        for (a, b, about) in [(0, 0, 1.0), (0, 2, 0.8), (3, 5, 0.8), (2, 3, 0.0), (0, 5, 0.0)] {
            assert!((product(a, b) - about).abs() < 0.08, "{a} {b}: {}", product(a, b));
        }
    }

    #[test]
    fn labels_are_made_of_informative_columns() {
        let made = Regression { rows: 3000, columns: 40, density: 0.3, noise: 0.5, ..Default::default() };
        let coefficients = made.coefficients(5);
        assert_eq!((coefficients.len(), coefficients[1].0), (10, 4));
        let rows = rows(&made, 2, 5);
        let rest = |r: &LabeledPoint| {
            r.label - coefficients.iter().map(|(j, c)| c * r.features.get(*j)).sum::<f64>()
        };
        let square = rows.iter().map(|r| rest(r).powi(2)).sum::<f64>() / 3000.0;
        let size = coefficients.iter().map(|(_, c)| c * c).sum::<f64>() * 0.3;
        assert!((square / size - 0.25).abs() < 0.03, "{square} {size}");
        let stored: usize = rows.iter().map(|r| r.features.iter().count()).sum();
        assert!((stored as f64 / 120_000.0 - 0.3).abs() < 0.01, "{stored}");
    }

    #[test]
    fn the_seed_decides_and_partitions_do_not() {
        let made = Regression { rows: 30, groups: 5, ..Default::default() };
        assert!(rows(&made, 1, 7) == rows(&made, 4, 7));
        assert!(rows(&made, 1, 7) != rows(&made, 1, 8));
    }

    #[test]
    fn values_are_checked() {
        for (bad, name) in [
            (Regression { rows: 0, ..Default::default() }, "samples"),
            (Regression { columns: 0, ..Default::default() }, "features"),
            (Regression { informative: 101, ..Default::default() }, "informative"),
            (Regression { noise: -1.0, ..Default::default() }, "noise"),
            (Regression { groups: 101, ..Default::default() }, "groups"),
            (Regression { correlation: 1.5, ..Default::default() }, "correlation"),
            (Regression { density: 0.0, ..Default::default() }, "density"),
        ] {
            assert!(bad.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
