//! Settings from the environment. This is the one place below the driver that reads it: a member of a cluster is
//! started by a launcher, which can tell it its place in no other way.

use super::config::parse_bytes;
use super::{Config, Context};
use crate::cluster::placement::SLOTS_MAX;
use crate::cluster::{Membership, Secret};
use crate::error::{Error, OnBad, Result};
use std::path::PathBuf;
use std::time::Duration;

/// The variables, with what they set.
pub const VARIABLES: [(&str, &str); 15] = [
    ("SLACKWATER_WORKERS", "worker threads of a process"),
    ("SLACKWATER_PARTITIONS", "partitions of datasets that do not say how many"),
    ("SLACKWATER_MEMORY", "memory budget, such as 2GiB"),
    ("SLACKWATER_SPILL_DIR", "folder for spill files"),
    ("SLACKWATER_SEED", "seed of everything random"),
    ("SLACKWATER_JOB_TIMEOUT", "seconds after which a job fails"),
    ("SLACKWATER_ON_BAD", "fail, skip or quarantine=DIR"),
    ("SLACKWATER_RECOVERY", "exact or partial: how trainings go on when a process is lost"),
    ("SLACKWATER_PROCESS", "number of this process in a cluster (set by the launcher)"),
    ("SLACKWATER_PROCESSES", "processes that the run began with (set by the launcher)"),
    ("SLACKWATER_RENDEZVOUS", "address where they meet (set by the launcher)"),
    ("SLACKWATER_SECRET", "shared by the members of one run (set by the launcher)"),
    ("SLACKWATER_RUN", "name of the run (set by the launcher)"),
    ("SLACKWATER_ENCRYPT", "true if processes encrypt what they say to each other (set by the launcher)"),
    ("SLACKWATER_HOST", "address on which others reach this process (set by the launcher)"),
];

impl Config {
    /// The defaults, overridden by `SLACKWATER_*` variables. The error names the variable.
    pub fn from_env() -> Result<Self> {
        Config::default().override_with(|name| std::env::var(name).ok())
    }

    /// These settings, overridden by what `lookup` knows of [`VARIABLES`].
    pub fn override_with(mut self, lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        fn parse<T: std::str::FromStr>(name: &str, text: Option<String>, into: &mut T) -> Result<()> {
            if let Some(text) = text {
                *into = text
                    .trim()
                    .parse()
                    .map_err(|_| Error::config(name, format!("`{text}` is not a number")))?;
            }
            Ok(())
        }
        parse("SLACKWATER_WORKERS", lookup("SLACKWATER_WORKERS"), &mut self.workers)?;
        parse("SLACKWATER_PARTITIONS", lookup("SLACKWATER_PARTITIONS"), &mut self.default_partitions)?;
        parse("SLACKWATER_SEED", lookup("SLACKWATER_SEED"), &mut self.seed)?;
        if let Some(text) = lookup("SLACKWATER_MEMORY") {
            self.memory_budget_bytes =
                parse_bytes(&text).map_err(|e| Error::config("SLACKWATER_MEMORY", e))?;
        }
        if let Some(text) = lookup("SLACKWATER_SPILL_DIR") {
            self.spill_dir = PathBuf::from(text);
        }
        if lookup("SLACKWATER_JOB_TIMEOUT").is_some() {
            let mut seconds = 0f64;
            parse("SLACKWATER_JOB_TIMEOUT", lookup("SLACKWATER_JOB_TIMEOUT"), &mut seconds)?;
            let limit = Duration::try_from_secs_f64(seconds)
                .map_err(|e| Error::config("SLACKWATER_JOB_TIMEOUT", e.to_string()))?;
            self.job_timeout = Some(limit);
        }
        if let Some(text) = lookup("SLACKWATER_ON_BAD") {
            self.on_bad = text.parse().map_err(|e: String| Error::config("SLACKWATER_ON_BAD", e))?;
        }
        if let Some(text) = lookup("SLACKWATER_RECOVERY") {
            self.recovery = text.parse().map_err(|e: String| Error::config("SLACKWATER_RECOVERY", e))?;
        }
        if let Some(rendezvous) = lookup("SLACKWATER_RENDEZVOUS") {
            let (mut process, mut processes) = (0, 1);
            parse("SLACKWATER_PROCESS", lookup("SLACKWATER_PROCESS"), &mut process)?;
            parse("SLACKWATER_PROCESSES", lookup("SLACKWATER_PROCESSES"), &mut processes)?;
            let secret = lookup("SLACKWATER_SECRET");
            let secret = secret.ok_or_else(|| Error::config("SLACKWATER_SECRET", "is missing"))?;
            let secret = Secret::from_text(&secret)?;
            let (run, host) = (lookup("SLACKWATER_RUN"), lookup("SLACKWATER_HOST"));
            let (run, host) = (run.unwrap_or_default(), host.unwrap_or("127.0.0.1".to_string()));
            let mut encrypt = true;
            parse("SLACKWATER_ENCRYPT", lookup("SLACKWATER_ENCRYPT"), &mut encrypt)?;
            // A process that was added later has a number beyond those that the run began with.
            if process >= SLOTS_MAX || !(1..=SLOTS_MAX).contains(&processes) {
                let message =
                    format!("is not below {SLOTS_MAX}, or SLACKWATER_PROCESSES is not between 1 and it");
                return Err(Error::config("SLACKWATER_PROCESS", message));
            }
            self.membership = Some(Membership { process, processes, rendezvous, secret, run, encrypt, host });
        }
        Ok(self)
    }
}

impl Membership {
    /// The variables that a launcher sets for this member.
    pub fn variables(&self) -> [(&'static str, String); 7] {
        [
            ("SLACKWATER_PROCESS", self.process.to_string()),
            ("SLACKWATER_PROCESSES", self.processes.to_string()),
            ("SLACKWATER_RENDEZVOUS", self.rendezvous.clone()),
            ("SLACKWATER_SECRET", self.secret.to_text()),
            ("SLACKWATER_RUN", self.run.clone()),
            ("SLACKWATER_ENCRYPT", self.encrypt.to_string()),
            ("SLACKWATER_HOST", self.host.clone()),
        ]
    }
}

impl Context {
    /// A context as the environment says: in one process alone, or as a member of the cluster that started it.
    pub fn from_env() -> Result<Self> {
        Context::new(Config::from_env()?)
    }
}

impl std::str::FromStr for OnBad {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "fail" => Ok(OnBad::Fail),
            None if text == "skip" => Ok(OnBad::Skip),
            Some(("quarantine", dir)) if !dir.is_empty() => Ok(OnBad::Quarantine(PathBuf::from(dir))),
            _ => Err(format!("`{text}` is not one of fail, skip, quarantine=DIR")),
        }
    }
}
