//! `save_as_text_file`: one file a partition, never a half-written output.

use crate::dataset::Dataset;
use crate::dataset::lineage::Data;
use crate::error::{Error, Result};
use std::fmt::Display;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The marker of a complete output folder.
pub const SUCCESS: &str = "_SUCCESS";

/// Prepares an output folder: it must not exist, or be empty.
pub(crate) fn claim(dir: &Path) -> Result<()> {
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
    fs::create_dir_all(dir).map_err(|e| Error::io(dir, "create", &e))
}

/// Writes `dir/NAME` whole or not at all: a temporary file, made durable, then renamed. Two attempts at the same
/// partition cannot mix: each writes a file of its own, and renaming replaces.
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
    let temporary = Temporary(dir.join(format!(".{name}.{attempt}.tmp")));
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
        self.context().once(|| claim(&dir))?;
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
        self.context().once(|| commit(&dir, SUCCESS, 0, |_| Ok(())))
    }
}

impl<T: Data + Display> Dataset<T> {
    /// Writes every record as a line of text; see [`Dataset::save_with`].
    pub fn save_as_text_file(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, "", |records, out| records.iter().try_for_each(|x| writeln!(out, "{x}")))
    }
}
