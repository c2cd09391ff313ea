//! Datasets written to folders: [`SaveLibsvm`] and [`SaveText`].
//!
//! One file a partition, `part-00000` and so on, and `_SUCCESS` when all are there; see [`crate::sink`] for what is
//! guaranteed when something fails on the way. The folder can be read back by its name.
//!
//! In a cluster each process writes the partitions that it computes, so the folder must be one that all of them see.
//! The call returns in every process when the folder is complete, or fails in every process.

use crate::format::libsvm_write::LibsvmText;
use crate::sink::{AtomicFile, Existing, OutputFolder, Parts};
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint};
use slackwater_dataflow::{Data, Dataset, Error, ErrorKind, PartitionIter, Record, Result};
use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Text is handed to the file in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Saving labelled rows as LIBSVM text, for datasets of points and of blocks.
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_loaders::{ReadExt, SaveLibsvm};
/// # let dir = tempfile::tempdir().unwrap();
/// # let (path, out) = (dir.path().join("tiny.svm"), dir.path().join("positive"));
/// std::fs::write(&path, "+1 1:0.5 3:2\n-1 2:1\n").unwrap();
/// let cx = Context::local(2)?;
/// cx.read_libsvm(&path)?.filter(|p| p.label > 0.0).save_as_libsvm(&out)?;
/// assert_eq!(std::fs::read(out.join("part-00000")).unwrap(), b"1 1:0.5 3:2\n");
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub trait SaveLibsvm {
    /// Writes a new folder. See [`crate::format::libsvm_write`] for what the text looks like, and what it refuses.
    fn save_as_libsvm(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.save_as_libsvm_with(folder, Existing::Refuse)
    }
    /// Writes a folder, which may take the place of an older one.
    fn save_as_libsvm_with(&self, folder: impl AsRef<Path>, existing: Existing) -> Result<()>;
}

impl SaveLibsvm for Dataset<LabeledPoint> {
    fn save_as_libsvm_with(&self, folder: impl AsRef<Path>, existing: Existing) -> Result<()> {
        save(self, folder.as_ref(), existing, |records, file| libsvm(records, file, LibsvmText::push_point))
    }
}

impl SaveLibsvm for Dataset<LabeledBlock> {
    fn save_as_libsvm_with(&self, folder: impl AsRef<Path>, existing: Existing) -> Result<()> {
        save(self, folder.as_ref(), existing, |records, file| libsvm(records, file, LibsvmText::push_block))
    }
}

/// Saving records as lines of text.
pub trait SaveText {
    /// Writes a new folder, a line for each record, as it is displayed. A record whose text has line ends becomes
    /// several lines.
    fn save_as_text(&self, folder: impl AsRef<Path>) -> Result<()> {
        self.save_as_text_with(folder, Existing::Refuse)
    }
    /// Writes a folder, which may take the place of an older one.
    fn save_as_text_with(&self, folder: impl AsRef<Path>, existing: Existing) -> Result<()>;
}

impl<T: Data + Display> SaveText for Dataset<T> {
    fn save_as_text_with(&self, folder: impl AsRef<Path>, existing: Existing) -> Result<()> {
        save(self, folder.as_ref(), existing, |records, file| {
            let mut text = String::new();
            for record in records {
                // Writing to a `String` fails only if `Display` itself does.
                writeln!(text, "{record}").map_err(|_| Error::usage("a record cannot be displayed"))?;
                if text.len() >= PIECE_BYTES {
                    file.append(text.as_bytes())?;
                    text.clear();
                }
            }
            file.append(text.as_bytes())
        })
    }
}

fn libsvm<T>(
    records: PartitionIter<T>,
    file: &mut AtomicFile,
    push: impl Fn(&mut LibsvmText, &T) -> Result<()>,
) -> Result<()>
where
    T: Data,
{
    let mut text = LibsvmText::default();
    for record in records {
        push(&mut text, &record)?;
        if text.as_bytes().len() >= PIECE_BYTES {
            file.append(text.as_bytes())?;
            text.clear();
        }
    }
    file.append(text.as_bytes())
}

/// Writes each partition with `write`.
fn save<T: Data>(
    dataset: &Dataset<T>,
    folder: &Path,
    existing: Existing,
    write: impl Fn(PartitionIter<T>, &mut AtomicFile) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    save_parts(dataset, folder, existing, "", move |_, mut file, records| {
        write(records, &mut file)?;
        file.commit()
    })
    .map(drop)
}

/// Writes each partition with `write`, which is given the name of the part and its file, and commits it. Returns what it has said of
/// each.
pub(crate) fn save_parts<T: Data, W: Record>(
    dataset: &Dataset<T>,
    folder: &Path,
    existing: Existing,
    extension: &str,
    write: impl Fn(&Path, AtomicFile, PartitionIter<T>) -> Result<W> + Send + Sync + 'static,
) -> Result<Vec<W>> {
    let cx = dataset.context();
    let mut output = None;
    let token = cx.once(|| {
        let token = token();
        output = Some(OutputFolder::create(folder, existing, &token)?);
        Ok(token)
    })?;
    let parts = Parts::of(folder, &token).with_extension(extension);
    let named = parts.clone();
    let written = dataset.map_partitions_with_index(move |partition, records| {
        // An iterator that ends early because the task stops gives a short part. It is committed, but the task fails, so
        // the part is written again, or the folder never finished.
        let result = parts.writer(partition).and_then(|file| write(&parts.path(partition), file, records));
        let result = result.map_err(|e| e.kind().clone());
        std::iter::once(result)
    });
    let written = written.collect()?.into_iter().collect::<Result<Vec<W>, ErrorKind>>()?;
    let partitions = dataset.num_partitions();
    // A process that has taken the place of the one that made it goes on with it.
    cx.once(|| {
        let output = output.take().unwrap_or_else(|| OutputFolder::resume(folder, &token));
        output.with_parts(named.clone()).finish(partitions)
    })?;
    Ok(written)
}

/// Tells this output from every other to the same folder, also from those of programs that run at the same time.
fn token() -> String {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    format!("{}-{nanoseconds:x}", std::process::id())
}
