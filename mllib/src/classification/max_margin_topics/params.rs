//! Parameters of max-margin topics.

use crate::clustering::lda::CountRows;
use crate::linalg::cholesky::DIMENSION_MAX;
use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::Consistency;

/// The largest variance of weights, and the largest cost. Beyond them what the weights are drawn from would be singular up to
/// rounding.
const SCALE_MAX: f64 = 1e6;

/// Parameters of max-margin topics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxMarginTopicsParams {
    /// Number of topics, at most 4096.
    pub topics: usize,
    /// Prior count of every topic in a document.
    pub alpha: f64,
    /// Prior count of every word in a topic.
    pub beta: f64,
    /// Weight `c` of the hinge losses beside the likelihood of words: a loss counts `2c` times.
    pub cost: f64,
    /// What a score must exceed on its side for a loss of 0.
    pub margin: f64,
    /// Prior variance of weights.
    pub variance: f64,
    /// Passes over the tokens at most.
    pub epochs: usize,
    /// The model is the mean of the counts and weights at the evaluations after so many epochs; `None`: those at the end.
    pub burn_in: Option<usize>,
    /// Epochs from one evaluation to the next.
    pub evaluate_every: usize,
    /// How the counts of words are kept; what is found does not depend on it under BSP.
    pub rows: CountRows,
    /// Documents of each partition in a clock; `None`: a sixteenth of them, but 2048 to 65536 tokens.
    pub batch: Option<usize>,
    /// How old the counts of other partitions may be, and the sums that weights are drawn from.
    pub consistency: Consistency,
    /// Ends the training when the loss changes by less than this share from one evaluation to the next.
    pub tolerance: Option<f64>,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for MaxMarginTopicsParams {
    fn default() -> Self {
        MaxMarginTopicsParams {
            topics: 40,
            alpha: 0.16,
            beta: 0.01,
            cost: 1.6,
            margin: 64.0,
            variance: 1.0,
            epochs: 100,
            burn_in: None,
            evaluate_every: 10,
            rows: CountRows::Auto,
            batch: None,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl MaxMarginTopicsParams {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let least = |value: usize, name| require(value >= 1, name, || "must be at least 1".into());
        let positive = |value: f64, name| {
            require(value > 0.0 && value.is_finite(), name, || {
                format!("must be a positive number, not {value}")
            })
        };
        require((1..=DIMENSION_MAX).contains(&self.topics), "topics", || {
            format!("must be 1 to {DIMENSION_MAX}, not {}", self.topics)
        })?;
        positive(self.alpha, "alpha")?;
        positive(self.beta, "beta")?;
        positive(self.margin, "margin")?;
        for (value, name) in [(self.cost, "cost"), (self.variance, "variance")] {
            require(value > 0.0 && value <= SCALE_MAX, name, || {
                format!("must be above 0 and at most {SCALE_MAX}, not {value}")
            })?;
        }
        least(self.epochs, "epochs")?;
        least(self.evaluate_every, "evaluate_every")?;
        least(self.batch.unwrap_or(1), "batch")?;
        require(self.burn_in.is_none_or(|n| n < self.epochs), "burn_in", || {
            format!("must leave an epoch of the {} to take counts from", self.epochs)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())
    }
    /// Whether the counts and weights are part of the mean when so many epochs are done.
    pub(super) fn is_sample(&self, epochs: usize) -> bool {
        let is_evaluated = epochs.is_multiple_of(self.evaluate_every) || epochs == self.epochs;
        is_evaluated && self.burn_in.is_some_and(|n| epochs > n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = MaxMarginTopicsParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (MaxMarginTopicsParams { topics: 0, ..good() }, "topics"),
            (MaxMarginTopicsParams { topics: 4097, ..good() }, "topics"),
            (MaxMarginTopicsParams { alpha: 0.0, ..good() }, "alpha"),
            (MaxMarginTopicsParams { beta: f64::NAN, ..good() }, "beta"),
            (MaxMarginTopicsParams { cost: 0.0, ..good() }, "cost"),
            (MaxMarginTopicsParams { margin: -1.0, ..good() }, "margin"),
            (MaxMarginTopicsParams { variance: 1e7, ..good() }, "variance"),
            (MaxMarginTopicsParams { epochs: 0, ..good() }, "epochs"),
            (MaxMarginTopicsParams { evaluate_every: 0, ..good() }, "evaluate_every"),
            (MaxMarginTopicsParams { batch: Some(0), ..good() }, "batch"),
            (MaxMarginTopicsParams { burn_in: Some(100), ..good() }, "burn_in"),
            (MaxMarginTopicsParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn samples_are_the_evaluations_after_the_burn_in() {
        let params = MaxMarginTopicsParams { epochs: 25, burn_in: Some(10), ..Default::default() };
        let samples: Vec<usize> = (0..=25).filter(|n| params.is_sample(*n)).collect();
        assert_eq!(samples, [20, 25]);
        assert!(!MaxMarginTopicsParams::default().is_sample(100));
    }
}
