//! The whole lines of one [`Split`], in pieces of bounded memory.
//!
//! [`LineChunks`] keeps one buffer of about [`CHUNK_BYTES`]: it fills the buffer, gives out what there is up to the
//! last `\n`, and moves the rest to the front. Guarantees: each line of the split is given once, in order, complete and
//! with its `\n` (one is added to a last line without it); a byte order mark at the start of a file is not given.
//! After the lines given there are always [`PADDING`] more bytes in the slice, with any content, so that a parser may
//! load whole words.
//!
//! Costs one copy of the data out of the page cache, and the buffer. The buffer grows only for a line that is longer
//! than it, up to [`ReadLimits::line_bytes_max`]; a longer line is an error, because a file without line ends would
//! otherwise be read into memory whole.

use crate::codec::{Decoder, ExpansionLimit};
use crate::source::InputFile;
use crate::split::Split;
use memchr::{memchr, memchr_iter, memrchr};
use slackwater_dataflow::{BadRecord, Error, Result};

/// What a reader accepts before it calls an input broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most bytes of one line; less than [`CHUNK_BYTES`] counts as that. Default: 256 MiB.
    pub line_bytes_max: usize,
    /// How far packed files may expand.
    pub expansion: ExpansionLimit,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits { line_bytes_max: 256 << 20, expansion: ExpansionLimit::default() }
    }
}

/// Size of the buffer: with what a parser makes of it, it fits a second-level cache of 1 MiB.
pub const CHUNK_BYTES: usize = 256 << 10;
/// How many bytes may be read after the last line given.
pub const PADDING: usize = 32;
/// How much is read beyond the end of a split to find the end of its last line.
const LOOKAHEAD_BYTES: usize = 4 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the lines of a split, a buffer at a time.
pub struct LineChunks {
    split: Split,
    decoder: Decoder,
    limits: ReadLimits,
    /// Always [`PADDING`] bytes longer than what it holds.
    buffer: Vec<u8>,
    /// `buffer[given..ready]` are whole lines not yet consumed, `buffer[ready..filled]` is the start of the next ones.
    given: usize,
    ready: usize,
    filled: usize,
    /// Position in the (unpacked) file of `buffer[0]`.
    offset: u64,
    /// Position in the (unpacked) file of the first line, once it is known.
    first_line: Option<u64>,
    /// The last line of the split is in `buffer[..ready]`.
    complete: bool,
    /// The file has no more bytes.
    exhausted: bool,
}

impl LineChunks {
    /// Opens the split's file.
    pub fn open(split: &Split, limits: ReadLimits) -> Result<Self> {
        Self::with_buffer(split, limits, CHUNK_BYTES)
    }

    /// [`LineChunks::open`] with a buffer of another size, in bytes.
    pub fn with_buffer(split: &Split, limits: ReadLimits, bytes: usize) -> Result<Self> {
        let decoder = Decoder::open_at(split.file(), split.start()..split.end(), limits.expansion)?;
        Ok(LineChunks {
            decoder,
            limits,
            buffer: vec![0; bytes.max(BYTE_ORDER_MARK.len()) + PADDING],
            given: 0,
            ready: 0,
            filled: 0,
            offset: split.start(),
            first_line: None,
            complete: split.bytes() == 0 && split.file().is_splittable(),
            exhausted: false,
            split: split.clone(),
        })
    }

    /// The split that is read.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Makes lines available; false if there are no more. Lines that are not consumed yet stay.
    #[inline]
    pub fn fill(&mut self) -> Result<bool> {
        if self.given < self.ready {
            return Ok(true);
        }
        self.refill()
    }

    #[inline(never)]
    fn refill(&mut self) -> Result<bool> {
        if self.first_line.is_none() && !self.complete {
            self.find_first_line()?;
        }
        while self.given == self.ready && !self.complete {
            self.make_room()?;
            let searched = self.filled;
            self.read_more()?;
            self.mark_ready(searched);
        }
        Ok(self.given < self.ready)
    }

    /// The lines available, and how many bytes they are: the slice is [`PADDING`] bytes longer.
    #[inline]
    pub fn lines(&self) -> (&[u8], usize) {
        (&self.buffer[self.given..self.ready + PADDING], self.ready - self.given)
    }

    /// Where the next line is: a position in the (unpacked) file, in bytes.
    #[inline]
    pub fn position(&self) -> u64 {
        self.offset + self.given as u64
    }

    /// Marks the first `bytes` of the lines available as done. Ends of lines only.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.given += bytes;
        assert!(self.given <= self.ready, "consumed no more than was given");
    }

    /// About how many bytes are to come at most; [`usize::MAX`] for a packed file.
    pub fn bytes_left_max(&self) -> usize {
        if !self.split.file().is_splittable() {
            return usize::MAX;
        }
        let at = self.offset + self.given as u64;
        // The last line may go beyond the end of the split; what is known of it is in the buffer.
        let inside = usize::try_from(self.split.end().saturating_sub(at)).unwrap_or(usize::MAX);
        inside.max(self.ready - self.given)
    }

    /// Lines of the file before the first one of this split. Reads the file from its start, so it is called only to
    /// tell a position.
    pub fn lines_before(&self) -> Result<u64> {
        let to = self.first_line.unwrap_or(self.split.start());
        if self.split.start() == 0 {
            return Ok(0);
        }
        count_lines(self.split.file(), to, self.limits.expansion)
    }

    /// Skips the line that belongs to the split before, or the byte order mark.
    fn find_first_line(&mut self) -> Result<()> {
        if self.split.start() == 0 {
            while self.filled < BYTE_ORDER_MARK.len() && !self.exhausted {
                self.read_more()?;
            }
            if self.buffer[..self.filled].starts_with(BYTE_ORDER_MARK) {
                self.given = BYTE_ORDER_MARK.len();
            }
        } else {
            loop {
                self.read_more()?;
                if let Some(at) = memchr(b'\n', &self.buffer[..self.filled]) {
                    self.given = at + 1;
                    break;
                }
                self.offset += self.filled as u64;
                self.filled = 0;
                if self.exhausted {
                    break;
                }
            }
        }
        let first = self.offset + self.given as u64;
        self.first_line = Some(first);
        self.ready = self.given;
        if self.split.start() > 0 && first > self.split.end() {
            self.complete = true;
        } else {
            self.mark_ready(self.given);
        }
        Ok(())
    }

    /// Moves what is not consumed to the front, and lets the buffer grow if it is full of one line.
    fn make_room(&mut self) -> Result<()> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.offset += self.given as u64;
        self.filled -= self.given;
        (self.given, self.ready) = (0, 0);
        if self.filled >= self.limits.line_bytes_max {
            return Err(self.too_long());
        }
        if self.filled + PADDING >= self.buffer.len() {
            let larger = (2 * self.buffer.len()).min(self.limits.line_bytes_max + PADDING + 1);
            self.buffer.resize(larger.max(self.filled + PADDING + 1), 0);
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<()> {
        let room = self.buffer.len() - PADDING - self.filled;
        let at = self.offset + self.filled as u64;
        // Of a file that others read too, take little more than the split.
        let wanted = if self.split.file().is_splittable() {
            let inside = self.split.end().saturating_sub(at);
            usize::try_from(inside).unwrap_or(usize::MAX).saturating_add(LOOKAHEAD_BYTES)
        } else {
            room
        };
        let to = self.filled + room.min(wanted);
        let n = self.decoder.read(&mut self.buffer[self.filled..to])?;
        self.exhausted = n == 0;
        self.filled += n;
        Ok(())
    }

    /// Finds the end of the last whole line of this split in the buffer. `buffer[ready..searched]` has no `\n`.
    fn mark_ready(&mut self, searched: usize) {
        if self.split.file().is_splittable() {
            // The split ends with the first `\n` at or after its last byte. The buffer starts before that, because the
            // lines in it do; only a byte order mark can be longer than a split.
            let last = self.split.end().saturating_sub(self.offset);
            let last = usize::try_from(last).unwrap_or(usize::MAX).max(searched);
            let found = self.buffer[..self.filled].get(last..).and_then(|rest| memchr(b'\n', rest));
            if let Some(at) = found {
                self.ready = last + at + 1;
                self.complete = true;
                return;
            }
        }
        if self.exhausted {
            self.complete = true;
            if self.filled > self.given && self.buffer[self.filled - 1] != b'\n' {
                self.buffer[self.filled] = b'\n';
                self.filled += 1;
                self.buffer.resize(self.buffer.len().max(self.filled + PADDING), 0);
            }
            self.ready = self.filled;
        } else if let Some(at) = memrchr(b'\n', &self.buffer[searched..self.filled]) {
            self.ready = searched + at + 1;
        }
    }

    fn too_long(&self) -> Error {
        let name = self.split.file().name();
        BadRecord::at(name, 0, 0, format!("a line has more than {} bytes", self.limits.line_bytes_max))
            .bytes(&self.buffer[..self.filled.min(BadRecord::BYTES_MAX + 1)])
            .hint(format!(
                "the line starts at byte {} of the file; is this text? If so, raise the limit",
                self.offset
            ))
            .into()
    }
}

/// How many line ends there are in the first `to` bytes of what a file unpacks to.
pub(crate) fn count_lines(file: &InputFile, to: u64, expansion: ExpansionLimit) -> Result<u64> {
    let mut decoder = Decoder::open(file, expansion)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut at, mut lines) = (0, 0);
    while at < to {
        let want = buffer.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
        let n = decoder.read(&mut buffer[..want])?;
        if n == 0 {
            break;
        }
        lines += memchr_iter(b'\n', &buffer[..n]).count() as u64;
        at += n as u64;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of a split, and where the first one starts.
    fn read(split: &Split, buffer: usize) -> (Vec<u8>, u64) {
        let mut chunks = LineChunks::with_buffer(split, ReadLimits::default(), buffer).unwrap();
        let mut all = vec![];
        while chunks.fill().unwrap() {
            let (bytes, length) = chunks.lines();
            assert_eq!(bytes.len(), length + PADDING);
            assert_eq!(bytes[length - 1], b'\n', "whole lines");
            // One line at a time, so that what is left over is kept.
            let end = memchr(b'\n', bytes).unwrap() + 1;
            all.extend_from_slice(&bytes[..end]);
            chunks.consume(end);
        }
        let before = if all.is_empty() { 0 } else { chunks.lines_before().unwrap() };
        (all, before)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn ranges_cover_every_line_once(
            text in "(\u{feff})?[a\n\r]{0,60}",
            cuts in proptest::collection::vec(0u64..70, 0..5),
            buffer in 1usize..40,
        ) {
            let file = InputFile::from_bytes("f", text.clone());
            let mut cuts: Vec<u64> = cuts.into_iter().map(|c| c.min(file.bytes())).collect();
            cuts.extend([0, file.bytes()]);
            cuts.sort_unstable();
            // Ranges of no length are not made by any rule, and the first would take the first line again.
            cuts.dedup();
            let mut want = text.strip_prefix('\u{feff}').unwrap_or(&text).as_bytes().to_vec();
            if want.last().is_some_and(|b| *b != b'\n') {
                want.push(b'\n');
            }
            let mut all = vec![];
            for pair in cuts.windows(2) {
                let (lines, before) = read(&Split::new(file.clone(), pair[0], pair[1]), buffer);
                if !lines.is_empty() {
                    prop_assert_eq!(before, memchr_iter(b'\n', &all).count() as u64);
                }
                all.extend(lines);
            }
            prop_assert_eq!(all, want);
        }

        /// The rule of `LineRecordReader`, written as it is there: skip a line unless at 0, then read while `pos <= end`.
        #[test]
        fn ranges_hold_the_lines_that_hadoop_puts_there(text in "[a\n]{1,60}", start in 0u64..60, length in 1u64..30) {
            let bytes = text.as_bytes();
            let next = |pos: u64| memchr(b'\n', &bytes[pos as usize..]).map_or(bytes.len() as u64, |at| pos + at as u64 + 1);
            let (start, end) = (start.min(bytes.len() as u64 - 1), (start + length).min(bytes.len() as u64));
            prop_assume!(start < end);
            let mut pos = if start == 0 { 0 } else { next(start) };
            let mut want = vec![];
            while pos <= end && pos < bytes.len() as u64 {
                want.extend_from_slice(&bytes[pos as usize..next(pos) as usize]);
                pos = next(pos);
            }
            if want.last().is_some_and(|b| *b != b'\n') {
                want.push(b'\n');
            }
            let file = InputFile::from_bytes("f", text.clone());
            prop_assert_eq!(read(&Split::new(file, start, end), 16).0, want);
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let file = InputFile::from_bytes("one-line.bin", vec![b'x'; 1 << 20]);
        let limits = ReadLimits { line_bytes_max: 1 << 16, ..Default::default() };
        let mut chunks = LineChunks::with_buffer(&Split::whole(file), limits, 1 << 10).unwrap();
        let e = chunks.fill().unwrap_err();
        assert!(e.to_string().starts_with("one-line.bin: a line has more than 65536 bytes\n  | xxx"), "{e}");
        assert!(chunks.buffer.len() <= (1 << 16) + 2 * PADDING);
    }
}
