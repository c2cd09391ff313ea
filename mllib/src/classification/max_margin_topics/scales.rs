//! The scales `λ` that make the hinge loss a mixture of normal densities.
//!
//! `exp(-2 max(0, u)) = ∫ (2πλ)^(-1/2) exp(-(λ + u)² / 2λ) dλ`, with `u = c (ℓ - y η'z̄)`. Given `u`, `1/λ` is inverse Gaussian with
//! mean `1/|u|` and shape 1.
//!
//! # References
//! Polson and Scott 2011, Data augmentation for support vector machines; Michael, Schucany and Haas 1976, Generating random
//! variates using transformations with multiple roots.

use slackwater_dataflow::rng::{Stream, normal, unit_f64};

/// The largest `1/λ`. Larger ones are drawn once in about 10^4 draws where a document is exactly at its margin, and practically
/// nowhere else; they would make what weights are drawn from singular up to rounding.
const INVERSE_MAX: f64 = 1e8;
/// The largest mean that is worth telling from an infinite one.
const MEAN_MAX: f64 = 1e12;

/// Draws from the inverse Gaussian distribution of a mean and shape 1.
pub(super) fn inverse_gaussian(mean: f64, rng: &mut Stream) -> f64 {
    let a = 0.5 * mean * normal(rng).powi(2);
    // The smaller root of two, written so that nothing cancels: mean (1 + a - sqrt(a² + 2a)).
    let root = mean / (1.0 + a + (a * (a + 2.0)).sqrt());
    if unit_f64(rng) * (mean + root) <= mean { root } else { mean * mean / root }
}

/// Draws `1/λ` of a document whose loss in a task is `max(0, loss)`, before it is cut off at 0.
pub(super) fn draw_inverse(cost: f64, loss: f64, rng: &mut Stream) -> f64 {
    let mean = (1.0 / (cost * loss).abs()).min(MEAN_MAX);
    inverse_gaussian(mean, rng).min(INVERSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    /// An inverse Gaussian number has mean `m`, variance `m³` and its inverse mean `1/m + 1`, of shape 1.
    #[test]
    fn inverse_gaussian_draws_have_their_moments() {
        let mut rng = rng::stream(3, 0);
        for mean in [0.02, 0.5, 1.0, 2.0] {
            let n = 200_000;
            let draws: Vec<f64> = (0..n).map(|_| inverse_gaussian(mean, &mut rng)).collect();
            let average = |f: &dyn Fn(f64) -> f64| draws.iter().map(|x| f(*x)).sum::<f64>() / f64::from(n);
            let (first, second, inverse) =
                (average(&|x| x), average(&|x| (x - mean).powi(2)), average(&|x| 1.0 / x));
            assert!((first / mean - 1.0).abs() < 0.02, "{mean}: {first}");
            assert!((second / mean.powi(3) - 1.0).abs() < 0.15, "{mean}: {second}");
            assert!((inverse / (1.0 / mean + 1.0) - 1.0).abs() < 0.02, "{mean}: {inverse}");
        }
    }

    /// The chance of the interval between two points, by the density.
    #[test]
    fn inverse_gaussian_draws_have_their_density() {
        let (mean, mut rng) = (1.5f64, rng::stream(4, 0));
        let density = |x: f64| {
            (std::f64::consts::TAU * x.powi(3)).powf(-0.5)
                * (-(x - mean).powi(2) / (2.0 * mean * mean * x)).exp()
        };
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| inverse_gaussian(mean, &mut rng)).collect();
        for (from, to) in [(0.05, 0.3), (0.3, 1.0), (1.0, 3.0), (3.0, 12.0)] {
            let steps = 4000;
            let width = (to - from) / f64::from(steps);
            let want: f64 = (0..steps).map(|i| density(from + (f64::from(i) + 0.5) * width) * width).sum();
            let got = draws.iter().filter(|x| (from..to).contains(*x)).count() as f64 / f64::from(n);
            assert!((got - want).abs() < 0.007, "{from} to {to}: {got} for {want}");
        }
    }

    #[test]
    fn scales_are_numbers_wherever_the_document_is() {
        let mut rng = rng::stream(5, 0);
        for loss in [0.0, 1e-300, -1e-8, 3.0, -40.0, 1e9] {
            for _ in 0..1000 {
                let inverse = draw_inverse(1.6, loss, &mut rng);
                assert!(inverse > 0.0 && inverse <= INVERSE_MAX, "{loss}: {inverse}");
            }
        }
        // At the margin 1/λ is that of a squared normal number: half of them are above 1/0.4549.
        let above = (0..20_000).filter(|_| draw_inverse(1.0, 0.0, &mut rng) > 1.0 / 0.4549).count();
        assert!((above as f64 / 20_000.0 - 0.5).abs() < 0.015, "{above}");
    }
}
