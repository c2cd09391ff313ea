//! How tables are written.

use super::input::delimiter;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_loaders::{Compression, Format};

/// How a table is written.
#[derive(Debug, Args)]
pub struct TableOutArgs {
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
