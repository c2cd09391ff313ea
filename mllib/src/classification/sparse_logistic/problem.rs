//! The loss by rows, the best intercept, and points of the dual.

use crate::linalg::dense;
use crate::objective::{Logistic, Loss};
use crate::regression::lasso::problem::{DualPoint, Problem};

/// Newton steps that look for the best intercept, at most.
const INTERCEPT_STEPS_MAX: usize = 100;
/// The intercept moves by as much in one of them at most.
const INTERCEPT_STEP_MAX: f64 = 4.0;
/// The sums of residuals of both classes are the same if they differ by less than this part.
const BALANCED: f64 = 1e-15;

/// Which class each row has.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// -1 or +1.
    pub signs: Vec<f64>,
    /// There is an intercept.
    pub intercept: bool,
}

/// What some weights make of the rows.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// The best one.
    pub intercept: f64,
    /// By row: the probability of the class that it does not have.
    pub misses: Vec<f64>,
    /// By row: the second derivative of the loss.
    pub curvatures: Vec<f64>,
    /// Sum of `log(1 + exp(-y z))`.
    pub loss: f64,
}

/// `-a log a - (1 - a) log(1 - a)`.
fn entropy(a: f64) -> f64 {
    let part = |x: f64, log: f64| if x > 0.0 { -x * log } else { 0.0 };
    part(a, a.ln()) + part(1.0 - a, (-a).ln_1p())
}

impl Rows {
    /// Without any weights.
    pub fn null(&self) -> Point {
        self.at(&vec![0.0; self.signs.len()], 0.0)
    }
    /// Where rows have the margins `linear` but for the intercept, which is looked for from `near` on.
    pub fn at(&self, linear: &[f64], near: f64) -> Point {
        let intercept = if self.intercept { self.best_intercept(linear, near) } else { 0.0 };
        let n = linear.len();
        let (mut misses, mut curvatures, mut loss) = (Vec::with_capacity(n), Vec::with_capacity(n), 0.0);
        for (y, z) in self.signs.iter().zip(linear) {
            let at = Logistic.at(y * (z + intercept), 1.0);
            misses.push(-at.first);
            curvatures.push(at.second);
            loss += at.value;
        }
        Point { intercept, misses, curvatures, loss }
    }
    /// Newton's method for the zero of the sum of residuals, which falls as the intercept grows, within what is known of it.
    fn best_intercept(&self, linear: &[f64], near: f64) -> f64 {
        let (mut low, mut high, mut at) = (f64::NEG_INFINITY, f64::INFINITY, near);
        for _ in 0..INTERCEPT_STEPS_MAX {
            let (mut below, mut above, mut curvature) = (0.0, 0.0, 0.0);
            for (y, z) in self.signs.iter().zip(linear) {
                let row = Logistic.at(y * (z + at), 1.0);
                *(if *y > 0.0 { &mut above } else { &mut below }) -= row.first;
                curvature += row.second;
            }
            let slope: f64 = above - below;
            if slope.abs() <= BALANCED * (above + below) {
                break;
            }
            (low, high) = if slope > 0.0 { (at, high) } else { (low, at) };
            let step = (slope / curvature).clamp(-INTERCEPT_STEP_MAX, INTERCEPT_STEP_MAX);
            let mut next = at + step;
            if !(next > low && next < high) {
                next = 0.5 * (low + high);
            }
            if next == at || !next.is_finite() {
                break;
            }
            at = next;
        }
        at
    }
    /// Minus the gradient of the loss by rows; with an intercept its sum is zero.
    pub fn residual(&self, point: &Point) -> Vec<f64> {
        let (mut above, mut below) = (1.0, 1.0);
        if self.intercept {
            let sum = |positive: bool| -> f64 {
                let of_class = self.signs.iter().zip(&point.misses).filter(|(y, _)| (**y > 0.0) == positive);
                of_class.map(|(_, a)| a).sum()
            };
            let (positive, negative) = (sum(true), sum(false));
            match positive > negative {
                true => above = negative / positive,
                false => below = positive / negative,
            }
        }
        let of_row = |(y, a): (&f64, &f64)| if *y > 0.0 { a * above } else { -a * below };
        self.signs.iter().zip(&point.misses).map(of_row).collect()
    }
    /// The residual `r` of `weights` times what makes it feasible, if `largest` is the largest absolute product of a column with
    /// the augmented residual.
    pub fn dual(&self, problem: &Problem, r: &[f64], weights: &[f64], largest: f64) -> DualPoint {
        let scale = if largest > problem.alpha { problem.alpha / largest } else { 1.0 };
        let entropies: f64 = r.iter().map(|r| entropy(scale * r.abs())).sum();
        let ridge = if problem.mu > 0.0 { 0.5 * problem.mu * dense::dot(weights, weights) } else { 0.0 };
        DualPoint { scale, value: entropies - scale * scale * ridge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_intercept_balances_classes() {
        let signs = vec![1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0];
        let rows = Rows { signs, intercept: true };
        let point = rows.null();
        assert!((point.intercept - (2.0f64 / 5.0).ln()).abs() < 1e-15, "{point:?}");
        // Far off, where probabilities are 0 and 1 to the last bit, and where they are not.
        for linear in [[0.0, 800.0, -900.0, 30.0, 5.0, -60.0, 1e4], [3.0, -1.0, 0.5, 0.1, -7.0, 2.0, 1.0]] {
            for near in [0.0, 300.0, -300.0] {
                let point = rows.at(&linear, near);
                let loss = |b: f64| -> f64 {
                    let z = rows.signs.iter().zip(&linear).map(|(y, z)| -y * (z + b));
                    z.map(|z| if z > 30.0 { z } else { z.exp().ln_1p() }).sum()
                };
                for moved in [-1e-3, 1e-3] {
                    let there = loss(point.intercept + moved);
                    assert!(point.loss <= there * (1.0 + 1e-12), "{linear:?} {near}: {point:?} {there}");
                }
                let r = rows.residual(&point);
                let sum: f64 = r.iter().sum();
                assert!(sum.abs() <= 1e-15 * dense::norm1(&r), "{sum}");
            }
        }
    }

    /// One column: the gap closes at the optimum, and nowhere else.
    #[test]
    fn the_gap_closes_at_the_optimum() {
        let x = [1.0, -1.0, 0.5, -0.5];
        let rows = Rows { signs: vec![1.0, -1.0, 1.0, 1.0], intercept: false };
        for mu in [0.0, 0.3] {
            let problem = Problem { alpha: 0.2, mu };
            let slope = |b: f64| -> f64 {
                let a = x.iter().zip(&rows.signs).map(|(x, y)| -x * Logistic.at(x * b, *y).first);
                a.sum::<f64>() - mu * b - problem.alpha
            };
            let (mut low, mut high) = (0.0, 100.0);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                *(if slope(middle) > 0.0 { &mut low } else { &mut high }) = middle;
            }
            let gap = |b: f64| {
                let point = rows.at(&x.map(|x| x * b), 0.0);
                let r = rows.residual(&point);
                let product: f64 = x.iter().zip(&r).map(|(x, r)| x * r).sum();
                let dual = rows.dual(&problem, &r, &[b], (product - mu * b).abs());
                point.loss + problem.penalty(&[b]) - dual.value
            };
            assert!(gap(low).abs() < 1e-14, "{} at {low}", gap(low));
            assert!(gap(0.9 * low) > 1e-5 && gap(1.1 * low) > 1e-5 && gap(0.0) > 1e-2);
        }
    }
}
