//! Apache Parquet: tables in columns, packed and divided into row groups.
//!
//! # Guarantees
//!
//! A table's pieces are whole row groups or ranges of rows of one, of about 16 MiB as stored, or of four million values where these
//! are fewer rows: they depend on the files and on how many are wanted, not on who reads them. Rows come in the order of the file.
//! Codecs: none, Snappy, gzip, Brotli, LZ4 (both kinds), Zstandard. Columns that are not asked for are not read; row groups and
//! pages that cannot fulfil the condition of a scan, by their statistics, are not read either, nor are the other columns of rows
//! that do not fulfil it.
//! Encrypted files (AES-GCM) are read with [keys](ParquetKeys) that the program has. Checksums of pages are verified.
//!
//! # Cost
//!
//! One read of the footer, and of the page index if there is a condition. While a piece is read: a page of each column, and a batch.
//! Flat columns of the common kinds are decoded by the module `decode`, the others by the Parquet library.
//!
//! # Failure
//!
//! Damage is an error that names the row group and the column. A file that is packed as a whole (`.parquet.gz`) is unpacked into memory first.
//!
//! # References
//!
//! Apache Parquet format 2.12.

mod bounds;
mod chunks;
#[cfg(test)]
mod compare;
mod decode;
mod dictionaries;
mod footer;
mod keys;
mod page_header;
mod reader;
mod spans;

pub use keys::ParquetKeys;
use keys::unreadable;

use crate::OnBadRecord;
use crate::guard::guarded;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{SPLIT_BYTES_MAX, SPLIT_BYTES_MIN};
use crate::table::schema::{bare, unite};
use crate::table::{BatchReader, Scan, TableSource, batch_rows};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, SchemaRef};
use chunks::Chunks;
use decode::{Columns, Rooms};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::file::metadata::PageIndexPolicy;
use reader::{Opened, Reader};
use slackwater_dataflow::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;

/// Most bytes that a packed file may have when it is unpacked into memory.
const PACKED_BYTES_MAX: u64 = 1 << 30;
/// Most rows a byte of a file. A page of equal values has some 2^20 of them in 30 bytes.
const ROWS_PER_BYTE_MAX: u64 = 1 << 20;
/// Bytes of the columns of a condition that are kept for the batch, so that they need not be decoded twice.
const CONDITION_CACHE_BYTES: usize = 8 << 20;

/// A table in Parquet files.
pub struct ParquetTable(Arc<Table>);

struct Table {
    files: Vec<File>,
    schema: SchemaRef,
    pieces: Vec<Piece>,
    decryption: Option<Arc<FileDecryptionProperties>>,
    rooms: Arc<Rooms>,
}

struct File {
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
    /// With which texts that have a dictionary are read as its numbers, if there are any.
    numbered: Option<ArrowReaderMetadata>,
}

/// Whole row groups, or some rows of one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    file: usize,
    groups: Range<usize>,
    rows: Option<Range<usize>>,
}

impl ParquetTable {
    /// Reads the footers. At least `min_pieces` pieces are made, unless they would be very small.
    ///
    /// # Errors
    /// I/O; input, if a file is not Parquet or if they do not have the same columns.
    pub fn open(files: &[InputFile], min_pieces: usize) -> Result<Self> {
        ParquetTable::open_with(files, None, min_pieces)
    }

    /// The same for encrypted files.
    ///
    /// # Errors
    /// As [`ParquetTable::open`]; input, if a key is missing or wrong.
    pub fn open_encrypted(files: &[InputFile], keys: &ParquetKeys, min_pieces: usize) -> Result<Self> {
        ParquetTable::open_with(files, Some(keys.properties()?), min_pieces)
    }

    fn open_with(
        files: &[InputFile],
        decryption: Option<Arc<FileDecryptionProperties>>,
        min_pieces: usize,
    ) -> Result<Self> {
        let mut opened: Vec<File> = vec![];
        let mut schema: Option<SchemaRef> = None;
        for file in files {
            let file = file.unpacked(PACKED_BYTES_MAX, ReadLimits::default().expansion)?;
            let metadata = guarded(file.name(), || {
                // Where pages are is worth a request, if it spares others.
                let index = if file.is_far() { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
                let options = options(index, decryption.as_ref());
                let chunks = Chunks::new(file.clone());
                footer::load(&chunks, options).map_err(|e| {
                    let message = format!("this is not a Parquet file that can be read: {e}");
                    chunks.failure().unwrap_or_else(|| unreadable(file.name(), &message))
                })
            })?;
            // Who reads no column is given as many rows as the footer says, which must come to an end.
            let groups = metadata.metadata().row_groups().iter();
            let rows =
                groups.fold(0u64, |sum, g| sum.saturating_add(u64::try_from(g.num_rows()).unwrap_or(0)));
            if rows > file.bytes().saturating_mul(ROWS_PER_BYTE_MAX) {
                let message = format!("it says that it has {rows} rows, in {} bytes", file.bytes());
                return Err(unreadable(file.name(), &message));
            }
            let own = bare(metadata.schema());
            schema = Some(match &schema {
                Some(first) => unite(first, files[0].name(), &own, file.name())?,
                None => own,
            });
            let numbered = dictionaries::numbered(&metadata);
            opened.push(File { chunks: Chunks::new(file), metadata, numbered });
        }
        let schema = schema.ok_or_else(|| Error::input("no input files", "name at least one file"))?;
        let pieces = pieces(&opened, min_pieces);
        Ok(ParquetTable(Arc::new(Table { files: opened, schema, pieces, decryption, rooms: Arc::default() })))
    }

    /// How many rows the files say they have.
    pub fn rows(&self) -> u64 {
        let rows = self.0.files.iter().map(|f| f.metadata.metadata().file_metadata().num_rows());
        rows.map(|n| u64::try_from(n).unwrap_or(0)).fold(0, u64::saturating_add)
    }
}

impl Table {
    /// What reads a piece: the columns that it can, of a scan without a condition, by [`decode`], the others by the library.
    fn reader(&self, piece: &Piece, scan: &Scan) -> Result<Opened> {
        let file = &self.files[piece.file];
        let groups: Vec<usize> = piece.groups.clone().collect();
        let mut roots = scan.columns.clone().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        roots.sort_unstable();
        roots.dedup();
        let is_plain = scan.condition.is_none() && self.decryption.is_none() && !file.chunks.file.is_far();
        let are_own: Vec<bool> = roots
            .iter()
            .map(|root| is_plain && Columns::are_for(&file.chunks.file, &file.metadata, &groups, *root))
            .collect();
        let of = |own: bool| -> Vec<usize> {
            roots.iter().zip(&are_own).filter(|(_, is_own)| **is_own == own).map(|(root, _)| *root).collect()
        };
        let (own, others) = (of(true), of(false));
        if own.is_empty() {
            let (library, chunks) = self.with_library(piece, scan)?;
            return Ok(Opened { foreign: Some(library), own: None, are_own, chunks });
        }
        let columns = Columns::open(
            &file.chunks.file,
            &self.rooms,
            &file.metadata,
            &groups,
            piece.rows.as_ref(),
            &own,
            self.batch_rows(scan),
        )?;
        let others = Scan { columns: Some(others), condition: None };
        let (library, chunks) = match others.columns.as_ref().is_some_and(Vec::is_empty) {
            true => (None, file.chunks.clone()),
            // Batches are as long as those of all columns.
            false => {
                self.with_library_of(piece, &others, self.batch_rows(scan)).map(|(l, c)| (Some(l), c))?
            }
        };
        Ok(Opened { foreign: library, own: Some(columns), are_own, chunks })
    }

    /// How many rows the batches of a scan have.
    fn batch_rows(&self, scan: &Scan) -> usize {
        batch_rows(scan.schema(&self.schema).fields().len())
    }

    /// The library's reader, and what it reads from.
    fn with_library(&self, piece: &Piece, scan: &Scan) -> Result<(ParquetRecordBatchReader, Chunks)> {
        self.with_library_of(piece, scan, self.batch_rows(scan))
    }

    fn with_library_of(
        &self,
        piece: &Piece,
        scan: &Scan,
        batch_rows: usize,
    ) -> Result<(ParquetRecordBatchReader, Chunks)> {
        let file = &self.files[piece.file];
        let name = file.chunks.file.name();
        let failed = |e: &dyn std::fmt::Display| unreadable(name, &e.to_string());
        let mut metadata = file.metadata.clone();
        let mut groups: Vec<usize> = piece.groups.clone().collect();
        if let Some(condition) = &scan.condition {
            let known = bounds::Groups { metadata: &metadata, groups: &groups };
            let may = condition.may_hold(&known);
            groups = groups.iter().zip(may).filter(|(_, may)| *may).map(|(g, _)| *g).collect();
            if !groups.is_empty() && metadata.metadata().page_index().is_none() {
                let options = options(PageIndexPolicy::Optional, self.decryption.as_ref());
                let load = footer::load(&file.chunks, options);
                metadata = load.map_err(|e| file.chunks.failure().unwrap_or_else(|| failed(&e)))?;
            }
        } else if let Some(numbered) = &file.numbered {
            metadata = numbered.clone();
        }
        let selection = self.selection(piece, &groups, &metadata, scan);
        let chunks =
            file.chunks.of(|| spans::ranges(&metadata, &groups, piece.rows.as_ref(), self.columns(scan)));
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), metadata)
            .with_max_predicate_cache_size(CONDITION_CACHE_BYTES)
            .with_batch_size(batch_rows)
            .with_row_groups(groups);
        if let Some(columns) = &scan.columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        if let Some(condition) = scan.condition.clone() {
            let roots = condition.columns().into_iter().filter_map(|c| self.schema.index_of(c).ok());
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            let holds = move |batch: RecordBatch| {
                condition.condition(&batch).map_err(|e| ArrowError::ExternalError(Box::new(e)))
            };
            builder =
                builder.with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(mask, holds))]));
        }
        let reader = builder.build().map_err(|e| chunks.failure().unwrap_or_else(|| failed(&e)))?;
        Ok((reader, chunks))
    }

    /// The columns that a scan reads. `None`: all.
    fn columns(&self, scan: &Scan) -> Option<Vec<usize>> {
        let condition = scan.condition.iter().flat_map(|c| c.columns());
        let more = condition.filter_map(|c| self.schema.index_of(c).ok());
        scan.columns.as_ref().map(|columns| columns.iter().copied().chain(more).collect())
    }

    /// How many rows a piece has.
    fn count(&self, piece: &Piece) -> usize {
        let metadata = self.files[piece.file].metadata.metadata();
        let rows = |g: usize| usize::try_from(metadata.row_group(g).num_rows()).unwrap_or(0);
        match &piece.rows {
            Some(range) => range.len(),
            None => piece.groups.clone().map(rows).fold(0, usize::saturating_add),
        }
    }

    /// Which rows of the row groups are wanted. `None`: all.
    fn selection(
        &self,
        piece: &Piece,
        groups: &[usize],
        metadata: &ArrowReaderMetadata,
        scan: &Scan,
    ) -> Option<RowSelection> {
        let rows = |g: usize| usize::try_from(metadata.metadata().row_group(g).num_rows()).unwrap_or(0);
        let range = (!groups.is_empty()).then_some(piece.rows.clone()).flatten();
        let range = range.map(|range| {
            RowSelection::from_consecutive_ranges([range].into_iter(), rows(piece.groups.start))
        });
        let Some(condition) = &scan.condition else { return range };
        let pages: Vec<Option<RowSelection>> =
            groups.iter().map(|g| bounds::pages(metadata, *g, condition)).collect();
        if pages.iter().all(Option::is_none) {
            return range;
        }
        let all = |g: usize| RowSelection::from(vec![RowSelector::select(rows(g))]);
        let selectors = groups.iter().zip(pages).flat_map(|(g, s)| {
            let selection = s.unwrap_or_else(|| all(*g));
            Vec::from(selection)
        });
        let pages = RowSelection::from(selectors.collect::<Vec<_>>());
        Some(match range {
            Some(range) => range.intersection(&pages),
            None => pages,
        })
    }

    /// Reads the columns of a piece one by one, to find out which one cannot be read.
    fn find_damage(&self, piece: &Piece, scan: &Scan) -> Option<String> {
        let columns: Vec<usize> =
            scan.columns.clone().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        for group in piece.groups.clone() {
            for column in &columns {
                let one = Piece { groups: group..group + 1, ..piece.clone() };
                let scan = Scan { columns: Some(vec![*column]), condition: None };
                let result = guarded("", || {
                    let mut opened = self.reader(&one, &scan)?;
                    while opened.next("")?.is_some() {}
                    Ok(())
                });
                if result.is_err() {
                    let name = self.schema.field(*column).name();
                    let kind = if self.is_encrypted(piece.file, group, *column) { "encrypted " } else { "" };
                    return Some(format!("row group {group}, {kind}column `{name}`"));
                }
            }
        }
        None
    }

    fn is_encrypted(&self, file: usize, group: usize, column: usize) -> bool {
        let metadata = self.files[file].metadata.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let chunks = metadata.row_group(group).columns().iter().enumerate();
        chunks.into_iter().any(|(leaf, chunk)| {
            schema.get_column_root_idx(leaf) == column && chunk.crypto_metadata().is_some()
        })
    }
}

fn options(index: PageIndexPolicy, keys: Option<&Arc<FileDecryptionProperties>>) -> ArrowReaderOptions {
    let options = ArrowReaderOptions::new().with_page_index_policy(index);
    match keys {
        Some(keys) => options.with_file_decryption_properties(keys.clone()),
        None => options,
    }
}

/// What is read of a row group beside dictionaries is at least so many times as much, unless the file would be in too few
/// pieces.
const DICTIONARY_SHARE: u64 = 4;
/// No dictionary counts for more: a piece should not become large because a footer says so.
const DICTIONARY_BYTES_MAX: u64 = 1 << 20;
/// However large dictionaries are.
const PIECE_BYTES_MAX: u64 = 128 << 20;

/// A value counts for as many bytes at least, however well it is packed: who reads a piece may keep it whole.
const VALUE_BYTES_MIN: u64 = 4;
/// Of more values a stored byte, no more count: a small file should not be in very many pieces because its footer says so.
const VALUES_PER_BYTE_MAX: u64 = 64;

/// Divides files into pieces of about the same size.
fn pieces(files: &[File], min_pieces: usize) -> Vec<Piece> {
    let bytes = |f: usize, g: usize| {
        let columns = files[f].metadata.metadata().row_group(g).columns().iter();
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let (bytes, values) = columns.fold((0u64, 0u64), |(bytes, values), c| {
            (bytes.saturating_add(count(c.compressed_size())), values.saturating_add(count(c.num_values())))
        });
        let bytes = bytes.min(files[f].chunks.file.bytes());
        bytes.max(values.min(bytes.saturating_mul(VALUES_PER_BYTE_MAX)).saturating_mul(VALUE_BYTES_MIN))
    };
    let groups = |f: usize| files[f].metadata.metadata().num_row_groups();
    let all = (0..files.len()).flat_map(|f| (0..groups(f)).map(move |g| (f, g)));
    let total = all.fold(0u64, |sum, (f, g)| sum.saturating_add(bytes(f, g)));
    let share = (total / min_pieces.max(1) as u64).max(SPLIT_BYTES_MIN);
    // Each range of a row group unpacks a dictionary that all pages of the group need.
    let dictionaries = |f: usize, g: usize| {
        let columns = files[f].metadata.metadata().row_group(g).columns().iter();
        columns.filter(|c| dictionaries::has_numbers(c)).fold(0u64, |sum, c| {
            let begin = c.dictionary_page_offset().unwrap_or(c.data_page_offset());
            let bytes = c.data_page_offset().saturating_sub(begin);
            sum.saturating_add(u64::try_from(bytes).unwrap_or(0).min(DICTIONARY_BYTES_MAX))
        })
    };
    let mut pieces: Vec<Piece> = vec![];
    for (f, file) in files.iter().enumerate() {
        let mut room = 0;
        for g in 0..groups(f) {
            let size = bytes(f, g);
            let with_dictionaries = (DICTIONARY_SHARE * dictionaries(f, g)).min(PIECE_BYTES_MAX);
            let target = share.min(SPLIT_BYTES_MAX.max(with_dictionaries));
            let rows = usize::try_from(file.metadata.metadata().row_group(g).num_rows()).unwrap_or(0);
            // A range of fewer rows than some batches is not worth opening the row group again.
            let parts = (size.div_ceil(target) as usize).min(rows / (4 * crate::table::BATCH_ROWS)).max(1);
            match pieces.last_mut() {
                Some(last) if parts == 1 && size <= room && last.file == f => {
                    last.groups.end = g + 1;
                    room -= size;
                }
                _ if parts == 1 => {
                    pieces.push(Piece { file: f, groups: g..g + 1, rows: None });
                    room = target.saturating_sub(size);
                }
                _ => {
                    let cut = |k: usize| (rows as u128 * k as u128 / parts as u128) as usize;
                    let ranges = (0..parts).map(|k| cut(k)..cut(k + 1));
                    pieces.extend(ranges.map(|r| Piece { file: f, groups: g..g + 1, rows: Some(r) }));
                    room = 0;
                }
            }
        }
    }
    if pieces.is_empty() {
        pieces.push(Piece { file: 0, groups: 0..0, rows: None });
    }
    pieces
}

impl TableSource for ParquetTable {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }
    fn pieces(&self) -> usize {
        self.0.pieces.len()
    }
    fn describe(&self) -> String {
        crate::source::describe("Parquet", self.0.files.iter().map(|f| &f.chunks.file))
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let table = self.0.clone();
        if scan.condition.is_none() && scan.columns.as_ref().is_some_and(Vec::is_empty) {
            // What is only counted is not read: the footer says it.
            return Ok(Box::new(Counted {
                rows: Some(table.count(&table.pieces[piece])),
                schema: scan.schema(&table.schema),
            }));
        }
        let name = table.files[table.pieces[piece].file].chunks.file.name().to_string();
        let opened = match guarded(&name, || table.reader(&table.pieces[piece], scan)) {
            Ok(opened) => opened,
            Err(e) => return Err(table.located(piece, scan, e)),
        };
        // Columns are read in the order of the file.
        let order = scan.columns.as_ref().map(|columns| {
            let mut sorted = columns.clone();
            sorted.sort_unstable();
            sorted.dedup();
            columns.iter().map(|c| sorted.binary_search(c).expect("it is one of them")).collect()
        });
        let schema = scan.schema(&table.schema);
        Ok(Box::new(Reader { table, piece, scan: scan.clone(), name, opened: Some(opened), order, schema }))
    }
}

impl Table {
    /// The error, with the place of the damage if there is one.
    fn located(&self, piece: usize, scan: &Scan, e: Error) -> Error {
        if matches!(e.kind(), ErrorKind::Io { .. }) {
            return e;
        }
        let piece = &self.pieces[piece];
        match self.find_damage(piece, scan) {
            Some(place) => {
                let name = self.files[piece.file].chunks.file.name();
                let text = e.to_string();
                let message = text.lines().next().unwrap_or_default();
                let message = message.strip_prefix(&format!("{name}: ")).unwrap_or(message);
                unreadable(name, &format!("{place}: {message}"))
            }
            None => e,
        }
    }
}

/// So many rows of no columns, once.
struct Counted {
    rows: Option<usize>,
    schema: SchemaRef,
}

impl BatchReader for Counted {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.rows.take().filter(|n| *n > 0) else { return Ok(None) };
        let rows = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), vec![], &rows);
        batch.map(Some).map_err(|e| Error::usage(format!("rows of no columns: {e}")))
    }
}
