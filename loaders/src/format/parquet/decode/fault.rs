//! Why a column cannot be read.

use slackwater_dataflow::Error;

/// What ended the reading of a column.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file could not be read.
    Read(Error),
    /// What was read cannot be what it says it is.
    Damaged(String),
}

pub(super) type Done<T> = Result<T, Fault>;

/// The fault of bytes that are wrong.
pub(super) fn damaged<T>(message: impl Into<String>) -> Done<T> {
    Err(Fault::Damaged(message.into()))
}
