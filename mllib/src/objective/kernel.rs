//! What is computed for the rows of one partition.

use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// `Σ_i loss(x_i'W + b, y_i)` over the rows of one partition, with derivatives.
///
/// Weights are laid out by column: the weight of column `j` and output `c` at `j k + c`, then `k` intercepts if there
/// are any. `k` is 1 for everything but multinomial models.
///
/// An evaluation leaves a *memory* of the partition's rows behind, from which products with the Hessian at the same
/// weights are computed without looking at the losses again.
pub trait RowKernel: Clone + Send + Sync + 'static {
    /// Number of columns, `d`.
    fn columns(&self) -> usize;
    /// Number of outputs, `k`.
    fn outputs(&self) -> usize;
    /// True if there are intercepts.
    fn has_intercept(&self) -> bool;
    /// Number of weights, `k (d + 1)` with intercepts or `k d` without.
    fn dimension(&self) -> usize {
        self.outputs() * (self.columns() + usize::from(self.has_intercept()))
    }
    /// The gradient and, after it, the value. `memory` is overwritten.
    fn evaluate(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>) -> Vec<f64>;
    /// The memory that [`evaluate`](RowKernel::evaluate) would leave, alone.
    fn remember(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>);
    /// `H v`.
    fn hessian_vector(&self, blocks: &[LabeledBlock], memory: &[f64], v: &[f64]) -> Vec<f64>;
    /// The diagonal of `H` and, after it if asked for, the entries of `H` between each weight and the intercept of its
    /// output (its border).
    fn diagonal(&self, blocks: &[LabeledBlock], memory: &[f64], border: bool) -> Vec<f64>;
}

/// Refuses rows that are wider than the weights.
pub(crate) fn check_width(blocks: &[LabeledBlock], columns: usize) -> Result<()> {
    match blocks.iter().map(|b| b.features.columns()).max() {
        Some(width) if width > columns => Err(Error::input(
            format!("the rows have {width} columns, but the weights {columns}"),
            "give the number of features when the data is read",
        )),
        _ => Ok(()),
    }
}

/// What a loss is given for a label.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The label itself.
    Value,
    /// `(label - shift) scale`: standardised targets of a regression.
    Affine {
        /// Subtracted first.
        shift: f64,
        /// Multiplied then.
        scale: f64,
    },
    /// +1 for this label, -1 for any other.
    Positive(f64),
    /// The index of the label in this ascending list.
    Class(Arc<[f64]>),
}

impl Target {
    /// What the loss is given. A label that is not among the classes panics: labels are checked before.
    #[inline]
    pub fn of(&self, label: f64) -> f64 {
        match self {
            Target::Value => label,
            Target::Affine { shift, scale } => (label - shift) * scale,
            Target::Positive(positive) => {
                if label == *positive {
                    1.0
                } else {
                    -1.0
                }
            }
            Target::Class(classes) => {
                // Adding 0 makes -0 and 0 one label.
                classes.binary_search_by(|c| c.total_cmp(&(label + 0.0))).expect("labels were checked") as f64
            }
        }
    }
}
