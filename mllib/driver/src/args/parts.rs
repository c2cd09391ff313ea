//! Options of `train nmf` and `train dictionary`.

use super::coding::first_atoms;
use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::SnapshotArgs;
use super::values::{at_least_one, finite};
use clap::Args;
use slackwater_mllib::decomposition::sparse_coding::FirstAtoms;

/// Shown below the long help.
pub const NMF_EXAMPLES: &str = "\
Examples:
  slackwater train nmf --data words.svm --rank 50 --model parts.model
  slackwater train nmf --data digits.csv.gz --features 'p0,p1,p2' --rank 16 --l1-codes 0.1 --split 0.8,0.2
  slackwater cluster run -n 2 -- train nmf --data 'parts/*.svm.gz' --partitions 8 --passes 3";

/// `train nmf`.
#[derive(Debug, Args)]
pub struct NmfArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of components [default: 10]
    ///
    /// Also: --components, --n-components, --n_components, --k.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["components", "n-components", "n_components", "k"])]
    pub rank: Option<usize>,

    /// Weight of the codes of a row, beside half its squared error [default: 0]
    ///
    /// More of them are 0. scikit-learn's alpha_W, if its l1_ratio is 1, is this divided by the number of columns.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub l1_codes: Option<f64>,

    /// Weight of half the squares of the codes [default: 0]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub l2_codes: Option<f64>,

    /// Weight of the values of components [default: 0]
    ///
    /// More of them are 0. scikit-learn's alpha_H, if its l1_ratio is 1, is this divided by the number of rows.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub l1_components: Option<f64>,

    /// Weight of half the squares of the values of components [default: 0]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub l2_components: Option<f64>,

    /// Passes over the codes of a row, and over the components in a column, in an epoch [default: 1]
    ///
    /// More cost little beside the rest where rows have many more values than there are components.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    pub passes: Option<usize>,

    /// Passes over the rows at most [default: 200]
    ///
    /// Also: --iterations, --max-iterations, --max-iter, --max_iter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "max-iterations", "max-iter", "max_iter"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the objective falls by less than this share [default: 1e-5]
    ///
    /// Also: --tol (of scikit-learn it is another measure).
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Shown below the long help.
pub const DICTIONARY_EXAMPLES: &str = "\
Examples:
  slackwater train dictionary --data patches.svm --atoms 100 --lambda 0.2 --model patches.model
  slackwater train dictionary --data digits.svm --atoms 50 --non-negative-codes --non-negative-atoms --split 0.8,0.2
  slackwater cluster run -n 2 -- train dictionary --data 'parts/*.svm.gz' --partitions 8";

/// `train dictionary`.
#[derive(Debug, Args)]
pub struct DictionaryArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Number of atoms, which are the rows of the dictionary [default: 64]
    ///
    /// Also: --rank, --n-components, --n_components.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["rank", "n-components", "n_components"])]
    pub atoms: Option<usize>,

    /// Weight of the absolute values of codes, beside half the squared error of a row [default: 1]
    ///
    /// The larger it is, the fewer atoms a row uses; what is large depends on the scale of the data. Also: --alpha.
    #[arg(long, value_name = "X", value_parser = finite, alias = "alpha", help_heading = "Algorithm")]
    pub lambda: Option<f64>,

    /// Codes of at least 0
    ///
    /// Also: --positive-code, --positive_code.
    #[arg(long, aliases = ["positive-code", "positive_code"], help_heading = "Algorithm")]
    pub non_negative_codes: bool,

    /// Atoms of at least 0
    ///
    /// Also: --positive-dictionary, --positive-dict, --positive_dict.
    #[arg(long, help_heading = "Algorithm")]
    #[arg(aliases = ["positive-dictionary", "positive-dict", "positive_dict"])]
    pub non_negative_atoms: bool,

    /// What atoms begin as: rows (of the data, drawn by seed), random [default: rows]
    #[arg(long, value_name = "NAME", value_parser = first_atoms(), hide_possible_values = true)]
    #[arg(help_heading = "Algorithm")]
    pub first_atoms: Option<FirstAtoms>,

    /// Duality gap of a row's codes that is good enough while atoms are learnt, as a share of its squared length [default: 1e-6]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub code_tolerance: Option<f64>,

    /// Passes over the rows at most [default: 100]
    ///
    /// Also: --iterations, --max-iterations, --max-iter, --max_iter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "max-iterations", "max-iter", "max_iter"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the objective falls by less than this share [default: 1e-5]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
