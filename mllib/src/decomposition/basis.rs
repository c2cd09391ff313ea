//! Components of which rows are combinations, and the exact codes of rows for them.

use super::lasso::Lasso;
use super::sparse_coding::CodingMetrics;
use crate::linalg::dense::axpy;
use crate::linear::Features;
use crate::objective::DatasetRows;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{CsrBlock, LabeledBlock};
use slackwater_dataflow::{Error, Result};
use std::sync::{Arc, OnceLock};

/// What codes cost, and what they may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Price {
    pub l1: f64,
    pub l2: f64,
    pub non_negative: bool,
}

/// Components, and what coding needs. Cloning clones a handle.
#[derive(Debug, Clone)]
pub(super) struct Basis {
    /// Row by row.
    components: Arc<Vec<f64>>,
    columns: usize,
    price: Price,
    /// Made when the first row is coded.
    tools: OnceLock<Arc<Tools>>,
}

#[derive(Debug)]
struct Tools {
    /// Column by column, a value a component.
    by_column: Vec<f64>,
    lasso: Lasso,
}

impl Basis {
    /// # Panics
    /// If the components do not have `columns` values each.
    pub fn new(components: Vec<f64>, columns: usize, price: Price) -> Self {
        assert!(columns > 0 && components.len().is_multiple_of(columns), "a component has {columns} values");
        Basis { components: Arc::new(components), columns, price, tools: OnceLock::new() }
    }
    pub fn columns(&self) -> usize {
        self.columns
    }
    pub fn rank(&self) -> usize {
        self.components.len() / self.columns
    }
    pub fn components(&self) -> &[f64] {
        &self.components
    }
    fn tools(&self) -> &Tools {
        self.tools.get_or_init(|| {
            let (rank, columns) = (self.rank(), self.columns);
            let mut by_column = vec![0.0; self.components.len()];
            for (j, component) in self.components.chunks_exact(columns).enumerate() {
                by_column.iter_mut().skip(j).step_by(rank).zip(component).for_each(|(to, v)| *to = *v);
            }
            let mut gram = vec![0.0; rank * rank];
            for of_column in by_column.chunks_exact(rank) {
                for (v, row) in of_column.iter().zip(gram.chunks_exact_mut(rank)) {
                    axpy(*v, of_column, row);
                }
            }
            gram.iter_mut().step_by(rank + 1).for_each(|diagonal| *diagonal += self.price.l2);
            let lasso = Lasso::new(gram, self.price.l1, self.price.non_negative);
            Arc::new(Tools { by_column, lasso })
        })
    }
    pub fn transform(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        let mut coder = Coder::new(self);
        coder.code(row);
        coder.codes
    }
    pub fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(&[f64])) {
        let mut coder = Coder::new(self);
        for row in rows.iter() {
            coder.code(&row);
            f(&coder.codes);
        }
    }
    pub fn reconstruct(&self, codes: &[f64]) -> Vec<f64> {
        assert_eq!(codes.len(), self.rank(), "a code a component");
        let mut row = vec![0.0; self.columns];
        let used = self.components.chunks_exact(self.columns).zip(codes).filter(|(_, u)| **u != 0.0);
        used.for_each(|(component, u)| axpy(*u, component, &mut row));
        row
    }
    pub fn metrics(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        let basis = self.clone();
        let of_partitions = rows.map(move |_, blocks| basis.metrics_of(blocks));
        let metrics = of_partitions.reduce(CodingMetrics::merge)?.filter(|metrics| metrics.rows > 0);
        metrics.ok_or_else(|| Error::input("there are no rows to measure on", ""))
    }
    fn metrics_of(&self, blocks: &[LabeledBlock]) -> CodingMetrics {
        let (mut coder, Price { l1, l2, .. }) = (Coder::new(self), self.price);
        let mut metrics = CodingMetrics { uses: vec![0; self.rank()], ..CodingMetrics::default() };
        for block in blocks {
            metrics.columns = metrics.columns.max(block.features.columns());
            for row in block.features.iter() {
                let (square, residual) = coder.code(&row);
                metrics.rows += 1;
                metrics.square += square;
                metrics.residual += residual;
                metrics.objective += 0.5 * residual;
                for (u, uses) in coder.codes.iter().zip(&mut metrics.uses).filter(|(u, _)| **u != 0.0) {
                    metrics.objective += l1 * u.abs() + 0.5 * l2 * u * u;
                    metrics.codes += 1;
                    *uses += 1;
                }
            }
        }
        metrics
    }
}

/// Codes rows, one after the other.
struct Coder<'b> {
    basis: &'b Basis,
    products: Vec<f64>,
    codes: Vec<f64>,
}

impl<'b> Coder<'b> {
    fn new(basis: &'b Basis) -> Self {
        Coder { basis, products: vec![0.0; basis.rank()], codes: vec![0.0; basis.rank()] }
    }
    /// Codes a row; returns `‖x‖²` and `‖x - uV‖²`, of the columns that there are.
    fn code(&mut self, row: &(impl Features + ?Sized)) -> (f64, f64) {
        let (tools, rank, mut square) = (self.basis.tools(), self.basis.rank(), 0.0);
        self.products.fill(0.0);
        row.for_each(|j, x| {
            if let Some(of_column) = tools.by_column.get(j * rank..(j + 1) * rank) {
                axpy(x, of_column, &mut self.products);
                square += x * x;
            }
        });
        let residual = tools.lasso.solve(&self.products, square, &mut self.codes);
        // What codes cost by their squares is in it.
        let of_codes: f64 = self.codes.iter().map(|u| u * u).sum();
        (square, (residual - self.basis.price.l2 * of_codes).max(0.0))
    }
}
