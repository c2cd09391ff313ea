//! Options of the commands that look at data and models.

use super::input::{FormatArgs, InputArgs, RequiredData, SplitArgs};
use super::metric::NeighbourArgs;
use super::values::{at_least_one, finite};
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

const PREDICT_EXAMPLES: &str = "\
Examples:
  slackwater predict --model a9a.model --data new.svm --out predictions.csv --proba
  slackwater predict --model movies.model --data pairs.csv --out predictions.parquet
  zcat new.svm.gz | slackwater predict --model a9a.model --data - --format jsonl | head";

const EVALUATE_EXAMPLES: &str = "\
Examples:
  slackwater evaluate --model a9a.model --data a9a.t --thresholds 10
  slackwater evaluate --model a9a.model --data a9a.t --require accuracy=0.84 --quiet || echo 'not good enough'";

const INSPECT_EXAMPLES: &str = "\
Examples:
  slackwater inspect a9a.model --top 20
  slackwater inspect flights.parquet --where \"origin = 'JFK'\"
  slackwater inspect a9a.model --export liblinear --out a9a.liblinear";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  slackwater explain --data a9a.svm --split 0.6,0.4 --analyze
  slackwater explain --data a9a.svm --format dot | dot -Tsvg > lineage.svg";

const EVENTS_EXAMPLES: &str = "\
In a cluster the first process writes, and its tasks are those that are counted; jobs, generations and iterations are those
of the run.

Examples:
  slackwater train svm --data a9a.svm --events a9a.events && slackwater events a9a.events
  slackwater events a9a.events --json | jq '.jobs[] | select(.interrupted > 0)'";

const CONFIG_EXAMPLES: &str = "\
Examples:
  slackwater config show --origin
  slackwater config show --origin --config job.toml -- train svm --C 2";

/// How predictions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    /// A line with names, then a line a row.
    Csv,
    /// A JSON object a line.
    #[value(alias = "ndjson")]
    Jsonl,
    /// Parquet; only to a file.
    Parquet,
}

/// `predict`.
#[derive(Debug, Args)]
#[command(after_long_help = PREDICT_EXAMPLES)]
pub struct PredictArgs {
    /// The model, a folder
    #[arg(long, short, value_name = "DIR", required = true, help_heading = "Input")]
    pub model: Option<PathBuf>,

    /// The data.
    #[command(flatten)]
    pub input: RequiredData,

    /// Where to write, in the order of the rows; - is standard output
    ///
    /// A file appears when it is complete, or not at all.
    #[arg(long, short, value_name = "FILE", default_value = "-", help_heading = "Output")]
    pub out: PathBuf,

    /// How to write [default: by the extension of --out: csv, jsonl or parquet; csv]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<PredictFormat>,

    /// Add the probability of every class, or of every topic
    #[arg(long, help_heading = "Output")]
    pub proba: bool,

    /// Add the raw scores: w'x + b
    #[arg(long, help_heading = "Output")]
    pub raw: bool,

    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}

/// A bound that a metric must reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// The metric.
    pub metric: String,
    /// At least this, or at most this for errors and losses.
    pub bound: f64,
}

impl FromStr for Requirement {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, bound) = text.split_once('=').ok_or("write METRIC=VALUE")?;
        Ok(Requirement { metric: metric.to_string(), bound: finite(bound)? })
    }
}

/// Curves of a classifier of two classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CurveKind {
    /// False positive rate against true positive rate.
    Roc,
    /// Recall against precision.
    Pr,
}

/// `evaluate`.
#[derive(Debug, Args)]
#[command(after_long_help = EVALUATE_EXAMPLES)]
pub struct EvaluateArgs {
    /// The model, a folder
    #[arg(long, short, value_name = "DIR", required = true, help_heading = "Input")]
    pub model: Option<PathBuf>,

    /// The data.
    #[command(flatten)]
    pub input: RequiredData,

    /// Neighbours of rows.
    #[command(flatten)]
    pub neighbours: NeighbourArgs,

    /// Show precision, recall and F1 at about N thresholds (two classes) [default N: 20]
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = false, default_missing_value = "20")]
    #[arg(value_parser = at_least_one, help_heading = "Output")]
    pub thresholds: Option<usize>,

    /// Show the points of a curve (two classes)
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    pub curve: Vec<CurveKind>,

    /// Exit with 1 unless a metric is at least this good (may be repeated)
    ///
    /// At least VALUE, or at most VALUE for rmse, mse, mae, log-loss, perplexity, cost, objective and
    /// relative-error.
    #[arg(long, value_name = "METRIC=VALUE", help_heading = "Output")]
    pub require: Vec<Requirement>,
}

/// Formats of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The text of LIBLINEAR's model files.
    Liblinear,
}

/// `inspect`.
#[derive(Debug, Args)]
#[command(after_long_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// A model's folder, or files of data
    #[arg(value_name = "MODEL|FILE", required = true)]
    pub what: Vec<PathBuf>,

    /// What the file calls its first column
    #[arg(long, value_name = "BASE", default_value = "1", help_heading = "Input")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=1))]
    pub index_base: u8,

    /// What the files are in.
    #[command(flatten)]
    pub format: FormatArgs,

    /// How many of the largest weights, of the labels, or of the first rows to show
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Output")]
    pub top: usize,

    /// Write the model in the format of another program
    #[arg(long, value_name = "FORMAT", requires = "out", help_heading = "Output")]
    pub export: Option<ExportFormat>,

    /// Where to write the export
    #[arg(long, short, value_name = "FILE", requires = "export", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Replace a file that is there
    #[arg(long, requires = "export", help_heading = "Output")]
    pub overwrite: bool,
}

/// How a lineage is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// For people.
    Text,
    /// For Graphviz.
    Dot,
    /// For programs.
    Json,
}

/// `explain`.
#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows of it.
    #[command(flatten)]
    pub split: SplitArgs,

    /// Run it, and show records, bytes, time and skew of every stage
    #[arg(long, help_heading = "Output")]
    pub analyze: bool,

    /// How to show it [default: text; json with --json]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<ExplainFormat>,
}

/// `events`.
#[derive(Debug, Args)]
#[command(after_long_help = EVENTS_EXAMPLES)]
pub struct EventsArgs {
    /// What `--events FILE` wrote, of a run that has ended, goes on or was killed; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How many jobs are listed, the longest
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Output")]
    pub top: usize,
}

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Commands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the settings that would hold: flags, then SLACKWATER_* variables, then --config, then defaults
    #[command(after_long_help = CONFIG_EXAMPLES)]
    Show(ShowArgs),
}

/// `config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Say where each value comes from
    #[arg(long, help_heading = "Output")]
    pub origin: bool,

    /// Show the settings of this command instead of those that all commands have
    #[arg(last = true, value_name = "COMMAND", allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
