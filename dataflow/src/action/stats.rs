//! Operations on numbers: `sum`, `mean`, `variance`, `stats`, `histogram`.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Count, mean, variance, least and greatest of numbers, in one pass; two of them can be merged (Chan, Golub and LeVeque
/// 1979), which loses no accuracy to cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// How many.
    pub count: u64,
    /// Arithmetic mean; 0 if there are none.
    pub mean: f64,
    /// Sum of squared distances from the mean.
    m2: f64,
    /// The least; +inf if there are none.
    pub min: f64,
    /// The greatest; -inf if there are none.
    pub max: f64,
}

impl Default for Stats {
    fn default() -> Self {
        Stats { count: 0, mean: 0.0, m2: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Stats {
    /// Adds a number.
    pub fn add(&mut self, x: f64) {
        self.count += 1;
        let delta = x - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (x - self.mean);
        self.min = self.min.min(x);
        self.max = self.max.max(x);
    }
    /// Adds all numbers of another.
    pub fn merge(&mut self, other: &Stats) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * m / (n + m);
        self.m2 += other.m2 + delta * delta * n * m / (n + m);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
    /// Sum of the numbers.
    pub fn sum(&self) -> f64 {
        self.mean * self.count as f64
    }
    /// Mean squared distance from the mean; NaN if there are none.
    pub fn variance(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.m2 / self.count as f64 }
    }
    /// Unbiased estimate of the variance of what the numbers are a sample of; NaN for fewer than two.
    pub fn sample_variance(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.m2 / (self.count - 1) as f64 }
    }
    /// Square root of [`Stats::variance`].
    pub fn stdev(&self) -> f64 {
        self.variance().sqrt()
    }
    /// Square root of [`Stats::sample_variance`].
    pub fn sample_stdev(&self) -> f64 {
        self.sample_variance().sqrt()
    }
}

impl Dataset<f64> {
    /// Count, mean, variance, least and greatest, in one pass.
    pub fn stats(&self) -> Result<Stats> {
        self.aggregate(Stats::default(), |s, x| s.add(*x), |a, b| a.merge(&b))
    }
    /// Sum: added up within partitions, then over a tree of partitions.
    pub fn sum(&self) -> Result<f64> {
        self.aggregate(0.0, |s, x| *s += x, |a, b| *a += b)
    }
    /// Mean; 0 if there are no numbers.
    pub fn mean(&self) -> Result<f64> {
        Ok(self.stats()?.mean)
    }
    /// [`Stats::variance`].
    pub fn variance(&self) -> Result<f64> {
        Ok(self.stats()?.variance())
    }
    /// [`Stats::sample_variance`].
    pub fn sample_variance(&self) -> Result<f64> {
        Ok(self.stats()?.sample_variance())
    }
    /// [`Stats::stdev`].
    pub fn stdev(&self) -> Result<f64> {
        Ok(self.stats()?.stdev())
    }
    /// [`Stats::sample_stdev`].
    pub fn sample_stdev(&self) -> Result<f64> {
        Ok(self.stats()?.sample_stdev())
    }
    /// How many numbers fall in each of the buckets that `bounds` cut: closed below, open above, the last closed on
    /// both sides. Numbers outside and NaN are not counted. The bounds must ascend strictly and be two at least.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let x = cx.parallelize([0.0, 0.5, 1.0, 2.0, 9.0], 2);
    /// assert_eq!(x.histogram(&[0.0, 1.0, 2.0])?, [2, 2]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    pub fn histogram(&self, bounds: &[f64]) -> Result<Vec<u64>> {
        if bounds.len() < 2
            || bounds.windows(2).any(|w| w[0].partial_cmp(&w[1]) != Some(std::cmp::Ordering::Less))
        {
            return Err(Error::usage("the bounds of a histogram must ascend strictly and be two at least"));
        }
        let cuts = bounds.to_vec();
        self.aggregate(
            vec![0u64; bounds.len() - 1],
            move |counts, x| {
                let last = cuts[cuts.len() - 1];
                let i = if *x == last { cuts.len() - 1 } else { cuts.partition_point(|c| c <= x) };
                if i > 0 && i < cuts.len() {
                    counts[i - 1] += 1;
                }
            },
            |a, b| a.iter_mut().zip(b).for_each(|(a, b)| *a += b),
        )
    }
    /// A histogram over `buckets` buckets of equal width between the least and the greatest number; the bounds and the
    /// counts. One bucket if all numbers are equal; an error if there are none.
    pub fn histogram_even(&self, buckets: usize) -> Result<(Vec<f64>, Vec<u64>)> {
        let stats = self.stats()?;
        if stats.count == 0 || !(stats.max - stats.min).is_finite() {
            return Err(Error::input("a histogram needs finite numbers", ""));
        }
        if stats.min == stats.max {
            return Ok((vec![stats.min, stats.max], vec![stats.count]));
        }
        let width = (stats.max - stats.min) / buckets.max(1) as f64;
        let mut bounds: Vec<f64> = (0..buckets.max(1)).map(|i| stats.min + i as f64 * width).collect();
        bounds.push(stats.max);
        let counts = self.histogram(&bounds)?;
        Ok((bounds, counts))
    }
}
