//! Parameter tables with bounded staleness, in the same timely graph as the datasets.
//!
//! This crate stands on `dataflow` and below `mllib`. A [`Table`] is a matrix of numbers that many tasks read and add
//! to at the same time; [`EpochsExt::epochs`] trains on a dataset with one or several of them, in one long-lived
//! dataflow. How old what a task reads may be is the table's [`Consistency`].
//!
//! # The graph
//!
//! ```text
//! partitions -> compute --deltas--> store --refreshes--> install --(frontier only)--> feedback(+1) -> compute
//! ```
//!
//! A worker's *clock* is the time of its capability; one clock is one minibatch of each of its partitions. With `f` the
//! frontier at the end of the loop, the updates of all clocks before `f - 1`, of all workers, are in the replica. That
//! is all there is to the bound: timely's progress protocol proves it, there are no vector clocks.
//!
//! ```
//! use slackwater_dataflow::Context;
//! use slackwater_paramstore::{Consistency, EpochsExt, TableExt, TableSpec};
//!
//! let cx = Context::local(2)?;
//! let numbers = cx.range(0..1000, 4);
//! let sum = cx.table("sum", TableSpec::<f64>::dense(1, 1).consistency(Consistency::Ssp(3)))?;
//! let report = numbers.epochs(2).batch(100).update(&sum, |batch, sum, _| {
//!     batch.iter().for_each(|n| sum.inc(0, 0, *n as f64));
//! }).run()?;
//! assert_eq!(sum.get(0, 0), 2.0 * 499_500.0);
//! assert!(report.staleness_max() <= 3);
//! # Ok::<(), slackwater_dataflow::Error>(())
//! ```

mod block;
mod bound;
mod compute;
mod consistency;
mod dataset;
mod delta_log;
mod epochs;
#[doc(hidden)]
pub mod fuzzing;
mod in_place;
mod local;
mod mail;
mod partial;
mod recovery;
mod replica;
mod report;
mod rotation;
mod rule;
mod run;
pub mod schedule;
mod sending;
mod server;
mod snapshot;
mod sparse;
mod sync;
mod table;
mod training;
mod value;
mod values;
mod view;

pub use consistency::{ASYNC_LEAD_MAX, ASYNC_RULED_LEAD_MAX, Consistency};
pub use dataset::{MapWithExt, TableValues};
pub use epochs::{Epochs, EpochsExt, LocalEpochs, Training};
pub use report::{Histogram, Perturbation, Progress, Report, WorkerReport};
pub use rotation::{RotateExt, Rotation, Seat, Turn};
pub use rule::Rule;
pub use sending::Sending;
pub use snapshot::Snapshots;
pub use table::{Table, TableExt, TableSpec};
pub use value::{Product, Value};
pub use view::{Clock, TableView};

pub use slackwater_dataflow::{Error, Recovery, Result};
