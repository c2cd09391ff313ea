//! Datasets: what the user holds.

pub mod lineage;
pub(crate) mod node;
pub(crate) mod part_iter;
pub(crate) mod persist;
mod source;

pub use lineage::{Chunk, Cursor, Data, Record, Stop};
pub use part_iter::PartitionIter;
pub use persist::StorageLevel;
pub(crate) use source::Ramp;
pub use source::Source;

use crate::context::{Context, Engine};
use lineage::{AnyPartitioner, Lineage, NodeId};
use std::panic::Location;
use std::sync::Arc;

/// An immutable collection of records of type `T` in partitions, described by how to compute it.
///
/// As in Spark's RDD, five things describe one: its partitions, a function that computes a partition, the datasets it
/// depends on (narrowly or through a shuffle), how its keys are partitioned if it has keys, and where its partitions
/// are kept. Nothing is computed until an *action* (`collect`, `count`, `reduce`, ...) asks; a partition that is lost
/// (evicted, damaged) is computed again from what it depends on.
///
/// Cloning a dataset clones a handle. Closures must be deterministic: a partition may be computed more than once.
/// Closures that keep state between calls see chunks of a partition in order, on one thread.
///
/// # Which operation
/// * `map`, `filter`, `flat_map` and so on cost about a nanosecond a record each; [`Dataset::fuse`] composes several
///   into one loop, [`Dataset::map_ref`] and [`Dataset::expand`] look at records without cloning cached data.
/// * Operations on pairs that need all values of a key in one place move data: prefer `reduce_by_key` or
///   `aggregate_by_key`, which combine before they move, to `group_by_key`.
/// * A dataset that several actions read should be [cached](Dataset::cache).
pub struct Dataset<T: Data> {
    cx: Context,
    node: Arc<dyn Lineage<T>>,
}

impl<T: Data> Clone for Dataset<T> {
    fn clone(&self) -> Self {
        Dataset { cx: self.cx.clone(), node: self.node.clone() }
    }
}

impl<T: Data> std::fmt::Debug for Dataset<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let info = self.node.info();
        write!(f, "Dataset({} [{}], {} partitions)", info.operation, info.id, info.partitions)
    }
}

impl<T: Data> Dataset<T> {
    pub(crate) fn from_node(cx: &Context, node: Arc<dyn Lineage<T>>) -> Self {
        Dataset { cx: cx.clone(), node }
    }
    pub(crate) fn lineage(&self) -> &Arc<dyn Lineage<T>> {
        &self.node
    }
    pub(crate) fn erased(&self) -> Arc<dyn lineage::Node> {
        self.node.clone()
    }
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.cx.engine()
    }
    pub(crate) fn any_partitioner(&self) -> Option<AnyPartitioner> {
        self.node.info().partitioner.clone()
    }
    /// The context it belongs to.
    pub fn context(&self) -> &Context {
        &self.cx
    }
    /// Number of its node in the lineage graph.
    pub fn id(&self) -> NodeId {
        self.node.info().id
    }
    /// Number of partitions.
    pub fn num_partitions(&self) -> usize {
        self.node.info().partitions
    }
    /// The source line of the program that made it.
    pub fn site(&self) -> &'static Location<'static> {
        self.node.info().site
    }
    /// Gives it a name, which `explain` shows. The first name stays.
    pub fn named(self, name: impl Into<String>) -> Self {
        let _ = self.node.info().name.set(name.into());
        self
    }
    /// The name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.node.info().name.get().map(String::as_str)
    }
    /// Hash over the lineage: equal in every process that runs the same program. Captured values are not part of it.
    pub fn fingerprint(&self) -> u64 {
        self.node.info().digest
    }
}
