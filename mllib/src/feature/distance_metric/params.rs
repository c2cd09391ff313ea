//! Parameters of distance metric learning.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::{Consistency, Rule};

/// The rank that is chosen for more columns, if none is given.
const RANK_DEFAULT: usize = 64;

/// Parameters of distance metric learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceMetricParams {
    /// Rows of `L`, at most as many as there are columns; `None`: as many as columns, but at most 64.
    pub rank: Option<usize>,
    /// Pairs of each kind that are drawn from labels; `None`: five a row.
    pub pairs: Option<usize>,
    /// Squared distance at which dissimilar pairs are far enough.
    pub margin: f64,
    /// Weight of dissimilar pairs, beside similar ones. The smaller it is, the more of what classes have in common vanishes,
    /// and with it what tells a row's neighbours apart; the default was the best of 1, 3, 10 and 30 on wine, digits and
    /// letters, for pairs and neighbours together.
    pub dissimilar_weight: f64,
    /// Passes over the pairs at most.
    pub epochs: usize,
    /// Step of the first epoch, along the mean gradient of a clock, for rows whose dissimilar pairs have a mean squared
    /// distance of 1.
    pub step_size: f64,
    /// Factor of the step from epoch to epoch.
    pub decay: f64,
    /// Share of the last step that is taken again, beside the new one: at least 0, below 1.
    pub momentum: f64,
    /// Pairs of each partition in a clock.
    pub batch: usize,
    /// Gives every column the same weight to begin with, whatever its scale.
    pub standardize: bool,
    /// How old `L` may be that a minibatch reads.
    pub consistency: Consistency,
    /// Ends the training after an epoch in which the loss fell by less than this share.
    pub tolerance: Option<f64>,
    /// Seed of the pairs, their order and the first `L`.
    pub seed: u64,
}

impl Default for DistanceMetricParams {
    fn default() -> Self {
        DistanceMetricParams {
            rank: None,
            pairs: None,
            margin: 1.0,
            dissimilar_weight: 3.0,
            epochs: 30,
            step_size: 0.5,
            decay: 0.95,
            momentum: 0.0,
            batch: 100,
            standardize: false,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl DistanceMetricParams {
    /// Rows of `L`, for rows of so many columns.
    ///
    /// # Errors
    /// Config, if more were asked for than there are columns.
    pub(super) fn rank_for(&self, columns: usize) -> Result<usize> {
        let rank = self.rank.unwrap_or(columns.min(RANK_DEFAULT));
        require(rank <= columns, "rank", || {
            format!("must be at most the number of columns, {columns}, not {rank}")
        })?;
        Ok(rank)
    }
    /// What shards make of the increments of a clock.
    pub(super) fn rule(&self) -> Rule {
        match self.momentum {
            0.0 => Rule::Increment,
            momentum => Rule::Momentum { momentum },
        }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, x: f64| {
            require(x > 0.0 && x.is_finite(), name, || format!("must be a positive number, not {x}"))
        };
        require(self.rank != Some(0), "rank", || "must be at least 1".into())?;
        require(self.pairs != Some(0), "pairs", || "must be at least 1".into())?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        require(self.batch >= 1, "batch", || "must be at least 1".into())?;
        positive("margin", self.margin)?;
        positive("dissimilar_weight", self.dissimilar_weight)?;
        positive("step_size", self.step_size)?;
        require(self.decay > 0.0 && self.decay <= 1.0, "decay", || {
            format!("must be above 0 and at most 1, not {}", self.decay)
        })?;
        require((0.0..1.0).contains(&self.momentum), "momentum", || {
            format!("must be at least 0 and below 1, not {}", self.momentum)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = DistanceMetricParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (DistanceMetricParams { rank: Some(0), ..good() }, "rank"),
            (DistanceMetricParams { pairs: Some(0), ..good() }, "pairs"),
            (DistanceMetricParams { epochs: 0, ..good() }, "epochs"),
            (DistanceMetricParams { batch: 0, ..good() }, "batch"),
            (DistanceMetricParams { margin: 0.0, ..good() }, "margin"),
            (DistanceMetricParams { dissimilar_weight: f64::INFINITY, ..good() }, "dissimilar_weight"),
            (DistanceMetricParams { step_size: f64::NAN, ..good() }, "step_size"),
            (DistanceMetricParams { decay: 1.5, ..good() }, "decay"),
            (DistanceMetricParams { momentum: 1.0, ..good() }, "momentum"),
            (DistanceMetricParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn the_rank_is_at_most_the_columns() {
        let of = |rank: Option<usize>| DistanceMetricParams { rank, ..Default::default() };
        assert_eq!((of(None).rank_for(10).unwrap(), of(None).rank_for(1000).unwrap()), (10, 64));
        assert_eq!(of(Some(200)).rank_for(1000).unwrap(), 200);
        let e = of(Some(11)).rank_for(10).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("columns, 10, not 11"), "{e}");
    }
}
