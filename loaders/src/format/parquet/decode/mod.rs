//! Flat columns of the common kinds, decoded from their pages straight into the arrays of a batch.
//!
//! # What is read here
//!
//! Columns without repetition or nesting of integers, floats and times of 32 and 64 bits, truths, texts and bytes, whose values are
//! plain or numbers of a dictionary (also both in one column), in pages of both versions; not packed, or by Snappy, gzip,
//! Zstandard or LZ4 (raw). Types that need another width or unit than the file's, other encodings and codecs, encrypted columns, those of
//! files far away and those of a scan with a condition are read by the Parquet library ([`Columns::are_for`]).
//!
//! # Guarantees
//!
//! The values, the missing ones and the lengths of batches are those of the library. Nothing that a file says is
//! believed before it is checked against the bytes that there are: what is allocated is a page, held to the limits of
//! [`chunks`](super::chunks), and a batch.
//!
//! # Cost
//!
//! One write a value: which rows have one goes into the bitmap of the batch as it is stored, and values to their rows from the page.
//! A page as stored and unpacked for each column, in room that is used again, also by those who read the next piece of the file. Of
//! a column some batches are read one after the other, up to a few megabytes of all columns: they are of the same page. Pages whose rows are not wanted are passed over
//! by their headers, and so is a dictionary that no row needs.
//!
//! # Failure
//!
//! What is damaged is an error; the reader of the table finds out in which column it is.
//!
//! # References
//!
//! Apache Parquet format 2.12.

mod bits;
mod column;
mod fault;
mod hybrid;
mod pages;
mod texts;
mod values;

use super::keys::unreadable;
use crate::source::InputFile;
use arrow_array::ArrayRef;
use arrow_schema::{DataType, TimeUnit};
use column::{Chunk, Column};
use fault::{Done, Fault, damaged};
use pages::Packing;
pub(super) use pages::Rooms;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use slackwater_dataflow::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use values::{Numbers, Truths, Values};

/// Columns of a file that are read together, in rows that follow each other.
pub(super) struct Columns {
    name: String,
    columns: Vec<Ahead>,
    batch_rows: usize,
    left: usize,
}

/// A column, of which batches are read ahead: several of one column, then those of the next, so that its page is still in the
/// cache.
struct Ahead {
    column: Column,
    /// Rows that are not read.
    left: usize,
    /// An error is the last.
    ready: VecDeque<Done<ArrayRef>>,
}

/// Nobody reads further ahead than so many bytes, all columns together, and what the last batch of a column is more.
const AHEAD_BYTES: usize = 8 << 20;
/// Nor than so many batches.
const AHEAD_BATCHES: usize = 8;

impl Columns {
    /// True if this column (a root of the schema) of these row groups is read here.
    pub(super) fn are_for(
        file: &InputFile,
        metadata: &ArrowReaderMetadata,
        groups: &[usize],
        root: usize,
    ) -> bool {
        leaf(metadata, root).is_some_and(|leaf| {
            let known = metadata.metadata();
            let physical = known.file_metadata().schema_descr().column(leaf).physical_type();
            let chunk_is = |g: &usize| {
                known
                    .row_group(*g)
                    .columns()
                    .get(leaf)
                    .is_some_and(|c| chunk(file, c, 0).is_some() && is_common(c))
            };
            values(physical, metadata.schema().field(root).data_type()).is_some()
                && groups.iter().all(chunk_is)
        })
    }
    /// Begins to read columns that [are for](Columns::are_for) this, of all rows of the row groups or of some of the only one.
    ///
    /// # Errors
    /// I/O; input, if the file is damaged.
    pub(super) fn open(
        file: &InputFile,
        rooms: &Arc<Rooms>,
        metadata: &ArrowReaderMetadata,
        groups: &[usize],
        rows: Option<&Range<usize>>,
        roots: &[usize],
        batch_rows: usize,
    ) -> Result<Columns> {
        let known = metadata.metadata();
        let of_group = |g: &usize| usize::try_from(known.row_group(*g).num_rows()).unwrap_or(0);
        let all = groups.iter().map(of_group).fold(0, usize::saturating_add);
        let (skipped, left) = rows.map_or((0, all), |rows| (rows.start, rows.len()));
        let column = |root: &usize| {
            let failed = || unreadable(file.name(), "a column is not what the schema says");
            let leaf = leaf(metadata, *root).ok_or_else(failed)?;
            let descriptor = known.file_metadata().schema_descr().column(leaf);
            let chunks = groups
                .iter()
                .map(|g| chunk(file, known.row_group(*g).column(leaf), of_group(g)))
                .collect::<Option<Vec<Chunk>>>()
                .ok_or_else(failed)?;
            let of = metadata.schema().field(*root).data_type();
            let values = values(descriptor.physical_type(), of).ok_or_else(failed)?;
            let is_optional = descriptor.max_def_level() > 0;
            let column = Column::new(file, rooms, chunks, values, is_optional, skipped);
            let column = column.map_err(|e| error(file.name(), e))?;
            Ok(Ahead { column, left, ready: VecDeque::new() })
        };
        let columns = roots.iter().map(column).collect::<Result<_>>()?;
        Ok(Columns { name: file.name().to_string(), columns, batch_rows, left })
    }
    /// The next batch: its rows, and an array for each column. `None` after the last.
    ///
    /// # Errors
    /// I/O; input, if the file is damaged.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Vec<ArrayRef>)>> {
        let rows = self.batch_rows.min(self.left);
        if rows == 0 {
            return Ok(None);
        }
        self.left -= rows;
        let share = AHEAD_BYTES / self.columns.len().max(1);
        let arrays = self.columns.iter_mut().map(|column| column.next(self.batch_rows, share));
        match arrays.collect::<Result<_, _>>() {
            Ok(arrays) => Ok(Some((rows, arrays))),
            Err(e) => {
                self.left = 0;
                Err(error(&self.name, e))
            }
        }
    }
}

impl Ahead {
    /// The next batch, of those that are ready or of as many as have so many bytes.
    fn next(&mut self, batch_rows: usize, bytes: usize) -> Done<ArrayRef> {
        let mut read = 0;
        if self.ready.is_empty() {
            while self.left > 0 && self.ready.len() < AHEAD_BATCHES && (read < bytes || self.ready.is_empty())
            {
                let rows = batch_rows.min(self.left);
                let array = self.column.read(rows);
                self.left = if array.is_ok() { self.left - rows } else { 0 };
                read += array.as_ref().map_or(0, |array| array.get_buffer_memory_size());
                self.ready.push_back(array);
            }
        }
        match self.ready.pop_front() {
            Some(array) => array,
            None => damaged("some columns have fewer rows than others"),
        }
    }
}

fn error(name: &str, fault: Fault) -> Error {
    match fault {
        Fault::Read(e) => e,
        Fault::Damaged(message) => unreadable(name, &message),
    }
}

/// The leaf that a root of the schema is, if it is flat.
fn leaf(metadata: &ArrowReaderMetadata, root: usize) -> Option<usize> {
    let schema = metadata.metadata().file_metadata().schema_descr();
    let field = schema.root_schema().get_fields().get(root)?;
    // Leaves are in the order of their roots.
    let (mut leaf, mut end) = (0, schema.num_columns());
    while leaf < end {
        let middle = usize::midpoint(leaf, end);
        match schema.get_column_root_idx(middle) < root {
            true => leaf = middle + 1,
            false => end = middle,
        }
    }
    if leaf == schema.num_columns() || schema.get_column_root_idx(leaf) != root {
        return None;
    }
    let descriptor = schema.column(leaf);
    (field.is_primitive() && descriptor.max_rep_level() == 0 && descriptor.max_def_level() <= 1)
        .then_some(leaf)
}

/// Where a column of a row group is. `None`, if it is packed otherwise than can be read here, or is not in the file.
fn chunk(file: &InputFile, chunk: &ColumnChunkMetaData, rows: usize) -> Option<Chunk> {
    let start = u64::try_from(chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset())).ok()?;
    let end = start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?;
    if end > file.bytes() {
        return None;
    }
    Some(Chunk { bytes: start..end, packing: Packing::of(chunk.compression())?, rows })
}

/// True if a column says that it has no encodings but those that are read here, and is not encrypted.
fn is_common(chunk: &ColumnChunkMetaData) -> bool {
    #[expect(deprecated)] // for writers; files have it
    let packed = Encoding::BIT_PACKED;
    let common =
        [Encoding::PLAIN, Encoding::RLE, packed, Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY];
    chunk.crypto_metadata().is_none() && chunk.encodings().all(|encoding| common.contains(&encoding))
}

/// What makes arrays of a type from values as they are stored. `None`: they are not the same bytes.
fn values(stored: Type, of: &DataType) -> Option<Box<dyn Values>> {
    use DataType::{
        Binary, Boolean, Date32, Duration, Float32, Float64, Int32, Int64, Time32, Time64, Timestamp, UInt32,
        UInt64, Utf8,
    };
    Some(match (stored, of) {
        (Type::INT32, Int32 | UInt32 | Date32 | Time32(TimeUnit::Second | TimeUnit::Millisecond))
        | (Type::FLOAT, Float32) => Box::new(Numbers::<u32>::new(of.clone())),
        (Type::INT64, Int64 | UInt64 | Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond))
        | (Type::INT64, Timestamp(..) | Duration(_))
        | (Type::DOUBLE, Float64) => Box::new(Numbers::<u64>::new(of.clone())),
        (Type::BOOLEAN, Boolean) => Box::<Truths>::default(),
        (Type::BYTE_ARRAY, Utf8) => Box::new(texts::Texts::new(true)),
        (Type::BYTE_ARRAY, Binary) => Box::new(texts::Texts::new(false)),
        _ => return None,
    })
}
