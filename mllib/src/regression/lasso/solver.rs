//! The working-set algorithm.
//!
//! # What it does
//! A pass takes products of columns with the residual, scales the residual to a feasible point of the dual, and has with it
//! the duality gap, columns that are zero at every optimum (the gap-safe sphere), and how close each other column's constraint
//! is. The closest ones and the support are the next working set, whose columns are brought here and whose problem is solved
//! to a part of the gap. Most products are spared ([`super::columns`]).
//!
//! # References
//! Massias, Gramfort and Salmon, ICML 2018; Ndiaye, Fercoq, Gramfort and Salmon, Gap safe screening rules for sparsity
//! enforcing penalties, JMLR 18 (2017); Johnson and Guestrin, Blitz, ICML 2015.

use super::columns::{Columns, Seen};
use super::design::Design;
use super::fit::{Fits, RawWeights};
use super::inner::Inner;
use super::problem::{DualPoint, Problem};
use super::working::square;
use crate::optimization::Observer;
use crate::regression::working_sets::{Limits, Passed, Solved, WorkingSets, minimize};
use slackwater_dataflow::Result;

/// Epochs of one working set at most.
const EPOCHS_MAX: usize = 5_000;

/// Solves problems of one design, each from where the one before ended.
pub(super) struct Solver<'a> {
    columns: Columns<'a>,
}

impl<'a> Solver<'a> {
    /// Begins with no weights: one pass over all columns.
    pub fn new(design: &'a Design) -> Result<Self> {
        Ok(Solver { columns: Columns::new(design, design.targets().to_vec())? })
    }
    /// The largest absolute product of a column with the targets, before anything was solved.
    pub fn largest_product(&self) -> f64 {
        self.columns.largest_product()
    }
    /// Goes to these weights, of all columns, and computes the objective there and how far it is above its least value, both
    /// times the number of rows.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn gap_at(&mut self, problem: &Problem, weights: &[f64]) -> Result<(f64, f64)> {
        self.columns.revive();
        self.columns.go_to(weights)?;
        let (objective, point, _) = self.look(problem, true)?;
        Ok((objective, objective - point.value))
    }
    /// The objective, a point of the dual, and a pass.
    fn look(&mut self, problem: &Problem, plain: bool) -> Result<(f64, DualPoint, Seen)> {
        let targets = self.columns.design.targets();
        let Columns { working, state, .. } = &mut self.columns;
        state.residual = working.residual(targets, &state.weights);
        let objective = problem.objective(square(&state.residual.values), &state.weights);
        let seen = self.columns.pass(problem, plain)?;
        let state = &self.columns.state;
        let point = DualPoint::new(problem, targets, &state.residual.values, &state.weights, seen.largest);
        Ok((objective, point, seen))
    }
}

impl Fits for Solver<'_> {
    fn rows(&self) -> usize {
        self.columns.design.rows()
    }
    fn solve(&mut self, problem: Problem, limits: Limits, observer: &mut Observer<'_>) -> Result<Solved> {
        let rows = self.rows();
        self.columns.revive();
        let least = self.columns.least();
        minimize(&mut Solving { solver: self, problem, plain: limits.plain, least }, rows, limits, observer)
    }
    fn nonzeros(&self) -> usize {
        self.columns.nonzeros()
    }
    fn raw_weights(&self) -> RawWeights {
        self.columns.design.to_raw(&self.columns.weights())
    }
}

/// One problem while it is solved.
struct Solving<'s, 'a> {
    solver: &'s mut Solver<'a>,
    problem: Problem,
    /// Spare nothing.
    plain: bool,
    /// Columns of a working set at least.
    least: usize,
}

impl WorkingSets for Solving<'_, '_> {
    type Pass = (DualPoint, Seen);

    fn pass(&mut self) -> Result<Passed<(DualPoint, Seen)>> {
        let (objective, point, seen) = self.solver.look(&self.problem, self.plain)?;
        let (dual, products) = (point.value, seen.computed);
        Ok(Passed { objective, dual, products, of_columns: (point, seen) })
    }
    fn improve(&mut self, passed: Passed<(DualPoint, Seen)>, growth: usize, gap_max: f64) -> Result<usize> {
        let Solving { solver: Solver { columns }, problem, .. } = self;
        let (point, seen) = &passed.of_columns;
        if !self.plain {
            // The squared radius of the sphere around the dual point is twice the gap.
            let radius = (2.0 * (passed.objective - passed.dual).max(0.0)).sqrt();
            columns.screen(problem, seen, point.scale, |square| (square + problem.mu).sqrt() * radius);
        }
        let least = self.least.saturating_mul(growth);
        let slots = columns.working_set(problem, seen, point.scale, least)?;
        let (targets, working) = (columns.design.targets(), &mut columns.working);
        let mut inner = Inner { problem: *problem, targets, working, epochs: 0 };
        inner.minimize(&mut columns.state, &slots, gap_max, EPOCHS_MAX);
        Ok(inner.epochs)
    }
    fn weights(&self) -> &[f64] {
        &self.solver.columns.state.weights
    }
}

#[cfg(test)]
mod tests {
    use super::super::column::{ColumnBlock, Scaling};
    use super::*;
    use crate::optimization::silent;
    use slackwater_dataflow::rng;

    /// Columns in groups that share a factor, and targets of a few of them.
    fn made(rows: usize, columns: usize, seed: u64) -> Design {
        let mut rng = rng::stream(seed, 0);
        let mut normal = || rng::normal(&mut rng);
        let factors: Vec<f64> = (0..rows * 8).map(|_| normal()).collect();
        let x: Vec<f64> = (0..columns)
            .flat_map(|j| (0..rows).map(move |i| (i, j)))
            .map(|(i, j)| 0.8 * factors[i * 8 + j % 8] + 0.6 * normal())
            .collect();
        let y = (0..rows)
            .map(|i| (0..columns).step_by(columns / 10).map(|j| x[j * rows + i]).sum::<f64>() + normal())
            .collect();
        let scaling = Scaling { center: true, standardize: true };
        Design::in_program(vec![ColumnBlock::dense(0, rows, x, scaling)], y, scaling).unwrap()
    }

    /// Screening and bounds spare work, and change nothing: no column that an optimum uses is left out.
    #[test]
    fn what_is_screened_has_no_weight() {
        let mut spared = 0;
        for seed in 0..6 {
            let design = made(60, 700, seed);
            let y = square(design.targets());
            let limits = |plain| Limits { gap: 1e-13 * y, passes: 200, plain };
            let mut path = Solver::new(&design).unwrap();
            let largest = path.largest_product();
            for part in [0.5, 0.2, 0.05] {
                for ridge in [0.0, 0.1] {
                    let problem = Problem { alpha: part * largest, mu: ridge * part * largest };
                    let screened = path.solve(problem, limits(false), &mut silent).unwrap();
                    let mut plain = Solver::new(&design).unwrap();
                    let unscreened = plain.solve(problem, limits(true), &mut silent).unwrap();
                    let (a, b) = (screened.history.last().unwrap(), unscreened.history.last().unwrap());
                    assert!((a - b).abs() <= 1e-12 * b, "{part} {ridge}: {a} {b}");
                    assert!(screened.gap * 60.0 <= 1e-13 * y, "{screened:?}");
                    for (j, w) in plain.columns.weights().iter().enumerate() {
                        assert!(
                            path.columns.alive[j] || *w == 0.0,
                            "{part} {ridge}: column {j} with {w} was left out"
                        );
                        assert!((w - path.columns.weights()[j]).abs() < 1e-5, "column {j}");
                    }
                    spared += path.columns.alive.iter().filter(|alive| !**alive).count();
                    assert!(screened.products < unscreened.products, "{part} {ridge}");
                }
            }
        }
        assert!(spared > 6 * 6 * 100, "{spared} of {} were screened", 6 * 6 * 700);
    }

    /// What a bound spares is within it: a pass with bounds has the dual point of one without, or a better bound of it.
    #[test]
    fn bounds_hold() {
        let design = made(40, 300, 9);
        let mut solver = Solver::new(&design).unwrap();
        let problem = Problem { alpha: 0.1 * solver.largest_product(), mu: 0.0 };
        let limits = Limits { gap: 0.0, passes: 4, plain: false };
        solver.solve(problem, limits, &mut silent).unwrap();
        solver.columns.state.weights.iter_mut().for_each(|w| *w *= 0.999);
        solver.columns.alive.fill(true);
        let bounded = solver.look(&problem, false).unwrap().2;
        let plain = solver.look(&problem, true).unwrap().2;
        assert!(bounded.computed < 300 && plain.computed == 300, "{}", bounded.computed);
        for j in 0..300 {
            assert!(bounded.bounds[j] >= plain.bounds[j] * (1.0 - 1e-12), "column {j}");
        }
    }
}
