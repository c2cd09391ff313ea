//! Spill files: append-only frames with a checksum each, in a folder of the context's own.
//!
//! A frame is read back whole and checked (CRC-32); a damaged one is an error, so that its partition is recomputed
//! and nobody goes on with wrong data. A file is removed when its last user drops it, the folder with the context.

use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of one context.
#[derive(Debug)]
pub(crate) struct SpillDir {
    path: PathBuf,
    next: AtomicU64,
}

impl SpillDir {
    /// Makes `slackwater-PID-N` in `parent` when the first file is made.
    pub fn new(parent: &Path) -> Self {
        static CONTEXTS: AtomicU64 = AtomicU64::new(0);
        let n = CONTEXTS.fetch_add(1, Ordering::Relaxed);
        SpillDir {
            path: parent.join(format!("slackwater-{}-{n}", std::process::id())),
            next: AtomicU64::new(0),
        }
    }
    /// A new empty file.
    pub fn create(&self) -> Result<SpillFile> {
        std::fs::create_dir_all(&self.path).map_err(|e| Error::io(&self.path, "create", &e))?;
        let path = self.path.join(format!("{}.spill", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().create_new(true).read(true).write(true).open(&path);
        let file = file.map_err(|e| Error::io(&path, "create", &e))?;
        Ok(SpillFile { file, path, length: AtomicU64::new(0) })
    }
    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes the spill files of a process that was killed. `parent` is its `spill_dir`, `pid` its number.
pub fn remove_spill_files(parent: &Path, pid: u32) {
    let prefix = format!("slackwater-{pid}-");
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for SpillDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    offset: u64,
    length: u32,
    checksum: u32,
}

/// One file of frames.
#[derive(Debug)]
pub(crate) struct SpillFile {
    file: File,
    path: PathBuf,
    length: AtomicU64,
}

impl SpillFile {
    /// Appends a frame. Several threads may append at once.
    pub fn append(&self, bytes: &[u8]) -> Result<Frame> {
        let length = u32::try_from(bytes.len())
            .map_err(|_| Error::usage("a block of more than 4 GiB cannot be spilled; use more partitions"))?;
        let offset = self.length.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let frame = Frame { offset, length, checksum: crc32fast::hash(bytes) };
        self.file.write_all_at(bytes, offset).map_err(|e| Error::io(&self.path, "write", &e))?;
        Ok(frame)
    }
    /// Reads a frame into `into` and checks it.
    pub fn read(&self, frame: &Frame, into: &mut Vec<u8>) -> Result<()> {
        into.resize(frame.length as usize, 0);
        self.file.read_exact_at(into, frame.offset).map_err(|e| self.damaged(frame, &e.to_string()))?;
        if crc32fast::hash(into) != frame.checksum {
            return Err(self.damaged(frame, "the checksum does not fit"));
        }
        Ok(())
    }
    fn damaged(&self, frame: &Frame, what: &str) -> Error {
        Error::new(ErrorKind::Lost(format!(
            "{}: frame of {} bytes at {}: {what}",
            self.path.display(),
            frame.length,
            frame.offset
        )))
    }
    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }
    /// Where it lies.
    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_and_damage_is_found() {
        let dir = SpillDir::new(&std::env::temp_dir());
        let file = dir.create().unwrap();
        let frames: Vec<Frame> = (0..10u8).map(|i| file.append(&vec![i; 1000]).unwrap()).collect();
        let mut bytes = vec![];
        file.read(&frames[7], &mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 1000]);
        File::options().write(true).open(file.path()).unwrap().write_all_at(&[9], 7500).unwrap();
        assert!(file.read(&frames[7], &mut bytes).unwrap_err().to_string().contains("checksum"));
        file.read(&frames[8], &mut bytes).unwrap();
        let path = dir.path().to_path_buf();
        drop((file, dir));
        assert!(!path.exists());
    }
}
