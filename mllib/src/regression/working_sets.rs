//! The loop that all solvers by working sets have in common.
//!
//! # What it does
//! A pass over all columns gives the objective and a point of the dual; while their gap is too wide, the problem of a
//! working set is solved to a part of it.

use crate::optimization::{Observer, Progress, Stop};
use slackwater_dataflow::Result;

/// The problem of a working set is solved to this part of the gap,
const INNER_GAP: f64 = 0.1;
/// but not beyond this part of what is asked for.
const INNER_TOLERANCE: f64 = 0.3;
/// Passes that may go by without the objective becoming less.
const IDLE_PASSES_MAX: usize = 3;

/// How a problem was solved.
#[derive(Debug, Clone)]
pub(crate) struct Solved {
    /// The objective, divided by the number of rows, after every pass.
    pub history: Vec<f64>,
    /// The duality gap, divided by the number of rows.
    pub gap: f64,
    pub passes: usize,
    pub epochs: usize,
    /// Products with columns.
    pub products: u64,
    pub stop: Stop,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The gap, times the number of rows.
    pub gap: f64,
    pub passes: usize,
    /// Spare nothing: for tests.
    pub plain: bool,
}

/// What a pass found, all of it times the number of rows.
pub(crate) struct Passed<P> {
    pub objective: f64,
    /// Of a feasible point of the dual.
    pub dual: f64,
    /// Products of columns that were taken.
    pub products: usize,
    /// What the next working set is chosen by.
    pub of_columns: P,
}

/// A problem that is solved by working sets.
pub(crate) trait WorkingSets {
    /// What a pass finds out about columns.
    type Pass;
    /// Looks at all columns.
    fn pass(&mut self) -> Result<Passed<Self::Pass>>;
    /// Chooses a working set and solves its problem to `gap_max`; the number of epochs that took. `growth` is 1, and twice as
    /// much after every pass that brought nothing.
    fn improve(&mut self, pass: Passed<Self::Pass>, growth: usize, gap_max: f64) -> Result<usize>;
    /// The weights of all columns that ever were in a working set.
    fn weights(&self) -> &[f64];
}

/// Minimises, where `rows` are so many.
pub(crate) fn minimize(
    problem: &mut impl WorkingSets,
    rows: usize,
    limits: Limits,
    observer: &mut Observer<'_>,
) -> Result<Solved> {
    let n = rows as f64;
    let mut solved = Solved {
        history: vec![],
        gap: f64::INFINITY,
        passes: 0,
        epochs: 0,
        products: 0,
        stop: Stop::IterationLimit,
    };
    let (mut best_dual, mut idle, mut growth) = (f64::NEG_INFINITY, 0, 1);
    loop {
        let pass = problem.pass()?;
        let objective = pass.objective;
        best_dual = best_dual.max(pass.dual);
        let before = solved.history.last().map_or(f64::INFINITY, |f| f * n);
        solved.passes += 1;
        solved.products += pass.products as u64;
        solved.gap = (objective - best_dual) / n;
        solved.history.push(objective / n);
        let progress = Progress {
            iteration: solved.passes,
            objective: objective / n,
            gradient_norm: solved.gap,
            weights: problem.weights(),
        };
        if observer(&progress).is_break() {
            solved.stop = Stop::Observer;
            break;
        }
        if objective - best_dual <= limits.gap {
            solved.stop = Stop::Optimality;
            break;
        }
        if objective >= before {
            (idle, growth) = (idle + 1, 2 * growth);
        }
        if idle > IDLE_PASSES_MAX {
            solved.stop = Stop::NoProgress;
            break;
        }
        if solved.passes >= limits.passes {
            break;
        }
        let gap_max = (INNER_GAP * (objective - best_dual)).max(INNER_TOLERANCE * limits.gap);
        solved.epochs += problem.improve(pass, growth, gap_max)?;
    }
    Ok(solved)
}
