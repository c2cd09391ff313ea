//! Dual problems of one row: conjugates of losses and the exact or Newton step in one dual variable.
//!
//! For the primal `1/2 w'w + C Σ loss(y_i x_i'w)` the dual is `min 1/2 ‖Σ y_i α_i x_i‖² + Σ h(α_i)` over
//! `0 <= α_i <= U`, and `w = Σ y_i α_i x_i`.

/// One step in one dual variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The new value of the variable.
    pub alpha: f64,
    /// How far the old value was from optimal: the projected gradient.
    pub violation: f64,
    /// True if the variable is at a bound and its gradient pushes it there.
    pub gradient_at_bound: f64,
}

/// A loss whose dual is minimised coordinate by coordinate. `c` is the weight of the loss.
pub trait DualLoss: Copy + Send + Sync + 'static {
    /// `c loss(yz)`: the primal term of a row.
    fn primal(&self, yz: f64, c: f64) -> f64;
    /// `h(α)`: the dual term of a row.
    fn dual(&self, alpha: f64, c: f64) -> f64;
    /// First and second derivative of `h`.
    fn dual_derivatives(&self, alpha: f64, c: f64) -> (f64, f64);
    /// The largest value of a dual variable.
    fn upper(&self, c: f64) -> f64;
    /// Where dual variables start.
    fn start(&self, c: f64) -> f64;
    /// Minimises the dual over one variable: `q` is `x'x`, `yz` the margin of the row times its label, `precision` how
    /// exactly a step without a closed form is computed.
    fn step(&self, alpha: f64, q: f64, yz: f64, c: f64, precision: f64) -> Step;
}

/// The projected gradient of a box constraint, and the gradient if the variable sits at a bound that it pushes against.
fn project(gradient: f64, alpha: f64, upper: f64) -> (f64, f64) {
    if alpha <= 0.0 && gradient >= 0.0 || alpha >= upper && gradient <= 0.0 {
        (0.0, gradient)
    } else {
        (gradient, 0.0)
    }
}

/// A step of a quadratic dual with `h(α) = -α + ridge α²/2`.
fn quadratic_step(alpha: f64, q: f64, yz: f64, ridge: f64, upper: f64) -> Step {
    let gradient = yz - 1.0 + ridge * alpha;
    let (violation, gradient_at_bound) = project(gradient, alpha, upper);
    let curvature = q + ridge;
    let alpha = if violation == 0.0 {
        alpha
    } else if curvature > 0.0 {
        (alpha - gradient / curvature).clamp(0.0, upper)
    } else if gradient < 0.0 {
        // A row without values: the dual is linear in its variable.
        upper
    } else {
        0.0
    };
    Step { alpha, violation, gradient_at_bound }
}

/// Dual of `max(0, 1 - yz)` (Hsieh et al. 2008): `h(α) = -α`, `U = C`.
#[derive(Debug, Clone, Copy, Default)]
pub struct HingeDual;

impl DualLoss for HingeDual {
    fn primal(&self, yz: f64, c: f64) -> f64 {
        c * (1.0 - yz).max(0.0)
    }
    fn dual(&self, alpha: f64, _: f64) -> f64 {
        -alpha
    }
    fn dual_derivatives(&self, _: f64, _: f64) -> (f64, f64) {
        (-1.0, 0.0)
    }
    fn upper(&self, c: f64) -> f64 {
        c
    }
    fn start(&self, _: f64) -> f64 {
        0.0
    }
    #[inline]
    fn step(&self, alpha: f64, q: f64, yz: f64, c: f64, _: f64) -> Step {
        quadratic_step(alpha, q, yz, 0.0, c)
    }
}

/// Dual of `max(0, 1 - yz)²` (Hsieh et al. 2008): `h(α) = -α + α² / (4 C)`, `U` infinite.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredHingeDual;

impl DualLoss for SquaredHingeDual {
    fn primal(&self, yz: f64, c: f64) -> f64 {
        let gap = (1.0 - yz).max(0.0);
        c * gap * gap
    }
    fn dual(&self, alpha: f64, c: f64) -> f64 {
        alpha * (alpha / (4.0 * c) - 1.0)
    }
    fn dual_derivatives(&self, alpha: f64, c: f64) -> (f64, f64) {
        (alpha / (2.0 * c) - 1.0, 1.0 / (2.0 * c))
    }
    fn upper(&self, _: f64) -> f64 {
        f64::INFINITY
    }
    fn start(&self, _: f64) -> f64 {
        0.0
    }
    #[inline]
    fn step(&self, alpha: f64, q: f64, yz: f64, c: f64, _: f64) -> Step {
        quadratic_step(alpha, q, yz, 1.0 / (2.0 * c), f64::INFINITY)
    }
}

/// Dual of `log(1 + exp(-yz))` (Yu, Huang and Lin 2011): `h(α) = α log α + (C - α) log(C - α) - C log C`, and `α` stays
/// strictly inside.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogisticDual;

/// Newton steps in one variable at most; few are ever needed.
const NEWTON_STEPS_MAX: usize = 100;
/// A Newton step beyond a bound goes this share of the way instead.
const BACK_FROM_BOUND: f64 = 0.1;

/// `x log x`, 0 at 0.
fn entropy(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

impl DualLoss for LogisticDual {
    fn primal(&self, yz: f64, c: f64) -> f64 {
        c * ((-yz.abs()).exp().ln_1p() + (-yz).max(0.0))
    }
    fn dual(&self, alpha: f64, c: f64) -> f64 {
        entropy(alpha) + entropy(c - alpha) - entropy(c)
    }
    fn dual_derivatives(&self, alpha: f64, c: f64) -> (f64, f64) {
        ((alpha / (c - alpha)).ln(), c / (alpha * (c - alpha)))
    }
    fn upper(&self, c: f64) -> f64 {
        c
    }
    fn start(&self, c: f64) -> f64 {
        (0.001 * c).min(1e-8)
    }
    /// Works in the smaller of `α` and `C - α`, whose logarithm is the exact one (section 3.3 of the paper).
    #[inline]
    fn step(&self, alpha: f64, q: f64, yz: f64, c: f64, precision: f64) -> Step {
        let near_zero = 0.5 * q * (c - 2.0 * alpha) + yz >= 0.0;
        let (old, slope) = if near_zero { (alpha, yz) } else { (c - alpha, -yz) };
        let mut z = if c - old < 0.5 * c { BACK_FROM_BOUND * old } else { old };
        let gradient = |z: f64| q * (z - old) + slope + (z / (c - z)).ln();
        let violation = slope + (old / (c - old)).ln();
        let mut g = gradient(z);
        for _ in 0..NEWTON_STEPS_MAX {
            if g.abs() < precision {
                break;
            }
            let next = z - g / (q + c / (z * (c - z)));
            z = if next <= 0.0 { BACK_FROM_BOUND * z } else { next.min(0.5 * (z + c)) };
            g = gradient(z);
        }
        Step { alpha: if near_zero { z } else { c - z }, violation, gradient_at_bound: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The dual in one variable after `d` was added to it, up to a constant.
    fn along(loss: impl DualLoss, alpha: f64, q: f64, yz: f64, c: f64, new: f64) -> f64 {
        let d = new - alpha;
        0.5 * q * d * d + yz * d + loss.dual(new, c)
    }

    fn check(loss: impl DualLoss, share: f64, q: f64, yz: f64, c: f64) {
        let upper = loss.upper(c).min(10.0 * c);
        let alpha = share * upper;
        let step = loss.step(alpha, q, yz, c, 1e-10);
        let best = along(loss, alpha, q, yz, c, step.alpha);
        for i in 1..100 {
            let other = along(loss, alpha, q, yz, c, upper * i as f64 / 100.0);
            assert!(best <= other + 1e-7 * (1.0 + other.abs()), "{step:?}: {best} > {other}");
        }
        // Fenchel and Young: h(α) + c loss(yz) >= -α yz, with equality at the right α.
        assert!(loss.dual(alpha, c) + loss.primal(yz, c) + alpha * yz >= -1e-9);
        let (first, _) = loss.dual_derivatives(alpha, c);
        let h = 1e-6 * c;
        let slope = (loss.dual(alpha + h, c) - loss.dual(alpha - h, c)) / (2.0 * h);
        assert!((first - slope).abs() < 1e-4 * (1.0 + first.abs()), "{first} {slope}");
    }

    proptest! {
        #[test]
        fn steps_minimise(share in 0.01..0.99f64, q in 0.0..20.0f64, yz in -5.0..5.0f64, c in 0.05..8.0f64) {
            check(HingeDual, share, q, yz, c);
            check(SquaredHingeDual, share, q, yz, c);
            check(LogisticDual, share, q, yz, c);
        }
    }
}
