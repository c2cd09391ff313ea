//! Output that is either whole or not there.
//!
//! [`AtomicFile`] is one file: it is written under another name beside its place, and takes its name when it is
//! complete and on disk. [`OutputFolder`] is what a dataset is saved to: a file `part-00000`, `part-00001`, ... for each
//! partition, and the mark `_SUCCESS` last.
//!
//! # Guarantees
//!
//! * Until [`OutputFolder::finish`] the folder's earlier content is as it was, but for a folder
//!   `_temporary-TOKEN` in it, which readers ignore. Dropping an output without finishing it removes that.
//! * A part appears among the committed ones whole, by a rename, when its writer is committed; a writer that is dropped
//!   removes its file. Two attempts at the same partition do not meet: each has its own name, and the later rename
//!   wins, with the same bytes if the task is deterministic.
//! * `_SUCCESS` is there if and only if all parts are. While `finish` moves them in, it is not.
//! * A folder that holds anything is refused unless [`Existing::Overwrite`] is given; and then only `part-*` and
//!   `_SUCCESS` are replaced. Files of others are never removed.
//!
//! # Cost
//!
//! One `fsync` a file and one a folder, a few milliseconds each.
//!
//! # Failure
//!
//! [`ErrorKind::Io`](slackwater_dataflow::ErrorKind::Io) with the path and the operating system's words (a full disk, no
//! permission). A process that is killed leaves `_temporary-*`, or parts without `_SUCCESS`: remove the folder.

use crate::store::check_output;
use slackwater_dataflow::{Error, Result};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What to do if the place of an output is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// An error.
    #[default]
    Refuse,
    /// The new output takes the place of the old one when it is complete.
    Overwrite,
}

/// The mark of a complete folder.
pub const SUCCESS: &str = "_SUCCESS";
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// A name that no other writer of this or another process on this machine has.
fn unique_suffix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A file that appears under its name only when it is complete. Implements [`Write`], with a buffer.
///
/// ```
/// use slackwater_loaders::sink::{AtomicFile, Existing};
/// let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("model.txt");
/// let mut file = AtomicFile::create(&path, Existing::Refuse)?;
/// file.append(b"weights")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"weights");
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    /// `None` once committed.
    file: Option<BufWriter<File>>,
    /// Where it is written; `None` for a pipe or a device, which cannot be replaced and is written to directly.
    temporary: Option<PathBuf>,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will be `path`. A symbolic link is followed: the file that it names is replaced.
    pub fn create(path: impl AsRef<Path>, existing: Existing) -> Result<Self> {
        let path = path.as_ref();
        check_output(path)?;
        let about = path.metadata().ok();
        if about.as_ref().is_some_and(|m| m.is_dir()) {
            return Err(Error::input(format!("`{}` is a folder", path.display()), "name a file in it"));
        }
        if about.as_ref().is_some_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(path).map_err(|e| Error::io(path, "open", &e))?;
            return Ok(Self::over(file, None, path.to_path_buf()));
        }
        if about.is_some() && existing == Existing::Refuse {
            return Err(Error::input(
                format!("`{}` exists", path.display()),
                "choose another name, or allow it to be overwritten",
            ));
        }
        let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temporary = target.with_file_name(format!(".{name}.tmp-{}", unique_suffix()));
        let file = File::create_new(&temporary).map_err(|e| Error::io(&temporary, "create", &e))?;
        Ok(Self::over(file, Some(temporary), target))
    }

    fn over(file: File, temporary: Option<PathBuf>, target: PathBuf) -> Self {
        AtomicFile { file: Some(BufWriter::with_capacity(WRITE_BUFFER_BYTES, file)), temporary, target }
    }

    /// Writes what is buffered, waits until it is on disk, and gives the file its name.
    pub fn commit(mut self) -> Result<()> {
        let target = self.target.clone();
        let failed = |e: &io::Error| Error::io(&target, "write", e);
        let Some(mut writer) = self.file.take() else { return Ok(()) };
        writer.flush().map_err(|e| failed(&e))?;
        if let Some(temporary) = self.temporary.clone() {
            writer.get_ref().sync_all().map_err(|e| failed(&e))?;
            drop(writer);
            fs::rename(&temporary, &target).map_err(|e| failed(&e))?;
            self.temporary = None;
            sync_folder(target.parent());
        }
        Ok(())
    }

    /// Appends bytes. As [`Write::write_all`], with an error that names the file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| Error::io(&self.target, "write", &e))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().expect("not committed yet").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().expect("not committed yet").flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Without its buffer, which would be written first.
            if let Some(writer) = self.file.take() {
                drop(writer.into_parts());
            }
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Makes renames in a folder durable. Not every file system can do it, and nothing is lost but that, so errors are left.
fn sync_folder(folder: Option<&Path>) {
    let folder = folder.filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// A folder of parts that is complete when [`OutputFolder::finish`] has returned. See the [module](self).
#[derive(Debug)]
pub struct OutputFolder {
    folder: PathBuf,
    parts: Parts,
    /// The folder was not there before.
    created: bool,
    /// Another process made it, and may have moved some of its parts.
    resumed: bool,
    finished: bool,
}

/// Where the parts of an unfinished [`OutputFolder`] are written. Cheap to clone and to send to tasks, in other
/// processes too: it is made of a path and a token.
#[derive(Debug, Clone)]
pub struct Parts {
    staging: PathBuf,
    /// What follows the number in the name of a part, with its point; perhaps nothing.
    ending: String,
}

impl Parts {
    /// The parts of the output in `folder` that was created with `token`.
    pub fn of(folder: impl AsRef<Path>, token: &str) -> Parts {
        Parts { staging: folder.as_ref().join(format!("_temporary-{token}")), ending: String::new() }
    }

    /// Parts whose names end with `extension`, as `part-00000.csv`; with none, if it is empty.
    pub fn with_extension(mut self, extension: &str) -> Parts {
        self.ending = if extension.is_empty() { String::new() } else { format!(".{extension}") };
        self
    }

    fn name(&self, partition: usize) -> String {
        part_name(partition) + &self.ending
    }

    /// Where a part is written.
    pub fn path(&self, partition: usize) -> PathBuf {
        self.staging.join(self.name(partition))
    }

    /// Starts the file of one partition. It counts when it is committed.
    pub fn writer(&self, partition: usize) -> Result<AtomicFile> {
        AtomicFile::create(self.path(partition), Existing::Overwrite)
    }
}

/// `part-00000` and so on.
pub fn part_name(partition: usize) -> String {
    format!("part-{partition:05}")
}

impl OutputFolder {
    /// Prepares a folder. `token` tells this output from others to the same place: for example the number of the job.
    pub fn create(folder: impl AsRef<Path>, existing: Existing, token: &str) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        check_output(&folder)?;
        if folder.exists() && !folder.is_dir() {
            return Err(Error::input(format!("`{}` is a file", folder.display()), "name a folder"));
        }
        let created = !folder.exists();
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create", &e))?;
        if existing == Existing::Refuse && !visible(&folder)?.is_empty() {
            return Err(Error::input(
                format!("the folder `{}` is not empty", folder.display()),
                "choose another one, or allow it to be overwritten",
            ));
        }
        let parts = Parts::of(&folder, token);
        // What an earlier attempt with the same token left behind.
        if parts.staging.exists() {
            fs::remove_dir_all(&parts.staging).map_err(|e| Error::io(&parts.staging, "remove", &e))?;
        }
        fs::create_dir(&parts.staging).map_err(|e| Error::io(&parts.staging, "create", &e))?;
        Ok(OutputFolder { folder, parts, created, resumed: false, finished: false })
    }

    /// Goes on with an output that a process has made that is gone. Its parts are committed, or already in their places.
    pub fn resume(folder: impl AsRef<Path>, token: &str) -> Self {
        let (folder, parts) = (folder.as_ref().to_path_buf(), Parts::of(&folder, token));
        OutputFolder { folder, parts, created: false, resumed: true, finished: false }
    }

    /// With parts of other names, in the same place.
    pub fn with_parts(mut self, parts: Parts) -> Self {
        assert_eq!(parts.staging, self.parts.staging, "parts of one output");
        self.parts = parts;
        self
    }

    /// Where the parts are written.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Moves the first `partitions` parts to their places and marks the folder complete. All of them must have been
    /// committed.
    pub fn finish(mut self, partitions: usize) -> Result<()> {
        let name = |i: usize| self.parts.name(i);
        let waits = |i: usize| self.parts.path(i).is_file();
        let is_moved = |i: usize| self.resumed && !waits(i) && self.folder.join(name(i)).is_file();
        let committed = |i: &usize| waits(*i) || is_moved(*i);
        if let Some(missing) = (0..partitions).find(|i| !committed(i)) {
            return Err(Error::usage(format!(
                "{} of `{}` was not committed",
                name(missing),
                self.folder.display()
            )));
        }
        let remove = |path: &Path| fs::remove_file(path).map_err(|e| Error::io(path, "remove", &e));
        let success = self.folder.join(SUCCESS);
        if success.exists() {
            remove(&success)?;
        }
        for i in (0..partitions).filter(|i| !is_moved(*i)) {
            let (from, to) = (self.parts.path(i), self.folder.join(name(i)));
            fs::rename(&from, &to).map_err(|e| Error::io(&to, "write", &e))?;
        }
        let new: HashSet<_> = (0..partitions).map(name).collect();
        for path in visible(&self.folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("part-") && !new.contains(&*name) {
                remove(&path)?;
            }
        }
        if self.parts.staging.exists() {
            fs::remove_dir_all(&self.parts.staging)
                .map_err(|e| Error::io(&self.parts.staging, "remove", &e))?;
        }
        sync_folder(Some(&self.folder));
        AtomicFile::create(success, Existing::Overwrite)?.commit()?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(&self.parts.staging);
            if self.created {
                // Fails if there is anything in it, as it should.
                let _ = fs::remove_dir(&self.folder);
            }
        }
    }
}

/// What is in a folder but for names that start with a point and outputs under way.
fn visible(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: &io::Error| Error::io(folder, "read", e);
    let mut paths = vec![];
    for entry in folder.read_dir().map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !name.starts_with(b".") && !name.starts_with(b"_temporary-") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
