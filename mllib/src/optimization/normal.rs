//! Normal equations: least squares with an L2 penalty, solved directly.
//!
//! # Problem
//! `min 1/2 Σ_i (x_i'w + b - y_i)² + 1/2 Σ_j r_j w_j²`, the intercept free. The penalty is given after the sums are
//! known ([`GramSums`]), since it may depend on them (standardisation).
//!
//! # Stopping rule
//! None: one sweep and a Cholesky factorisation.
//!
//! # Cost
//! `Σ_i nnz_i²/2` multiplications in the sweep; `d²/2` numbers a partition come back, so `d` is limited to
//! [`cholesky::DIMENSION_MAX`].
//!
//! # Errors
//! Numerical, if columns are collinear and not penalised.
//!
//! # References
//! Spark 4, `ml.optim.WeightedLeastSquares`. The intercept is eliminated by centring the sums, not the data.

use crate::linalg::cholesky::{self, Cholesky, packed_row};
use crate::linalg::dense::{add, dot};
use crate::objective::{Sweep, check_width};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result};

/// `X'X`, `X'y` and the sums of columns and labels over rows; mergeable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GramSums {
    columns: usize,
    rows: f64,
    /// Lower triangle of `X'X`, packed by rows.
    gram: Vec<f64>,
    /// `X'y`.
    cross: Vec<f64>,
    /// Sums of columns.
    sums: Vec<f64>,
    labels: f64,
    squared_labels: f64,
}

impl GramSums {
    /// Sums over all rows, in one sweep.
    ///
    /// # Errors
    /// Config, if there are more than [`cholesky::DIMENSION_MAX`] columns; what the sweep reports.
    pub fn new<S: Sweep>(rows: &S, columns: usize) -> Result<GramSums> {
        if columns > cholesky::DIMENSION_MAX {
            return Err(Error::config(
                "solver",
                format!(
                    "`normal` takes at most {} columns, not {columns}: use `lbfgs`",
                    cholesky::DIMENSION_MAX
                ),
            ));
        }
        let sums = rows.fold(
            move |_, blocks| {
                check_width(blocks, columns)?;
                let mut sums = GramSums::empty(columns);
                blocks.iter().for_each(|b| sums.push(b));
                Ok(sums)
            },
            GramSums::merge,
        )?;
        Ok(sums.unwrap_or_else(|| GramSums::empty(columns)))
    }
    fn empty(columns: usize) -> Self {
        GramSums {
            columns,
            rows: 0.0,
            gram: vec![0.0; packed_row(columns)],
            cross: vec![0.0; columns],
            sums: vec![0.0; columns],
            labels: 0.0,
            squared_labels: 0.0,
        }
    }
    fn push(&mut self, block: &LabeledBlock) {
        for (y, row) in block.iter() {
            self.rows += 1.0;
            self.labels += y;
            self.squared_labels += y * y;
            for (k, (i, x)) in row.indices.iter().zip(row.values).enumerate() {
                let i = *i as usize;
                self.cross[i] += x * y;
                self.sums[i] += x;
                let products = &mut self.gram[packed_row(i)..=packed_row(i) + i];
                for (j, other) in row.indices[..=k].iter().zip(&row.values[..=k]) {
                    products[*j as usize] += x * other;
                }
            }
        }
    }
    fn merge(mut self, other: GramSums) -> GramSums {
        self.rows += other.rows;
        self.labels += other.labels;
        self.squared_labels += other.squared_labels;
        add(&other.gram, &mut self.gram);
        add(&other.cross, &mut self.cross);
        add(&other.sums, &mut self.sums);
        self
    }
    /// `Σ (x'w + b - y)²`, from the sums; never negative.
    pub fn squared_error(&self, w: &[f64], b: f64) -> f64 {
        let mut quadratic = 0.0;
        for (i, wi) in w.iter().enumerate() {
            let row = &self.gram[packed_row(i)..=packed_row(i) + i];
            quadratic += wi * (2.0 * dot(&row[..i], &w[..i]) + row[i] * wi);
        }
        let linear = b * dot(&self.sums, w) - dot(&self.cross, w) - b * self.labels;
        (quadratic + 2.0 * linear + self.rows * b * b + self.squared_labels).max(0.0)
    }
    /// Solves for weights with penalties `r_j`, and the intercept (0 without one).
    ///
    /// # Errors
    /// Numerical, if the matrix is singular.
    pub fn solve(&self, penalties: &[f64], intercept: bool) -> Result<(Vec<f64>, f64)> {
        assert_eq!(penalties.len(), self.columns, "one penalty a column");
        let (mut matrix, mut w) = (self.gram.clone(), self.cross.clone());
        if intercept {
            for i in 0..self.columns {
                let mean = self.sums[i] / self.rows;
                w[i] -= mean * self.labels;
                let row = &mut matrix[packed_row(i)..=packed_row(i) + i];
                row.iter_mut().zip(&self.sums).for_each(|(m, s)| *m -= mean * s);
            }
        }
        for (i, r) in penalties.iter().enumerate() {
            matrix[packed_row(i) + i] += r;
        }
        Cholesky::new(matrix, self.columns)?.solve(&mut w);
        let b = if intercept { (self.labels - dot(&self.sums, &w)) / self.rows } else { 0.0 };
        Ok((w, b))
    }
}
