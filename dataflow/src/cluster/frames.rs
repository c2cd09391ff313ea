//! Follows timely's framing over the bytes that a peer sends, and refuses what timely would not survive.
//!
//! A stream is frames: a header of six big-endian 64-bit numbers (channel, source, target_lower, target_upper, length,
//! seqno), then `length` bytes. A header of zeros ends it. timely 0.32 believes every field: one wrong header makes it
//! panic, spin or hold memory for ever.
//!
//! *Guarantees.* The bytes that [`Frames::advance`] calls safe hold no header outside of [`Limits`], and no byte after
//! the end. At every moment [`Frames::fill`] can end the stream such that timely's receiving thread returns: whatever
//! was handed out before, the zeros that complete it make a header that is the end, or a frame within the limits.
//! That is so because a header is checked whenever a piece ends inside of it, too, as if zeros followed: below 33 bytes
//! its length would be 0, which is an end; from there on the targets are complete, and the length has its first bytes.
//! Zeros only ever make it less, so such a check refuses nothing that is valid when it is complete.
//!
//! *Costs.* One pass over headers: a comparison of six numbers and one relaxed load, 5 ns a frame that is in the cache.
//! Payloads are skipped without a look. No allocation; below 200 bytes of state a stream. `fill` writes at most one
//! payload of zeros.
//!
//! *Fails* with [`io::ErrorKind::InvalidData`] that names field, value and limit. After that the stream takes no more
//! bytes: only `fill` goes on, from what was handed out and not from what was refused.
//!
//! *From* `networking.rs` and `allocator/zero_copy/tcp.rs` of timely_communication 0.32.0.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a header.
pub(crate) const HEADER: usize = 48;
/// Default for [`Limits::length`], in bytes.
pub(crate) const LENGTH_MAX: u64 = 256 << 20;
/// Default for [`Limits::window`], in channels.
pub(crate) const WINDOW: u64 = 4096;

/// What frames of one peer may say.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Largest payload of one frame, in bytes.
    pub(crate) length: u64,
    /// This process's workers, numbered among all processes.
    pub(crate) workers: Range<u64>,
    /// The peer's workers, numbered among all processes.
    pub(crate) peers: Range<u64>,
    /// The highest channel that this process knows. It grows with every graph that is built.
    pub(crate) channels: Arc<AtomicU64>,
    /// How far the peer's channels may be ahead of ours: it may have built graphs that we have still to build.
    pub(crate) window: u64,
}

impl Limits {
    /// The default limits between two processes. `workers` and `peers` are the worker numbers of this process and of
    /// the peer; `channels` is the highest channel that this process knows.
    pub(crate) fn new(workers: Range<u64>, peers: Range<u64>, channels: Arc<AtomicU64>) -> Self {
        Limits { length: LENGTH_MAX, workers, peers, channels, window: WINDOW }
    }

    /// Refuses a header that timely must not see.
    #[inline]
    fn check(&self, header: &Header) -> io::Result<()> {
        let Header { channel, source, lower, upper, length, seqno } = *header;
        if length == 0 {
            // timely's own end is zeros throughout.
            return if channel | source | lower | upper | seqno == 0 {
                Ok(())
            } else {
                Err(not_the_end(header))
            };
        }
        let known = self.channels.load(Ordering::Relaxed);
        let good = length <= self.length
            && lower < upper
            && lower >= self.workers.start
            && upper <= self.workers.end
            && self.peers.contains(&source)
            && channel <= known.saturating_add(self.window);
        if good { Ok(()) } else { Err(self.explain(header, known)) }
    }

    /// Says what is wrong with a header that [`Limits::check`] did not like.
    #[cold]
    fn explain(&self, header: &Header, known: u64) -> io::Error {
        let Header { channel, source, lower, upper, length, .. } = *header;
        let (workers, peers) = (&self.workers, &self.peers);
        refusal(if length > self.length {
            format!("length {length} is more than {} bytes", self.length)
        } else if lower >= upper {
            format!("targets {lower}..{upper} are no range")
        } else if lower < workers.start || upper > workers.end {
            format!("targets {lower}..{upper} are outside of this process's workers {workers:?}")
        } else if !peers.contains(&source) {
            format!("source {source} is outside of the peer's workers {peers:?}")
        } else {
            format!("channel {channel} is more than {} above the highest known, {known}", self.window)
        })
    }
}

#[cold]
fn not_the_end(header: &Header) -> io::Error {
    let Header { channel, source, lower, upper, seqno, .. } = *header;
    refusal(format!(
        "length 0 ends a stream, and then channel {channel}, source {source}, targets {lower}..{upper} and \
         seqno {seqno} must be 0"
    ))
}

#[cold]
fn refusal(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of the peer was refused: {what}"))
}

/// The six numbers.
struct Header {
    channel: u64,
    source: u64,
    lower: u64,
    upper: u64,
    length: u64,
    seqno: u64,
}

impl Header {
    #[inline]
    fn parse(bytes: &[u8; HEADER]) -> Header {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |i: usize| u64::from_be_bytes(words[i]);
        Header {
            channel: word(0),
            source: word(1),
            lower: word(2),
            upper: word(3),
            length: word(4),
            seqno: word(5),
        }
    }
}

/// Where in its framing a stream of bytes is.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    limits: Limits,
    /// The header under way: its first `have` bytes were handed out.
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the payload under way that were not handed out yet.
    payload: u64,
    ended: bool,
    refused: bool,
}

impl Frames {
    /// A stream of which nothing was read.
    pub(crate) fn new(limits: Limits) -> Self {
        Frames { limits, header: [0; HEADER], have: 0, payload: 0, ended: false, refused: false }
    }

    /// True if the end of the stream was handed out, by the peer or by [`Frames::fill`]. timely must then see an end
    /// of file.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes the peer's next bytes, in whatever pieces. Returns how many of them may be handed to timely, and why no
    /// more if that is not all of them. The caller hands out exactly those and, after a refusal, goes on with
    /// [`Frames::fill`]; the refused bytes are forgotten.
    ///
    /// Refuses with [`io::ErrorKind::InvalidData`] what is outside of the [`Limits`], any byte after the end, and
    /// everything after a refusal.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut at = 0;
        if self.refused && !bytes.is_empty() {
            return (0, Err(refusal("it comes after a refused one".to_string())));
        }
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.payload > 0 {
                let skipped = within(self.payload, rest.len());
                self.payload -= skipped as u64;
                at += skipped;
                continue;
            }
            match self.header(rest) {
                Ok(taken) => at += taken,
                Err(refusal) => {
                    self.refused = true;
                    return (at, Err(refusal));
                }
            }
        }
        (at, Ok(()))
    }

    /// Takes a header, or as much of it as there is. Changes nothing that counts if it refuses.
    #[inline]
    fn header(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended {
            return Err(refusal("it comes after the end of the stream".to_string()));
        }
        if self.have == 0 {
            // Nearly always: a whole header in one piece.
            if let Some(whole) = bytes.first_chunk::<HEADER>() {
                let header = Header::parse(whole);
                self.limits.check(&header)?;
                self.begin(header.length);
                return Ok(HEADER);
            }
        }
        let taken = (HEADER - self.have).min(bytes.len());
        let have = self.have + taken;
        self.header[self.have..have].copy_from_slice(&bytes[..taken]);
        // What timely would see if only zeros followed.
        self.header[have..].fill(0);
        let header = Header::parse(&self.header);
        if have == HEADER || header.length > 0 {
            self.limits.check(&header)?;
        }
        self.have = have;
        if have == HEADER {
            self.begin(header.length);
        }
        Ok(taken)
    }

    /// A header is complete.
    fn begin(&mut self, length: u64) {
        self.have = 0;
        self.payload = length;
        self.ended = length == 0;
    }

    /// Ends the stream after its peer is gone, or was refused: writes zeros that complete the header or payload that is
    /// under way, then one end. Returns how many bytes it wrote; it is less than `buf` has only if the stream has
    /// ended, and 0 once it had.
    ///
    /// Call it when nobody decodes payloads any more: a frame that it completes is not what the peer meant.
    pub(crate) fn fill(&mut self, buf: &mut [u8]) -> usize {
        let mut at = 0;
        while at < buf.len() && !self.ended {
            let rest = buf.len() - at;
            let written = if self.payload > 0 {
                let written = within(self.payload, rest);
                self.payload -= written as u64;
                written
            } else {
                let written = (HEADER - self.have).min(rest);
                self.header[self.have..self.have + written].fill(0);
                self.have += written;
                if self.have == HEADER {
                    self.begin(Header::parse(&self.header).length);
                }
                written
            };
            buf[at..at + written].fill(0);
            at += written;
        }
        at
    }
}

/// The smaller of two numbers of which one is an address.
#[inline]
fn within(payload: u64, rest: usize) -> usize {
    usize::try_from(payload).map_or(rest, |payload| payload.min(rest))
}

#[cfg(test)]
mod honest;
#[cfg(test)]
mod tests;
