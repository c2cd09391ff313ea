//! Reading one piece of a table, batch by batch.

use super::careful::{self, About};
use super::chunks::Chunks;
use super::column::Column;
use super::row::{self, Outcome};
use super::table::Shared;
use super::value::Kind;
use crate::OnBadRecord;
use crate::lines::{CHUNK_BYTES, count_lines};
use crate::split::Split;
use crate::table::{BatchReader, Scan, batch_rows};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use slackwater_dataflow::{BadRecord, Error, Result};
use std::sync::Arc;

/// A batch ends with the record that makes it as many bytes of the file.
const BATCH_BYTES_MAX: usize = 16 << 20;

pub(super) struct CsvReader {
    shared: Arc<Shared>,
    piece: usize,
    /// `None` at the end.
    chunks: Option<Chunks>,
    schema: SchemaRef,
    /// The columns that are wanted, ascending.
    wanted: Vec<usize>,
    /// For each column of a batch, which of those it is.
    order: Vec<usize>,
    columns: Vec<Column>,
    batch: Batch,
    /// Where the first record of the piece starts.
    first: u64,
    /// Lines of this piece read so far.
    lines: u64,
    /// Lines of the file before this piece, once a position has been asked for.
    lines_before: Option<u64>,
}

/// How much is in the batch.
#[derive(Debug, Clone, Copy)]
struct Batch {
    rows: usize,
    rows_max: usize,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= BATCH_BYTES_MAX
    }
}

/// Why [`read_records`] came back.
enum Stopped {
    Full,
    /// The next record is not of this piece.
    Beyond,
    /// Nothing is left of what was given.
    Empty,
    /// The next record is not complete.
    Open,
    /// The next record is at fault.
    Fault,
}

impl CsvReader {
    pub fn open(shared: Arc<Shared>, piece: usize, scan: &Scan) -> Result<CsvReader> {
        CsvReader::with_buffer(shared, piece, scan, CHUNK_BYTES)
    }

    /// [`CsvReader::open`] with a buffer of another size.
    fn with_buffer(shared: Arc<Shared>, piece: usize, scan: &Scan, buffer_bytes: usize) -> Result<CsvReader> {
        let all = shared.schema.fields().len();
        let asked = scan.columns.clone().unwrap_or_else(|| (0..all).collect());
        let mut wanted = asked.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let order = asked.iter().filter_map(|number| wanted.binary_search(number).ok()).collect();
        let mut columns = vec![];
        let mut next = 0;
        for number in wanted.iter().copied().chain([all]) {
            if number > next {
                columns.push(Column::skipped(next, number - next));
            }
            if let Some(field) = shared.schema.fields().get(number) {
                let kind = Kind::of(field.data_type()).expect("types were checked");
                columns.push(Column::new(kind, number, field.is_nullable()));
            }
            next = number + 1;
        }
        let first = shared.first(piece)?;
        let split = &shared.splits[piece];
        let none = split.file().is_splittable() && (first > split.end() || first >= split.file().bytes());
        let chunks = match none {
            true => None,
            false => Some(Chunks::open(split, first, &shared.options.limits, buffer_bytes)?),
        };
        if none {
            shared.next_starts(piece, first);
        }
        let rows_max = batch_rows(wanted.len());
        Ok(CsvReader {
            schema: scan.schema(&shared.schema),
            piece,
            chunks,
            wanted,
            order,
            columns,
            batch: Batch { rows: 0, rows_max, bytes: 0 },
            first,
            lines: 0,
            lines_before: None,
            shared,
        })
    }

    fn split(&self) -> &Split {
        &self.shared.splits[self.piece]
    }

    /// Room for the rows of a batch, or for what is left of the piece, of which a field takes a byte or more.
    fn reserve(&mut self, position: u64) {
        let left = match self.split().file().is_splittable() {
            true => usize::try_from(self.split().end().saturating_sub(position)).unwrap_or(usize::MAX),
            false => BATCH_BYTES_MAX,
        };
        let rows = self.batch.rows_max.min(left / self.shared.schema.fields().len() + 1);
        self.columns.iter_mut().for_each(|column| column.reserve(rows));
    }

    /// The record at the start of what is available is at fault: says so, and passes over it.
    fn refuse(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<()> {
        let Some(chunks) = &mut self.chunks else { return Ok(()) };
        let rules = &self.shared.rules;
        let (bytes, length) = chunks.lines();
        let about = About {
            schema: &self.shared.schema,
            wanted: &self.wanted,
            given: self.shared.options.columns.is_some(),
        };
        let (fault, lines_into) = careful::explain(bytes, length, rules, &about);
        let used = match rules.dialect.record(bytes, 0, length, |_, _| ()) {
            Some((used, _)) => used,
            None if rules.dialect.quoted_line_ends => length,
            None => memchr::memchr(b'\n', bytes).map_or(length, |at| at + 1),
        };
        let record_lines = memchr::memchr_iter(b'\n', &bytes[..used]).count() as u64;
        chunks.consume(used);
        let line = self.lines + 1 + lines_into;
        self.lines += record_lines;
        let bad = self.locate(|file, before| fault.at(file, before + line))?;
        on_bad(bad)
    }

    fn locate(&mut self, bad: impl FnOnce(&str, u64) -> BadRecord) -> Result<BadRecord> {
        let file = self.split().file().clone();
        let before = match self.lines_before {
            Some(n) => n,
            None => {
                let expansion = self.shared.options.limits.expansion;
                *self.lines_before.insert(count_lines(&file, self.first, expansion)?)
            }
        };
        Ok(bad(file.name(), before))
    }

    /// Reads records until the batch is full or the piece ends.
    fn fill(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<()> {
        let Some(chunks) = &self.chunks else { return Ok(()) };
        self.reserve(chunks.position());
        while let Some(chunks) = &mut self.chunks {
            let split = &self.shared.splits[self.piece];
            let to = match split.file().is_splittable() {
                true => usize::try_from(split.end().saturating_sub(chunks.position())).unwrap_or(usize::MAX),
                false => usize::MAX,
            };
            let beyond_already = split.file().is_splittable() && chunks.position() > split.end();
            let (bytes, length) = chunks.lines();
            let (stopped, used) = match beyond_already {
                true => (Stopped::Beyond, 0),
                false => {
                    let mut progress = Progress { at: 0, lines: 0, batch: &mut self.batch };
                    let stopped = progress.read_records(bytes, length, to, &self.shared, &mut self.columns);
                    self.lines += progress.lines;
                    (stopped, progress.at)
                }
            };
            chunks.consume(used);
            if split.file().is_splittable() {
                self.shared.has_come_to(self.piece, chunks.position());
            }
            match stopped {
                Stopped::Full => return Ok(()),
                Stopped::Beyond => {
                    self.shared.next_starts(self.piece, chunks.position());
                    self.chunks = None;
                }
                Stopped::Empty => {
                    if !chunks.more()? {
                        self.shared.next_starts(self.piece, chunks.position());
                        self.chunks = None;
                    }
                }
                Stopped::Open => {
                    if !self.shared.rules.dialect.quoted_line_ends || !chunks.more()? {
                        self.refuse(on_bad)?;
                    }
                }
                Stopped::Fault => {
                    // Only a whole record can be told from what follows it.
                    let dialect = &self.shared.rules.dialect;
                    let (bytes, length) = chunks.lines();
                    let whole = dialect.record(bytes, 0, length, |_, _| ()).is_some();
                    if whole || !dialect.quoted_line_ends || !chunks.more()? {
                        self.refuse(on_bad)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// How far the records given have been read.
struct Progress<'a> {
    at: usize,
    lines: u64,
    batch: &'a mut Batch,
}

impl Progress<'_> {
    /// Reads the records of the first `length` of `bytes` that start at or before `to`.
    fn read_records(
        &mut self,
        bytes: &[u8],
        length: usize,
        to: usize,
        shared: &Shared,
        columns: &mut [Column],
    ) -> Stopped {
        loop {
            if self.batch.is_full() {
                return Stopped::Full;
            }
            if self.at > to {
                return Stopped::Beyond;
            }
            if self.at >= length {
                return Stopped::Empty;
            }
            let rest = &bytes[self.at..];
            if let Some(n) = shared.rules.dialect.no_record(rest) {
                self.at += n;
                self.lines += 1;
                continue;
            }
            match row::read(rest, length - self.at, &shared.rules, columns, self.batch.rows as u32) {
                Outcome::Row(used, line_ends) => {
                    self.at += used;
                    self.lines += line_ends;
                    self.batch.rows += 1;
                    self.batch.bytes += used;
                }
                other => {
                    columns.iter_mut().for_each(|column| column.truncate(self.batch.rows));
                    return if other == Outcome::Open { Stopped::Open } else { Stopped::Fault };
                }
            }
        }
    }
}

impl BatchReader for CsvReader {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        self.fill(on_bad)?;
        let rows = std::mem::take(&mut self.batch.rows);
        self.batch.bytes = 0;
        if rows == 0 {
            return Ok(None);
        }
        let mut arrays = vec![];
        for column in &mut self.columns {
            arrays.extend(column.finish(rows)?);
        }
        let columns = self.order.iter().map(|slot| arrays[*slot].clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        batch.map(Some).map_err(|e| Error::from(BadRecord::new(format!("a batch of CSV: {e}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::csv::{CsvOptions, CsvTable};
    use crate::source::InputFile;
    use crate::table::TableSource;
    use arrow_schema::{DataType, Field, Schema};
    use arrow_select::concat::concat_batches;
    use proptest::prelude::*;

    /// All rows of a table, and what is said about bad ones. `together`: a batch of each piece, then another of each.
    fn read(
        table: &CsvTable,
        buffer_bytes: usize,
        rows_max: usize,
        together: bool,
    ) -> (RecordBatch, Vec<String>) {
        let pieces = table.pieces();
        let mut readers: Vec<Option<CsvReader>> = (0..pieces).map(|_| None).collect();
        let mut found: Vec<(Vec<RecordBatch>, Vec<String>)> = vec![Default::default(); pieces];
        let mut open: Vec<usize> = (0..pieces).collect();
        while let Some(&piece) = open.first() {
            let (batches, bad) = &mut found[piece];
            let reader = readers[piece].get_or_insert_with(|| {
                let shared = table.shared().clone();
                let mut reader =
                    CsvReader::with_buffer(shared, piece, &Scan::default(), buffer_bytes).unwrap();
                reader.batch.rows_max = rows_max;
                reader
            });
            let mut on_bad = |record: BadRecord| {
                bad.push(record.to_string());
                Ok(())
            };
            match reader.next_batch(&mut on_bad).unwrap() {
                Some(batch) => {
                    assert!((1..=rows_max).contains(&batch.num_rows()));
                    batches.push(batch);
                    if together {
                        open.rotate_left(1);
                    }
                }
                None => drop(open.remove(0)),
            }
        }
        let (batches, bad): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        (concat_batches(table.schema(), &batches.concat()).unwrap(), bad.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn buffers_and_batches_change_nothing(
            text in "([ab]{0,9}|\"[a\n,]{0,9}\"|\"a(\"\")?)(,([0-9.]{0,4}|\"[0-9]{0,2}\n?\"))?(\n([a]{0,40},[0-9]{0,20})?){0,6}",
            cuts in proptest::collection::vec(1u64..60, 0..4), buffer in 1usize..40, rows_max in 1usize..4, packed: bool,
            together: bool,
        ) {
            let fields = vec![Field::new("a", DataType::Utf8, true), Field::new("n", DataType::Float64, true)];
            let options = CsvOptions {
                header: Some(false),
                delimiter: Some(b','),
                columns: Some(Arc::new(Schema::new(fields))),
                ..Default::default()
            };
            let file = match packed {
                false => InputFile::from_bytes("f", text.clone()),
                true => InputFile::from_bytes("f", zstd::encode_all(text.as_bytes(), 1).unwrap()),
            };
            let whole = CsvTable::open(vec![Split::whole(file.clone())], &options).unwrap();
            let want = read(&whole, CHUNK_BYTES, 1000, false);
            let mut splits = vec![Split::whole(file.clone())];
            if !packed && file.bytes() > 0 {
                let mut cuts = [cuts, vec![0, file.bytes()]].concat();
                cuts.retain(|cut| *cut <= file.bytes());
                cuts.sort_unstable();
                cuts.dedup();
                splits = cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect();
            }
            let table = CsvTable::open(splits, &options).unwrap();
            prop_assert_eq!(read(&table, buffer, rows_max, together), want, "{:?}", text);
        }
    }

    #[test]
    fn a_record_without_end_does_not_fill_the_memory() {
        let limits = crate::lines::ReadLimits { line_bytes_max: 1 << 19, ..Default::default() };
        let text = "a,b\n1,\"".to_string() + &"x\n".repeat(1 << 19);
        let file = InputFile::from_bytes("f", text);
        let table = CsvTable::of_files(&[file], 1, &CsvOptions { limits, ..Default::default() }).unwrap();
        let mut reader = table.open(0, &Scan::default()).unwrap();
        let e = reader.next_batch(&mut |bad| panic!("{bad}")).unwrap_err();
        assert!(e.to_string().starts_with("f: a record has more than 524288 bytes\n  | 1,\\\"x"), "{e}");
    }
}
