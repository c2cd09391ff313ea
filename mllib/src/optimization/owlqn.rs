//! Orthant-wise limited-memory quasi-Newton: L-BFGS for objectives with an absolute-value part.
//!
//! # Problem
//! `min f(w) + Σ_j l_j |w_j|` for a smooth `f`; `l_j >= 0` from [`Objective::l1`].
//!
//! # Stopping rule
//! As [`Lbfgs`](super::Lbfgs), with the pseudo-gradient (the steepest of the subgradients) for the gradient.
//!
//! # Cost
//! One evaluation an iteration, more where a step crosses many orthant borders.
//!
//! # References
//! Andrew and Gao, *Scalable training of L1-regularized log-linear models*, ICML 2007.

use super::lbfgs::{History, InitialMatrix, is_flat, reference_gradient};
use super::report::{Observer, Report, Solution, Stop, require_finite};
use crate::linalg::dense::{axpy, dot, norm2};
use crate::objective::Objective;
use slackwater_dataflow::Result;

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct OwlQn {
    /// Pairs of steps and gradient differences that are kept.
    pub memory: usize,
    /// Iterations at most.
    pub iterations_max: usize,
    /// Relative fall of the objective below which to stop.
    pub tolerance: f64,
    /// Norm of the pseudo-gradient, relative to that at zero weights, below which to stop.
    pub gradient_tolerance: f64,
    /// What the inverse Hessian is taken for at first.
    pub initial_matrix: InitialMatrix,
}

impl Default for OwlQn {
    fn default() -> Self {
        OwlQn {
            memory: 10,
            iterations_max: 100,
            tolerance: 1e-6,
            gradient_tolerance: 1e-6,
            initial_matrix: InitialMatrix::Identity,
        }
    }
}

/// Share of the linear decrease that a step must bring.
const SUFFICIENT: f64 = 1e-4;
/// Trials of a line search at most, each half as long as the one before.
const HALVINGS_MAX: usize = 40;

/// The subgradient of `f + Σ l |w|` of least norm.
fn pseudo_gradient(w: &[f64], gradient: &[f64], l1: &[f64]) -> Vec<f64> {
    let entry = |((w, g), l): ((&f64, &f64), &f64)| {
        if *w > 0.0 {
            g + l
        } else if *w < 0.0 {
            g - l
        } else if g + l < 0.0 {
            g + l
        } else if g - l > 0.0 {
            g - l
        } else {
            0.0
        }
    };
    w.iter().zip(gradient).zip(l1).map(entry).collect()
}

fn absolute_part(w: &[f64], l1: &[f64]) -> f64 {
    w.iter().zip(l1).map(|(w, l)| l * w.abs()).sum()
}

/// Weights with what belongs to them.
struct Point {
    w: Vec<f64>,
    gradient: Vec<f64>,
    pseudo: Vec<f64>,
    /// Of the full objective.
    value: f64,
}

impl Point {
    fn at(objective: &mut impl Objective, w: Vec<f64>, l1: &[f64], report: &mut Report) -> Result<Point> {
        let mut gradient = vec![0.0; w.len()];
        let value = objective.value_and_gradient(&w, &mut gradient)? + absolute_part(&w, l1);
        report.evaluations += 1;
        let pseudo = pseudo_gradient(&w, &gradient, l1);
        Ok(Point { w, gradient, pseudo, value })
    }
}

impl OwlQn {
    /// Minimises from `w`. Without an absolute part this is L-BFGS with a simpler line search.
    ///
    /// # Errors
    /// Numerical, if the objective is not finite at the start; what the objective reports.
    pub fn minimize(
        &self,
        objective: &mut impl Objective,
        w: Vec<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        assert_eq!(w.len(), objective.dimension(), "a start of another dimension");
        let l1 = objective.l1().unwrap_or_else(|| vec![0.0; w.len()]);
        let mut report = Report::new();
        let reference = reference_gradient(objective, &w, &mut report)?
            .map_or(0.0, |g| norm2(&pseudo_gradient(&vec![0.0; g.len()], &g, &l1)));
        let mut point = Point::at(objective, w, &l1, &mut report)?;
        let mut norm = norm2(&point.pseudo);
        require_finite(point.value, norm)?;
        let target = self.gradient_tolerance * reference.max(norm);
        let inverse_diagonal = self.initial_matrix.inverse_diagonal(objective, &mut report)?;
        let mut history = History::new(self.memory, inverse_diagonal);
        let mut stop = report.note(point.value, norm, &point.w, observer).then_some(Stop::Observer);
        while stop.is_none() {
            if norm <= target {
                stop = Some(Stop::Gradient);
            } else if is_flat(&report.objective_history, self.tolerance) {
                stop = Some(Stop::Objective);
            } else if report.iterations >= self.iterations_max {
                stop = Some(Stop::IterationLimit);
            } else if let Some(next) = step(objective, &mut history, &point, &l1, &mut report)? {
                let s = next.w.iter().zip(&point.w).map(|(a, b)| a - b).collect();
                let y = next.gradient.iter().zip(&point.gradient).map(|(a, b)| a - b).collect();
                history.push(s, y);
                point = next;
                norm = norm2(&point.pseudo);
                stop = report.note(point.value, norm, &point.w, observer).then_some(Stop::Observer);
            } else if history.is_empty() {
                stop = Some(Stop::NoProgress);
            } else {
                history.clear();
            }
        }
        Ok(report.finish(point.w, stop.expect("the loop ends with a reason")))
    }
}

/// One step, or `None` if none is better.
fn step(
    objective: &mut impl Objective,
    history: &mut History,
    from: &Point,
    l1: &[f64],
    report: &mut Report,
) -> Result<Option<Point>> {
    let mut direction = history.direction(&from.pseudo);
    // Where the quasi-Newton direction and the steepest descent disagree in sign, do not move.
    direction.iter_mut().zip(&from.pseudo).for_each(|(d, g)| {
        if *d * g >= 0.0 {
            *d = 0.0;
        }
    });
    if direction.iter().all(|d| *d == 0.0) {
        return Ok(None);
    }
    let mut t = history.first_step(&direction);
    for _ in 0..HALVINGS_MAX {
        let mut w = from.w.clone();
        axpy(t, &direction, &mut w);
        for (((new, old), pseudo), l) in w.iter_mut().zip(&from.w).zip(&from.pseudo).zip(l1) {
            // Weights must not leave their orthant; a weight without penalty has no border.
            let side = if *old != 0.0 { *old } else { -pseudo };
            if *l > 0.0 && *new * side <= 0.0 {
                *new = 0.0;
            }
        }
        let moved: Vec<f64> = w.iter().zip(&from.w).map(|(a, b)| a - b).collect();
        let point = Point::at(objective, w, l1, report)?;
        if point.value < from.value && point.value <= from.value + SUFFICIENT * dot(&from.pseudo, &moved) {
            return Ok(Some(point));
        }
        t *= 0.5;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimization::silent;

    /// `1/2 Σ h_j (w_j - c_j)² + l Σ |w_j|`, solved by soft thresholds.
    struct Separable {
        h: Vec<f64>,
        c: Vec<f64>,
        l: f64,
    }

    impl Objective for Separable {
        fn dimension(&self) -> usize {
            self.h.len()
        }
        fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> Result<f64> {
            let mut value = 0.0;
            for j in 0..w.len() {
                gradient[j] = self.h[j] * (w[j] - self.c[j]);
                value += 0.5 * gradient[j] * (w[j] - self.c[j]);
            }
            Ok(value)
        }
        fn hessian_vector(&mut self, v: &[f64], out: &mut [f64]) -> Result<()> {
            (0..v.len()).for_each(|j| out[j] = self.h[j] * v[j]);
            Ok(())
        }
        fn hessian_diagonal(&mut self, out: &mut [f64]) -> Result<()> {
            out.copy_from_slice(&self.h);
            Ok(())
        }
        fn l1(&self) -> Option<Vec<f64>> {
            Some(vec![self.l; self.h.len()])
        }
    }

    #[test]
    fn soft_thresholds() {
        let h = vec![1.0, 2.0, 0.5, 8.0, 3.0];
        let c = vec![3.0, -0.1, -4.0, 0.3, -2.0];
        let expected: Vec<f64> =
            c.iter().zip(&h).map(|(c, h): (&f64, &f64)| c.signum() * (c.abs() - 0.5 / h).max(0.0)).collect();
        let mut f = Separable { h, c, l: 0.5 };
        let solver = OwlQn { tolerance: 1e-15, gradient_tolerance: 1e-10, ..Default::default() };
        for start in [vec![0.0; 5], vec![1.0; 5], vec![-5.0; 5]] {
            let s = solver.minimize(&mut f, start, &mut silent).unwrap();
            s.weights.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-7, "{a} {b}"));
            assert_eq!(s.weights[1], 0.0, "exactly zero");
        }
    }
}
