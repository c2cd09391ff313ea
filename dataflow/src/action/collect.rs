//! `collect`, `collect_as_map`, `lookup`, `to_local_iterator`.

use crate::dataset::Dataset;
use crate::dataset::lineage::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::codec::estimate_bytes;
use std::collections::BTreeMap;
use std::hash::Hash;

impl<T: Record> Dataset<T> {
    /// All records, in the order of the partitions. They must fit in the memory of every process; results of more than
    /// `max_result_bytes` are refused.
    pub fn collect(&self) -> Result<Vec<T>> {
        let mut parts = self.collect_partitions()?;
        if parts.len() == 1 {
            return Ok(parts.pop().unwrap_or_default());
        }
        Ok(parts.into_iter().flatten().collect())
    }
    /// All records, partition by partition.
    pub fn collect_partitions(&self) -> Result<Vec<Vec<T>>> {
        self.collect_some((0..self.num_partitions()).collect())
    }
    fn collect_some(&self, partitions: Vec<usize>) -> Result<Vec<Vec<T>>> {
        let limit = self.context().config().max_result_bytes;
        let parts = self.run_action_on("collect", partitions, move |cursor, _| {
            let mut all = Vec::new();
            let mut bytes = 0u64;
            while let Some(chunk) = cursor.next()? {
                bytes += estimate_bytes(chunk.as_slice());
                too_large(bytes, limit)?;
                chunk.append_to(&mut all);
            }
            Ok(all)
        })?;
        too_large(parts.iter().map(|p| estimate_bytes(p)).sum(), limit)?;
        Ok(parts)
    }
    /// All records, one partition at a time: one job a partition, and the memory of one.
    pub fn to_local_iterator(&self) -> impl Iterator<Item = Result<T>> + use<T> {
        let (this, partitions) = (self.clone(), self.num_partitions());
        (0..partitions).flat_map(move |p| match this.collect_some(vec![p]) {
            Ok(parts) => parts.into_iter().flatten().map(Ok).collect::<Vec<_>>(),
            Err(e) => vec![Err(e)],
        })
    }
}

impl<K: Record + Hash + Eq + Ord, V: Record> Dataset<(K, V)> {
    /// All pairs as a map; of several values of a key the last stays.
    pub fn collect_as_map(&self) -> Result<BTreeMap<K, V>> {
        Ok(self.collect()?.into_iter().collect())
    }
    /// All values of one key. If it is known how keys are partitioned, only the key's partition is computed.
    pub fn lookup(&self, key: &K) -> Result<Vec<V>> {
        let data = match self.partitioner() {
            Some(partitioner) => self.prune(vec![partitioner.partition(key)]),
            None => self.clone(),
        };
        let key = key.clone();
        data.filter(move |(k, _)| *k == key).values().collect()
    }
}

fn too_large(bytes: u64, limit: u64) -> Result<()> {
    if bytes > limit { Err(Error::new(ErrorKind::ResultTooLarge { bytes, limit })) } else { Ok(()) }
}
