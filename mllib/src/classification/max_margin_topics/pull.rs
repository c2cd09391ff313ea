//! How the classes of a document pull at the topics of its tokens.
//!
//! Given weights and scales, a token of a document of `N` has topic `k` with a probability that is `exp(e_k)` times that of LDA:
//! `e_k = Σ_l [γ y c (c ℓ + λ) η_k / λ - c² (γ² η_k² + 2 γ (1 - γ) η_k Λ) / 2λ]`, with `γ = 1/N` and `Λ` the mean score of the other
//! tokens. With `g_k = γ Σ_l y c (1 + c ℓ/λ) η_k - C_kk/2` and `C = c² γ² Σ_l η η'/λ` that is `g - C n`, `n` the counts of the other
//! tokens by topic. `C n` is kept up: a changed token is a difference of two columns.

use super::weights::side;
use crate::clustering::lda::sampler::LANE;

/// What pulls at the tokens of a document.
#[derive(Debug, Default)]
pub(super) struct Pull {
    topics: usize,
    /// Topics in whole lanes.
    width: usize,
    /// `g`: minus infinity beyond the last topic.
    linear: Vec<f64>,
    /// `C`: topics x width.
    matrix: Vec<f64>,
    /// `C n`, of all tokens.
    products: Vec<f64>,
    exponents: Vec<f64>,
    factors: Vec<f32>,
}

impl Pull {
    pub fn new(topics: usize) -> Self {
        let width = topics.next_multiple_of(LANE);
        Pull {
            topics,
            width,
            linear: vec![f64::NEG_INFINITY; width],
            matrix: vec![0.0; topics * width],
            products: vec![0.0; width],
            exponents: vec![0.0; width],
            factors: vec![1.0; width],
        }
    }
    /// Turns to a document of a class with some tokens by topic. `weights`: tasks x topics, `inverse_scales`: one a task.
    #[inline(always)]
    pub fn turn(
        &mut self,
        weights: &[f64],
        inverse_scales: &[f64],
        class: usize,
        [cost, margin]: [f64; 2],
        counts: &[f32],
    ) {
        let (topics, tasks) = (self.topics, inverse_scales.len());
        let tokens: f64 = counts.iter().map(|n| f64::from(*n)).sum();
        let share = 1.0 / tokens;
        self.linear[..topics].fill(0.0);
        self.matrix.fill(0.0);
        for (task, (of_task, inverse)) in weights.chunks_exact(topics).zip(inverse_scales).enumerate() {
            let factor = share * side(tasks, task, class) * cost * (1.0 + cost * margin * inverse);
            self.linear.iter_mut().zip(of_task).for_each(|(g, eta)| *g += factor * eta);
            let scale = (cost * share).powi(2) * inverse;
            for (i, (row, eta)) in self.matrix.chunks_exact_mut(self.width).zip(of_task).enumerate() {
                let of_row = scale * eta;
                row.iter_mut().zip(&of_task[..=i]).for_each(|(c, other)| *c += of_row * other);
            }
        }
        for i in 0..topics {
            for j in 0..i {
                self.matrix[j * self.width + i] = self.matrix[i * self.width + j];
            }
            self.linear[i] -= 0.5 * self.matrix[i * self.width + i];
        }
        self.products.fill(0.0);
        for (row, n) in self.matrix.chunks_exact(self.width).zip(counts).filter(|(_, n)| **n > 0.0) {
            self.products.iter_mut().zip(row).for_each(|(p, c)| *p += f64::from(*n) * c);
        }
    }
    /// The exponents for a token that has topic `old` now, and the largest of them.
    #[inline(always)]
    fn exponents(&mut self, old: usize) -> (&[f64], f64) {
        let own = &self.matrix[old * self.width..][..self.width];
        let known = self.linear.as_chunks::<LANE>().0.iter().zip(self.products.as_chunks::<LANE>().0);
        let all =
            self.exponents.as_chunks_mut::<LANE>().0.iter_mut().zip(own.as_chunks::<LANE>().0).zip(known);
        let mut largest = [f64::NEG_INFINITY; LANE];
        for ((exponents, own), (linear, products)) in all {
            for k in 0..LANE {
                let e = linear[k] - (products[k] - own[k]);
                exponents[k] = e;
                largest[k] = if e > largest[k] { e } else { largest[k] };
            }
        }
        (&self.exponents, largest.into_iter().fold(f64::NEG_INFINITY, f64::max))
    }
    /// `exp` of the exponents for a token that has topic `old` now, relative to the largest.
    #[inline(always)]
    pub fn factors(&mut self, old: usize) -> &[f32] {
        let largest = self.exponents(old).1;
        let exponents = self.exponents.as_chunks::<LANE>().0;
        for (factors, exponents) in self.factors.as_chunks_mut::<LANE>().0.iter_mut().zip(exponents) {
            for k in 0..LANE {
                factors[k] = exp((exponents[k] - largest) as f32);
            }
        }
        &self.factors
    }
    /// To be called when a token has gone from one topic to another.
    #[inline(always)]
    pub fn moved(&mut self, old: usize, new: usize) {
        let column = |k: usize| &self.matrix[k * self.width..][..self.width];
        let both = column(old).iter().zip(column(new));
        self.products.iter_mut().zip(both).for_each(|(p, (old, new))| *p += new - old);
    }
}

/// `exp(x)` of `x` up to 0, to 2e-7 relative; of what is below -87 as of -87.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 2^23 rounds to whole numbers, which are then in the last bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: a whole number below 128 times the first has no rounding.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const LEAST: f32 = -87.0;
    let x = if x > LEAST { x } else { LEAST };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let mut sum = 1.0 / 720.0;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * rest + coefficient;
    }
    sum * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng::{self, below, normal};

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in 0..87_000 {
            let x = -(i as f32) * 1e-3;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / want - 1.0).abs() < 2.5e-7, "{x}: {got} {want}");
        }
        assert_eq!([exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY)], [1.0, exp(-87.0), exp(-87.0)]);
    }

    /// The exponents by their definition, token by token.
    #[test]
    fn exponents_are_those_of_the_definition() {
        let mut rng = rng::stream(8, 0);
        for (topics, tasks, tokens) in [(5, 3, 12), (40, 20, 100), (17, 1, 1), (16, 4, 2), (1, 1, 3)] {
            let (cost, margin) = (1.6, 64.0);
            let weights: Vec<f64> = (0..tasks * topics).map(|_| 3.0 * normal(&mut rng)).collect();
            let inverse: Vec<f64> = (0..tasks).map(|_| normal(&mut rng).powi(2) + 1e-3).collect();
            let class = below(&mut rng, tasks.max(2) as u64) as usize;
            let mut assigned: Vec<usize> =
                (0..tokens).map(|_| below(&mut rng, topics as u64) as usize).collect();
            let mut counts = vec![0f32; topics];
            assigned.iter().for_each(|k| counts[*k] += 1.0);
            let mut pull = Pull::new(topics);
            pull.turn(&weights, &inverse, class, [cost, margin], &counts);
            for token in 0..tokens {
                let others =
                    |j: &usize| (0..tokens).filter(|i| *i != token && assigned[*i] == *j).count() as f64;
                let gamma = 1.0 / tokens as f64;
                let (got, largest) = pull.exponents(assigned[token]);
                let mut most = f64::NEG_INFINITY;
                for k in 0..topics {
                    let mut want = 0.0;
                    for l in 0..tasks {
                        let eta = &weights[l * topics..][..topics];
                        let y = if class == if tasks == 1 { 1 } else { l } { 1.0 } else { -1.0 };
                        let lambda = 1.0 / inverse[l];
                        let mean = match tokens {
                            1 => 0.0,
                            n => (0..topics).map(|j| eta[j] * others(&j)).sum::<f64>() / (n - 1) as f64,
                        };
                        want += gamma * y * cost * (cost * margin + lambda) * eta[k] / lambda;
                        let square =
                            gamma * gamma * eta[k] * eta[k] + 2.0 * gamma * (1.0 - gamma) * eta[k] * mean;
                        want -= cost * cost * square / (2.0 * lambda);
                    }
                    assert!((got[k] - want).abs() < 1e-10 * want.abs().max(1.0), "{k}: {} {want}", got[k]);
                    most = most.max(got[k]);
                }
                assert!(largest == most && got[topics..].iter().all(|e| *e == f64::NEG_INFINITY));
                let new = below(&mut rng, topics as u64) as usize;
                pull.moved(assigned[token], new);
                assigned[token] = new;
            }
        }
    }
}
