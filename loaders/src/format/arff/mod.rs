//! ARFF: tables with typed attributes, as of Weka.
//!
//! # Grammar
//!
//! ```text
//! file      = { comment | "@relation" name | "@attribute" name type } "@data" { row | comment }
//! comment   = "%" anything;   blank lines may be anywhere; keywords and types are in any case
//! type      = "numeric" | "real" | "integer" | "string" | "date" [format] | "{" name { "," name } "}"
//! row       = value { "," value } ["," weight]  |  "{" [number value { "," number value }] "}" ["," weight]
//! weight    = "{" number "}"
//! value     = "?" | text | quoted text
//! ```
//!
//! Names and values with blanks or commas are quoted, with `'` or `"`, and `\` before what would end them. In a row without any
//! comma, blanks divide. Of a sparse row, what is not there is 0, or the first name of a nominal attribute; a string or a date
//! must be there. Relational attributes are refused.
//!
//! **Table.** A column an attribute, all nullable (`?`): numbers are `Float64` (so are integers, as in Weka), names
//! `Dictionary(Int32, Utf8)` with the names of the head in their order, strings `Utf8`, dates `Timestamp` in milliseconds. If the first
//! row has a weight, there is a last column `weight`, which is 1 where there is none.
//!
//! # Guarantees
//!
//! Numbers have the same bits as `str::parse::<f64>` gives, and are finite. Of a row that cannot be used nothing stays, and it is
//! reported once, with its column. Rows and reports do not depend on how a file is divided. Several files must have the same
//! attributes.
//!
//! # Cost
//!
//! One pass; a row at a time is taken apart before it goes into columns. All values of a row are checked, also those of
//! columns that nobody asks for.
//!
//! # References
//!
//! Weka manual 3.8, chapter 9, "ARFF"; Java `SimpleDateFormat` for dates (those of numbers, with a year of four digits).

mod date;
mod header;
mod row;
mod token;

use super::records::{LineRecords, batch, describe, field, wanted};
use crate::OnBadRecord;
use crate::format::fault::Fault;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::builder::{Float64Builder, Int32Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use header::{Attribute, Kind};
use row::Cell;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// ARFF files as a table. See the [module](self).
pub struct ArffTable {
    schema: SchemaRef,
    attributes: Arc<[Attribute]>,
    weighted: bool,
    /// Pieces, and the length of the head of each one's file.
    splits: Vec<(Split, u64)>,
    limits: ReadLimits,
}

impl ArffTable {
    /// Reads the head of each file, and divides all into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense; input, for files with different attributes.
    pub fn open(files: &[InputFile], limits: ReadLimits, min_splits: usize) -> Result<Self> {
        let mut first: Option<(Vec<Attribute>, bool)> = None;
        let mut pieces: Vec<(Split, u64)> = vec![];
        for split in splits(files, min_splits) {
            if split.start() > 0 {
                let bytes = pieces.last().map_or(0, |(_, bytes)| *bytes);
                pieces.push((split, bytes));
                continue;
            }
            let (attributes, bytes, weighted) = header::read(split.file(), limits)?;
            match &first {
                Some((before, _)) if *before != attributes => {
                    return Err(Error::input(
                        format!("{} has other attributes than the first file", split.file().name()),
                        "read files with different attributes one by one",
                    ));
                }
                Some(_) => {}
                None => first = Some((attributes, weighted)),
            }
            pieces.push((split, bytes));
        }
        let (attributes, weighted) =
            first.ok_or_else(|| Error::input("no input files", "name at least one file"))?;
        let mut fields: Vec<_> = attributes.iter().map(Attribute::field).collect();
        if weighted {
            if attributes.iter().any(|a| a.name == "weight") {
                let message = "the rows have weights, and an attribute is called `weight`, too";
                return Err(Error::input(message, "give the attribute another name"));
            }
            fields.push(field("weight", DataType::Float64));
        }
        let schema = Arc::new(Schema::new(fields));
        Ok(ArffTable { schema, attributes: attributes.into(), weighted, splits: pieces, limits })
    }
}

impl TableSource for ArffTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        let splits: Vec<Split> = self.splits.iter().map(|(split, _)| split.clone()).collect();
        describe("ARFF", &splits)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let (split, head_bytes) = &self.splits[piece];
        Ok(Box::new(ArffReader {
            lines: LineRecords::open(split, self.limits, *head_bytes)?,
            attributes: self.attributes.clone(),
            weighted: self.weighted,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema),
        }))
    }
}

/// True for a line that is blank or a comment.
fn is_empty(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start().first(), None | Some(b'%'))
}

struct ArffReader {
    lines: LineRecords,
    attributes: Arc<[Attribute]>,
    weighted: bool,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl BatchReader for ArffReader {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let mut builders: Vec<Column> =
            self.columns.iter().map(|i| Column::of(self.attributes.get(*i))).collect();
        let (mut rows, mut cells) = (0, vec![]);
        let ArffReader { lines, attributes, weighted, columns, .. } = self;
        while rows < BATCH_ROWS {
            let row = lines.next(on_bad, |line| {
                if is_empty(line) {
                    return Ok(None);
                }
                let weight = row::read(line, attributes, &mut cells)?;
                if weight.is_some() && !*weighted {
                    return Err(Fault::new(0, line, "the row has a weight, and the first row has none")
                        .hint("give the first row its weight, too: `{1}`"));
                }
                Ok(Some(weight.unwrap_or(1.0)))
            })?;
            let Some(weight) = row else { break };
            for (builder, column) in builders.iter_mut().zip(columns.iter()) {
                match cells.get(*column) {
                    Some(cell) => builder.push(cell),
                    None => builder.push(&Cell::Number(weight)),
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = builders.into_iter().map(Column::finish).collect::<Result<_>>()?;
        batch(&self.schema, columns, rows).map(Some)
    }
}

/// A column in the making.
enum Column {
    Number(Float64Builder),
    Text(StringBuilder),
    Name(Int32Builder, Arc<header::Names>),
    Time(TimestampMillisecondBuilder),
}

impl Column {
    /// `None`: of weights.
    fn of(attribute: Option<&Attribute>) -> Column {
        match attribute.map(|a| &a.kind) {
            None | Some(Kind::Number) => Column::Number(Float64Builder::new()),
            Some(Kind::Text) => Column::Text(StringBuilder::new()),
            Some(Kind::Nominal(names)) => Column::Name(Int32Builder::new(), names.clone()),
            Some(Kind::Date(_)) => Column::Time(TimestampMillisecondBuilder::new()),
        }
    }
    fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Column::Number(column), Cell::Number(x)) => column.append_value(*x),
            (Column::Text(column), Cell::Text(text)) => column.append_value(text),
            (Column::Name(column, _), Cell::Name(number)) => column.append_value(*number),
            (Column::Time(column), Cell::Time(time)) => column.append_value(*time),
            (Column::Number(column), _) => column.append_null(),
            (Column::Text(column), _) => column.append_null(),
            (Column::Name(column, _), _) => column.append_null(),
            (Column::Time(column), _) => column.append_null(),
        }
    }
    fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Column::Number(mut column) => Arc::new(column.finish()),
            Column::Text(mut column) => Arc::new(column.finish()),
            Column::Time(mut column) => Arc::new(column.finish()),
            Column::Name(mut keys, names) => {
                let keys = keys.finish();
                let values: ArrayRef = Arc::new(StringArray::from_iter_values(&names.all));
                debug_assert!(keys.iter().flatten().all(|k| (k as usize) < values.len()));
                let column = DictionaryArray::try_new(keys, values)
                    .map_err(|e| Error::usage(format!("a name without a number: {e}")))?;
                Arc::new(column)
            }
        })
    }
}

#[cfg(test)]
mod tests;
