//! Weights as a table: what model files hold.
//!
//! One row a non-zero weight: `output` (u32), `feature` (u64, 0-based, null for an intercept), `weight` (f64). Sparse
//! models are small files, and any Parquet reader can look at them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, Float64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// Weights of `outputs` linear functions of `columns` columns.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightTable {
    /// Number of columns.
    pub columns: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Weight of column `j` and output `c` at `j outputs + c`.
    pub weights: Vec<f64>,
    /// One an output; 0 without intercepts.
    pub intercepts: Vec<f64>,
}

impl WeightTable {
    /// Cuts what a solver returns: weights by column, then intercepts if there are any.
    pub fn from_solution(mut weights: Vec<f64>, columns: usize, outputs: usize) -> Self {
        let mut intercepts = weights.split_off(columns * outputs);
        intercepts.resize(outputs, 0.0);
        WeightTable { columns, outputs, weights, intercepts }
    }
    /// The table of weights that are not zero, intercepts first.
    pub fn to_batch(&self) -> RecordBatch {
        let k = self.outputs;
        let intercepts = self.intercepts.iter().enumerate().map(|(c, w)| (c, None, *w));
        let weights = self.weights.iter().enumerate().map(|(i, w)| (i % k, Some((i / k) as u64), *w));
        let stored: Vec<(usize, Option<u64>, f64)> =
            intercepts.chain(weights).filter(|(_, _, w)| *w != 0.0).collect();
        let schema = Schema::new(vec![
            Field::new("output", DataType::UInt32, false),
            Field::new("feature", DataType::UInt64, true),
            Field::new("weight", DataType::Float64, false),
        ]);
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(UInt32Array::from_iter_values(stored.iter().map(|s| s.0 as u32))),
            Arc::new(UInt64Array::from_iter(stored.iter().map(|s| s.1))),
            Arc::new(Float64Array::from_iter_values(stored.iter().map(|s| s.2))),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).expect("three columns of equal length")
    }
    /// Reads what [`to_batch`](WeightTable::to_batch) made.
    ///
    /// # Errors
    /// Input, if columns are missing or an entry lies outside.
    pub fn from_batch(batch: &RecordBatch, columns: usize, outputs: usize) -> Result<Self> {
        let damaged = |what: &str| Error::input(format!("the model's weights are damaged: {what}"), "");
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| damaged(&format!("there is no column `{name}`")))
        };
        let kind = |name: &str| damaged(&format!("column `{name}` is of another type"));
        let output = column("output")?.as_primitive_opt::<UInt32Type>().ok_or_else(|| kind("output"))?;
        let feature = column("feature")?.as_primitive_opt::<UInt64Type>().ok_or_else(|| kind("feature"))?;
        let weight = column("weight")?.as_primitive_opt::<Float64Type>().ok_or_else(|| kind("weight"))?;
        let mut table = WeightTable {
            columns,
            outputs,
            weights: vec![0.0; crate::model::values(columns, outputs)?],
            intercepts: vec![0.0; outputs],
        };
        for i in 0..batch.num_rows() {
            let c = output.value(i) as usize;
            let place = match feature.is_valid(i) {
                _ if c >= outputs => None,
                true if feature.value(i) < columns as u64 => {
                    Some(&mut table.weights[feature.value(i) as usize * outputs + c])
                }
                true => None,
                false => Some(&mut table.intercepts[c]),
            };
            *place.ok_or_else(|| damaged(&format!("row {i} lies outside the model")))? = weight.value(i);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let table = WeightTable::from_solution(vec![1.0, 0.0, -2.5, 3.0, 0.5, 0.0], 2, 2);
        let batch = table.to_batch();
        assert_eq!(batch.num_rows(), 4, "zeros are not stored");
        assert_eq!(WeightTable::from_batch(&batch, 2, 2).unwrap(), table);
        assert!(WeightTable::from_batch(&batch, 1, 2).is_err());
        assert!(WeightTable::from_batch(&batch, 2, 1).is_err());
    }
}
