//! Execution on timely: jobs, stages, tasks, shuffles.

pub(crate) mod aggregate;
pub mod attempts;
pub(crate) mod board;
pub(crate) mod codec;
pub(crate) mod gather;
pub mod interop;
pub(crate) mod job;
pub mod keep;
pub(crate) mod leave;
pub(crate) mod log;
pub(crate) mod parcel;
pub mod shuffle;
pub(crate) mod sort;
pub(crate) mod stage;
pub(crate) mod table;
pub mod task;
pub(crate) mod turns;
