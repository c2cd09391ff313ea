//! The fitted network.

use super::NeuralNetworkParams;
use super::network::{Inputs, Layer, Network, Pass, softmax};
use crate::linear::Features;
use crate::model::Persist;
use crate::optimization::Stop;
use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{CsrBlock, Row};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// Rows that go through the layers at once: enough for the products to be of matrices, few enough to stay small.
const ROWS_AT_ONCE: usize = 256;

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeuralNetworkSummary {
    /// Rows that were learnt from.
    pub rows: u64,
    /// Partitions that took part in every clock.
    pub partitions: usize,
    /// Weights and biases of all layers.
    pub parameters: usize,
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// By epoch: mean loss, that of each row before the model learnt from it once more; without the penalty.
    pub loss_history: Vec<f64>,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) classes: Vec<f64>,
    pub(super) params: NeuralNetworkParams,
    pub(super) summary: NeuralNetworkSummary,
}

/// A fully connected network: probabilities of classes.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuralNetworkModel {
    network: Network,
    /// Of all layers, one after the other.
    weights: Vec<f32>,
    /// By column: mean and deviation; empty if columns are taken as they are.
    standardization: Vec<[f32; 2]>,
    inputs: Inputs,
    attributes: Attributes,
}

impl NeuralNetworkModel {
    pub(super) fn new(weights: Vec<f32>, standardization: Vec<[f32; 2]>, attributes: Attributes) -> Self {
        let network = attributes.network();
        let inputs = Inputs::new(attributes.columns, &standardization);
        NeuralNetworkModel { network, weights, standardization, inputs, attributes }
    }
    /// The classes' labels, ascending; of two the second is the positive one.
    pub fn classes(&self) -> &[f64] {
        &self.attributes.classes
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.attributes.columns
    }
    /// The layers, from the inputs on, with their weights: a row an input, and last the biases; one number a unit in each.
    pub fn layers(&self) -> impl Iterator<Item = (Layer, &[f32])> {
        self.network.parts(&self.weights).into_iter()
    }
    /// Mean and deviation of every column, if it was trained with `standardize`.
    pub fn standardization(&self) -> Option<&[[f32; 2]]> {
        Some(&self.standardization[..]).filter(|s| !s.is_empty())
    }
    /// Calls `f` with the outputs of every row, in order: one a class, whose softmax are the probabilities. Columns that
    /// the network does not know are left out. Costs two operations a row and weight.
    pub fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(&[f32])) {
        let mut pass = Pass::default();
        for from in (0..rows.rows()).step_by(ROWS_AT_ONCE) {
            let to = (from + ROWS_AT_ONCE).min(rows.rows());
            let chunk = (from..to).map(|i| rows.row(i));
            self.forward(chunk, &mut pass);
            pass.outputs(&self.network).for_each(&mut f);
        }
    }
    fn forward<'r>(&self, rows: impl ExactSizeIterator<Item = Row<'r>>, pass: &mut Pass) {
        let places = pass.inputs(&self.network, rows.len());
        rows.zip(places).for_each(|(row, place)| self.inputs.write(&row, place));
        self.network.forward(&self.weights, pass);
    }
    /// The outputs of one row; for many rows [`for_each`](NeuralNetworkModel::for_each) is much faster.
    pub fn outputs(&self, row: &(impl Features + ?Sized)) -> Vec<f32> {
        let mut pass = Pass::default();
        pass.inputs(&self.network, 1).for_each(|place| self.inputs.write(row, place));
        self.network.forward(&self.weights, &mut pass);
        pass.outputs(&self.network).flatten().copied().collect()
    }
    /// Probabilities of the classes, in their order, of a row's outputs.
    pub fn probabilities_of(&self, outputs: &[f32]) -> Vec<f64> {
        let mut p = outputs.to_vec();
        softmax(&mut p);
        p.into_iter().map(f64::from).collect()
    }
    /// The label of the class with the largest of a row's outputs.
    pub fn class_of(&self, outputs: &[f32]) -> f64 {
        // The first of equals wins, so that ties do not depend on anything else.
        let best = (1..outputs.len()).fold(0, |best, c| if outputs[c] > outputs[best] { c } else { best });
        self.classes()[best]
    }
    /// Probability of each class, in their order.
    pub fn probabilities(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        self.probabilities_of(&self.outputs(row))
    }
    /// The label of the most probable class.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> f64 {
        self.class_of(&self.outputs(row))
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &NeuralNetworkParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &NeuralNetworkSummary {
        &self.attributes.summary
    }
}

impl Attributes {
    fn network(&self) -> Network {
        Network::new(self.columns, &self.params.hidden, self.classes.len(), self.params.activation)
    }
}

impl Persist for NeuralNetworkModel {
    const ALGORITHM: &'static str = "neural-network";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every input of every layer, from layer 1 on, and after them one for its biases, whose input is null. Layer
    /// 0 has mean and deviation of the columns, if they are standardised.
    fn table(&self) -> RecordBatch {
        let element = Arc::new(Field::new("item", DataType::Float32, false));
        let (mut layers, mut inputs) = (vec![], vec![]);
        let mut weights = ListBuilder::new(Float32Builder::new()).with_field(element.clone());
        let mut push = |layer: u32, input: Option<u32>, values: &[f32]| {
            layers.push(layer);
            inputs.push(input);
            weights.values().append_slice(values);
            weights.append(true);
        };
        for (j, scale) in self.standardization.iter().enumerate() {
            push(0, Some(j as u32), scale);
        }
        for (l, (layer, part)) in self.layers().enumerate() {
            for (j, row) in part.chunks_exact(layer.outputs).enumerate() {
                push(l as u32 + 1, (j < layer.inputs).then_some(j as u32), row);
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(layers)),
            Arc::new(UInt32Array::from(inputs)),
            Arc::new(weights.finish()),
        ];
        let fields = vec![
            Field::new("layer", DataType::UInt32, false),
            Field::new("input", DataType::UInt32, true),
            Field::new("weights", DataType::List(element), false),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a value a row in every column")
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let refuse = |what: &str| Error::input(format!("the weights do not fit: {what}"), "");
        if attributes.classes.len() < 2 {
            return Err(refuse("there are not two classes"));
        }
        if attributes.params.hidden.contains(&0) {
            return Err(refuse("a layer has no units"));
        }
        let network = attributes.network();
        let column = |name: &str| {
            table.column_by_name(name).ok_or_else(|| refuse(&format!("there is no column `{name}`")))
        };
        let number = |name: &str| {
            let numbers = column(name)?.as_primitive_opt::<UInt32Type>();
            numbers.ok_or_else(|| refuse(&format!("`{name}` is no whole number")))
        };
        let (layers, inputs) = (number("layer")?, number("input")?);
        let lists = column("weights")?.as_list_opt::<i32>().filter(|l| l.null_count() == 0);
        let lists = lists.ok_or_else(|| refuse("`weights` is no list in every row"))?;
        let mut row = 0;
        let mut next = |layer: usize, input: Option<usize>, width: usize| -> Result<Vec<f32>> {
            let at = row;
            row += 1;
            let found = || inputs.is_valid(at).then(|| inputs.value(at) as usize);
            if at >= table.num_rows() || layers.value(at) as usize != layer || found() != input {
                return Err(refuse("rows are missing, or in another order"));
            }
            let list = lists.value(at);
            let values = list.as_primitive_opt::<Float32Type>().filter(|v| v.null_count() == 0);
            let values = values.ok_or_else(|| refuse("`weights` are no numbers"))?.values();
            if values.len() != width || values.iter().any(|x| !x.is_finite()) {
                return Err(refuse("a row has not one number a unit"));
            }
            Ok(values.to_vec())
        };
        let mut standardization = vec![];
        if attributes.params.standardize {
            for j in 0..attributes.columns {
                let scale = next(0, Some(j), 2)?;
                standardization.push([scale[0], scale[1]]);
            }
        }
        let mut weights = vec![];
        for (l, layer) in network.layers().iter().enumerate() {
            for j in 0..layer.rows() {
                weights.extend(next(l + 1, (j < layer.inputs).then_some(j), layer.outputs)?);
            }
        }
        if row != table.num_rows() {
            return Err(refuse("there are more rows than weights"));
        }
        Ok(NeuralNetworkModel::new(weights, standardization, attributes))
    }
}
