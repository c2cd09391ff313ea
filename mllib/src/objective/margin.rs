//! Losses of one margin: `loss(x'w + b, y)`.
//!
//! # Cost
//! A row is read from memory once a sweep: its inner product and its contribution to the sum follow each other while
//! it is in the first-level cache. The memory is the second derivative of each row's loss, 8 bytes a row.

use super::kernel::{RowKernel, Target};
use super::loss::Loss;
use crate::linalg::sparse;
use slackwater_dataflow::block::{LabeledBlock, Row};

/// Sums a loss of one margin over rows.
#[derive(Debug, Clone)]
pub struct MarginKernel<L> {
    loss: L,
    target: Target,
    columns: usize,
    intercept: bool,
}

impl<L: Loss> MarginKernel<L> {
    /// For rows of at most `columns` columns whose labels become what `target` says; with an intercept there is one
    /// weight more.
    pub fn new(loss: L, target: Target, columns: usize, intercept: bool) -> Self {
        MarginKernel { loss, target, columns, intercept }
    }
    /// The margin of a row: the last weight is the intercept, if there is one.
    #[inline]
    fn margin(&self, row: Row<'_>, w: &[f64]) -> f64 {
        let z = sparse::dot(row, w);
        if self.intercept { z + w[self.columns] } else { z }
    }
    /// Adds `a x` to a vector of the shape of the weights.
    #[inline]
    fn add(&self, a: f64, row: Row<'_>, out: &mut [f64]) {
        sparse::axpy(a, row, out);
        if self.intercept {
            out[self.columns] += a;
        }
    }
}

impl<L: Loss> RowKernel for MarginKernel<L> {
    fn columns(&self) -> usize {
        self.columns
    }
    fn outputs(&self) -> usize {
        1
    }
    fn has_intercept(&self) -> bool {
        self.intercept
    }
    fn evaluate(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>) -> Vec<f64> {
        let mut out = vec![0.0; self.dimension() + 1];
        let (gradient, value) = out.split_at_mut(self.dimension());
        memory.clear();
        for (label, row) in blocks.iter().flat_map(LabeledBlock::iter) {
            let at = self.loss.at(self.margin(row, w), self.target.of(label));
            value[0] += at.value;
            memory.push(at.second);
            if at.first != 0.0 {
                self.add(at.first, row, gradient);
            }
        }
        out
    }
    fn remember(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>) {
        let rows = blocks.iter().flat_map(LabeledBlock::iter);
        memory.clear();
        memory.extend(rows.map(|(y, x)| self.loss.second_derivative(self.margin(x, w), self.target.of(y))));
    }
    fn hessian_vector(&self, blocks: &[LabeledBlock], memory: &[f64], v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.dimension()];
        for ((_, row), curvature) in blocks.iter().flat_map(LabeledBlock::iter).zip(memory) {
            if *curvature != 0.0 {
                self.add(curvature * self.margin(row, v), row, &mut out);
            }
        }
        out
    }
    fn diagonal(&self, blocks: &[LabeledBlock], memory: &[f64], border: bool) -> Vec<f64> {
        let n = self.dimension();
        let mut out = vec![0.0; if border { 2 * n } else { n }];
        let (diagonal, borders) = out.split_at_mut(n);
        for ((_, row), curvature) in blocks.iter().flat_map(LabeledBlock::iter).zip(memory) {
            if *curvature == 0.0 {
                continue;
            }
            sparse::axpy_squared(*curvature, row, diagonal);
            if self.intercept {
                diagonal[self.columns] += curvature;
            }
            if border {
                self.add(*curvature, row, borders);
            }
        }
        out
    }
}
