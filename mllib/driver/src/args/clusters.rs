//! Options of `train k-means`.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::{ConsistencyArgs, SnapshotArgs};
use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::clustering::k_means::{Distance, Solver, Start};
use std::path::PathBuf;

/// Shown below the long help.
pub const K_MEANS_EXAMPLES: &str = "\
Examples:
  slackwater train k-means --data rows.svm --k 20 --restarts 5
  slackwater train k-means --data texts.svm.gz --k 50 --distance cosine --split 0.9,0.1 --metrics
  slackwater train k-means --data rows.svm --k 256 --solver minibatch --batch 256 --epochs 5 --consistency ssp:2
  slackwater train k-means --data more.svm --start-from k-means.model --model k-means-2.model";

fn distance() -> impl TypedValueParser<Value = Distance> {
    PossibleValuesParser::new(["euclidean", "cosine"]).try_map(|name| name.parse::<Distance>())
}

fn solver() -> impl TypedValueParser<Value = Solver> {
    PossibleValuesParser::new(["lloyd", "minibatch"]).try_map(|name| name.parse::<Solver>())
}

fn start() -> impl TypedValueParser<Value = Start> {
    PossibleValuesParser::new(["k-means||", "k-means++", "random"]).try_map(|name| name.parse::<Start>())
}

/// `train k-means`.
#[derive(Debug, Args)]
pub struct KMeansArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of centres [default: 8]
    ///
    /// Also: --clusters, --n-clusters, --n_clusters, --num_centers.
    #[arg(long, short, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["clusters", "n-clusters", "n_clusters", "num_centers"])]
    pub k: Option<usize>,

    /// How far a row is from a centre: euclidean, cosine [default: euclidean]
    ///
    /// euclidean: rows cost squared distances. cosine: rows and centres are taken at length 1, and rows cost 1 - cos. Also:
    /// --distanceMeasure.
    #[arg(long, value_name = "NAME", value_parser = distance(), hide_possible_values = true)]
    #[arg(aliases = ["distance-measure", "distanceMeasure"], help_heading = "Algorithm")]
    pub distance: Option<Distance>,

    /// lloyd: all rows, then all centres; minibatch: some rows at a time, on a parameter table [default: lloyd]
    ///
    /// lloyd ends at a local optimum. minibatch takes fewer passes, and comes near one. Also: --algorithm.
    #[arg(long, value_name = "NAME", value_parser = solver(), hide_possible_values = true, alias = "algorithm")]
    #[arg(help_heading = "Algorithm")]
    pub solver: Option<Solver>,

    /// Iterations at most, of lloyd [default: 100]
    ///
    /// Also: --max-iter, --max_iter, --maxIter, --max-iteration.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["max-iter", "max_iter", "maxIter", "max-iteration"])]
    pub iterations: Option<usize>,

    /// When to stop [default: lloyd 1e-4; minibatch never]
    ///
    /// lloyd: when the sum of the squared ways of the centres is at most this times the mean variance of the columns, as in
    /// scikit-learn; 0 goes on until no row changes its centre. (Spark's tol is the way itself.) minibatch: when the cost
    /// falls by less than this share from epoch to epoch. Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Where centres begin: k-means||, k-means++, random [default: k-means||]
    ///
    /// k-means||: rounds that each draw 2 k rows, then the best k of them. k-means++: row by row, each by its squared
    /// distance from those before. random: any rows. Also: --initMode.
    #[arg(long, value_name = "NAME", value_parser = start(), hide_possible_values = true)]
    #[arg(aliases = ["init-mode", "initMode"], help_heading = "Algorithm")]
    pub init: Option<Start>,

    /// Rounds of k-means|| [default: 2]
    ///
    /// Also: --initSteps.
    #[arg(long, value_name = "N", value_parser = at_least_one, alias = "initSteps", help_heading = "Algorithm")]
    pub init_steps: Option<usize>,

    /// Begin at the centres of this model, which also says how many there are
    ///
    /// Also: --initialModel.
    #[arg(long, value_name = "MODEL", aliases = ["initial-model", "initialModel"], help_heading = "Algorithm")]
    #[arg(conflicts_with_all = ["k", "init", "init_steps", "restarts"])]
    pub start_from: Option<PathBuf>,

    /// Attempts from other first centres, of which the best is kept [default: 1]
    ///
    /// lloyd trains each to the end; minibatch trains the first centres that cost least. Also: --n-init, --n_init.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["n-init", "n_init"])]
    pub restarts: Option<usize>,

    /// Passes over the rows at most, of minibatch [default: 10]
    ///
    /// Also: --num_epochs.
    #[arg(long, value_name = "N", value_parser = at_least_one, alias = "num_epochs", help_heading = "Algorithm")]
    pub epochs: Option<usize>,

    /// Rows of each partition in a minibatch [default: 1024]
    ///
    /// Also: --batch-size, --batch_size, --mini_batch_size.
    #[arg(long, value_name = "ROWS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// How much the rows of an epoch of minibatch still count in the next: 0 to 1 [default: 0.5]
    ///
    /// With 1 all rows that ever were a centre's count alike, as with Sculley. Also: --decayFactor.
    #[arg(long, value_name = "X", value_parser = finite, aliases = ["decay-factor", "decayFactor"])]
    #[arg(help_heading = "Algorithm")]
    pub decay: Option<f64>,

    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Snapshots of `minibatch`.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
