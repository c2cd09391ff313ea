//! Examples as a table: `label` (which may be missing), `weight`, `features`.

use super::super::records::{batch, describe, field, wanted};
use super::{VwOptions, VwReader};
use crate::OnBadRecord;
use crate::source::InputFile;
use crate::split::{Split, splits};
use crate::table::{BatchReader, Scan, TableSource, vector};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Vowpal Wabbit's text as a table. A batch has as many rows as a block.
pub struct VwTable {
    schema: SchemaRef,
    splits: Vec<Split>,
    options: VwOptions,
}

impl VwTable {
    /// Divides files into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// Config, for options that make no sense.
    pub fn open(files: &[InputFile], options: VwOptions, min_splits: usize) -> Result<Self> {
        options.check()?;
        let columns = vec![
            Field::new("label", DataType::Float64, true),
            field("weight", DataType::Float64),
            field("features", vector::data_type()),
        ];
        Ok(VwTable { schema: Arc::new(Schema::new(columns)), splits: splits(files, min_splits), options })
    }
}

impl TableSource for VwTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("Vowpal Wabbit", &self.splits)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(Batches {
            reader: VwReader::open(&self.splits[piece], &self.options)?,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema),
        }))
    }
}

struct Batches {
    reader: VwReader,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl BatchReader for Batches {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(block) = self.reader.next_block(on_bad)? else { return Ok(None) };
        let column = |i: &usize| -> ArrayRef {
            match i {
                0 => Arc::new(Float64Array::from(block.labels.clone())),
                1 => Arc::new(Float64Array::from(block.weights.clone())),
                _ => Arc::new(vector::from_csr(&block.features)),
            }
        };
        batch(&self.schema, self.columns.iter().map(column).collect(), block.labels.len()).map(Some)
    }
}
