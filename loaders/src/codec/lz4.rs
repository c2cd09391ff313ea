//! The frames of LZ4, so far as it takes to tell a file that is whole from one that was cut short.
//!
//! The library's decoder takes the end of a file for the end of a frame wherever a block could begin. [`Frames`] passes bytes on to
//! it and follows the structure of the frames meanwhile: it knows whether one is open.
//!
//! From: Collet, LZ4 frame format 1.6.4.

use std::io::{self, Read};

/// First bytes of a frame.
pub(super) const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Bits of the first byte of a frame's description.
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const DICTIONARY: u8 = 1;
/// The bit of a block's size that says that it is not packed.
const NOT_PACKED: u32 = 1 << 31;

/// Follows the frames of what is read through it.
pub(super) struct Frames<R> {
    raw: R,
    state: State,
    /// Bytes of a part that are to be looked at, so far.
    part: Vec<u8>,
    flags: u8,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// The magic number, and the first byte of the description.
    Start,
    /// So many bytes that do not matter, then a block's size.
    Body(u64),
    BlockSize,
    /// So many bytes after the last block.
    Tail(u64),
}

impl<R> Frames<R> {
    pub fn new(raw: R) -> Self {
        Frames { raw, state: State::Start, part: vec![], flags: 0 }
    }
    pub fn get_ref(&self) -> &R {
        &self.raw
    }
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.raw
    }
    /// True if all frames that were begun have ended.
    pub fn is_between_frames(&self) -> bool {
        self.state == State::Start && self.part.is_empty()
    }

    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.state {
                State::Start => {
                    self.take(&mut bytes, 5);
                    if !MAGIC.starts_with(&self.part[..self.part.len().min(4)]) {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame begins here"));
                    }
                    if self.part.len() == 5 {
                        self.flags = self.part[4];
                        self.part.clear();
                        let size = if self.flags & CONTENT_SIZE != 0 { 8 } else { 0 };
                        let dictionary = if self.flags & DICTIONARY != 0 { 4 } else { 0 };
                        // The second byte of the description, and its checksum.
                        self.state = State::Body(2 + size + dictionary);
                    }
                }
                State::Body(left) => self.state = skip(&mut bytes, left, State::Body, State::BlockSize),
                State::Tail(left) => self.state = skip(&mut bytes, left, State::Tail, State::Start),
                State::BlockSize => {
                    self.take(&mut bytes, 4);
                    if let Some(size) = self.part.first_chunk::<4>().copied() {
                        self.part.clear();
                        let checksum = if self.flags & BLOCK_CHECKSUMS != 0 { 4 } else { 0 };
                        self.state = match u32::from_le_bytes(size) {
                            0 if self.flags & CONTENT_CHECKSUM != 0 => State::Tail(4),
                            0 => State::Start,
                            size => State::Body(u64::from(size & !NOT_PACKED) + checksum),
                        };
                        if self.state == State::Body(0) {
                            self.state = State::BlockSize;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves bytes to the part until it has `want`.
    fn take(&mut self, bytes: &mut &[u8], want: usize) {
        let (now, rest) = bytes.split_at((want - self.part.len()).min(bytes.len()));
        self.part.extend_from_slice(now);
        *bytes = rest;
    }
}

/// Leaves out up to `left` bytes; what follows is `next`.
fn skip(bytes: &mut &[u8], left: u64, more: fn(u64) -> State, next: State) -> State {
    let now = left.min(bytes.len() as u64);
    *bytes = &bytes[now as usize..];
    if now == left { next } else { more(left - now) }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.raw.read(into)?;
        self.follow(&into[..n])?;
        Ok(n)
    }
}
