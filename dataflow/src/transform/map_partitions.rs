//! `map_partitions`: a closure that sees a whole partition as an iterator.

use crate::dataset::lineage::{Chunk, Cursor, Data, Lineage, Node, NodeId, NodeInfo, Stop};
use crate::dataset::node::{narrow, one_to_one};
use crate::dataset::{Dataset, PartitionIter, Ramp};
use crate::exec::task::TaskContext;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

struct MapPartitions<T: Data, U, F> {
    info: NodeInfo,
    up: Arc<dyn Lineage<T>>,
    f: F,
    _out: PhantomData<fn() -> U>,
}

/// The user's iterator as a cursor.
pub(crate) struct IterCursor<U, I> {
    records: I,
    buffer: Vec<U>,
    stops: Vec<Rc<RefCell<Option<Stop>>>>,
    ramp: Ramp,
    task: Rc<TaskContext>,
    node: NodeId,
}

impl<U, I> IterCursor<U, I> {
    /// `stops`: where the inputs of the iterator leave an early stop.
    pub fn new(
        records: I,
        stops: Vec<Rc<RefCell<Option<Stop>>>>,
        task: &Rc<TaskContext>,
        node: NodeId,
    ) -> Self {
        IterCursor { records, buffer: vec![], stops, ramp: Ramp::new::<U>(), task: task.clone(), node }
    }
}

impl<U, I: Iterator<Item = U>> Cursor<U> for IterCursor<U, I> {
    fn next(&mut self) -> Result<Option<Chunk<'_, U>>, Stop> {
        self.buffer.clear();
        self.task.check()?;
        self.task.enter(self.node);
        self.buffer.extend(self.records.by_ref().take(self.ramp.next()));
        for stop in &self.stops {
            if let Some(stop) = stop.borrow_mut().take() {
                return Err(stop);
            }
        }
        Ok((!self.buffer.is_empty()).then_some(Chunk::Owned(&mut self.buffer)))
    }
}

impl<T: Data, U: Data, I, F> Node for MapPartitions<T, U, F>
where
    I: Iterator<Item = U> + 'static,
    F: Fn(usize, PartitionIter<T>) -> I + Send + Sync + 'static,
{
    one_to_one!();
}

impl<T: Data, U: Data, I, F> Lineage<U> for MapPartitions<T, U, F>
where
    I: Iterator<Item = U> + 'static,
    F: Fn(usize, PartitionIter<T>) -> I + Send + Sync + 'static,
{
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<U>>, Stop> {
        let up = self.up.clone().open(partition, task)?;
        let input = PartitionIter::new(up, task, self.info.id);
        let stop = input.stop();
        task.enter(self.info.id);
        let records = (self.f)(partition, input);
        Ok(Box::new(IterCursor::new(records, vec![stop], task, self.info.id)))
    }
}

impl<T: Data> Dataset<T> {
    /// Replaces every partition by what `f` makes of its iterator. For work that is set up once a partition.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let sums = cx.range(0..10, 2).map_partitions(|records| std::iter::once(records.sum::<u64>()));
    /// assert_eq!(sums.collect()?, [10, 35]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions<U, I, F>(&self, f: F) -> Dataset<U>
    where
        U: Data,
        I: Iterator<Item = U> + 'static,
        F: Fn(PartitionIter<T>) -> I + Send + Sync + 'static,
    {
        self.map_partitions_as("map_partitions", Location::caller(), false, move |_, records| f(records))
    }
    /// As [`Dataset::map_partitions`] with the partition's number.
    #[track_caller]
    pub fn map_partitions_with_index<U, I, F>(&self, f: F) -> Dataset<U>
    where
        U: Data,
        I: Iterator<Item = U> + 'static,
        F: Fn(usize, PartitionIter<T>) -> I + Send + Sync + 'static,
    {
        self.map_partitions_as("map_partitions", Location::caller(), false, f)
    }
    /// As [`Dataset::map_partitions`] for a closure that keeps every record's key, or that keeps keys in their
    /// partition: later operations by key need no shuffle.
    #[track_caller]
    pub fn map_partitions_keeping_keys<U, I, F>(&self, f: F) -> Dataset<U>
    where
        U: Data,
        I: Iterator<Item = U> + 'static,
        F: Fn(PartitionIter<T>) -> I + Send + Sync + 'static,
    {
        self.map_partitions_as("map_partitions", Location::caller(), true, move |_, records| f(records))
    }
    /// Every partition as one record.
    #[track_caller]
    pub fn glom(&self) -> Dataset<Vec<T>> {
        self.map_partitions_as("glom", Location::caller(), false, |_, records| {
            std::iter::once_with(move || records.collect())
        })
    }
    pub(crate) fn map_partitions_as<U, I, F>(
        &self,
        operation: &'static str,
        site: &'static Location<'static>,
        keeps_keys: bool,
        f: F,
    ) -> Dataset<U>
    where
        U: Data,
        I: Iterator<Item = U> + 'static,
        F: Fn(usize, PartitionIter<T>) -> I + Send + Sync + 'static,
    {
        let info = narrow::<F>(self.engine(), operation, self.lineage().info(), site, keeps_keys);
        let node = MapPartitions { info, up: self.lineage().clone(), f, _out: PhantomData };
        Dataset::from_node(self.context(), Arc::new(node))
    }
}
