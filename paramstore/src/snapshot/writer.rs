//! Writing snapshots while training goes on.

use super::files::{
    MANIFEST, Manifest, PartContent, PartHeader, TablePart, encode, folder, part_name, write_whole,
};
use crate::report::EpochLoss;
use crate::value::Value;
use slackwater_dataflow::simulation::is_simulated;
use slackwater_dataflow::{Error, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use timely::scheduling::activate::SyncActivator;

/// Copies under way of one shard: what bounds their memory.
const WRITES_MAX: usize = 2;

/// A shard's copy of all tables.
pub(crate) struct Part<V> {
    /// In this run.
    pub clock: u64,
    /// In the training.
    pub clock_in_all: u64,
    pub tables: Vec<TablePart<V>>,
    pub losses: Vec<(usize, Vec<EpochLoss>)>,
    pub locals: Vec<(usize, Vec<u8>)>,
}

/// Writes the parts of one shard, each in a thread, and tells which clocks are on disk.
pub(crate) struct Writer {
    dir: PathBuf,
    shard: usize,
    shards: usize,
    running: VecDeque<Write>,
}

/// A part that is being written.
struct Write {
    clock: u64,
    /// Set before the operator is woken: the thread itself ends a moment later.
    is_done: Arc<AtomicBool>,
    result: Outcome,
}

/// How it has ended, or the thread that will say so.
enum Outcome {
    Known(Result<()>),
    Thread(JoinHandle<Result<()>>),
}

impl Writer {
    pub fn new(dir: &Path, shard: usize, shards: usize) -> Self {
        Writer { dir: dir.to_path_buf(), shard, shards, running: VecDeque::new() }
    }
    /// Begins to write; `done` is activated at the end. Waits if [`WRITES_MAX`] are under way.
    pub fn begin<V: Value>(&mut self, part: Part<V>, done: SyncActivator) -> Result<()> {
        while self.running.len() >= WRITES_MAX {
            self.join()?;
        }
        let folder = folder(&self.dir, part.clock_in_all);
        let (shard, shards, clock) = (self.shard, self.shards, part.clock);
        let is_done = Arc::new(AtomicBool::new(false));
        let tells = is_done.clone();
        let write = move || {
            let result = write_part(&folder, shard, shards, part);
            tells.store(true, Ordering::Release);
            // An error says that the worker is gone, and then nobody waits.
            let _ = done.activate();
            result
        };
        // A simulation has no threads but its own.
        let result = match is_simulated() {
            true => Outcome::Known(write()),
            false => Outcome::Thread(std::thread::spawn(write)),
        };
        self.running.push_back(Write { clock, is_done, result });
        Ok(())
    }
    fn join(&mut self) -> Result<()> {
        let Some(write) = self.running.pop_front() else { return Ok(()) };
        match write.result {
            Outcome::Known(result) => result,
            Outcome::Thread(thread) => {
                thread.join().map_err(|_| Error::usage("the thread that writes a snapshot panicked"))?
            }
        }
    }
    /// Forgets what has been written.
    pub fn collect(&mut self) -> Result<()> {
        while self.running.front().is_some_and(|w| w.is_done.load(Ordering::Acquire)) {
            self.join()?;
        }
        Ok(())
    }
    /// The least clock that is not on disk yet, of those begun.
    pub fn pending(&self) -> Option<u64> {
        self.running.front().map(|w| w.clock)
    }
}

fn write_part<V: Value>(folder: &Path, shard: usize, shards: usize, part: Part<V>) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", &e))?;
    let header = PartHeader {
        clock: part.clock_in_all,
        shard,
        shards,
        elements: part.tables.iter().map(|t| t.0.len()).collect(),
        states: part.tables.iter().map(|t| t.2.iter().map(Vec::len).collect()).collect(),
        losses: part.losses,
        locals: part.locals.iter().map(|(partition, bytes)| (*partition, bytes.len())).collect(),
    };
    let bytes = encode(&header, &PartContent { tables: part.tables, locals: part.locals });
    let crc = crc32fast::hash(&bytes).to_le_bytes();
    write_whole(&folder.join(part_name(shard, shards)), &[&bytes, &crc])
}

/// Makes a snapshot invalid, if it is there: its parts will be written again.
pub(crate) fn remove_manifest(dir: &Path, clock: u64) -> Result<()> {
    let path = folder(dir, clock).join(MANIFEST);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path, "remove", &e)),
        _ => Ok(()),
    }
}

/// Makes a snapshot valid, and removes the oldest but `keep`. All its parts are on disk. Does nothing if it is valid
/// already.
pub(crate) fn write_manifest(dir: &Path, manifest: &Manifest, keep: usize) -> Result<()> {
    let path = folder(dir, manifest.clock).join(MANIFEST);
    if path.exists() {
        return Ok(());
    }
    let mut text = serde_json::to_string(manifest).expect("numbers and names");
    text.push('\n');
    let crc = format!("{:08x}\n", crc32fast::hash(text.as_bytes()));
    write_whole(&path, &[text.as_bytes(), crc.as_bytes()])?;
    for (_, old) in super::restore::listed(dir)?.into_iter().rev().skip(keep) {
        // Its manifest first: a folder without one is no snapshot. What cannot be removed does no harm.
        let _ = std::fs::remove_file(old.join(MANIFEST));
        let _ = std::fs::remove_dir_all(&old);
    }
    Ok(())
}
