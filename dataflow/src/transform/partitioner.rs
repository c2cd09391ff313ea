//! How keys are spread over partitions.

use crate::dataset::lineage::{AnyPartitioner, Data};
use crate::hash::{hash_of, partition_of};
use std::any::Any;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

/// Equal for partitioners that put every key in the same partition: then two datasets are co-partitioned, and joining
/// them needs no shuffle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionerId {
    /// Kind, such as `hash`.
    pub kind: String,
    /// Number of partitions.
    pub partitions: usize,
    /// Hash over everything else that decides (bounds, user parameters).
    pub digest: u64,
}

/// Says which partition a key belongs to. It must be deterministic: the same in every process and every run.
pub trait Partitioner<K>: Send + Sync + 'static {
    /// Number of partitions.
    fn partitions(&self) -> usize;
    /// The partition of `key`, below [`Partitioner::partitions`].
    fn partition(&self, key: &K) -> usize;
    /// Equal for partitioners that put every key in the same partition.
    fn id(&self) -> PartitionerId;
}

/// Spreads keys by our own stable hash.
pub struct HashPartitioner<K> {
    partitions: usize,
    _key: PhantomData<fn(K)>,
}

impl<K> HashPartitioner<K> {
    /// A partitioner over `partitions` partitions (one at least).
    pub fn new(partitions: usize) -> Self {
        HashPartitioner { partitions: partitions.max(1), _key: PhantomData }
    }
}

impl<K: Hash + 'static> Partitioner<K> for HashPartitioner<K> {
    fn partitions(&self) -> usize {
        self.partitions
    }
    #[inline]
    fn partition(&self, key: &K) -> usize {
        partition_of(hash_of(key), self.partitions)
    }
    fn id(&self) -> PartitionerId {
        PartitionerId { kind: "hash".to_string(), partitions: self.partitions, digest: 0 }
    }
}

/// What a shuffle is asked for: a number of partitions (hashed), or a partitioner.
pub enum Partitioning<K> {
    /// Hashed over this many partitions.
    Hash(usize),
    /// As this partitioner says.
    By(Arc<dyn Partitioner<K>>),
}

impl<K> From<usize> for Partitioning<K> {
    fn from(partitions: usize) -> Self {
        Partitioning::Hash(partitions)
    }
}

impl<K> From<Arc<dyn Partitioner<K>>> for Partitioning<K> {
    fn from(partitioner: Arc<dyn Partitioner<K>>) -> Self {
        Partitioning::By(partitioner)
    }
}

impl<K: Hash + 'static> From<HashPartitioner<K>> for Partitioning<K> {
    fn from(partitioner: HashPartitioner<K>) -> Self {
        Partitioning::By(Arc::new(partitioner))
    }
}

impl<K: Data + Hash> Partitioning<K> {
    pub(crate) fn resolve(self) -> Arc<dyn Partitioner<K>> {
        match self {
            Partitioning::Hash(n) => Arc::new(HashPartitioner::new(n)),
            Partitioning::By(p) => p,
        }
    }
}

impl AnyPartitioner {
    /// Erases the key type.
    pub(crate) fn new<K: 'static>(partitioner: Arc<dyn Partitioner<K>>) -> Self {
        let id = partitioner.id();
        let typed: Arc<dyn Any + Send + Sync> = Arc::new(partitioner);
        AnyPartitioner { id, typed }
    }
    /// The partitioner again, if it is one of keys of type `K`.
    pub(crate) fn typed<K: 'static>(&self) -> Option<Arc<dyn Partitioner<K>>> {
        self.typed.downcast_ref::<Arc<dyn Partitioner<K>>>().cloned()
    }
}
