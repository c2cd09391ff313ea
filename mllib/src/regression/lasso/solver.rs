//! The working-set algorithm.
//!
//! # What it does
//! A pass takes products of columns with the residual, scales the residual to a feasible point of the dual, and has with it
//! the duality gap, columns that are zero at every optimum (the gap-safe sphere), and how close each other column's constraint
//! is. The closest ones and the support are the next working set, whose columns are brought here and whose problem is solved
//! to a part of the gap.
//!
//! Products are spared where they cannot matter: a column's product has changed by at most its norm times the distance of
//! the residual from the one it was taken with, and a column whose constraint holds by that bound neither limits the
//! dual point nor is it looked for. So the last passes of a problem, and most of a path, touch few columns. The bounds
//! are a safe form of sequential screening: they go from one penalty to the next.
//!
//! # References
//! Massias, Gramfort and Salmon, ICML 2018; Ndiaye, Fercoq, Gramfort and Salmon, Gap safe screening rules for sparsity
//! enforcing penalties, JMLR 18 (2017); Johnson and Guestrin, Blitz, ICML 2015.

use super::design::Design;
use super::inner::{Inner, State};
use super::problem::{DualPoint, Problem};
use super::working::{Residual, Working, square};
use crate::linalg::{dense, widest};
use crate::optimization::Observer;
use crate::regression::working_sets::{Limits, Passed, Solved, WorkingSets, minimize};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Columns of a working set at least, if there are so many.
const WORKING_SET_MIN: usize = 100;
/// The first working set has this part of all columns (but not more than half as many as there are rows).
const FIRST_SHARE: f64 = 0.005;
/// Epochs of one working set at most.
const EPOCHS_MAX: usize = 5_000;
/// Residuals that products are kept of.
const VERSIONS_MAX: usize = 24;
/// What rounding may add to a bound, relative to norms.
const ROUNDING: f64 = 1e-12;

/// Solves problems of one design, each from where the one before ended.
pub(super) struct Solver<'a> {
    design: &'a Design,
    working: Working,
    state: State,
    /// By column: its last product with a residual, and with which.
    products: Vec<f64>,
    versions: Vec<u32>,
    residuals: Vec<Option<Arc<Vec<f64>>>>,
    norms: Vec<f64>,
    /// By column: false if it does not vary, or was screened for the last problem.
    alive: Vec<bool>,
}

/// What a pass found.
struct Pass {
    point: DualPoint,
    /// By column: an upper bound of its absolute product with the residual, weights of ridge included.
    bounds: Vec<f64>,
    /// By column: true if the bound is the product itself.
    exact: Vec<bool>,
    computed: usize,
}

impl<'a> Solver<'a> {
    /// Begins with no weights: one pass over all columns.
    pub fn new(design: &'a Design) -> Result<Self> {
        let p = design.columns();
        let norms: Vec<f64> = design.facts().iter().map(|f| f.square.sqrt()).collect();
        let y = Arc::new(design.targets().to_vec());
        let wanted = Arc::new(norms.iter().map(|n| *n > 0.0).collect::<Vec<bool>>());
        let taken = design.products(&y, &wanted)?;
        let mut products = vec![0.0; p];
        let places = wanted.iter().enumerate().filter(|(_, wanted)| **wanted);
        places.zip(taken).for_each(|((j, _), product)| products[j] = product);
        let residual = Residual { values: y.to_vec(), shift: 0.0 };
        Ok(Solver {
            design,
            working: Working::new(p),
            state: State { weights: vec![], residual },
            products,
            versions: vec![0; p],
            residuals: vec![Some(y)],
            norms,
            alive: wanted.to_vec(),
        })
    }
    /// The largest absolute product of a column with the targets, before anything was solved.
    pub fn largest_product(&self) -> f64 {
        dense::norm_inf(&self.products)
    }
    /// Weights of columns, all of them.
    pub fn weights(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.design.columns()];
        for (slot, w) in self.state.weights.iter().enumerate() {
            weights[self.working.number(slot)] = *w;
        }
        weights
    }
    /// Number of weights that are not zero.
    pub fn nonzeros(&self) -> usize {
        self.state.weights.iter().filter(|w| **w != 0.0).count()
    }
    /// Goes to these weights, of all columns, and computes the objective there and how far it is above its least value, both
    /// times the number of rows.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn gap_at(&mut self, problem: &Problem, weights: &[f64]) -> Result<(f64, f64)> {
        self.alive = self.norms.iter().map(|norm| *norm > 0.0).collect();
        let columns: Vec<usize> = (0..weights.len()).filter(|j| weights[*j] != 0.0).collect();
        self.working.fetch(self.design, &columns)?;
        self.state.weights = (0..self.working.len()).map(|slot| weights[self.working.number(slot)]).collect();
        self.state.residual = self.working.residual(self.design.targets(), &self.state.weights);
        let objective = problem.objective(square(&self.state.residual.values), &self.state.weights);
        let pass = self.pass(problem, true)?;
        Ok((objective, objective - pass.point.value))
    }
    /// Minimises.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn solve(&mut self, problem: Problem, limits: Limits, observer: &mut Observer<'_>) -> Result<Solved> {
        let (rows, p) = (self.design.rows(), self.design.columns());
        self.alive = self.norms.iter().map(|norm| *norm > 0.0).collect();
        let share = ((FIRST_SHARE * p as f64) as usize).min(rows / 2);
        let least = share.max(WORKING_SET_MIN);
        minimize(&mut Solving { solver: self, problem, plain: limits.plain, least }, rows, limits, observer)
    }
    fn weight(&self, column: usize) -> f64 {
        self.working.slot(column).map_or(0.0, |slot| self.state.weights[slot])
    }
    /// Takes the products that matter, and scales the residual.
    fn pass(&mut self, problem: &Problem, plain: bool) -> Result<Pass> {
        let p = self.design.columns();
        let r = Arc::new(self.state.residual.values.clone());
        let mut used = vec![false; self.residuals.len()];
        // Those of screened columns, too: the next problem has them again.
        self.versions.iter().for_each(|v| used[*v as usize] = true);
        // Of too many residuals the oldest are given up: their columns are taken again.
        let mut kept = 0;
        for (used, residual) in used.iter_mut().zip(&mut self.residuals).rev() {
            kept += usize::from(*used);
            if !*used || kept > VERSIONS_MAX {
                *residual = None;
            }
        }
        let norm = square(&r).sqrt();
        let distances: Vec<f64> = self
            .residuals
            .iter()
            .map(|of| of.as_ref().map_or(f64::INFINITY, |of| dense::distance(of, &r)))
            .collect();
        let mut bounds = vec![0.0; p];
        let mut exact = vec![false; p];
        let mut far = vec![false; p];
        let (mut here, mut any) = (vec![], false);
        for j in (0..p).filter(|j| self.alive[*j]) {
            let distance = distances[self.versions[j] as usize];
            if distance == 0.0 && !plain {
                // It was taken with this very residual.
                exact[j] = true;
                continue;
            }
            bounds[j] = self.products[j].abs() + self.norms[j] * (distance + ROUNDING * norm);
            if bounds[j] > problem.alpha || plain || self.weight(j) != 0.0 {
                exact[j] = true;
                match self.working.slot(j) {
                    Some(slot) => here.push((j, slot)),
                    None => (far[j], any) = (true, true),
                }
            }
        }
        let version = self.residuals.len() as u32;
        let mut computed = here.len();
        let (working, residual) = (&self.working, &self.state.residual);
        widest(|| here.iter().for_each(|(j, slot)| self.products[*j] = working.dot(*slot, residual)));
        if any {
            let far = Arc::new(far);
            let taken = self.design.products(&r, &far)?;
            computed += taken.len();
            let places = far.iter().enumerate().filter(|(_, far)| **far);
            places.zip(taken).for_each(|((j, _), product)| self.products[j] = product);
        }
        let mut largest: f64 = 0.0;
        for j in 0..p {
            if exact[j] {
                self.versions[j] = version;
                bounds[j] = (self.products[j] - problem.mu * self.weight(j)).abs();
            }
            largest = largest.max(bounds[j]);
        }
        self.residuals.push(Some(r.clone()));
        let point = DualPoint::new(problem, self.design.targets(), &r, &self.state.weights, largest);
        Ok(Pass { point, bounds, exact, computed })
    }
    /// Leaves out the columns that no optimum uses.
    ///
    /// Those of the sphere around the dual point whose squared radius is twice the gap cannot reach `alpha`. Columns with a
    /// weight stay: the next working set takes it from them.
    fn screen(&mut self, problem: &Problem, pass: &Pass, gap: f64) {
        let radius = (2.0 * gap.max(0.0)).sqrt();
        let scale = pass.point.scale.abs();
        for j in 0..self.alive.len() {
            let norm = (self.norms[j] * self.norms[j] + problem.mu).sqrt();
            if self.alive[j] && scale * pass.bounds[j] + norm * radius < problem.alpha * (1.0 - ROUNDING) {
                self.alive[j] = self.weight(j) != 0.0;
            }
        }
    }
    /// The columns with weights, and those whose constraints are closest, as many again or `least` in all; brought here.
    fn working_set(&mut self, problem: &Problem, pass: &Pass, least: usize) -> Result<Vec<u32>> {
        let p = self.design.columns();
        let scale = pass.point.scale.abs();
        let mut columns: Vec<usize> = vec![];
        let mut closest: Vec<(f64, usize)> = vec![];
        for j in 0..p {
            if self.weight(j) != 0.0 {
                columns.push(j);
            } else if self.alive[j] && pass.exact[j] {
                closest.push(((problem.alpha - scale * pass.bounds[j]) / self.norms[j], j));
            }
        }
        let size = (2 * columns.len()).max(least);
        let room = size - columns.len();
        if closest.len() > room {
            closest.select_nth_unstable_by(room, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            closest.truncate(room);
        }
        columns.extend(closest.iter().map(|(_, j)| *j));
        columns.sort_unstable();
        self.working.fetch(self.design, &columns)?;
        self.state.weights.resize(self.working.len(), 0.0);
        Ok(columns.iter().filter_map(|j| self.working.slot(*j)).map(|slot| slot as u32).collect())
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
    type Pass = Pass;

    fn pass(&mut self) -> Result<Passed<Pass>> {
        let Solving { solver, problem, .. } = self;
        let state = &mut solver.state;
        state.residual = solver.working.residual(solver.design.targets(), &state.weights);
        let objective = problem.objective(square(&state.residual.values), &state.weights);
        let pass = solver.pass(problem, self.plain)?;
        Ok(Passed { objective, dual: pass.point.value, products: pass.computed, of_columns: pass })
    }
    fn improve(&mut self, passed: Passed<Pass>, growth: usize, gap_max: f64) -> Result<usize> {
        let Solving { solver, problem, .. } = self;
        let pass = &passed.of_columns;
        if !self.plain {
            solver.screen(problem, pass, passed.objective - passed.dual);
        }
        let slots = solver.working_set(problem, pass, self.least.saturating_mul(growth))?;
        let (targets, working) = (solver.design.targets(), &mut solver.working);
        let mut inner = Inner { problem: *problem, targets, working, epochs: 0 };
        inner.minimize(&mut solver.state, &slots, gap_max, EPOCHS_MAX);
        Ok(inner.epochs)
    }
    fn weights(&self) -> &[f64] {
        &self.solver.state.weights
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
                    for (j, w) in plain.weights().iter().enumerate() {
                        assert!(
                            path.alive[j] || *w == 0.0,
                            "{part} {ridge}: column {j} with {w} was left out"
                        );
                        assert!((w - path.weights()[j]).abs() < 1e-5, "column {j}");
                    }
                    spared += path.alive.iter().filter(|alive| !**alive).count();
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
        solver.state.weights.iter_mut().for_each(|w| *w *= 0.999);
        solver.state.residual = solver.working.residual(design.targets(), &solver.state.weights);
        solver.alive.fill(true);
        let bounded = solver.pass(&problem, false).unwrap();
        let plain = solver.pass(&problem, true).unwrap();
        assert!(bounded.computed < 300 && plain.computed == 300, "{}", bounded.computed);
        for j in 0..300 {
            assert!(bounded.bounds[j] >= plain.bounds[j] * (1.0 - 1e-12), "column {j}");
        }
    }
}
