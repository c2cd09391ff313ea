//! LIBSVM (also SVMlight, "sparse text"): one row a line, `label index:value index:value ...`.
//!
//! # Grammar
//!
//! ```text
//! line    = [blanks] [row] [blanks] ["#" anything] ["\r"] "\n"
//! row     = label [blanks "qid:" digits] { blanks index ":" value }
//! blanks  = one or more of space, tab
//! index   = digits, ascending strictly within a row, from the index base to 2^31 - 1
//! label, value = decimal number, finite in 64 bits
//! ```
//!
//! Blank lines and lines of comment alone are no rows. `qid:` (the query number of ranking sets) is read and dropped.
//! The last line may lack its `\n`; a UTF-8 byte order mark at the start is dropped. Values written as zero are kept as
//! stored zeros.
//!
//! # Guarantees
//!
//! Numbers have the same bits as `str::parse::<f64>` gives. A line that cannot be used is reported once, as
//! `file:line:column` with its bytes and a hint, and leaves nothing in a block. The rows, their order and the reports
//! do not depend on how a file is divided; blocks are cut at [`TARGET_BLOCK_NONZEROS`] values, counted from the start
//! of a split. An index never causes an allocation: a block is as large as its values.
//!
//! # Cost
//!
//! One pass, about one byte a nanosecond and core; 12 bytes a value and 12 a row. The line number of a bad
//! line is counted when it is needed, by reading the part of the file before the split.
//!
//! # References
//!
//! Chang and Lin, LIBSVM (README, "Usage of svm-train"); Joachims, SVMlight (comments, `qid`).

mod careful;
mod row;
mod table;

pub use table::LibsvmTable;

use crate::OnBadRecord;
use crate::format::fault::Fault;
use crate::lines::{LineChunks, ReadLimits};
use crate::split::Split;
use memchr::memchr;
use row::{IndexRange, Line};
use slackwater_dataflow::block::{CsrBuilder, LabeledBlock, TARGET_BLOCK_NONZEROS};
use slackwater_dataflow::{BadRecord, Error, Result};

/// The largest index, as written in a file.
pub const INDEX_MAX: u64 = (1 << 31) - 1;

/// What a file calls its first column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexBase {
    /// Columns are written from 0.
    Zero,
    /// Columns are written from 1, as LIBSVM does.
    #[default]
    One,
}

/// How to read LIBSVM text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LibsvmOptions {
    /// What the file calls its first column.
    pub index_base: IndexBase,
    /// How many columns every row has, stored or not; a row with a column beyond them is a bad record. `None`: each
    /// block has as many as its largest index asks for.
    pub num_features: Option<u32>,
    /// A row with a column beyond this many is a bad record. It only guards: blocks do not become as wide as this.
    /// `None`: any index up to [`INDEX_MAX`].
    pub max_features: Option<u32>,
    /// Limits on lines and packed files.
    pub limits: ReadLimits,
}

impl LibsvmOptions {
    /// Checks the values; the error names the setting.
    pub fn check(&self) -> Result<()> {
        self.index_range().map(drop)
    }
    fn index_range(&self) -> Result<IndexRange> {
        let first = match self.index_base {
            IndexBase::Zero => 0,
            IndexBase::One => 1,
        };
        let mut last = INDEX_MAX;
        for (name, limit) in [("num_features", self.num_features), ("max_features", self.max_features)] {
            match limit.map(u64::from) {
                Some(0) => return Err(Error::config(name, "must be at least 1")),
                Some(n) => last = last.min(n + first - 1),
                None => {}
            }
        }
        Ok(IndexRange { first, last })
    }
}

/// Reads one [`Split`] of a LIBSVM file, block by block. See the [module](self).
pub struct LibsvmReader {
    chunks: LineChunks,
    range: IndexRange,
    columns: usize,
    /// Lines of this split read so far.
    lines: u64,
    /// Lines of the file before this split, once a position has been asked for.
    lines_before: Option<u64>,
    block_nonzeros: usize,
}

impl LibsvmReader {
    /// Opens the split's file.
    pub fn open(split: &Split, options: &LibsvmOptions) -> Result<Self> {
        Ok(LibsvmReader {
            chunks: LineChunks::open(split, options.limits)?,
            range: options.index_range()?,
            columns: options.num_features.unwrap_or(0) as usize,
            lines: 0,
            lines_before: None,
            block_nonzeros: TARGET_BLOCK_NONZEROS,
        })
    }

    /// Cuts blocks at about this many values instead of [`TARGET_BLOCK_NONZEROS`].
    pub fn block_nonzeros(mut self, values: usize) -> Self {
        self.block_nonzeros = values.max(1);
        self
    }

    /// The next block, at least one row long; `None` at the end. Bad lines go to `on_bad` in the order of the file.
    pub fn next_block(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<LabeledBlock>> {
        let mut labels = vec![];
        let mut rows: Option<CsrBuilder> = None;
        while self.chunks.fill()? {
            let rows = rows.get_or_insert_with(|| self.builder());
            let (bytes, length) = self.chunks.lines();
            let read = read_lines(bytes, length, self.range, self.block_nonzeros, &mut labels, rows);
            self.chunks.consume(read.bytes);
            self.lines += read.lines;
            if let Some(fault) = read.fault {
                on_bad(self.locate(fault)?)?;
            }
            if is_full(rows, self.block_nonzeros) {
                break;
            }
        }
        Ok(rows
            .filter(|_| !labels.is_empty())
            .map(|rows| LabeledBlock { labels, features: rows.finish(self.columns) }))
    }

    /// Room for a block, or for what is left of the split: a value takes four bytes or more (` 1:1`).
    fn builder(&self) -> CsrBuilder {
        CsrBuilder::for_block(self.block_nonzeros.min(self.chunks.bytes_left_max() / 4 + 1))
    }

    /// The last line read was at fault: where is it?
    fn locate(&mut self, fault: Fault) -> Result<BadRecord> {
        let before = match self.lines_before {
            Some(n) => n,
            None => *self.lines_before.insert(self.chunks.lines_before()?),
        };
        Ok(fault.at(self.chunks.split().file().name(), before + self.lines))
    }
}

/// How far [`read_lines`] came.
struct Progress {
    bytes: usize,
    lines: u64,
    /// What is wrong with the last line read.
    fault: Option<Fault>,
}

/// True if a block has its size in values, or, of rows without values, in rows.
fn is_full(rows: &CsrBuilder, size: usize) -> bool {
    rows.nnz() >= size || rows.rows() >= size
}

/// Reads lines from the first `length` of `bytes` until the block is full or a line is at fault.
fn read_lines(
    bytes: &[u8],
    length: usize,
    range: IndexRange,
    block_nonzeros: usize,
    labels: &mut Vec<f64>,
    rows: &mut CsrBuilder,
) -> Progress {
    let mut progress = Progress { bytes: 0, lines: 0, fault: None };
    while progress.bytes < length && progress.fault.is_none() && !is_full(rows, block_nonzeros) {
        let rest = &bytes[progress.bytes..];
        let (line, used) = row::read(rest, range, rows).unwrap_or_else(|| {
            rows.abandon_row();
            let end = memchr(b'\n', rest).expect("lines end with a line feed");
            let line = careful::read(&rest[..end], range, rows).unwrap_or_else(|fault| {
                rows.abandon_row();
                progress.fault = Some(fault);
                Line::Blank
            });
            (line, end + 1)
        });
        if let Line::Row(label) = line {
            rows.end_row();
            labels.push(label);
        }
        progress.bytes += used;
        progress.lines += 1;
    }
    progress
}
