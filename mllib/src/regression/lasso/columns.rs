//! What a solver by working sets knows of the columns of a design, whatever its loss is.
//!
//! # What it does
//! Keeps the weights and a residual (minus the gradient of the loss by rows), takes products of columns with it where they
//! matter, leaves columns out that no optimum uses, and chooses working sets.
//!
//! Products are spared where they cannot matter: a column's product has changed by at most its norm times the distance of
//! the residual from the one it was taken with, and a column whose constraint holds by that bound neither limits the
//! dual point nor is it looked for. So the last passes of a problem, and most of a path, touch few columns. The bounds
//! are a safe form of sequential screening: they go from one penalty to the next.

use super::design::Design;
use super::inner::State;
use super::problem::Problem;
use super::working::{Residual, Working, square};
use crate::linalg::{dense, widest};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Columns of a working set at least, if there are so many.
const WORKING_SET_MIN: usize = 100;
/// The first working set has this part of all columns (but not more than half as many as there are rows).
const FIRST_SHARE: f64 = 0.005;
/// Residuals that products are kept of.
const VERSIONS_MAX: usize = 24;
/// What rounding may add to a bound, relative to norms.
const ROUNDING: f64 = 1e-12;

/// Weights, a residual, and the last products of all columns.
pub(crate) struct Columns<'a> {
    pub design: &'a Design,
    pub working: Working,
    pub state: State,
    /// By column: its last product with a residual, and with which.
    products: Vec<f64>,
    versions: Vec<u32>,
    residuals: Vec<Option<Arc<Vec<f64>>>>,
    norms: Vec<f64>,
    /// By column: false if it does not vary, or was screened for the last problem.
    pub alive: Vec<bool>,
}

/// What a pass found.
pub(crate) struct Seen {
    /// By column: an upper bound of its absolute product with the residual, weights of ridge included.
    pub bounds: Vec<f64>,
    /// By column: true if the bound is the product itself.
    exact: Vec<bool>,
    /// The largest bound.
    pub largest: f64,
    /// Products that were taken.
    pub computed: usize,
}

impl<'a> Columns<'a> {
    /// Begins with no weights, where the residual is `first`: one pass over all columns.
    pub fn new(design: &'a Design, first: Vec<f64>) -> Result<Self> {
        let p = design.columns();
        let norms: Vec<f64> = design.facts().iter().map(|f| f.square.sqrt()).collect();
        let first = Arc::new(first);
        let wanted = Arc::new(norms.iter().map(|n| *n > 0.0).collect::<Vec<bool>>());
        let taken = design.products(&first, &wanted)?;
        let mut products = vec![0.0; p];
        let places = wanted.iter().enumerate().filter(|(_, wanted)| **wanted);
        places.zip(taken).for_each(|((j, _), product)| products[j] = product);
        let residual = Residual { values: first.to_vec(), shift: 0.0 };
        Ok(Columns {
            design,
            working: Working::new(p),
            state: State { weights: vec![], residual },
            products,
            versions: vec![0; p],
            residuals: vec![Some(first)],
            norms,
            alive: wanted.to_vec(),
        })
    }
    /// The largest absolute product of a column with the first residual, before anything was solved.
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
    /// Goes to these weights, of all columns; the residual is left to the caller.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn go_to(&mut self, weights: &[f64]) -> Result<()> {
        let columns: Vec<usize> = (0..weights.len()).filter(|j| weights[*j] != 0.0).collect();
        self.working.fetch(self.design, &columns)?;
        self.state.weights = (0..self.working.len()).map(|slot| weights[self.working.number(slot)]).collect();
        Ok(())
    }
    /// Forgets what was screened: for another problem.
    pub fn revive(&mut self) {
        self.alive = self.norms.iter().map(|norm| *norm > 0.0).collect();
    }
    /// Columns that a working set has at least.
    pub fn least(&self) -> usize {
        let share = (FIRST_SHARE * self.design.columns() as f64) as usize;
        share.min(self.design.rows() / 2).max(WORKING_SET_MIN)
    }
    fn weight(&self, column: usize) -> f64 {
        self.working.slot(column).map_or(0.0, |slot| self.state.weights[slot])
    }
    /// Takes the products with the residual that matter; all of them if it is `plain`.
    pub fn pass(&mut self, problem: &Problem, plain: bool) -> Result<Seen> {
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
        widest(
            #[inline(always)]
            || here.iter().for_each(|(j, slot)| self.products[*j] = working.dot(*slot, residual)),
        );
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
        self.residuals.push(Some(r));
        Ok(Seen { bounds, exact, largest, computed })
    }
    /// Leaves out the columns that no optimum uses.
    ///
    /// `scale` times the residual is a feasible point of the dual; the optimum is so close to it that the product of a column of
    /// squared norm `x` with it is within `reach(x)`. Columns with a weight stay: the next working set takes it from
    /// them.
    pub fn screen(&mut self, problem: &Problem, seen: &Seen, scale: f64, reach: impl Fn(f64) -> f64) {
        let scale = scale.abs();
        for j in 0..self.alive.len() {
            let near = scale * seen.bounds[j] + reach(self.norms[j] * self.norms[j]);
            if self.alive[j] && near < problem.alpha * (1.0 - ROUNDING) {
                self.alive[j] = self.weight(j) != 0.0;
            }
        }
    }
    /// The columns with weights, and those whose constraints are closest, as many again or `least` in all; brought here.
    pub fn working_set(
        &mut self,
        problem: &Problem,
        seen: &Seen,
        scale: f64,
        least: usize,
    ) -> Result<Vec<u32>> {
        let p = self.design.columns();
        let scale = scale.abs();
        let mut columns: Vec<usize> = vec![];
        let mut closest: Vec<(f64, usize)> = vec![];
        for j in 0..p {
            if self.weight(j) != 0.0 {
                columns.push(j);
            } else if self.alive[j] && seen.exact[j] {
                closest.push(((problem.alpha - scale * seen.bounds[j]) / self.norms[j], j));
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
