//! Options of `train medlda`.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::{ConsistencyArgs, SnapshotArgs};
use super::topics::count_rows;
use super::values::{at_least_one, finite};
use clap::Args;
use slackwater_mllib::clustering::lda::CountRows;
use std::path::PathBuf;

/// Shown below the long help.
pub const MEDLDA_EXAMPLES: &str = "\
Examples:
  slackwater train medlda --data 20news.train.libsvm.gz --test 20news.test.libsvm.gz --vocabulary vocab.txt --burn-in 50
  slackwater train medlda --data reviews.svm --index-base 0 --topics 20 --cost 4 --split 0.8,0.2 --metrics
  slackwater cluster run -n 4 -- train medlda --data 'parts/*.svm.gz' --consistency ssp:2 --snapshots kept";

/// The data must be given: the sample has no counts.
pub(super) fn documents(arg: clap::Arg) -> clap::Arg {
    arg.required(true).alias("corpus").help("Files of documents, patterns, folders of parts, or -").long_help(
        "Files of documents, patterns, folders of parts, or -\n\n\
         A document is a row: `label word:count word:count ...` in LIBSVM text, or the columns of a table (CSV, Parquet, ..) beside \
         one of labels, which may be names. Counts are whole numbers. Packed files (gz, zst, bz2) are known by their content. \
         Also: --corpus.",
    )
}

/// `train medlda`.
#[derive(Debug, Args)]
pub struct MedldaArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// The words, one a line, in the order of their numbers
    ///
    /// Also: --dictionary.
    #[arg(long, value_name = "FILE", alias = "dictionary", help_heading = "Input")]
    pub vocabulary: Option<PathBuf>,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of topics, at most 4096 [default: 40]
    ///
    /// Also: --ntopics, --num_topic, --num_topics, --k.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["ntopics", "num-topics", "num_topics", "num_topic", "n-topics", "k"])]
    pub topics: Option<usize>,

    /// Prior count of every topic in a document [default: 0.16]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub alpha: Option<f64>,

    /// Prior count of every word in a topic [default: 0.01]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub beta: Option<f64>,

    /// Weight of losses beside the likelihood of words: each counts twice this [default: 1.6]
    ///
    /// The larger, the more topics are about classes. Also: --C, --c.
    #[arg(long, value_name = "X", value_parser = finite, aliases = ["C", "c"], help_heading = "Algorithm")]
    pub cost: Option<f64>,

    /// What the score of a document must exceed, on its side, for a loss of 0 [default: 64]
    ///
    /// Also: --ell.
    #[arg(long, value_name = "X", value_parser = finite, alias = "ell", help_heading = "Algorithm")]
    pub margin: Option<f64>,

    /// Prior variance of the weights of topics [default: 1]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub variance: Option<f64>,

    /// Passes over the tokens at most [default: 100]
    ///
    /// Also: --iterations, --n-iter, --num_iters, --maxIter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "n-iter", "n_iter", "num_iters", "maxIter"])]
    pub epochs: Option<usize>,

    /// Take the mean of counts and weights at all evaluations after so many epochs [default: those at the end]
    ///
    /// Also: --burnin, --num_burnin.
    #[arg(long, value_name = "EPOCHS", aliases = ["burnin", "num_burnin"], help_heading = "Algorithm")]
    pub burn_in: Option<usize>,

    /// Epochs from one evaluation of loss and accuracy to the next [default: 10]
    ///
    /// Also: --eval_interval.
    #[arg(long, value_name = "N", value_parser = at_least_one, alias = "eval_interval", help_heading = "Algorithm")]
    pub evaluate_every: Option<usize>,

    /// Stop when the loss changes by less than this share between evaluations [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// How the counts of words are kept in training: dense, sparse; auto: sparse where that saves memory
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = count_rows(), help_heading = "Algorithm")]
    #[arg(hide_possible_values = true)]
    pub count_rows: CountRows,

    /// Documents of each partition in a clock [default: a sixteenth of them, but 2048 to 65536 tokens]
    ///
    /// Also: --batch-size, --batch_size.
    #[arg(long, value_name = "DOCUMENTS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size"])]
    pub batch: Option<usize>,

    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Print the N most frequent words of every topic at every evaluation, to standard error [default N: 5]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5", value_parser = at_least_one)]
    #[arg(help_heading = "Output")]
    pub watch: Option<usize>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
