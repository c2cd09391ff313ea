//! Formats of lines that are made row by row.

use super::{MatrixSize, SharedFile};
use crate::format::libsvm_write::LibsvmText;
use crate::format::matrix_market::{Entry, write_entry, write_head};
use crate::table::{BatchWriter, vector};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use slackwater_dataflow::{BadRecord, Error, Result};

/// Text is handed on in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 << 10;

fn cast(batch: &RecordBatch, column: usize, to: &DataType) -> Result<arrow_array::ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(batch.column(column), to, &options).map_err(|e| {
        Error::input(format!("the column `{}`: {e}", batch.schema_ref().field(column).name()), "")
    })
}

fn missing(batch: &RecordBatch, column: usize) -> Error {
    let name = batch.schema_ref().field(column).name();
    BadRecord::new(format!("a value of `{name}` is missing, and the format has no sign for that")).into()
}

/// `label index:value ...`
pub(super) struct LibsvmWriter {
    file: SharedFile,
    text: LibsvmText,
}

impl LibsvmWriter {
    pub(super) fn new(file: SharedFile) -> Self {
        LibsvmWriter { file, text: LibsvmText::default() }
    }
    fn flush(&mut self, least: usize) -> Result<()> {
        if self.text.as_bytes().len() >= least {
            self.file.append(self.text.as_bytes())?;
            self.text.clear();
        }
        Ok(())
    }
}

impl BatchWriter for LibsvmWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let labels = cast(batch, 0, &DataType::Float64)?;
        let labels = labels.as_primitive::<Float64Type>();
        let rows = vector::Rows::of(batch.column(1).as_struct())?;
        for row in 0..batch.num_rows() {
            if labels.is_null(row) {
                return Err(missing(batch, 0));
            }
            self.text.push_row(labels.value(row), rows.row(row)?)?;
            self.flush(PIECE_BYTES)?;
        }
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Result<()> {
        self.flush(1)
    }
}

/// Lines of text.
pub(super) struct TextWriter {
    file: SharedFile,
    text: String,
}

impl TextWriter {
    pub(super) fn new(file: SharedFile) -> Self {
        TextWriter { file, text: String::new() }
    }
}

impl BatchWriter for TextWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let lines = cast(batch, 0, &DataType::Utf8)?;
        for line in lines.as_string::<i32>() {
            let line = line.ok_or_else(|| missing(batch, 0))?;
            if line.contains('\n') {
                let bad = BadRecord::new("a text has a line end in it, and would become several lines");
                return Err(bad.bytes(line.as_bytes()).hint("write CSV or JSON lines").into());
            }
            self.text += line;
            self.text.push('\n');
            if self.text.len() >= PIECE_BYTES {
                self.file.append(self.text.as_bytes())?;
                self.text.clear();
            }
        }
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<()> {
        self.file.append(self.text.as_bytes())
    }
}

/// Coordinates of a matrix.
pub(super) struct MatrixWriter {
    file: SharedFile,
    size: MatrixSize,
    written: u64,
}

impl MatrixWriter {
    pub(super) fn new(file: SharedFile, size: MatrixSize) -> Result<Self> {
        let mut head = vec![];
        write_head(&mut head, size.rows, size.columns, size.entries).map_err(|e| file.failed(&e))?;
        file.append(&head)?;
        Ok(MatrixWriter { file, size, written: 0 })
    }
}

impl BatchWriter for MatrixWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let (rows, columns) = (cast(batch, 0, &DataType::UInt64)?, cast(batch, 1, &DataType::UInt64)?);
        let values = cast(batch, 2, &DataType::Float64)?;
        let (rows, columns) = (rows.as_primitive::<UInt64Type>(), columns.as_primitive::<UInt64Type>());
        let values = values.as_primitive::<Float64Type>();
        let mut text = vec![];
        for i in 0..batch.num_rows() {
            if let Some(gone) =
                [rows.is_null(i), columns.is_null(i), values.is_null(i)].iter().position(|n| *n)
            {
                return Err(missing(batch, gone));
            }
            let entry = Entry {
                row: rows.value(i),
                column: columns.value(i),
                value: values.value(i),
                imaginary: 0.0,
            };
            write_entry(&mut text, self.size.rows, self.size.columns, entry)
                .map_err(|e| self.file.failed(&e))?;
        }
        self.written += batch.num_rows() as u64;
        self.file.append(&text)
    }
    fn finish(self: Box<Self>) -> Result<()> {
        match self.written == self.size.entries {
            true => Ok(()),
            false => Err(Error::usage(format!(
                "the matrix was said to have {} entries, and has {}",
                self.size.entries, self.written
            ))),
        }
    }
}

/// Whole numbers of a column, for counting.
pub(super) fn largest(batch: &RecordBatch, column: usize) -> Result<Option<i64>> {
    let array = cast(batch, column, &DataType::Int64)?;
    Ok(arrow_arith::aggregate::max(array.as_primitive::<Int64Type>()))
}
