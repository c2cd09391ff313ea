//! `train`: linear models from rows, factorisations from ratings.

mod linear;
mod ratings;

use crate::args::{Algorithm, Globals, TrainArgs};
use slackwater_dataflow::Result;
use std::path::PathBuf;

/// Runs `train`.
pub fn run(globals: &Globals, args: &TrainArgs) -> Result<u8> {
    match &args.algorithm {
        Algorithm::Linear(algorithm) => linear::run(globals, algorithm),
        Algorithm::MatrixFactorization(args) => ratings::run(globals, args),
    }
}

/// Where the model goes: where the option says, or into this folder.
fn target(model: Option<&PathBuf>, algorithm: &str) -> PathBuf {
    model.cloned().unwrap_or_else(|| PathBuf::from(format!("{algorithm}.model")))
}

/// Which rows the metrics are of.
#[derive(Clone, Copy)]
pub enum MeasuredOn {
    /// Those learnt from.
    Training,
    /// The second part of a split.
    HeldOut,
    /// Those of other files.
    Test,
}

impl MeasuredOn {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            MeasuredOn::Training => "training rows",
            MeasuredOn::HeldOut => "held-out rows",
            MeasuredOn::Test => "test rows",
        }
    }
}
