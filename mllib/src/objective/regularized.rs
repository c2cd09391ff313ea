//! The objective of a linear model: scaled losses plus a penalty, on raw or standardised columns.

use super::Objective;
use super::kernel::RowKernel;
use super::loss_sum::LossSum;
use super::penalty::Penalty;
use super::standardization::Standardization;
use super::sweep::Sweep;
use slackwater_dataflow::Result;

/// `a Σ_i loss + penalty(w)`; see the [module](super) for the scalings.
#[derive(Debug)]
pub struct Regularized<S, K> {
    losses: LossSum<S, K>,
    factor: f64,
    /// Coefficient of `w_j²/2`.
    squared: Vec<f64>,
    /// Coefficient of `|w_j|`, if there is such a part.
    absolute: Option<Vec<f64>>,
    standardization: Option<Standardization>,
}

impl<S: Sweep, K: RowKernel> Regularized<S, K> {
    /// `factor` times the sum of losses over `rows`, plus `penalty`.
    pub fn new(rows: S, kernel: K, factor: f64, penalty: &Penalty) -> Self {
        let (d, k, n) = (kernel.columns(), kernel.outputs(), kernel.dimension());
        Regularized {
            squared: penalty.squared_part(d, k, n),
            absolute: penalty.has_l1().then(|| penalty.absolute_part(d, k, n)),
            losses: LossSum::new(rows, kernel),
            factor,
            standardization: None,
        }
    }
    /// Weights are those of standardised columns; the penalty applies to them.
    pub fn standardized(mut self, standardization: Standardization) -> Self {
        let kernel = self.losses.kernel();
        assert_eq!(standardization.columns(), kernel.columns(), "a standardisation of other columns");
        assert!(kernel.has_intercept() || !standardization.shifts(), "shifted columns need an intercept");
        self.standardization = Some(standardization);
        self
    }
    /// The coefficients of raw columns for the weights that a solver found.
    pub fn raw_weights(&self, mut w: Vec<f64>) -> Vec<f64> {
        if let Some(s) = &self.standardization {
            s.to_raw(&mut w, self.losses.kernel().outputs());
        }
        w
    }
    fn gradient_of(&self, out: &mut [f64]) {
        if let Some(s) = &self.standardization {
            s.gradient(out, self.losses.kernel().outputs());
        }
    }
}

impl<S: Sweep, K: RowKernel> Objective for Regularized<S, K> {
    fn dimension(&self) -> usize {
        self.losses.kernel().dimension()
    }
    fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> Result<f64> {
        let losses = match &self.standardization {
            None => self.losses.value_and_gradient(w, gradient)?,
            Some(_) => {
                let raw = self.raw_weights(w.to_vec());
                let value = self.losses.value_and_gradient(&raw, gradient)?;
                self.gradient_of(gradient);
                value
            }
        };
        let mut penalty = 0.0;
        for ((g, w), s) in gradient.iter_mut().zip(w).zip(&self.squared) {
            *g = self.factor * *g + s * w;
            penalty += s * w * w;
        }
        Ok(self.factor * losses + 0.5 * penalty)
    }
    fn hessian_vector(&mut self, v: &[f64], out: &mut [f64]) -> Result<()> {
        match &self.standardization {
            None => self.losses.hessian_vector(v, out)?,
            Some(_) => {
                let raw = self.raw_weights(v.to_vec());
                self.losses.hessian_vector(&raw, out)?;
                self.gradient_of(out);
            }
        }
        for ((h, v), s) in out.iter_mut().zip(v).zip(&self.squared) {
            *h = self.factor * *h + s * v;
        }
        Ok(())
    }
    fn hessian_diagonal(&mut self, out: &mut [f64]) -> Result<()> {
        let outputs = self.losses.kernel().outputs();
        match &self.standardization {
            None => self.losses.hessian_diagonal(out, None)?,
            Some(s) => {
                let mut border = vec![0.0; out.len()];
                self.losses.hessian_diagonal(out, Some(&mut border))?;
                s.diagonal(out, &border, outputs);
            }
        }
        for (h, s) in out.iter_mut().zip(&self.squared) {
            *h = self.factor * *h + s;
            // A column without values and without penalty: any positive number keeps the preconditioner definite.
            if *h <= 0.0 {
                *h = 1.0;
            }
        }
        Ok(())
    }
    fn l1(&self) -> Option<Vec<f64>> {
        self.absolute.clone()
    }
}
