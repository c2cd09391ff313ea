//! The settings of a context, each with a default that works on a fresh machine.

use crate::cluster::Membership;
use crate::error::{Error, OnBad, Result};
use std::path::{Path, PathBuf};
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
    /// Default: half of the machine's memory, or of what its control group may have; a quarter if that is 512 MiB or less.
    /// What does not fit is spilled or recomputed. Chunks, partitions in the hands of tasks and user data are not counted:
    /// leave room for about three partitions a worker.
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
            memory_budget_bytes: budget(machine_memory_bytes()),
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

/// What tasks have in their hands comes beside the budget, and where there is little, it is most of it.
const BESIDE_BYTES: u64 = 256 << 20;

/// The budget of a process that may use `memory` bytes: half, but of little memory a quarter.
fn budget(memory: u64) -> u64 {
    (memory - BESIDE_BYTES.min(memory / 2)) / 2
}

/// Memory that this process may use, in bytes: the machine's, or the limit of a control group that it is in, or of its address
/// space (`ulimit -v`), if that is lower.
fn machine_memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/proc/meminfo").lines().find_map(|l| {
        let kib = l.strip_prefix("MemTotal:")?.split_whitespace().next()?;
        kib.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let space = read("/proc/self/limits")
        .lines()
        .find_map(|l| l.strip_prefix("Max address space")?.split_whitespace().next()?.parse::<u64>().ok());
    let group = group_limit(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
    let limits = [group, space].into_iter().flatten();
    limits.fold(machine.unwrap_or(4 << 30), u64::min)
}

/// The lowest limit on memory of the control groups in `groups`, which is what `/proc/self/cgroup` says, and of those they
/// are in. In a container the root of what can be seen is the container's own group.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let mut limits = vec![];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            some if some.split(',').any(|c| c == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        let limit = |group: &Path| {
            std::fs::read_to_string(root.join(group).join(file)).ok()?.trim().parse::<u64>().ok()
        };
        limits.extend(path.ancestors().filter_map(limit));
    }
    limits.into_iter().min()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("slice/job/memory.max", "max\n");
        write("slice/memory.max", "700\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/a/b/memory.limit_in_bytes", "600\n");
        let limit = |groups: &str| group_limit(root.path(), groups);
        assert_eq!(limit("0::/slice/job\n"), Some(700));
        assert_eq!(limit("9:name=systemd:/x\n4:cpu,memory:/a/b\n0::/slice/job\n"), Some(600));
        assert_eq!(limit("4:memory:/not/seen/here\n"), Some(9_223_372_036_854_771_712));
        assert_eq!(limit("3:cpu:/\nnonsense\n"), None);
        assert!(machine_memory_bytes() > 1 << 20);
        assert_eq!([64 << 30, 1 << 30, 512 << 20, 64 << 20].map(|m| budget(m) >> 20), [32_640, 384, 128, 16]);
    }
}
