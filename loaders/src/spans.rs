//! Parts of a file that are read once each, for files that are far away.
//!
//! A reader of Parquet asks for headers and pages, in turn for each column. Each of these would be a request. So what will be
//! read is said first, as spans of bytes; a request takes up to 4 MiB of a span, and the next three spans are asked for while
//! one is read.
//!
//! Costs at most 8 MiB a span, and no more than the spans have.

use crate::source::{Ahead, InputFile};
use bytes::{Bytes, BytesMut};
use slackwater_dataflow::Result;
use std::ops::Range;

/// What is asked for at a time, at most.
const WINDOW_BYTES: u64 = 4 << 20;
/// Spans that are asked for before they are read.
const SPANS_AHEAD: usize = 3;

/// Parts of a file, in the order in which they are read first.
#[derive(Debug)]
pub(crate) struct Spans {
    file: InputFile,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Span {
    range: Range<u64>,
    /// Where `held` begins.
    at: u64,
    held: Bytes,
    /// What follows `held`, if it was asked for.
    ahead: Option<Ahead>,
    is_begun: bool,
}

impl Spans {
    /// Nothing is asked for before the first part is read.
    pub(crate) fn new(file: &InputFile, ranges: impl IntoIterator<Item = Range<u64>>) -> Spans {
        let span = |range: Range<u64>| {
            let range = range.start..range.end.min(file.bytes());
            Span { at: range.start, range, held: Bytes::new(), ahead: None, is_begun: false }
        };
        Spans { file: file.clone(), spans: ranges.into_iter().map(span).collect() }
    }
    /// Bytes of one of the spans; fewer than `length` if it ends before. `None` if it is of none of them.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn up_to(&mut self, at: u64, length: usize) -> Result<Option<Bytes>> {
        let Some(i) = self.spans.iter().position(|s| s.range.contains(&at)) else { return Ok(None) };
        let left = self.spans[i].range.end - at;
        let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        let end = self.spans.len().min(i + 1 + SPANS_AHEAD);
        let (span, after) = self.spans[i..end].split_first_mut().expect("it is one of them");
        span.is_begun = true;
        span.seek(at);
        // Asked for before the wait for what is needed now.
        if span.held.len() < length && span.ahead.is_none() {
            span.ask(&self.file)?;
        }
        for next in after.iter_mut().filter(|s| !s.is_begun && !s.range.is_empty()) {
            next.is_begun = true;
            next.ask(&self.file)?;
        }
        while span.held.len() < length {
            let ahead = match span.ahead.take() {
                Some(ahead) => ahead,
                None => self.file.ahead(span.window())?,
            };
            let more = ahead.bytes()?;
            if span.held.is_empty() {
                span.held = more;
            } else {
                let mut both = BytesMut::with_capacity(span.held.len() + more.len());
                both.extend_from_slice(&span.held);
                both.extend_from_slice(&more);
                span.held = both.freeze();
            }
        }
        Ok(Some(span.held.slice(..length)))
    }
    /// `length` bytes of one of the spans. `None` if it does not have them all.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn exactly(&mut self, at: u64, length: usize) -> Result<Option<Bytes>> {
        let has = |s: &Span| s.range.contains(&at) && s.range.end - at >= length as u64;
        match self.spans.iter().find(|s| s.range.contains(&at)).is_some_and(has) {
            true => self.up_to(at, length),
            false => Ok(None),
        }
    }
}

impl Span {
    /// Lets go of what is before `at`.
    fn seek(&mut self, at: u64) {
        match at.checked_sub(self.at).and_then(|n| usize::try_from(n).ok()) {
            Some(n) if n <= self.held.len() => drop(self.held.split_to(n)),
            // A jump: what was asked for is not what is needed.
            _ => (self.held, self.ahead) = (Bytes::new(), None),
        }
        self.at = at;
    }
    /// What is asked for next.
    fn window(&self) -> Range<u64> {
        let start = self.at + self.held.len() as u64;
        start..self.range.end.min(start + WINDOW_BYTES)
    }
    fn ask(&mut self, file: &InputFile) -> Result<()> {
        self.ahead = Some(file.ahead(self.window())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_bytes_of_the_file() {
        let bytes: Vec<u8> = (0..6_000_000u32).map(|i| (i / 3) as u8).collect();
        let file = InputFile::from_bytes("f", bytes.clone());
        let mut spans = Spans::new(&file, [10..20, 100..5_900_000, 5_950_000..9_000_000]);
        let mut check = |at: usize, length: usize, got: usize| {
            let part = spans.up_to(at as u64, length).unwrap().unwrap();
            assert!(part == bytes[at..at + got], "{length} at {at}");
        };
        check(10, 4, 4);
        check(12, 100, 8);
        check(100, 4096, 4096);
        check(100, 5_000_000, 5_000_000);
        check(4_000_000, 9, 9);
        check(200, 9, 9);
        check(5_899_999, 9, 1);
        check(5_999_990, 99, 10);
        assert!(spans.up_to(20, 1).unwrap().is_none());
        assert!(spans.exactly(12, 9).unwrap().is_none());
        assert_eq!(spans.exactly(12, 8).unwrap().unwrap(), bytes[12..20]);
    }
}
