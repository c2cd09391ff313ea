//! The penalty of a group, its proximal map, and the largest multiple of a gradient that the dual allows.

/// `l1 |b|₁ + l2 |b|₂` of one group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GroupPenalty {
    pub l1: f64,
    pub l2: f64,
}

/// `x` nearer to 0 by `by`.
fn shrunk(x: f64, by: f64) -> f64 {
    (x.abs() - by).max(0.0).copysign(x)
}

impl GroupPenalty {
    /// Its value.
    pub fn value(&self, b: &[f64]) -> f64 {
        let l1: f64 = b.iter().map(|b| b.abs()).sum();
        let l2: f64 = b.iter().map(|b| b * b).sum();
        self.l1 * l1 + self.l2 * l2.sqrt()
    }
    /// Replaces `b` by the point that minimises `1/2 |x - b|² + step * penalty(x)`: both parts, one after the other.
    pub fn shrink(&self, b: &mut [f64], step: f64) {
        b.iter_mut().for_each(|b| *b = shrunk(*b, step * self.l1));
        let norm = b.iter().map(|b| b * b).sum::<f64>().sqrt();
        let scale = if norm > step * self.l2 { 1.0 - step * self.l2 / norm } else { 0.0 };
        b.iter_mut().for_each(|b| *b *= scale);
    }
    /// How much of the gradient `c` is left beyond the `l1` part, relative to the `l2` part: a group is at 0 while that is at most 1.
    pub fn strain(&self, c: &[f64]) -> f64 {
        let left: f64 = c.iter().map(|c| shrunk(*c, self.l1).powi(2)).sum();
        match self.l2 > 0.0 {
            true => left.sqrt() / self.l2,
            false if left > 0.0 => f64::INFINITY,
            false => 0.0,
        }
    }
    /// The largest `s` such that `s c` is feasible: `|shrunk(s c, l1)| <= l2`.
    pub fn largest_multiple(&self, c: &[f64]) -> f64 {
        let mut sizes: Vec<f64> = c.iter().map(|c| c.abs()).filter(|c| *c > 0.0).collect();
        if sizes.is_empty() {
            return f64::INFINITY;
        }
        sizes.sort_unstable_by(|a, b| b.total_cmp(a));
        // With the k largest beyond `l1`: Σ (s c - l1)² = l2², the larger root.
        let (mut sum, mut squares) = (0.0, 0.0);
        for (k, size) in sizes.iter().enumerate() {
            (sum, squares) = (sum + size, squares + size * size);
            let count = (k + 1) as f64;
            let constant = count * self.l1 * self.l1 - self.l2 * self.l2;
            let root = ((self.l1 * sum).powi(2) - squares * constant).max(0.0).sqrt();
            let s = (self.l1 * sum + root) / squares;
            // Right if the next one is not beyond `l1` then.
            if sizes.get(k + 1).is_none_or(|next| s * next <= self.l1) {
                return s;
            }
        }
        unreachable!("the last one has none after it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    fn random(n: usize, rng: &mut rng::Stream) -> Vec<f64> {
        (0..n).map(|_| rng::normal(rng)).collect()
    }

    /// No point near it is better.
    #[test]
    fn the_proximal_map_minimises() {
        let mut rng = rng::stream(4, 4);
        for round in 0..200 {
            let (n, step) = (1 + round % 5, 0.1 + rng::unit_f64(&mut rng));
            let penalty = GroupPenalty { l1: rng::unit_f64(&mut rng), l2: 2.0 * rng::unit_f64(&mut rng) };
            let v = random(n, &mut rng);
            let cost = |x: &[f64]| {
                let distance: f64 = x.iter().zip(&v).map(|(x, v)| (x - v).powi(2)).sum();
                0.5 * distance + step * penalty.value(x)
            };
            let mut best = v.clone();
            penalty.shrink(&mut best, step);
            for _ in 0..50 {
                let moved: Vec<f64> = best.iter().map(|b| b + 1e-3 * rng::normal(&mut rng)).collect();
                assert!(cost(&moved) >= cost(&best), "{penalty:?} {v:?} {best:?}");
            }
        }
    }

    #[test]
    fn the_largest_multiple_is_just_feasible() {
        let mut rng = rng::stream(5, 4);
        for round in 0..300 {
            let l1 = if round % 4 == 0 { 0.0 } else { rng::unit_f64(&mut rng) };
            let penalty = GroupPenalty { l1, l2: 0.01 + rng::unit_f64(&mut rng) };
            let c = random(1 + round % 7, &mut rng);
            let s = penalty.largest_multiple(&c);
            let at = |s: f64| penalty.strain(&c.iter().map(|c| s * c).collect::<Vec<_>>());
            assert!((at(s) - 1.0).abs() < 1e-9, "{penalty:?} {c:?}: {s} {}", at(s));
        }
        assert_eq!(GroupPenalty { l1: 1.0, l2: 1.0 }.largest_multiple(&[0.0, 0.0]), f64::INFINITY);
        // Without a part of its own a group is a lasso.
        let lasso = GroupPenalty { l1: 0.5, l2: 0.0 };
        assert!((lasso.largest_multiple(&[0.1, -2.0]) - 0.25).abs() < 1e-12);
    }
}
