//! Where a run of this machine can be asked how it is: a file that only its user can read.
//!
//! It is `run-PID.toml` in `$XDG_RUNTIME_DIR/slackwater`, or in `slackwater-UID` in the temporary folder. It holds the
//! supervisor's address and the run's secret. It goes with the run; one whose launcher was killed is removed by the next
//! run, or by the next who looks. A folder that belongs to somebody else, or that others may use, is not used.

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::cluster::Secret;
use slackwater_dataflow::{Error, Result};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Content {
    supervisor: String,
    secret: String,
}

/// A run that can be asked.
pub(super) struct Known {
    /// Number of its launcher.
    pub pid: u32,
    /// Where its supervisor is.
    pub supervisor: String,
    pub secret: Secret,
}

/// The file of a run; removed when this is dropped.
pub(super) struct RunFile(PathBuf);

fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("slackwater"),
        None => std::env::temp_dir().join(format!("slackwater-{}", geteuid())),
    }
}

/// Fails if others may put something into a folder, or read what is in it.
fn check(folder: &Path) -> Result<()> {
    let found = std::fs::symlink_metadata(folder).map_err(|e| Error::io(folder, "read", &e))?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let what = format!("{}: is no folder that only this user can use", folder.display());
    Err(Error::input(what, "remove it, or set XDG_RUNTIME_DIR"))
}

impl RunFile {
    /// Writes down where this process's run can be asked.
    pub fn write(supervisor: &str, secret: &Secret) -> Result<RunFile> {
        let folder = folder();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|e| Error::io(&folder, "create", &e))?;
        check(&folder)?;
        remove_stale(&folder);
        let path = folder.join(format!("run-{}.toml", std::process::id()));
        // What a process with the same number has left.
        let _ = std::fs::remove_file(&path);
        let content = Content { supervisor: supervisor.to_string(), secret: secret.to_text() };
        let text = toml::to_string(&content).map_err(|e| Error::usage(e.to_string()))?;
        let file = RunFile(path.clone());
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = opened.and_then(|mut f| f.write_all(text.as_bytes()));
        written.map_err(|e| Error::io(&path, "write", &e))?;
        Ok(file)
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        // It stays if another run has a file there.
        let _ = self.0.parent().map(std::fs::remove_dir);
    }
}

/// The number of the launcher that a file is of.
fn launcher(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("run-")?.strip_suffix(".toml")?.parse().ok()
}

/// Removes files of launchers that are gone: they hold secrets.
fn remove_stale(folder: &Path) {
    let can_tell = Path::new("/proc/self").exists();
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
        let is_gone = |pid: u32| can_tell && !Path::new(&format!("/proc/{pid}")).exists();
        if launcher(&path).is_some_and(is_gone) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// The runs of this user on this machine, by the number of their launcher.
pub(super) fn known() -> Result<Vec<Known>> {
    let folder = folder();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io(&folder, "read", &e)),
    };
    check(&folder)?;
    remove_stale(&folder);
    let mut known = vec![];
    for path in entries.flatten().map(|e| e.path()) {
        let Some(pid) = launcher(&path) else { continue };
        // A run that is just beginning or ending is none.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(content) = toml::from_str::<Content>(&text) else { continue };
        let Ok(secret) = Secret::from_text(&content.secret) else { continue };
        known.push(Known { pid, supervisor: content.supervisor, secret });
    }
    known.sort_by_key(|k| k.pid);
    Ok(known)
}
