//! Columns to unit sample deviation and, if asked, mean 0: Spark's `StandardScaler`.
//!
//! # Cost
//! Fitting is one sweep over the values ([`ColumnMoments`]). Scaling keeps sparse rows sparse; subtracting means makes
//! them dense, and is refused for rows wider than [`CENTERED_COLUMNS_MAX`].
//!
//! A column that does not vary becomes 0 where it is divided, as in Spark. A linear trainer with `standardize` needs no
//! scaled data: it does the same to its weights.

use crate::model::Persist;
use crate::objective::Sweep;
use crate::stat::ColumnMoments;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{CsrBlock, CsrBuilder, LabeledBlock};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// The widest rows that are made dense.
pub const CENTERED_COLUMNS_MAX: usize = 1 << 20;

/// What to do to columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandardScaler {
    /// Subtract the mean. Off by default, since it makes sparse rows dense.
    pub with_mean: bool,
    /// Divide by the sample standard deviation. On by default.
    pub with_std: bool,
}

impl Default for StandardScaler {
    fn default() -> Self {
        StandardScaler { with_mean: false, with_std: true }
    }
}

impl StandardScaler {
    /// Learns means and deviations from rows.
    ///
    /// # Errors
    /// Config, if means are to be subtracted from too wide rows; what the sweep reports.
    pub fn fit<S: Sweep>(&self, rows: &S) -> Result<StandardScalerModel> {
        let moments = rows.fold(
            |_, blocks| {
                let mut moments = ColumnMoments::new(0);
                blocks.iter().for_each(|b| moments.push(&b.features));
                Ok(moments)
            },
            ColumnMoments::merge,
        )?;
        self.model_of(&moments.unwrap_or_default())
    }
    /// The model for known moments.
    ///
    /// # Errors
    /// Config, if means are to be subtracted from too wide rows.
    pub fn model_of(&self, moments: &ColumnMoments) -> Result<StandardScalerModel> {
        if self.with_mean && moments.columns() > CENTERED_COLUMNS_MAX {
            return Err(Error::config(
                "with_mean",
                format!("would make rows of {} columns dense", moments.columns()),
            ));
        }
        Ok(StandardScalerModel {
            scaler: *self,
            means: moments.means(),
            deviations: moments.sample_deviations(),
        })
    }
}

/// Learnt means and deviations.
#[derive(Debug, Clone, PartialEq)]
pub struct StandardScalerModel {
    scaler: StandardScaler,
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl StandardScalerModel {
    /// Means of the columns.
    pub fn means(&self) -> &[f64] {
        &self.means
    }
    /// Sample standard deviations of the columns.
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }
    /// What a value of a column is multiplied by.
    fn factor(&self, column: usize) -> f64 {
        match self.deviations[column] {
            _ if !self.scaler.with_std => 1.0,
            deviation if deviation > 0.0 => 1.0 / deviation,
            _ => 0.0,
        }
    }
    /// The scaled rows.
    ///
    /// # Errors
    /// Input, if rows have more columns than the scaler was fitted to.
    pub fn transform(&self, rows: &CsrBlock) -> Result<CsrBlock> {
        let columns = self.means.len();
        if rows.columns() > columns {
            return Err(Error::input(
                format!("the rows have {} columns, but the scaler was fitted to {columns}", rows.columns()),
                "",
            ));
        }
        if !self.scaler.with_mean {
            let mut scaled = rows.clone();
            let factors: Vec<f64> = rows.indices().iter().map(|j| self.factor(*j as usize)).collect();
            scaled.values_mut().iter_mut().zip(factors).for_each(|(x, f)| *x *= f);
            return Ok(scaled);
        }
        let mut scaled = CsrBuilder::with_capacity(rows.rows(), rows.rows() * columns);
        let mut dense = vec![0.0; columns];
        for row in rows.iter() {
            dense.fill(0.0);
            row.indices.iter().zip(row.values).for_each(|(j, x)| dense[*j as usize] = *x);
            for (j, x) in dense.iter().enumerate() {
                scaled.push(j as u32, (x - self.means[j]) * self.factor(j));
            }
            scaled.end_row();
        }
        Ok(scaled.finish(columns))
    }
    /// The scaled rows with their labels.
    ///
    /// # Errors
    /// As [`transform`](StandardScalerModel::transform).
    pub fn transform_labeled(&self, block: &LabeledBlock) -> Result<LabeledBlock> {
        Ok(LabeledBlock { labels: block.labels.clone(), features: self.transform(&block.features)? })
    }
}

impl Persist for StandardScalerModel {
    const ALGORITHM: &'static str = "standard-scaler";
    type Attributes = StandardScaler;

    fn attributes(&self) -> &StandardScaler {
        &self.scaler
    }
    fn table(&self) -> RecordBatch {
        let field = |name: &str| Field::new(name, DataType::Float64, false);
        let schema = Schema::new(vec![field("mean"), field("deviation")]);
        let column = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as Arc<dyn Array>;
        RecordBatch::try_new(Arc::new(schema), vec![column(&self.means), column(&self.deviations)])
            .expect("two columns of equal length")
    }
    fn restore(scaler: StandardScaler, table: &RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            let array = table.column_by_name(name).and_then(|a| a.as_primitive_opt::<Float64Type>());
            array
                .filter(|a| a.null_count() == 0)
                .map(|a| a.values().to_vec())
                .ok_or_else(|| Error::input(format!("the scaler has no column `{name}` of numbers"), ""))
        };
        Ok(StandardScalerModel { scaler, means: column("mean")?, deviations: column("deviation")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::LocalRows;
    use slackwater_dataflow::block::{LabeledPoint, Vector, pack};

    fn rows() -> LocalRows {
        let points = [[1.0, 0.0, 5.0], [2.0, 4.0, 5.0], [3.0, 0.0, 5.0], [6.0, 0.0, 5.0]];
        let point = |x: &[f64; 3]| LabeledPoint::new(1.0, Vector::dense(*x));
        LocalRows::new(points.chunks(2).map(|p| pack(p.iter().map(point)).collect()).collect(), 1)
    }

    #[test]
    fn scaled_columns_have_unit_deviation_and_mean_zero() {
        for with_mean in [false, true] {
            let rows = rows();
            let model = StandardScaler { with_mean, with_std: true }.fit(&rows).unwrap();
            let mut after = ColumnMoments::new(3);
            for block in rows.blocks().iter().flatten() {
                after.push(&model.transform(&block.features).unwrap());
            }
            for (j, deviation) in after.sample_deviations().into_iter().enumerate() {
                let expected = if j == 2 { 0.0 } else { 1.0 };
                assert!((deviation - expected).abs() < 1e-12, "column {j}: {deviation}");
            }
            if with_mean {
                after.means().iter().for_each(|m| assert!(m.abs() < 1e-12));
            } else {
                let block = &rows.blocks()[0][0].features;
                assert_eq!(model.transform(block).unwrap().nnz(), block.nnz(), "still sparse");
            }
        }
    }

    #[test]
    fn wider_rows_are_refused() {
        let model = StandardScaler::default().fit(&rows()).unwrap();
        let wide = CsrBlock::from_parts(9, vec![0], vec![], vec![]).unwrap();
        assert_eq!(model.transform(&wide).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn stored_and_restored() {
        let model = StandardScaler::default().fit(&rows()).unwrap();
        assert_eq!(StandardScalerModel::restore(*model.attributes(), &model.table()).unwrap(), model);
    }
}
