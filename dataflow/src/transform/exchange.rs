//! What all shuffling operations share: map tasks that place records, and nodes that read a shuffle.

use super::partitioner::Partitioner;
use crate::context::Engine;
use crate::dataset::lineage::{
    AnyPartitioner, Chunk, Cursor, Dependency, Input, Lineage, Node, NodeInfo, Record, Stop,
};
use crate::dataset::node::NewNode;
use crate::exec::aggregate::{Aggregation, Combine};
use crate::exec::parcel::{Pairs, Parcel};
use crate::exec::shuffle::{Adaptive, BlockRef, MapTask, Scatter, Shuffle, ShuffleReader, ShuffleStage};
use crate::exec::task::TaskContext;
use crate::hash::{hash_of, partition_of};
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Says which partition the next record goes to. Made afresh for every map task.
pub(crate) trait Place<K>: 'static {
    fn place(&mut self, key: &K) -> usize;
}

/// By our stable hash, without a virtual call.
#[derive(Clone, Copy)]
pub(crate) struct ByHash(pub usize);

impl<K: Hash> Place<K> for ByHash {
    #[inline(always)]
    fn place(&mut self, key: &K) -> usize {
        partition_of(hash_of(key), self.0)
    }
}

/// As a partitioner says.
pub(crate) struct ByPartitioner<K>(pub Arc<dyn Partitioner<K>>);

impl<K: 'static> Place<K> for ByPartitioner<K> {
    #[inline]
    fn place(&mut self, key: &K) -> usize {
        let (partition, partitions) = (self.0.partition(key), self.0.partitions());
        assert!(partition < partitions, "the partitioner said {partition} of {partitions} partitions");
        partition
    }
}

/// One after another, whatever the record.
pub(crate) struct RoundRobin {
    pub next: usize,
    pub partitions: usize,
}

impl<K> Place<K> for RoundRobin {
    #[inline]
    fn place(&mut self, _: &K) -> usize {
        let partition = self.next;
        self.next = if partition + 1 == self.partitions { 0 } else { partition + 1 };
        partition
    }
}

/// Scatters records as they are.
struct PlainMap<K, V, P> {
    up: Box<dyn Cursor<(K, V)>>,
    place: P,
    ids: Vec<u32>,
    scatter: Scatter<K, V>,
    task: Rc<TaskContext>,
}

impl<K: Record, V: Record, P: Place<K>> MapTask<Pairs<K, V>> for PlainMap<K, V, P> {
    fn step(&mut self, out: &mut Vec<Parcel<Pairs<K, V>>>) -> Result<bool, Stop> {
        let Some(chunk) = self.up.next()? else {
            self.scatter.finish(out);
            finish_metrics(&self.task, &self.scatter);
            return Ok(true);
        };
        scatter_all(chunk, &mut self.place, &mut self.ids, &mut self.scatter, |v| v, out);
        Ok(false)
    }
}

/// Scatters a chunk. Two loops: the first is arithmetic, the second has nothing but stores.
#[inline(always)]
fn scatter_all<K: Record, V: Record, C: Record>(
    chunk: Chunk<'_, (K, V)>,
    place: &mut impl Place<K>,
    ids: &mut Vec<u32>,
    scatter: &mut Scatter<K, C>,
    value: impl Fn(V) -> C,
    out: &mut Vec<Parcel<Pairs<K, C>>>,
) {
    ids.clear();
    ids.extend(chunk.as_slice().iter().map(|(k, _)| place.place(k) as u32));
    let mut ids = ids.iter();
    chunk.for_each(|(k, v)| {
        let id = ids.next().copied().expect("one id a record");
        scatter.push(id as usize, k, value(v), out);
    });
}

fn finish_metrics<K: Record, V: Record>(task: &TaskContext, scatter: &Scatter<K, V>) {
    let mut metrics = task.metrics.borrow_mut();
    metrics.records_out += scatter.records;
    metrics.bytes_out += scatter.bytes;
}

/// Combines by key as far as that pays, then scatters.
struct CombineMap<K, V, C, A, P> {
    up: Box<dyn Cursor<(K, V)>>,
    place: P,
    ids: Vec<u32>,
    combine: Arc<A>,
    adaptive: Adaptive<K, C>,
    scatter: Scatter<K, C>,
    task: Rc<TaskContext>,
}

impl<K, V, C, A, P> MapTask<Pairs<K, C>> for CombineMap<K, V, C, A, P>
where
    K: Record + Hash + Eq,
    V: Record,
    C: Record,
    A: Combine<V, C>,
    P: Place<K>,
{
    fn step(&mut self, out: &mut Vec<Parcel<Pairs<K, C>>>) -> Result<bool, Stop> {
        let (scatter, place, combine) = (&mut self.scatter, &mut self.place, &*self.combine);
        let Some(chunk) = self.up.next()? else {
            for (k, c) in self.adaptive.empty() {
                scatter.push(place.place(&k), k, c, out);
            }
            scatter.finish(out);
            finish_metrics(&self.task, scatter);
            return Ok(true);
        };
        let n = chunk.len();
        if !self.adaptive.wants(n) {
            scatter_all(chunk, place, &mut self.ids, scatter, |v| combine.create(v), out);
            return Ok(false);
        }
        let table = &mut self.adaptive.table;
        let (create, merge) = (|v| combine.create(v), |c: &mut C, v| combine.merge(c, v));
        match chunk {
            Chunk::Owned(records) => table.add_all(records, create, merge),
            Chunk::Shared(records) => table.add_all_ref(records.iter().map(|(k, v)| (k, v)), create, merge),
        }
        for (k, c) in self.adaptive.fed(n).into_iter().flatten() {
            scatter.push(place.place(&k), k, c, out);
        }
        Ok(false)
    }
}

/// What a new shuffle is called.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    pub operation: &'static str,
    pub location: &'static Location<'static>,
    /// `type_name` of the user's closure.
    pub closure: &'static str,
}

fn shuffle_info(engine: &Engine, site: Site, parent: &NodeInfo, partitions: usize) -> NodeInfo {
    NewNode {
        closure: site.closure,
        parents: &[parent.digest],
        ..NewNode::of(site.operation, partitions, site.location)
    }
    .finish(engine)
}

/// A shuffle of pairs as they are.
pub(crate) fn plain<K: Record, V: Record, P: Place<K>>(
    engine: &Arc<Engine>,
    site: Site,
    up: &Arc<dyn Lineage<(K, V)>>,
    partitions: usize,
    place: impl Fn(usize) -> P + Send + Sync + 'static,
) -> Arc<Shuffle<Pairs<K, V>>> {
    let (info, from) = (shuffle_info(engine, site, up.info(), partitions), up.clone());
    let start = move |map: usize, task: &Rc<TaskContext>, target: crate::exec::shuffle::MapTarget| {
        let up = from.clone().open(map, task)?;
        let (scatter, place, task) = (Scatter::new(&target), place(map), task.clone());
        Ok(Box::new(PlainMap { up, place, ids: vec![], scatter, task }) as Box<dyn MapTask<_>>)
    };
    Shuffle::new(info, up.clone(), engine, Box::new(start))
}

/// A shuffle of pairs, combined by key on the map side.
pub(crate) fn combining<K, V, C, A, P>(
    engine: &Arc<Engine>,
    site: Site,
    up: &Arc<dyn Lineage<(K, V)>>,
    partitions: usize,
    combine: &Arc<A>,
    place: impl Fn(usize) -> P + Send + Sync + 'static,
) -> Arc<Shuffle<Pairs<K, C>>>
where
    K: Record + Hash + Eq,
    V: Record,
    C: Record,
    A: Combine<V, C>,
    P: Place<K>,
{
    let (info, from, combine) =
        (shuffle_info(engine, site, up.info(), partitions), up.clone(), combine.clone());
    let start = move |map: usize, task: &Rc<TaskContext>, target: crate::exec::shuffle::MapTarget| {
        let up = from.clone().open(map, task)?;
        let (scatter, place, task) = (Scatter::new(&target), place(map), task.clone());
        let combine = combine.clone();
        let map = CombineMap { up, place, ids: vec![], combine, adaptive: Adaptive::new(), scatter, task };
        Ok(Box::new(map) as Box<dyn MapTask<_>>)
    };
    Shuffle::new(info, up.clone(), engine, Box::new(start))
}

/// Implements `Node` for a node whose partition p reads partition p of `self.shuffle`.
macro_rules! reads_shuffle {
    () => {
        fn info(&self) -> &NodeInfo {
            &self.info
        }
        fn dependencies(&self) -> Vec<Dependency> {
            vec![Dependency::Shuffle(self.shuffle.clone())]
        }
        fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
            let shuffle: Arc<dyn ShuffleStage> = self.shuffle.clone();
            visit(Input::Shuffle(&shuffle, partition));
        }
    };
}
pub(crate) use reads_shuffle;

/// The info of a node that reads a shuffle.
pub(crate) fn reading_info(
    engine: &Engine,
    site: Site,
    shuffle: &NodeInfo,
    partitioner: Option<AnyPartitioner>,
) -> NodeInfo {
    NewNode {
        parents: &[shuffle.digest],
        partitioner,
        ..NewNode::of(site.operation, shuffle.partitions, site.location)
    }
    .finish(engine)
}

/// Pairs as a shuffle delivers them.
pub(crate) struct PairsNode<K: Record, V: Record> {
    pub info: NodeInfo,
    pub shuffle: Arc<Shuffle<Pairs<K, V>>>,
}

impl<K: Record, V: Record> Node for PairsNode<K, V> {
    reads_shuffle!();
}

impl<K: Record, V: Record> Lineage<(K, V)> for PairsNode<K, V> {
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(K, V)>>, Stop> {
        let reader = self.shuffle.read(partition, task)?;
        Ok(Box::new(BlockCursor { reader, block: None, at: 0, buffer: vec![], pair: |k, v| (k, v) }))
    }
}

/// Single records as a shuffle delivers them.
pub(crate) struct KeysNode<T: Record> {
    pub info: NodeInfo,
    pub shuffle: Arc<Shuffle<Pairs<T, ()>>>,
}

impl<T: Record> Node for KeysNode<T> {
    reads_shuffle!();
}

impl<T: Record> Lineage<T> for KeysNode<T> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let reader = self.shuffle.read(partition, task)?;
        Ok(Box::new(BlockCursor { reader, block: None, at: 0, buffer: vec![], pair: |k, ()| k }))
    }
}

/// Hands out the records of blocks.
struct BlockCursor<K: Record, V: Record, T> {
    reader: ShuffleReader<Pairs<K, V>>,
    block: Option<BlockRef<Pairs<K, V>>>,
    at: usize,
    buffer: Vec<T>,
    pair: fn(K, V) -> T,
}

impl<K: Record, V: Record, T: Record> Cursor<T> for BlockCursor<K, V, T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.buffer.clear();
        let BlockCursor { reader, block, at, buffer, pair } = self;
        loop {
            if let Some(now) = block {
                let pairs = now.get();
                if *at < pairs.keys.len() {
                    let to = pairs.keys.len().min(*at + TaskContext::chunk_records::<T>());
                    let (keys, values) = (&pairs.keys[*at..to], &pairs.values[*at..to]);
                    buffer.extend(keys.iter().zip(values).map(|(k, v)| pair(k.clone(), v.clone())));
                    *at = to;
                    return Ok(Some(Chunk::Owned(buffer)));
                }
            }
            (*block, *at) = (None, 0);
            match reader.next()? {
                None => return Ok(None),
                next => *block = next,
            }
        }
    }
}

/// Values of a shuffle combined by key.
pub(crate) struct CombinedNode<K: Record, X: Record, C, A> {
    pub info: NodeInfo,
    pub shuffle: Arc<Shuffle<Pairs<K, X>>>,
    pub combine: Arc<A>,
    pub _c: std::marker::PhantomData<fn() -> C>,
}

impl<K, X, C, A> Node for CombinedNode<K, X, C, A>
where
    K: Record + Hash + Eq,
    X: Record,
    C: Record,
    A: Combine<X, C>,
{
    reads_shuffle!();
}

impl<K, X, C, A> Lineage<(K, C)> for CombinedNode<K, X, C, A>
where
    K: Record + Hash + Eq,
    X: Record,
    C: Record,
    A: Combine<X, C>,
{
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(K, C)>>, Stop> {
        let mut reader = self.shuffle.read(partition, task)?;
        task.enter(self.info.id);
        let mut aggregation = Aggregation::new(self.combine.clone(), task);
        feed(&mut reader, &mut aggregation)?;
        Ok(Box::new(aggregation.finish()?))
    }
}

/// Combines all blocks of a reader.
pub(crate) fn feed<K, X, C, A>(
    reader: &mut ShuffleReader<Pairs<K, X>>,
    aggregation: &mut Aggregation<K, X, C, A>,
) -> Result<(), Stop>
where
    K: Record + Hash + Eq,
    X: Record,
    C: Record,
    A: Combine<X, C>,
{
    while let Some(block) = reader.next()? {
        match block {
            BlockRef::Shared(b) => aggregation.add_ref(&b.payload.keys, &b.payload.values)?,
            BlockRef::Owned(p) => aggregation.add(p.keys, p.values)?,
        }
    }
    Ok(())
}

/// Combines by key within partitions: for datasets whose keys lie together already.
pub(crate) struct LocalCombinedNode<K: Record, V: Record, C, A> {
    pub info: NodeInfo,
    pub up: Arc<dyn Lineage<(K, V)>>,
    pub combine: Arc<A>,
    pub _c: std::marker::PhantomData<fn() -> C>,
}

impl<K, V, C, A> Node for LocalCombinedNode<K, V, C, A>
where
    K: Record + Hash + Eq,
    V: Record,
    C: Record,
    A: Combine<V, C>,
{
    crate::dataset::node::one_to_one!();
}

impl<K, V, C, A> Lineage<(K, C)> for LocalCombinedNode<K, V, C, A>
where
    K: Record + Hash + Eq,
    V: Record,
    C: Record,
    A: Combine<V, C>,
{
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(K, C)>>, Stop> {
        let mut up = self.up.clone().open(partition, task)?;
        let mut aggregation = Aggregation::new(self.combine.clone(), task);
        feed_cursor(&mut *up, &mut aggregation, |pair| pair)?;
        Ok(Box::new(aggregation.finish()?))
    }
}

/// Combines all records of a cursor, each turned into a pair.
pub(crate) fn feed_cursor<T, K, X, C, A>(
    up: &mut dyn Cursor<T>,
    aggregation: &mut Aggregation<K, X, C, A>,
    pair: impl Fn(T) -> (K, X),
) -> Result<(), Stop>
where
    T: Record,
    K: Record + Hash + Eq,
    X: Record,
    C: Record,
    A: Combine<X, C>,
{
    while let Some(chunk) = up.next()? {
        let (mut keys, mut values) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
        chunk.for_each(|record| {
            let (k, x) = pair(record);
            keys.push(k);
            values.push(x);
        });
        aggregation.add(keys, values)?;
    }
    Ok(())
}
