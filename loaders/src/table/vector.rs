//! Rows of numbers in one column, in the layout that Spark gives its vectors in files.
//!
//! A vector is a struct: `type` (0 sparse, 1 dense), `size` (how many columns it has; sparse only), `indices` (0-based,
//! ascending; sparse only) and `values`. Spark MLlib reads and writes it in Parquet as it is.
//!
//! From: Spark 3, `org.apache.spark.ml.linalg.VectorUDT`.

use arrow_array::{ArrayRef, Float64Array, Int8Array, Int32Array, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};
use slackwater_dataflow::block::CsrBlock;
use std::sync::Arc;

/// `type` of a sparse vector.
pub const SPARSE: i8 = 0;
/// `type` of a dense vector.
pub const DENSE: i8 = 1;

fn item(of: DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(of, false))
}

/// True for columns of vectors, of whatever widths of numbers and names of items.
pub fn is_vector(of: &DataType) -> bool {
    let DataType::Struct(fields) = of else { return false };
    let list = |f: &Field, ok: fn(&DataType) -> bool| match f.data_type() {
        DataType::List(item) | DataType::LargeList(item) => ok(item.data_type()),
        _ => false,
    };
    fields.len() == 4
        && fields.iter().map(|f| f.name().as_str()).eq(["type", "size", "indices", "values"])
        && fields[0].data_type().is_integer()
        && *fields[1].data_type() == DataType::Int32
        && list(&fields[2], DataType::is_integer)
        && list(&fields[3], DataType::is_numeric)
}

/// The type of a column of vectors.
pub fn data_type() -> DataType {
    DataType::Struct(fields())
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("type", DataType::Int8, false),
        Field::new("size", DataType::Int32, true),
        Field::new("indices", DataType::List(item(DataType::Int32)), true),
        Field::new("values", DataType::List(item(DataType::Float64)), true),
    ])
}

/// A column of vectors with the rows of `block`, all sparse, `size` of which is the number of columns of the block.
pub fn from_csr(block: &CsrBlock) -> StructArray {
    let rows = block.rows();
    let offsets: ScalarBuffer<i32> = block.offsets().iter().map(|o| *o as i32).collect::<Vec<_>>().into();
    let offsets = OffsetBuffer::new(offsets);
    let indices: Vec<i32> = block.indices().iter().map(|i| *i as i32).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int8Array::from(vec![SPARSE; rows])),
        Arc::new(Int32Array::from(vec![block.columns() as i32; rows])),
        Arc::new(ListArray::new(
            item(DataType::Int32),
            offsets.clone(),
            Arc::new(Int32Array::from(indices)),
            None,
        )),
        Arc::new(ListArray::new(
            item(DataType::Float64),
            offsets,
            Arc::new(Float64Array::from(block.values().to_vec())),
            None,
        )),
    ];
    StructArray::new(fields(), columns, None)
}
