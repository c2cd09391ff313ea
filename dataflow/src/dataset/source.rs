//! Where records come from: collections of the main program, ranges, and anything that implements [`Source`].

use super::Dataset;
use super::lineage::{AnyPartitioner, Chunk, Cursor, Data, Lineage, Node, NodeInfo, Stop};
use super::node::{NewNode, no_inputs};
use crate::context::Context;
use crate::exec::task::TaskContext;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Something that can be read partition by partition: files, generators, other systems.
///
/// A source must be the same every time: a partition may be opened more than once, and in several processes each opens
/// its own. Call [`TaskContext::check`] once a chunk and [`TaskContext::count_in`] with the records delivered.
pub trait Source<T: Data>: Send + Sync + 'static {
    /// Number of partitions.
    fn partitions(&self) -> usize;
    /// For `explain` and the plan fingerprint: which files, which part of them.
    fn describe(&self) -> String;
    /// Starts reading a partition.
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop>;
}

struct SourceNode<S> {
    info: NodeInfo,
    source: S,
}

impl<S: Send + Sync + 'static> Node for SourceNode<S> {
    no_inputs!();
}

impl<T: Data, S: Source<T>> Lineage<T> for SourceNode<S> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        task.enter(self.info.id);
        self.source.open(partition, task)
    }
}

/// Chunks grow 16, 64, 256, ...: `take(1)` over an expensive map must not compute a thousand records first.
pub(crate) struct Ramp {
    step: usize,
    most: usize,
}

impl Ramp {
    pub fn new<T>() -> Self {
        Ramp { step: 16, most: TaskContext::chunk_records::<T>() }
    }
    pub fn next(&mut self) -> usize {
        let step = self.step.min(self.most);
        self.step = (step * 4).min(self.most);
        step
    }
}

/// Lends slices of a vector that others hold too.
pub(crate) struct SharedCursor<T> {
    data: Arc<Vec<T>>,
    at: usize,
    end: usize,
    ramp: Ramp,
    task: Rc<TaskContext>,
}

impl<T> SharedCursor<T> {
    pub fn new(data: Arc<Vec<T>>, range: std::ops::Range<usize>, task: &Rc<TaskContext>) -> Self {
        SharedCursor { data, at: range.start, end: range.end, ramp: Ramp::new::<T>(), task: task.clone() }
    }
}

impl<T> Cursor<T> for SharedCursor<T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.task.check()?;
        if self.at == self.end {
            return Ok(None);
        }
        let from = self.at;
        self.at = (from + self.ramp.next()).min(self.end);
        self.task.count_in(self.at - from);
        Ok(Some(Chunk::Shared(&self.data[from..self.at])))
    }
}

/// The records of a vector, `n` of them in `partitions` runs of about equal length, as Spark cuts them.
struct Collection<T> {
    data: Arc<Vec<T>>,
    partitions: usize,
}

impl<T: Data> Source<T> for Collection<T> {
    fn partitions(&self) -> usize {
        self.partitions
    }
    fn describe(&self) -> String {
        format!("{} records", self.data.len())
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let (n, p) = (self.data.len(), self.partitions);
        let range = partition * n / p..(partition + 1) * n / p;
        Ok(Box::new(SharedCursor::new(self.data.clone(), range, task)))
    }
}

/// Whole partitions made by the main program.
struct Partitions<T>(Vec<Arc<Vec<T>>>);

impl<T: Data> Source<T> for Partitions<T> {
    fn partitions(&self) -> usize {
        self.0.len()
    }
    fn describe(&self) -> String {
        // Not the number of records: a process may hold its own partitions only.
        format!("{} partitions", self.0.len())
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let data = self.0[partition].clone();
        let range = 0..data.len();
        Ok(Box::new(SharedCursor::new(data, range, task)))
    }
}

struct Range {
    start: u64,
    end: u64,
    partitions: usize,
}

struct RangeCursor {
    at: u64,
    end: u64,
    ramp: Ramp,
    buffer: Vec<u64>,
    task: Rc<TaskContext>,
}

impl Source<u64> for Range {
    fn partitions(&self) -> usize {
        self.partitions
    }
    fn describe(&self) -> String {
        format!("{}..{}", self.start, self.end)
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<u64>>, Stop> {
        let n = self.end.saturating_sub(self.start) as u128;
        let cut = |i: usize| self.start + (i as u128 * n / self.partitions as u128) as u64;
        Ok(Box::new(RangeCursor {
            at: cut(partition),
            end: cut(partition + 1),
            ramp: Ramp::new::<u64>(),
            buffer: vec![],
            task: task.clone(),
        }))
    }
}

impl Cursor<u64> for RangeCursor {
    fn next(&mut self) -> Result<Option<Chunk<'_, u64>>, Stop> {
        self.task.check()?;
        if self.at == self.end {
            return Ok(None);
        }
        let to = self.end.min(self.at.saturating_add(self.ramp.next() as u64));
        self.buffer.clear();
        self.buffer.extend(self.at..to);
        self.at = to;
        self.task.count_in(self.buffer.len());
        Ok(Some(Chunk::Owned(&mut self.buffer)))
    }
}

impl Context {
    #[track_caller]
    fn source_node<T: Data, S: Source<T>>(&self, operation: &'static str, source: S) -> Dataset<T> {
        self.source_node_with(operation, source, None)
    }
    #[track_caller]
    pub(crate) fn read_partitioned<T: Data>(
        &self,
        source: impl Source<T>,
        partitioner: Option<AnyPartitioner>,
    ) -> Dataset<T> {
        self.source_node_with("read", source, partitioner)
    }
    #[track_caller]
    fn source_node_with<T: Data, S: Source<T>>(
        &self,
        operation: &'static str,
        source: S,
        partitioner: Option<AnyPartitioner>,
    ) -> Dataset<T> {
        let info = NewNode {
            partitioner,
            detail: source.describe(),
            closure: std::any::type_name::<S>(),
            ..NewNode::of(operation, source.partitions(), Location::caller())
        }
        .finish(self.engine());
        Dataset::from_node(self, Arc::new(SourceNode { info, source }))
    }
    /// A dataset that reads `source`.
    #[track_caller]
    pub fn read<T: Data>(&self, source: impl Source<T>) -> Dataset<T> {
        self.source_node("read", source)
    }
    /// A dataset of the given records in `partitions` runs of about equal length.
    #[track_caller]
    pub fn parallelize<T: Data>(&self, records: impl Into<Vec<T>>, partitions: usize) -> Dataset<T> {
        let data = Arc::new(records.into());
        self.source_node("parallelize", Collection { data, partitions: partitions.max(1) })
    }
    /// A dataset of the given partitions.
    #[track_caller]
    pub fn from_partitions<T: Data>(&self, partitions: Vec<Vec<T>>) -> Dataset<T> {
        self.source_node("partitions", Partitions(partitions.into_iter().map(Arc::new).collect()))
    }
    /// The whole numbers of a range, made as they are read.
    #[track_caller]
    pub fn range(&self, range: std::ops::Range<u64>, partitions: usize) -> Dataset<u64> {
        self.source_node(
            "range",
            Range { start: range.start, end: range.end.max(range.start), partitions: partitions.max(1) },
        )
    }
    /// A dataset without partitions.
    #[track_caller]
    pub fn empty<T: Data>(&self) -> Dataset<T> {
        self.source_node("empty", Partitions(vec![]))
    }
}
