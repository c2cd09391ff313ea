//! Datasets with lineage on timely dataflow.
//!
//! This crate is the lowest layer of the workspace: `loaders`, `paramstore` and `mllib` build on it, and it knows none
//! of them. It makes [`Dataset`]s (immutable, partitioned, described by how to compute them), runs them as stages on
//! [timely] workers, keeps what should be kept in a block store outside timely, and recomputes what is lost.

pub mod block;
pub mod cluster;
mod context;
pub mod dataset;
pub mod error;
pub mod event;
pub mod exec;
#[doc(hidden)]
pub mod fault;
#[doc(hidden)]
pub mod fuzzing;
pub mod hash;
pub mod history;
pub mod plan;
pub mod rng;
#[doc(hidden)]
pub mod safety;
pub mod simulation;
mod store;
#[doc(hidden)]
pub mod time;
pub mod transform;

mod action;

pub use action::{SUCCESS, Stats};
pub use context::{
    Accumulator, Broadcast, Config, Context, Engine, Name, Recovery, Topology, VARIABLES, parse_bytes,
};
pub use dataset::{Chunk, Cursor, Data, Dataset, PartitionIter, Record, Source, Stop, StorageLevel};
pub use error::{BadRecord, Error, ErrorKind, OnBad, Result};
pub use exec::interop::{AnyDataset, Bridge, DatasetRef, IntoDataset, Output};
pub use exec::task::TaskContext;
pub use plan::explain::Explanation;
pub use timely;
pub use transform::{
    Emit, HashPartitioner, Partitioner, PartitionerId, Partitioning, RangePartitioner, Steps,
};
