//! Options of `generate`.

use super::table_out::TableOutArgs;
use super::values::{at_least_one, finite};
use clap::{Args, Subcommand, ValueEnum};
use slackwater_loaders::table::MadeColumns;
use slackwater_mllib::generate::Labels;
use std::path::PathBuf;

const CLASSIFICATION_EXAMPLES: &str = "\
Examples:
  slackwater generate classification --samples 10000 --features 440 --classes 1993 --partitions 3 --out datasets
  slackwater generate classification --classes 3 --noise 2 --seed 7 --out hard && slackwater inspect hard";

const SPARSE_EXAMPLES: &str = "\
Examples:
  slackwater generate sparse --samples 500000 --features 50000 --partitions 1 --out text-like
  slackwater generate sparse --flip 0 --out easy && slackwater train svm --data easy";

const REGRESSION_EXAMPLES: &str = "\
Examples:
  slackwater generate regression --samples 2000 --features 20000 --informative 50 --groups 200 --correlation 0.7 --out wide
  slackwater generate regression --density 0.05 --out sparse && slackwater train lasso --data sparse --path 20 --folds 5";

const TABLE_EXAMPLES: &str = "\
Examples:
  slackwater generate table --samples 1000000 --columns float=29 --out floats.csv
  slackwater generate table --samples 100000 --missing 0.05 --out rows.parquet && slackwater inspect rows.parquet
  slackwater generate table --samples 10000000 --partitions 16 --out many/ --to parquet --compression zstd";

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
    /// Rows with numbers for labels, made of a few of the columns, as LIBSVM text
    #[command(after_long_help = REGRESSION_EXAMPLES)]
    Regression(RegressionArgs),
    /// Sparse rows of two classes, shaped as texts are, as LIBSVM text
    #[command(after_long_help = SPARSE_EXAMPLES)]
    Sparse(SparseArgs),
    /// A table of columns of several types, in any format that tables are written in
    #[command(after_long_help = TABLE_EXAMPLES)]
    Table(GenerateTableArgs),
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

    /// Where to write.
    #[command(flatten)]
    pub folder: FolderArgs,
}

/// Where rows are written as LIBSVM text.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// Where to write, a new folder with a file for each of --partitions
    #[arg(long, short, value_name = "DIR", required = true, help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Replace a folder that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}

/// `generate sparse`.
#[derive(Debug, Args)]
pub struct SparseArgs {
    /// Rows
    ///
    /// Also: --rows, --n-samples, --n_samples.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["rows", "n-samples", "n_samples"])]
    pub samples: usize,

    /// Columns
    ///
    /// Also: --n-features, --n_features.
    #[arg(long, value_name = "N", default_value = "10000", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["n-features", "n_features"])]
    pub features: usize,

    /// Values of a row, about
    #[arg(long, value_name = "X", default_value = "75", value_parser = finite, help_heading = "Rows")]
    pub nonzeros: f64,

    /// Share of rows with the other label
    #[arg(long, value_name = "X", default_value = "0.05", value_parser = finite, help_heading = "Rows")]
    pub flip: f64,

    /// Where to write.
    #[command(flatten)]
    pub folder: FolderArgs,
}

/// `generate regression`.
#[derive(Debug, Args)]
pub struct RegressionArgs {
    /// Rows
    ///
    /// Also: --rows, --n-samples, --n_samples.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["rows", "n-samples", "n_samples"])]
    pub samples: usize,

    /// Columns
    ///
    /// Also: --n-features, --n_features.
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["n-features", "n_features"])]
    pub features: usize,

    /// Columns that the label is made of, spread evenly, with normal coefficients
    ///
    /// Also: --n-informative, --n_informative.
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Rows")]
    #[arg(aliases = ["n-informative", "n_informative"])]
    pub informative: usize,

    /// Deviation of the noise, relative to that of the label without it
    #[arg(long, value_name = "X", default_value = "0.1", value_parser = finite, help_heading = "Rows")]
    pub noise: f64,

    /// Groups of neighbouring columns that share a factor; 0: every column is by itself
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Rows")]
    pub groups: usize,

    /// Correlation of two columns of a group
    #[arg(long, value_name = "X", default_value = "0.5", value_parser = finite, help_heading = "Rows")]
    pub correlation: f64,

    /// Share of values that are not zero
    #[arg(long, value_name = "X", default_value = "1", value_parser = finite, help_heading = "Rows")]
    pub density: f64,

    /// Where to write.
    #[command(flatten)]
    pub folder: FolderArgs,
}

/// `generate table`.
#[derive(Debug, Args)]
pub struct GenerateTableArgs {
    /// Rows
    ///
    /// Also: --rows, --n-samples, --n_samples.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one, help_heading = "Rows")]
    #[arg(aliases = ["rows", "n-samples", "n_samples"])]
    pub samples: usize,

    /// How many columns of which kind: id, float, integer, text, date, time, flag
    ///
    /// id: the number of the row. float: normal numbers. integer: to a million, small ones more often. text: a thousand
    /// texts of a few words, some with commas, quotes and line ends. date, time: of 30 years. flag: true or false.
    #[arg(long, value_name = "KIND=N,..", value_delimiter = ',', help_heading = "Rows")]
    #[arg(default_value = "id=1,float=4,integer=2,text=2,date=1,time=1,flag=1", value_parser = kind)]
    pub columns: Vec<(String, usize)>,

    /// Digits behind the point of floats; 17: all that there are
    #[arg(long, value_name = "N", default_value = "6", help_heading = "Rows")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=17))]
    pub digits: u32,

    /// Share of values that are missing, but for those of the first column
    #[arg(long, value_name = "X", default_value = "0", value_parser = finite, help_heading = "Rows")]
    pub missing: f64,

    /// Where to write: a file, or with a / at its end a folder with a file for each of --partitions
    #[arg(long = "out", short, value_name = "OUT", required = true, help_heading = "Output")]
    pub path: Option<PathBuf>,

    /// What is written.
    #[command(flatten)]
    pub out: TableOutArgs,
}

/// Columns of a kind, as in `float=4`.
fn kind(text: &str) -> Result<(String, usize), String> {
    const KINDS: [&str; 7] = ["id", "float", "integer", "text", "date", "time", "flag"];
    let (name, count) = text.split_once('=').ok_or("a kind and a number, as in float=4")?;
    if !KINDS.contains(&name) {
        return Err(format!("no kind of column; there are {}", KINDS.join(", ")));
    }
    let count = count.parse().map_err(|_| format!("`{count}` is no number of columns"))?;
    Ok((name.to_string(), count))
}

impl GenerateTableArgs {
    /// How many columns of each kind; what is not named is not there.
    pub fn made_columns(&self) -> MadeColumns {
        let of = |name: &str| self.columns.iter().filter(|(n, _)| n == name).map(|(_, count)| count).sum();
        MadeColumns {
            ids: of("id"),
            floats: of("float"),
            integers: of("integer"),
            texts: of("text"),
            dates: of("date"),
            times: of("time"),
            flags: of("flag"),
        }
    }
}
