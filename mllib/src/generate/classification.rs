//! Dense rows of several classes.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledPoint, Vector};
use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::{Context, Dataset, Result, rng};

/// Where labels come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// Every class has a centre, drawn with deviation 1 in every column; classes take turns, so all have as many rows.
    #[default]
    Centers,
    /// Drawn for themselves: nothing but the rows themselves can be learnt.
    Random,
}

/// Dense rows of several classes, labelled from 0.
///
/// Values have at most four digits behind the point, which keeps their text short. What a row is depends on the seed and
/// on its number alone, not on partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Number of rows.
    pub rows: u64,
    /// Number of columns.
    pub columns: usize,
    /// Number of classes.
    pub classes: usize,
    /// Where labels come from.
    pub labels: Labels,
    /// Deviation of rows from the centre of their class, in every column.
    pub noise: f64,
}

impl Default for Classification {
    fn default() -> Self {
        Classification { rows: 1000, columns: 20, classes: 2, labels: Labels::Centers, noise: 1.0 }
    }
}

impl Classification {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.rows >= 1, "samples", || "must be at least 1".into())?;
        require(self.columns >= 1, "features", || "must be at least 1".into())?;
        require(self.classes >= 1, "classes", || "must be at least 1".into())?;
        require(self.noise >= 0.0 && self.noise.is_finite(), "noise", || {
            format!("must be at least 0, not {}", self.noise)
        })
    }
    /// The rows, lazily. Costs two normal numbers a value.
    pub fn dataset(&self, cx: &Context, partitions: usize, seed: u64) -> Dataset<LabeledPoint> {
        let made = self.clone();
        cx.range(0..self.rows, partitions).map(move |i| made.row(i, seed))
    }
    fn row(&self, i: u64, seed: u64) -> LabeledPoint {
        let mut rng = rng::stream(seed, i);
        let class = match self.labels {
            Labels::Centers => i % self.classes as u64,
            Labels::Random => rng::below(&mut rng, self.classes as u64),
        };
        // Streams of centres are of another seed, so that none is a row's.
        let centers = hash_of(&(seed, "centers"));
        let mut center = (self.labels == Labels::Centers).then(|| rng::stream(centers, class));
        let value = |_| {
            let mean = center.as_mut().map_or(0.0, rng::normal);
            let x = mean + self.noise * rng::normal(&mut rng);
            (x * 1e4).round() / 1e4
        };
        LabeledPoint::new(class as f64, Vector::dense((0..self.columns).map(value).collect::<Vec<f64>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(made: &Classification, partitions: usize, seed: u64) -> Vec<LabeledPoint> {
        made.dataset(&Context::local(2).unwrap(), partitions, seed).collect().unwrap()
    }

    #[test]
    fn rows_lie_around_the_centres_of_their_classes() {
        let made = Classification { rows: 600, columns: 50, classes: 3, noise: 0.5, ..Default::default() };
        let rows = rows(&made, 4, 1);
        let mean = |class: u64, j: usize| {
            let of_class = rows.iter().filter(|r| r.label == class as f64);
            of_class.map(|r| r.features.get(j)).sum::<f64>() / 200.0
        };
        let mut distance = 0.0;
        for j in 0..50 {
            let center = mean(1, j);
            distance += (center - mean(2, j)).powi(2);
            let deviations = rows.iter().filter(|r| r.label == 1.0).map(|r| r.features.get(j) - center);
            let deviation = (deviations.map(|d| d * d).sum::<f64>() / 200.0).sqrt();
            assert!((deviation - 0.5).abs() < 0.15, "{deviation}");
        }
        assert!((50.0..160.0).contains(&distance), "2 in every column, about: {distance}");
    }

    #[test]
    fn the_seed_decides_and_partitions_do_not() {
        for labels in [Labels::Centers, Labels::Random] {
            let made = Classification { rows: 50, labels, classes: 4, ..Default::default() };
            assert!(rows(&made, 1, 7) == rows(&made, 5, 7));
            assert!(rows(&made, 1, 7) != rows(&made, 1, 8));
            let labels: Vec<f64> = rows(&made, 2, 7).iter().map(|r| r.label).collect();
            assert!((0..4).all(|c| labels.contains(&f64::from(c))), "{labels:?}");
        }
    }

    #[test]
    fn values_are_checked() {
        for (bad, name) in [
            (Classification { rows: 0, ..Default::default() }, "samples"),
            (Classification { columns: 0, ..Default::default() }, "features"),
            (Classification { classes: 0, ..Default::default() }, "classes"),
            (Classification { noise: -1.0, ..Default::default() }, "noise"),
        ] {
            assert!(bad.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
