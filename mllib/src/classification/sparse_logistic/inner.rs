//! The problem of a working set: proximal Newton steps.
//!
//! # What it does
//! Where it is, the loss is replaced by its model of second order. With the penalty that is a lasso on rows that are weighted by
//! their curvature, where the intercept is taken out by centring columns in that weighting; the lasso's
//! [inner solver](crate::regression::lasso) takes it to a part of the gap. A line search along the way to there follows, with
//! the best intercept for every length.
//!
//! Objectives are known to a part in `1e16`, and gaps want weights whose effect on the objective is smaller than that. So where the
//! model promises less than objectives can show, it is solved by the normal equations of its support, or to a smaller gap if
//! those are too many, and the step is kept if the gap becomes less.
//!
//! # References
//! Friedman, Hastie and Tibshirani, J. Stat. Soft. 33 (2010); Yuan, Ho and Lin, JMLR 13 (2012), sections 3 and 4.

use super::problem::Point;
use super::solver::Solver;
use crate::linalg::{cholesky::Cholesky, dense, widest};
use crate::regression::lasso::inner::{Inner, State};
use crate::regression::lasso::problem::Problem;
use crate::regression::lasso::working::{Residual, Working};

/// Steps on one working set at most.
const STEPS_MAX: usize = 100;
/// A model is solved to this part of the gap,
const MODEL_GAP: f64 = 0.01;
/// in as many epochs at most.
const EPOCHS_MAX: usize = 1_000;
/// Curvatures are at least this part of the largest one: a model is not steeper than that.
const CURVATURE_MIN: f64 = 1e-10;
/// Part of what the model promises that a step must bring, and halvings of it.
const SUFFICIENT: f64 = 1e-4;
const HALVINGS_MAX: usize = 40;
/// Normal equations are solved if they take no more than so many epochs do; otherwise
const EQUATIONS_MAX: f64 = 200.0;
/// models are solved to this part of the gap.
const BLIND_GAP: f64 = 1e-4;
/// Objectives are compared if they ought to differ by more than this part,
const VISIBLE: f64 = 1e-11;
/// and otherwise gaps are, which are to become less by a part of them.
const CLOSER: f64 = 0.9;

/// A place to go back to.
struct Place {
    weights: Vec<f64>,
    linear: Vec<f64>,
    at: Point,
    objective: f64,
    gap: f64,
}

impl Solver<'_> {
    /// Minimises over the columns in `slots`, until the gap of their problem is at most `gap_max` or rounding ends it; the
    /// number of epochs.
    pub(super) fn minimize(&mut self, problem: &Problem, slots: &[u32], gap_max: f64) -> usize {
        let mut epochs = 0;
        let mut linear = self.linear();
        let mut gradients = vec![0.0; slots.len()];
        let mut before: Option<Place> = None;
        for _ in 0..STEPS_MAX {
            self.columns.state.residual.values = self.rows.residual(&self.at);
            let objective = self.at.loss + problem.penalty(&self.columns.state.weights);
            let gap = objective - self.dual_of(problem, slots, &mut gradients);
            if let Some(place) = before.take().filter(|place| gap > CLOSER * place.gap) {
                // A step that could not be judged by its objective has not brought the gap down.
                if gap > place.gap {
                    (self.columns.state.weights, self.at) = (place.weights, place.at);
                }
                break;
            }
            if gap <= gap_max {
                break;
            }
            let curvatures = self.curvatures();
            let first: Vec<f64> = slots.iter().map(|s| self.columns.state.weights[*s as usize]).collect();
            let mut model = Model::new(self, problem, slots, &curvatures, &first);
            epochs += model.minimize((MODEL_GAP * gap).max(0.1 * gap_max));
            let mut way = Way::new(self, problem, slots, &curvatures, &first, &model.state.weights);
            let blind = way.promise >= -VISIBLE * objective;
            if blind {
                let exact = match model.is_support_small() {
                    // It may have columns that depend on each other, or may not be that of the minimum.
                    true => model.solve_support(),
                    false => {
                        epochs += model.minimize(BLIND_GAP * gap);
                        Some(model.state.weights.clone())
                    }
                };
                if let Some(weights) = exact {
                    way = Way::new(self, problem, slots, &curvatures, &first, &weights);
                }
            }
            if way.weights.iter().all(|d| *d == 0.0) {
                break;
            }
            let place = Place {
                weights: self.columns.state.weights.clone(),
                linear: linear.clone(),
                at: self.at.clone(),
                objective,
                gap,
            };
            let Some(there) = self.walk(problem, slots, &way, &place, blind) else { break };
            linear = there;
            before = blind.then_some(place);
        }
        epochs
    }
    /// The value of the dual for the columns in `slots` alone; `gradients` become their products.
    fn dual_of(&self, problem: &Problem, slots: &[u32], gradients: &mut [f64]) -> f64 {
        let (working, state) = (&self.columns.working, &self.columns.state);
        widest(
            #[inline(always)]
            || {
                for (g, slot) in gradients.iter_mut().zip(slots) {
                    let slot = *slot as usize;
                    *g = working.dot(slot, &state.residual) - problem.mu * state.weights[slot];
                }
            },
        );
        let largest = dense::norm_inf(gradients);
        self.rows.dual(problem, &state.residual.values, &state.weights, largest).value
    }
    /// Curvatures of the loss by row.
    fn curvatures(&self) -> Vec<f64> {
        let mut curvatures = self.at.curvatures.clone();
        let least = (CURVATURE_MIN * dense::norm_inf(&curvatures)).max(f64::MIN_POSITIVE);
        curvatures.iter_mut().for_each(|d| *d = d.max(least));
        curvatures
    }
    /// Goes along a way as far as it is good; the margins there, or none if it is not good at all.
    fn walk(
        &mut self,
        problem: &Problem,
        slots: &[u32],
        way: &Way,
        from: &Place,
        blind: bool,
    ) -> Option<Vec<f64>> {
        let mut part = 1.0;
        for _ in 0..=HALVINGS_MAX {
            let mut linear = from.linear.clone();
            dense::axpy(part, &way.linear, &mut linear);
            let at = self.rows.at(&linear, from.at.intercept + part * way.intercept);
            let weights = &mut self.columns.state.weights;
            for (slot, d) in slots.iter().zip(&way.weights) {
                let slot = *slot as usize;
                weights[slot] = from.weights[slot] + part * d;
            }
            let now = at.loss + problem.penalty(weights);
            if blind || now <= from.objective + SUFFICIENT * part * way.promise {
                self.at = at;
                return Some(linear);
            }
            part *= 0.5;
        }
        self.columns.state.weights.clone_from(&from.weights);
        None
    }
}

/// From here to the minimum of a model.
struct Way {
    /// By place in the working set.
    weights: Vec<f64>,
    /// By row, but for the intercept.
    linear: Vec<f64>,
    intercept: f64,
    /// By how much the objective grows, to first order in the loss.
    promise: f64,
}

impl Way {
    fn new(
        solver: &Solver<'_>,
        problem: &Problem,
        slots: &[u32],
        curvatures: &[f64],
        from: &[f64],
        to: &[f64],
    ) -> Self {
        let weights: Vec<f64> = to.iter().zip(from).map(|(to, from)| to - from).collect();
        let (working, r) = (&solver.columns.working, &solver.columns.state.residual.values);
        let mut image = Residual { values: vec![0.0; r.len()], shift: 0.0 };
        widest(
            #[inline(always)]
            || {
                for (slot, d) in slots.iter().zip(&weights) {
                    if *d != 0.0 {
                        working.axpy(*slot as usize, *d, &mut image);
                    }
                }
            },
        );
        working.settle(&mut image);
        let linear = image.values;
        let intercept = match solver.rows.intercept {
            true => -dense::dot(curvatures, &linear) / curvatures.iter().sum::<f64>(),
            false => 0.0,
        };
        // Residuals have the sum 0 if there is an intercept.
        let promise = problem.penalty(to) - problem.penalty(from) - dense::dot(r, &linear);
        Way { weights, linear, intercept, promise }
    }
}

/// The model of second order: a lasso.
struct Model {
    problem: Problem,
    columns: Working,
    targets: Vec<f64>,
    state: State,
}

impl Model {
    fn new(
        solver: &Solver<'_>,
        problem: &Problem,
        slots: &[u32],
        curvatures: &[f64],
        weights: &[f64],
    ) -> Self {
        let roots: Vec<f64> = curvatures.iter().map(|d| d.sqrt()).collect();
        let r = &solver.columns.state.residual.values;
        let values: Vec<f64> = r.iter().zip(&roots).map(|(r, u)| r / u).collect();
        let mut columns = solver.columns.working.weighted(slots, roots, solver.rows.intercept);
        let minus: Vec<f64> = weights.iter().map(|w| -w).collect();
        let targets = columns.residual(&values, &minus).values;
        columns.set_targets(&targets);
        let state = State { weights: weights.to_vec(), residual: Residual { values, shift: 0.0 } };
        Model { problem: *problem, columns, targets, state }
    }
    /// Goes to the minimum; the number of epochs.
    fn minimize(&mut self, gap_max: f64) -> usize {
        let all: Vec<u32> = (0..self.columns.len() as u32).collect();
        let (problem, targets, working) = (self.problem, &self.targets[..], &mut self.columns);
        let mut inner = Inner { problem, targets, working, epochs: 0 };
        inner.minimize(&mut self.state, &all, gap_max, EPOCHS_MAX);
        inner.epochs
    }
    fn support(&self) -> Vec<u32> {
        (0..self.columns.len() as u32).filter(|s| self.state.weights[*s as usize] != 0.0).collect()
    }
    fn is_support_small(&self) -> bool {
        let support = self.support();
        let (size, stored) = (support.len() as f64, self.columns.stored(&support) as f64);
        // Products of columns, and the factorisation; an epoch takes two operations a stored value.
        size * stored / 2.0 + size.powi(3) / 6.0 <= EQUATIONS_MAX * 2.0 * stored
    }
    /// The minimum over the support, if it has the same signs.
    fn solve_support(&mut self) -> Option<Vec<f64>> {
        let Problem { alpha, mu } = self.problem;
        let (weights, support) = (&self.state.weights, self.support());
        let mut lower = self.columns.gram(&support, self.targets.len());
        (0..support.len()).for_each(|i| lower[i * (i + 1) / 2 + i] += mu);
        let factor = Cholesky::new(lower, support.len()).ok()?;
        let of = |s: &u32| self.columns.with_targets[*s as usize] - alpha.copysign(weights[*s as usize]);
        let mut solution: Vec<f64> = support.iter().map(of).collect();
        factor.solve(&mut solution);
        let mut solved = weights.clone();
        for (s, w) in support.iter().zip(solution) {
            let place = &mut solved[*s as usize];
            if *place * w <= 0.0 {
                return None;
            }
            *place = w;
        }
        Some(solved)
    }
}
