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

/// True for columns of vectors, of whatever widths of numbers, and in whatever order of the parts.
pub fn is_vector(of: &DataType) -> bool {
    let DataType::Struct(fields) = of else { return false };
    let part = |name: &str| fields.find(name).map(|(_, f)| f.data_type());
    let list = |name: &str, ok: fn(&DataType) -> bool| match part(name) {
        Some(DataType::List(item) | DataType::LargeList(item)) => ok(item.data_type()),
        Some(DataType::Null) => true,
        _ => false,
    };
    let whole = |name: &str| part(name).is_some_and(|t| t.is_integer() || *t == DataType::Null);
    fields.len() == 4
        && whole("type")
        && whole("size")
        && list("indices", DataType::is_integer)
        && list("values", DataType::is_numeric)
}

/// A part of vectors, as an array of type `to`.
fn part(vectors: &StructArray, name: &str, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let array =
        vectors.column_by_name(name).ok_or_else(|| Error::usage(format!("a vector has no part `{name}`")))?;
    cast_with_options(array, to, &options)
        .map_err(|e| Error::input(format!("a column of vectors: {e}"), "indices and sizes have 31 bits"))
}

fn list_part(vectors: &StructArray, name: &str, of: DataType) -> Result<ListArray> {
    let to = DataType::List(Arc::new(Field::new_list_field(of, true)));
    Ok(part(vectors, name, &to)?.as_list::<i32>().clone())
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

/// The vectors of a column with exactly the type that [`data_type`] says.
///
/// # Errors
/// As [`Rows::of`].
pub fn canonical(vectors: &StructArray) -> Result<StructArray> {
    if vectors.data_type() == &data_type() {
        return Ok(vectors.clone());
    }
    let rows = Rows::of(vectors)?;
    let list = |list: ListArray, of: DataType| {
        let (_, offsets, values, nulls) = list.into_parts();
        ListArray::try_new(item(of), offsets, values, nulls)
    };
    let failed = |e: arrow_schema::ArrowError| Error::input(format!("a column of vectors: {e}"), "");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.types),
        Arc::new(rows.sizes),
        Arc::new(list(rows.indices, DataType::Int32).map_err(failed)?),
        Arc::new(list(rows.values, DataType::Float64).map_err(failed)?),
    ];
    StructArray::try_new(fields(), columns, vectors.nulls().cloned()).map_err(failed)
}

/// The size of the widest of some vectors; 0 for a column of none.
pub fn widest(vectors: &StructArray) -> u32 {
    let Ok(rows) = Rows::of(vectors) else { return 0 };
    let is_dense = |row: &usize| rows.types.is_valid(*row) && rows.types.value(*row) == DENSE;
    let dense =
        (0..vectors.len()).filter(is_dense).map(|row| rows.values.value_length(row)).max().unwrap_or(0);
    u32::try_from(dense).unwrap_or(0).max(rows.size() as u32)
}

/// A column of vectors, to be read row by row.
pub struct Rows {
    whole: StructArray,
    types: Int8Array,
    sizes: Int32Array,
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
        Ok(Rows {
            types: part(vectors, "type", &DataType::Int8)?.as_primitive::<Int8Type>().clone(),
            sizes: part(vectors, "size", &DataType::Int32)?.as_primitive::<Int32Type>().clone(),
            indices: list_part(vectors, "indices", DataType::Int32)?,
            values: list_part(vectors, "values", DataType::Float64)?,
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
        usize::try_from(arrow_arith::aggregate::max(&self.sizes).unwrap_or(0)).unwrap_or(0)
    }
}
