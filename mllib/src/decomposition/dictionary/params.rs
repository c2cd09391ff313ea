//! Parameters of dictionary learning.

use crate::decomposition::sparse_coding::FirstAtoms;
use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// Parameters of dictionary learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DictionaryParams {
    /// Number of atoms.
    pub atoms: usize,
    /// Weight of the absolute values of codes, beside half the squared residuals of a row.
    pub lambda: f64,
    /// Codes of at least 0.
    pub non_negative_codes: bool,
    /// Atoms of at least 0.
    pub non_negative_atoms: bool,
    /// What atoms begin as.
    pub first_atoms: FirstAtoms,
    /// Duality gap at which the codes of a row are good enough for the atoms of an epoch, as a share of its squared length.
    pub code_tolerance: f64,
    /// Epochs at most.
    pub epochs: usize,
    /// Ends the training after an epoch in which the objective fell by less than this share.
    pub tolerance: f64,
    /// Seed of the first atoms.
    pub seed: u64,
}

impl Default for DictionaryParams {
    fn default() -> Self {
        DictionaryParams {
            atoms: 64,
            lambda: 1.0,
            non_negative_codes: false,
            non_negative_atoms: false,
            first_atoms: FirstAtoms::Rows,
            code_tolerance: 1e-6,
            epochs: 100,
            tolerance: 1e-5,
            seed: 42,
        }
    }
}

impl DictionaryParams {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.atoms >= 1, "atoms", || "must be at least 1".into())?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        for (name, x) in [("lambda", self.lambda), ("code_tolerance", self.code_tolerance)] {
            require(x > 0.0 && x.is_finite(), name, || format!("must be a positive number, not {x}"))?;
        }
        require(self.tolerance >= 0.0, "tolerance", || "must be at least 0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = DictionaryParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (DictionaryParams { atoms: 0, ..good() }, "atoms"),
            (DictionaryParams { epochs: 0, ..good() }, "epochs"),
            (DictionaryParams { lambda: 0.0, ..good() }, "lambda"),
            (DictionaryParams { code_tolerance: f64::NAN, ..good() }, "code_tolerance"),
            (DictionaryParams { tolerance: -1.0, ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }
}
