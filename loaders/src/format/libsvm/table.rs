//! Rows of LIBSVM text as a table: `label`, `features`.

use super::{LibsvmOptions, LibsvmReader};
use crate::OnBadRecord;
use crate::format::records::{batch, describe, field, wanted};
use crate::source::InputFile;
use crate::split::{Split, splits};
use crate::table::{BatchReader, Scan, TableSource, vector};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// LIBSVM text as a table: `label`, and `features` as sparse [vectors](vector). A batch has as many rows as a block; the size of a
/// vector is [`LibsvmOptions::num_features`], or what its block needs.
pub struct LibsvmTable {
    schema: SchemaRef,
    splits: Vec<Split>,
    options: LibsvmOptions,
}

impl LibsvmTable {
    /// Divides files into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// Config, for options that make no sense.
    pub fn open(files: &[InputFile], options: LibsvmOptions, min_splits: usize) -> Result<Self> {
        options.check()?;
        let columns = vec![field("label", DataType::Float64), field("features", vector::data_type())];
        Ok(LibsvmTable { schema: Arc::new(Schema::new(columns)), splits: splits(files, min_splits), options })
    }
}

impl TableSource for LibsvmTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("LIBSVM", &self.splits)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(Batches {
            reader: LibsvmReader::open(&self.splits[piece], &self.options)?,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema),
        }))
    }
}

struct Batches {
    reader: LibsvmReader,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl BatchReader for Batches {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let Some(block) = self.reader.next_block(on_bad)? else { return Ok(None) };
        let column = |i: &usize| -> ArrayRef {
            match i {
                0 => Arc::new(Float64Array::from(block.labels.clone())),
                _ => Arc::new(vector::from_csr(&block.features)),
            }
        };
        batch(&self.schema, self.columns.iter().map(column).collect(), block.rows()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::{file, read_table};
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int32Type};

    #[test]
    fn rows_are_vectors() {
        let options = LibsvmOptions { num_features: Some(9), ..LibsvmOptions::default() };
        let table = LibsvmTable::open(&[file("+1 1:0.5 3:2\n0 0:1\n-1\n")], options, 4).unwrap();
        assert_eq!((table.pieces(), table.describe().as_str()), (1, "LIBSVM t, 22 bytes"));
        let (batches, bad) = read_table(&table, &Scan::default()).unwrap();
        assert!(bad.len() == 1 && bad[0].starts_with("t:2:3: index 0"), "{bad:?}");
        let vectors = batches[0].column(1).as_struct();
        assert_eq!(vectors.column(1).as_primitive::<Int32Type>().values(), &[9, 9]);
        let indices = vectors.column(2).as_list::<i32>();
        assert_eq!(indices.value(0).as_primitive::<Int32Type>().values(), &[0, 2]);
        assert_eq!((indices.value(1).len(), indices.len()), (0, 2));
        let (batches, _) = read_table(&table, &Scan { columns: Some(vec![0]), ..Scan::default() }).unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<Float64Type>().values(), &[1.0, -1.0]);
        let none = LibsvmOptions { num_features: Some(0), ..options };
        assert!(LibsvmTable::open(&[file("")], none, 1).is_err());
    }
}
