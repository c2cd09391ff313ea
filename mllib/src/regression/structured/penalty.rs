//! What a solver asks of a penalty.

/// A norm of the weights of some columns. Its multiple `scale` is what is minimised.
pub(super) trait Penalty: std::fmt::Debug {
    /// Its value.
    fn value(&self, b: &[f64]) -> f64;
    /// Replaces `b` by the point that minimises `1/2 |x - b|² + scale * penalty(x)`.
    fn shrink(&self, b: &mut [f64], scale: f64);
    /// The largest `s`, at most `cap`, such that `s c` is a subgradient at 0: its proximal map is zero.
    fn largest_multiple(&self, c: &[f64], cap: f64) -> f64;
    /// The penalty near `b`, along which it is smooth.
    fn smooth_at(&self, b: &[f64]) -> Smooth;
}

/// A penalty along the ways from a point on which it is smooth.
#[derive(Debug, Default)]
pub(super) struct Smooth {
    /// By way: the weights that change on it, and by how much each.
    pub ways: Vec<Vec<(u32, f64)>>,
    /// By way: the derivative.
    pub gradient: Vec<f64>,
    /// Second derivatives that are not 0: way, a way not after it, value. A pair may come more than once.
    pub curvature: Vec<(u32, u32, f64)>,
}

/// The largest `s` at most `cap` for which `is_within` holds, if it does for all smaller ones; from below.
pub(super) fn largest_within(cap: f64, is_within: impl Fn(f64) -> bool) -> f64 {
    if is_within(cap) {
        return cap;
    }
    // Near a solution the answer is just below the cap.
    let (mut high, mut share) = (cap, 1e-13);
    let mut low = loop {
        let low = cap * (1.0 - share);
        if share >= 1.0 || low <= 0.0 {
            break 0.0;
        }
        if is_within(low) {
            break low;
        }
        (high, share) = (low, 8.0 * share);
    };
    while high - low > 2.0 * f64::EPSILON * high && high > f64::MIN_POSITIVE {
        let middle = if low == 0.0 && high > 1e-300 { high / 16.0 } else { low + 0.5 * (high - low) };
        if middle <= low || middle >= high {
            break;
        }
        match is_within(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_found_from_below() {
        for limit in [1e-9, 0.3, 0.999_999_999, 1.0, 7.0] {
            let found = largest_within(1.0, |s| s <= limit);
            let expected = f64::min(limit, 1.0);
            assert!(found <= expected && found >= expected * (1.0 - 1e-15), "{limit} {found}");
        }
    }
}
