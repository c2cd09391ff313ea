//! Files as the Parquet library reads them.
//!
//! The library takes memory for a page by what the page's header says, up to 2 GiB, and unpacks whatever is packed in it. So
//! headers are looked at first: a page that unpacks to far more than it is, is refused as a packed file would be
//! ([`ExpansionLimit`]). Headers of encrypted columns cannot be looked at; their pages come from who has the key.

use super::page_header::{self, Header};
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
pub(super) const HEADER_BYTES: usize = 4 << 10;
/// Headers have the least and the largest value of a page in them, which writers cut to some bytes, or should.
pub(super) const HEADER_BYTES_MAX: usize = 1 << 20;

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
        let seen = reader.fill_buf()?;
        let (mut header, seen) = (page_header::read(seen), seen.len() as u64);
        let left = self.file.bytes() - start;
        if header == Header::Cut && seen < left {
            let more = HEADER_BYTES_MAX.min(usize::try_from(left).unwrap_or(usize::MAX));
            header = page_header::read(&self.file.read_at(start, more).map_err(|e| self.external(e))?);
            if header == Header::Cut && (more as u64) < left {
                let message = format!("a page with a header of more than {more} bytes");
                return Err(ParquetError::General(message));
            }
        }
        check(header)?;
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
        let mut header = page_header::read(&bytes[..length.min(HEADER_BYTES)]);
        if header == Header::Cut {
            header = page_header::read(&bytes);
        }
        check(header)?;
        Ok(bytes)
    }
}

/// An error if what begins here is the header of a page that expands too far.
pub(super) fn check(header: Header) -> Result<()> {
    let limit = ExpansionLimit::default();
    match header {
        Header::Page { unpacked, packed }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_expand_too_far_are_refused() {
        let page = |head: &[u8]| Chunks::new(InputFile::from_bytes("page", [head, &[7; 40]].concat()));
        // 2 GiB of 40 bytes, and 16 MiB.
        let bomb = page(b"\x15\x04\x15\xfe\xff\xff\xff\x0f\x15\x50\0");
        let e = bomb.get_read(0).unwrap_err();
        assert!(e.to_string().contains("a page of 40 bytes unpacks to 2147483647 bytes"), "{e}");
        let e = bomb.get_bytes(0, 49).unwrap_err();
        assert!(e.to_string().contains("a page of 40 bytes unpacks to 2147483647 bytes"), "{e}");
        assert!(bomb.get_bytes(1, 48).is_ok() && bomb.get_read(4).is_ok());
        assert!(page(b"\x15\x04\x15\x80\x80\x80\x10\x15\x50\0").get_read(0).is_ok());
    }

    #[test]
    fn a_header_is_read_to_its_end() {
        // Its sizes come again after a statistic that is longer than what is read at first.
        let header = |length: usize| {
            let mut head = b"\x15\0\x15\x02\x15\x02\x68".to_vec();
            let mut left = length;
            while left > 0x7f {
                head.push(left as u8 | 0x80);
                left >>= 7;
            }
            head.push(left as u8);
            head.extend(vec![b'x'; length]);
            head.extend(b"\x05\x04\xfe\xff\xff\xff\x0f\x15\x50\0");
            Chunks::new(InputFile::from_bytes("page", head))
        };
        for length in [10, HEADER_BYTES, 60_000] {
            let e = header(length).get_read(0).unwrap_err();
            assert!(e.to_string().contains("2147483647 bytes"), "{length}: {e}");
        }
        let e = header(HEADER_BYTES_MAX + 1).get_read(0).unwrap_err();
        assert!(e.to_string().contains("a header of more than"), "{e}");
    }
}
