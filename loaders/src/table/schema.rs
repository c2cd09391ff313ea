//! Schemas of several files of one table.

use super::dictionary;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use slackwater_dataflow::{Error, Result};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Differences that are shown.
const SHOWN: usize = 20;

/// A schema without what writers note in it, so that files of different writers have the same.
pub(crate) fn bare(schema: &Schema) -> SchemaRef {
    let field = |f: &Arc<Field>| f.as_ref().clone().with_metadata(HashMap::new());
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// One schema for the columns of `first` and of `other`: the same names and types in the same order; a column may lack
/// values if it may in one of them.
///
/// # Errors
/// Input, with what differs.
pub(crate) fn unite(
    first: &SchemaRef,
    first_name: &str,
    other: &SchemaRef,
    other_name: &str,
) -> Result<SchemaRef> {
    let same = |(a, b): (&Arc<Field>, &Arc<Field>)| {
        a.name() == b.name() && a.data_type().equals_datatype(b.data_type())
    };
    let (a, b) = (first.fields(), other.fields());
    if a.len() == b.len() && a.iter().zip(b).all(same) {
        let fields = a
            .iter()
            .zip(b)
            .map(|(a, b)| a.as_ref().clone().with_nullable(a.is_nullable() || b.is_nullable()));
        return Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    }
    Err(Error::input(
        format!("`{other_name}` does not have the columns of `{first_name}`\n{}", difference(first, other)),
        "files that are read together have the same columns; give one kind at a time",
    ))
}

/// What differs, a line each: `- gone type`, `+ new type`.
pub fn difference(old: &Schema, new: &Schema) -> String {
    let mut lines = vec![];
    for f in old.fields() {
        match new.column_with_name(f.name()) {
            Some((_, g)) if g.data_type().equals_datatype(f.data_type()) => {}
            Some((_, g)) => {
                lines.push(format!("  - {} {}", f.name(), f.data_type()));
                lines.push(format!("  + {} {}", f.name(), g.data_type()));
            }
            None => lines.push(format!("  - {} {}", f.name(), f.data_type())),
        }
    }
    let new_ones = new.fields().iter().filter(|g| old.column_with_name(g.name()).is_none());
    lines.extend(new_ones.map(|g| format!("  + {} {}", g.name(), g.data_type())));
    if lines.is_empty() {
        lines.push("  the columns are in another order".to_string());
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    let mut text = lines.join("\n");
    if more > 0 {
        let _ = write!(text, "\n  and {more} more");
    }
    text
}

/// The batch with exactly this schema, which differs at most in what its fields are called inside, and in notes.
pub(crate) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    conform_columns(batch.columns(), batch.num_rows(), schema)
}

/// The same for columns that are in no batch yet.
pub(crate) fn conform_columns(
    columns: &[ArrayRef],
    rows: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows = RecordBatchOptions::new().with_row_count(Some(rows));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| {
        if array.data_type() == field.data_type() {
            return Ok(array.clone());
        }
        match (field.data_type(), array.as_dictionary_opt::<Int32Type>()) {
            (DataType::Utf8, Some(numbers)) if numbers.values().data_type() == &DataType::Utf8 => {
                Ok(Arc::new(dictionary::unpack(numbers)?) as ArrayRef)
            }
            _ => cast_with_options(array, field.data_type(), &options),
        }
    };
    let columns = columns.iter().zip(schema.fields()).map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new_with_options(schema.clone(), columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::DataType::{Float64, Int64, Utf8};

    fn schema(columns: &[(&str, arrow_schema::DataType)]) -> SchemaRef {
        Arc::new(Schema::new(
            columns.iter().map(|(n, t)| Field::new(*n, t.clone(), false)).collect::<Vec<_>>(),
        ))
    }

    #[test]
    fn what_differs_is_told() {
        let a = schema(&[("a", Int64), ("b", Utf8), ("c", Utf8)]);
        let b = schema(&[("a", Float64), ("c", Utf8), ("d", Utf8)]);
        let e = unite(&a, "x.parquet", &b, "y.parquet").unwrap_err();
        let want = "`y.parquet` does not have the columns of `x.parquet`\n  - a Int64\n  + a Float64\n  - b Utf8\n  + d Utf8";
        assert!(e.to_string().contains(want), "{e}");
        let turned = schema(&[("b", Utf8), ("a", Int64), ("c", Utf8)]);
        assert!(unite(&a, "x", &turned, "y").unwrap_err().to_string().contains("another order"));
        assert_eq!(unite(&a, "x", &a.clone(), "y").unwrap(), a);
    }
}
