//! The step along the changes of several partitions.

use super::coordinate::DualLoss;
use super::local::Problem;
use crate::linalg::dense::dot;

/// The line search ends when its bracket or its slope is this small, relatively.
const TOLERANCE: f64 = 1e-3;
/// Evaluations of a line search at most.
const STEPS_MAX: usize = 30;
/// A step beyond the whole way never comes closer to a bound of a dual variable than this share of the way.
const LEAST_ROOM: f64 = 1e-12;

/// The `t` that minimises `D(α + t Δ)`, by safeguarded Newton steps on the derivative; 0 if there is no way down.
/// `change` is that of `w`, `pairs` the old and the new values of all variables that change.
pub(super) fn search<L: DualLoss>(
    problem: &Problem<L>,
    w: &[f64],
    change: &[f64],
    pairs: &[(f64, f64)],
) -> f64 {
    let (first, second) = (dot(w, change), dot(change, change));
    let upper = problem.loss.upper(problem.c);
    // The largest step that keeps every variable within its bounds. New values are, so it is 1 at least.
    let room = pairs.iter().fold(f64::INFINITY, |room: f64, (a, b)| {
        room.min(if b > a { (upper - a) / (b - a) } else { a / (a - b) })
    });
    let derivatives = |t: f64| {
        pairs.iter().fold((first + t * second, second), |(g, h), (a, b)| {
            let delta = b - a;
            let (d1, d2) = problem.loss.dual_derivatives(a + t * delta, problem.c);
            (g + delta * d1, h + delta * delta * d2)
        })
    };
    let (slope, _) = derivatives(0.0);
    if slope.is_nan() || slope >= 0.0 {
        return 0.0;
    }
    let limit = (room * (1.0 - LEAST_ROOM)).max(1.0);
    let (mut low, mut high) = (0.0, limit);
    // The whole way first: often it is what is wanted, or all there is.
    let mut t = 1.0;
    for _ in 0..STEPS_MAX {
        let (g, h) = derivatives(t);
        if g.abs() <= TOLERANCE * -slope || g < 0.0 && t >= limit {
            break;
        }
        if g < 0.0 {
            low = t;
        } else {
            high = t;
        }
        let newton = t - g / h;
        t = if newton > low && newton < high {
            newton
        } else if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * low
        };
        if high - low <= TOLERANCE * low {
            break;
        }
    }
    t
}

#[cfg(test)]
mod tests {
    use super::super::coordinate::{HingeDual, LogisticDual, SquaredHingeDual};
    use super::*;
    use crate::objective::Target;

    fn problem<L: DualLoss>(loss: L) -> Problem<L> {
        Problem { loss, target: Target::Positive(1.0), c: 1.0, columns: 1, intercept: false }
    }

    #[test]
    fn the_lowest_point_is_found_within_bounds() {
        // D(t) = 1/2 (w + t)² - 3 t, over one variable from 0.2 to 0.5: lowest at t = 3 * 0.3 - w, if there is room.
        let along = |w: f64, pairs: &[(f64, f64)]| search(&problem(HingeDual), &[w], &[1.0], pairs);
        let few = [(0.2, 0.5); 10];
        assert!((along(2.5, &few) - 0.5).abs() < 2e-3);
        assert!((along(1.2, &few) - 1.8).abs() < 2e-3);
        // All the way to a bound, and to the last bit.
        assert_eq!(along(0.5, &[(0.2, 1.0); 10]), 1.0);
        assert_eq!(along(4.0, &few), 0.0, "uphill");
        assert_eq!(along(4.0, &[]), 0.0);
        // No bound: as far as it goes down.
        let far = search(&problem(SquaredHingeDual), &[-9.0], &[1.0], &[(0.0, 0.5)]);
        assert!((far - 9.5 / 1.125).abs() < 2e-2, "{far}");
        // Never onto a bound that is none of the variable's values.
        let t = search(&problem(LogisticDual), &[-9.0], &[1.0], &[(0.5, 0.9)]);
        assert!(t > 1.0 && 0.5 + 0.4 * t < 1.0, "{t}");
    }
}
