//! `sample`, `random_split`, `sample_by_key`.

use crate::dataset::lineage::{Data, Record};
use crate::dataset::{Dataset, PartitionIter};
use crate::rng::{SparkXorShift, Stream, java_random_longs, partition_stream, poisson, unit_f64};
use std::collections::HashMap;
use std::hash::Hash;
use std::panic::Location;

/// Up to this fraction Spark draws the gaps between samples instead of a number a record.
const GAP_FRACTION_MAX: f64 = 0.4;
/// Spark's lower bound of the uniform number whose logarithm becomes a gap.
const GAP_EPSILON: f64 = 5e-11;

/// Spark's Bernoulli sampler: keeps a record with probability `fraction`.
struct Bernoulli {
    fraction: f64,
    rng: SparkXorShift,
    /// Records to drop before the next sample, if gaps are drawn.
    gap: u64,
}

impl Bernoulli {
    fn new(fraction: f64, seed: i64) -> Self {
        let mut sampler = Bernoulli { fraction, rng: SparkXorShift::new(seed), gap: 0 };
        if sampler.draws_gaps() {
            sampler.advance();
        }
        sampler
    }
    fn draws_gaps(&self) -> bool {
        self.fraction > 0.0 && self.fraction <= GAP_FRACTION_MAX
    }
    fn advance(&mut self) {
        let u = self.rng.next_f64().max(GAP_EPSILON);
        self.gap = (u.ln() / (-self.fraction).ln_1p()) as u64;
    }
    fn keeps(&mut self) -> bool {
        if self.fraction <= 0.0 {
            return false;
        }
        if self.fraction >= 1.0 {
            return true;
        }
        if !self.draws_gaps() {
            return self.rng.next_f64() <= self.fraction;
        }
        if self.gap > 0 {
            self.gap -= 1;
            return false;
        }
        self.advance();
        true
    }
}

/// Repeats every record a Poisson number of times.
struct Repeated<T> {
    records: PartitionIter<T>,
    now: Option<(T, u64)>,
    rng: Stream,
    mean: f64,
}

impl<T: Data> Iterator for Repeated<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        loop {
            match &mut self.now {
                Some((record, left)) if *left > 0 => {
                    *left -= 1;
                    return Some(record.clone());
                }
                _ => {
                    let record = self.records.next()?;
                    self.now = Some((record, poisson(&mut self.rng, self.mean)));
                }
            }
        }
    }
}

/// Where the cells of a random split end: cumulative weights, 0 first.
pub fn split_bounds(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    let mut bounds = vec![0.0];
    for w in weights {
        bounds.push(bounds[bounds.len() - 1] + w / sum);
    }
    bounds
}

impl<T: Data> Dataset<T> {
    /// A random part of the records.
    ///
    /// Without replacement each record is kept with probability `fraction`; the choice is the one that Spark makes for
    /// the same seed, partitions and row order. With replacement each is repeated a Poisson number of times with mean
    /// `fraction`.
    #[track_caller]
    pub fn sample(&self, with_replacement: bool, fraction: f64, seed: u64) -> Dataset<T> {
        let (site, id) = (Location::caller(), self.id());
        if with_replacement {
            return self.map_partitions_as("sample", site, true, move |p, records| Repeated {
                records,
                now: None,
                rng: partition_stream(seed, id, p),
                mean: fraction.max(0.0),
            });
        }
        let seeds = java_random_longs(seed as i64, self.num_partitions());
        self.map_partitions_as("sample", site, true, move |p, records| {
            let mut sampler = Bernoulli::new(fraction, seeds[p]);
            records.filter(move |_| sampler.keeps())
        })
    }
    /// Splits the records at random into parts of about the given weights, which are normalised. A record goes to
    /// exactly one part; the split is the one that Spark makes for the same seed, partitions and row order.
    ///
    /// Every part reads this dataset: [cache](Dataset::cache) it if it is dear.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let [train, test] = cx.range(0..100, 2).random_split([0.6, 0.4], 11);
    /// assert_eq!((train.count()?, test.count()?), (61, 39)); // as in Spark
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a weight is negative or not finite, or all are zero.
    #[track_caller]
    pub fn random_split<const N: usize>(&self, weights: [f64; N], seed: u64) -> [Dataset<T>; N] {
        assert!(
            weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().sum::<f64>() > 0.0,
            "weights of a split must not be negative, and one must be positive"
        );
        let (bounds, site) = (split_bounds(&weights), Location::caller());
        std::array::from_fn(|i| {
            let (low, high) = (bounds[i], bounds[i + 1]);
            self.map_partitions_as("random_split", site, true, move |p, records| {
                let mut rng = SparkXorShift::new(seed.wrapping_add(p as u64) as i64);
                records.filter(move |_| {
                    let x = rng.next_f64();
                    x >= low && x < high
                })
            })
        })
    }
}

impl<K: Record + Hash + Eq, V: Data> Dataset<(K, V)> {
    /// Keeps each pair with the probability given for its key; keys without one are dropped.
    #[track_caller]
    pub fn sample_by_key(&self, fractions: HashMap<K, f64>, seed: u64) -> Dataset<(K, V)> {
        let id = self.id();
        let fractions = std::sync::Arc::new(fractions);
        self.map_partitions_as("sample_by_key", Location::caller(), true, move |p, records| {
            let (mut rng, fractions) = (partition_stream(seed, id, p), fractions.clone());
            records.filter(move |(k, _)| unit_f64(&mut rng) < fractions.get(k).copied().unwrap_or(0.0))
        })
    }
}
