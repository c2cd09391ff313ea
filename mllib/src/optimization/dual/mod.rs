//! Dual coordinate descent, within partitions and across them.
//!
//! # Problem
//! `min 1/2 w'w + C Σ loss(y_i x_i'w)` through its dual `min D(α) = 1/2 ‖Σ y_i α_i x_i‖² + Σ h(α_i)`; see
//! [`DualLoss`] for the losses. An intercept is a column of ones and penalised like the other weights (LIBLINEAR's
//! `-B 1`); for a free one use another solver.
//!
//! A round: one group of partitions after the other, in random order, each partition of a group minimises `D` over its own
//! variables, starting from the common `w` and keeping the others' fixed, by one pass of coordinate descent. With groups of
//! one this is the method of LIBLINEAR. Of several in a group the changes are not independent: each takes its own curvature
//! for larger than it is (`σ'` of CoCoA+), and the sum of them is a direction, along which `D` is minimised exactly; `1/G`
//! of the way is always downhill, so rounds converge from any partitioning. Groups are small, since many changes at
//! once make for short steps: two partitions, or a sixteenth of them.
//!
//! Rows whose variable sits at a bound and is pushed against it harder than any other row is pushed are set aside (shrinking), until
//! those that are left are nearly optimal; the gap counts all rows. Weights go to and fro before they settle, so a moving average of
//! them is watched, too, and of all that were the best are returned.
//!
//! # Stopping rule
//! The duality gap, `primal(best w) + D(α) <= tolerance primal(best w)`: then these weights are that close to the optimum.
//! Or `passes_max`; LIBLINEAR gives up after 300 as well, and [`DualCoordinateDescent::minimize_then_newton`] continues as
//! it does. The gap is taken when as many rows as there are, or a quarter of all so far, were visited since the last time.
//!
//! # Guarantees
//! A round is a function of `w`, `α`, the rows aside and the seed, so a partition that is run again, elsewhere, gives the
//! same bits.
//!
//! # Cost
//! A round: a visit of each row that is not aside; as many jobs as groups. A gap: two products a row. `8 (d G + n)` bytes
//! come back to every process, fewer the fewer variables change: for many more rows than that a primal solver is the better choice. No more
//! workers than partitions in a group have something to do.
//!
//! # References
//! Hsieh, Chang, Lin, Keerthi and Sundararajan, *A dual coordinate descent method for large-scale linear SVM*, ICML
//! 2008; Yu, Huang and Lin, *Dual coordinate descent methods for logistic regression and maximum entropy models*,
//! Machine Learning 85 (2011); for several partitions, Lee and Chang, *Distributed block-diagonal approximation methods for
//! regularized empirical risk minimization* (2017), and Ma, Smith, Jaggi, Jordan, Richtárik and Takáč, *Adding vs. averaging
//! in distributed primal-dual optimization*, ICML 2015; for averages, Shalev-Shwartz and Zhang, *Stochastic dual coordinate
//! ascent methods for regularized loss minimization*, JMLR 14 (2013).

mod coordinate;
mod line;
mod local;
mod state;

pub use coordinate::{DualLoss, HingeDual, LogisticDual, SquaredHingeDual, Step};

use super::newton::Newton;
use super::report::{Observer, Report, Solution, Stop, require_finite};
use crate::linalg::dense::dot;
use crate::linear::TrainingParams;
use crate::objective::{Objective, Slots, Sweep, Target, check_width};
use local::{Pass, Problem};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result, rng};
use state::{Changes, Round, State, join};

/// Parameters of the solver.
#[derive(Debug, Clone)]
pub struct DualCoordinateDescent {
    /// Weight of the losses, `C` > 0.
    pub c: f64,
    /// Passes at most.
    pub passes_max: usize,
    /// Duality gap, relative to the primal objective, below which to stop.
    pub tolerance: f64,
    /// Adds a penalised column of ones.
    pub intercept: bool,
    /// Seed of the order of rows.
    pub seed: u64,
}

impl Default for DualCoordinateDescent {
    fn default() -> Self {
        DualCoordinateDescent { c: 1.0, passes_max: 300, tolerance: 1e-3, intercept: false, seed: 0 }
    }
}

/// Derived streams of this solver are those of these operations: a pass over a partition, and the order of partitions.
const OPERATION: u64 = u64::from_be_bytes(*b"    dual");
const ORDER: u64 = u64::from_be_bytes(*b"dual ord");
/// Over how many passes the rate at which the gap closes is measured.
const RATE_WINDOW: usize = 5;
/// The gap is taken again after this share of all visits of rows so far.
const GAP_EVERY: f64 = 0.25;

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
        Ok(self.descend(rows, loss, target, columns, &mut |_| false, observer)?.0)
    }
    /// As [`minimize`](Self::minimize), until `gives_up` says so after a gap was taken; then true.
    fn descend<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        loss: L,
        target: Target,
        columns: usize,
        gives_up: &mut dyn FnMut(&Report) -> bool,
        observer: &mut Observer<'_>,
    ) -> Result<(Solution, bool)> {
        if !(self.c > 0.0 && self.c.is_finite()) {
            return Err(Error::config("c", format!("must be a positive number, not {}", self.c)));
        }
        let problem = Problem { loss, target, c: self.c, columns, intercept: self.intercept };
        let mut report = Report::new();
        let mut w = vec![0.0; problem.dimension()];
        let norms = Slots::new(rows.partitions());
        if loss.start(self.c) != 0.0 {
            w = self.first_weights(rows, &problem)?.unwrap_or(w);
        }
        let Some((losses, lengths)) = self.losses(rows, &problem, [&w, &w])? else {
            // No partition at all: nothing to learn from.
            report.note(0.0, 0.0, &w, observer);
            return Ok((report.finish(w, Stop::Optimality), false));
        };
        let mut state = State::new(w, &lengths, loss.start(self.c));
        let mut losses = Some(losses);
        let (mut visits, mut visits_before) = (0, 0);
        loop {
            if let Some([at_last, at_average]) = losses.take() {
                state.compare(at_last, at_average);
                let dual =
                    state.alphas().map(|a| loss.dual(a, self.c)).sum::<f64>() + 0.5 * dot(&state.w, &state.w);
                let (primal, gap) = (state.best.0, state.best.0 + dual);
                require_finite(primal, gap)?;
                let stop = if report.note(primal, gap, &state.best.1, observer) {
                    Some(Stop::Observer)
                } else if gap <= self.tolerance * primal.abs() {
                    Some(Stop::Optimality)
                } else if report.other_sweeps >= self.passes_max {
                    Some(Stop::IterationLimit)
                } else if !state.has_moved {
                    Some(Stop::NoProgress)
                } else {
                    None
                };
                if let Some(stop) = stop {
                    return Ok((report.finish(state.best.1, stop), false));
                }
                if gives_up(&report) {
                    return Ok((report.finish(state.best.1, Stop::Observer), true));
                }
            }
            let mut round = Round::default();
            let number = report.other_sweeps;
            for group in state.groups(rng::partition_stream(self.seed ^ number as u64, ORDER, 0)) {
                let out = self.changes(rows, &problem, &norms, &state, &group, number)?.unwrap_or_default();
                let step = match group.len() {
                    1 => 1.0,
                    _ => line::search(&problem, &state.w, &out.of_weights, &state.pairs(&group, &out)),
                };
                visits += out.visits;
                round.range = round.range.and(out.range);
                round.has_moved |= step > 0.0 && out.parts.iter().any(|part| !part.rows.is_empty());
                state.apply(&group, out, step);
            }
            report.other_sweeps += 1;
            let is_settled = state.end(round);
            let since = (visits - visits_before) as f64;
            let is_due = since >= (lengths.iter().sum::<usize>() as f64).max(GAP_EVERY * visits as f64);
            if is_due || is_settled || report.other_sweeps >= self.passes_max || !state.has_moved {
                visits_before = visits;
                losses = self.losses(rows, &problem, [&state.w, &state.average])?.map(|(losses, _)| losses);
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
        let mut gaps = vec![];
        let mut gives_up = |report: &Report| {
            gaps.push((report.other_sweeps, report.gradient_norm));
            let primal = report.objective_history.last().copied().unwrap_or_default();
            self.is_hopeless(&gaps, self.tolerance * primal.abs())
        };
        let (first, gave_up) = self.descend(rows, loss, target, columns, &mut gives_up, observer)?;
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
    /// True if gaps, of which each comes with the passes before it, would take more than `passes_max` passes to reach
    /// `target`, if they went on closing as in the last passes.
    fn is_hopeless(&self, gaps: &[(usize, f64)], target: f64) -> bool {
        let Some((passes, last)) = gaps.last().copied() else { return false };
        if passes <= 2 * RATE_WINDOW {
            return false;
        }
        let Some((before, first)) = gaps.iter().rev().find(|g| g.0 + RATE_WINDOW <= passes).copied() else {
            return false;
        };
        let rate = (last / first).ln() / (passes - before) as f64;
        let more = if rate < 0.0 { (target / last).ln() / rate } else { f64::INFINITY };
        passes as f64 + more.max(0.0) > self.passes_max as f64
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
    /// The sum of losses at each of two vectors of weights, and the rows of each partition.
    fn losses<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        problem: &Problem<L>,
        ws: [&[f64]; 2],
    ) -> Result<Option<([f64; 2], Vec<usize>)>> {
        let (problem, ws) = (problem.clone(), ws.map(<[f64]>::to_vec));
        rows.fold(
            move |_, blocks| {
                check_width(blocks, problem.columns)?;
                let length = blocks.iter().map(LabeledBlock::rows).sum();
                Ok((problem.primals(blocks, [&ws[0], &ws[1]]), vec![length]))
            },
            |(left, mut lengths), (right, more)| {
                lengths.extend(more);
                ([left[0] + right[0], left[1] + right[1]], lengths)
            },
        )
    }
    /// What the partitions of a group do in a round.
    fn changes<S: Sweep, L: DualLoss>(
        &self,
        rows: &S,
        problem: &Problem<L>,
        norms: &Slots<Vec<f64>>,
        state: &State,
        group: &[usize],
        round: usize,
    ) -> Result<Option<Changes>> {
        let (problem, norms, seed, w) = (problem.clone(), norms.clone(), self.seed, state.w.clone());
        let parts: Vec<_> = group.iter().map(|p| (*p, state.parts[*p].clone())).collect();
        let pass = Pass {
            bounds: state.bounds,
            curvature: state::curvature(group.len()),
            // Newton steps in one variable become more exact as rounds go on.
            precision: (1e-2 * 0.1f64.powi(round as i32)).max(1e-8),
        };
        rows.fold(
            move |p, blocks| {
                let Some((_, part)) = parts.iter().find(|part| part.0 == p) else {
                    return Ok(Changes::default());
                };
                let missing = |norms: &mut Vec<f64>| *norms = problem.squared_norms(blocks);
                Ok(norms.with(p, 1, missing, |norms| {
                    let stream = rng::partition_stream(seed ^ round as u64, OPERATION, p);
                    problem.pass(blocks, norms, &w, part, pass, stream)
                }))
            },
            join,
        )
    }
}
