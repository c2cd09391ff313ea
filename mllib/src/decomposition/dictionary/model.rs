//! The learnt atoms.

use super::DictionaryParams;
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

/// What is stored beside the atoms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) params: DictionaryParams,
    pub(super) summary: AlternationSummary,
}

/// Atoms of which rows are combinations of a few.
#[derive(Debug, Clone)]
pub struct DictionaryModel {
    basis: Basis,
    attributes: Attributes,
}

impl PartialEq for DictionaryModel {
    fn eq(&self, other: &Self) -> bool {
        self.dictionary() == other.dictionary() && self.attributes == other.attributes
    }
}

impl DictionaryModel {
    pub(super) fn new(atoms: Vec<f64>, attributes: Attributes) -> Self {
        let DictionaryParams { lambda: l1, non_negative_codes: non_negative, .. } = attributes.params;
        let basis = Basis::new(atoms, attributes.columns, Price { l1, l2: 0.0, non_negative });
        DictionaryModel { basis, attributes }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.basis.columns()
    }
    /// Number of atoms.
    pub fn atoms(&self) -> usize {
        self.basis.rank()
    }
    /// The atoms, row by row, `columns` values each.
    pub fn dictionary(&self) -> &[f64] {
        self.basis.components()
    }
    /// The codes of a row, one number an atom, most of them 0: exact ones, whatever those of training were. Columns that
    /// the model does not know are left out.
    pub fn transform(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        self.basis.transform(row)
    }
    /// Calls `f` with the codes of every row, in order.
    pub fn for_each(&self, rows: &CsrBlock, f: impl FnMut(&[f64])) {
        self.basis.for_each(rows, f);
    }
    /// What the atoms make of codes: `uV`, a number a column.
    ///
    /// # Panics
    /// If there is not one code an atom.
    pub fn reconstruct(&self, codes: &[f64]) -> Vec<f64> {
        self.basis.reconstruct(codes)
    }
    /// How well the atoms fit rows, with the best codes. Collective.
    ///
    /// # Errors
    /// Input, if there are no rows; what the engine reports.
    pub fn metrics(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        self.basis.metrics(rows)
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &DictionaryParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &AlternationSummary {
        &self.attributes.summary
    }
}

/// What rows of the table are called.
const ATOM: &str = "atom";

impl Persist for DictionaryModel {
    const ALGORITHM: &'static str = "dictionary";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every atom.
    fn table(&self) -> RecordBatch {
        matrix_table::<Float64Type>(ATOM, self.dictionary(), self.columns())
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let (atoms, columns) = (attributes.params.atoms, attributes.columns);
        if atoms == 0 || columns == 0 {
            return Err(Error::input("the atoms do not fit: there are none, or they are empty", ""));
        }
        Ok(DictionaryModel::new(matrix_of::<Float64Type>(table, ATOM, atoms, columns)?, attributes))
    }
}
