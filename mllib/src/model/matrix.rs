//! Matrices as tables of models: a row of the matrix is a row of the table, with its number and its values.

use arrow_array::builder::{ListBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, UInt32Type};
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

const VALUES: &str = "values";

/// The table of a matrix of rows of `columns` values, whose rows are called `name`.
///
/// # Panics
/// If the values do not end with a row, or a row is empty.
pub(crate) fn matrix_table<T: ArrowPrimitiveType>(
    name: &str,
    values: &[T::Native],
    columns: usize,
) -> RecordBatch {
    assert!(values.len().is_multiple_of(columns), "a row has {columns} values");
    let element = Arc::new(Field::new("item", T::DATA_TYPE, false));
    let mut lists = ListBuilder::new(PrimitiveBuilder::<T>::new()).with_field(element.clone());
    for row in values.chunks_exact(columns) {
        lists.values().append_slice(row);
        lists.append(true);
    }
    let numbers = UInt32Array::from_iter_values(0..(values.len() / columns) as u32);
    let fields =
        vec![Field::new(name, DataType::UInt32, false), Field::new(VALUES, DataType::List(element), false)];
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, vec![Arc::new(numbers), Arc::new(lists.finish())])
        .expect("a value a row in every column")
}

/// The matrix of a table that [`matrix_table`] made.
///
/// # Errors
/// Input, if it is not one of `rows` rows of `columns` finite values, in their order.
pub(crate) fn matrix_of<T: ArrowPrimitiveType<Native: Into<f64>>>(
    table: &RecordBatch,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<Vec<T::Native>> {
    let refuse = |what: String| Error::input(format!("the {name}s do not fit: {what}"), "");
    let column = |name: &str| {
        let column = table.column_by_name(name).filter(|c| c.null_count() == 0);
        column.ok_or_else(|| refuse(format!("there is no column `{name}` with a value in every row")))
    };
    let numbers = column(name)?.as_primitive_opt::<UInt32Type>();
    let numbers = numbers.ok_or_else(|| refuse(format!("`{name}` is no whole number")))?.values();
    if numbers.len() != rows || numbers.iter().enumerate().any(|(row, n)| *n as usize != row) {
        return Err(refuse(format!("there are not {rows}, in their order")));
    }
    let lists = column(VALUES)?.as_list_opt::<i32>();
    let lists = lists.ok_or_else(|| refuse(format!("`{VALUES}` is no list")))?;
    // No more than there are: a list that is too short is refused before the next.
    let mut values = vec![];
    for row in 0..rows {
        let list = lists.value(row);
        let list = list.as_primitive_opt::<T>().filter(|v| v.null_count() == 0);
        let list = list.ok_or_else(|| refuse(format!("`{VALUES}` are no numbers")))?.values();
        if list.len() != columns || list.iter().any(|x| !(*x).into().is_finite()) {
            return Err(refuse(format!("{name} {row} has not {columns} numbers")));
        }
        values.extend_from_slice(list);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::{Float32Type, Float64Type};

    #[test]
    fn read_back_or_refused() {
        let values = [1.0, 2.0, 3.0, -4.0, 5.5, f32::MIN_POSITIVE];
        let table = matrix_table::<Float32Type>("atom", &values, 3);
        assert_eq!(matrix_of::<Float32Type>(&table, "atom", 2, 3).unwrap(), values);
        for (name, rows, columns, says) in
            [("atom", 3, 3, "not 3"), ("atom", 2, 2, "atom 0 has not 2"), ("row", 2, 3, "no column `row`")]
        {
            let e = matrix_of::<Float32Type>(&table, name, rows, columns).unwrap_err();
            assert!(e.exit_code() == 3 && e.to_string().contains(says), "{e}");
        }
        let broken = matrix_table::<Float32Type>("atom", &[1.0, f32::NAN], 2);
        assert!(matrix_of::<Float32Type>(&broken, "atom", 1, 2).is_err());
        let swapped = table.slice(1, 1);
        assert!(
            matrix_of::<Float32Type>(&swapped, "atom", 1, 3)
                .unwrap_err()
                .to_string()
                .contains("in their order")
        );
        // Numbers of another width are refused.
        assert!(
            matrix_of::<Float64Type>(&table, "atom", 2, 3).unwrap_err().to_string().contains("no numbers")
        );
        let wide = [0.1, f64::MIN_POSITIVE];
        let table = matrix_table::<Float64Type>("part", &wide, 1);
        assert_eq!(matrix_of::<Float64Type>(&table, "part", 2, 1).unwrap(), wide);
    }
}
