//! The fitted logistic regression.

use super::LogisticRegressionParams;
use crate::linear::{Features, TrainingSummary, WeightTable, liblinear_text};
use crate::model::Persist;
use crate::objective::softmax;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// Logistic regression: probabilities of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegressionModel {
    table: WeightTable,
    attributes: Attributes,
}

/// What is stored beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    columns: usize,
    outputs: usize,
    classes: Vec<f64>,
    threshold: Option<f64>,
    params: LogisticRegressionParams,
    summary: TrainingSummary,
}

/// `1 / (1 + exp(-z))`, without overflow.
fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

impl LogisticRegressionModel {
    pub(in crate::classification) fn new(
        table: WeightTable,
        classes: Vec<f64>,
        params: LogisticRegressionParams,
        summary: TrainingSummary,
    ) -> Self {
        let attributes = Attributes {
            columns: table.columns,
            outputs: table.outputs,
            classes,
            threshold: Some(0.5),
            params,
            summary,
        };
        LogisticRegressionModel { table, attributes }
    }
    /// The classes' labels, ascending; of a binary model the second is the positive one.
    pub fn classes(&self) -> &[f64] {
        &self.attributes.classes
    }
    /// True if there is one output for two classes.
    pub fn is_binary(&self) -> bool {
        self.table.outputs == 1
    }
    /// Weights by column: that of column `j` and class `c` at `j k + c` (binary: one a column).
    pub fn weights(&self) -> &[f64] {
        &self.table.weights
    }
    /// One a class (binary: one); 0 if the model has none.
    pub fn intercepts(&self) -> &[f64] {
        &self.table.intercepts
    }
    /// Probabilities of the positive class above it are predicted as positive; 0.5 unless changed, `None` if it was
    /// cleared. Multinomial models predict the most probable class.
    pub fn threshold(&self) -> Option<f64> {
        self.attributes.threshold
    }
    /// Sets the threshold.
    ///
    /// # Errors
    /// Usage for multinomial models.
    pub fn set_threshold(&mut self, threshold: f64) -> Result<()> {
        self.require_binary()?;
        self.attributes.threshold = Some(threshold);
        Ok(())
    }
    /// Clears the threshold: [`predict`](LogisticRegressionModel::predict) then returns probabilities, as in Spark.
    ///
    /// # Errors
    /// Usage for multinomial models.
    pub fn clear_threshold(&mut self) -> Result<()> {
        self.require_binary()?;
        self.attributes.threshold = None;
        Ok(())
    }
    fn require_binary(&self) -> Result<()> {
        if self.is_binary() { Ok(()) } else { Err(Error::usage("a multinomial model has no threshold")) }
    }
    /// `W'x + b`: one a class (binary: one).
    pub fn margins(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        let k = self.table.outputs;
        (0..k).map(|c| row.margin(&self.table.weights, c, k) + self.table.intercepts[c]).collect()
    }
    /// Probability of each class, in their order.
    pub fn probabilities(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        let mut z = self.margins(row);
        if self.is_binary() {
            return vec![sigmoid(-z[0]), sigmoid(z[0])];
        }
        softmax(&mut z);
        z
    }
    /// Score for ranking: the probability of the positive class; of a multinomial model that of the last class.
    pub fn score(&self, row: &(impl Features + ?Sized)) -> f64 {
        *self.probabilities(row).last().expect("there are at least two classes")
    }
    /// The label of the class; the probability, if the threshold was cleared.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> f64 {
        let classes = &self.attributes.classes;
        if !self.is_binary() {
            let z = self.margins(row);
            // The first of equals wins, so that ties do not depend on anything else.
            let best = (1..z.len()).fold(0, |best, c| if z[c] > z[best] { c } else { best });
            return classes[best];
        }
        let probability = self.score(row);
        match self.attributes.threshold {
            Some(threshold) => classes[usize::from(probability > threshold)],
            None => probability,
        }
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &LogisticRegressionParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &TrainingSummary {
        &self.attributes.summary
    }
    pub(in crate::classification) fn summary_mut(&mut self) -> &mut TrainingSummary {
        &mut self.attributes.summary
    }
    /// The text of a LIBLINEAR model file. LIBLINEAR predicts the same classes; for more than two its probabilities are
    /// those of one-versus-rest models and differ.
    ///
    /// # Errors
    /// Usage, if a class is not a whole number.
    pub fn export_liblinear(&self) -> Result<String> {
        let solver_type = if self.attributes.params.training.has_l1() { "L1R_LR" } else { "L2R_LR" };
        let classes = &self.attributes.classes;
        if self.is_binary() {
            return liblinear_text(solver_type, &[classes[1], classes[0]], &self.table);
        }
        // With two classes LIBLINEAR reads one weight a column.
        if let [first, second] = classes[..] {
            let difference = |w: &[f64]| w.chunks_exact(2).map(|w| w[1] - w[0]).collect();
            let table = WeightTable {
                columns: self.table.columns,
                outputs: 1,
                weights: difference(&self.table.weights),
                intercepts: difference(&self.table.intercepts),
            };
            return liblinear_text(solver_type, &[second, first], &table);
        }
        liblinear_text(solver_type, classes, &self.table)
    }
}

impl Persist for LogisticRegressionModel {
    const ALGORITHM: &'static str = "logistic-regression";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    fn table(&self) -> RecordBatch {
        self.table.to_batch()
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let (k, outputs) = (attributes.classes.len(), attributes.outputs);
        if k < 2 || (outputs != k && (outputs, k) != (1, 2)) {
            return Err(Error::input(format!("a model of {k} classes cannot have {outputs} outputs"), ""));
        }
        let table = WeightTable::from_batch(table, attributes.columns, outputs)?;
        Ok(LogisticRegressionModel { table, attributes })
    }
}
