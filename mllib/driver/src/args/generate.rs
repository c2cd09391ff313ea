//! Options of `generate`.

use super::values::{at_least_one, finite};
use clap::{Args, Subcommand, ValueEnum};
use slackwater_mllib::generate::Labels;
use std::path::PathBuf;

const CLASSIFICATION_EXAMPLES: &str = "\
Examples:
  slackwater generate classification --samples 10000 --features 440 --classes 1993 --partitions 3 --out datasets
  slackwater generate classification --classes 3 --noise 2 --seed 7 --out hard && slackwater inspect hard";

/// `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to make up.
    #[command(subcommand)]
    pub command: GenerateCommand,
}

/// What can be made up.
#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Dense rows of several classes, as LIBSVM text
    #[command(after_long_help = CLASSIFICATION_EXAMPLES)]
    Classification(ClassificationArgs),
}

/// Where labels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LabelsChoice {
    /// The class whose centre the row lies around.
    Centers,
    /// Drawn for themselves.
    Random,
}

impl LabelsChoice {
    /// What the library calls it.
    pub fn labels(self) -> Labels {
        match self {
            LabelsChoice::Centers => Labels::Centers,
            LabelsChoice::Random => Labels::Random,
        }
    }
}

/// `generate classification`.
#[derive(Debug, Args)]
pub struct ClassificationArgs {
    /// Rows
    ///
    /// Also: --rows, --n-samples, --n_samples.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["rows", "n-samples", "n_samples"])]
    pub samples: usize,

    /// Columns
    ///
    /// Also: --n-features, --n_features.
    #[arg(long, value_name = "N", default_value = "20", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["n-features", "n_features"])]
    pub features: usize,

    /// Classes, labelled from 0
    ///
    /// Also: --n-classes, --n_classes.
    #[arg(long, value_name = "N", default_value = "2", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["n-classes", "n_classes"])]
    pub classes: usize,

    /// Where labels come from: centers, random
    ///
    /// centers: a row lies around the centre of its class, which can be learnt; classes take turns. random: labels have
    /// nothing to do with the rows, and can be learnt by heart only.
    #[arg(long, value_name = "NAME", default_value = "centers", hide_possible_values = true)]
    #[arg(help_heading = "Rows")]
    pub labels: LabelsChoice,

    /// Deviation of rows from the centre of their class; centres are as far from 0 as deviation 1 makes them
    #[arg(long, value_name = "X", default_value = "1", value_parser = finite, help_heading = "Rows")]
    pub noise: f64,

    /// Where to write, a new folder with a file for each of --partitions
    #[arg(long, short, value_name = "DIR", required = true, help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Replace a folder that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}
