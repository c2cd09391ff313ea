//! Trust-region Newton method with preconditioned conjugate gradients (TRON).
//!
//! # Problem
//! `min f(w)` for a smooth convex `f` with a (generalised) Hessian that can be multiplied with vectors.
//!
//! # Stopping rule
//! `‖g‖ <= gradient_tolerance ‖g(0)‖`, or `gradient_norm_min` if that is larger; or neither the actual nor the predicted decrease is above rounding; or
//! `iterations_max`. The inner conjugate gradients end at the trust region's border, or when the last step's share of
//! the quadratic model's decrease, times the number of steps, is below `forcing` (Nash and Sofer 1990).
//!
//! # Cost
//! An iteration: one evaluation, one diagonal, one Hessian-vector product an inner step; 7 vectors.
//!
//! # References
//! Lin, Weng and Keerthi, *Trust region Newton method for large-scale logistic regression*, JMLR 9 (2008); Hsia, Zhu and
//! Lin, *A study on trust region update rules in Newton methods for large-scale linear classification*, ACML 2017; Hsia,
//! Chiang and Lin, *Preconditioned conjugate gradient methods in truncated Newton frameworks for large-scale linear
//! classification*, ACML 2018 (preconditioner `(1 - α) I + α diag(H)`).

use super::lbfgs::reference_gradient;
use super::report::{Observer, Report, Solution, Stop, require_finite};
use crate::linalg::dense::{axpy, dot, norm2, weighted_dot};
use crate::objective::Objective;
use slackwater_dataflow::Result;

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct Newton {
    /// Outer iterations at most.
    pub iterations_max: usize,
    /// Inner steps an iteration at most.
    pub inner_iterations_max: usize,
    /// Gradient norm, relative to that at zero weights, below which to stop.
    pub gradient_tolerance: f64,
    /// Gradient norm below which to stop in any case. Where `f` is 1-strongly convex (`1/2 w'w + …`),
    /// `sqrt(2 e)` guarantees an error of at most `e`.
    pub gradient_norm_min: f64,
    /// How exactly the inner problem is solved: smaller is more exact.
    pub forcing: f64,
    /// Share of the Hessian's diagonal in the preconditioner, `α` in [0, 1].
    pub preconditioning: f64,
}

impl Default for Newton {
    fn default() -> Self {
        Newton {
            iterations_max: 100,
            inner_iterations_max: 200,
            gradient_tolerance: 1e-4,
            gradient_norm_min: 0.0,
            forcing: 0.5,
            preconditioning: 1.0,
        }
    }
}

// A step is taken if it brings this share of the predicted decrease; the region grows or shrinks at the other shares.
const ETA: [f64; 3] = [1e-4, 0.25, 0.75];
// Least and largest factors of the region's radius.
const SIGMA: [f64; 3] = [0.25, 0.5, 4.0];
/// Decreases below this share of the objective are rounding.
const ROUNDING: f64 = 1e-12;

/// A step of the inner problem.
struct Inner {
    step: Vec<f64>,
    /// What is left of the gradient: `-g - H s`.
    residual: Vec<f64>,
    at_border: bool,
    iterations: usize,
}

impl Newton {
    /// Minimises from `w`.
    ///
    /// # Errors
    /// Numerical, if the objective is not finite at the start; what the objective reports.
    pub fn minimize(
        &self,
        objective: &mut impl Objective,
        mut w: Vec<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let n = objective.dimension();
        assert_eq!(w.len(), n, "a start of another dimension");
        let mut report = Report::new();
        let reference = reference_gradient(objective, &w, &mut report)?.map_or(0.0, |g| norm2(&g));
        let mut gradient = vec![0.0; n];
        let mut value = objective.value_and_gradient(&w, &mut gradient)?;
        report.evaluations += 1;
        let mut norm = norm2(&gradient);
        require_finite(value, norm)?;
        let target = (self.gradient_tolerance * reference.max(norm)).max(self.gradient_norm_min);
        let mut scale = self.preconditioner(objective, &mut report)?;
        let inverse_norm = |g: &[f64], m: &[f64]| g.iter().zip(m).map(|(g, m)| g * g / m).sum::<f64>().sqrt();
        let mut radius = inverse_norm(&gradient, &scale);
        if report.note(value, norm, &w, observer) {
            return Ok(report.finish(w, Stop::Observer));
        }
        loop {
            if norm <= target {
                return Ok(report.finish(w, Stop::Gradient));
            }
            if report.iterations >= self.iterations_max {
                return Ok(report.finish(w, Stop::IterationLimit));
            }
            let inner = self.solve_inner(objective, &gradient, &scale, radius)?;
            report.other_sweeps += inner.iterations;
            let mut new_w = w.clone();
            axpy(1.0, &inner.step, &mut new_w);
            let mut new_gradient = vec![0.0; n];
            let new_value = objective.value_and_gradient(&new_w, &mut new_gradient)?;
            report.evaluations += 1;
            let slope = dot(&gradient, &inner.step);
            let predicted = -0.5 * (slope - dot(&inner.step, &inner.residual));
            let actual = value - new_value;
            let length = weighted_dot(&inner.step, &scale, &inner.step).sqrt();
            if report.iterations == 0 {
                radius = radius.min(length);
            }
            radius = next_radius(radius, length, slope, actual, predicted, inner.at_border);
            let accepted = actual > ETA[0] * predicted;
            if accepted {
                (w, gradient, value) = (new_w, new_gradient, new_value);
                norm = norm2(&gradient);
                if norm > target {
                    scale = self.preconditioner(objective, &mut report)?;
                }
            } else {
                // The memory of the objective is that of the refused weights.
                value = objective.value_and_gradient(&w, &mut gradient)?;
                report.evaluations += 1;
            }
            if report.note(value, norm, &w, observer) {
                return Ok(report.finish(w, Stop::Observer));
            }
            let rounding = ROUNDING * value.abs();
            if predicted.is_nan() || predicted <= 0.0 || (actual.abs() <= rounding && predicted <= rounding) {
                return Ok(report.finish(w, Stop::NoProgress));
            }
        }
    }
    /// `(1 - α) I + α diag(H)` at the last weights.
    fn preconditioner(&self, objective: &mut impl Objective, report: &mut Report) -> Result<Vec<f64>> {
        let mut diagonal = vec![1.0; objective.dimension()];
        if self.preconditioning > 0.0 {
            objective.hessian_diagonal(&mut diagonal)?;
            report.other_sweeps += 1;
            let alpha = self.preconditioning;
            diagonal.iter_mut().for_each(|h| *h = (1.0 - alpha) + alpha * *h);
        }
        Ok(diagonal)
    }
    /// `min_s g's + 1/2 s'Hs` subject to `‖s‖_M <= radius`, approximately.
    fn solve_inner(
        &self,
        objective: &mut impl Objective,
        gradient: &[f64],
        scale: &[f64],
        radius: f64,
    ) -> Result<Inner> {
        let n = gradient.len();
        let mut step = vec![0.0; n];
        let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut z: Vec<f64> = residual.iter().zip(scale).map(|(r, m)| r / m).collect();
        let mut direction = z.clone();
        let mut product = vec![0.0; n];
        let (mut zr, mut model) = (dot(&z, &residual), 0.0);
        for iteration in 1..=self.inner_iterations_max.max(1) {
            objective.hessian_vector(&direction, &mut product)?;
            let curvature = dot(&direction, &product);
            let alpha = if curvature > 0.0 { zr / curvature } else { f64::INFINITY };
            let to_border = distance_to_border(&step, &direction, scale, radius);
            let at_border = alpha >= to_border;
            let alpha = alpha.min(to_border);
            axpy(alpha, &direction, &mut step);
            axpy(-alpha, &product, &mut residual);
            let new_model = -0.5 * (dot(&step, &residual) - dot(&step, gradient));
            let gain = new_model - model;
            let small =
                new_model <= 0.0 && gain <= 0.0 && iteration as f64 * gain >= self.forcing * new_model;
            if at_border || small || iteration == self.inner_iterations_max {
                return Ok(Inner { step, residual, at_border, iterations: iteration });
            }
            model = new_model;
            z.iter_mut().zip(&residual).zip(scale).for_each(|((z, r), m)| *z = r / m);
            let new_zr = dot(&z, &residual);
            let beta = new_zr / zr;
            direction.iter_mut().zip(&z).for_each(|(d, z)| *d = z + beta * *d);
            zr = new_zr;
        }
        unreachable!("the loop returns in its last round")
    }
}

/// The `t >= 0` with `‖s + t d‖_M = radius`.
fn distance_to_border(s: &[f64], d: &[f64], scale: &[f64], radius: f64) -> f64 {
    let (ss, sd, dd) = (weighted_dot(s, scale, s), weighted_dot(s, scale, d), weighted_dot(d, scale, d));
    let left = (radius * radius - ss).max(0.0);
    let root = (sd * sd + dd * left).sqrt();
    // The form that does not cancel.
    if sd >= 0.0 { left / (sd + root) } else { (root - sd) / dd }
}

/// The radius for the next iteration (Hsia et al. 2017, section 3: the interpolated factor `alpha`).
fn next_radius(radius: f64, length: f64, slope: f64, actual: f64, predicted: f64, at_border: bool) -> f64 {
    let excess = -actual - slope;
    let alpha = if excess <= 0.0 { SIGMA[2] } else { SIGMA[0].max(-0.5 * slope / excess) };
    let wish = alpha * length;
    if actual.is_nan() || actual < ETA[0] * predicted {
        wish.min(SIGMA[1] * radius)
    } else if actual < ETA[1] * predicted {
        (SIGMA[0] * radius).max(wish.min(SIGMA[1] * radius))
    } else if actual < ETA[2] * predicted {
        (SIGMA[0] * radius).max(wish.min(SIGMA[2] * radius))
    } else if at_border {
        SIGMA[2] * radius
    } else {
        radius.max(wish.min(SIGMA[2] * radius))
    }
}
