//! Options of `train sparse-coding`.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::{ConsistencyArgs, SnapshotArgs};
use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::decomposition::sparse_coding::FirstAtoms;

/// Shown below the long help.
pub const CODING_EXAMPLES: &str = "\
Examples:
  slackwater train sparse-coding --data patches.svm --atoms 256 --lambda 0.2 --model patches.model
  slackwater train sparse-coding --data mnist.svm --atoms 100 --non-negative-codes --non-negative-atoms --test mnist.t
  slackwater train sparse-coding --data 'parts/*.svm.gz' --partitions 8 --consistency ssp:3 --snapshots kept";

pub(super) fn first_atoms() -> impl TypedValueParser<Value = FirstAtoms> {
    PossibleValuesParser::new(["rows", "random"]).try_map(|name| name.parse::<FirstAtoms>())
}

/// `train sparse-coding`.
#[derive(Debug, Args)]
pub struct SparseCodingArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of atoms, which are the rows of the dictionary [default: 64]
    ///
    /// Also: --n-components, --n_components, --dictionary_size.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["n-components", "n_components", "dictionary-size", "dictionary_size"])]
    pub atoms: Option<usize>,

    /// Weight of the absolute values of codes, beside half the squared error of a row [default: 1]
    ///
    /// The larger it is, the fewer atoms a row uses; what is large depends on the scale of the data. Also: --alpha.
    #[arg(long, value_name = "X", value_parser = finite, alias = "alpha", help_heading = "Algorithm")]
    pub lambda: Option<f64>,

    /// Euclidean length of an atom at most [default: 1]
    ///
    /// Also: --c.
    #[arg(long, value_name = "X", value_parser = finite, alias = "c", help_heading = "Algorithm")]
    pub bound: Option<f64>,

    /// Codes of at least 0
    ///
    /// Also: --positive-code, --positive_code.
    #[arg(long, aliases = ["positive-code", "positive_code"], help_heading = "Algorithm")]
    pub non_negative_codes: bool,

    /// Atoms of at least 0
    ///
    /// Also: --positive-dict, --positive_dict.
    #[arg(long, aliases = ["positive-dict", "positive_dict"], help_heading = "Algorithm")]
    pub non_negative_atoms: bool,

    /// What atoms begin as: rows (of the data, drawn by seed), random [default: rows]
    #[arg(long, value_name = "NAME", value_parser = first_atoms(), hide_possible_values = true)]
    #[arg(help_heading = "Algorithm")]
    pub first_atoms: Option<FirstAtoms>,

    /// Passes over the rows at most [default: 30]
    ///
    /// Also: --iterations, --max-iter, --max_iter, --num_epochs.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "max-iter", "max_iter", "num_epochs"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the objective falls by less than this share [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Step of the first epoch; it means the same for data of any scale [default: 1]
    ///
    /// 1 goes to the minimum of a bound on the objective. Below 2 it is safe where a step learns from all rows; values near 2
    /// are often faster. Also: --lr, --init_step_size (for the data as it is).
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["step_size", "lr", "init_step_size"])]
    pub step_size: Option<f64>,

    /// Factor of the step from epoch to epoch [default: 0.95]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub decay: Option<f64>,

    /// Passes of coordinate descent over the codes of a row, each time it is its turn [default: 5]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    pub passes: Option<usize>,

    /// Rows of each partition in a minibatch [default: 100]
    ///
    /// All partitions take part in every step: a step learns from this times the number of partitions. Each of them reads
    /// and sends all atoms. Also: --batch-size, --batch_size, --mini_batch_size.
    #[arg(long, value_name = "ROWS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
