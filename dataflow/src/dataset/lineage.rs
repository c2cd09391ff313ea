//! What a dataset is made of: nodes that know their partitions and dependencies, and cursors that compute a partition.
//!
//! A [`Lineage`] opens a [`Cursor`] on one partition; a cursor lends chunks of about a thousand records. One virtual
//! call a chunk, so a chain of narrow operations costs about a nanosecond a record (0.43 is the floor of a chain of
//! `std` iterators; boxed iterators take 5). Pull, not push: a cursor can be left half-way, which gives `take`, `zip`
//! and merges, and lets a worker go on with its other duties between two chunks.
//!
//! Cursors own what they need (`open` takes `Arc<Self>`), so an operator can keep one between activations. They live
//! on the worker thread that opened them.

use crate::error::Error;
use crate::exec::shuffle::ShuffleStage;
use crate::exec::task::TaskContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// Number of a node of the lineage graph. The same node has the same number in every process.
pub type NodeId = u64;

/// What a dataset can hold.
pub trait Data: Clone + Send + Sync + 'static {}
impl<T: Clone + Send + Sync + 'static> Data for T {}

/// Data that can leave its process: what shuffles, caches and collecting actions need. Derive serde's two traits.
pub trait Record: Data + Serialize + DeserializeOwned {}
impl<T: Data + Serialize + DeserializeOwned> Record for T {}

/// Records lent by a cursor until its next call.
///
/// `Shared` is what a cached partition lends: consumers that only look (filters, folds, hashing for a shuffle) never
/// clone. An empty chunk is legal and is not the end.
pub enum Chunk<'c, T> {
    /// The consumer may take the records, or the whole vector.
    Owned(&'c mut Vec<T>),
    /// The consumer may look.
    Shared(&'c [T]),
}

impl<T> Chunk<'_, T> {
    /// The records.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Chunk::Owned(v) => v,
            Chunk::Shared(s) => s,
        }
    }
    /// Number of records.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Chunk<'_, T> {
    /// Moves or clones the records to the end of `to`.
    pub fn append_to(self, to: &mut Vec<T>) {
        match self {
            Chunk::Owned(v) => to.append(v),
            Chunk::Shared(s) => to.extend_from_slice(s),
        }
    }
    /// Calls `f` with each record by value.
    pub fn for_each(self, f: impl FnMut(T)) {
        match self {
            Chunk::Owned(v) => v.drain(..).for_each(f),
            Chunk::Shared(s) => s.iter().cloned().for_each(f),
        }
    }
}

/// Why a task ends before its input does. It travels through `?`; it is not a panic.
#[derive(Debug)]
pub enum Stop {
    /// The job was cancelled or has already failed elsewhere.
    Cancelled,
    /// A block that the plan relied on is gone: the job is planned again, and recomputes it.
    Missing(String),
    /// The task cannot succeed: trying again will not help.
    Fatal(Error),
    /// The task failed and may be tried again.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        if e.is_retryable() { Stop::Failed(e) } else { Stop::Fatal(e) }
    }
}

/// A running computation of one partition.
pub trait Cursor<T> {
    /// The next chunk, or `None` at the end. After `None` or an error nothing may be called.
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop>;
}

/// Which partitions of its parent a partition of a narrow child reads.
pub enum Input<'a> {
    /// Partition `.1` of a parent in the same stage.
    Narrow(&'a Arc<dyn Node>, usize),
    /// Partition `.1` of a shuffle's output.
    Shuffle(&'a Arc<dyn ShuffleStage>, usize),
}

/// How a node depends on another, for plans and pictures.
pub enum Dependency {
    /// Each partition reads a few partitions of the parent, in the same task.
    Narrow(Arc<dyn Node>),
    /// Each partition reads some of every partition of the parent, through a shuffle.
    Shuffle(Arc<dyn ShuffleStage>),
}

/// The partitioner of a dataset of pairs, with its key type erased.
#[derive(Clone)]
pub struct AnyPartitioner {
    /// Equal for partitioners that put every key in the same partition.
    pub id: crate::transform::PartitionerId,
    /// An `Arc<dyn Partitioner<K>>`.
    pub typed: Arc<dyn Any + Send + Sync>,
}

/// What every node has.
pub struct NodeInfo {
    /// Its number.
    pub id: NodeId,
    /// The operation, such as `map`.
    pub operation: &'static str,
    /// Details for `explain`, such as a file name.
    pub detail: String,
    /// Number of partitions.
    pub partitions: usize,
    /// Where the user's program made it.
    pub site: &'static Location<'static>,
    /// Hash over this node and everything it depends on; the same in every process that runs the same program.
    pub digest: u64,
    /// How keys are spread over partitions, if that is known.
    pub partitioner: Option<AnyPartitioner>,
    /// A name given by the user.
    pub name: OnceLock<String>,
}

/// A node of the lineage graph, its record type erased.
pub trait Node: Send + Sync + 'static {
    /// What every node has.
    fn info(&self) -> &NodeInfo;
    /// Parents, in order.
    fn dependencies(&self) -> Vec<Dependency>;
    /// What computing `partition` reads. Called by the planner; must be cheap.
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>));
    /// True if `partition` can be read without its inputs (cached or checkpointed).
    fn is_available(&self, partition: usize) -> bool {
        let _ = partition;
        false
    }
    /// Forgets what is kept, if anything is.
    fn release(&self) {}
    /// For `explain`: how and where the partitions are kept, if they are.
    fn storage(&self) -> Option<String> {
        None
    }
}

/// A node that can compute records of type `T`.
pub trait Lineage<T: Data>: Node {
    /// Starts computing `partition`.
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop>;
}
