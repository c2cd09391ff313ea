//! Options of all commands.

use super::values::{Bytes, at_least_one, finite};
use clap::{Args, ValueEnum};
use slackwater_dataflow::{OnBad, Recovery};
use std::path::PathBuf;

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// If standard error is a terminal.
    Auto,
    /// Also if it is not: a line a second.
    Always,
    /// Never.
    Never,
}

/// Options of all commands.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Worker threads of a process [default: the cores it may use]
    ///
    /// Results do not depend on it. Also: --threads, --n-jobs, --n_jobs (which count from 1 here: leave them out for all
    /// cores, there is no -1).
    #[arg(long, global = true, value_name = "N", env = "SLACKWATER_WORKERS", hide_env_values = true)]
    #[arg(value_parser = at_least_one, aliases = ["threads", "n-jobs", "n_jobs"], help_heading = "Execution")]
    pub workers: Option<usize>,

    /// Memory for kept data and for the tables of running tasks, as 2GiB [default: half of what
    /// it may use, a quarter of little]
    #[arg(long, global = true, value_name = "SIZE", env = "SLACKWATER_MEMORY", hide_env_values = true)]
    #[arg(help_heading = "Execution")]
    pub memory: Option<Bytes>,

    /// Partitions of data that is read [default: 8 or more, of 64 KiB to 16 MiB each; 2 with --spark-splits]
    ///
    /// As many are made, of at least 64 KiB each; a minibatch is of rows of each. Results that are random, or sums in
    /// floating point, depend on it. Also: --num-partitions, --numPartitions, --minPartitions.
    #[arg(long, global = true, value_name = "N", env = "SLACKWATER_PARTITIONS", hide_env_values = true)]
    #[arg(value_parser = at_least_one, aliases = ["num-partitions", "numPartitions", "minPartitions"])]
    #[arg(help_heading = "Execution")]
    pub partitions: Option<usize>,

    /// Folder for spill files [default: the system's temporary folder]
    #[arg(long, global = true, value_name = "DIR", env = "SLACKWATER_SPILL_DIR", hide_env_values = true)]
    #[arg(help_heading = "Execution")]
    pub spill_dir: Option<PathBuf>,

    /// Seed of everything random [default: 42]
    ///
    /// Also: --random-state, --random_state.
    #[arg(long, global = true, value_name = "N", env = "SLACKWATER_SEED", hide_env_values = true)]
    #[arg(aliases = ["random-state", "random_state"], help_heading = "Execution")]
    pub seed: Option<u64>,

    /// What to do with rows that cannot be read: fail, skip or quarantine=DIR [default: fail]
    #[arg(long, global = true, value_name = "POLICY", env = "SLACKWATER_ON_BAD", hide_env_values = true)]
    #[arg(help_heading = "Execution")]
    pub on_bad: Option<OnBad>,

    /// How trainings on tables go on when a process of a cluster is lost: exact or partial [default: exact]
    ///
    /// Exact goes back to the last recovery point. Partial goes on with what the others have: it costs less time, loses
    /// some updates, and says how many values were affected. Where partitions have states, it is exact.
    #[arg(long, global = true, value_name = "HOW", env = "SLACKWATER_RECOVERY", hide_env_values = true)]
    #[arg(help_heading = "Execution")]
    pub recovery: Option<Recovery>,

    /// Fail if one job takes longer, in seconds [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "SLACKWATER_JOB_TIMEOUT",
        hide_env_values = true
    )]
    #[arg(value_parser = finite, help_heading = "Execution")]
    pub job_timeout: Option<f64>,

    /// A setting of object stores and web servers, for data that are named by URLs
    ///
    /// Such as region, endpoint, allow_http=true, skip_signature=true (for public data), deadline (seconds without a byte) or retries. Several are
    /// separated by blanks. Variables of the environment that begin with AWS_, GOOGLE_ or AZURE_ are settings, too; secrets are taken
    /// from there alone, by each process from its own.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_delimiter = ' ', env = "SLACKWATER_STORE")]
    #[arg(hide_env_values = true, help_heading = "Input")]
    pub store: Vec<String>,

    /// Read options from a TOML file; flags and the environment prevail
    ///
    /// Keys are names of options, as in `workers = 2`. Keys of a table `[train]` are for that command; other keys are for
    /// every command that has such an option.
    #[arg(long, global = true, value_name = "FILE", env = "SLACKWATER_CONFIG", hide_env_values = true)]
    #[arg(help_heading = "Execution")]
    pub config: Option<PathBuf>,

    /// Say nothing on standard error but errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub quiet: bool,

    /// Show progress on standard error
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = "Output")]
    pub progress: ProgressWhen,

    /// Print one JSON document instead of text
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,

    /// Write what the engine does to a file, one JSON object a line
    ///
    /// In a cluster these are the events of process 0.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output")]
    pub events: Option<PathBuf>,
}
