//! What formats of records have in common: lines with their positions, pieces of files, and tables of typed records.
//!
//! A format gives a [`RecordReader`] for each piece of its files, which reads typed records one by one. From that
//! [`RecordTable`] makes a table, and [`crate::read_graph`] and others make datasets.
//!
//! # Guarantees
//!
//! A line that cannot be used is reported once, as `file:line:column`, and what was made of it is dropped. Lines before
//! the records (the head of a file) are left out by where they are, not by which piece is read, so a piece may begin in the
//! head.
//!
//! # Cost
//!
//! A batch of records in memory. The number of a bad line is counted when it is needed, by reading the part of the
//! file before the piece.

use super::fault::Fault;
use crate::OnBadRecord;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use memchr::memchr;
use slackwater_dataflow::{BadRecord, Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the records of one piece, in order.
pub trait RecordReader {
    /// What is read.
    type Record;
    /// The next record; `None` at the end. Bad ones go to `on_bad` in the order of the file.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers; input, where the file is damaged so that the rest of it cannot be read.
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Self::Record>>;

    /// Appends up to `rows_max` records, and says how many.
    ///
    /// # Errors
    /// As [`RecordReader::next_record`].
    fn read_into(
        &mut self,
        into: &mut Vec<Self::Record>,
        rows_max: usize,
        on_bad: &mut OnBadRecord<'_>,
    ) -> Result<usize> {
        let before = into.len();
        while into.len() - before < rows_max {
            match self.next_record(on_bad)? {
                Some(record) => into.push(record),
                None => break,
            }
        }
        Ok(into.len() - before)
    }
}

/// Records in files, in pieces. As [`TableSource`], before there are columns.
pub trait RecordSource: Send + Sync {
    /// What is read.
    type Record;
    /// How many pieces there are. At least one.
    fn pieces(&self) -> usize;
    /// What it is, in a line: format, files, bytes.
    fn describe(&self) -> String;
    /// Starts to read a piece.
    ///
    /// # Errors
    /// I/O; input, for a file that is not of its format.
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Self::Record>>>;
}

/// How records become columns.
type MakeColumn<T> = Box<dyn Fn(&[T], usize) -> ArrayRef + Send + Sync>;

/// A table of typed records.
pub struct RecordTable<S: RecordSource> {
    source: S,
    schema: SchemaRef,
    column: Arc<MakeColumn<S::Record>>,
}

impl<S: RecordSource> RecordTable<S> {
    /// A table with these columns, of which `column` makes one of a batch.
    pub(crate) fn new(
        source: S,
        columns: Vec<Field>,
        column: impl Fn(&[S::Record], usize) -> ArrayRef + Send + Sync + 'static,
    ) -> Self {
        RecordTable { source, schema: Arc::new(Schema::new(columns)), column: Arc::new(Box::new(column)) }
    }
    /// What is read.
    pub fn source(&self) -> &S {
        &self.source
    }
}

impl<S: RecordSource> TableSource for RecordTable<S>
where
    S::Record: 'static,
{
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.source.pieces()
    }
    fn describe(&self) -> String {
        self.source.describe()
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(Batches {
            reader: self.source.open(piece)?,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema),
            column: self.column.clone(),
            records: vec![],
        }))
    }
}

/// The numbers of the columns that a scan asks for.
pub(crate) fn wanted(scan: &Scan, all: &SchemaRef) -> Vec<usize> {
    scan.columns.clone().unwrap_or_else(|| (0..all.fields().len()).collect())
}

/// A batch of `rows` rows, which may have no columns.
pub(crate) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|e| Error::usage(format!("a reader made columns that do not fit its schema: {e}")))
}

/// A column without missing values.
pub(crate) fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

struct Batches<T> {
    reader: Box<dyn RecordReader<Record = T>>,
    schema: SchemaRef,
    columns: Vec<usize>,
    column: Arc<MakeColumn<T>>,
    records: Vec<T>,
}

impl<T> BatchReader for Batches<T> {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        self.records.clear();
        if self.reader.read_into(&mut self.records, BATCH_ROWS, on_bad)? == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter().map(|i| (self.column)(&self.records, *i)).collect();
        batch(&self.schema, columns, self.records.len()).map(Some)
    }
}

/// The lines of a piece of a file, without their ends and without the head of the file.
pub(crate) struct LineRecords {
    chunks: LineChunks,
    /// Where the records begin: what is before is left out.
    head_bytes: u64,
    /// Lines of this piece read so far.
    lines: u64,
    /// Lines of the file before this piece, once a position has been asked for.
    lines_before: Option<u64>,
}

impl LineRecords {
    /// Opens the split's file, of which the first `head_bytes` (of what is unpacked) hold no records.
    pub fn open(split: &Split, limits: ReadLimits, head_bytes: u64) -> Result<Self> {
        let chunks = LineChunks::open(split, limits)?;
        Ok(LineRecords { chunks, head_bytes, lines: 0, lines_before: None })
    }

    /// The split that is read.
    pub fn split(&self) -> &Split {
        self.chunks.split()
    }

    /// True if the next line is the first one of its file.
    pub fn is_at_start(&self) -> bool {
        self.lines == 0 && self.chunks.split().start() == 0
    }

    /// What `parse` makes of the next line of which it makes anything; `None` at the end.
    pub fn next<T>(
        &mut self,
        on_bad: &mut OnBadRecord<'_>,
        parse: impl FnMut(&[u8]) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>> {
        self.next_quick(on_bad, |_| None, parse)
    }

    /// As [`LineRecords::next`], with a fast reader that is asked first: it is given the bytes from the next line on, with padding
    /// after the last, and says what the line is and how long, or leaves it to `parse`.
    #[inline]
    pub fn next_quick<T>(
        &mut self,
        on_bad: &mut OnBadRecord<'_>,
        mut quick: impl FnMut(&[u8]) -> Option<(T, usize)>,
        mut parse: impl FnMut(&[u8]) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>> {
        while self.chunks.fill()? {
            let at = self.chunks.position();
            let (bytes, _) = self.chunks.lines();
            if at >= self.head_bytes
                && let Some((record, length)) = quick(bytes)
            {
                self.chunks.consume(length);
                self.lines += 1;
                return Ok(Some(record));
            }
            let end = memchr(b'\n', bytes).expect("lines end with a line feed");
            let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            let parsed = match at < self.head_bytes {
                true => Ok(None),
                false => parse(line),
            };
            self.chunks.consume(end + 1);
            self.lines += 1;
            match parsed {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => {}
                Err(fault) => on_bad(self.locate(fault)?)?,
            }
        }
        Ok(None)
    }

    /// The last line read was at fault: where is it?
    pub fn locate(&mut self, fault: Fault) -> Result<BadRecord> {
        let before = match self.lines_before {
            Some(n) => n,
            None => *self.lines_before.insert(self.chunks.lines_before()?),
        };
        Ok(fault.at(self.chunks.split().file().name(), before + self.lines))
    }
}

/// Reads the lines at the start of a file until `parse` says, by `false`, that a line is no part of the head. Returns the
/// number of bytes of the head. A fault is an error.
pub(crate) fn read_head(
    file: &InputFile,
    limits: ReadLimits,
    mut parse: impl FnMut(&[u8]) -> Result<bool, Fault>,
) -> Result<u64> {
    let mut chunks = LineChunks::open(&Split::whole(file.clone()), limits)?;
    let mut number = 0;
    while chunks.fill()? {
        let at = chunks.position();
        let (bytes, _) = chunks.lines();
        let end = memchr(b'\n', bytes).expect("lines end with a line feed");
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        number += 1;
        if !parse(line).map_err(|fault| fault.at(file.name(), number))? {
            return Ok(at);
        }
        chunks.consume(end + 1);
    }
    Ok(chunks.position())
}

/// Records of which one line gives several, waiting to be taken.
pub(crate) struct Pending<T> {
    items: Vec<T>,
    at: usize,
}

impl<T: Copy> Pending<T> {
    pub fn new() -> Self {
        Pending { items: vec![], at: 0 }
    }
    /// The next one, if any is left of the last line.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        let item = self.items.get(self.at).copied();
        self.at += 1;
        item
    }
    /// Takes these.
    pub fn set(&mut self, items: impl IntoIterator<Item = T>) {
        self.items.clear();
        self.at = 0;
        self.items.extend(items);
    }
    /// Takes what `parse` makes of a line, unless it is at fault.
    pub fn fill(&mut self, parse: impl FnOnce(&mut Vec<T>) -> Result<(), Fault>) -> Result<(), Fault> {
        self.items.clear();
        self.at = 0;
        parse(&mut self.items).inspect_err(|_| self.items.clear())
    }
}

/// How many of a piece's lines are records, and how many words they have, counted before they are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Lines that are records.
    pub records: u64,
    /// Words of these.
    pub words: u64,
}

impl std::ops::Add for Count {
    type Output = Count;
    fn add(self, other: Count) -> Count {
        Count { records: self.records + other.records, words: self.words + other.words }
    }
}

/// For formats where what a line means depends on its number, or whose head says how many records there are: what is
/// before each piece. Counted once, when first asked for, which takes a pass over the file at a gigabyte or two a
/// second; a file of one piece has nothing before it.
pub(crate) struct Counts {
    before: Mutex<Option<Arc<[Count]>>>,
}

impl Counts {
    pub fn new() -> Arc<Counts> {
        Arc::new(Counts { before: Mutex::new(None) })
    }

    /// What is before piece `piece` of `splits`, which are of one file; `count` looks at a line after the head.
    pub fn before(
        &self,
        splits: &[Split],
        piece: usize,
        limits: ReadLimits,
        head_bytes: u64,
        count: fn(&[u8]) -> Count,
    ) -> Result<Count> {
        if piece == 0 {
            return Ok(Count::default());
        }
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*before {
            return Ok(before[piece]);
        }
        let mut sums = vec![Count::default()];
        for split in &splits[..splits.len() - 1] {
            let mut sum = sums[sums.len() - 1];
            let mut lines = LineRecords::open(split, limits, head_bytes)?;
            lines.next(&mut |bad| Err(bad.into()), |line| {
                sum = sum + count(line);
                Ok(None::<()>)
            })?;
            sums.push(sum);
        }
        let answer = sums[piece];
        *before = Some(sums.into());
        Ok(answer)
    }
}

/// The words of a line, with their columns from 0. Words are divided by spaces and tabs.
#[derive(Clone)]
pub(crate) struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a [u8]) -> Self {
        Words { line, at: 0 }
    }
    /// The next word, or the fault that there is none: `what` is missing.
    #[inline]
    pub fn need(&mut self, what: &str, form: &'static str) -> Result<(usize, &'a [u8]), Fault> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(Fault::new(self.line.len(), self.line, format!("{what} is missing")).hint(form)),
        }
    }
    /// The fault of a word after the last that there may be.
    #[inline]
    pub fn end(&mut self, form: &'static str) -> Result<(), Fault> {
        match self.next() {
            Some((column, word)) => {
                Err(Fault::new(column, word, "the line has something after its end").hint(form))
            }
            None => Ok(()),
        }
    }
}

#[inline]
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl<'a> Iterator for Words<'a> {
    type Item = (usize, &'a [u8]);
    #[inline]
    fn next(&mut self) -> Option<(usize, &'a [u8])> {
        let mut start = self.at;
        while start < self.line.len() && is_blank(self.line[start]) {
            start += 1;
        }
        let mut end = start;
        while end < self.line.len() && !is_blank(self.line[end]) {
            end += 1;
        }
        self.at = end;
        (end > start).then(|| (start, &self.line[start..end]))
    }
}

/// The value of some digits; `None` if there are other bytes, or if it is beyond 64 bits.
#[inline]
pub(crate) fn unsigned(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    // 19 digits fit, whatever they are.
    let (first, rest) = digits.split_at(digits.len().min(19));
    for byte in first {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// A whole number from 0, or what is wrong with it.
#[inline]
pub(crate) fn whole(column: usize, word: &[u8], what: &str) -> Result<u64, Fault> {
    unsigned(word).ok_or_else(|| not_whole(column, word, what))
}

#[cold]
fn not_whole(column: usize, word: &[u8], what: &str) -> Fault {
    if let Some(fault) = not_text(column, word) {
        return fault;
    }
    if !word.is_empty() && word.iter().all(u8::is_ascii_digit) {
        return Fault::new(column, word, format!("{what} is beyond 2^64")).hint("number from 0 or 1");
    }
    Fault::new(column, word, format!("{what} is not a whole number of at least 0"))
        .hint("it is written with digits only; number what has a name")
}

/// A finite number, or what is wrong with it.
#[inline]
pub(crate) fn finite(column: usize, word: &[u8], what: &str) -> Result<f64, Fault> {
    match fast_float2::parse::<f64, _>(word) {
        Ok(x) if x.is_finite() => Ok(x),
        other => Err(not_finite(column, word, what, other.ok())),
    }
}

/// A number, which may be infinite or NaN where the file says so, or what is wrong with it.
#[inline]
pub(crate) fn real(column: usize, word: &[u8], what: &str) -> Result<f64, Fault> {
    match fast_float2::parse::<f64, _>(word) {
        Ok(x) if x.is_finite() || !word.iter().any(u8::is_ascii_digit) => Ok(x),
        other => Err(not_finite(column, word, what, other.ok())),
    }
}

#[cold]
fn not_finite(column: usize, word: &[u8], what: &str, number: Option<f64>) -> Fault {
    const NOT_FINITE: &str = "leave out what has no value, or put a number in its place";
    if let Some(fault) = not_text(column, word) {
        return fault;
    }
    let (message, hint) = match number {
        Some(x) if x.is_nan() => ("is NaN", NOT_FINITE),
        Some(_) if word.iter().any(u8::is_ascii_digit) => {
            ("is too large for a 64-bit float", "scale the values, or leave this one out")
        }
        Some(_) => ("is infinite", NOT_FINITE),
        None => ("is not a number", "values are decimal numbers such as 12, -0.5 or 1e-3"),
    };
    Fault::new(column, word, format!("{what} {message}")).hint(hint)
}

/// The fault of bytes that no text of numbers has.
#[cold]
pub(crate) fn not_text(column: usize, bytes: &[u8]) -> Option<Fault> {
    let at = bytes.iter().position(|b| !(b' '..=b'~').contains(b))?;
    let fault = Fault::new(column + at, &bytes[at..], format!("byte 0x{:02x} is not text", bytes[at]));
    Some(fault.hint("the file is read as plain text of numbers; is it that?"))
}

/// Format, names and bytes, for plans.
pub(crate) fn describe(format: &str, splits: &[Split]) -> String {
    let mut files: Vec<&InputFile> = splits.iter().map(Split::file).collect();
    files.dedup_by(|a, b| a.is_same(b));
    crate::source::describe(format, files.into_iter())
}

/// The one file of a format that has one.
pub(crate) fn one_file<'a>(files: &'a [InputFile], what: &str) -> Result<&'a InputFile> {
    match files {
        [file] => Ok(file),
        _ => Err(Error::input(
            format!("{} files were given for one {what}", files.len()),
            format!("read each {what} for itself"),
        )),
    }
}
