//! `partition_by`, `repartition`, `coalesce`, `repartition_and_sort_within_partitions`.

use super::exchange::{
    ByHash, ByPartitioner, KeysNode, PairsNode, RoundRobin, Site, plain, reading_info, reads_shuffle,
};
use super::partitioner::{Partitioner, Partitioning};
use crate::dataset::lineage::{
    AnyPartitioner, Chunk, Cursor, Data, Dependency, Input, Lineage, Node, NodeInfo, Record, Stop,
};
use crate::dataset::node::NewNode;
use crate::dataset::{Dataset, PartitionIter};
use crate::exec::parcel::Pairs;
use crate::exec::shuffle::{BlockRef, Shuffle, ShuffleStage};
use crate::exec::sort::Sorter;
use crate::exec::task::TaskContext;
use crate::hash::hash_u64;
use std::cmp::Ordering;
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// A shuffle of pairs by any partitioner.
pub(crate) fn by_partitioner<K: Record, V: Record>(
    data: &Dataset<(K, V)>,
    site: Site,
    partitioner: &Arc<dyn Partitioner<K>>,
) -> Arc<Shuffle<Pairs<K, V>>> {
    let p = partitioner.clone();
    plain(data.engine(), site, data.lineage(), p.partitions(), move |_| ByPartitioner(p.clone()))
}

impl<K: Record + Hash + Eq, V: Record> Dataset<(K, V)> {
    /// Puts every pair in the partition of its key. Does nothing if it is there already.
    #[track_caller]
    pub fn partition_by(&self, partitioning: impl Into<Partitioning<K>>) -> Dataset<(K, V)> {
        let partitioner = partitioning.into().resolve();
        if self.any_partitioner().is_some_and(|p| p.id == partitioner.id()) {
            return self.clone();
        }
        let site = Site { operation: "partition_by", location: Location::caller(), closure: "" };
        let any = AnyPartitioner::new(partitioner.clone());
        let shuffle = match any.id.kind.as_str() {
            "hash" => {
                let n = any.id.partitions;
                plain(self.engine(), site, self.lineage(), n, move |_| ByHash(n))
            }
            _ => by_partitioner(self, site, &partitioner),
        };
        let info = reading_info(self.engine(), site, ShuffleStage::info(&*shuffle), Some(any));
        Dataset::from_node(self.context(), Arc::new(PairsNode { info, shuffle }))
    }
}

impl<T: Record> Dataset<T> {
    /// Spreads the records evenly over `partitions` partitions, through a shuffle.
    #[track_caller]
    pub fn repartition(&self, partitions: usize) -> Dataset<T> {
        let n = partitions.max(1);
        let site = Site { operation: "repartition", location: Location::caller(), closure: "" };
        let pairs = self.map(|x| (x, ()));
        // Where a map partition begins depends on its number, so that short partitions do not all go to the first.
        let place =
            move |map: usize| RoundRobin { next: (hash_u64(map as u64) % n as u64) as usize, partitions: n };
        let shuffle = plain(self.engine(), site, pairs.lineage(), n, place);
        let info = reading_info(self.engine(), site, ShuffleStage::info(&*shuffle), None);
        Dataset::from_node(self.context(), Arc::new(KeysNode { info, shuffle }))
    }
}

/// Sorts the pairs of a shuffle within partitions.
pub(crate) struct SortedNode<K: Record, V: Record> {
    pub info: NodeInfo,
    pub shuffle: Arc<Shuffle<Pairs<K, V>>>,
    pub ascending: bool,
}

impl<K: Record + Ord, V: Record> Node for SortedNode<K, V> {
    reads_shuffle!();
}

impl<K: Record + Ord, V: Record> Lineage<(K, V)> for SortedNode<K, V> {
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(K, V)>>, Stop> {
        let mut reader = self.shuffle.read(partition, task)?;
        task.enter(self.info.id);
        let ascending = self.ascending;
        let compare = move |a: &(K, V), b: &(K, V)| -> Ordering {
            if ascending { a.0.cmp(&b.0) } else { b.0.cmp(&a.0) }
        };
        let mut sorter = Sorter::new(compare, task);
        sorter.expect(reader.records());
        while let Some(block) = reader.next()? {
            match block {
                BlockRef::Shared(b) => {
                    let Pairs { keys, values } = &b.payload;
                    sorter.extend(keys.iter().cloned().zip(values.iter().cloned()))?;
                }
                BlockRef::Owned(p) => sorter.extend(p.keys.into_iter().zip(p.values))?,
            }
        }
        Ok(Box::new(sorter.finish()?))
    }
}

impl<K: Record + Ord, V: Record> Dataset<(K, V)> {
    /// Puts every pair in the partition that `partitioner` says, each partition sorted by key (stable).
    #[track_caller]
    pub fn repartition_and_sort_within_partitions(
        &self,
        partitioner: Arc<dyn Partitioner<K>>,
    ) -> Dataset<(K, V)> {
        let site = Site { operation: "repartition_and_sort", location: Location::caller(), closure: "" };
        self.sorted_by(site, partitioner, true)
    }
    pub(crate) fn sorted_by(
        &self,
        site: Site,
        partitioner: Arc<dyn Partitioner<K>>,
        ascending: bool,
    ) -> Dataset<(K, V)> {
        let shuffle = by_partitioner(self, site, &partitioner);
        let any = AnyPartitioner::new(partitioner);
        let info = reading_info(self.engine(), site, ShuffleStage::info(&*shuffle), Some(any));
        Dataset::from_node(self.context(), Arc::new(SortedNode { info, shuffle, ascending }))
    }
}

/// Several partitions of the parent as one.
struct Coalesced<T: Data> {
    info: NodeInfo,
    up: Arc<dyn Lineage<T>>,
}

impl<T: Data> Coalesced<T> {
    fn parents(&self, partition: usize) -> std::ops::Range<usize> {
        let (n, p) = (self.up.info().partitions, self.info.partitions);
        partition * n / p..(partition + 1) * n / p
    }
}

impl<T: Data> Node for Coalesced<T> {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        vec![Dependency::Narrow(self.up.clone())]
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        let up: Arc<dyn Node> = self.up.clone();
        self.parents(partition).for_each(|p| visit(Input::Narrow(&up, p)));
    }
}

/// Partitions one after another.
pub(crate) struct ChainCursor<T> {
    rest: std::vec::IntoIter<(Arc<dyn Lineage<T>>, usize)>,
    now: Option<Box<dyn Cursor<T>>>,
    ended: bool,
    task: Rc<TaskContext>,
}

impl<T: Data> ChainCursor<T> {
    pub fn new(parts: Vec<(Arc<dyn Lineage<T>>, usize)>, task: &Rc<TaskContext>) -> Self {
        ChainCursor { rest: parts.into_iter(), now: None, ended: false, task: task.clone() }
    }
}

impl<T: Data> Cursor<T> for ChainCursor<T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        let ChainCursor { rest, now, ended, task } = self;
        if *ended {
            (*now, *ended) = (None, false);
        }
        if now.is_none() {
            let Some((node, partition)) = rest.next() else { return Ok(None) };
            *now = Some(node.open(partition, task)?);
        }
        match now.as_mut().expect("just opened").next()? {
            Some(chunk) => Ok(Some(chunk)),
            None => {
                // An empty chunk stands for "the next partition begins".
                *ended = true;
                Ok(Some(Chunk::Shared(&[])))
            }
        }
    }
}

impl<T: Data> Lineage<T> for Coalesced<T> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let parts = self.parents(partition).map(|p| (self.up.clone(), p)).collect();
        Ok(Box::new(ChainCursor::new(parts, task)))
    }
}

impl<T: Data> Dataset<T> {
    /// Fewer partitions without a shuffle: neighbours are read one after another by the same task. Coalescing to very
    /// few also computes what comes before with that few tasks; [`Dataset::repartition`] does not. More partitions than
    /// there are cannot be made so: the dataset is returned as it is.
    #[track_caller]
    pub fn coalesce(&self, partitions: usize) -> Dataset<T> {
        if partitions >= self.num_partitions() {
            return self.clone();
        }
        let info = NewNode {
            parents: &[self.lineage().info().digest],
            ..NewNode::of("coalesce", partitions.max(1), Location::caller())
        }
        .finish(self.engine());
        Dataset::from_node(self.context(), Arc::new(Coalesced { info, up: self.lineage().clone() }))
    }
}

/// A partition of a dataset as an iterator, in a task of another.
pub(crate) fn iterate<T: Data>(
    up: &Arc<dyn Lineage<T>>,
    partition: usize,
    task: &Rc<TaskContext>,
    node: u64,
) -> Result<PartitionIter<T>, Stop> {
    Ok(PartitionIter::new(up.clone().open(partition, task)?, task, node))
}
