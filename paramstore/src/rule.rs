//! Update rules: what a shard makes of the increments of a clock.
//!
//! Bösen's server-side update rules. A rule is applied when a clock is closed, once to each value that the clock has
//! touched, with the sum of the increments of all partitions. Increments point where the value shall go: what plain
//! stochastic gradient descent would add.
//!
//! # References
//! Duchi, Hazan and Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization. McMahan et
//! al. 2013, Ad click prediction: a view from the trenches (FTRL-proximal, algorithm 1). Polyak 1964, Some methods of
//! speeding up the convergence of iteration methods (momentum).

use crate::value::Value;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// What a shard makes of the sum `d` of a clock's increments of a value `w`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `w <- w + d`.
    #[default]
    Increment,
    /// `v <- momentum v + d; w <- w + v`. Values that a clock does not touch keep their velocity, and stay.
    Momentum {
        /// In [0, 1).
        momentum: f64,
    },
    /// `h <- h + d²; w <- w + step d / (√h + epsilon)`, for `d` the negative gradient.
    AdaGrad {
        /// Above 0.
        step: f64,
        /// Above 0: what the first steps are held by.
        epsilon: f64,
    },
    /// FTRL-proximal, for `d` the negative gradient: a step of its own for every value, and exact zeros by `l1`.
    Ftrl {
        /// Step, above 0.
        alpha: f64,
        /// What the first steps are held by, at least 0.
        beta: f64,
        /// Weight of `|w|`.
        l1: f64,
        /// Weight of `w²/2`.
        l2: f64,
    },
    /// `w <- sign(u) max(|u| - l1, 0) / (1 + l2)` with `u = w + d`: a proximal step, `l1` and `l2` being multiplied by its
    /// length already.
    Proximal {
        /// Weight of `|w|`.
        l1: f64,
        /// Weight of `w²/2`.
        l2: f64,
    },
}

impl Rule {
    /// Numbers that a shard keeps for every value besides.
    pub(crate) fn states(self) -> usize {
        match self {
            Rule::Increment | Rule::Proximal { .. } => 0,
            Rule::Momentum { .. } | Rule::AdaGrad { .. } => 1,
            Rule::Ftrl { .. } => 2,
        }
    }
    /// Checks the parameters.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(self) -> Result<()> {
        let require = |holds: bool, name: &str, what: &str, value: f64| match holds {
            true => Ok(()),
            false => Err(Error::config(name, format!("must be {what}, not {value}"))),
        };
        let positive = |name, x: f64| require(x > 0.0 && x.is_finite(), name, "a positive number", x);
        let weight = |name, x: f64| require(x >= 0.0 && x.is_finite(), name, "at least 0", x);
        match self {
            Rule::Increment => Ok(()),
            Rule::Momentum { momentum: m } => {
                require((0.0..1.0).contains(&m), "momentum", "at least 0 and below 1", m)
            }
            Rule::AdaGrad { step, epsilon } => positive("step", step).and(positive("epsilon", epsilon)),
            Rule::Ftrl { alpha, beta, l1, l2 } => {
                positive("alpha", alpha).and(weight("beta", beta)).and(weight("l1", l1)).and(weight("l2", l2))
            }
            Rule::Proximal { l1, l2 } => weight("l1", l1).and(weight("l2", l2)),
        }
    }
    /// What is kept for a value at the beginning, by state.
    pub(crate) fn first<V: Value>(self, value: V) -> [V; 2] {
        match self {
            // Such that the value is what the rule makes of it.
            Rule::Ftrl { alpha, beta, l1, l2 } => {
                let w = value.to_real().unwrap_or_default();
                let sign = if w == 0.0 { 0.0 } else { w.signum() };
                [V::from_real(-(w * (beta / alpha + l2) + sign * l1)), V::default()]
            }
            _ => [V::default(); 2],
        }
    }
    /// Applies the rule to neighbouring values, with what is kept for each of them.
    pub(crate) fn apply<V: Value>(self, values: &mut [V], deltas: &[V], states: &mut [&mut [V]]) {
        match (self, states) {
            (Rule::Momentum { momentum }, [velocity]) => {
                for ((w, d), v) in values.iter_mut().zip(deltas).zip(velocity.iter_mut()) {
                    *v = V::from_real(
                        momentum * v.to_real().unwrap_or_default() + d.to_real().unwrap_or_default(),
                    );
                    *w = w.plus(*v);
                }
            }
            (Rule::AdaGrad { step, epsilon }, [squares]) => {
                for ((w, d), h) in values.iter_mut().zip(deltas).zip(squares.iter_mut()) {
                    let d = d.to_real().unwrap_or_default();
                    *h = V::from_real(h.to_real().unwrap_or_default() + d * d);
                    *w = V::from_real(
                        w.to_real().unwrap_or_default()
                            + step * d / (h.to_real().unwrap_or_default().sqrt() + epsilon),
                    );
                }
            }
            (Rule::Ftrl { alpha, beta, l1, l2 }, [z, n]) => {
                for (((w, d), z), n) in values.iter_mut().zip(deltas).zip(z.iter_mut()).zip(n.iter_mut()) {
                    let (g, before) = (-d.to_real().unwrap_or_default(), n.to_real().unwrap_or_default());
                    let after = before + g * g;
                    let sigma = (after.sqrt() - before.sqrt()) / alpha;
                    let dual = z.to_real().unwrap_or_default() + g - sigma * w.to_real().unwrap_or_default();
                    (*z, *n) = (V::from_real(dual), V::from_real(after));
                    let held = (dual.abs() - l1).max(0.0);
                    let curvature = (beta + after.sqrt()) / alpha + l2;
                    // Without curvature nothing has moved yet.
                    let size = if curvature > 0.0 { held / curvature } else { 0.0 };
                    *w = V::from_real(-dual.signum() * size);
                }
            }
            (Rule::Proximal { l1, l2 }, _) => {
                for (w, d) in values.iter_mut().zip(deltas) {
                    let u = w.to_real().unwrap_or_default() + d.to_real().unwrap_or_default();
                    *w = V::from_real(u.signum() * (u.abs() - l1).max(0.0) / (1.0 + l2));
                }
            }
            _ => values.iter_mut().zip(deltas).for_each(|(w, d)| *w = w.plus(*d)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minimises `1/2 (w - 3)² + l1 |w| + l2/2 w²`, one value, the gradient of the first term as increments.
    fn minimum(rule: Rule, rate: f64, steps: usize) -> f64 {
        let (mut w, mut states) = ([0.0f64], rule.first(0.0).map(|s| [s]));
        for _ in 0..steps {
            let d = [rate * (3.0 - w[0])];
            let mut kept: Vec<&mut [f64]> =
                states.iter_mut().take(rule.states()).map(|s| &mut s[..]).collect();
            rule.apply(&mut w, &d, &mut kept);
        }
        w[0]
    }

    #[test]
    fn rules_find_the_minimum() {
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-3, "{found}, not {wanted}");
        near(minimum(Rule::Increment, 0.1, 200), 3.0);
        near(minimum(Rule::Momentum { momentum: 0.9 }, 0.01, 400), 3.0);
        near(minimum(Rule::AdaGrad { step: 0.5, epsilon: 1e-8 }, 1.0, 2000), 3.0);
        near(minimum(Rule::Ftrl { alpha: 0.5, beta: 1.0, l1: 0.0, l2: 0.0 }, 1.0, 4000), 3.0);
        // A proximal step of length 0.1 with weights 1 and 1: the minimum is (3 - 1) / (1 + 1).
        near(minimum(Rule::Proximal { l1: 0.1, l2: 0.1 }, 0.1, 500), 1.0);
        // Strong enough, it is exactly zero.
        assert_eq!(minimum(Rule::Proximal { l1: 0.4, l2: 0.0 }, 0.1, 500), 0.0);
        assert_eq!(minimum(Rule::Ftrl { alpha: 0.1, beta: 1.0, l1: 1e6, l2: 0.0 }, 1.0, 50), 0.0);
    }

    #[test]
    fn ftrl_begins_at_the_value_it_is_given() {
        let rule = Rule::Ftrl { alpha: 0.1, beta: 1.0, l1: 0.5, l2: 2.0 };
        for value in [-1.5f64, 0.0, 0.25] {
            let (mut w, states) = ([value], rule.first(value));
            let (mut z, mut n) = ([states[0]], [states[1]]);
            rule.apply(&mut w, &[0.0], &mut [&mut z, &mut n]);
            assert!((w[0] - value).abs() < 1e-15, "{} for {value}", w[0]);
        }
    }

    #[test]
    fn parameters_are_checked() {
        Rule::Ftrl { alpha: 0.1, beta: 0.0, l1: 0.0, l2: 0.0 }.check().unwrap();
        for (bad, name) in [
            (Rule::Momentum { momentum: 1.0 }, "momentum"),
            (Rule::AdaGrad { step: 0.0, epsilon: 1.0 }, "step"),
            (Rule::AdaGrad { step: 1.0, epsilon: 0.0 }, "epsilon"),
            (Rule::Ftrl { alpha: f64::NAN, beta: 0.0, l1: 0.0, l2: 0.0 }, "alpha"),
            (Rule::Proximal { l1: -1.0, l2: 0.0 }, "l1"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.to_string().contains(name) && e.exit_code() == 2, "{e}");
        }
    }
}
