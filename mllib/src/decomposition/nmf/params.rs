//! Parameters of non-negative matrix factorisation.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Parameters of non-negative matrix factorisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NmfParams {
    /// Number of components.
    pub rank: usize,
    /// Weight of the codes, beside half the squared error.
    pub l1_codes: f64,
    /// Weight of half the squares of the codes.
    pub l2_codes: f64,
    /// Weight of the components.
    pub l1_components: f64,
    /// Weight of half the squares of the components.
    pub l2_components: f64,
    /// Passes of coordinate descent over the codes of a row, and over the components in a column, in an epoch.
    pub passes: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Ends the training after an epoch in which the objective fell by less than this share.
    pub tolerance: f64,
    /// Seed of the first factors.
    pub seed: u64,
}

impl Default for NmfParams {
    fn default() -> Self {
        NmfParams {
            rank: 10,
            l1_codes: 0.0,
            l2_codes: 0.0,
            l1_components: 0.0,
            l2_components: 0.0,
            passes: 1,
            epochs: 200,
            tolerance: 1e-5,
            seed: 42,
        }
    }
}

impl NmfParams {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.rank >= 1, "rank", || "must be at least 1".into())?;
        require(self.passes >= 1, "passes", || "must be at least 1".into())?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        for (name, x) in [
            ("l1_codes", self.l1_codes),
            ("l2_codes", self.l2_codes),
            ("l1_components", self.l1_components),
            ("l2_components", self.l2_components),
            ("tolerance", self.tolerance),
        ] {
            require(x >= 0.0 && x.is_finite(), name, || format!("must be a number of at least 0, not {x}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = NmfParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (NmfParams { rank: 0, ..good() }, "rank"),
            (NmfParams { passes: 0, ..good() }, "passes"),
            (NmfParams { epochs: 0, ..good() }, "epochs"),
            (NmfParams { l1_codes: -1.0, ..good() }, "l1_codes"),
            (NmfParams { l2_codes: f64::NAN, ..good() }, "l2_codes"),
            (NmfParams { l1_components: f64::INFINITY, ..good() }, "l1_components"),
            (NmfParams { l2_components: -0.5, ..good() }, "l2_components"),
            (NmfParams { tolerance: -1.0, ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }
}
