//! Working sets of groups.
//!
//! # What it does
//! A pass takes the products of all columns with the residual: they give the best feasible multiple of the residual, the duality
//! gap, and how strained each group is. The support and the most strained groups are the next working set, over which
//! groups are minimised one after the other, with Anderson extrapolation, to a part of the gap.
//!
//! A group is minimised by proximal gradient steps on the products between its own columns, so the residual is touched once
//! a visit, however many steps there are.
//!
//! # References
//! Yuan and Lin, JRSS B 68 (2006); Simon, Friedman, Hastie and Tibshirani, A sparse-group lasso, JCGS 22 (2013); Ndiaye et al.,
//! GAP safe screening rules for sparse-group lasso, NIPS 2016; Massias, Gramfort and Salmon, ICML 2018 (working sets).

use super::groups::Groups;
use super::penalty::GroupPenalty;
use crate::linalg::{dense, widest};
use crate::optimization::Observer;
use crate::regression::lasso::design::Design;
use crate::regression::lasso::inner::{DIFFERENCES, anderson};
use crate::regression::lasso::working::{Residual, Working, square};
use crate::regression::working_sets::{Limits, Passed, Solved, WorkingSets, minimize};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// Columns of a working set at least, if there are so many.
const COLUMNS_MIN: usize = 100;
/// Epochs of one working set at most.
const EPOCHS_MAX: usize = 5_000;
/// Epochs between two looks at the gap of a working set.
const EPOCHS_OF_A_ROUND: usize = 10;
/// Proximal steps of one visit of a group at most.
const STEPS_MAX: usize = 10;
/// Rounds that may go by without the objective becoming less.
const IDLE_MAX: usize = 3;
/// Multiplications that find the largest eigenvalue, and what is added to it since it is found from below.
const POWERS: usize = 60;
const POWER_SHARE: f64 = 1.02;

/// Solves problems of one design and one grouping, each from where the one before ended.
pub(super) struct GroupSolver<'a> {
    design: &'a Design,
    groups: &'a Groups,
    working: Working,
    weights: Vec<f64>,
    residual: Residual,
    /// By group: what its visits need, once it was in a working set.
    parts: Vec<Option<Part>>,
}

/// A group in the main program.
#[derive(Debug, Clone)]
struct Part {
    /// Of its columns that vary.
    slots: Vec<u32>,
    /// Products between them, row by row.
    gram: Vec<f64>,
    /// Not less than the largest eigenvalue of these.
    curvature: f64,
}

/// The penalties of all groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mix {
    /// The penalty times the number of rows.
    pub penalty: f64,
    /// The share of absolute values in it.
    pub l1_ratio: f64,
}

impl Mix {
    fn of(&self, groups: &Groups, group: usize) -> GroupPenalty {
        let rest = (1.0 - self.l1_ratio) * groups.weight(group);
        GroupPenalty { l1: self.penalty * self.l1_ratio, l2: self.penalty * rest }
    }
}

impl<'a> GroupSolver<'a> {
    pub fn new(design: &'a Design, groups: &'a Groups) -> Self {
        let residual = Residual { values: design.targets().to_vec(), shift: 0.0 };
        let parts = vec![None; groups.len()];
        GroupSolver {
            design,
            groups,
            working: Working::new(design.columns()),
            weights: vec![],
            residual,
            parts,
        }
    }
    /// The least penalty, times the number of rows, that leaves no weights.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn largest(&self, l1_ratio: f64) -> Result<f64> {
        let products = self.products(self.design.targets())?;
        let mix = Mix { penalty: 1.0, l1_ratio };
        let least = (0..self.groups.len()).map(|g| {
            let c = self.of_group(&products, g);
            1.0 / mix.of(self.groups, g).largest_multiple(&c)
        });
        Ok(least.fold(0.0, f64::max))
    }
    /// Weights of all columns.
    pub fn weights(&self) -> Vec<f64> {
        let mut all = vec![0.0; self.design.columns()];
        self.weights.iter().enumerate().for_each(|(slot, w)| all[self.working.number(slot)] = *w);
        all
    }
    /// Products of all columns with a vector; 0 of those that do not vary.
    fn products(&self, v: &[f64]) -> Result<Vec<f64>> {
        let wanted: Vec<bool> = self.design.facts().iter().map(|f| f.square > 0.0).collect();
        let wanted = Arc::new(wanted);
        let mut taken = self.design.products(&Arc::new(v.to_vec()), &wanted)?.into_iter();
        Ok(wanted.iter().map(|w| if *w { taken.next().unwrap_or(0.0) } else { 0.0 }).collect())
    }
    fn of_group(&self, products: &[f64], group: usize) -> Vec<f64> {
        self.groups.columns(group).iter().map(|j| products[*j as usize]).collect()
    }
    fn objective(&self, mix: Mix, weights: &[f64], residual: &Residual) -> f64 {
        let n = residual.values.len() as f64;
        // A centred residual: its vector has the sum `-n shift`.
        let squares = square(&residual.values) - n * residual.shift * residual.shift;
        let penalty = |g: usize| {
            let of = self.groups.columns(g).iter();
            let b: Vec<f64> =
                of.filter_map(|j| self.working.slot(*j as usize)).map(|slot| weights[slot]).collect();
            mix.of(self.groups, g).value(&b)
        };
        0.5 * squares + (0..self.groups.len()).map(penalty).sum::<f64>()
    }
    /// The value of the dual at the best multiple of the residual that these groups allow, and the multiple.
    fn dual(&self, mix: Mix, gradients: impl Iterator<Item = (usize, Vec<f64>)>) -> (f64, f64) {
        let (y, r) = (self.design.targets(), &self.residual.values);
        let (with_targets, norm) = (dense::dot(y, r), square(r));
        if norm == 0.0 {
            return (0.0, 0.0);
        }
        let multiple = |(g, c): (usize, Vec<f64>)| mix.of(self.groups, g).largest_multiple(&c);
        let limit = gradients.map(multiple).fold(f64::INFINITY, f64::min);
        let scale = (with_targets / norm).clamp(-limit, limit);
        (scale * with_targets - 0.5 * scale * scale * norm, scale)
    }
    /// Minimises.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn solve(&mut self, mix: Mix, limits: Limits, observer: &mut Observer<'_>) -> Result<Solved> {
        let rows = self.design.rows();
        minimize(&mut Solving { solver: self, mix }, rows, limits, observer)
    }
    fn is_active(&self, group: usize) -> bool {
        let slots = self.groups.columns(group).iter().filter_map(|j| self.working.slot(*j as usize));
        slots.into_iter().any(|slot| self.weights[slot] != 0.0)
    }
    /// The support, and the most strained groups, twice as many columns as the support has at least.
    fn working_set(&mut self, mix: Mix, products: &[f64], scale: f64, room: usize) -> Result<Vec<usize>> {
        let strain = |g: usize| {
            let c: Vec<f64> = self.of_group(products, g).iter().map(|c| scale * c).collect();
            if self.is_active(g) { f64::INFINITY } else { mix.of(self.groups, g).strain(&c) }
        };
        let mut order: Vec<(f64, usize)> = (0..self.groups.len()).map(|g| (strain(g), g)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let size = |(_, g): &(f64, usize)| self.groups.columns(*g).len();
        let active: usize = order.iter().take_while(|(s, _)| *s == f64::INFINITY).map(size).sum();
        let (mut columns, most) = (0, room.max(2 * active));
        let mut set: Vec<usize> = vec![];
        for (strain, g) in &order {
            if columns >= most && *strain < f64::INFINITY {
                break;
            }
            columns += self.groups.columns(*g).len();
            set.push(*g);
        }
        set.sort_unstable();
        let wanted: Vec<usize> =
            set.iter().flat_map(|g| self.groups.columns(*g)).map(|j| *j as usize).collect();
        self.working.fetch(self.design, &wanted)?;
        self.weights.resize(self.working.len(), 0.0);
        for g in &set {
            if self.parts[*g].is_none() {
                self.parts[*g] = Some(self.part(*g));
            }
        }
        Ok(set)
    }
    fn part(&mut self, group: usize) -> Part {
        let columns = self.groups.columns(group).iter();
        let slots = columns.filter_map(|j| self.working.slot(*j as usize));
        let slots: Vec<u32> = slots.filter(|s| self.working.squares[*s] > 0.0).map(|s| s as u32).collect();
        let k = slots.len();
        let lower = self.working.gram(&slots, self.design.rows());
        let at = |i: usize, j: usize| lower[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)];
        let gram: Vec<f64> =
            (0..k).flat_map(|i| (0..k).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect();
        let curvature = largest_eigenvalue(&gram, k);
        Part { slots, gram, curvature }
    }
    /// Minimises over some groups; the number of epochs that took.
    fn minimize(&mut self, mix: Mix, set: &[usize], gap_max: f64) -> usize {
        let parts: Vec<(usize, Part)> =
            set.iter().filter_map(|g| Some((*g, self.parts[*g].clone()?))).collect();
        let parts: Vec<(usize, Part)> = parts.into_iter().filter(|(_, p)| !p.slots.is_empty()).collect();
        let mut objective = self.objective(mix, &self.weights, &self.residual);
        let (mut epochs, mut idle) = (0, 0);
        loop {
            self.residual.settle();
            let gradients: Vec<(usize, Vec<f64>)> =
                parts.iter().map(|(g, part)| (*g, self.gradient(part))).collect();
            let (dual, _) = self.dual(mix, gradients.into_iter());
            if objective - dual <= gap_max || epochs >= EPOCHS_MAX || idle > IDLE_MAX {
                return epochs;
            }
            let (mut iterates, mut residuals) = (vec![], vec![]);
            for _ in 0..EPOCHS_OF_A_ROUND {
                parts.iter().for_each(|(g, part)| self.visit(mix.of(self.groups, *g), part));
                self.residual.settle();
                epochs += 1;
                if iterates.len() > DIFFERENCES {
                    iterates.remove(0);
                    residuals.remove(0);
                }
                iterates.push(self.weights.clone());
                residuals.push(self.residual.values.clone());
            }
            let mut now = self.objective(mix, &self.weights, &self.residual);
            if let Some(shares) = anderson(&iterates) {
                let (mut weights, mut values) =
                    (vec![0.0; self.weights.len()], vec![0.0; self.design.rows()]);
                for (k, share) in shares.iter().enumerate() {
                    dense::axpy(*share, &iterates[k + 1], &mut weights);
                    dense::axpy(*share, &residuals[k + 1], &mut values);
                }
                let residual = Residual { values, shift: 0.0 };
                let there = self.objective(mix, &weights, &residual);
                if there < now {
                    (self.weights, self.residual, now) = (weights, residual, there);
                }
            }
            idle = if now < objective { 0 } else { idle + 1 };
            objective = now;
        }
    }
    /// Products of the columns of a group with the residual.
    fn gradient(&self, part: &Part) -> Vec<f64> {
        widest(
            #[inline(always)]
            || part.slots.iter().map(|slot| self.working.dot(*slot as usize, &self.residual)).collect(),
        )
    }
    /// Minimises over one group.
    fn visit(&mut self, penalty: GroupPenalty, part: &Part) {
        let k = part.slots.len();
        let mut c = self.gradient(part);
        let first: Vec<f64> = part.slots.iter().map(|s| self.weights[*s as usize]).collect();
        let (mut b, step) = (first.clone(), 1.0 / part.curvature);
        for _ in 0..STEPS_MAX {
            let mut next: Vec<f64> = b.iter().zip(&c).map(|(b, c)| b + step * c).collect();
            penalty.shrink(&mut next, step);
            let moved: Vec<f64> = next.iter().zip(&b).map(|(a, b)| a - b).collect();
            let (far, size) = (square(&moved), square(&next));
            b = next;
            if far == 0.0 {
                break;
            }
            for (i, c) in c.iter_mut().enumerate() {
                *c -= dense::dot(&part.gram[i * k..][..k], &moved);
            }
            if far <= 1e-20 * size {
                break;
            }
        }
        let (working, residual, weights) = (&self.working, &mut self.residual, &mut self.weights);
        widest(
            #[inline(always)]
            || {
                for ((slot, before), after) in part.slots.iter().zip(&first).zip(&b) {
                    if before != after {
                        working.axpy(*slot as usize, before - after, residual);
                        weights[*slot as usize] = *after;
                    }
                }
            },
        );
    }
}

/// One problem while it is solved.
struct Solving<'s, 'a> {
    solver: &'s mut GroupSolver<'a>,
    mix: Mix,
}

impl WorkingSets for Solving<'_, '_> {
    /// The products of all columns, and the multiple of the residual that is feasible.
    type Pass = (Vec<f64>, f64);

    fn pass(&mut self) -> Result<Passed<(Vec<f64>, f64)>> {
        let Solving { solver, mix } = self;
        solver.residual = solver.working.residual(solver.design.targets(), &solver.weights);
        let objective = solver.objective(*mix, &solver.weights, &solver.residual);
        let products = solver.products(&solver.residual.values)?;
        let all = (0..solver.groups.len()).map(|g| (g, solver.of_group(&products, g)));
        let (dual, scale) = solver.dual(*mix, all);
        Ok(Passed { objective, dual, products: products.len(), of_columns: (products, scale) })
    }
    fn improve(&mut self, pass: Passed<(Vec<f64>, f64)>, growth: usize, gap_max: f64) -> Result<usize> {
        let (products, scale) = pass.of_columns;
        let set = self.solver.working_set(self.mix, &products, scale, COLUMNS_MIN.saturating_mul(growth))?;
        Ok(self.solver.minimize(self.mix, &set, gap_max))
    }
    fn weights(&self) -> &[f64] {
        &self.solver.weights
    }
}

/// Not less than the largest eigenvalue of a symmetric `k` by `k` matrix without negative ones.
fn largest_eigenvalue(matrix: &[f64], k: usize) -> f64 {
    let row = |i: usize| &matrix[i * k..][..k];
    let bound = (0..k).map(|i| dense::norm1(row(i))).fold(0.0, f64::max);
    // Neither even nor regular, so that it is not orthogonal to what is looked for.
    let mut v: Vec<f64> = (0..k).map(|i| 1.0 + (7 * i % 5) as f64 / 16.0).collect();
    let mut value = 0.0;
    for _ in 0..POWERS {
        let norm = dense::norm2(&v);
        v.iter_mut().for_each(|v| *v /= norm);
        let next: Vec<f64> = (0..k).map(|i| dense::dot(row(i), &v)).collect();
        value = dense::norm2(&next);
        v = next;
        if value == 0.0 {
            break;
        }
    }
    (POWER_SHARE * value).min(bound).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues() {
        assert!((largest_eigenvalue(&[2.0, 1.0, 1.0, 2.0], 2) - 3.0).abs() < 0.07);
        assert_eq!(largest_eigenvalue(&[4.0], 1), 4.0);
        assert!(largest_eigenvalue(&[0.0; 9], 3) > 0.0);
    }
}
