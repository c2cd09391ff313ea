//! Files as the Parquet library reads them.
//!
//! The library takes memory for a page by what the page's header says, up to 2 GiB, and unpacks whatever is packed in it. So
//! headers are looked at first: a page that unpacks to far more than it is, is refused as a packed file would be
//! ([`ExpansionLimit`]). Headers of encrypted columns cannot be looked at; their pages come from who has the key.

use crate::codec::ExpansionLimit;
use crate::source::{InputFile, RawReader};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{BufRead, BufReader};

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
        let mut reader = BufReader::with_capacity(HEADER_BYTES, self.0.open(start).map_err(external)?);
        check(reader.fill_buf()?)?;
        Ok(reader)
    }
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.0.bytes()) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at byte {start} are beyond the end of the file"
            )));
        }
        let bytes = self.0.read_at(start, length).map_err(external)?;
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
