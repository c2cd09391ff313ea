//! Limited-memory BFGS.
//!
//! # Problem
//! `min f(w)` for a smooth `f`.
//!
//! # Stopping rule
//! The gradient is small, `‖g‖ <= gradient_tolerance ‖g(0)‖`; or the objective fell by at most
//! `tolerance max(|f|, ε)` over the last [`WINDOW`] iterations (Breeze and Spark compare over a window too);
//! or no step improves it; or `iterations_max`.
//!
//! # Cost
//! One evaluation an iteration, rarely two, and `4 m d` operations; `2 m d` numbers. With
//! [`InitialMatrix::HessianDiagonal`] one sweep more at the start, which pays where columns differ much in scale or
//! frequency (text).
//!
//! # References
//! Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35 (1980); Liu and Nocedal, Math. Prog.
//! 45 (1989); Nocedal and Wright, algorithm 7.4 and 7.5.

use super::line_search::{StrongWolfe, Trial};
use super::report::{Observer, Report, Solution, Stop, require_finite};
use crate::linalg::dense::{axpy, dot, norm2, scale};
use crate::objective::Objective;
use slackwater_dataflow::Result;
use std::collections::VecDeque;

/// Over how many iterations the fall of the objective is looked at.
pub const WINDOW: usize = 5;

/// What the inverse Hessian is taken for before any step was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialMatrix {
    /// A multiple of the identity.
    Identity,
    /// A multiple of the inverse diagonal of the Hessian at the start.
    HessianDiagonal,
}

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct Lbfgs {
    /// Pairs of steps and gradient differences that are kept, `m`.
    pub memory: usize,
    /// Iterations at most.
    pub iterations_max: usize,
    /// Relative fall of the objective below which to stop.
    pub tolerance: f64,
    /// Gradient norm, relative to that at zero weights, below which to stop.
    pub gradient_tolerance: f64,
    /// What the inverse Hessian is taken for at first.
    pub initial_matrix: InitialMatrix,
    /// The line search.
    pub line_search: StrongWolfe,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Lbfgs {
            memory: 10,
            iterations_max: 100,
            tolerance: 1e-6,
            gradient_tolerance: 1e-6,
            initial_matrix: InitialMatrix::Identity,
            line_search: StrongWolfe::default(),
        }
    }
}

impl InitialMatrix {
    /// The inverse diagonal at the last weights; empty for the identity.
    pub(super) fn inverse_diagonal(
        self,
        objective: &mut impl Objective,
        report: &mut Report,
    ) -> Result<Vec<f64>> {
        if self == InitialMatrix::Identity {
            return Ok(vec![]);
        }
        let mut diagonal = vec![0.0; objective.dimension()];
        objective.hessian_diagonal(&mut diagonal)?;
        report.other_sweeps += 1;
        diagonal.iter_mut().for_each(|h| *h = 1.0 / *h);
        Ok(diagonal)
    }
}

/// The pairs `(s, y)` and what follows from them.
#[derive(Debug)]
pub(super) struct History {
    pairs: VecDeque<Pair>,
    memory: usize,
    /// The initial inverse Hessian's diagonal, up to the factor `gamma`; empty for the identity.
    inverse_diagonal: Vec<f64>,
    gamma: f64,
}

#[derive(Debug)]
struct Pair {
    s: Vec<f64>,
    y: Vec<f64>,
    rho: f64,
}

impl History {
    pub(super) fn new(memory: usize, inverse_diagonal: Vec<f64>) -> Self {
        History { pairs: VecDeque::new(), memory: memory.max(1), inverse_diagonal, gamma: 1.0 }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
    /// The first step to try along `direction`: without curvature a unit step means nothing, so one of unit length.
    pub(super) fn first_step(&self, direction: &[f64]) -> f64 {
        let scaled = !self.is_empty() || !self.inverse_diagonal.is_empty();
        if scaled { 1.0 } else { 1.0 / norm2(direction).max(f64::MIN_POSITIVE) }
    }
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.gamma = 1.0;
    }
    /// Remembers a step and the change of the gradient along it; ignores one without positive curvature.
    pub(super) fn push(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let sy = dot(&s, &y);
        if sy.is_nan() || sy <= f64::EPSILON * norm2(&s) * norm2(&y) {
            return;
        }
        let mut scaled = y.clone();
        self.precondition(&mut scaled);
        self.gamma = sy / dot(&y, &scaled);
        if self.pairs.len() == self.memory {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair { s, y, rho: 1.0 / sy });
    }
    fn precondition(&self, x: &mut [f64]) {
        x.iter_mut().zip(&self.inverse_diagonal).for_each(|(x, h)| *x *= h);
    }
    /// `-H g`, the two-loop recursion.
    pub(super) fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut factors = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let alpha = pair.rho * dot(&pair.s, &d);
            axpy(-alpha, &pair.y, &mut d);
            factors.push(alpha);
        }
        self.precondition(&mut d);
        scale(self.gamma, &mut d);
        for (pair, alpha) in self.pairs.iter().zip(factors.iter().rev()) {
            let beta = pair.rho * dot(&pair.y, &d);
            axpy(alpha - beta, &pair.s, &mut d);
        }
        d
    }
}

/// True if the objective fell by no more than `tolerance`, relative to its size, over the last [`WINDOW`] iterations.
pub(super) fn is_flat(history: &[f64], tolerance: f64) -> bool {
    let Some(last) = history.last().filter(|_| history.len() > WINDOW) else { return false };
    let before = history[history.len() - 1 - WINDOW];
    before - last <= tolerance * last.abs().max(f64::MIN_POSITIVE)
}

/// The gradient at zero weights, whose norm tolerances are relative to; `None` if `w` is zero anyway.
pub(super) fn reference_gradient(
    objective: &mut impl Objective,
    w: &[f64],
    report: &mut Report,
) -> Result<Option<Vec<f64>>> {
    if w.iter().all(|w| *w == 0.0) {
        return Ok(None);
    }
    let mut gradient = vec![0.0; w.len()];
    objective.value_and_gradient(&vec![0.0; w.len()], &mut gradient)?;
    report.evaluations += 1;
    Ok(Some(gradient))
}

impl Lbfgs {
    /// Minimises from `w`. See the module for what it costs and when it ends.
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
        let mut gradient = vec![0.0; n];
        let reference = reference_gradient(objective, &w, &mut report)?.map_or(0.0, |g| norm2(&g));
        let mut value = objective.value_and_gradient(&w, &mut gradient)?;
        report.evaluations += 1;
        let mut norm = norm2(&gradient);
        require_finite(value, norm)?;
        let target = self.gradient_tolerance * reference.max(norm);
        let mut history =
            History::new(self.memory, self.initial_matrix.inverse_diagonal(objective, &mut report)?);
        let mut stop = report.note(value, norm, &w, observer).then_some(Stop::Observer);
        while stop.is_none() {
            if norm <= target {
                stop = Some(Stop::Gradient);
            } else if is_flat(&report.objective_history, self.tolerance) {
                stop = Some(Stop::Objective);
            } else if report.iterations >= self.iterations_max {
                stop = Some(Stop::IterationLimit);
            } else if let Some(step) =
                self.step(objective, &mut history, (&w, value, &gradient), &mut report)?
            {
                let (new_w, new_gradient, new_value) = step;
                let s = new_w.iter().zip(&w).map(|(a, b)| a - b).collect();
                let y = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
                history.push(s, y);
                (w, gradient, value) = (new_w, new_gradient, new_value);
                norm = norm2(&gradient);
                stop = report.note(value, norm, &w, observer).then_some(Stop::Observer);
            } else if history.is_empty() {
                stop = Some(Stop::NoProgress);
            } else {
                // The pairs may be the trouble: steepest descent once, then give up.
                history.clear();
            }
        }
        Ok(report.finish(w, stop.expect("the loop ends with a reason")))
    }
    /// One step from weights, value and gradient: the new ones, or `None` if none is better.
    fn step(
        &self,
        objective: &mut impl Objective,
        history: &mut History,
        (w, value, gradient): (&[f64], f64, &[f64]),
        report: &mut Report,
    ) -> Result<Option<(Vec<f64>, Vec<f64>, f64)>> {
        let mut direction = history.direction(gradient);
        let mut slope = dot(&direction, gradient);
        if slope.is_nan() || slope >= 0.0 {
            history.clear();
            direction = history.direction(gradient);
            slope = dot(&direction, gradient);
        }
        let first = history.first_step(&direction);
        let (mut at, mut slope_at) = (w.to_vec(), vec![0.0; w.len()]);
        let start = Trial { step: 0.0, value, slope };
        let found = self.line_search.search(start, first, |step| {
            at.copy_from_slice(w);
            axpy(step, &direction, &mut at);
            let value = objective.value_and_gradient(&at, &mut slope_at)?;
            report.evaluations += 1;
            Ok((value, dot(&slope_at, &direction)))
        })?;
        Ok(found.map(|trial| (at, slope_at, trial.value)))
    }
}
