//! `save_as_text_file`: one file a partition, never a half-written output.

use crate::context::Context;
use crate::dataset::Dataset;
use crate::dataset::lineage::Data;
use crate::error::{Error, Result};
use std::fmt::Display;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The marker of a complete output folder. What a cluster has written says in it which run and which of its jobs did.
pub const SUCCESS: &str = "_SUCCESS";

/// In the output folder of a cluster until it is complete: which run writes it, and which of its jobs.
const CLAIMED: &str = ".claimed";

/// Prepares an output folder for the next job: it must not exist, or be empty. A process that takes a lost one's place
/// finds what the lost one has begun, or the finished folder if the job has ended.
pub(crate) fn claim(cx: &Context, dir: &Path) -> Result<()> {
    let engine = cx.engine();
    let mark = match &engine.config.membership {
        None => None,
        Some(membership) => {
            let job = engine.next_job.lock().unwrap_or_else(|e| e.into_inner()).saturating_add(1);
            // What the others have finished is known when there are workers.
            engine.board.await_open().map_err(|why| Error::new(crate::ErrorKind::Cluster(why)))?;
            if engine.log.jobs() >= job {
                return Ok(());
            }
            Some(format!("{} {job}", membership.run))
        }
    };
    let (claimed, success) = (dir.join(CLAIMED), dir.join(SUCCESS));
    let is_ours = |path: &Path| mark.is_some() && fs::read_to_string(path).ok() == mark;
    if is_ours(&claimed) {
        return Ok(());
    }
    // All processes were lost after the job, and the run begins again.
    if is_ours(&success) {
        return fs::rename(&success, &claimed).map_err(|e| Error::io(dir, "write", &e));
    }
    if let Ok(mut entries) = fs::read_dir(dir)
        && entries.next().is_some()
    {
        return Err(Error::new(crate::ErrorKind::Io {
            path: dir.to_path_buf(),
            action: "write".to_string(),
            cause: "the folder exists and is not empty".to_string(),
            input: true,
        }));
    }
    let io = |e: std::io::Error| Error::io(dir, "create", &e);
    fs::create_dir_all(dir).map_err(io)?;
    mark.map_or(Ok(()), |mark| fs::write(claimed, mark).map_err(io))
}

/// Marks an output folder as complete. What processes that were lost have left half-written goes.
pub(crate) fn complete(dir: &Path) -> Result<()> {
    let mark = fs::read(dir.join(CLAIMED)).or_else(|_| fs::read(dir.join(SUCCESS))).unwrap_or_default();
    commit(dir, SUCCESS, 0, |out| out.write_all(&mark).map_err(|e| Error::io(dir, "write", &e)))?;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == CLAIMED || name.starts_with('.') && name.ends_with(".tmp") {
            // In nobody's way if it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Writes `dir/NAME` whole or not at all: a temporary file, made durable, then renamed. Two attempts at the same
/// partition cannot mix: each writes a file of its own, and renaming replaces. That holds for a process that was given up,
/// too, which may wake up in the middle of what another has written since.
pub(crate) fn commit(
    dir: &Path,
    name: &str,
    attempt: u32,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    struct Temporary(PathBuf);
    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let writer = crate::hash::hash_of(&(std::process::id(), now));
    let temporary = Temporary(dir.join(format!(".{name}.{attempt}.{writer:016x}.tmp")));
    let io = |e: std::io::Error| Error::io(&temporary.0, "write", &e);
    let mut out = BufWriter::new(fs::File::create(&temporary.0).map_err(io)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)?;
    let path = dir.join(name);
    fs::rename(&temporary.0, &path).map_err(|e| Error::io(&path, "write", &e))
}

impl<T: Data> Dataset<T> {
    /// Writes every partition with `write` to `dir/part-NNNNN` + `extension`, and `_SUCCESS` when all are there. The
    /// folder must not exist or be empty. A partition is written whole or not at all.
    pub fn save_with<F>(&self, dir: impl AsRef<Path>, extension: &str, write: F) -> Result<()>
    where
        F: Fn(&[T], &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    {
        let dir = dir.as_ref().to_path_buf();
        self.context().once(|| claim(self.context(), &dir))?;
        let (target, extension) = (dir.clone(), extension.to_string());
        self.run_action("save", move |cursor, task| {
            // The other processes of a machine may come before the first has made the folder.
            fs::create_dir_all(&target).map_err(|e| Error::io(&target, "create", &e))?;
            let name = format!("part-{:05}{extension}", task.partition());
            let mut stopped = None;
            let written = commit(&target, &name, task.attempt(), |out| {
                loop {
                    match cursor.next() {
                        Ok(Some(chunk)) => {
                            write(chunk.as_slice(), out).map_err(|e| Error::io(&target, "write", &e))?
                        }
                        Ok(None) => return Ok(()),
                        Err(stop) => {
                            stopped = Some(stop);
                            return Err(Error::new(crate::ErrorKind::Cancelled));
                        }
                    }
                }
            });
            match stopped {
                Some(stop) => Err(stop),
                None => Ok(written?),
            }
        })?;
        self.context().once(|| complete(&dir))
    }
}

impl<T: Data + Display> Dataset<T> {
    /// Writes every record as a line of text; see [`Dataset::save_with`].
    pub fn save_as_text_file(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, "", |records, out| records.iter().try_for_each(|x| writeln!(out, "{x}")))
    }
}
