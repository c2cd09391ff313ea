//! Rows of numbers in one column, in the layout that Spark gives its vectors in files.
//!
//! A vector is a struct: `type` (0 sparse, 1 dense), `size` (how many columns it has; sparse only), `indices` (0-based,
//! ascending; sparse only) and `values`. Spark MLlib reads and writes it in Parquet as it is.
//!
//! From: Spark 3, `org.apache.spark.ml.linalg.VectorUDT`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int32Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int8Array, Int32Array, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Fields};
use slackwater_dataflow::block::CsrBlock;
use slackwater_dataflow::{BadRecord, Error, Result};
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

/// The size of the widest of some vectors.
pub fn widest(vectors: &StructArray) -> u32 {
    let sizes = vectors.column(1).as_primitive_opt::<Int32Type>();
    let sparse = sizes.and_then(arrow_arith::aggregate::max).unwrap_or(0);
    let dense = vectors.column(3).as_list_opt::<i32>().map_or(0, |values| {
        let types = vectors.column(0).as_primitive_opt::<Int8Type>();
        let is_dense = |row: usize| types.is_some_and(|t| t.is_valid(row) && t.value(row) == DENSE);
        (0..values.len()).filter(|row| is_dense(*row)).map(|row| values.value_length(row)).max().unwrap_or(0)
    });
    u32::try_from(sparse.max(dense)).unwrap_or(0)
}

/// A column of vectors, to be read row by row.
pub struct Rows {
    whole: StructArray,
    types: Int8Array,
    indices: ListArray,
    values: ListArray,
}

impl Rows {
    /// The vectors of a column, whatever widths its numbers have.
    ///
    /// # Errors
    /// Usage, if they are none. Input, for numbers that do not fit.
    pub fn of(vectors: &StructArray) -> Result<Rows> {
        if !is_vector(vectors.data_type()) {
            return Err(Error::usage(format!("a column of type {} has no vectors", vectors.data_type())));
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let cast = |i: usize, to: &DataType| {
            cast_with_options(vectors.column(i), to, &options)
                .map_err(|e| Error::input(format!("a column of vectors: {e}"), ""))
        };
        let list = |i: usize, of: DataType| -> Result<ListArray> {
            let to = DataType::List(Arc::new(Field::new_list_field(of, true)));
            Ok(cast(i, &to)?.as_list::<i32>().clone())
        };
        Ok(Rows {
            types: cast(0, &DataType::Int8)?.as_primitive::<Int8Type>().clone(),
            indices: list(2, DataType::Int32)?,
            values: list(3, DataType::Float64)?,
            whole: vectors.clone(),
        })
    }
    /// The columns of a row, ascending, and their values. Zeros of dense vectors are left out.
    ///
    /// # Errors
    /// Data, for what is no vector.
    pub fn row(&self, row: usize) -> Result<impl Iterator<Item = (u32, f64)> + '_> {
        self.try_row(row).map_err(|message| BadRecord::new(format!("a vector: {message}")).into())
    }
    /// As [`Rows::row`], with what is wrong in words.
    pub(crate) fn try_row(&self, row: usize) -> Result<impl Iterator<Item = (u32, f64)> + '_, String> {
        let refuse = |why: &str| Err(why.to_string());
        if self.whole.is_null(row) || self.types.is_null(row) || self.values.is_null(row) {
            return refuse("it is missing");
        }
        let at = |list: &ListArray| {
            let offsets = list.value_offsets();
            offsets[row] as usize..offsets[row + 1] as usize
        };
        let places = at(&self.values);
        let all: &Float64Array = self.values.values().as_primitive::<Float64Type>();
        let values = &all.values()[places.clone()];
        if let Some(i) = places.clone().find(|i| all.is_null(*i) || !all.value(*i).is_finite()) {
            let value = if all.is_null(i) { "missing".to_string() } else { all.value(i).to_string() };
            return Err(format!("a value is {value}"));
        }
        let is_dense = self.types.value(row) == DENSE;
        let columns: &[i32] = match is_dense {
            true => &[],
            false => {
                let places = at(&self.indices);
                let all: &Int32Array = self.indices.values().as_primitive::<Int32Type>();
                if self.indices.is_null(row) || places.len() != values.len() {
                    return refuse("it does not have as many indices as values");
                }
                let columns = &all.values()[places.clone()];
                let ascend =
                    columns.windows(2).all(|w| w[0] < w[1]) && columns.first().is_none_or(|c| *c >= 0);
                if !ascend || places.clone().any(|i| all.is_null(i)) {
                    return refuse("its indices do not ascend from 0");
                }
                columns
            }
        };
        let column = move |i: usize| if is_dense { i as u32 } else { columns[i] as u32 };
        let all = values.iter().enumerate().map(move |(i, x)| (column(i), *x));
        Ok(all.filter(move |(_, x)| !is_dense || *x != 0.0))
    }
    /// The largest size that sparse vectors say they have.
    pub fn size(&self) -> usize {
        let sizes = self.whole.column(1).as_primitive_opt::<Int32Type>();
        usize::try_from(sizes.and_then(arrow_arith::aggregate::max).unwrap_or(0)).unwrap_or(0)
    }
}
