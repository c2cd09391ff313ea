//! Readers of this crate's files over bytes in memory, for the fuzz targets; nothing else calls them.

use crate::action::{Frame, frame};
use crate::dataset::lineage::Record;
use crate::error::Result;
use crate::exec::codec::encode;
use std::path::Path;

/// How many records the frames of a checkpoint's partition hold.
///
/// # Errors
/// As a job that reads them.
pub fn checkpoint_records<T: Record>(mut bytes: &[u8]) -> Result<usize> {
    let mut records = 0;
    let mut content = vec![];
    while let Some(read) = Frame::read(&mut bytes, &mut content, Path::new("checkpoint"))? {
        records += read.decode::<T>(&content, Path::new("checkpoint"))?.len();
    }
    Ok(records)
}

/// A frame of records.
///
/// # Errors
/// A record that cannot be written.
pub fn checkpoint_frame<T: Record>(records: &Vec<T>) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = vec![];
    encode(records, &mut bytes)?;
    Ok([frame(&bytes, records.len()).as_flattened(), &bytes].concat())
}
