//! Files as the Parquet library reads them.
//!
//! The library takes memory for a page by what the page's header says, up to 2 GiB, and unpacks whatever is packed in it. So
//! headers are looked at first: a page that unpacks to far more than it is, is refused as a packed file would be
//! ([`ExpansionLimit`]). Headers of encrypted columns cannot be looked at; their pages come from who has the key.

use crate::codec::ExpansionLimit;
use crate::source::{InputFile, RawReader};
use crate::spans::Spans;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use slackwater_dataflow::Error;
use std::io::{BufRead, BufReader, Chain, Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A file, read in ranges.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    pub(super) file: InputFile,
    /// What will be read, if the file is far away.
    spans: Option<Arc<Mutex<Spans>>>,
    /// The first read that failed there: that says nothing of the file.
    failed: Arc<OnceLock<Error>>,
}

impl Chunks {
    /// A file whose footer is read next.
    pub(super) fn new(file: InputFile) -> Chunks {
        let tail = file.bytes().saturating_sub(TAIL_BYTES)..file.bytes();
        Chunks { spans: None, failed: Arc::default(), file }.of(|| vec![tail])
    }
    /// The same file, of which these ranges are read next.
    pub(super) fn of(&self, ranges: impl FnOnce() -> Vec<Range<u64>>) -> Chunks {
        let spans = self.file.is_far().then(|| Arc::new(Mutex::new(Spans::new(&self.file, ranges()))));
        Chunks { file: self.file.clone(), spans, failed: Arc::default() }
    }
    /// Why the file could not be read, if that was the reason.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failed.get().cloned()
    }
    fn of_spans(
        &self,
        read: impl FnOnce(&mut Spans) -> slackwater_dataflow::Result<Option<Bytes>>,
    ) -> Result<Option<Bytes>> {
        let Some(spans) = &self.spans else { return Ok(None) };
        read(&mut spans.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|e| self.external(e))
    }
    fn external(&self, e: Error) -> ParquetError {
        if self.file.is_far() {
            let _ = self.failed.set(e.clone());
        }
        ParquetError::External(Box::new(e))
    }
}

/// What is read of a file that is far away to find its footer, and most often all of it.
const TAIL_BYTES: u64 = 64 << 10;

/// Small, since it is used for the headers of pages alone.
const HEADER_BYTES: usize = 4 << 10;

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file.bytes()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Chain<Cursor<Bytes>, RawReader>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        if start > self.file.bytes() {
            return Err(ParquetError::EOF(format!("byte {start} is beyond the end of the file")));
        }
        let known = self.of_spans(|spans| spans.up_to(start, HEADER_BYTES))?.unwrap_or_default();
        let next = start + known.len() as u64;
        let rest = self.file.open(next, next + HEADER_BYTES as u64).map_err(|e| self.external(e))?;
        let mut reader = BufReader::with_capacity(HEADER_BYTES, Cursor::new(known).chain(rest));
        check(reader.fill_buf()?)?;
        Ok(reader)
    }
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.file.bytes()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at byte {start} are beyond the end of the file"
            )));
        }
        let bytes = match self.of_spans(|spans| spans.exactly(start, length))? {
            Some(bytes) => bytes,
            None => self.file.read_at(start, length).map_err(|e| self.external(e))?,
        };
        // With an index of pages, the library reads a page with its header.
        if page_sizes(&bytes).is_some_and(|(_, packed)| packed <= length as u64) {
            check(&bytes)?;
        }
        Ok(bytes)
    }
}

/// An error if what begins here is the header of a page that expands too far.
fn check(bytes: &[u8]) -> Result<()> {
    let limit = ExpansionLimit::default();
    match page_sizes(bytes) {
        Some((unpacked, packed))
            if unpacked > packed.saturating_mul(limit.ratio_max).max(limit.free_bytes) =>
        {
            Err(ParquetError::General(format!(
                "a page of {packed} bytes unpacks to {unpacked} bytes, more than {} times as many",
                limit.ratio_max
            )))
        }
        _ => Ok(()),
    }
}

/// What the header of a page says of its sizes: unpacked, packed. `None` for anything else.
///
/// From: parquet.thrift, `PageHeader`, in the compact protocol: three numbers of 32 bits, fields 1 to 3.
fn page_sizes(bytes: &[u8]) -> Option<(u64, u64)> {
    /// The next field, a number of 32 bits.
    const NUMBER: u8 = 0x15;
    /// Bytes of a number at most.
    const NUMBER_BYTES: usize = 5;
    let mut rest = bytes;
    let mut number = || -> Option<u64> {
        let (first, digits) = rest.split_first()?;
        if *first != NUMBER {
            return None;
        }
        let length = digits.iter().take(NUMBER_BYTES).position(|b| b & 0x80 == 0)? + 1;
        let (digits, after) = digits.split_at(length);
        rest = after;
        let zigzag = digits.iter().rev().fold(0u64, |n, b| (n << 7) | u64::from(b & 0x7f));
        (zigzag & 1 == 0).then_some(zigzag >> 1)
    };
    /// Kinds of pages.
    const KINDS: std::ops::Range<u64> = 0..4;
    let (kind, unpacked, packed) = (number()?, number()?, number()?);
    KINDS.contains(&kind).then_some((unpacked, packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_pages_are_told() {
        // A data page of 300 bytes that are 70 in the file.
        assert_eq!(page_sizes(b"\x15\0\x15\xd8\x04\x15\x8c\x01\x2c"), Some((300, 70)));
        for other in
            [&b""[..], b"\x15\0\x15", b"\x15\0\x15\xff\xff\xff\xff\xff\xff", b"PAR1", b"\x15\x01\x15\0\x15\0"]
        {
            assert_eq!(page_sizes(other), None, "{}", other.escape_ascii());
        }
        // 2 GiB of 70 bytes.
        let e = check(b"\x15\x04\x15\xfe\xff\xff\xff\x0f\x15\x8c\x01").unwrap_err();
        assert!(e.to_string().contains("a page of 70 bytes unpacks to 2147483647 bytes"), "{e}");
        check(b"\x15\x04\x15\x80\x80\x80\x10\x15\x8c\x01").unwrap();
    }
}
