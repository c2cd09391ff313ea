//! Batches that are computed before they are written, and may be more than there is memory for.

use crate::table::RecordBlock;
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use slackwater_dataflow::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Bytes of a partition that are held in memory; what comes after them goes to a file.
pub(super) const HELD_BYTES_MAX: usize = 32 << 20;

/// Keeps what is too much of each partition in a file without a name, which is gone with its last user.
pub(super) struct Spool {
    folder: PathBuf,
    held_bytes_max: usize,
    files: Mutex<BTreeMap<usize, File>>,
}

impl Spool {
    /// Files are made in `folder`, when there is something for them.
    pub(super) fn new(folder: &Path, held_bytes_max: usize) -> Spool {
        Spool { folder: folder.to_path_buf(), held_bytes_max, files: Mutex::default() }
    }

    /// Takes all batches of a partition. Returns the first of them; [`Spool::rest`] has the others.
    ///
    /// # Errors
    /// I/O.
    pub(super) fn take(
        &self,
        partition: usize,
        mut blocks: impl Iterator<Item = RecordBlock>,
    ) -> Result<Vec<RecordBlock>> {
        let (mut held, mut bytes) = (vec![], 0);
        while bytes < self.held_bytes_max {
            let Some(block) = blocks.next() else { return Ok(held) };
            bytes += block.get_array_memory_size();
            held.push(block);
        }
        let Some(next) = blocks.next() else { return Ok(held) };
        let failed = |e: &dyn std::fmt::Display| {
            Error::io(&self.folder, "write a spill file in", &std::io::Error::other(e.to_string()))
        };
        let file = tempfile::tempfile_in(&self.folder).map_err(|e| failed(&e))?;
        let mut writer =
            StreamWriter::try_new(BufWriter::new(file), next.schema_ref()).map_err(|e| failed(&e))?;
        for block in std::iter::once(next).chain(blocks) {
            writer.write(&block).map_err(|e| failed(&e))?;
        }
        writer.finish().map_err(|e| failed(&e))?;
        let file = writer.into_inner().map_err(|e| failed(&e))?;
        let file = file.into_inner().map_err(|e| failed(&e))?;
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, file);
        Ok(held)
    }

    /// Hands on the batches that were too many, in order.
    ///
    /// # Errors
    /// I/O; what `each` answers.
    pub(super) fn rest(
        &self,
        partition: usize,
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let file = self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        let Some(mut file) = file else { return Ok(()) };
        let failed = |e: &dyn std::fmt::Display| {
            Error::io(&self.folder, "read a spill file in", &std::io::Error::other(e.to_string()))
        };
        file.rewind().map_err(|e| failed(&e))?;
        for batch in StreamReader::try_new(BufReader::new(file), None).map_err(|e| failed(&e))? {
            each(&batch.map_err(|e| failed(&e))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn blocks(n: i64) -> Vec<RecordBlock> {
        let block = |i: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(i * 1000..(i + 1) * 1000));
            RecordBlock(RecordBatch::try_from_iter([("x", column)]).unwrap())
        };
        (0..n).map(block).collect()
    }

    #[test]
    fn what_is_too_much_comes_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path(), 20_000);
        for (partition, n, held) in [(3, 0, 0), (1, 2, 2), (0, 3, 3), (2, 10, 3)] {
            let mut got = spool.take(partition, blocks(n).into_iter()).unwrap();
            assert_eq!(got.len(), held);
            spool
                .rest(partition, |batch| {
                    got.push(RecordBlock(batch.clone()));
                    Ok(())
                })
                .unwrap();
            assert!(got.iter().map(|b| &b.0).eq(blocks(n).iter().map(|b| &b.0)), "{partition}");
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "files have no names");
        let gone = Spool::new(Path::new("/no/such/folder"), 1);
        assert!(gone.take(0, blocks(1).into_iter()).is_ok());
        let e = gone.take(0, blocks(2).into_iter()).unwrap_err();
        assert!(e.to_string().contains("/no/such/folder"), "{e}");
    }
}
