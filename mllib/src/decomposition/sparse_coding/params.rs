//! Parameters of sparse coding.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::Consistency;
use std::str::FromStr;

/// What atoms begin as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstAtoms {
    /// Rows of the data, drawn without repetition; random ones in place of rows of zeros, and if there are too few.
    Rows,
    /// Random directions.
    Random,
}

impl FirstAtoms {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            FirstAtoms::Rows => "rows",
            FirstAtoms::Random => "random",
        }
    }
}

impl FromStr for FirstAtoms {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = [FirstAtoms::Rows, FirstAtoms::Random].into_iter().find(|f| f.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of rows, random"))
    }
}

/// Parameters of sparse coding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparseCodingParams {
    /// Number of atoms.
    pub atoms: usize,
    /// Weight of the absolute values of codes, beside half the squared residuals of a row.
    pub lambda: f64,
    /// Euclidean length of an atom at most.
    pub bound: f64,
    /// Codes of at least 0.
    pub non_negative_codes: bool,
    /// Atoms of at least 0.
    pub non_negative_atoms: bool,
    /// What atoms begin as.
    pub first_atoms: FirstAtoms,
    /// Passes over the rows at most.
    pub epochs: usize,
    /// Step of the first epoch: 1 goes to the minimum of a bound on the objective, and below 2 no step does harm if a clock
    /// has all rows.
    pub step_size: f64,
    /// Factor of the step from epoch to epoch.
    pub decay: f64,
    /// Passes of coordinate descent over the codes of a row, each time the row's turn comes.
    pub passes: usize,
    /// Rows of each partition in a clock.
    pub batch: usize,
    /// How old the atoms may be that a minibatch reads.
    pub consistency: Consistency,
    /// Ends the training after an epoch in which the objective fell by less than this share.
    pub tolerance: Option<f64>,
    /// Seed of the first atoms and of the order of rows.
    pub seed: u64,
}

impl Default for SparseCodingParams {
    fn default() -> Self {
        SparseCodingParams {
            atoms: 64,
            lambda: 1.0,
            bound: 1.0,
            non_negative_codes: false,
            non_negative_atoms: false,
            first_atoms: FirstAtoms::Rows,
            epochs: 30,
            step_size: 1.0,
            decay: 0.95,
            passes: 5,
            batch: 100,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl SparseCodingParams {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, x: f64| {
            require(x > 0.0 && x.is_finite(), name, || format!("must be a positive number, not {x}"))
        };
        require(self.atoms >= 1, "atoms", || "must be at least 1".into())?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        require(self.passes >= 1, "passes", || "must be at least 1".into())?;
        require(self.batch >= 1, "batch", || "must be at least 1".into())?;
        positive("lambda", self.lambda)?;
        positive("bound", self.bound)?;
        positive("step_size", self.step_size)?;
        require(self.decay > 0.0 && self.decay <= 1.0, "decay", || {
            format!("must be above 0 and at most 1, not {}", self.decay)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = SparseCodingParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (SparseCodingParams { atoms: 0, ..good() }, "atoms"),
            (SparseCodingParams { epochs: 0, ..good() }, "epochs"),
            (SparseCodingParams { passes: 0, ..good() }, "passes"),
            (SparseCodingParams { batch: 0, ..good() }, "batch"),
            (SparseCodingParams { lambda: 0.0, ..good() }, "lambda"),
            (SparseCodingParams { bound: f64::INFINITY, ..good() }, "bound"),
            (SparseCodingParams { step_size: f64::NAN, ..good() }, "step_size"),
            (SparseCodingParams { decay: 0.0, ..good() }, "decay"),
            (SparseCodingParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for first in [FirstAtoms::Rows, FirstAtoms::Random] {
            assert_eq!(first.name().parse(), Ok(first));
        }
        assert!("svd".parse::<FirstAtoms>().is_err());
    }
}
