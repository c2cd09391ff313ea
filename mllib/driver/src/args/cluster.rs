//! Options of `cluster` and of `worker`.

use super::values::{at_least_one, finite};
use clap::{Args, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

const RUN_EXAMPLES: &str = "\
A file of hosts has one a line, as in `node1 slots=2 address=10.0.0.7`; # begins a comment. On each host `RSH HOST
PROGRAM worker ..` is run; it must need no password. The remote shell sees that command, so no path in it may need quotes.

Examples:
  slackwater cluster run -n 2 -- train svm --data a9a.svm
  slackwater cluster run -n 4 --program ./word_count -- corpus.txt
  slackwater cluster run -n 8 --hosts hosts.txt --listen 10.0.0.1:0 -- train lda --data /shared/docs
  slackwater cluster run -n 4 --external --listen 0.0.0.0:7077 --secret-file secret -- train svm";

const STATUS_EXAMPLES: &str = "\
Examples:
  slackwater cluster status
  slackwater cluster status --supervisor 10.0.0.1:7077 --secret-file secret --json";

const SCALE_EXAMPLES: &str = "\
A process that is added takes its share of the partitions; those of one that goes are computed again elsewhere, from
what it was computed from. What has been trained, and what jobs have given, stays. Process 0 stays always.

Examples:
  slackwater cluster scale 4
  slackwater cluster scale 2 --supervisor 10.0.0.1:7077 --secret-file secret";

const SECRET_EXAMPLES: &str = "\
Examples:
  slackwater cluster secret secret
  slackwater cluster secret ~/.slackwater-secret";

/// Examples of `worker`.
pub const WORKER_EXAMPLES: &str = "\
Exit codes: that of the run, 5 if the run is lost or does not want this worker.

Examples:
  slackwater worker --supervisor 10.0.0.1:7077 --secret-file secret
  slackwater worker --supervisor launcher:7077 --secret-file secret --slots 2 --workers 8";

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
    /// Run one command as several processes, of this machine or of others, each with a share of the partitions
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show how a run is doing; without options, the runs of this user on this machine
    #[command(after_long_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Give a run another number of processes, while it goes on
    #[command(after_long_help = SCALE_EXAMPLES)]
    Scale(ScaleArgs),
    /// Make a file with a new secret, for the launcher and the workers of a run
    #[command(after_long_help = SECRET_EXAMPLES)]
    Secret(SecretArgs),
}

/// `cluster run`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("elsewhere").args(["hosts", "external"]))]
pub struct RunArgs {
    /// Processes
    #[arg(long, short = 'n', value_name = "N", help_heading = "Cluster")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub processes: u16,

    /// How many times in a row a process that was lost is replaced without a job being finished in between
    ///
    /// Processes that are lost at once count once.
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Cluster")]
    pub restarts: u32,

    /// What becomes of the run when a process is lost; process 0 is always replaced
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnLoss::Replace, help_heading = "Cluster")]
    pub lost: OnLoss,

    /// Give a process up one of whose workers has been in one call of the program's functions for so long, in seconds
    /// [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = finite, help_heading = "Cluster")]
    pub stuck: Option<f64>,

    /// Run another program instead of this one; it must make its context with Context::from_env
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub program: Option<PathBuf>,

    /// Run the processes on the hosts of this file
    #[arg(long, value_name = "FILE", help_heading = "Other machines")]
    pub hosts: Option<PathBuf>,

    /// Command that runs a command on a host, with its arguments
    #[arg(long, value_name = "COMMAND", default_value = "ssh", requires = "hosts")]
    #[arg(help_heading = "Other machines")]
    pub rsh: String,

    /// Path of slackwater on the hosts [default: that of this one]
    #[arg(long, value_name = "FILE", requires = "hosts", help_heading = "Other machines")]
    pub remote_program: Option<PathBuf>,

    /// Run the processes on workers that come by themselves (see `worker`)
    #[arg(long, requires_all = ["listen", "secret_file"], help_heading = "Other machines")]
    pub external: bool,

    /// Address on which workers and processes are waited for, port 0 for any [default: this machine's first, port 0]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "elsewhere", help_heading = "Other machines")]
    pub listen: Option<String>,

    /// File with the secret that workers and processes must have [default: a new one]
    #[arg(long, value_name = "FILE", requires = "elsewhere", help_heading = "Other machines")]
    pub secret_file: Option<PathBuf>,

    /// How long a process may wait for a place to run, in seconds [default: 60, with --external 600]
    #[arg(long, value_name = "SECONDS", value_parser = finite, requires = "elsewhere")]
    #[arg(help_heading = "Other machines")]
    pub wait: Option<f64>,

    /// The command and its options, or the arguments of the program
    #[arg(last = true, value_name = "COMMAND", allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// What becomes of a run that has lost a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnLoss {
    /// Another takes its place
    Replace,
    /// The others go on without it
    Shrink,
}

/// `cluster status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which run.
    #[command(flatten)]
    pub run: WhichRun,
}

/// `cluster scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Processes
    #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub processes: u16,

    /// Which run.
    #[command(flatten)]
    pub run: WhichRun,

    /// Number of the run's launcher, if there are several runs of this user on this machine
    #[arg(long, value_name = "PID", conflicts_with = "supervisor", help_heading = "Cluster")]
    pub launcher: Option<u32>,

    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = finite)]
    #[arg(help_heading = "Cluster")]
    pub wait: f64,
}

/// A run, by its supervisor.
#[derive(Debug, Args)]
pub struct WhichRun {
    /// Address of the run's launcher
    #[arg(long, value_name = "ADDRESS:PORT", requires = "secret_file", help_heading = "Cluster")]
    pub supervisor: Option<String>,

    /// File with the run's secret
    #[arg(long, value_name = "FILE", requires = "supervisor", help_heading = "Cluster")]
    pub secret_file: Option<PathBuf>,
}

/// `cluster secret`.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// The file, which must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Address of the launcher
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Cluster")]
    pub supervisor: String,

    /// File with the run's secret, or - for standard input [default: the variable SLACKWATER_SECRET]
    ///
    /// With - the first line is the secret, and the worker ends when its standard input does.
    #[arg(long, value_name = "FILE", env = "SLACKWATER_SECRET_FILE", hide_env_values = true)]
    #[arg(help_heading = "Cluster")]
    pub secret_file: Option<PathBuf>,

    /// Address on which the other machines reach this one [default: that of the connection to the launcher]
    #[arg(long, value_name = "ADDRESS", help_heading = "Cluster")]
    pub host: Option<std::net::IpAddr>,

    /// Name of this worker in what the launcher says [default: the machine's]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub name: Option<String>,

    /// Processes that it runs at a time, at most
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one, help_heading = "Cluster")]
    pub slots: usize,

    /// How long the launcher may take to be there, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = finite)]
    #[arg(help_heading = "Cluster")]
    pub wait: f64,
}
