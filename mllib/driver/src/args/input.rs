//! Options about the data.

use super::values::finite;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_loaders::format::libsvm::IndexBase;
use std::path::PathBuf;

pub(super) fn index_base() -> impl TypedValueParser<Value = IndexBase> {
    PossibleValuesParser::new(["0", "1"]).map(|s| if s == "0" { IndexBase::Zero } else { IndexBase::One })
}

/// How to read rows.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Columns of the data [default: as many as the largest index]
    ///
    /// Also: --n-features, --numFeatures.
    #[arg(long, value_name = "N", aliases = ["n-features", "n_features", "numFeatures"], help_heading = "Input")]
    pub num_features: Option<u32>,

    /// Refuse rows with an index beyond this [default: 2147483647]
    #[arg(long, value_name = "N", help_heading = "Input")]
    pub max_features: Option<u32>,

    /// What the file calls its first column
    #[arg(long, value_name = "BASE", default_value = "1", value_parser = index_base(), help_heading = "Input")]
    pub index_base: IndexBase,

    /// Make labels above T positive (1) and the others negative (0)
    ///
    /// A model's own two classes take the place of 1 and 0 when it is evaluated.
    #[arg(long, value_name = "T", value_parser = finite, allow_negative_numbers = true, help_heading = "Input")]
    pub binarize: Option<f64>,

    /// Cut files into partitions exactly as Spark does, so that the same seed chooses the same rows
    #[arg(long, help_heading = "Input")]
    pub spark_splits: bool,
}

/// Data that may be left out.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// LIBSVM files, patterns, folders of parts, or - [default: a small sample that comes with the program]
    ///
    /// Packed files (gz, zst, bz2) are known by their content. A pattern such as 'data/*.svm' may be quoted.
    #[arg(long, short, value_name = "FILE", num_args = 1.., help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// How to read it.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Data that must be given.
#[derive(Debug, Clone, Args)]
pub struct RequiredData {
    /// LIBSVM files, patterns, folders of parts, or - (packed with gz, zst or bz2, or not)
    ///
    /// For a matrix factorisation: files of ratings, as `help train mf` says; to predict, `user item` is enough. For topics:
    /// files of documents, as `help train lda` says.
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true, help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// How to read it.
    #[command(flatten)]
    pub read: ReadArgs,

    /// Leave columns that the model does not know out of the scores, instead of failing
    #[arg(long, help_heading = "Input")]
    pub ignore_extra_columns: bool,
}

/// Which rows to learn from, and which to measure on.
#[derive(Debug, Clone, Args)]
pub struct SplitArgs {
    /// Shares of rows, as 0.6,0.4: the first part is learnt from, the second measured on
    ///
    /// Each row is drawn by itself, as Spark's randomSplit does; further parts are left aside.
    #[arg(long, value_name = "W,W", value_delimiter = ',', value_parser = finite, help_heading = "Input")]
    pub split: Vec<f64>,
}

/// What a fitted model is measured on, if not on what it was learnt from.
#[derive(Debug, Clone, Args)]
pub struct HeldOutArgs {
    /// A part of the data.
    #[command(flatten)]
    pub split: SplitArgs,

    /// Measure on these files
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "split", help_heading = "Input")]
    pub test: Vec<PathBuf>,
}
