//! The problem of a working set: cyclic coordinate descent with extrapolation, and Newton steps on the support.
//!
//! # What it does
//! Rounds of: one epoch over the weights that are not zero and the columns whose constraint is violated; then either epochs
//! over these, with Anderson extrapolation of their weights, or a Newton step (the normal equations of the support, as far as
//! no weight changes its sign); then all products of the set, and its duality gap. Each part is taken only if it lowers the
//! objective. A Newton step is taken when it costs no more than the epochs in its place, or than those that went before it
//! in vain; products between columns are kept, so that later ones cost less.
//!
//! # References
//! Bertrand and Massias, Anderson acceleration of coordinate descent, AISTATS 2021; Massias, Gramfort and Salmon, Celer: a
//! fast solver for the lasso with dual extrapolation, ICML 2018.

use super::problem::{DualPoint, Problem};
use super::working::{Residual, Working, square};
use crate::linalg::{cholesky::Cholesky, dense, widest};

/// Epochs between two looks at the gap.
const EPOCHS_OF_A_ROUND: usize = 10;
/// Differences that are extrapolated from.
pub(crate) const DIFFERENCES: usize = 5;
/// Weights that one Newton step takes out of the support at most, beyond a small support.
const REMOVALS_MAX: usize = 16;
/// A support is small up to here.
const SMALL_SUPPORT: usize = 64;
/// Rounds that may pass without any change for the better.
const IDLE_ROUNDS_MAX: usize = 3;

/// Where a minimisation is: weights by slot, and the residual.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub weights: Vec<f64>,
    pub residual: Residual,
}

/// Minimises over the columns of a working set.
pub(crate) struct Inner<'a> {
    pub problem: Problem,
    pub targets: &'a [f64],
    pub working: &'a mut Working,
    /// Epochs that were made.
    pub epochs: usize,
}

impl Inner<'_> {
    /// Minimises over the columns in `slots`, until the gap of their problem is at most `gap_max`, or after `epochs_max`
    /// epochs, or where rounding ends it.
    pub fn minimize(&mut self, state: &mut State, slots: &[u32], gap_max: f64, epochs_max: usize) {
        let last_epoch = self.epochs + epochs_max;
        let mut spent = 0.0;
        let mut idle = 0;
        let mut objective = self.objective(state);
        let mut gradients = vec![0.0; slots.len()];
        loop {
            if self.gap(state, slots, &mut gradients, objective) <= gap_max || self.epochs >= last_epoch {
                return;
            }
            let alpha = self.problem.alpha;
            let active: Vec<u32> = slots
                .iter()
                .zip(&gradients)
                .filter(|(s, g)| state.weights[**s as usize] != 0.0 || g.abs() > alpha)
                .map(|(s, _)| *s)
                .collect();
            self.epoch(state, &active);
            let support = self.support(state, &active);
            let stored = self.working.stored(&support) as f64;
            let step = self.newton_cost(&support);
            let epochs = 2.0 * stored * (EPOCHS_OF_A_ROUND - 1) as f64;
            if step <= epochs + spent {
                // Each weight that is taken out costs a factorisation more.
                let again = (support.len() as f64).powi(3) / 6.0;
                let removals_max = match support.len() <= SMALL_SUPPORT {
                    true => support.len(),
                    false => (((epochs + spent - step) / again) as usize).min(REMOVALS_MAX),
                };
                spent = 0.0;
                self.newton(state, support, removals_max);
            } else {
                spent += epochs;
                self.epochs_with_extrapolation(state, &active);
            }
            let now = self.objective(state);
            idle = if now < objective { 0 } else { idle + 1 };
            objective = now;
            if idle > IDLE_ROUNDS_MAX {
                return;
            }
        }
    }
    fn objective(&self, state: &State) -> f64 {
        let r = square(&state.residual.values);
        let (n, shift) = (self.working.unit_square(state.residual.values.len()), state.residual.shift);
        // A centred residual: its vector has the sum `-n shift`.
        let r = r - n * shift * shift;
        self.problem.objective(r, &state.weights)
    }
    /// Duality gap of the set; `gradients` become the products of its columns.
    fn gap(&self, state: &mut State, slots: &[u32], gradients: &mut [f64], objective: f64) -> f64 {
        self.working.settle(&mut state.residual);
        let (working, r, mu) = (&*self.working, &state.residual, self.problem.mu);
        widest(
            #[inline(always)]
            || {
                for (g, slot) in gradients.iter_mut().zip(slots) {
                    let slot = *slot as usize;
                    *g = working.dot(slot, r) - mu * state.weights[slot];
                }
            },
        );
        let largest = dense::norm_inf(gradients);
        let point = DualPoint::new(&self.problem, self.targets, &r.values, &state.weights, largest);
        objective - point.value
    }
    /// The columns of `active` whose weights are not zero.
    fn support(&self, state: &State, active: &[u32]) -> Vec<u32> {
        active.iter().copied().filter(|s| state.weights[*s as usize] != 0.0).collect()
    }
    /// Operations of a Newton step.
    fn newton_cost(&self, support: &[u32]) -> f64 {
        let s = support.len() as f64;
        let mean = self.working.stored(support) as f64 / s.max(1.0);
        self.working.unknown(support) as f64 * mean + s * s * s / 6.0
    }
    /// One pass of coordinate descent.
    fn epoch(&mut self, state: &mut State, slots: &[u32]) {
        self.epochs += 1;
        let (working, Problem { alpha, mu, .. }) = (&*self.working, self.problem);
        let State { weights, residual } = state;
        widest(
            #[inline(always)]
            || {
                for slot in slots {
                    let slot = *slot as usize;
                    let square = working.squares[slot];
                    if square == 0.0 {
                        continue;
                    }
                    let before = weights[slot];
                    let z = working.dot(slot, residual) + square * before;
                    let after = (z.abs() - alpha).max(0.0).copysign(z) / (square + mu);
                    if after != before {
                        weights[slot] = after;
                        working.axpy(slot, before - after, residual);
                    }
                }
            },
        );
        // What is added to all is part of what the next products of dense columns need.
        working.settle(residual);
    }
    fn epochs_with_extrapolation(&mut self, state: &mut State, active: &[u32]) {
        let mut iterates: Vec<Vec<f64>> = vec![];
        let mut residuals: Vec<Vec<f64>> = vec![];
        for _ in 1..EPOCHS_OF_A_ROUND {
            self.epoch(state, active);
            if iterates.len() > DIFFERENCES {
                iterates.remove(0);
                residuals.remove(0);
            }
            iterates.push(active.iter().map(|s| state.weights[*s as usize]).collect());
            residuals.push(state.residual.values.clone());
        }
        let Some(shares) = anderson(&iterates) else { return };
        let mut extrapolated = State {
            weights: state.weights.clone(),
            residual: Residual { values: vec![0.0; self.targets.len()], shift: 0.0 },
        };
        active.iter().for_each(|s| extrapolated.weights[*s as usize] = 0.0);
        for (k, share) in shares.iter().enumerate() {
            dense::axpy(*share, &residuals[k + 1], &mut extrapolated.residual.values);
            for (s, w) in active.iter().zip(&iterates[k + 1]) {
                extrapolated.weights[*s as usize] += share * w;
            }
        }
        if self.objective(&extrapolated) < self.objective(state) {
            *state = extrapolated;
        }
    }
    /// Goes to the minimum over the support, as far as no weight changes its sign; one that would is taken out.
    fn newton(&mut self, state: &mut State, mut support: Vec<u32>, removals_max: usize) {
        let Problem { alpha, mu, .. } = self.problem;
        let mut weights = state.weights.clone();
        for _ in 0..=removals_max {
            if support.is_empty() {
                break;
            }
            let mut lower = self.working.gram(&support, self.targets.len());
            (0..support.len()).for_each(|i| lower[i * (i + 1) / 2 + i] += mu);
            let Ok(factor) = Cholesky::new(lower, support.len()) else { return };
            let right = |s: &u32| {
                let s = *s as usize;
                self.working.with_targets[s] - alpha.copysign(weights[s])
            };
            let mut solution: Vec<f64> = support.iter().map(right).collect();
            factor.solve(&mut solution);
            // The part of the way at which the first weight becomes zero.
            let part = |(s, b): (&u32, &f64)| {
                let w = weights[*s as usize];
                if w * b > 0.0 { 1.0 } else { w / (w - b) }
            };
            let parts: Vec<f64> = support.iter().zip(&solution).map(part).collect();
            let first = (0..parts.len()).fold(0, |first, i| if parts[i] < parts[first] { i } else { first });
            let whole = parts[first] >= 1.0;
            for (s, b) in support.iter().zip(&solution) {
                let w = &mut weights[*s as usize];
                *w = if whole { *b } else { *w + parts[first] * (b - *w) };
            }
            if whole {
                break;
            }
            weights[support[first] as usize] = 0.0;
            support.remove(first);
        }
        let residual = self.working.residual(self.targets, &weights);
        let moved = State { weights, residual };
        if self.objective(&moved) < self.objective(state) {
            *state = moved;
        }
    }
}

/// Shares of the iterates after the first, of which the extrapolated one is made; they sum up to 1.
pub(crate) fn anderson(iterates: &[Vec<f64>]) -> Option<Vec<f64>> {
    if iterates.len() <= DIFFERENCES {
        return None;
    }
    let differences: Vec<Vec<f64>> =
        iterates.windows(2).map(|w| w[1].iter().zip(&w[0]).map(|(a, b)| a - b).collect()).collect();
    let k = differences.len();
    let mut lower: Vec<f64> = (0..k)
        .flat_map(|i| (0..=i).map(move |j| (i, j)))
        .map(|(i, j)| dense::dot(&differences[i], &differences[j]))
        .collect();
    let trace: f64 = (0..k).map(|i| lower[i * (i + 1) / 2 + i]).sum();
    if trace.is_nan() || trace <= 0.0 {
        return None;
    }
    // As in the reference implementations, for differences that are nearly the same.
    (0..k).for_each(|i| lower[i * (i + 1) / 2 + i] += 1e-12 * trace);
    let mut shares = vec![1.0; k];
    Cholesky::new(lower, k).ok()?.solve(&mut shares);
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|s| *s /= sum);
    shares.iter().all(|s| s.is_finite()).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a linear recurrence of few dimensions, extrapolation finds the limit.
    #[test]
    fn extrapolation_finds_limits() {
        let limit: [f64; 3] = [1.0, -2.0, 0.5];
        let rates: [f64; 3] = [0.9, 0.5, -0.7];
        let iterates: Vec<Vec<f64>> =
            (0..=DIFFERENCES as i32).map(|k| (0..3).map(|i| limit[i] + rates[i].powi(k)).collect()).collect();
        let shares = anderson(&iterates).unwrap();
        for i in 0..3 {
            let found: f64 = shares.iter().zip(&iterates[1..]).map(|(s, x)| s * x[i]).sum();
            assert!((found - limit[i]).abs() < 1e-4, "{found} {}", limit[i]);
        }
        assert!(anderson(&vec![vec![1.0, 2.0]; DIFFERENCES + 1]).is_none(), "nothing moves");
    }
}
