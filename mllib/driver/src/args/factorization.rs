//! Options of `train mf`.

use super::input::HeldOutArgs;
use super::output::OutputArgs;
use super::table::SnapshotArgs;
use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::recommendation::Solver;
use slackwater_paramstore::Consistency;
use std::path::PathBuf;

/// Shown below the long help.
pub const FACTORIZATION_EXAMPLES: &str = "\
Examples:
  slackwater train mf --data ratings.csv --split 0.8,0.2 --model movies.model
  slackwater train mf --data ratings.csv --rank 50 --regularization 0.05 --consistency ssp:3 --epochs 30
  slackwater train mf --data ratings.csv --solver dsgd --partitions 8 --fugue 3
  slackwater train mf --data ratings.csv --solver ccd --epochs 10 --regularization 0.15
  slackwater train mf --data 'ratings/*.tsv.gz' --non-negative";

fn solver() -> impl TypedValueParser<Value = Solver> {
    PossibleValuesParser::new(["sgd", "dsgd", "ccd"]).try_map(|name| name.parse::<Solver>())
}

/// `train mf`.
#[derive(Debug, Args)]
pub struct MatrixFactorizationArgs {
    /// Files of ratings, patterns, folders of parts, or -
    ///
    /// A line is `user item rating`, with spaces, tabs or a comma between; further columns are ignored, and so is a first
    /// line of names. Ids are whole numbers from 0. Packed files (gz, zst, bz2) are known by their content.
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true, help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// Which ratings to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Factors of a user and of an item [default: 20]
    ///
    /// Also: --n-factors, --n_factors.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["n-factors", "n_factors"])]
    pub rank: Option<usize>,

    /// sgd: minibatches on a parameter table; dsgd: blocks of items that rotate; ccd: feature by feature [default: sgd]
    ///
    /// dsgd never reads what is stale, sends each item once a partition and epoch, and needs no batch; no process has all
    /// items while it trains. Results depend on --partitions, the number of blocks. ccd (coordinate descent, CCD++) takes no
    /// steps: it moves one feature of all users to where it is best for the items, then of all items, and no epoch raises
    /// the objective, which the error is a part of. It needs fewer epochs and comes nearer to the minimum, so that a larger
    /// penalty pays; no process has all factors while it trains. Also: --algorithm.
    #[arg(long, value_name = "NAME", value_parser = solver(), hide_possible_values = true, alias = "algorithm")]
    #[arg(help_heading = "Algorithm")]
    pub solver: Option<Solver>,

    /// With dsgd: further passes over a block, at most, while slower workers are not done with theirs [default: 0]
    ///
    /// Instead of waiting, who is done goes on. Results then depend on how fast workers are.
    #[arg(long, value_name = "PASSES", help_heading = "Algorithm")]
    pub fugue: Option<usize>,

    /// With ccd: how often a feature of users and items is moved before the next [default: 1]
    ///
    /// More make an epoch longer, and epochs fewer.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    pub inner_iterations: Option<usize>,

    /// Passes over the ratings at most; with ccd, over all features [default: 50]
    ///
    /// Also: --iterations, --n-epochs, --n_epochs, --maxIter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "n-epochs", "n_epochs", "maxIter"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the sum of squared errors falls by less than this share [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// With sgd and dsgd: step of the first epoch [default: 0.02]
    ///
    /// Also: --lr-all, --lr_all, --stepSize, --init_step_size.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["step_size", "lr-all", "lr_all", "stepSize", "init_step_size"])]
    pub step_size: Option<f64>,

    /// With sgd and dsgd: factor of the step from epoch to epoch [default: 0.97]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub decay: Option<f64>,

    /// Weight of the squares of factors and biases, counted once a rating [default: 0.1]
    ///
    /// Also: --reg, --reg-all, --reg_all, --regParam, --lambda.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["reg", "reg-all", "reg_all", "regParam", "lambda"])]
    pub regularization: Option<f64>,

    /// Fit no mean and no biases of users and items, only factors
    #[arg(long, help_heading = "Algorithm")]
    pub no_biases: bool,

    /// Factors of at least 0, and no biases
    ///
    /// Also: --nonnegative.
    #[arg(long, alias = "nonnegative", help_heading = "Algorithm")]
    pub non_negative: bool,

    /// With sgd: ratings of each partition in a minibatch [default: 1024, fewer where some items have many of the ratings]
    ///
    /// Also: --batch-size, --batch_size, --mini_batch_size.
    #[arg(long, value_name = "RATINGS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// With sgd: how old the factors may be that a minibatch reads: bsp, ssp:S, essp:S, async [default: bsp]
    ///
    /// bsp: as of the clock before, the same bits for any number of workers. ssp:S: nothing older than S clocks; who
    /// would read older asks and waits. essp:S: the same, but fresh values are sent at once. S may be a range, as
    /// 0..8: each worker goes up in it when it waits too long. async: as they come. A clock is a minibatch of each partition.
    #[arg(long, value_name = "MODEL", help_heading = "Algorithm")]
    pub consistency: Option<Consistency>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
