//! Text: lines, blocks of lines, and whole files.
//!
//! Text is UTF-8; lines end with `\n` or `\r\n`, which do not belong to the line; the last line may lack it; a byte
//! order mark at the start of a file is dropped. Empty lines are lines.
//!
//! A line that is not UTF-8 is a bad record with its line and the column of the first wrong byte. [`TextReader`] gives
//! lines one by one, or as [`TextBlock`]s of about [`BLOCK_BYTES`], which cost one allocation for hundreds of lines and
//! are the fast way to count words.
//!
//! Costs one pass to check UTF-8 (a few gigabytes a second) and one to find line ends.

use crate::OnBadRecord;
use crate::codec::Decoder;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{BadRecord, Error, Result};
use std::sync::Arc;

/// About how many bytes a [`TextBlock`] has.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Some whole lines of a file. Cheap to clone.
///
/// ```
/// use slackwater_loaders::format::text::TextBlock;
/// let block = TextBlock::from("one\ntwo\r\n\nfour");
/// assert_eq!(block.lines().collect::<Vec<_>>(), ["one", "two", "", "four"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextBlock(Arc<str>);

impl TextBlock {
    /// The lines, without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.lines()
    }
    /// The lines with their ends, as in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl From<&str> for TextBlock {
    fn from(text: &str) -> Self {
        TextBlock(text.into())
    }
}

/// Reads one [`Split`] of a text file.
pub struct TextReader {
    chunks: LineChunks,
    /// Lines of this split read so far.
    lines: u64,
    /// Lines of the file before this split, once a position has been asked for.
    lines_before: Option<u64>,
}

impl TextReader {
    /// Opens the split's file.
    pub fn open(split: &Split, limits: ReadLimits) -> Result<Self> {
        Ok(TextReader { chunks: LineChunks::open(split, limits)?, lines: 0, lines_before: None })
    }

    /// The next line without its end; `None` at the end of the split.
    pub fn next_line(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<String>> {
        self.next_text(1, on_bad, |text| {
            let line = text.strip_suffix('\n').unwrap_or(text);
            line.strip_suffix('\r').unwrap_or(line).to_string()
        })
    }

    /// The next lines, about [`BLOCK_BYTES`] of them; `None` at the end of the split.
    pub fn next_block(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<TextBlock>> {
        self.next_text(BLOCK_BYTES, on_bad, |text| TextBlock::from(text))
    }

    /// `make` of whole lines with their ends: as few as have `bytes_min` together, or those up to the end of the buffer
    /// or to a line that is bad.
    fn next_text<T>(
        &mut self,
        bytes_min: usize,
        on_bad: &mut OnBadRecord<'_>,
        make: impl Fn(&str) -> T,
    ) -> Result<Option<T>> {
        while self.chunks.fill()? {
            let (bytes, length) = self.chunks.lines();
            let from = bytes_min.min(length) - 1;
            let end = from + memchr(b'\n', &bytes[from..]).expect("lines end with a line feed") + 1;
            let text = std::str::from_utf8(&bytes[..end]).or_else(|e| {
                let end = memrchr(b'\n', &bytes[..e.valid_up_to()]).map_or(0, |at| at + 1);
                std::str::from_utf8(&bytes[..end])
            });
            let text = text.expect("what comes before the first wrong byte is right");
            if text.is_empty() {
                self.refuse_line(on_bad)?;
                continue;
            }
            let made = make(text);
            let end = text.len();
            self.lines += if bytes_min == 1 { 1 } else { memchr_iter(b'\n', text.as_bytes()).count() as u64 };
            self.chunks.consume(end);
            return Ok(Some(made));
        }
        Ok(None)
    }

    /// Takes the next line, which is not UTF-8, and reports it.
    fn refuse_line(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<()> {
        let (bytes, _) = self.chunks.lines();
        let end = memchr(b'\n', bytes).expect("lines end with a line feed");
        let line = &bytes[..end];
        let at = std::str::from_utf8(line).map_or_else(|e| e.valid_up_to(), |_| 0);
        let wrong = line[at..].to_vec();
        self.chunks.consume(end + 1);
        self.lines += 1;
        let before = match self.lines_before {
            Some(n) => n,
            None => *self.lines_before.insert(self.chunks.lines_before()?),
        };
        let name = self.chunks.split().file().name();
        on_bad(not_utf8(name, before + self.lines, at as u64 + 1, &wrong))
    }
}

fn not_utf8(name: &str, line: u64, column: u64, wrong: &[u8]) -> BadRecord {
    let first = wrong.first().copied().unwrap_or_default();
    BadRecord::at(name, line, column, format!("byte 0x{first:02x} is not UTF-8"))
        .bytes(wrong)
        .hint("convert the file to UTF-8, for example with `iconv -f latin1 -t utf-8`")
}

/// All text of one file, as it is in the file but for a byte order mark. At most `bytes_max` bytes, unpacked.
pub fn read_whole(file: &InputFile, bytes_max: u64, limits: ReadLimits) -> Result<String> {
    let mut decoder = Decoder::open(file, limits.expansion)?;
    let mut text = vec![];
    let mut buffer = vec![0; crate::lines::CHUNK_BYTES];
    loop {
        let n = decoder.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        if (text.len() + n) as u64 > bytes_max {
            let message =
                format!("{} has more than {bytes_max} bytes, the limit for a file read whole", file.name());
            return Err(Error::input(message, "read it line by line, or raise the limit"));
        }
        text.extend_from_slice(&buffer[..n]);
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    String::from_utf8(text).map_err(|e| {
        let (at, bytes) = (e.utf8_error().valid_up_to(), e.as_bytes());
        let line = memchr_iter(b'\n', &bytes[..at]).count() as u64 + 1;
        let start = memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1);
        not_utf8(file.name(), line, (at - start) as u64 + 1, &bytes[at..]).into()
    })
}
