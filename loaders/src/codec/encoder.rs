//! Packing as a stream: what [`Decoder`](super::Decoder) unpacks.
//!
//! Guarantees: the same bytes give the same file, on every machine (no names, no time stamps), whatever pieces they are
//! written in, but for how snappy and LZ4 divide blocks at a flush. Where a format has a checksum of what is packed, it is written.
//! An encoder that is not finished has not written a whole file.
//!
//! Costs: the codec's window, at most 8 MiB.

use super::{Compression, SNAPPY_START};
use std::io::{self, Write};

/// Packs what is written to it.
///
/// ```
/// use slackwater_loaders::codec::Encoder;
/// use slackwater_loaders::{Compression, InputFile};
/// use std::io::Write;
///
/// let compression = Compression::from_extension("a.txt.zst".as_ref());
/// let mut encoder = Encoder::new(vec![], compression)?;
/// encoder.write_all(b"some text")?;
/// let bytes = encoder.finish()?;
/// assert_eq!(InputFile::from_bytes("a", bytes).compression(), Compression::Zstd);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Encoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Plain(W),
    Gzip(flate2::write::GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Bzip2(bzip2::write::BzEncoder<W>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
    /// And whether anything was written: the library writes nothing of nothing, which is no file.
    Snappy(Box<snap::write::FrameEncoder<W>>, bool),
}

/// The level that `zstd` has by default.
const ZSTD_LEVEL: i32 = 3;

impl<W: Write> Encoder<W> {
    /// Packs into `into`.
    ///
    /// # Errors
    /// Those of the codec, when it cannot begin.
    pub fn new(into: W, compression: Compression) -> io::Result<Self> {
        Ok(Encoder(match compression {
            Compression::None => Inner::Plain(into),
            Compression::Gzip => {
                Inner::Gzip(flate2::write::GzEncoder::new(into, flate2::Compression::default()))
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(into, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Inner::Zstd(encoder)
            }
            Compression::Bzip2 => {
                Inner::Bzip2(bzip2::write::BzEncoder::new(into, bzip2::Compression::best()))
            }
            Compression::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max256KB)
                    .content_checksum(true);
                Inner::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(info, into)))
            }
            Compression::Snappy => Inner::Snappy(Box::new(snap::write::FrameEncoder::new(into)), false),
        }))
    }

    /// Writes what is left, and the end. Does not flush what it writes to.
    ///
    /// # Errors
    /// I/O.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Inner::Plain(into) => Ok(into),
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zstd(encoder) => encoder.finish(),
            Inner::Bzip2(encoder) => encoder.finish(),
            Inner::Lz4(encoder) => Ok(encoder.finish()?),
            Inner::Snappy(encoder, begun) => {
                let mut into = encoder.into_inner().map_err(|e| io::Error::other(e.to_string()))?;
                if !begun {
                    into.write_all(&SNAPPY_START)?;
                }
                Ok(into)
            }
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(into) => into.write(bytes),
            Inner::Gzip(encoder) => encoder.write(bytes),
            Inner::Zstd(encoder) => encoder.write(bytes),
            Inner::Bzip2(encoder) => encoder.write(bytes),
            Inner::Lz4(encoder) => encoder.write(bytes),
            Inner::Snappy(encoder, begun) => {
                *begun |= !bytes.is_empty();
                encoder.write(bytes)
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Inner::Plain(into) => into.flush(),
            Inner::Gzip(encoder) => encoder.flush(),
            Inner::Zstd(encoder) => encoder.flush(),
            Inner::Bzip2(encoder) => encoder.flush(),
            Inner::Lz4(encoder) => encoder.flush(),
            Inner::Snappy(encoder, _) => encoder.flush(),
        }
    }
}
