//! The settings of a context, each with a default that works on a fresh machine.

use crate::cluster::Membership;
use crate::error::{Error, OnBad, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`Context`](crate::Context). Everything has a default; `..Config::default()` fills the rest.
#[derive(Debug, Clone)]
pub struct Config {
    /// Worker threads of this process. Default: the cores that the process may use. Results do not depend on it.
    pub workers: usize,
    /// Partitions of datasets and shuffles that do not say how many. Default 8. It does not depend on the number of
    /// workers, because results depend on it.
    pub default_partitions: usize,
    /// Bytes for cached partitions, retained shuffle blocks and the tables and sort buffers of running tasks.
    /// Default: half of the machine's memory. What does not fit is spilled or recomputed. Chunks, blocks in flight
    /// and user data are not counted: leave room for about 8 MiB a worker.
    pub memory_budget_bytes: u64,
    /// Folder for spill files; a folder of its own is made in it, and removed at the end. Default: the system's
    /// temporary folder.
    pub spill_dir: PathBuf,
    /// Seed of everything random that is not given one. Default 42.
    pub seed: u64,
    /// How often a task is tried before its job fails. Default 4.
    pub task_attempts: u32,
    /// A job whose collected result is larger fails. Default 1 GiB.
    pub max_result_bytes: u64,
    /// A job that takes longer fails. Default: none.
    pub job_timeout: Option<Duration>,
    /// What to do with records that cannot be used. Default: fail.
    pub on_bad: OnBad,
    /// How trainings on parameter tables go on when a process of a cluster is lost. Default: exact.
    pub recovery: Recovery,
    /// The other processes, if this one is a member of a cluster. Default: none.
    pub membership: Option<Membership>,
}

/// How a training on parameter tables goes on when a process of a cluster is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recovery {
    /// All go back to the last recovery point: under BSP the result has the bytes of a run that nobody disturbed.
    #[default]
    Exact,
    /// Those that are left keep the values that they have, and what only the lost one had is taken from their copies of it,
    /// which miss some of the last updates. What was on its way is lost. The report says how much that was. For trainings
    /// on dense tables whose partitions have no states; others go back.
    Partial,
}

impl std::fmt::Display for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Recovery::Exact => "exact",
            Recovery::Partial => "partial",
        })
    }
}

impl std::str::FromStr for Recovery {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Recovery::Exact),
            "partial" => Ok(Recovery::Partial),
            other => Err(format!("`{other}` is none of exact, partial")),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: std::thread::available_parallelism().map_or(1, |n| n.get()),
            default_partitions: 8,
            memory_budget_bytes: machine_memory_bytes() / 2,
            spill_dir: std::env::temp_dir(),
            seed: 42,
            task_attempts: 4,
            max_result_bytes: 1 << 30,
            job_timeout: None,
            on_bad: OnBad::Fail,
            recovery: Recovery::Exact,
            membership: None,
        }
    }
}

impl Config {
    /// Default settings with `workers` worker threads.
    pub fn local(workers: usize) -> Self {
        Config { workers, ..Config::default() }
    }
    /// Workers of all processes that the run began with. It never changes, so what a program is must follow from this,
    /// not from the [`Topology`](super::Topology).
    pub fn workers_at_first(&self) -> usize {
        self.workers * self.membership.as_ref().map_or(1, |m| m.processes)
    }

    /// Checks every value; the error names the setting.
    pub fn check(&self) -> Result<()> {
        if !(1..=1024).contains(&self.workers) {
            return Err(Error::config("workers", format!("{} is not between 1 and 1024", self.workers)));
        }
        if !(1..=1 << 20).contains(&self.default_partitions) {
            let message = format!("{} is not between 1 and 1048576", self.default_partitions);
            return Err(Error::config("partitions", message));
        }
        if self.memory_budget_bytes < 1 << 20 {
            let message = format!("{} bytes are less than 1 MiB", self.memory_budget_bytes);
            return Err(Error::config("memory", message));
        }
        if self.task_attempts == 0 {
            return Err(Error::config("task_attempts", "a task needs one attempt at least"));
        }
        Ok(())
    }
}

/// Memory that this process may use, in bytes: the machine's, or the control group's limit if that is lower.
fn machine_memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|s| {
        let line = s.lines().find(|l| l.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|f| std::fs::read_to_string(f).ok()?.trim().parse::<u64>().ok());
    machine.unwrap_or(4 << 30).min(group.unwrap_or(u64::MAX))
}

/// Reads a size such as `16MiB`, `2G`, `1048576`: bytes, with an optional binary unit.
///
/// ```
/// use slackwater_dataflow::parse_bytes;
/// assert_eq!(parse_bytes("16MiB").unwrap(), 16 << 20);
/// assert_eq!(parse_bytes("2g").unwrap(), 2 << 30);
/// assert!(parse_bytes("many").is_err());
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("`{text}` is not a size: write a number with B, KiB, MiB, GiB or TiB")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a size: it has no number"))?;
    number.checked_shl(shift).filter(|n| n >> shift == number).ok_or(format!("`{text}` is too large"))
}
