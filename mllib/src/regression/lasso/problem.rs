//! The problem for one penalty, and points of its dual.

use super::working::square;
use crate::linalg::dense;

/// `1/2 |y - X b|² + alpha |b|₁ + mu/2 |b|²`: the problem times the number of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Problem {
    pub alpha: f64,
    pub mu: f64,
}

/// A feasible point of the dual: the residual of some weights, scaled.
///
/// With `u` the residual of the augmented lasso (rows `sqrt(mu) I` below the design, zeros below the targets), the dual is
/// `max y'u - 1/2 |u|²` where no `|x_j'u|` exceeds `alpha`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DualPoint {
    /// What the residual is multiplied by.
    pub scale: f64,
    /// The dual objective there.
    pub value: f64,
}

impl Problem {
    /// That of a penalty for `rows` rows.
    pub fn new(penalty: f64, l1_ratio: f64, rows: usize) -> Self {
        let n = rows as f64;
        Problem { alpha: n * penalty * l1_ratio, mu: n * penalty * (1.0 - l1_ratio) }
    }
    /// The objective at weights whose residual has the squared norm `square`.
    pub fn objective(&self, square: f64, weights: &[f64]) -> f64 {
        0.5 * square + self.penalty(weights)
    }
    /// What weights add to the loss.
    pub fn penalty(&self, weights: &[f64]) -> f64 {
        let ridge = if self.mu > 0.0 { 0.5 * self.mu * dense::dot(weights, weights) } else { 0.0 };
        self.alpha * dense::norm1(weights) + ridge
    }
}

impl DualPoint {
    /// The best multiple of the residual `r` of `weights` that is feasible, if `largest` is the largest absolute product of
    /// a column with the augmented residual.
    pub fn new(problem: &Problem, targets: &[f64], r: &[f64], weights: &[f64], largest: f64) -> Self {
        let mut norm = square(r);
        if problem.mu > 0.0 {
            norm += problem.mu * dense::dot(weights, weights);
        }
        let with_targets = dense::dot(targets, r);
        if norm == 0.0 {
            return DualPoint { scale: 0.0, value: 0.0 };
        }
        let limit = if largest > 0.0 { problem.alpha / largest } else { f64::INFINITY };
        let scale = (with_targets / norm).clamp(-limit, limit);
        DualPoint { scale, value: scale * with_targets - 0.5 * scale * scale * norm }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One column: everything is known.
    #[test]
    fn the_gap_closes_at_the_optimum() {
        let (y, x) = ([3.0, 4.0], [1.0, 0.0]);
        for mu in [0.0, 0.5] {
            let problem = Problem { alpha: 1.0, mu };
            let b = (3.0 - 1.0) / (1.0 + mu);
            let r = [y[0] - b * x[0], y[1]];
            let objective = problem.objective(square(&r), &[b]);
            let gradient: f64 = r[0] - mu * b;
            let point = DualPoint::new(&problem, &y, &r, &[b], gradient.abs());
            assert!((objective - point.value).abs() < 1e-14 && (gradient - 1.0).abs() < 1e-14);
            let point = DualPoint::new(&problem, &y, &y, &[0.0], 3.0);
            assert!(point.value < objective);
        }
    }
}
