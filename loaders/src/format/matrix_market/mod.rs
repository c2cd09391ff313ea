//! MatrixMarket: sparse and dense matrices, one entry a line.
//!
//! # Grammar
//!
//! ```text
//! file       = [first] { comment | blank line } sizes { entry | comment | blank line }
//! first      = "%%MatrixMarket matrix" format field symmetry
//! format     = "coordinate" | "array"
//! field      = "real" | "double" | "integer" | "complex" | "pattern"
//! symmetry   = "general" | "symmetric" | "skew-symmetric" | "hermitian"
//! comment    = "%" anything;  "%%GraphBLAS type" name says what values fit in
//! sizes      = rows columns entries           (coordinate)   |   rows columns   (array)
//! entry      = row column value               (coordinate; a pattern has no value, complex ones have two)
//!            | value                          (array, column by column; of symmetric ones the lower half)
//! ```
//!
//! Words are divided by spaces and tabs; the words of the first line may be in any case. Without a first line, as in the
//! `.mmt` files of STRADS and some of LAGraph, three sizes mean real coordinates and two a real array. Rows and columns are
//! numbered from 1 in the file and **from 0 in what is read**. Real values may be `nan` and `inf`, as C writes them. Entries of
//! one half are read as two, in the order in which they are written: `(i, j)` then `(j, i)`. Which half is written does not
//! matter; that none is written twice is not checked.
//!
//! # Guarantees
//!
//! Real numbers have the same bits as `str::parse::<f64>` gives; whole ones beyond 2^53 are rounded to the nearest. Values that a
//! declared type (`%%GraphBLAS type int8_t`) does not hold are refused. The number of entries is checked against the head: by
//! whoever reads the last piece, at its end. So a file that is cut short is an error, also where bad records are left out. The
//! sizes of the head allocate nothing.
//!
//! # Cost
//!
//! One pass. Of a file of several pieces, a pass more to count lines, once a process: for the last piece, to check their number; for
//! all pieces but the first of an array, to know where they are.
//!
//! # Failure
//!
//! A head that makes no sense is a data error at its line; an entry out of range or with too few words is a bad record.
//!
//! # References
//!
//! Boisvert, Pozo and Remington 1996, The Matrix Market Exchange Formats (NIST IR 5935); LAGraph, `LAGraph_MMRead`.

mod header;
mod write;

pub use header::{Header, Layout, Symmetry, Values};
pub use write::{write_coordinate, write_entry, write_head};

use super::fault::Fault;
use super::quick::Quick;
use super::records::{
    Count, Counts, LineRecords, RecordReader, RecordSource, RecordTable, Words, describe, field, finite,
    real, whole,
};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;
use slackwater_dataflow::{BadRecord, Result};
use std::sync::Arc;

/// One entry of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Entry {
    /// From 0.
    pub row: u64,
    /// From 0.
    pub column: u64,
    /// The value; 1 in a pattern. Of a complex matrix, the real part.
    pub value: f64,
    /// The imaginary part; 0 unless the matrix is complex.
    pub imaginary: f64,
}

/// A matrix in a file. See the [module](self).
pub struct MatrixMarket {
    header: Header,
    head_bytes: u64,
    splits: Vec<Split>,
    limits: ReadLimits,
    counts: Arc<Counts>,
}

impl MatrixMarket {
    /// Reads the head of a file, and divides it into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense.
    pub fn open(file: &InputFile, limits: ReadLimits, min_splits: usize) -> Result<Self> {
        let (header, head_bytes) = header::read(file, limits)?;
        let splits = splits(std::slice::from_ref(file), min_splits);
        Ok(MatrixMarket { header, head_bytes, splits, limits, counts: Counts::new() })
    }
    /// What the head says.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// As a table: `row`, `column` (from 0), `value` and, of a complex matrix, `imaginary`.
    pub fn into_table(self) -> RecordTable<MatrixMarket> {
        let mut columns = vec![
            field("row", DataType::UInt64),
            field("column", DataType::UInt64),
            field("value", DataType::Float64),
        ];
        if self.header.values == Values::Complex {
            columns.push(field("imaginary", DataType::Float64));
        }
        RecordTable::new(self, columns, |entries: &[Entry], column| -> ArrayRef {
            match column {
                0 => Arc::new(UInt64Array::from_iter_values(entries.iter().map(|e| e.row))),
                1 => Arc::new(UInt64Array::from_iter_values(entries.iter().map(|e| e.column))),
                2 => Arc::new(Float64Array::from_iter_values(entries.iter().map(|e| e.value))),
                _ => Arc::new(Float64Array::from_iter_values(entries.iter().map(|e| e.imaginary))),
            }
        })
    }
    fn before(&self, piece: usize) -> Result<u64> {
        let before = self.counts.before(&self.splits, piece, self.limits, self.head_bytes, count)?;
        Ok(before.records)
    }
}

impl RecordSource for MatrixMarket {
    type Record = Entry;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("MatrixMarket", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Entry>>> {
        let is_last = piece + 1 == self.splits.len();
        // Only arrays, and the check at the end, need to know what is before.
        let before = if self.header.layout == Layout::Array || is_last { self.before(piece)? } else { 0 };
        Ok(Box::new(EntryReader {
            lines: LineRecords::open(&self.splits[piece], self.limits, self.head_bytes)?,
            header: self.header,
            is_last,
            entries: before,
            cell: Cell::at(before, &self.header),
            mirrored: None,
        }))
    }
}

/// True for a line that is an entry.
fn is_entry(line: &[u8]) -> bool {
    line.iter().find(|b| !matches!(b, b' ' | b'\t')).is_some_and(|b| *b != b'%')
}

fn count(line: &[u8]) -> Count {
    Count { records: u64::from(is_entry(line)), words: 0 }
}

/// Reads the entries of a piece.
struct EntryReader {
    lines: LineRecords,
    header: Header,
    is_last: bool,
    /// Entries of the file so far, as far as they are known.
    entries: u64,
    /// Where the next value of an array is.
    cell: Cell,
    /// The other half of the entry given last.
    mirrored: Option<Entry>,
}

impl RecordReader for EntryReader {
    type Record = Entry;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Entry>> {
        if let Some(entry) = self.mirrored.take() {
            return Ok(Some(entry));
        }
        let EntryReader { lines, header, entries, cell, .. } = self;
        let is_quick = header.layout == Layout::Coordinate
            && header.values != Values::Complex
            && header.symmetry != Symmetry::SkewSymmetric;
        let mut quick_entries = 0;
        let quick = |bytes: &[u8]| match is_quick {
            true => quick_entry(bytes, header).inspect(|_| quick_entries += 1),
            false => None,
        };
        let entry = lines.next_quick(on_bad, quick, |line| {
            if !is_entry(line) {
                return Ok(None);
            }
            *entries += 1;
            match header.layout {
                Layout::Coordinate => coordinate(line, header).map(Some),
                Layout::Array => cell.value(line, header).map(Some),
            }
        })?;
        *entries += quick_entries;
        let Some(entry) = entry else {
            self.check_end()?;
            return Ok(None);
        };
        self.mirrored = mirror(&entry, self.header.symmetry);
        Ok(Some(entry))
    }
}

impl EntryReader {
    /// The head says how many entries there are.
    fn check_end(&mut self) -> Result<()> {
        let (said, found) = (self.header.entries, self.entries);
        if !self.is_last || said == found {
            return Ok(());
        }
        let message = format!("the head says that {said} entries follow, and there are {found}");
        let hint = if found < said {
            "the file was probably not copied or downloaded to its end"
        } else {
            "the line of sizes is wrong, or two files were joined"
        };
        Err(BadRecord::at(self.lines.split().file().name(), 0, 0, message).hint(hint).into())
    }
}

/// The entry in the other half that an entry stands for.
fn mirror(entry: &Entry, symmetry: Symmetry) -> Option<Entry> {
    if entry.row == entry.column {
        return None;
    }
    let (real, imaginary) = match symmetry {
        Symmetry::General => return None,
        Symmetry::Symmetric => (1.0, 1.0),
        Symmetry::SkewSymmetric => (-1.0, -1.0),
        Symmetry::Hermitian => (1.0, -1.0),
    };
    Some(Entry {
        row: entry.column,
        column: entry.row,
        value: real * entry.value,
        imaginary: imaginary * entry.imaginary,
    })
}

const COORDINATE: &str =
    "an entry is `row column value`; of a pattern `row column`, of a complex matrix with two values";
const ARRAY: &str = "an array has one value a line, of a complex matrix two";

/// An entry as nearly all are written.
#[inline(always)]
fn quick_entry(bytes: &[u8], header: &Header) -> Option<(Entry, usize)> {
    let mut line = Quick::of(bytes);
    let row = line.whole()?;
    line.one_of(b" \t")?;
    let column = line.whole()?;
    let value = match (header.values, header.range) {
        (Values::Pattern, _) => 1.0,
        (_, None) => {
            line.one_of(b" \t")?;
            line.decimal()?
        }
        (_, Some((least, largest))) => {
            line.one_of(b" \t")?;
            let whole = line.whole()?;
            if i128::from(whole) < least || i128::from(whole) > largest {
                return None;
            }
            whole as f64
        }
    };
    let length = line.end()?;
    if row == 0 || row > header.rows || column == 0 || column > header.columns {
        return None;
    }
    Some((Entry { row: row - 1, column: column - 1, value, imaginary: 0.0 }, length))
}

fn coordinate(line: &[u8], header: &Header) -> Result<Entry, Fault> {
    let mut words = Words::of(line);
    let row = index(&mut words, "the row", header.rows)?;
    let column = index(&mut words, "the column", header.columns)?;
    let (value, imaginary) = value(&mut words, header, COORDINATE)?;
    let entry = Entry { row, column, value, imaginary };
    if header.symmetry == Symmetry::SkewSymmetric && row == column && (value != 0.0 || imaginary != 0.0) {
        return Err(Fault::new(0, line, "the diagonal of a skew-symmetric matrix is zero")
            .hint("leave the diagonal out"));
    }
    Ok(entry)
}

/// A number from 1 to `last`, as one from 0.
fn index(words: &mut Words<'_>, what: &str, last: u64) -> Result<u64, Fault> {
    let (at, word) = words.need(what, COORDINATE)?;
    let number = whole(at, word, what)?;
    if number == 0 || number > last {
        let message = format!("{what} {number} is not one of 1 to {last}");
        return Err(Fault::new(at, word, message)
            .hint("the line of sizes says how many there are; they are numbered from 1"));
    }
    Ok(number - 1)
}

fn value(words: &mut Words<'_>, header: &Header, form: &'static str) -> Result<(f64, f64), Fault> {
    let mut next = |what: &str| {
        let (at, word) = words.need(what, form)?;
        match header.range {
            None => real(at, word, what),
            Some(range) => integer(at, word, range),
        }
    };
    let value = match header.values {
        Values::Pattern => (1.0, 0.0),
        Values::Real | Values::Integer => (next("the value")?, 0.0),
        Values::Complex => (next("the real part")?, next("the imaginary part")?),
    };
    words.end(form)?;
    Ok(value)
}

/// A whole number that its type holds.
fn integer(at: usize, word: &[u8], (least, largest): (i128, i128)) -> Result<f64, Fault> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let magnitude = whole(at, digits, "the value").map_err(|fault| {
        if finite(at, word, "the value").is_ok() {
            return Fault::new(at, word, "the value is not a whole number of 64 bits")
                .hint("the head says that values are integers; is the field `real`?");
        }
        fault
    })?;
    let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    if value < least || value > largest {
        return Err(Fault::new(
            at,
            word,
            format!("the value is not one of {least} to {largest}, which its type holds"),
        )
        .hint("the type is in the comment `%%GraphBLAS type`"));
    }
    Ok(value as f64)
}

/// Where the next value of an array is.
#[derive(Debug, Clone, Copy)]
struct Cell {
    row: u64,
    column: u64,
}

impl Cell {
    /// The first row of a column that is written.
    fn first_row(column: u64, symmetry: Symmetry) -> u64 {
        match symmetry {
            Symmetry::General => 0,
            Symmetry::Symmetric | Symmetry::Hermitian => column,
            Symmetry::SkewSymmetric => column + 1,
        }
    }
    /// The cell of value number `n`, from 0.
    fn at(n: u64, header: &Header) -> Cell {
        let (rows, n) = (u128::from(header.rows), u128::from(n));
        // Values in the columns before one.
        let before = |column: u64| {
            let column = u128::from(column);
            match header.symmetry {
                Symmetry::General => rows * column,
                // rows + (rows - 1) + ...
                Symmetry::Symmetric | Symmetry::Hermitian => {
                    rows * column - (column * column.saturating_sub(1)) / 2
                }
                Symmetry::SkewSymmetric => rows * column - (column * (column + 1)) / 2,
            }
        };
        let (mut low, mut high) = (0, header.columns);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if before(middle) <= n { low = middle } else { high = middle }
        }
        let row = Cell::first_row(low, header.symmetry).saturating_add((n - before(low)) as u64);
        Cell { row, column: low }.normal(header)
    }
    /// At the end of a column, the next one begins.
    fn normal(mut self, header: &Header) -> Cell {
        if self.row >= header.rows && self.column < header.columns {
            self.column += 1;
            self.row = Cell::first_row(self.column, header.symmetry);
        }
        self
    }
    fn value(&mut self, line: &[u8], header: &Header) -> Result<Entry, Fault> {
        let Cell { row, column } = *self;
        if row >= header.rows || column >= header.columns {
            return Err(Fault::new(
                0,
                line,
                format!("the array has {} values, and this is one more", header.entries),
            )
            .hint("the line of sizes is wrong, or two files were joined"));
        }
        *self = Cell { row: row + 1, column }.normal(header);
        let (value, imaginary) = value(&mut Words::of(line), header, ARRAY)?;
        Ok(Entry { row, column, value, imaginary })
    }
}

#[cfg(test)]
mod tests;
