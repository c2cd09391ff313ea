//! `sort_by_key`, `sort_by`, `filter_by_range`, and the range partitioner.

use super::exchange::Site;
use super::partitioner::{Partitioner, PartitionerId};
use crate::dataset::Dataset;
use crate::dataset::lineage::Record;
use crate::error::Result;
use crate::hash::hash_bytes;
use crate::rng::{below, partition_stream};
use std::panic::Location;
use std::sync::Arc;

/// Keys sampled for each partition that is asked for; three times as many are drawn, since partitions differ in size.
const SAMPLES_PER_PARTITION: usize = 20;
const OVERSAMPLING: usize = 3;

/// Puts keys in partitions by ranges: partition i has the keys up to bound i, so partitions ascend.
pub struct RangePartitioner<K> {
    bounds: Vec<K>,
    ascending: bool,
    digest: u64,
}

impl<K: Record + Ord> RangePartitioner<K> {
    /// Partitions cut at `bounds`, which are sorted here; one more partition than there are distinct bounds.
    pub fn from_bounds(mut bounds: Vec<K>, ascending: bool) -> Self {
        bounds.sort();
        bounds.dedup();
        let digest = hash_bytes(&postcard::to_stdvec(&(&bounds, ascending)).unwrap_or_default());
        RangePartitioner { bounds, ascending, digest }
    }

    /// Bounds that cut the keys of `data` into `partitions` partitions of about equal size. Runs a job that samples up
    /// to 60 keys a wanted partition (a reservoir in each partition, weighted by the partitions' sizes), with random
    /// numbers derived from the context's seed.
    pub fn sample<V: Record>(data: &Dataset<(K, V)>, partitions: usize, ascending: bool) -> Result<Self> {
        if partitions <= 1 || data.num_partitions() == 0 {
            return Ok(Self::from_bounds(vec![], ascending));
        }
        let wanted = (SAMPLES_PER_PARTITION * partitions * OVERSAMPLING).div_ceil(data.num_partitions());
        let (seed, node) = (data.context().config().seed, data.id());
        let parts = data.run_action("sample_keys", move |cursor, task| {
            let mut rng = partition_stream(seed, node, task.partition());
            let (mut seen, mut kept) = (0u64, Vec::<K>::new());
            while let Some(chunk) = cursor.next()? {
                for (k, _) in chunk.as_slice() {
                    seen += 1;
                    if kept.len() < wanted {
                        kept.push(k.clone());
                    } else {
                        let i = below(&mut rng, seen) as usize;
                        if i < wanted {
                            kept[i] = k.clone();
                        }
                    }
                }
            }
            Ok((seen, kept))
        })?;
        // A sampled key stands for as many records as its partition has for each sample.
        let mut weighted: Vec<(K, f64)> = vec![];
        for (seen, kept) in parts {
            let weight = seen as f64 / kept.len().max(1) as f64;
            weighted.extend(kept.into_iter().map(|k| (k, weight)));
        }
        weighted.sort_by(|a, b| a.0.cmp(&b.0));
        let step = weighted.iter().map(|w| w.1).sum::<f64>() / partitions as f64;
        let (mut bounds, mut sum) = (Vec::<K>::new(), 0.0);
        for (k, weight) in weighted {
            sum += weight;
            let due = sum >= step * (bounds.len() + 1) as f64 && bounds.len() + 1 < partitions;
            if due && bounds.last().is_none_or(|b| *b < k) {
                bounds.push(k);
            }
        }
        Ok(Self::from_bounds(bounds, ascending))
    }
    /// Partitions that can hold keys of `low..=high`.
    pub fn partitions_of(&self, low: &K, high: &K) -> std::ops::RangeInclusive<usize> {
        let (a, b) = (self.partition(low), self.partition(high));
        a.min(b)..=a.max(b)
    }
}

impl<K: Record + Ord> Partitioner<K> for RangePartitioner<K> {
    fn partitions(&self) -> usize {
        self.bounds.len() + 1
    }
    fn partition(&self, key: &K) -> usize {
        let i = self.bounds.partition_point(|b| b < key);
        if self.ascending { i } else { self.bounds.len() - i }
    }
    fn id(&self) -> PartitionerId {
        PartitionerId { kind: "range".to_string(), partitions: self.partitions(), digest: self.digest }
    }
}

impl<K: Record + Ord, V: Record> Dataset<(K, V)> {
    /// Sorts by key, over as many partitions as there are now. Partition i holds smaller keys than partition i + 1 (or
    /// larger, if not `ascending`). Stable: pairs of equal keys keep their order. Runs a job that samples the keys.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(2)?;
    /// let sorted = cx.parallelize([(3, 'c'), (1, 'a'), (2, 'b'), (1, 'A')], 2).sort_by_key(true)?;
    /// assert_eq!(sorted.collect()?, [(1, 'a'), (1, 'A'), (2, 'b'), (3, 'c')]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_key(&self, ascending: bool) -> Result<Dataset<(K, V)>> {
        self.sort_by_key_with(ascending, self.num_partitions())
    }
    /// As [`Dataset::sort_by_key`], over at most `partitions` partitions.
    #[track_caller]
    pub fn sort_by_key_with(&self, ascending: bool, partitions: usize) -> Result<Dataset<(K, V)>> {
        let site = Site { operation: "sort_by_key", location: Location::caller(), closure: "" };
        let partitioner = RangePartitioner::sample(self, partitions, ascending)?;
        Ok(self.sorted_by(site, Arc::new(partitioner), ascending))
    }
    /// The pairs with keys in `low..=high`. After [`Dataset::sort_by_key`] only the partitions that can have them are
    /// computed.
    #[track_caller]
    pub fn filter_by_range(&self, low: K, high: K) -> Dataset<(K, V)> {
        let range = self.any_partitioner().and_then(|p| {
            let typed = p.typed::<K>()?;
            if p.id.kind != "range" {
                return None;
            }
            let (a, b) = (typed.partition(&low), typed.partition(&high));
            Some(a.min(b)..=a.max(b))
        });
        let pruned = match range {
            Some(range) => self.prune(range.collect()),
            None => self.clone(),
        };
        pruned.filter(move |(k, _)| *k >= low && *k <= high)
    }
}

impl<T: Record> Dataset<T> {
    /// Sorts by `f(record)`, over as many partitions as there are now; stable. See [`Dataset::sort_by_key`].
    #[track_caller]
    pub fn sort_by<K, F>(&self, f: F, ascending: bool) -> Result<Dataset<T>>
    where
        K: Record + Ord,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        Ok(self.key_by(f).sort_by_key(ascending)?.values())
    }
}
