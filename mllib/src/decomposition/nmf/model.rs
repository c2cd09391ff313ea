//! The components, and what rows are made of.

use super::NmfParams;
use crate::decomposition::AlternationSummary;
use crate::decomposition::basis::{Basis, Price};
use crate::decomposition::sparse_coding::CodingMetrics;
use crate::linear::Features;
use crate::model::{Persist, matrix_of, matrix_table};
use crate::objective::DatasetRows;
use arrow_array::RecordBatch;
use arrow_array::types::Float64Type;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::CsrBlock;
use slackwater_dataflow::{Error, Result};

/// What is stored beside the components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) params: NmfParams,
    pub(super) summary: AlternationSummary,
}

/// Components of at least 0, of which rows are sums.
#[derive(Debug, Clone)]
pub struct NmfModel {
    basis: Basis,
    attributes: Attributes,
}

impl PartialEq for NmfModel {
    fn eq(&self, other: &Self) -> bool {
        self.components() == other.components() && self.attributes == other.attributes
    }
}

impl NmfModel {
    pub(super) fn new(components: Vec<f64>, attributes: Attributes) -> Self {
        let NmfParams { l1_codes: l1, l2_codes: l2, .. } = attributes.params;
        let basis = Basis::new(components, attributes.columns, Price { l1, l2, non_negative: true });
        NmfModel { basis, attributes }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.basis.columns()
    }
    /// Number of components.
    pub fn rank(&self) -> usize {
        self.basis.rank()
    }
    /// The components, row by row, `columns` values each.
    pub fn components(&self) -> &[f64] {
        self.basis.components()
    }
    /// The codes of a row, one number of at least 0 a component: the best ones for the components as they are. Columns that the model does
    /// not know are left out.
    pub fn transform(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        self.basis.transform(row)
    }
    /// Calls `f` with the codes of every row, in order.
    pub fn for_each(&self, rows: &CsrBlock, f: impl FnMut(&[f64])) {
        self.basis.for_each(rows, f);
    }
    /// What the components make of codes: `uV`, a number a column.
    ///
    /// # Panics
    /// If there is not one code a component.
    pub fn reconstruct(&self, codes: &[f64]) -> Vec<f64> {
        self.basis.reconstruct(codes)
    }
    /// How well the components fit rows, with the best codes. Collective.
    ///
    /// # Errors
    /// Input, if there are no rows; what the engine reports.
    pub fn metrics(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        self.basis.metrics(rows)
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &NmfParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &AlternationSummary {
        &self.attributes.summary
    }
}

/// What rows of the table are called.
const COMPONENT: &str = "component";

impl Persist for NmfModel {
    const ALGORITHM: &'static str = "nmf";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every component.
    fn table(&self) -> RecordBatch {
        matrix_table::<Float64Type>(COMPONENT, self.components(), self.columns())
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let (rank, columns) = (attributes.params.rank, attributes.columns);
        if rank == 0 || columns == 0 {
            return Err(Error::input("the components do not fit: there are none, or they are empty", ""));
        }
        Ok(NmfModel::new(matrix_of::<Float64Type>(table, COMPONENT, rank, columns)?, attributes))
    }
}
