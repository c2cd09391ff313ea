//! Text as tables: a line a row (`line`), or a file a row (`name`, `content`).
//!
//! Lines and files are those of [text](super::text), and so are guarantees and failures: what is not UTF-8 is a bad record, or
//! an error of a whole file. Costs: lines are copied into columns, about 64 KiB at a time; a whole file is in memory twice, and has
//! fewer than 2^31 bytes.

use super::records::{batch, describe, field, wanted};
use super::text::{TextReader, read_whole};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use crate::table::{BatchReader, Scan, TableSource};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Lines of text as a table with a column `line`.
pub struct TextTable {
    schema: SchemaRef,
    splits: Vec<Split>,
    limits: ReadLimits,
}

impl TextTable {
    /// Divides files into at least `min_splits` pieces unless they would be very small.
    pub fn open(files: &[InputFile], limits: ReadLimits, min_splits: usize) -> Self {
        let schema = Arc::new(Schema::new(vec![field("line", DataType::Utf8)]));
        TextTable { schema, splits: splits(files, min_splits), limits }
    }
}

impl TableSource for TextTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("text", &self.splits)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(LineBatches {
            reader: TextReader::open(&self.splits[piece], self.limits)?,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema).len(),
        }))
    }
}

struct LineBatches {
    reader: TextReader,
    schema: SchemaRef,
    /// How often the one column is wanted.
    columns: usize,
}

impl BatchReader for LineBatches {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(block) = self.reader.next_block(on_bad)? else { return Ok(None) };
        let lines: ArrayRef = Arc::new(StringArray::from_iter_values(block.lines()));
        let rows = lines.len();
        batch(&self.schema, vec![lines; self.columns], rows).map(Some)
    }
}

/// Whole files as a table: `name` and `content`, a file a piece.
pub struct WholeTextTable {
    schema: SchemaRef,
    files: Vec<Split>,
    limits: ReadLimits,
}

/// Most bytes of a file, unpacked.
pub const WHOLE_TEXT_BYTES_MAX: u64 = 1 << 30;

impl WholeTextTable {
    /// A table of these files.
    pub fn open(files: &[InputFile], limits: ReadLimits) -> Self {
        let columns = vec![field("name", DataType::Utf8), field("content", DataType::Utf8)];
        let files = files.iter().cloned().map(Split::whole).collect();
        WholeTextTable { schema: Arc::new(Schema::new(columns)), files, limits }
    }
}

impl TableSource for WholeTextTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.files.len().max(1)
    }
    fn describe(&self) -> String {
        describe("whole files", &self.files)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(WholeFile {
            file: self.files.get(piece).map(|split| split.file().clone()),
            limits: self.limits,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema),
        }))
    }
}

struct WholeFile {
    file: Option<InputFile>,
    limits: ReadLimits,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl BatchReader for WholeFile {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(file) = self.file.take() else { return Ok(None) };
        let content = match self.columns.contains(&1) {
            true => read_whole(&file, WHOLE_TEXT_BYTES_MAX, self.limits)?,
            false => String::new(),
        };
        let column = |i: &usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values([if *i == 0 { file.name() } else { &content }]))
        };
        batch(&self.schema, self.columns.iter().map(column).collect(), 1).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read_table;
    use super::*;
    use arrow_array::cast::AsArray;

    #[test]
    fn lines_are_rows() {
        let mut text: Vec<u8> = (0..10_000).flat_map(|i| format!("line {i}\r\n").into_bytes()).collect();
        text.extend_from_slice(b"bad \xff\n\nlast");
        let table = TextTable::open(&[InputFile::from_bytes("t", text)], ReadLimits::default(), 3);
        let (batches, bad) = read_table(&table, &Scan::default()).unwrap();
        let lines: Vec<_> =
            batches.iter().flat_map(|b| b.column(0).as_string::<i32>().iter().flatten()).collect();
        assert_eq!((table.pieces() > 1, batches.len() > 1, lines.len()), (true, true, 10_002));
        assert_eq!((lines[9_999], lines[10_000], lines[10_001]), ("line 9999", "", "last"));
        assert!(bad.len() == 1 && bad[0].starts_with("t:10001:5: byte 0xff is not UTF-8"), "{bad:?}");
        let (batches, _) = read_table(&table, &Scan { columns: Some(vec![]), ..Scan::default() }).unwrap();
        assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 10_002);
    }

    #[test]
    fn files_are_rows() {
        let files = [InputFile::from_bytes("a", "one\ntwo"), InputFile::from_bytes("b", "")];
        let table = WholeTextTable::open(&files, ReadLimits::default());
        let (batches, _) =
            read_table(&table, &Scan { columns: Some(vec![1, 0]), ..Scan::default() }).unwrap();
        let rows: Vec<_> = batches
            .iter()
            .map(|b| (b.column(0).as_string::<i32>().value(0), b.column(1).as_string::<i32>().value(0)))
            .collect();
        assert_eq!(rows, [("one\ntwo", "a"), ("", "b")]);
        let table =
            WholeTextTable::open(&[InputFile::from_bytes("c", b"\xff".to_vec())], ReadLimits::default());
        assert!(read_table(&table, &Scan::default()).is_err());
        assert_eq!(
            read_table(&table, &Scan { columns: Some(vec![0]), ..Scan::default() }).unwrap().0[0].num_rows(),
            1
        );
    }
}
