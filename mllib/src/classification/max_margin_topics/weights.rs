//! The weights of topics: the sums that they are drawn from, and draws.
//!
//! Given the topics of all documents and their scales `λ`, the weights of a task are normal:
//! `η ~ N(μ, Σ)`, `Σ⁻¹ = I/ν² + c² Σ_d z̄_d z̄_d'/λ_d`, `μ = Σ (c Σ_d y_d (1 + c ℓ/λ_d) z̄_d)`. A row of sums has the lower triangle
//! of `Σ_d z̄_d z̄_d'/λ_d`, packed, then `Σ_d y_d (1 + c ℓ/λ_d) z̄_d`.

use super::MaxMarginTopicsParams;
use crate::linalg::cholesky::{Cholesky, packed_row};
use crate::linalg::dense;
use slackwater_dataflow::rng::{Stream, normal};
use slackwater_dataflow::{Result, rng};

/// Streams of weights: those of clocks have smaller numbers.
const OF_WEIGHTS: u64 = 1 << 63;

/// Numbers in a row of sums.
pub(super) fn columns(topics: usize) -> usize {
    packed_row(topics) + topics
}

/// Which side of a task a class is on: +1 or -1. Two classes have one task, whose positive class is the second.
#[inline]
pub(super) fn side(tasks: usize, task: usize, class: usize) -> f64 {
    let positive = if tasks == 1 { 1 } else { task };
    if class == positive { 1.0 } else { -1.0 }
}

/// A document as the sums see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term<'a> {
    /// The topics that it has, ascending, each with its share of the tokens.
    pub shares: &'a [(usize, f64)],
    /// By task: `1/λ`.
    pub inverse_scales: &'a [f64],
    pub class: usize,
}

impl Term<'_> {
    /// Adds it, `times` times, to the sums of all tasks.
    pub fn add_to(&self, sums: &mut [f64], topics: usize, cost_margin: f64, times: f64) {
        let tasks = self.inverse_scales.len();
        let rows = sums.chunks_exact_mut(columns(topics)).zip(self.inverse_scales);
        for (task, (row, inverse)) in rows.enumerate() {
            let (lower, linear) = row.split_at_mut(packed_row(topics));
            let factor = times * side(tasks, task, self.class) * (1.0 + cost_margin * inverse);
            for (at, (i, share)) in self.shares.iter().enumerate() {
                linear[*i] += factor * share;
                let of_row = &mut lower[packed_row(*i)..];
                let weight = times * inverse * share;
                self.shares[..=at].iter().for_each(|(j, other)| of_row[*j] += weight * other);
            }
        }
    }
}

/// What the weights of a task are drawn from.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    pub mean: Vec<f64>,
    factor: Cholesky,
}

impl Posterior {
    /// Of a row of sums.
    ///
    /// # Errors
    /// Numerical, if the precision is not positive definite: the sums are no numbers.
    pub fn new(sums: &[f64], params: &MaxMarginTopicsParams) -> Result<Self> {
        let (topics, cost) = (params.topics, params.cost);
        let (lower, linear) = sums.split_at(packed_row(topics));
        let mut precision: Vec<f64> = lower.iter().map(|x| cost * cost * x).collect();
        (0..topics).for_each(|i| precision[packed_row(i) + i] += 1.0 / params.variance);
        let factor = Cholesky::new(precision, topics)?;
        let mut mean: Vec<f64> = linear[..topics].iter().map(|x| cost * x).collect();
        factor.solve(&mut mean);
        Ok(Posterior { mean, factor })
    }
    /// `μ + L'⁻¹ ε`, where `L L'` is the precision.
    pub fn draw(&self, rng: &mut Stream) -> Vec<f64> {
        let mut weights: Vec<f64> = self.mean.iter().map(|_| normal(rng)).collect();
        self.factor.solve_transposed(&mut weights);
        dense::add(&self.mean, &mut weights);
        weights
    }
}

/// The weights of all tasks in an epoch: tasks x topics.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    pub drawn: Vec<f64>,
    /// Means of what they were drawn from.
    pub means: Vec<f64>,
}

impl Weights {
    /// Draws them: the same in every process that has the same sums.
    ///
    /// # Errors
    /// As [`Posterior::new`].
    pub fn draw(sums: &[f64], params: &MaxMarginTopicsParams, epoch: u64) -> Result<Self> {
        let mut weights = Weights { drawn: vec![], means: vec![] };
        for (task, row) in sums.chunks_exact(columns(params.topics)).enumerate() {
            let posterior = Posterior::new(row, params)?;
            let mut rng = rng::partition_stream(params.seed, OF_WEIGHTS | epoch, task);
            weights.drawn.extend(posterior.draw(&mut rng));
            weights.means.extend(posterior.mean);
        }
        Ok(weights)
    }
    /// The means alone.
    ///
    /// # Errors
    /// As [`Posterior::new`].
    pub fn means(sums: &[f64], params: &MaxMarginTopicsParams) -> Result<Vec<f64>> {
        let rows = sums.chunks_exact(columns(params.topics));
        let means = rows.map(|row| Ok(Posterior::new(row, params)?.mean));
        Ok(means.collect::<Result<Vec<_>>>()?.concat())
    }
}

/// The weights before any document is known: none pulls.
pub(super) fn zero(tasks: usize, topics: usize) -> Weights {
    Weights { drawn: vec![0.0; tasks * topics], means: vec![0.0; tasks * topics] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> MaxMarginTopicsParams {
        MaxMarginTopicsParams { topics: 3, cost: 0.7, margin: 2.0, variance: 0.5, ..Default::default() }
    }

    /// Two documents, of classes 0 and 1, one task.
    fn sums() -> Vec<f64> {
        let mut sums = vec![0.0; columns(3)];
        let first = Term { shares: &[(0, 0.25), (2, 0.75)], inverse_scales: &[0.8], class: 0 };
        let second = Term { shares: &[(0, 0.5), (1, 0.5)], inverse_scales: &[2.5], class: 1 };
        let other = Term { shares: &[(1, 1.0)], inverse_scales: &[9.0], class: 1 };
        for (term, times) in [(first, 1.0), (other, 1.0), (second, 1.0), (other, -1.0)] {
            term.add_to(&mut sums, 3, 0.7 * 2.0, times);
        }
        sums
    }

    /// The mean and the precision from their definition; the gradient of the log density is zero at the mean.
    #[test]
    fn the_mean_is_the_mode_of_the_density() {
        let documents = [([0.25, 0.0, 0.75], 1.0 / 0.8, -1.0), ([0.5, 0.5, 0.0], 1.0 / 2.5, 1.0)];
        let density = |eta: &[f64]| {
            let prior: f64 = eta.iter().map(|x| x * x).sum::<f64>() / (2.0 * 0.5);
            let of_document = |(z, lambda, y): &([f64; 3], f64, f64)| {
                let score: f64 = z.iter().zip(eta).map(|(z, x)| z * x).sum();
                (lambda + 0.7 * (2.0 - y * score)).powi(2) / (2.0 * lambda)
            };
            -prior - documents.iter().map(of_document).sum::<f64>()
        };
        let mean = Posterior::new(&sums(), &params()).unwrap().mean;
        let step = 1e-4;
        for k in 0..3 {
            let mut at = [mean.clone(), mean.clone()];
            at[0][k] += step;
            at[1][k] -= step;
            let [up, down] = at.map(|x| density(&x));
            assert!((up - down).abs() < 1e-10, "{k}: {}", (up - down) / (2.0 * step));
            assert!(up < density(&mean) && down < density(&mean));
        }
    }

    /// Means and covariances of many draws, against the inverse of the precision.
    #[test]
    fn draws_have_their_moments() {
        let posterior = Posterior::new(&sums(), &params()).unwrap();
        let n = 100_000;
        let (mut mean, mut products) = ([0.0; 3], [[0.0; 3]; 3]);
        let mut rng = rng::stream(1, 0);
        for _ in 0..n {
            let draw = posterior.draw(&mut rng);
            for i in 0..3 {
                mean[i] += draw[i] / f64::from(n);
                for j in 0..3 {
                    let product = (draw[i] - posterior.mean[i]) * (draw[j] - posterior.mean[j]);
                    products[i][j] += product / f64::from(n);
                }
            }
        }
        for j in 0..3 {
            let mut covariance = [0.0; 3];
            covariance[j] = 1.0;
            posterior.factor.solve(&mut covariance);
            assert!((mean[j] - posterior.mean[j]).abs() < 0.012, "{mean:?} {:?}", posterior.mean);
            for i in 0..3 {
                assert!((products[i][j] - covariance[i]).abs() < 0.012, "{products:?} {covariance:?}");
            }
        }
    }

    #[test]
    fn draws_are_those_of_epoch_and_task() {
        let two = [sums(), sums()].concat();
        let draw = |epoch| Weights::draw(&two, &params(), epoch).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).drawn, draw(2).drawn);
        assert_ne!(draw(1).drawn[..3], draw(1).drawn[3..]);
        assert_eq!(draw(1).means, Weights::means(&two, &params()).unwrap());
        assert!(Weights::draw(&vec![f64::NAN; columns(3)], &params(), 0).is_err());
    }
}
