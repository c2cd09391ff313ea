//! Options about the data.

use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_dataflow::Result;
use slackwater_loaders::Format;
use slackwater_loaders::format::libsvm::IndexBase;
use slackwater_loaders::table::{Expr, FeatureOptions, Missing, Texts};
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

    /// What the files are in.
    #[command(flatten)]
    pub format: FormatArgs,

    /// Rows of features.
    #[command(flatten)]
    pub columns: FeatureArgs,
}

/// How to make rows of features of columns.
#[derive(Debug, Clone, Default, Args)]
pub struct FeatureArgs {
    /// The column of labels [default: label, target, class or y]
    ///
    /// A column of texts is one of classes, in alphabetical order.
    #[arg(long, value_name = "COLUMN", help_heading = "Input")]
    pub label: Option<String>,

    /// The columns of features [default: vectors in `features`, or all columns but the label]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',', help_heading = "Input")]
    pub features: Vec<String>,

    /// How texts become features: one-hot, ordinal or hash=N [default: one-hot]
    ///
    /// one-hot: a feature for each text. ordinal: the number of the text in alphabetical order. hash=N: N features that all texts
    /// of all columns share. A model keeps what it needs to treat other data alike.
    #[arg(long, value_name = "HOW", value_parser = texts, help_heading = "Input")]
    pub categorical: Option<Texts>,

    /// What stands for a missing number: refuse, zero or mean [default: refuse]
    #[arg(long, value_name = "HOW", value_parser = missing(), help_heading = "Input")]
    pub missing: Option<Missing>,
}

impl FeatureArgs {
    /// The options, each with whether it was given.
    pub fn given(&self) -> [(&'static str, bool); 4] {
        [
            ("label", self.label.is_some()),
            ("features", !self.features.is_empty()),
            ("categorical", self.categorical.is_some()),
            ("missing", self.missing.is_some()),
        ]
    }
    /// True if any was given.
    pub fn is_given(&self) -> bool {
        self.given().iter().any(|(_, given)| *given)
    }
    /// What they mean.
    pub fn options(&self) -> FeatureOptions {
        FeatureOptions {
            label: self.label.clone(),
            features: self.features.clone(),
            texts: self.categorical.unwrap_or_default(),
            missing: self.missing.unwrap_or_default(),
        }
    }
}

/// What files are in, and how tables are read.
#[derive(Debug, Clone, Default, Args)]
pub struct FormatArgs {
    /// What the files are in [default: told by their content, name or first line]
    #[arg(long, value_name = "FORMAT", value_parser = format(), help_heading = "Input")]
    pub input_format: Option<Format>,

    /// Only rows of a table for which this holds, as in "age >= 18 and city in ('Rome', 'Oslo')"
    ///
    /// Parquet files are read only where it may hold.
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Input")]
    pub condition: Option<String>,

    /// What is between the fields of CSV [default: found among , tab ; |]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Input")]
    pub delimiter: Option<u8>,

    /// Whether CSV files begin with the names of columns: yes or no [default: found]
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no(), help_heading = "Input")]
    pub header: Option<bool>,

    /// Bytes of a record, for files of binary records
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Input")]
    pub record_bytes: Option<usize>,

    /// What stands for no value in CSV [default: nothing, NA, N/A, null, NULL, ?]
    #[arg(long, value_name = "TEXT,..", value_delimiter = ',', help_heading = "Input")]
    pub null: Option<Vec<String>>,
}

impl FormatArgs {
    /// The options that are for tables, each with whether it was given.
    pub fn given(&self) -> [(&'static str, bool); 5] {
        [
            ("record-bytes", self.record_bytes.is_some()),
            ("where", self.condition.is_some()),
            ("delimiter", self.delimiter.is_some()),
            ("header", self.header.is_some()),
            ("null", self.null.is_some()),
        ]
    }
    /// The condition on rows.
    ///
    /// # Errors
    /// Usage, if it is none.
    pub fn condition(&self) -> Result<Option<Expr>> {
        self.condition.as_deref().map(Expr::parse).transpose()
    }
}

fn format() -> impl TypedValueParser<Value = Format> {
    let names = Format::all().map(Format::name).collect::<Vec<_>>();
    PossibleValuesParser::new(names).map(|name| Format::of_name(&name).expect("it is one of the names"))
}

fn texts(text: &str) -> Result<Texts, String> {
    match text.split_once('=') {
        None if text == "one-hot" => Ok(Texts::OneHot),
        None if text == "ordinal" => Ok(Texts::Ordinal),
        Some(("hash", n)) => match n.parse() {
            Ok(n @ 1..=0x4000_0000) => Ok(Texts::Hash(n)),
            _ => Err("the number of features is 1 to 2^30".to_string()),
        },
        _ => Err("write one-hot, ordinal or hash=N".to_string()),
    }
}

fn missing() -> impl TypedValueParser<Value = Missing> {
    PossibleValuesParser::new(["refuse", "zero", "mean"]).map(|s| match s.as_str() {
        "zero" => Missing::Zero,
        "mean" => Missing::Mean,
        _ => Missing::Refuse,
    })
}

pub fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b] => Ok(*b),
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        _ => Err("one character, or tab".to_string()),
    }
}

fn yes_or_no() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["yes", "no"]).map(|s| s == "yes")
}

/// Data that may be left out.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// LIBSVM, CSV, Parquet, Arrow or other files, patterns, folders of parts, or - [default: a small sample that comes with
    /// the program]
    ///
    /// Packed files (gz, zst, bz2) are known by their content. A pattern such as 'data/*.svm' may be quoted. URLs (s3://, gs://,
    /// az://, http://, https://) need a program that was built with `--features cloud`.
    #[arg(long, short, value_name = "FILE", num_args = 1.., help_heading = "Input")]
    pub data: Vec<PathBuf>,

    /// How to read it.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Data that must be given.
#[derive(Debug, Clone, Args)]
pub struct RequiredData {
    /// LIBSVM, CSV, Parquet, Arrow or other files, patterns, folders of parts, or - (packed with gz, zst or bz2, or not)
    ///
    /// For a matrix factorisation: files of ratings, as `help train mf` says; to predict, `user item` is enough. For topics:
    /// files of documents, as `help train lda` says. URLs (s3://, gs://, az://, http://, https://) need a program that was built
    /// with `--features cloud`.
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
