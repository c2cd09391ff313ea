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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_frame_says_is_no_allocation() {
        let whole = checkpoint_frame(&vec![1u64, 2, 3]).unwrap();
        assert_eq!(checkpoint_records::<u64>(&[&whole[..], &whole].concat()).unwrap(), 6);
        // 2^30 bytes are the most that a frame has, and here are none of them.
        let mut head = [0; 12];
        head[..4].copy_from_slice(&(1u32 << 30).to_le_bytes());
        let mut content = vec![];
        let e = Frame::read(&mut &head[..], &mut content, Path::new("part")).err().unwrap();
        assert!(e.to_string().contains("in the middle of a frame"), "{e}");
        assert!(content.capacity() < 1 << 16, "{}", content.capacity());
    }
}
