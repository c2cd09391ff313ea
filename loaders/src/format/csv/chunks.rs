//! The bytes of one split's records, in pieces of bounded memory.
//!
//! As [`crate::lines`], but for records that may have line ends in them: whoever finds that the last record given is
//! not complete asks for [`Chunks::more`].

use crate::codec::Decoder;
use crate::lines::{CHUNK_BYTES, PADDING, ReadLimits};
use crate::split::Split;
use memchr::memrchr;
use slackwater_dataflow::{BadRecord, Error, Result};

/// How much is read at first beyond the end of a split.
const LOOKAHEAD_BYTES: usize = 4 << 10;
/// Offsets of strings in a batch have 31 bits; so a record must be shorter by far.
const RECORD_BYTES_MAX: usize = 1 << 30;

pub(super) struct Chunks {
    split: Split,
    decoder: Decoder,
    record_bytes_max: usize,
    /// Always [`PADDING`] bytes longer than what it holds.
    buffer: Vec<u8>,
    /// `buffer[given..ready]` are whole lines not yet consumed, `buffer[ready..filled]` is the start of the next one.
    given: usize,
    ready: usize,
    filled: usize,
    /// Position in the (unpacked) file of `buffer[0]`.
    offset: u64,
    lookahead: usize,
    exhausted: bool,
}

impl Chunks {
    /// Reads the file of `split` from byte `from` of what it unpacks to, where a record starts.
    pub fn open(split: &Split, from: u64, limits: &ReadLimits, buffer_bytes: usize) -> Result<Chunks> {
        let mut chunks = Chunks {
            decoder: Decoder::open_at(
                split.file(),
                if split.file().is_splittable() { from..split.end() } else { 0..split.end() },
                limits.expansion,
            )?,
            record_bytes_max: limits.line_bytes_max.clamp(CHUNK_BYTES, RECORD_BYTES_MAX),
            buffer: vec![0; buffer_bytes.max(1) + PADDING],
            given: 0,
            ready: 0,
            filled: 0,
            offset: from,
            lookahead: LOOKAHEAD_BYTES,
            exhausted: false,
            split: split.clone(),
        };
        if !split.file().is_splittable() {
            chunks.pass_over(from)?;
        }
        Ok(chunks)
    }

    fn pass_over(&mut self, bytes: u64) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let n = self.decoder.read(&mut self.buffer[..want])?;
            if n == 0 {
                break;
            }
            left -= n as u64;
        }
        Ok(())
    }

    /// Position in the file of the first byte that is available.
    pub fn position(&self) -> u64 {
        self.offset + self.given as u64
    }

    /// What is available, whole lines, and how many bytes they are: the slice is [`PADDING`] bytes longer.
    #[inline]
    pub fn lines(&self) -> (&[u8], usize) {
        (&self.buffer[self.given..self.ready + PADDING], self.ready - self.given)
    }

    /// Marks the first `bytes` of what is available as done.
    pub fn consume(&mut self, bytes: usize) {
        self.given += bytes;
        assert!(self.given <= self.ready, "consumed no more than was given");
    }

    /// Makes more lines available after those that are; false at the end of the file.
    pub fn more(&mut self) -> Result<bool> {
        let before = self.ready - self.given;
        loop {
            if self.exhausted {
                return Ok(false);
            }
            self.make_room()?;
            let searched = self.filled;
            self.read_more()?;
            if self.exhausted {
                if self.filled > 0 && self.buffer[self.filled - 1] != b'\n' {
                    self.buffer[self.filled] = b'\n';
                    self.filled += 1;
                    self.buffer.resize(self.buffer.len().max(self.filled + PADDING), 0);
                }
                self.ready = self.filled;
            } else if let Some(at) = memrchr(b'\n', &self.buffer[searched..self.filled]) {
                self.ready = searched + at + 1;
            }
            if self.ready > before {
                return Ok(true);
            }
        }
    }

    /// Moves what is not consumed to the front, and lets the buffer grow if it is full of one record.
    fn make_room(&mut self) -> Result<()> {
        self.buffer.copy_within(self.given..self.filled, 0);
        self.offset += self.given as u64;
        self.filled -= self.given;
        self.ready -= self.given;
        self.given = 0;
        if self.filled >= self.record_bytes_max {
            return Err(self.too_long());
        }
        if self.filled + PADDING >= self.buffer.len() {
            let larger = (2 * self.buffer.len()).min(self.record_bytes_max + PADDING + 1);
            self.buffer.resize(larger.max(self.filled + PADDING + 1), 0);
        }
        Ok(())
    }

    /// Fills the buffer, but takes little more than the split of a file that others read too. Fills it as far as that
    /// goes: a record that is not complete is looked at again from its start, and so only as often as the buffer grows.
    fn read_more(&mut self) -> Result<()> {
        let room = self.buffer.len() - PADDING - self.filled;
        let mut wanted = room;
        if self.split.file().is_splittable() {
            let inside = self.split.end().saturating_sub(self.offset + self.filled as u64);
            wanted = room.min(usize::try_from(inside).unwrap_or(usize::MAX).saturating_add(self.lookahead));
            if inside == 0 {
                self.lookahead = self.lookahead.saturating_mul(2);
            }
        }
        let to = self.filled + wanted;
        while self.filled < to {
            let n = self.decoder.read(&mut self.buffer[self.filled..to])?;
            self.filled += n;
            if n == 0 {
                self.exhausted = true;
                break;
            }
        }
        Ok(())
    }

    fn too_long(&self) -> Error {
        let name = self.split.file().name();
        BadRecord::at(name, 0, 0, format!("a record has more than {} bytes", self.record_bytes_max))
            .bytes(&self.buffer[..self.filled.min(BadRecord::BYTES_MAX + 1)])
            .hint(format!(
                "the record starts at byte {} of the file; is this text, and is a quote not closed? If it is right, raise the limit",
                self.offset
            ))
            .into()
    }
}
