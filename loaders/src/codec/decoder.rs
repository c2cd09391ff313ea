//! Unpacking as a stream, with a guard against files that unpack to far more than they are.
//!
//! Costs: a 64 KiB input buffer and the codec's window (gzip 32 KiB, bzip2 up to 4 MB, Zstandard at most 128 MiB: a
//! frame that asks for more is refused by the library, LZ4 up to 12 MiB, snappy 140 KiB).
//!
//! Fails with [`ErrorKind::Data`](slackwater_dataflow::ErrorKind::Data) that names the file and the byte of the packed
//! file up to which it had been read, if the file is cut short or damaged (gzip, bzip2, snappy, and Zstandard and LZ4 files with
//! checksums are checked; a snappy file cut between two of its chunks of 64 KiB looks whole, since the format has no end), or if it expands beyond the [`ExpansionLimit`].

use super::Compression;
use super::lz4::Frames;
use crate::source::{InputFile, RawReader};
use slackwater_dataflow::{BadRecord, Error, Result};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

/// How far a packed file may expand.
///
/// The default allows any file to expand to 16 MiB, and beyond that to 500 times its packed size. Text of numbers
/// packs 3 to 50 times; a gzip bomb reaches 1,030 times, bzip2 and Zstandard bombs a million.
/// What must be read whole (a line without an end, a packed Parquet file) takes at most three times as much while its buffer grows,
/// so a bomb is refused before it has 64 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpansionLimit {
    /// Output up to this many bytes is never refused for its ratio.
    pub free_bytes: u64,
    /// Beyond `free_bytes`: most bytes of output a byte of input.
    pub ratio_max: u64,
    /// Most bytes of output of one file.
    pub bytes_max: u64,
}

impl Default for ExpansionLimit {
    fn default() -> Self {
        ExpansionLimit { free_bytes: 16 << 20, ratio_max: 500, bytes_max: u64::MAX }
    }
}

impl ExpansionLimit {
    /// No limit at all, for files that are trusted.
    pub const NONE: ExpansionLimit =
        ExpansionLimit { free_bytes: u64::MAX, ratio_max: u64::MAX, bytes_max: u64::MAX };
}

const INPUT_BUFFER_BYTES: usize = 64 << 10;

/// The unpacked bytes of a file.
pub struct Decoder {
    file: InputFile,
    inner: Inner,
    produced: u64,
    limit: ExpansionLimit,
}

enum Inner {
    Plain(Counted),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Counted>>),
    Zstd(zstd::stream::read::Decoder<'static, Counted>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Counted>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<Frames<Counted>>>),
    Snappy(Box<snap::read::FrameDecoder<Counted>>),
}

impl Decoder {
    /// Opens a file and unpacks it as it is packed.
    pub fn open(file: &InputFile, limit: ExpansionLimit) -> Result<Decoder> {
        Self::open_at(file, 0..file.bytes(), limit)
    }

    /// Opens a file at the first byte of a range of what is stored, which is 0 for a packed file. It can be read beyond the
    /// range, but that comes later from far away.
    pub(crate) fn open_at(file: &InputFile, range: Range<u64>, limit: ExpansionLimit) -> Result<Decoder> {
        assert!(range.start == 0 || file.is_splittable(), "a packed file is read from its start");
        let until = if file.is_splittable() { range.end } else { file.bytes() };
        let raw = BufReader::with_capacity(INPUT_BUFFER_BYTES, file.open(range.start, until)?);
        let raw = Counted { raw, consumed: 0, failed: false };
        let inner = match file.compression() {
            Compression::None => Inner::Plain(raw),
            Compression::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(raw))),
            Compression::Bzip2 => Inner::Bzip2(bzip2::bufread::MultiBzDecoder::new(raw)),
            Compression::Lz4 => Inner::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(Frames::new(raw)))),
            Compression::Snappy => Inner::Snappy(Box::new(snap::read::FrameDecoder::new(raw))),
            Compression::Zstd => Inner::Zstd(
                zstd::stream::read::Decoder::with_buffer(raw)
                    .map_err(|e| Error::io(file.name(), "unpack", &e))?,
            ),
        };
        // Of nothing at all, the codecs would make nothing at all, without an error.
        let decoder = Decoder { file: file.clone(), inner, produced: 0, limit };
        if file.bytes() == 0 && file.compression() != Compression::None {
            return Err(decoder.damaged(&io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(decoder)
    }

    /// Fills a part of `into`; 0 means that the file is at its end (or `into` is empty).
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let result = loop {
            let result = match &mut self.inner {
                Inner::Plain(d) => d.read(into),
                Inner::Gzip(d) => d.read(into),
                Inner::Zstd(d) => d.read(into),
                Inner::Bzip2(d) => d.read(into),
                Inner::Lz4(d) => read_frames(d, into),
                Inner::Snappy(d) => d.read(into),
            };
            if !matches!(&result, Err(e) if e.kind() == io::ErrorKind::Interrupted) {
                break result;
            }
        };
        let n = result
            .map_err(|e| if self.counted().failed { self.file.read_error(&e) } else { self.damaged(&e) })?;
        self.produced += n as u64;
        self.check_expansion()?;
        Ok(n)
    }

    /// Appends up to `count` bytes; fewer mean that the file is at its end. Memory grows with what is there, not with
    /// `count`.
    pub fn read_up_to(&mut self, into: &mut Vec<u8>, count: usize) -> Result<()> {
        const STEP_BYTES: usize = 1 << 20;
        let to = into.len().saturating_add(count);
        while into.len() < to {
            let at = into.len();
            into.resize(to.min(at + STEP_BYTES), 0);
            let n = self.read(&mut into[at..])?;
            into.truncate(at + n);
            if n == 0 {
                break;
            }
        }
        Ok(())
    }

    fn counted(&self) -> &Counted {
        match &self.inner {
            Inner::Plain(d) => d,
            Inner::Gzip(d) => d.get_ref(),
            Inner::Zstd(d) => d.get_ref(),
            Inner::Bzip2(d) => d.get_ref(),
            Inner::Lz4(d) => d.get_ref().get_ref(),
            Inner::Snappy(d) => d.get_ref(),
        }
    }

    fn check_expansion(&self) -> Result<()> {
        if matches!(self.inner, Inner::Plain(_)) {
            return Ok(());
        }
        let consumed = self.counted().consumed;
        let by_ratio = consumed.saturating_mul(self.limit.ratio_max).max(self.limit.free_bytes);
        if self.produced <= by_ratio.min(self.limit.bytes_max) {
            return Ok(());
        }
        let message = if self.produced > self.limit.bytes_max {
            format!("unpacks to more than {} bytes, the limit", self.limit.bytes_max)
        } else {
            format!(
                "{consumed} bytes of {} data unpack to {} bytes, more than {} times as many",
                self.file.compression().name(),
                self.produced,
                self.limit.ratio_max
            )
        };
        let hint = "a file like this can fill a disk or a memory; if it is meant to be so, raise the expansion limit";
        Err(BadRecord::at(self.file.name(), 0, 0, message).hint(hint).into())
    }

    fn damaged(&self, e: &io::Error) -> Error {
        let (codec, at) = (self.file.compression().name(), self.counted().consumed);
        let cut = e.kind() == io::ErrorKind::UnexpectedEof;
        let (message, hint) = if cut {
            (
                format!("the {codec} data end too early: the file is cut short after byte {at}"),
                "the file was probably not copied or downloaded to its end".to_string(),
            )
        } else {
            (
                format!("the {codec} data are damaged near byte {at}: {e}"),
                "the file does not hold what was once packed; get it again from where it came".to_string(),
            )
        };
        BadRecord::at(self.file.name(), 0, 0, message).hint(hint).into()
    }
}

/// The decoder stops after each frame, and wherever the file ends: there is more if there are more bytes, and a frame that is
/// open then was cut short.
fn read_frames(
    decoder: &mut lz4_flex::frame::FrameDecoder<Frames<Counted>>,
    into: &mut [u8],
) -> io::Result<usize> {
    loop {
        let n = decoder.read(into)?;
        if n > 0 || into.is_empty() {
            return Ok(n);
        }
        if decoder.get_mut().get_mut().fill_buf()?.is_empty() {
            return match decoder.get_ref().is_between_frames() {
                true => Ok(0),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

/// Counts the bytes that a codec has taken, and remembers whether an error came from below it.
struct Counted {
    raw: BufReader<RawReader>,
    consumed: u64,
    failed: bool,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.raw.read(into).inspect_err(|e| self.failed |= e.kind() != io::ErrorKind::Interrupted)?;
        self.consumed += n as u64;
        Ok(n)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let failed = &mut self.failed;
        self.raw.fill_buf().inspect_err(|e| *failed |= e.kind() != io::ErrorKind::Interrupted)
    }
    fn consume(&mut self, n: usize) {
        self.consumed += n as u64;
        self.raw.consume(n);
    }
}
