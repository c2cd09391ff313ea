//! Options of `convert`.

use super::input::{FeatureArgs, FormatArgs};
use super::table_out::TableOutArgs;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
OUT is a file, or with a / at its end a folder of parts, one a partition, that all processes of a cluster write to. Text is packed as the
name says (x.csv.gz). IN can be URLs, as `help train svm` says. LIBSVM text and `--label`, `--features` and `--categorical` make rows of features of columns, as training does.

Examples:
  slackwater convert a9a.svm a9a.parquet
  slackwater convert flights.parquet long.csv.gz --where 'distance > 2000' --select carrier,dest,arr_delay
  slackwater convert adult.csv adult.svm --label income --categorical one-hot
  slackwater convert 'logs/*.jsonl.gz' logs/ --to parquet --compression zstd --partitions 8";

/// `convert`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ConvertArgs {
    /// Files, patterns or folders of parts, or -; the last one is where to write
    #[arg(value_names = ["IN", "OUT"], num_args = 2.., required = true)]
    pub paths: Vec<PathBuf>,

    /// What the files are in.
    #[command(flatten)]
    pub format: FormatArgs,

    /// Rows of features.
    #[command(flatten)]
    pub features: FeatureArgs,

    /// Only these columns, in this order
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',', help_heading = "Input")]
    pub select: Vec<String>,

    /// What is written.
    #[command(flatten)]
    pub out: TableOutArgs,
}
