//! Tables: records with named, typed columns, as Arrow batches from the file to the learner.
//!
//! * [`RecordBlock`] is a batch of records that can be in a dataset.
//! * [`TableSource`] is a table in files: its schema, the pieces that it is divided into, and a [`BatchReader`] for each
//!   piece. Every format is one.
//! * [`Expr`] is a condition, or a column that is made of others.
//! * [`Frame`] is a table with what is to be done to it: select, filter, make columns, group.
//! * [`MadeTable`] is made up, to try and to measure things on.
//! * [`FeatureMap`] makes rows of features of columns.
//! * [`vector`] keeps rows of numbers, dense or sparse, in one column, as Spark does.

mod block;
mod dictionary;
mod eval_errors;
pub mod expr;
pub mod features;
mod frame;
mod group;
mod made;
mod partitioned;
pub(crate) mod schema;
mod source;
mod survey;
mod typed;
pub mod vector;
mod writer;

pub use block::RecordBlock;
pub use expr::{Expr, col, lit};
pub use features::{FeatureMap, FeatureOptions, Missing, Texts};
pub use frame::Frame;
pub use group::Aggregate;
pub use made::{DIGITS_ALL, MadeColumns, MadeTable};
pub(crate) use partitioned::Partitioned;
pub use schema::difference;
pub use source::{BATCH_ROWS, BatchReader, Scan, TableSource, batch_rows};
pub use survey::{ColumnSurvey, Survey};
pub use writer::BatchWriter;
