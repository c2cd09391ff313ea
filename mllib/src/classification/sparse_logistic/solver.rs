//! Working sets for the logistic loss.
//!
//! # What it does
//! As [for the lasso](crate::regression::lasso): a pass takes products of columns with the residual, scales it to a point of
//! the dual, leaves out what the gap-safe sphere rules out, and takes the closest constraints for the next working set, which
//! [`super::inner`] minimises over. The entropy's curvature is at least 4, so the sphere has half the lasso's radius.

use super::problem::{Point, Rows};
use crate::optimization::Observer;
use crate::regression::lasso::Design;
use crate::regression::lasso::columns::{Columns, Seen};
use crate::regression::lasso::fit::{Fits, RawWeights};
use crate::regression::lasso::problem::{DualPoint, Problem};
use crate::regression::working_sets::{Limits, Passed, Solved, WorkingSets, minimize};
use slackwater_dataflow::Result;

/// Solves problems of one design, each from where the one before ended.
pub(super) struct Solver<'a> {
    pub columns: Columns<'a>,
    pub rows: Rows,
    /// Where it is.
    pub at: Point,
    /// The loss without weights.
    pub null: f64,
}

impl<'a> Solver<'a> {
    /// Begins with no weights: one pass over all columns.
    pub fn new(design: &'a Design, rows: Rows) -> Result<Self> {
        let at = rows.null();
        let columns = Columns::new(design, rows.residual(&at))?;
        Ok(Solver { columns, rows, null: at.loss, at })
    }
    /// The least penalty that leaves no weights.
    pub fn largest(&self, l1_ratio: f64) -> f64 {
        self.columns.largest_product() / (self.rows.signs.len() as f64 * l1_ratio)
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
        let linear = self.linear();
        self.at = self.rows.at(&linear, self.at.intercept);
        self.columns.state.residual.values = self.rows.residual(&self.at);
        let seen = self.columns.pass(problem, plain)?;
        let state = &self.columns.state;
        let objective = self.at.loss + problem.penalty(&state.weights);
        let point = self.rows.dual(problem, &state.residual.values, &state.weights, seen.largest);
        Ok((objective, point, seen))
    }
    /// Margins of rows, but for the intercept.
    pub fn linear(&self) -> Vec<f64> {
        let minus: Vec<f64> = self.columns.state.weights.iter().map(|w| -w).collect();
        self.columns.working.residual(&vec![0.0; self.rows.signs.len()], &minus).values
    }
}

impl Fits for Solver<'_> {
    fn rows(&self) -> usize {
        self.rows.signs.len()
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
        self.columns.design.to_raw_with(&self.columns.weights(), self.at.intercept)
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
        let Solving { solver, problem, plain, least } = self;
        let (point, seen) = &passed.of_columns;
        if !*plain {
            // At the optimum the dual is higher by `2 |u - u*|² + 1/2 |v - v*|²` at least, and by no more than the gap.
            let radius = (2.0 * (passed.objective - passed.dual).max(0.0)).sqrt();
            let reach = |square: f64| (square / 4.0 + problem.mu).sqrt() * radius;
            solver.columns.screen(problem, seen, point.scale, reach);
        }
        let slots = solver.columns.working_set(problem, seen, point.scale, least.saturating_mul(growth))?;
        Ok(solver.minimize(problem, &slots, gap_max))
    }
    fn weights(&self) -> &[f64] {
        &self.solver.columns.state.weights
    }
}
