//! Models on disk.
//!
//! # What it is
//! A directory:
//!
//! ```text
//! a9a.model/
//!   metadata.json             what it is: format version, algorithm, attributes, size and checksum of the data
//!   data/part-00000.parquet   the weights, readable by any Parquet reader
//! ```
//!
//! # Guarantees
//! [`save`] writes beside the target and renames, so a reader sees a whole model or none; it refuses to replace
//! anything unless told, and then only another model. [`load`] checks version, algorithm, size and checksum before it
//! reads. The same model gives the same bytes.
//!
//! # How it fails
//! A missing file is an input error naming it; a model that is damaged, of another algorithm or of a newer version is an
//! input error saying which; a full disk is an environment error, and the target is as before.

mod files;
mod matrix;
mod metadata;

pub(crate) use files::ModelFile;
pub use files::{inspect, load, save, save_with};
pub(crate) use matrix::{matrix_of, matrix_table};
pub use metadata::{DataFile, FORMAT, FORMAT_VERSION, Metadata};

use arrow_array::RecordBatch;
use serde::{Serialize, de::DeserializeOwned};
use slackwater_dataflow::{Error, Result};
use std::iter::once_with;

/// What happens if there is a model already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// An error; nothing changes.
    Refuse,
    /// It is replaced. Anything that is not a model is still refused.
    Replace,
}

/// Most numbers that a model is read with. Those that are zero are not in the file for some kinds of model, so that few bytes can
/// ask for many.
const VALUES_MAX: usize = 1 << 28;

/// How many numbers `rows` rows of `columns` are.
///
/// # Errors
/// Input, if that is more than any model has.
pub(crate) fn values(rows: usize, columns: usize) -> Result<usize> {
    rows.checked_mul(columns).filter(|n| *n <= VALUES_MAX).ok_or_else(|| {
        Error::input(
            format!(
                "the model would have {rows} x {columns} numbers, and {VALUES_MAX} are the most that are read"
            ),
            "its metadata are probably damaged; copy it again",
        )
    })
}

/// A model that can be stored: attributes as JSON, numbers as a table.
pub trait Persist: Sized {
    /// Its name in files and on the command line.
    const ALGORITHM: &'static str;
    /// Everything but the numbers: parameters, classes, training summary.
    type Attributes: Serialize + DeserializeOwned;

    /// Its attributes.
    fn attributes(&self) -> &Self::Attributes;
    /// Its numbers.
    fn table(&self) -> RecordBatch;
    /// The same in parts, one after another, of a model that is large. At least one.
    fn tables(&self) -> impl Iterator<Item = RecordBatch> {
        once_with(|| self.table())
    }
    /// The model of attributes and table.
    ///
    /// # Errors
    /// Input, if they do not fit each other.
    fn restore(attributes: Self::Attributes, table: &RecordBatch) -> Result<Self>;
}
