//! The problem of a working set: accelerated proximal gradients, and Newton steps along the ways on which the penalty is smooth.
//!
//! # What it does
//! Rounds of proximal gradient steps with momentum, which starts anew where it leads astray. They find which weights are
//! zero, or the same. Then a Newton step over what is left to choose, if it costs no more than the steps since the last one; it is
//! taken as far as it lowers the objective. A round that does not lower it is taken back.
//!
//! # References
//! Beck and Teboulle, SIAM J. Imaging Sciences 2 (2009); O'Donoghue and Candès, Found. Comput. Math. 15 (2015) (restarts).

use super::penalty::Penalty;
use super::solver::DualPoint;
use crate::linalg::{cholesky::Cholesky, dense, widest};
use crate::regression::lasso::working::{Residual, Working, square};

/// Steps between two looks at the gap.
const STEPS_OF_A_ROUND: usize = 10;
/// Steps of one working set at most.
const STEPS_MAX: usize = 20_000;
/// Rounds that may go by without the objective becoming less.
const IDLE_ROUNDS_MAX: usize = 3;
/// Multiplications that find the largest eigenvalue.
const POWERS: usize = 20;
/// What a step is shortened by where it was too long.
const SHORTER: f64 = 1.3;
/// Newton steps over so few ways are taken in every round.
const WAYS_FEW: usize = 40;
/// Parts of a Newton step that are tried.
const HALVINGS_MAX: i32 = 12;

/// Minimises over the columns in `slots`.
pub(super) struct Inner<'a> {
    pub penalty: &'a dyn Penalty,
    pub scale: f64,
    pub targets: &'a [f64],
    pub working: &'a Working,
    pub slots: &'a [usize],
    /// Proximal steps that were made.
    pub steps: usize,
}

/// Weights, their residual, and the objective.
#[derive(Debug, Clone)]
struct State {
    b: Vec<f64>,
    residual: Residual,
    objective: f64,
}

impl Inner<'_> {
    /// Minimises, until the gap of the problem is at most `gap_max` or rounding ends it.
    pub fn minimize(&mut self, start: Vec<f64>, gap_max: f64) -> Vec<f64> {
        let mut state = self.state(start);
        let mut curvature = self.curvature();
        if curvature == 0.0 {
            return state.b;
        }
        let mut before = state.clone();
        let (mut momentum, mut idle, mut spent) = (1.0, 0, 0.0);
        loop {
            let c = self.products(&state.residual);
            let dual =
                DualPoint::new(self.penalty, self.scale, self.targets, &state.residual.values, &c).value;
            if state.objective - dual <= gap_max || idle > IDLE_ROUNDS_MAX || self.steps >= STEPS_MAX {
                return state.b;
            }
            let first = state.clone();
            for _ in 0..STEPS_OF_A_ROUND {
                self.step(&mut state, &mut before, &mut momentum, &mut curvature);
            }
            state.objective = self.objective(&state.b, &state.residual);
            spent += 4.0 * (STEPS_OF_A_ROUND * self.slots.len() * self.targets.len()) as f64;
            if let Some(moved) = self.newton(&state, &mut spent) {
                (before, momentum) = (moved.clone(), 1.0);
                state = moved;
            }
            if state.objective < first.objective {
                idle = 0;
            } else {
                idle += 1;
                (before, state, momentum) = (first.clone(), first, 1.0);
            }
        }
    }
    fn state(&self, b: Vec<f64>) -> State {
        let residual = self.residual(&b);
        let objective = self.objective(&b, &residual);
        State { b, residual, objective }
    }
    fn objective(&self, b: &[f64], residual: &Residual) -> f64 {
        0.5 * square(&residual.values) + self.scale * self.penalty.value(b)
    }
    fn residual(&self, b: &[f64]) -> Residual {
        let mut r = Residual { values: self.targets.to_vec(), shift: 0.0 };
        self.add(b, -1.0, &mut r);
        r
    }
    /// `r += by X b`.
    fn add(&self, b: &[f64], by: f64, r: &mut Residual) {
        widest(
            #[inline(always)]
            || {
                for (slot, b) in self.slots.iter().zip(b).filter(|(_, b)| **b != 0.0) {
                    self.working.axpy(*slot, by * b, r);
                }
            },
        );
        r.settle();
    }
    fn products(&self, r: &Residual) -> Vec<f64> {
        widest(
            #[inline(always)]
            || self.slots.iter().map(|slot| self.working.dot(*slot, r)).collect(),
        )
    }
    /// About the largest eigenvalue of the products between columns; from below.
    fn curvature(&self) -> f64 {
        // Neither even nor regular, so that it is not orthogonal to what is looked for.
        let mut v: Vec<f64> = (0..self.slots.len()).map(|i| 1.0 + (7 * i % 5) as f64 / 16.0).collect();
        let mut value = 0.0;
        for _ in 0..POWERS {
            let norm = dense::norm2(&v);
            v.iter_mut().for_each(|v| *v /= norm);
            let mut image = Residual { values: vec![0.0; self.targets.len()], shift: 0.0 };
            self.add(&v, 1.0, &mut image);
            v = self.products(&image);
            value = dense::norm2(&v);
            if value == 0.0 {
                break;
            }
        }
        value
    }
    /// A proximal gradient step from where momentum leads.
    fn step(&mut self, state: &mut State, before: &mut State, momentum: &mut f64, curvature: &mut f64) {
        let next_momentum = 0.5 * (1.0 + (1.0 + 4.0 * *momentum * *momentum).sqrt());
        let share = (*momentum - 1.0) / next_momentum;
        let ahead = |now: &[f64], before: &[f64]| -> Vec<f64> {
            now.iter().zip(before).map(|(now, before)| now + share * (now - before)).collect()
        };
        let point = ahead(&state.b, &before.b);
        let values = ahead(&state.residual.values, &before.residual.values);
        let at = Residual { values, shift: 0.0 };
        let c = self.products(&at);
        loop {
            self.steps += 1;
            let step = 1.0 / *curvature;
            let mut b: Vec<f64> = point.iter().zip(&c).map(|(b, c)| b + step * c).collect();
            self.penalty.shrink(&mut b, step * self.scale);
            let residual = self.residual(&b);
            let far = dense::distance(&b, &point);
            let bend = dense::distance(&residual.values, &at.values);
            let is_moved = far > 1e-12 * dense::norm2(&b);
            if is_moved && bend * bend > *curvature * far * far * (1.0 + 1e-6) {
                *curvature *= SHORTER;
                continue;
            }
            let back: f64 =
                point.iter().zip(&b).zip(&state.b).map(|((point, b), old)| (point - b) * (b - old)).sum();
            *momentum = if back > 0.0 { 1.0 } else { next_momentum };
            *before = std::mem::replace(state, State { b, residual, objective: f64::NAN });
            if *momentum == 1.0 {
                before.clone_from(state);
            }
            return;
        }
    }
    /// A Newton step along the ways on which the penalty is smooth, if it pays and lowers the objective.
    fn newton(&self, state: &State, spent: &mut f64) -> Option<State> {
        let smooth = self.penalty.smooth_at(&state.b);
        let (k, n) = (smooth.ways.len(), self.targets.len());
        let cost = (k * k * n) as f64 + (k as f64).powi(3) / 3.0;
        if k == 0 || (smooth.curvature.is_empty() && k > n) || (cost > *spent && k > WAYS_FEW) {
            return None;
        }
        *spent = 0.0;
        let mut column = vec![0.0; n];
        let mut images = vec![vec![0.0; n]; k];
        for (image, members) in images.iter_mut().zip(&smooth.ways) {
            for (j, share) in members {
                self.working.column(self.slots[*j as usize]).write(&mut column);
                dense::axpy(*share, &column, image);
            }
        }
        let mut lower = Vec::with_capacity(k * (k + 1) / 2);
        widest(
            #[inline(always)]
            || {
                for i in 0..k {
                    lower.extend((0..=i).map(|j| dense::dot(&images[i], &images[j])));
                }
            },
        );
        let row = |i: usize| i * (i + 1) / 2;
        for (i, j, value) in &smooth.curvature {
            lower[row(*i as usize) + *j as usize] += self.scale * value;
        }
        let factor = Cholesky::new(lower, k).ok()?;
        let descent = |(image, slope): (&Vec<f64>, &f64)| {
            dense::dot(image, &state.residual.values) - self.scale * slope
        };
        let mut steps: Vec<f64> = images.iter().zip(&smooth.gradient).map(descent).collect();
        factor.solve(&mut steps);
        (0..HALVINGS_MAX).find_map(|halvings| {
            let part = 0.5f64.powi(halvings);
            let mut b = state.b.clone();
            for (members, step) in smooth.ways.iter().zip(&steps) {
                members.iter().for_each(|(j, share)| b[*j as usize] += share * part * step);
            }
            let moved = self.state(b);
            (moved.objective < state.objective).then_some(moved)
        })
    }
}
