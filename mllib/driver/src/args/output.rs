//! Options about what `train` gives.

use clap::Args;
use std::path::PathBuf;

/// Where a model goes, and what is told of it.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Where to store the model, a new folder [default: ALGORITHM.model in this folder]
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    pub model: Option<PathBuf>,

    /// Replace a model that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,

    /// Print all metrics, not only the first ones
    ///
    /// They are measured on what was held out (--split, --test), or else on what was learnt from.
    #[arg(long, help_heading = "Output")]
    pub metrics: bool,
}
