//! Snapshots of a training: all tables exactly as of a clock, on disk.
//!
//! # Guarantees
//! A closed frontier is a consistent cut: when the frontier at a shard has passed clock `c`, its values hold the updates
//! of all clocks before `c` and of no other. Each shard copies its values at that moment, and a thread writes the copy
//! while training goes on. A snapshot exists when its manifest does, which is written last, when all parts of all
//! processes are on disk. Files are written under another name, synchronised, and renamed. Every file has a checksum:
//! damaged snapshots are refused, and the one before is used.
//!
//! Under BSP a training that is resumed ends with the bytes of one that was not interrupted, also with another number of
//! workers or processes. Under the other models it goes on from a state that some run could have been in.
//!
//! # Cost
//! A copy in memory of each shard, two at most; 4 bytes and a value on disk for every element. Processes must see the
//! same folder.

mod files;
mod restore;
mod writer;

pub(crate) use files::{Manifest, TableShape};
pub use files::{fuzzed_part, fuzzed_parts};
pub(crate) use restore::{Restored, restore};
pub(crate) use writer::{Part, Writer, remove_manifest, write_manifest};

use std::path::PathBuf;

/// Where and how often snapshots are taken.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub(crate) dir: PathBuf,
    pub(crate) every_epochs: u64,
    pub(crate) keep: usize,
    pub(crate) resume: bool,
}

impl Snapshots {
    /// Snapshots in `dir`, after every epoch; the last two are kept.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Snapshots { dir: dir.into(), every_epochs: 1, keep: 2, resume: false }
    }
    /// A snapshot after every so many epochs.
    pub fn every(mut self, epochs: u64) -> Self {
        self.every_epochs = epochs.max(1);
        self
    }
    /// How many are kept; more than one, so that there is another if the newest is damaged.
    pub fn keep(mut self, snapshots: usize) -> Self {
        self.keep = snapshots.max(1);
        self
    }
    /// Goes on from the newest snapshot that is whole; from the start if there is none at all. Without it, a folder that
    /// has snapshots is refused.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }
}
