//! Options of `cluster`.

use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  slackwater cluster run -n 2 -- train svm --data a9a.svm
  slackwater cluster run -n 4 --program ./word_count -- corpus.txt";

/// `cluster`.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// Commands of `cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Run one command as several processes of this machine, each with a share of the partitions
    #[command(after_long_help = EXAMPLES)]
    Run(RunArgs),
}

/// `cluster run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Processes
    #[arg(long, short = 'n', value_name = "N", help_heading = "Cluster")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub processes: u16,

    /// How many times in a row a process that was lost is replaced without a job being finished in between
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Cluster")]
    pub restarts: u32,

    /// Run another program instead of this one; it must make its context with Context::from_env
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub program: Option<PathBuf>,

    /// The command and its options, or the arguments of the program
    #[arg(last = true, value_name = "COMMAND", allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}
