//! How a file is packed: gzip, Zstandard, bzip2, LZ4, snappy or not at all.
//!
//! The content decides, by its first bytes; the name counts only where the content is too short to tell. So a plain
//! file called `a.gz` is read as it is, and a gzip file called `a.txt` is unpacked.
//!
//! Every codec takes files of several parts (`cat a.gz b.gz`): gzip members, Zstandard and LZ4 frames,
//! bzip2 and snappy streams. LZ4 and snappy are their frame formats, which `lz4` and `snzip` write; not raw blocks, nor Hadoop's.

mod decoder;
mod encoder;
mod lz4;

pub use decoder::{Decoder, ExpansionLimit};
pub use encoder::Encoder;

use std::path::Path;

/// How many leading bytes [`Compression::detect`] looks at.
pub const HEAD_BYTES: usize = 16;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not packed.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
    /// LZ4, its frame format.
    Lz4,
    /// snappy, its framing format.
    Snappy,
}

/// The chunk that a snappy stream begins with.
const SNAPPY_START: [u8; 10] = *b"\xff\x06\0\0sNaPpY";

/// Starts of the blocks of a bzip2 stream: the first six bytes after `BZh1`..`BZh9`. The digits of pi open a block,
/// those of its square root close an empty stream.
const BZIP2_BLOCK: [&[u8]; 2] =
    [&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

impl Compression {
    /// How a file called `name` that starts with `head` (up to [`HEAD_BYTES`] bytes) is packed.
    ///
    /// ```
    /// use slackwater_loaders::Compression;
    /// assert_eq!(Compression::detect("a.svm".as_ref(), b"\x1f\x8b\x08\0\0\0\0\0"), Compression::Gzip);
    /// assert_eq!(Compression::detect("a.svm.gz".as_ref(), b"+1 1:0.5"), Compression::None);
    /// ```
    pub fn detect(name: &Path, head: &[u8]) -> Compression {
        if let Some(found) = Self::from_content(head) {
            return found;
        }
        // A packed file that was cut in its first bytes is to be reported as such, not read as text.
        let named = Self::from_extension(name);
        let cut = match named {
            Compression::None => false,
            Compression::Gzip => b"\x1f\x8b\x08".starts_with(head),
            Compression::Zstd => b"\x28\xb5\x2f\xfd".starts_with(head),
            Compression::Lz4 => lz4::MAGIC.starts_with(head),
            Compression::Snappy => SNAPPY_START.starts_with(head),
            Compression::Bzip2 => {
                head.len() < 10
                    && b"BZh".starts_with(&head[..head.len().min(3)])
                    && head.get(4..).is_none_or(|rest| BZIP2_BLOCK.iter().any(|b| b.starts_with(rest)))
            }
        };
        if cut { named } else { Compression::None }
    }

    fn from_content(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Compression::Gzip),
            // A frame, or a skippable frame before the first one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Compression::Lz4),
            head if head.starts_with(&SNAPPY_START) => Some(Compression::Snappy),
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..] => {
                BZIP2_BLOCK.iter().any(|b| block.starts_with(b)).then_some(Compression::Bzip2)
            }
            _ => None,
        }
    }

    /// How the name says a file is packed.
    pub fn from_extension(name: &Path) -> Compression {
        let extension = name.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_ref().and_then(|e| e.to_str()) {
            Some("gz" | "gzip") => Compression::Gzip,
            Some("zst" | "zstd") => Compression::Zstd,
            Some("bz2" | "bzip2") => Compression::Bzip2,
            Some("lz4") => Compression::Lz4,
            Some("snappy" | "sz") => Compression::Snappy,
            _ => Compression::None,
        }
    }

    /// The name of the format, as in messages.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "Zstandard",
            Compression::Bzip2 => "bzip2",
            Compression::Lz4 => "LZ4",
            Compression::Snappy => "snappy",
        }
    }
}
