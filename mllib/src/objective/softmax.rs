//! `Σ_i -log softmax(W'x_i + b)[y_i]`: multinomial logistic regression with one vector of weights a class.
//!
//! Weights of one column lie together (`j k + c`), so a stored value touches `k` neighbouring numbers instead of `k`
//! far ones. The parametrisation is the full one (`k` vectors, not `k - 1`): without a penalty the minimiser is unique
//! only up to a shift of all classes.
//!
//! # Cost
//! A row is read once a sweep. The memory is the probabilities, `8 k` bytes a row.
//!
//! # References
//! Hessian: `∂²/∂W_c∂W_e = Σ_i p_c (δ_ce - p_e) x_i x_i'` (Böhning 1992).

use super::kernel::{RowKernel, Target};
use crate::linalg::dense;
use slackwater_dataflow::block::{LabeledBlock, Row};

/// Sums minus the log-likelihood of a multinomial model over rows.
#[derive(Debug, Clone)]
pub struct SoftmaxKernel {
    target: Target,
    classes: usize,
    columns: usize,
    intercept: bool,
}

/// Replaces margins by `exp(z_c) / Σ exp(z_e)`; returns `log Σ exp(z_e)`, without overflow.
pub fn softmax(z: &mut [f64]) -> f64 {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for z in z.iter_mut() {
        *z = (*z - largest).exp();
        sum += *z;
    }
    z.iter_mut().for_each(|z| *z /= sum);
    largest + sum.ln()
}

impl SoftmaxKernel {
    /// For rows of at most `columns` columns and labels among `classes` (ascending); with intercepts there is one more
    /// weight a class.
    pub fn new(classes: &[f64], columns: usize, intercept: bool) -> Self {
        SoftmaxKernel { target: Target::Class(classes.into()), classes: classes.len(), columns, intercept }
    }
    /// `z = W'x + b`.
    fn margins(&self, row: Row<'_>, w: &[f64], z: &mut [f64]) {
        let k = self.classes;
        z.fill(0.0);
        for (j, x) in row.indices.iter().zip(row.values) {
            let of_column = &w[*j as usize * k..][..k];
            z.iter_mut().zip(of_column).for_each(|(z, w)| *z += x * w);
        }
        if self.intercept {
            dense::add(&w[self.columns * k..], z);
        }
    }
    /// `out += x a'`.
    fn add(&self, a: &[f64], row: Row<'_>, out: &mut [f64]) {
        let k = self.classes;
        for (j, x) in row.indices.iter().zip(row.values) {
            let of_column = &mut out[*j as usize * k..][..k];
            of_column.iter_mut().zip(a).for_each(|(o, a)| *o += x * a);
        }
        if self.intercept {
            dense::add(a, &mut out[self.columns * k..][..k]);
        }
    }
}

impl RowKernel for SoftmaxKernel {
    fn columns(&self) -> usize {
        self.columns
    }
    fn outputs(&self) -> usize {
        self.classes
    }
    fn has_intercept(&self) -> bool {
        self.intercept
    }
    fn evaluate(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>) -> Vec<f64> {
        let n = self.dimension();
        let mut out = vec![0.0; n + 1];
        let mut z = vec![0.0; self.classes];
        memory.clear();
        for (label, row) in blocks.iter().flat_map(LabeledBlock::iter) {
            let class = self.target.of(label) as usize;
            self.margins(row, w, &mut z);
            let own = z[class];
            out[n] += softmax(&mut z) - own;
            memory.extend_from_slice(&z);
            z[class] -= 1.0;
            self.add(&z, row, &mut out[..n]);
        }
        out
    }
    fn remember(&self, blocks: &[LabeledBlock], w: &[f64], memory: &mut Vec<f64>) {
        memory.clear();
        let mut z = vec![0.0; self.classes];
        for (_, row) in blocks.iter().flat_map(LabeledBlock::iter) {
            self.margins(row, w, &mut z);
            softmax(&mut z);
            memory.extend_from_slice(&z);
        }
    }
    fn hessian_vector(&self, blocks: &[LabeledBlock], memory: &[f64], v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.dimension()];
        let mut z = vec![0.0; self.classes];
        let rows = blocks.iter().flat_map(LabeledBlock::iter);
        for ((_, row), p) in rows.zip(memory.chunks_exact(self.classes)) {
            self.margins(row, v, &mut z);
            let mean: f64 = z.iter().zip(p).map(|(z, p)| z * p).sum();
            z.iter_mut().zip(p).for_each(|(z, p)| *z = p * (*z - mean));
            self.add(&z, row, &mut out);
        }
        out
    }
    fn diagonal(&self, blocks: &[LabeledBlock], memory: &[f64], border: bool) -> Vec<f64> {
        let (n, k) = (self.dimension(), self.classes);
        let mut out = vec![0.0; if border { 2 * n } else { n }];
        let (diagonal, borders) = out.split_at_mut(n);
        let mut curvature = vec![0.0; k];
        let rows = blocks.iter().flat_map(LabeledBlock::iter);
        for ((_, row), p) in rows.zip(memory.chunks_exact(k)) {
            curvature.iter_mut().zip(p).for_each(|(c, p)| *c = p * (1.0 - p));
            for (j, x) in row.indices.iter().zip(row.values) {
                let of_column = &mut diagonal[*j as usize * k..][..k];
                of_column.iter_mut().zip(&curvature).for_each(|(d, c)| *d += c * x * x);
            }
            if self.intercept {
                dense::add(&curvature, &mut diagonal[self.columns * k..]);
            }
            if border {
                self.add(&curvature, row, borders);
            }
        }
        out
    }
}
