//! A step along a direction that satisfies the strong Wolfe conditions.
//!
//! # Problem
//! For `φ(t) = f(x + t d)` with `φ'(0) < 0`, find `t > 0` with `φ(t) <= φ(0) + c1 t φ'(0)` and
//! `|φ'(t)| <= c2 |φ'(0)|`. Close to a minimum the first condition drowns in rounding; there the approximate form
//! `φ(t) <= φ(0) + ε |φ(0)|`, `c2 φ'(0) <= φ'(t) <= (2 c1 - 1) φ'(0)` is taken instead.
//!
//! # Stopping rule
//! The first trial that satisfies either form; after `evaluations_max` trials the best one with a decrease.
//!
//! # Cost
//! One evaluation of value and gradient a trial; nearly always one in all, since quasi-Newton steps fit at `t = 1`.
//!
//! # References
//! Nocedal and Wright, *Numerical Optimization*, 2nd edition, algorithms 3.5 and 3.6, interpolation (3.59); Hager and
//! Zhang, *A new conjugate gradient method with guaranteed descent*, SIAM J. Optim. 16 (2005), the approximate form.

use slackwater_dataflow::Result;

/// Constants of the search.
#[derive(Debug, Clone, Copy)]
pub struct StrongWolfe {
    /// Share of the linear decrease that is asked for.
    pub c1: f64,
    /// How much of the slope may be left.
    pub c2: f64,
    /// Trials at most.
    pub evaluations_max: usize,
}

impl Default for StrongWolfe {
    fn default() -> Self {
        StrongWolfe { c1: 1e-4, c2: 0.9, evaluations_max: 25 }
    }
}

/// A step with value and slope there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Length of the step, `t`.
    pub step: f64,
    /// `φ(t)`.
    pub value: f64,
    /// `φ'(t)`.
    pub slope: f64,
}

/// Relative rounding error of a sum of many losses: differences below it mean nothing.
const ROUNDING: f64 = 1e-13;
/// A trial between two others keeps this distance to both, as a share of their distance.
const MARGIN: f64 = 0.1;

impl StrongWolfe {
    /// Searches from `start` (its `step` is 0), first at `first_step`. `phi` is called with a step and returns value and
    /// slope; the step that is returned was its last call. `None` if no trial decreases the function.
    pub fn search(
        &self,
        start: Trial,
        first_step: f64,
        mut phi: impl FnMut(f64) -> Result<(f64, f64)>,
    ) -> Result<Option<Trial>> {
        let (mut low, mut high): (Trial, Option<Trial>) = (start, None);
        let mut before = start;
        let mut step = first_step;
        for _ in 0..self.evaluations_max {
            let (value, slope) = phi(step)?;
            let trial = Trial { step, value, slope };
            if self.accepts(&start, &trial) {
                return Ok(Some(trial));
            }
            let enough = value <= start.value + self.c1 * step * start.slope;
            // NaN makes both comparisons false, and so counts as too high.
            let falls = enough && value < low.value;
            if !falls && !self.is_flat(&start, &trial) {
                high = Some(trial);
            } else {
                let toward_high = high.map_or(1.0, |h| h.step - low.step);
                if slope * toward_high >= 0.0 {
                    high = Some(low);
                }
                before = low;
                low = trial;
            }
            step = match high {
                Some(high) => between(&low, &high),
                None => beyond(&before, &low),
            };
            let width = high.map_or(f64::INFINITY, |h| (h.step - low.step).abs());
            if width <= f64::EPSILON * low.step.abs().max(f64::MIN_POSITIVE) {
                break;
            }
        }
        if low.step > 0.0 && low.value < start.value {
            let (value, slope) = phi(low.step)?;
            return Ok(Some(Trial { step: low.step, value, slope }));
        }
        Ok(None)
    }
    fn accepts(&self, start: &Trial, t: &Trial) -> bool {
        let strong = t.value <= start.value + self.c1 * t.step * start.slope
            && t.slope.abs() <= -self.c2 * start.slope;
        let approximate = self.is_flat(start, t)
            && t.slope >= self.c2 * start.slope
            && t.slope <= (2.0 * self.c1 - 1.0) * start.slope;
        strong || approximate
    }
    /// True if the values differ by no more than rounding.
    fn is_flat(&self, start: &Trial, t: &Trial) -> bool {
        (t.value - start.value).abs() <= ROUNDING * start.value.abs()
    }
}

/// Minimum of the cubic through two trials with their slopes, if there is one.
fn cubic_minimum(a: &Trial, b: &Trial) -> Option<f64> {
    let d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.step - b.step);
    let inside = d1 * d1 - a.slope * b.slope;
    if inside.is_nan() || inside < 0.0 {
        return None;
    }
    let d2 = (b.step - a.step).signum() * inside.sqrt();
    let t = b.step - (b.step - a.step) * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2);
    t.is_finite().then_some(t)
}

/// The next trial between two.
fn between(low: &Trial, high: &Trial) -> f64 {
    let width = high.step - low.step;
    let guess = cubic_minimum(low, high).unwrap_or(low.step + 0.5 * width);
    let (from, to) = (low.step + MARGIN * width, high.step - MARGIN * width);
    guess.clamp(from.min(to), from.max(to))
}

/// The next trial beyond the best one, while the function still falls.
fn beyond(before: &Trial, low: &Trial) -> f64 {
    let width = low.step - before.step;
    let guess = cubic_minimum(before, low).unwrap_or(low.step + 4.0 * width);
    guess.clamp(low.step + 1.1 * width, low.step + 4.0 * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(f: impl Fn(f64) -> (f64, f64), first: f64) -> Option<Trial> {
        let (value, slope) = f(0.0);
        let mut last = f64::NAN;
        let found = StrongWolfe { c2: 0.1, ..Default::default() }
            .search(Trial { step: 0.0, value, slope }, first, |t| {
                last = t;
                Ok(f(t))
            })
            .unwrap();
        if let Some(t) = found {
            assert_eq!(t.step, last, "the accepted step is the last call");
            assert!(t.value <= value + 1e-4 * t.step * slope && t.slope.abs() <= 0.1 * slope.abs(), "{t:?}");
        }
        found
    }

    #[test]
    fn finds_steps_from_too_short_and_too_long() {
        for first in [1e-4, 0.1, 1.0, 30.0, 1e4] {
            // Functions 1 and 2 of Moré and Thuente (1994), and a barrier that is infinite from 2 on.
            assert!(run(|t| (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2)), first).is_some());
            let barrier = |t: f64| {
                if t >= 2.0 { (f64::NAN, f64::NAN) } else { (-t - (2.0 - t).ln(), -1.0 + 1.0 / (2.0 - t)) }
            };
            assert!(run(barrier, first).is_some(), "barrier from {first}");
            let quintic = |t: f64| {
                (
                    (t + 0.004).powi(5) - 2.0 * (t + 0.004).powi(4),
                    5.0 * (t + 0.004).powi(4) - 8.0 * (t + 0.004).powi(3),
                )
            };
            assert!(run(quintic, first).is_some(), "quintic from {first}");
        }
    }

    #[test]
    fn an_ascending_function_has_no_step() {
        let found = StrongWolfe::default()
            .search(Trial { step: 0.0, value: 0.0, slope: -1.0 }, 1.0, |t| Ok((t, 1.0)))
            .unwrap();
        assert_eq!(found, None);
    }
}
