//! The fitted linear regression.

use super::LinearRegressionParams;
use crate::linear::{Features, TrainingSummary, WeightTable};
use crate::model::Persist;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Linear regression: predictions are `w'x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearRegressionModel {
    table: WeightTable,
    attributes: Attributes,
}

/// What is stored beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    columns: usize,
    params: LinearRegressionParams,
    summary: TrainingSummary,
}

impl LinearRegressionModel {
    pub(in crate::regression) fn new(
        table: WeightTable,
        params: LinearRegressionParams,
        summary: TrainingSummary,
    ) -> Self {
        let attributes = Attributes { columns: table.columns, params, summary };
        LinearRegressionModel { table, attributes }
    }
    /// Weights, one a column.
    pub fn weights(&self) -> &[f64] {
        &self.table.weights
    }
    /// The intercept; 0 if the model has none.
    pub fn intercept(&self) -> f64 {
        self.table.intercepts[0]
    }
    /// `w'x + b`.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> f64 {
        row.margin(&self.table.weights, 0, 1) + self.table.intercepts[0]
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &LinearRegressionParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &TrainingSummary {
        &self.attributes.summary
    }
    pub(in crate::regression) fn summary_mut(&mut self) -> &mut TrainingSummary {
        &mut self.attributes.summary
    }
}

impl Persist for LinearRegressionModel {
    const ALGORITHM: &'static str = "linear-regression";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    fn table(&self) -> RecordBatch {
        self.table.to_batch()
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let table = WeightTable::from_batch(table, attributes.columns, 1)?;
        Ok(LinearRegressionModel { table, attributes })
    }
}
