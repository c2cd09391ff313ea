//! Options of `convert`.

use super::input::{FeatureArgs, FormatArgs, delimiter};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_loaders::{Compression, Format};
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

    /// What to write [default: by the ending of OUT]
    #[arg(long, value_name = "FORMAT", value_parser = written(), help_heading = "Output")]
    pub to: Option<Format>,

    /// How to pack it: none, snappy, gzip, zstd, lz4 or bzip2 [default: Parquet with snappy, text as its name says]
    #[arg(long, value_name = "CODEC", value_parser = codec(), help_heading = "Output")]
    pub compression: Option<Compression>,

    /// What to write between the fields of CSV
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Output")]
    pub out_delimiter: Option<u8>,

    /// Write no names of columns first
    #[arg(long, help_heading = "Output")]
    pub no_header: bool,

    /// Replace what is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}

fn written() -> impl TypedValueParser<Value = Format> {
    let names = ["parquet", "arrow", "arrows", "csv", "tsv", "jsonl", "libsvm", "mtx", "text"];
    PossibleValuesParser::new(names).map(|name| Format::of_name(&name).expect("it is one of the names"))
}

fn codec() -> impl TypedValueParser<Value = Compression> {
    PossibleValuesParser::new(["none", "snappy", "gzip", "zstd", "lz4", "bzip2"]).map(|s| match s.as_str() {
        "snappy" => Compression::Snappy,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        "lz4" => Compression::Lz4,
        "bzip2" => Compression::Bzip2,
        _ => Compression::None,
    })
}
