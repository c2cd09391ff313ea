//! Losses of one real margin `z` against a label `y`.
//!
//! Binary losses take `y` = -1 or +1; [`SquaredError`] takes any real label. Each is evaluated with its first two
//! derivatives at once, since they share the expensive part.

/// A loss at one point, with derivatives in the margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossAt {
    /// `loss(z, y)`.
    pub value: f64,
    /// `∂loss/∂z`; a subgradient at a kink.
    pub first: f64,
    /// `∂²loss/∂z²`; 0 where it does not exist.
    pub second: f64,
}

/// A loss function of margin and label.
pub trait Loss: Copy + Send + Sync + 'static {
    /// Value and derivatives at margin `z` for label `y`.
    fn at(&self, z: f64, y: f64) -> LossAt;

    /// Value alone.
    fn value(&self, z: f64, y: f64) -> f64 {
        self.at(z, y).value
    }
    /// First derivative in the margin alone.
    fn derivative(&self, z: f64, y: f64) -> f64 {
        self.at(z, y).first
    }
    /// Second derivative in the margin alone.
    fn second_derivative(&self, z: f64, y: f64) -> f64 {
        self.at(z, y).second
    }
}

/// `log(1 + exp(-y z))`, never overflowing: the exponential is of `-|y z|`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logistic;

impl Loss for Logistic {
    #[inline]
    fn at(&self, z: f64, y: f64) -> LossAt {
        let yz = y * z;
        let e = (-yz.abs()).exp();
        let small = e / (1.0 + e);
        // The probability of the other label.
        let miss = if yz >= 0.0 { small } else { 1.0 - small };
        LossAt { value: e.ln_1p() + (-yz).max(0.0), first: -y * miss, second: small * (1.0 - small) }
    }
}

/// `max(0, 1 - y z)`. At the kink the subgradient is 0, as in Spark.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hinge;

impl Loss for Hinge {
    #[inline]
    fn at(&self, z: f64, y: f64) -> LossAt {
        let gap = 1.0 - y * z;
        let active = if gap > 0.0 { 1.0 } else { 0.0 };
        LossAt { value: gap.max(0.0), first: -y * active, second: 0.0 }
    }
}

/// `max(0, 1 - y z)²`. Its second derivative is the generalised one (Mangasarian 2002): 2 where the loss is positive.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredHinge;

impl Loss for SquaredHinge {
    #[inline]
    fn at(&self, z: f64, y: f64) -> LossAt {
        let gap = (1.0 - y * z).max(0.0);
        let second = if gap > 0.0 { 2.0 } else { 0.0 };
        LossAt { value: gap * gap, first: -2.0 * y * gap, second }
    }
}

/// `1/2 (z - y)²`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredError;

impl Loss for SquaredError {
    #[inline]
    fn at(&self, z: f64, y: f64) -> LossAt {
        let residual = z - y;
        LossAt { value: 0.5 * residual * residual, first: residual, second: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(loss: impl Loss, z: f64, y: f64, second: bool) {
        let h = 1e-5 * z.abs().max(1.0);
        let (up, down, here) = (loss.at(z + h, y), loss.at(z - h, y), loss.at(z, y));
        let first = (up.value - down.value) / (2.0 * h);
        assert!((first - here.first).abs() <= 1e-6 * here.first.abs().max(1.0), "{first} {here:?}");
        if second {
            let second = (up.first - down.first) / (2.0 * h);
            assert!((second - here.second).abs() <= 1e-6 * here.second.abs().max(1.0), "{second} {here:?}");
        }
    }

    proptest! {
        #[test]
        fn derivatives(z in -30.0..30.0f64, positive: bool) {
            let y = if positive { 1.0 } else { -1.0 };
            check(Logistic, z, y, true);
            check(SquaredError, z, y, true);
            if (1.0 - y * z).abs() > 1e-3 {
                check(Hinge, z, y, true);
                check(SquaredHinge, z, y, true);
            }
        }
    }

    #[test]
    fn logistic_does_not_overflow() {
        assert_eq!(Logistic.value(-1e4, 1.0), 1e4);
        assert_eq!(Logistic.value(1e4, 1.0), 0.0);
        assert_eq!(Logistic.derivative(-1e4, 1.0), -1.0);
        assert_eq!(Logistic.at(0.0, 1.0), LossAt { value: 2f64.ln(), first: -0.5, second: 0.25 });
    }
}
