//! Folders that are divided by the values of columns, as Hive, Spark and others write them: `year=2024/city=Rome/part-0.parquet`.
//!
//! The columns that the names of folders give come after those of the files, in the order of the folders. They are `Int64` if all
//! values are whole numbers, else texts; `__HIVE_DEFAULT_PARTITION__` is no value. Signs in names may be written as `%3D`. A
//! condition of a scan that no row of a folder can fulfil, by its values, leaves the folder unread.

use super::expr::{ColumnBounds, Stretches};
use super::schema::{bare, conform, unite};
use super::{BatchReader, Expr, Scan, TableSource};
use crate::OnBadRecord;
use crate::source::InputFile;
use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// Files of one folder, as a table, with the values of its columns: arrays of one value.
struct Group {
    table: Arc<dyn TableSource>,
    keys: Vec<ArrayRef>,
}

/// Tables in folders with values.
pub(crate) struct Partitioned {
    groups: Vec<Group>,
    /// Columns of the files, then those of the folders.
    schema: SchemaRef,
    own: usize,
}

impl Partitioned {
    /// Opens the files of each folder with `open`. `None` if no file is in a folder with values.
    pub(crate) fn open(
        files: &[InputFile],
        open: impl Fn(&[InputFile]) -> Result<Arc<dyn TableSource>>,
    ) -> Result<Option<Partitioned>> {
        if files.iter().all(|f| f.keys().is_empty()) {
            return Ok(None);
        }
        let names = |f: &InputFile| f.keys().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let first = names(&files[0]);
        if let Some(other) = files.iter().find(|f| names(f) != first) {
            return Err(Error::input(
                format!("`{}` is not in folders of {}", other.name(), first.join(", ")),
                "all files of a table that is divided by columns are in folders with values of all of them",
            ));
        }
        let whole = |i: usize| {
            files.iter().filter_map(|f| f.keys()[i].1.as_ref()).all(|value| value.parse::<i64>().is_ok())
        };
        let whole: Vec<bool> = (0..first.len()).map(whole).collect();
        let mut groups = vec![];
        let mut schema: Option<SchemaRef> = None;
        for same in files.chunk_by(|a, b| a.keys() == b.keys()) {
            let table = open(same)?;
            let own = bare(table.schema());
            schema = Some(match &schema {
                Some(before) => unite(before, files[0].name(), &own, same[0].name())?,
                None => own,
            });
            let array = |(i, (_, value)): (usize, &(String, Option<String>))| -> ArrayRef {
                match whole[i] {
                    true => {
                        Arc::new(Int64Array::from(vec![value.as_ref().and_then(|v| v.parse::<i64>().ok())]))
                    }
                    false => Arc::new(StringArray::from(vec![value.as_deref()])),
                }
            };
            groups.push(Group { table, keys: same[0].keys().iter().enumerate().map(array).collect() });
        }
        let own = schema.ok_or_else(|| Error::input("no input files", "name at least one file"))?;
        if let Some(twice) = first.iter().find(|name| own.index_of(name).is_ok()) {
            return Err(Error::input(
                format!("the column `{twice}` is in the files and in the names of their folders"),
                "rename one of them",
            ));
        }
        let key = |(name, whole): (&String, &bool)| {
            Field::new(name, if *whole { DataType::Int64 } else { DataType::Utf8 }, true)
        };
        let fields = own.fields().iter().map(|f| f.as_ref().clone());
        let fields: Vec<Field> = fields.chain(first.iter().zip(&whole).map(key)).collect();
        Ok(Some(Partitioned { groups, own: own.fields().len(), schema: Arc::new(Schema::new(fields)) }))
    }

    /// The folder that a piece is in, and which piece of its table it is.
    fn place(&self, mut piece: usize) -> (&Group, usize) {
        for group in &self.groups {
            match piece.checked_sub(group.table.pieces()) {
                Some(rest) => piece = rest,
                None => return (group, piece),
            }
        }
        unreachable!("pieces are counted by the same tables")
    }
}

/// A folder, all of whose rows have the same values in some columns.
struct Constant<'a> {
    schema: &'a Schema,
    own: usize,
    keys: &'a [ArrayRef],
}

impl Stretches for Constant<'_> {
    fn count(&self) -> usize {
        1
    }
    fn bounds(&self, column: &str) -> Option<ColumnBounds> {
        let array = self.keys.get(self.schema.index_of(column).ok()?.checked_sub(self.own)?)?;
        let nulls = UInt64Array::from(vec![array.null_count() as u64]);
        Some(ColumnBounds { min: array.clone(), max: array.clone(), nulls, rows: UInt64Array::from(vec![1]) })
    }
}

impl TableSource for Partitioned {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.groups.iter().map(|g| g.table.pieces()).sum()
    }
    fn describe(&self) -> String {
        let names = self.schema.fields().iter().skip(self.own).map(|f| f.name().as_str()).collect::<Vec<_>>();
        let all: Vec<String> = self.groups.iter().map(|g| g.table.describe()).collect();
        format!("by {}: {}", names.join(", "), all.join("; "))
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let (group, piece) = self.place(piece);
        let constant = Constant { schema: &self.schema, own: self.own, keys: &group.keys };
        let may = |condition: &Expr| condition.may_hold(&constant).into_iter().all(|may| may);
        if !scan.condition.as_ref().is_none_or(may) {
            return Ok(Box::new(Nothing));
        }
        let wanted = scan.columns.clone().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let columns: Vec<usize> = wanted.iter().copied().filter(|i| *i < self.own).collect();
        let inside = |condition: &&Expr| {
            condition.columns().into_iter().all(|c| self.schema.index_of(c).is_ok_and(|i| i < self.own))
        };
        let condition = scan.condition.as_ref().filter(inside).cloned();
        let reader = group.table.open(piece, &Scan { columns: Some(columns), condition })?;
        let keys = wanted.iter().map(|i| i.checked_sub(self.own).map(|k| group.keys[k].clone())).collect();
        Ok(Box::new(Reader { reader, keys, schema: scan.schema(&self.schema) }))
    }
}

struct Nothing;

impl BatchReader for Nothing {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

struct Reader {
    reader: Box<dyn BatchReader>,
    /// By column: the value of the folder, or nothing for a column of the file.
    keys: Vec<Option<ArrayRef>>,
    schema: SchemaRef,
}

impl BatchReader for Reader {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.reader.next_batch(on_bad)? else { return Ok(None) };
        let failed = |e: arrow_schema::ArrowError| Error::usage(format!("the columns of a folder: {e}"));
        let places = UInt32Array::from(vec![0; batch.num_rows()]);
        let mut own = batch.columns().iter().cloned();
        let column = |key: &Option<ArrayRef>| match key {
            Some(value) => arrow_select::take::take(value, &places, None).map_err(failed),
            None => own.next().ok_or_else(|| Error::usage("a reader gave too few columns")),
        };
        let columns = self.keys.iter().map(column).collect::<Result<Vec<_>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let fields: Vec<Field> = columns
            .iter()
            .zip(self.schema.fields())
            .map(|(array, field)| Field::new(field.name(), array.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &rows);
        batch.and_then(|batch| conform(batch, &self.schema)).map(Some).map_err(failed)
    }
}
