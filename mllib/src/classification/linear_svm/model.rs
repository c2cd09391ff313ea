//! The fitted support vector machine.

use super::{LinearSvmParams, SvmLoss};
use crate::linear::{Binary, Features, TrainingSummary, WeightTable, liblinear_text};
use crate::model::Persist;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// A linear support vector machine: scores are `w'x + b`, and a row above the threshold is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSvmModel {
    table: WeightTable,
    attributes: Attributes,
}

/// What is stored beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    columns: usize,
    negative: f64,
    positive: f64,
    threshold: Option<f64>,
    params: LinearSvmParams,
    summary: TrainingSummary,
}

impl LinearSvmModel {
    pub(super) fn new(
        table: WeightTable,
        classes: Binary,
        params: LinearSvmParams,
        summary: TrainingSummary,
    ) -> Self {
        let attributes = Attributes {
            columns: table.columns,
            negative: classes.negative,
            positive: classes.positive,
            threshold: Some(0.0),
            params,
            summary,
        };
        LinearSvmModel { table, attributes }
    }
    /// Weights, one a column.
    pub fn weights(&self) -> &[f64] {
        &self.table.weights
    }
    /// The intercept; 0 if the model has none.
    pub fn intercept(&self) -> f64 {
        self.table.intercepts[0]
    }
    /// The labels of the negative and the positive class.
    pub fn classes(&self) -> [f64; 2] {
        [self.attributes.negative, self.attributes.positive]
    }
    /// Scores above it are positive; 0 unless changed, `None` if it was cleared.
    pub fn threshold(&self) -> Option<f64> {
        self.attributes.threshold
    }
    /// Sets the threshold.
    pub fn set_threshold(&mut self, threshold: f64) {
        self.attributes.threshold = Some(threshold);
    }
    /// Clears the threshold: [`predict`](LinearSvmModel::predict) then returns scores, as in Spark.
    pub fn clear_threshold(&mut self) {
        self.attributes.threshold = None;
    }
    /// `w'x + b`.
    pub fn score(&self, row: &(impl Features + ?Sized)) -> f64 {
        row.margin(&self.table.weights, 0, 1) + self.table.intercepts[0]
    }
    /// The label of the class; the score, if the threshold was cleared.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> f64 {
        let score = self.score(row);
        match self.attributes.threshold {
            Some(threshold) if score > threshold => self.attributes.positive,
            Some(_) => self.attributes.negative,
            None => score,
        }
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &LinearSvmParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &TrainingSummary {
        &self.attributes.summary
    }
    /// The text of a LIBLINEAR model file.
    ///
    /// # Errors
    /// None in practice: labels of two classes are whole numbers.
    pub fn export_liblinear(&self) -> Result<String> {
        let p = &self.attributes.params;
        let solver_type = match (p.loss, p.training.has_l1()) {
            (SvmLoss::Hinge, _) => "L2R_L1LOSS_SVC_DUAL",
            (SvmLoss::SquaredHinge, false) => "L2R_L2LOSS_SVC",
            (SvmLoss::SquaredHinge, true) => "L1R_L2LOSS_SVC",
        };
        liblinear_text(solver_type, &[self.attributes.positive, self.attributes.negative], &self.table)
    }
}

impl Persist for LinearSvmModel {
    const ALGORITHM: &'static str = "linear-svm";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    fn table(&self) -> RecordBatch {
        self.table.to_batch()
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let table = WeightTable::from_batch(table, attributes.columns, 1)?;
        Ok(LinearSvmModel { table, attributes })
    }
}
