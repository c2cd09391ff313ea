//! The command line: what can be said, with which defaults. What it means is in [`crate::commands`].
//!
//! Options stand in groups by their headings. Names that Spark and scikit-learn use for the same thing are aliases; the
//! long help (`slackwater help COMMAND`) lists them, and says where the meaning differs.

mod algorithm;
mod cluster;
mod clusters;
mod coding;
mod convert;
mod factorization;
mod generate;
mod global;
mod input;
mod lasso;
mod medlda;
mod metric;
mod network;
mod other;
mod output;
mod parts;
mod structured;
mod table;
mod table_out;
mod topics;
mod train;
mod values;

pub use algorithm::{Grid, TrainingArgs};
pub use cluster::{
    ClusterArgs, ClusterCommand, OnLoss, RunArgs, ScaleArgs, SecretArgs, StatusArgs, WorkerArgs,
};
pub use clusters::KMeansArgs;
pub use coding::SparseCodingArgs;
pub use convert::ConvertArgs;
pub use factorization::MatrixFactorizationArgs;
pub use generate::{
    ClassificationArgs, FolderArgs, GenerateArgs, GenerateCommand, GenerateTableArgs, RegressionArgs,
    SparseArgs,
};
pub use global::{Globals, ProgressWhen};
pub use input::{FeatureArgs, FormatArgs, HeldOutArgs, InputArgs, ReadArgs};
pub use lasso::{ColumnArgs, GroupLassoArgs, LassoArgs, PenaltyArgs};
pub use medlda::MedldaArgs;
pub use metric::{DistanceMetricArgs, NEIGHBOURS};
pub use network::NeuralNetworkArgs;
pub use other::{
    CompletionsArgs, ConfigArgs, ConfigCommand, CurveKind, EvaluateArgs, EventsArgs, ExplainArgs,
    ExplainFormat, ExportFormat, InspectArgs, PredictArgs, PredictFormat, ShowArgs,
};
pub use output::OutputArgs;
pub use parts::{DictionaryArgs, NmfArgs};
pub use structured::{FusedLassoArgs, TreeLassoArgs};
pub use table_out::TableOutArgs;
pub use topics::TopicsArgs;
pub use train::{Algorithm, Common, LinearAlgorithm, TrainArgs};

use clap::{ArgAction, Parser, Subcommand};

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit   ",
    env!("SLACKWATER_COMMIT"),
    "\ntarget   ",
    env!("SLACKWATER_TARGET"),
    "\nprofile  ",
    env!("SLACKWATER_PROFILE"),
    "\ncompiler ",
    env!("SLACKWATER_RUSTC")
);

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 a negative answer (evaluate --require), 2 usage, 3 data, 4 environment, 5 cluster lost, 130 interrupted.

`slackwater help COMMAND` says more than `slackwater COMMAND --help`, with examples.";

/// Train, use and look at models on partitioned data, on all cores or on several processes.
#[derive(Debug, Parser)]
#[command(
    name = "slackwater",
    version,
    long_version = LONG_VERSION,
    disable_help_flag = true,
    after_help = EXIT_CODES,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options of all commands.
    #[command(flatten)]
    pub globals: Globals,

    /// Print the options
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fit a model and store it
    Train(Box<TrainArgs>),
    /// Apply a model to rows
    Predict(PredictArgs),
    /// Measure a model on labelled rows
    Evaluate(EvaluateArgs),
    /// Write files of one format as another
    Convert(ConvertArgs),
    /// Show what a model or a file of data holds
    Inspect(InspectArgs),
    /// Show the lineage and the stages that training would run
    Explain(ExplainArgs),
    /// Show what a run has done, from the file that --events wrote
    Events(EventsArgs),
    /// Make up rows to try things on
    Generate(GenerateArgs),
    /// Run a command on several processes
    Cluster(ClusterArgs),
    /// Offer this machine to a run that another one has begun
    #[command(after_long_help = cluster::WORKER_EXAMPLES)]
    Worker(WorkerArgs),
    /// Show settings and where they come from
    Config(ConfigArgs),
    /// Print a script that completes commands and options
    Completions(CompletionsArgs),
}
