//! A share of a processor for some processes, by a control group of version 1.

use super::absent;
use std::fs;
use std::path::{Path, PathBuf};

/// The period of which a share is given, in microseconds.
const PERIOD: u64 = 20_000;

/// A control group. It is removed when this is dropped; what runs in it should have ended.
pub struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// `percent` of one processor. Nothing, and a word why, where there are no such groups.
    pub fn new(percent: u64) -> Option<Self> {
        let mut parents = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"].into_iter().map(Path::new);
        let parent = parents.find(|p| p.join("cpu.cfs_quota_us").exists());
        let made = parent.and_then(|parent| {
            let folder = parent.join(format!("slackwater-test-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let quota = Quota { folder };
            fs::write(quota.folder.join("cpu.cfs_period_us"), PERIOD.to_string()).ok()?;
            let share = (PERIOD * percent / 100).max(1000);
            fs::write(quota.folder.join("cpu.cfs_quota_us"), share.to_string()).ok()?;
            Some(quota)
        });
        if made.is_none() {
            absent("there is no writable control group for processors");
        }
        made
    }
    /// Puts a process under the quota.
    pub fn hold(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).expect("a process that runs");
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
