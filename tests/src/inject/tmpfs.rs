//! A disk that is soon full.

use super::{absent, run};
use std::path::Path;
use tempfile::TempDir;

/// A file system in memory. It is unmounted when this is dropped.
pub struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// One of so many KiB. Nothing, and a word why, if this process may not mount.
    pub fn new(kib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let (size, path) = (format!("size={kib}k"), dir.path().display().to_string());
        if run(&["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &path]) {
            return Some(Tmpfs { dir });
        }
        absent("no file system can be mounted");
        None
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Also while a file in it is open.
        run(&["umount", "-l", &self.dir.path().display().to_string()]);
    }
}
