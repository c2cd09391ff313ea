//! What a solver tells while it runs and when it ends.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, ErrorKind, Result};
use std::fmt;
use std::ops::{ControlFlow, Deref};

/// Why a solver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stop {
    /// The gradient became small: the solver's main rule.
    Gradient,
    /// The objective hardly changes any more.
    Objective,
    /// The weights hardly change any more.
    Weights,
    /// The duality gap, or the largest violation of an optimality condition, became small.
    Optimality,
    /// The problem was solved directly.
    Exact,
    /// No step along the search direction improves the objective: it is as low as rounding lets it be.
    NoProgress,
    /// The iteration limit was reached before any rule held.
    IterationLimit,
    /// The observer asked for it.
    Observer,
}

impl Stop {
    /// True if a stopping rule held; false if the solver was cut short.
    pub fn is_converged(&self) -> bool {
        !matches!(self, Stop::IterationLimit | Stop::Observer)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Gradient => "the gradient is small",
            Stop::Objective => "the objective hardly changes",
            Stop::Weights => "the weights hardly change",
            Stop::Optimality => "the optimality conditions hold",
            Stop::Exact => "solved directly",
            Stop::NoProgress => "no step improves the objective",
            Stop::IterationLimit => "iteration limit",
            Stop::Observer => "stopped by the observer",
        })
    }
}

/// The state after one iteration.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Iterations done; 0 at the start.
    pub iteration: usize,
    /// The objective.
    pub objective: f64,
    /// Euclidean norm of the gradient, or the solver's own measure of optimality.
    pub gradient_norm: f64,
    /// The weights, in the solver's scaling.
    pub weights: &'a [f64],
}

/// Called after every iteration; `Break` ends the solver with what it has.
pub type Observer<'a> = dyn FnMut(&Progress<'_>) -> ControlFlow<()> + 'a;

/// The observer that lets everything pass.
pub fn silent(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What a solver did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Iterations done.
    pub iterations: usize,
    /// Evaluations of value and gradient.
    pub evaluations: usize,
    /// Other sweeps over the data: Hessian-vector products, diagonals, coordinate passes.
    pub other_sweeps: usize,
    /// The objective at the start and after every iteration.
    pub objective_history: Vec<f64>,
    /// The last gradient norm, or the solver's own measure of optimality.
    pub gradient_norm: f64,
    /// Why it ended.
    pub stop: Stop,
}

impl Report {
    /// A report without iterations.
    pub(super) fn new() -> Self {
        Report {
            iterations: 0,
            evaluations: 0,
            other_sweeps: 0,
            objective_history: vec![],
            gradient_norm: f64::NAN,
            stop: Stop::IterationLimit,
        }
    }
    /// Notes the state after an iteration (the first call: the start), and asks the observer. True if it wants to stop.
    pub(super) fn note(
        &mut self,
        f: f64,
        gradient_norm: f64,
        w: &[f64],
        observer: &mut Observer<'_>,
    ) -> bool {
        self.iterations = self.objective_history.len();
        self.objective_history.push(f);
        self.gradient_norm = gradient_norm;
        let progress = Progress { iteration: self.iterations, objective: f, gradient_norm, weights: w };
        observer(&progress).is_break()
    }
    /// A solution that took no iterations.
    pub(crate) fn direct(objective: f64, weights: Vec<f64>) -> Solution {
        let report = Report {
            other_sweeps: 1,
            gradient_norm: 0.0,
            objective_history: vec![objective],
            ..Report::new()
        };
        report.finish(weights, Stop::Exact)
    }
    /// The work of both, one after the other: the second began where the first ended.
    pub(super) fn followed_by(mut self, next: Report) -> Report {
        self.iterations += next.iterations;
        self.evaluations += next.evaluations;
        self.other_sweeps += next.other_sweeps;
        self.objective_history.extend(next.objective_history.into_iter().skip(1));
        Report { gradient_norm: next.gradient_norm, stop: next.stop, ..self }
    }
    /// Ends: the solution at `w`.
    pub(super) fn finish(mut self, weights: Vec<f64>, stop: Stop) -> Solution {
        self.stop = stop;
        let objective = self.objective_history.last().copied().unwrap_or(f64::NAN);
        Solution { weights, objective, report: self }
    }
}

/// Where a solver ended, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The weights.
    pub weights: Vec<f64>,
    /// The objective there.
    pub objective: f64,
    /// What was done.
    pub report: Report,
}

impl Solution {
    /// The same for `factor` times the objective.
    pub(crate) fn rescale(&mut self, factor: f64) {
        self.objective *= factor;
        self.report.gradient_norm *= factor;
        self.report.objective_history.iter_mut().for_each(|f| *f *= factor);
    }
}

/// Refuses a start whose objective or gradient is not finite.
pub(super) fn require_finite(f: f64, gradient_norm: f64) -> Result<()> {
    if f.is_finite() && gradient_norm.is_finite() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Numerical(format!(
        "the objective is {f} and its gradient's norm {gradient_norm} where the solver starts\n  hint: look for values \
         in the data that are not finite or are enormous"
    ))))
}

/// How many bytes of the model each process had while training, at most; none, if every process had all of it.
///
/// Told, not stored, and no part of what a model is: all are equal, so that a model equals the one that was stored, wherever
/// they were trained.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ModelBytes(Vec<u64>);

impl From<Vec<u64>> for ModelBytes {
    fn from(by_process: Vec<u64>) -> ModelBytes {
        ModelBytes(by_process)
    }
}

impl Deref for ModelBytes {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl PartialEq for ModelBytes {
    fn eq(&self, _: &ModelBytes) -> bool {
        true
    }
}
