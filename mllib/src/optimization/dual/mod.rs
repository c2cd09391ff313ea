//! Dual coordinate descent, within partitions and across them.
//!
//! # Problem
//! `min 1/2 w'w + C Σ loss(y_i x_i'w)` through its dual `min D(α) = 1/2 ‖Σ y_i α_i x_i‖² + Σ h(α_i)`; see
//! [`DualLoss`] for the losses. An intercept is a column of ones and penalised like the other weights (LIBLINEAR's
//! `-B 1`); for a free one use another solver.
//!
//! A round: one group of partitions after the other, each partition of a group minimises `D` over its own variables, starting
//! from the common `w` and keeping the others' fixed, by a few passes of coordinate descent. With one partition this is the
//! method of LIBLINEAR. Of several in a group the changes are not independent, so the sum of them is a direction, along which
//! `D` is minimised exactly; `1/G` of the way is always downhill, so rounds converge from any partitioning. Groups
//! are small, since many changes at once make for short steps: two partitions, or a sixteenth of them.
//!
//! # Stopping rule
//! The duality gap, `primal(w) + D(α) <= tolerance primal(w)`: then `w` is that close to the optimum. Or `passes_max`;
//! LIBLINEAR gives up after 300 as well, and [`DualCoordinateDescent::minimize_then_newton`] continues as it does.
//!
//! # Guarantees
//! A round is a function of `w`, `α` and the seed, so a partition that is run again, elsewhere, gives the same bits.
//!
//! # Cost
//! A round: the passes, and half a one for the gap; as many jobs as groups. `8 (d P + n)` bytes come back to every process: for many
//! more rows than that a primal solver is the better choice. No more workers than partitions in a group have something to do.
//!
//! # References
//! Hsieh, Chang, Lin, Keerthi and Sundararajan, *A dual coordinate descent method for large-scale linear SVM*, ICML
//! 2008; Yu, Huang and Lin, *Dual coordinate descent methods for logistic regression and maximum entropy models*,
//! Machine Learning 85 (2011); Lee and Chang, *Distributed block-diagonal approximation methods for regularized
//! empirical risk minimization* (2017), for several partitions.

mod coordinate;
mod local;

pub use coordinate::{DualLoss, HingeDual, LogisticDual, SquaredHingeDual, Step};

use super::newton::Newton;
use super::report::{Observer, Progress, Report, Solution, Stop, require_finite};
use crate::linalg::dense::{axpy, dot};
use crate::linear::TrainingParams;
use crate::objective::{Objective, Slots, Sweep, Target, check_width};
use local::Problem;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result, rng};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct DualCoordinateDescent {
    /// Weight of the losses, `C` > 0.
    pub c: f64,
    /// Passes at most.
    pub passes_max: usize,
    /// Passes over a partition in a round, if there is only one.
    pub passes_alone: usize,
    /// Passes over a partition in a round, if there are several.
    pub passes_together: usize,
    /// Duality gap, relative to the primal objective, below which to stop.
    pub tolerance: f64,
    /// Adds a penalised column of ones.
    pub intercept: bool,
    /// Seed of the order of rows.
    pub seed: u64,
}

impl Default for DualCoordinateDescent {
    fn default() -> Self {
        DualCoordinateDescent {
            c: 1.0,
            passes_max: 300,
            passes_alone: 5,
            passes_together: 1,
            tolerance: 1e-3,
            intercept: false,
            seed: 0,
        }
    }
}

/// Derived streams of this solver are those of this operation.
const OPERATION: u64 = u64::from_be_bytes(*b"    dual");
/// Over how many rounds the rate at which the gap closes is measured.
const RATE_WINDOW: usize = 5;
/// The line search ends when its bracket or its slope is this small, relatively.
const LINE_TOLERANCE: f64 = 1e-3;
/// Evaluations of a line search at most.
const LINE_STEPS_MAX: usize = 30;
/// A step of the line search never comes closer to a bound of a dual variable than this share of the way.
const LEAST_ROOM: f64 = 1e-12;

/// A group has a partition for so many, and at least two.
const PARTITIONS_PER_PLACE: usize = 16;

/// What the partitions of a group return: changes of `w` add up, dual variables stay apart. Nothing, from others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Changes {
    of_weights: Vec<f64>,
    passes: usize,
    /// By partition of the group, ascending.
    alphas: Vec<Vec<f64>>,
}

fn join(mut left: Changes, right: Changes) -> Changes {
    // Those that did nothing have no weights to add, and so has everybody where there are no columns.
    if left.alphas.is_empty() {
        return right;
    }
    if right.alphas.is_empty() {
        return left;
    }
    axpy(1.0, &right.of_weights, &mut left.of_weights);
    left.passes = left.passes.max(right.passes);
    left.alphas.extend(right.alphas);
    left
}

/// Partitions that take their passes at the same time, in the order of their turns.
fn groups(partitions: usize) -> impl Iterator<Item = Range<usize>> {
    let size = partitions.div_ceil(PARTITIONS_PER_PLACE).max(2);
    (0..partitions).step_by(size).map(move |first| first..(first + size).min(partitions))
}

impl DualCoordinateDescent {
    /// The solver for the parameters of a linear trainer. In Spark's scaling `C = 1 / (n reg)`; the objective is then
    /// `1 / reg` times Spark's.
    pub(crate) fn for_params(params: &TrainingParams, rows: u64) -> Self {
        let defaults = DualCoordinateDescent::default();
        DualCoordinateDescent {
            c: params.scaling.loss_factor(rows) / params.scaling.penalty_factor(),
            passes_max: params.iterations_max.unwrap_or(defaults.passes_max),
            tolerance: params.tolerance.unwrap_or(defaults.tolerance),
            intercept: params.intercept,
            seed: params.seed,
            ..defaults
        }
    }
    /// Minimises over `rows` of at most `columns` columns, whose labels become ±1 by `target`. The weights returned have
    /// the intercept, if there is one, at their end; the objective is the primal one.
    ///
    /// # Errors
    /// Usage, if `C` is not positive; what the sweep reports.
    pub fn minimize<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        loss: L,
        target: Target,
        columns: usize,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::config("c", format!("must be a positive number, not {}", self.c)));
        }
        let problem = Problem { loss, target, c: self.c, columns, intercept: self.intercept };
        let mut report = Report::new();
        let mut w = vec![0.0; problem.dimension()];
        let mut alphas: Vec<Arc<Vec<f64>>> = vec![];
        let norms = Slots::new(rows.partitions());
        if loss.start(self.c) != 0.0 {
            w = self.first_weights(rows, &problem)?.unwrap_or(w);
        }
        loop {
            let round = report.objective_history.len();
            let Some((losses, lengths)) = self.losses(rows, &problem, &w)? else {
                // No partition at all: nothing to learn from.
                report.note(0.0, 0.0, &w, observer);
                return Ok(report.finish(w, Stop::Optimality));
            };
            if alphas.is_empty() {
                alphas = lengths.iter().map(|n| Arc::new(vec![loss.start(self.c); *n])).collect();
            }
            let norm = 0.5 * dot(&w, &w);
            let primal = norm + losses;
            let all = alphas.iter().flat_map(|alphas| alphas.iter());
            let dual: f64 = all.map(|a| loss.dual(*a, self.c)).sum::<f64>() + norm;
            let gap = primal + dual;
            require_finite(primal, gap)?;
            if report.note(primal, gap, &w, observer) {
                return Ok(report.finish(w, Stop::Observer));
            }
            if gap <= self.tolerance * primal.abs() {
                return Ok(report.finish(w, Stop::Optimality));
            }
            if report.other_sweeps >= self.passes_max {
                return Ok(report.finish(w, Stop::IterationLimit));
            }
            let (mut passes, mut has_moved) = (0, false);
            for group in groups(alphas.len()) {
                let old = &mut alphas[group.clone()];
                let out = self.changes(rows, &problem, &norms, (&w, old), group, round)?.unwrap_or_default();
                passes = passes.max(out.passes);
                let step = match out.alphas.len() {
                    1 => 1.0,
                    _ => line_search(&problem, &w, &out.of_weights, old, &out.alphas),
                };
                if step > 0.0 {
                    has_moved = true;
                    axpy(step, &out.of_weights, &mut w);
                    for (old, new) in old.iter_mut().zip(out.alphas) {
                        *old = Arc::new(if step == 1.0 { new } else { blend(old, &new, step) });
                    }
                }
            }
            report.other_sweeps += passes;
            if !has_moved {
                return Ok(report.finish(w, Stop::NoProgress));
            }
        }
    }
    /// [`minimize`](Self::minimize), and if that is not going to converge within `passes_max` passes at the rate at which
    /// the gap closes, a Newton method on the primal `objective` from there, down to the same accuracy: the dual is slow where there are many more rows than
    /// columns or `C` is large, which is just where the primal is fast. LIBLINEAR (2.4x) switches in the same way.
    ///
    /// # Errors
    /// As [`minimize`](Self::minimize) and [`Newton::minimize`].
    pub fn minimize_then_newton<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        loss: L,
        target: Target,
        objective: &mut impl Objective,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let columns = objective.dimension() - usize::from(self.intercept);
        let passes = self.passes_of_round(rows.partitions());
        let (mut gaps, mut gave_up) = (vec![], false);
        let mut watch = |p: &Progress<'_>| {
            gaps.push(p.gradient_norm);
            gave_up = self.is_hopeless(&gaps, self.tolerance * p.objective.abs(), passes);
            if gave_up { ControlFlow::Break(()) } else { observer(p) }
        };
        let first = self.minimize(rows, loss, target, columns, &mut watch)?;
        if !gave_up && first.report.stop != Stop::IterationLimit {
            return Ok(first);
        }
        // The optimum is at least the dual value: relative to it the tolerance is certain.
        let least = (first.objective - first.report.gradient_norm).max(0.0);
        let newton = Newton {
            gradient_tolerance: 0.0,
            gradient_norm_min: (2.0 * self.tolerance * least).sqrt(),
            ..Default::default()
        };
        let second = newton.minimize(objective, first.weights, observer)?;
        Ok(Solution { report: first.report.followed_by(second.report), ..second })
    }
    fn passes_of_round(&self, partitions: usize) -> usize {
        if partitions == 1 { self.passes_alone } else { self.passes_together }.max(1)
    }
    /// True if gaps that go on closing as in the last rounds would take more than `passes_max` passes to reach `target`.
    fn is_hopeless(&self, gaps: &[f64], target: f64, passes_of_round: usize) -> bool {
        let (Some(last), true) = (gaps.last(), gaps.len() > 2 * RATE_WINDOW) else { return false };
        let rate = (last / gaps[gaps.len() - 1 - RATE_WINDOW]).ln() / RATE_WINDOW as f64;
        let rounds = if rate < 0.0 { (target / last).ln() / rate } else { f64::INFINITY };
        (gaps.len() as f64 + rounds.max(0.0)) * passes_of_round as f64 > self.passes_max as f64
    }
    /// The weights of dual variables that do not start at 0.
    fn first_weights<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        problem: &Problem<L>,
    ) -> Result<Option<Vec<f64>>> {
        let (problem, start) = (problem.clone(), problem.loss.start(self.c));
        rows.fold(
            move |_, blocks| {
                check_width(blocks, problem.columns)?;
                Ok(problem.weights(blocks, |_| start))
            },
            crate::objective::add_vectors,
        )
    }
    /// The sum of losses at `w`, and the rows of each partition.
    fn losses<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        problem: &Problem<L>,
        w: &[f64],
    ) -> Result<Option<(f64, Vec<usize>)>> {
        let (problem, w) = (problem.clone(), w.to_vec());
        rows.fold(
            move |_, blocks| {
                check_width(blocks, problem.columns)?;
                let length = blocks.iter().map(LabeledBlock::rows).sum();
                Ok((problem.primal(blocks, &w), vec![length]))
            },
            |(left, mut lengths), (right, more)| {
                lengths.extend(more);
                (left + right, lengths)
            },
        )
    }
    /// What the partitions of a group do.
    fn changes<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        problem: &Problem<L>,
        norms: &Slots<Vec<f64>>,
        (w, alphas): (&[f64], &[Arc<Vec<f64>>]),
        group: Range<usize>,
        round: usize,
    ) -> Result<Option<Changes>> {
        let passes = self.passes_of_round(rows.partitions());
        // Newton steps in one variable become more exact as rounds go on.
        let precision = (1e-2 * 0.1f64.powi(round as i32)).max(1e-8);
        let local_tolerance = 1e-12;
        let (problem, norms) = (problem.clone(), norms.clone());
        let (w, alphas, seed) = (w.to_vec(), alphas.to_vec(), self.seed);
        rows.fold(
            move |p, blocks| {
                if !group.contains(&p) {
                    return Ok(Changes::default());
                }
                let missing = |norms: &mut Vec<f64>| *norms = problem.squared_norms(blocks);
                Ok(norms.with(p, 1, missing, |norms| {
                    let alphas = alphas[p - group.start].to_vec();
                    let stream = rng::partition_stream(seed ^ round as u64, OPERATION, p);
                    let limits = (passes, local_tolerance, precision);
                    let done = problem.descend(blocks, norms, &w, alphas, limits, stream);
                    Changes { of_weights: done.change, passes: done.passes, alphas: vec![done.alphas] }
                }))
            },
            join,
        )
    }
}

/// `α + t (α' - α)`.
fn blend(old: &[f64], new: &[f64], t: f64) -> Vec<f64> {
    old.iter().zip(new).map(|(a, b)| if a == b { *a } else { a + t * (b - a) }).collect()
}

/// The `t` that minimises `D(α + t Δ)`, by safeguarded Newton steps on the derivative; 0 if there is no way down.
fn line_search<L: DualLoss>(
    problem: &Problem<L>,
    w: &[f64],
    change: &[f64],
    old: &[Arc<Vec<f64>>],
    new: &[Vec<f64>],
) -> f64 {
    let (first, second) = (dot(w, change), dot(change, change));
    let upper = problem.loss.upper(problem.c);
    let pairs = || {
        let all = old.iter().flat_map(|old| old.iter()).zip(new.iter().flatten());
        all.filter(|(a, b)| a != b)
    };
    // The largest step that keeps every variable within its bounds; at least 1.
    let room = pairs().fold(f64::INFINITY, |room: f64, (a, b)| {
        room.min(if b > a { (upper - a) / (b - a) } else { a / (a - b) })
    });
    let derivatives = |t: f64| {
        pairs().fold((first + t * second, second), |(g, h), (a, b)| {
            let delta = b - a;
            let (d1, d2) = problem.loss.dual_derivatives(a + t * delta, problem.c);
            (g + delta * d1, h + delta * delta * d2)
        })
    };
    let (slope, _) = derivatives(0.0);
    if slope.is_nan() || slope >= 0.0 {
        return 0.0;
    }
    let limit = room * (1.0 - LEAST_ROOM);
    let (mut low, mut high) = (0.0, limit);
    let mut t = (1.0 / old.len() as f64).min(limit);
    for _ in 0..LINE_STEPS_MAX {
        let (g, h) = derivatives(t);
        if g.abs() <= LINE_TOLERANCE * -slope {
            break;
        }
        if g < 0.0 {
            low = t;
        } else {
            high = t;
        }
        let newton = t - g / h;
        t = if newton > low && newton < high {
            newton
        } else if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * low
        };
        if high - low <= LINE_TOLERANCE * low {
            break;
        }
    }
    t
}
