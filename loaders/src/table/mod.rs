//! Tables: records with named, typed columns, as Arrow batches from the file to the learner.
//!
//! * [`RecordBlock`] is a batch of records that can be in a dataset.
//! * [`TableSource`] is a table in files: its schema, the pieces that it is divided into, and a [`BatchReader`] for each
//!   piece. Every format is one.
//! * [`Expr`] is a condition, or a column that is made of others.
//! * [`vector`] keeps rows of numbers, dense or sparse, in one column, as Spark does.

mod block;
pub mod expr;
pub(crate) mod schema;
mod source;
pub mod vector;

pub use block::RecordBlock;
pub use expr::{Expr, col, lit};
pub use schema::difference;
pub use source::{BATCH_ROWS, BatchReader, Scan, TableSource, batch_rows};
