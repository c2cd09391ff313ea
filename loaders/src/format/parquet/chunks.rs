//! Files as the Parquet library reads them.

use crate::source::{InputFile, RawReader};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::BufReader;

/// A file, read in ranges.
#[derive(Debug, Clone)]
pub(super) struct Chunks(pub(super) InputFile);

/// Small, since it is used for the headers of pages alone.
const HEADER_BYTES: usize = 4 << 10;

fn external(e: slackwater_dataflow::Error) -> ParquetError {
    ParquetError::External(Box::new(e))
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<RawReader>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        if start > self.0.bytes() {
            return Err(ParquetError::EOF(format!("byte {start} is beyond the end of the file")));
        }
        Ok(BufReader::with_capacity(HEADER_BYTES, self.0.open(start).map_err(external)?))
    }
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.bytes()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at byte {start} are beyond the end of the file"
            )));
        }
        self.0.read_at(start, length).map_err(external)
    }
}
