//! Working sets of columns, for any penalty whose proximal map is known.
//!
//! # What it does
//! A pass takes the products of all columns with the residual: they give the largest feasible multiple of the residual, and the
//! duality gap. The next working set is the support, and the columns that a proximal gradient step over all columns would
//! give a weight. At a solution there are none.

use super::inner::Inner;
use super::params::Structure;
use super::penalty::Penalty;
use crate::linalg::dense;
use crate::optimization::Observer;
use crate::regression::lasso::design::Design;
use crate::regression::lasso::working::{Residual, Working, square};
use crate::regression::working_sets::{Limits, Passed, Solved, WorkingSets, minimize};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Columns of a working set at least, if so many want a weight.
const COLUMNS_MIN: usize = 200;

/// Solves problems of one design and one structure, each from where the one before ended.
pub(super) struct StructuredSolver<'a> {
    design: &'a Design,
    structure: &'a Structure,
    /// The penalty of all columns.
    penalty: Box<dyn Penalty>,
    /// What it is multiplied by.
    scale: f64,
    working: Working,
    /// By column.
    weights: Vec<f64>,
    residual: Residual,
}

/// The best feasible multiple of a residual.
#[derive(Debug, Clone, Copy)]
pub(super) struct DualPoint {
    /// The value of the dual.
    pub value: f64,
}

impl DualPoint {
    /// Where `c` are the products of columns with the residual `r`, and the penalty is `scale` times that.
    pub fn new(penalty: &dyn Penalty, scale: f64, targets: &[f64], r: &[f64], c: &[f64]) -> Self {
        let (with_targets, norm) = (dense::dot(targets, r), square(r));
        if norm == 0.0 {
            return DualPoint { value: 0.0 };
        }
        let best = with_targets / norm;
        let relative: Vec<f64> = c.iter().map(|c| c / scale).collect();
        let multiple = penalty.largest_multiple(&relative, best.abs()).copysign(best);
        DualPoint { value: multiple * with_targets - 0.5 * multiple * multiple * norm }
    }
}

impl<'a> StructuredSolver<'a> {
    pub fn new(design: &'a Design, structure: &'a Structure) -> Self {
        let columns = design.columns();
        StructuredSolver {
            design,
            structure,
            penalty: structure.penalty(&(0..columns).collect::<Vec<_>>()),
            scale: 0.0,
            working: Working::new(columns),
            weights: vec![0.0; columns],
            residual: Residual { values: design.targets().to_vec(), shift: 0.0 },
        }
    }
    /// The least penalty, times the number of rows, that leaves no weights.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn largest(&self) -> Result<f64> {
        let products = self.products(self.design.targets())?;
        let size = dense::norm_inf(&products);
        if size == 0.0 {
            return Ok(0.0);
        }
        let relative: Vec<f64> = products.iter().map(|c| c / size).collect();
        // Every column has a weight of its own at least, or a node: far beyond what the structure allows is enough.
        let mut cap = 1.0;
        loop {
            let multiple = self.penalty.largest_multiple(&relative, cap);
            if multiple < cap || cap > 1e12 {
                return Ok(size / multiple);
            }
            cap *= 64.0;
        }
    }
    /// Weights of all columns.
    pub fn weights(&self) -> Vec<f64> {
        self.weights.clone()
    }
    /// Minimises, with `scale` times the penalty.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn solve(&mut self, scale: f64, limits: Limits, observer: &mut Observer<'_>) -> Result<Solved> {
        self.scale = scale;
        minimize(self, self.design.rows(), limits, observer)
    }
    /// Products of all columns with a vector; 0 of those that do not vary.
    fn products(&self, v: &[f64]) -> Result<Vec<f64>> {
        let wanted: Vec<bool> = self.design.facts().iter().map(|f| f.square > 0.0).collect();
        let wanted = Arc::new(wanted);
        let mut taken = self.design.products(&Arc::new(v.to_vec()), &wanted)?.into_iter();
        Ok(wanted.iter().map(|w| if *w { taken.next().unwrap_or(0.0) } else { 0.0 }).collect())
    }
    /// The support, and what a proximal gradient step gives most.
    fn choose(&self, products: &[f64], growth: usize) -> Vec<usize> {
        let largest = self.design.facts().iter().fold(0.0f64, |m, f| m.max(f.square));
        let step = 1.0 / largest.max(f64::MIN_POSITIVE);
        let mut moved: Vec<f64> = self.weights.iter().zip(products).map(|(b, c)| b + step * c).collect();
        self.penalty.shrink(&mut moved, step * self.scale);
        let mut set: Vec<usize> = (0..self.weights.len()).filter(|j| self.weights[*j] != 0.0).collect();
        let mut new: Vec<usize> =
            (0..moved.len()).filter(|j| moved[*j] != 0.0 && self.weights[*j] == 0.0).collect();
        // A set of columns may gain a weight only together, so what brought nothing is soon all of them.
        let room = COLUMNS_MIN.max(set.len()).saturating_mul(growth * growth);
        new.sort_by(|a, b| moved[*b].abs().total_cmp(&moved[*a].abs()).then(a.cmp(b)));
        new.truncate(room);
        set.extend(new);
        set.sort_unstable();
        set
    }
}

impl WorkingSets for StructuredSolver<'_> {
    type Pass = Vec<f64>;

    fn pass(&mut self) -> Result<Passed<Vec<f64>>> {
        let by_slot: Vec<f64> =
            (0..self.working.len()).map(|s| self.weights[self.working.number(s)]).collect();
        self.residual = self.working.residual(self.design.targets(), &by_slot);
        let r = &self.residual.values;
        let objective = 0.5 * square(r) + self.scale * self.penalty.value(&self.weights);
        let products = self.products(r)?;
        let dual = DualPoint::new(&*self.penalty, self.scale, self.design.targets(), r, &products).value;
        Ok(Passed { objective, dual, products: products.len(), of_columns: products })
    }
    fn improve(&mut self, pass: Passed<Vec<f64>>, growth: usize, gap_max: f64) -> Result<usize> {
        let set = self.choose(&pass.of_columns, growth);
        self.working.fetch(self.design, &set)?;
        let slots: Vec<usize> = set.iter().filter_map(|j| self.working.slot(*j)).collect();
        let mut inner = Inner {
            penalty: &*self.structure.penalty(&set),
            scale: self.scale,
            targets: self.design.targets(),
            working: &self.working,
            slots: &slots,
            steps: 0,
        };
        let start: Vec<f64> = set.iter().map(|j| self.weights[*j]).collect();
        let weights = inner.minimize(start, gap_max);
        set.iter().zip(weights).for_each(|(j, b)| self.weights[*j] = b);
        Ok(inner.steps)
    }
    fn weights(&self) -> &[f64] {
        &self.weights
    }
}
