//! Writing and reading the directory.

use super::metadata::{DataFile, FORMAT, FORMAT_VERSION, Metadata};
use super::{Overwrite, Persist, values};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slackwater_dataflow::{Error, Result};
use std::fs;
use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};

const METADATA: &str = "metadata.json";
const DATA: &str = "data/part-00000.parquet";
const BATCH_ROWS: usize = 1 << 16;

/// Writes a model to the directory `path`.
///
/// # Errors
/// Usage, if there is something at `path` that may not be replaced; I/O.
pub fn save<M: Persist>(model: &M, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
    save_with(model, path, overwrite, None)
}

/// [`save`] with what says how rows of features are made of the columns of a table.
///
/// # Errors
/// As [`save`].
pub fn save_with<M: Persist>(
    model: &M,
    path: impl AsRef<Path>,
    overwrite: Overwrite,
    features: Option<serde_json::Value>,
) -> Result<()> {
    let mut parts = model.tables();
    let first = parts.next().ok_or_else(|| Error::usage("a model without a table"))?;
    let mut file = ModelFile::create(path, overwrite, first.schema())?;
    file.append(&first)?;
    drop(first);
    parts.try_for_each(|part| file.append(&part))?;
    file.finish(M::ALGORITHM, model.attributes(), features)
}

/// A model that is written part by part; nothing is at its place before [`finish`](ModelFile::finish).
pub(crate) struct ModelFile {
    target: PathBuf,
    temporary: Temporary,
    writer: ArrowWriter<Counted>,
    schema: SchemaRef,
    rows: u64,
}

impl ModelFile {
    /// Begins a model whose numbers are in a table of this schema.
    ///
    /// # Errors
    /// Usage, if there is something at `path` that may not be replaced; I/O.
    pub fn create(path: impl AsRef<Path>, overwrite: Overwrite, schema: SchemaRef) -> Result<Self> {
        let target = path.as_ref().to_path_buf();
        check_target(&target, overwrite)?;
        let temporary = Temporary(beside(&target, "tmp"));
        let file = temporary.0.join(DATA);
        let parent = file.parent().expect("the data has a directory of its own");
        fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create", &e))?;
        let out = fs::File::create(&file).map_err(|e| Error::io(&file, "create", &e))?;
        let out = Counted { out: BufWriter::new(out), crc32: crc32fast::Hasher::new(), bytes: 0 };
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("slackwater ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(cannot_encode)?;
        Ok(ModelFile { target, temporary, writer, schema, rows: 0 })
    }
    /// The next rows of the table.
    ///
    /// # Errors
    /// I/O; usage, if they have another schema.
    pub fn append(&mut self, part: &RecordBatch) -> Result<()> {
        self.rows += part.num_rows() as u64;
        self.writer.write(part).map_err(|e| self.temporary.failed(e))
    }
    /// Completes the model and puts it in its place.
    ///
    /// # Errors
    /// Usage, if the attributes cannot be written as JSON; I/O.
    pub fn finish<A: Serialize>(
        self,
        algorithm: &str,
        attributes: &A,
        features: Option<serde_json::Value>,
    ) -> Result<()> {
        let ModelFile { target, temporary, writer, schema, rows } = self;
        let Counted { out, crc32, bytes } = writer.into_inner().map_err(|e| temporary.failed(e))?;
        let data = temporary.0.join(DATA);
        let io = |e: std::io::Error| Error::io(&data, "write", &e);
        out.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)?;
        let metadata = Metadata {
            format: FORMAT.to_string(),
            format_version: FORMAT_VERSION,
            library_version: env!("CARGO_PKG_VERSION").to_string(),
            algorithm: algorithm.to_string(),
            attributes,
            features,
            data: DataFile {
                path: DATA.to_string(),
                rows,
                bytes,
                crc32: crc32.finalize(),
                schema: schema
                    .fields()
                    .iter()
                    .map(|f| (f.name().clone(), f.data_type().to_string()))
                    .collect(),
            },
        };
        let mut json = serde_json::to_vec_pretty(&metadata)
            .map_err(|e| Error::usage(format!("the model's attributes cannot be written as JSON: {e}")))?;
        json.push(b'\n');
        let file = temporary.0.join(METADATA);
        let write = || {
            let mut out = fs::File::create(&file)?;
            out.write_all(&json)?;
            out.sync_all()
        };
        write().map_err(|e| Error::io(&file, "write", &e))?;
        put_in_place(&temporary.0, &target)
    }
}

/// A directory that is removed unless it was renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// The error of a writer of files in it.
    fn failed(&self, e: ParquetError) -> Error {
        match e {
            ParquetError::External(e) => match e.downcast::<std::io::Error>() {
                Ok(e) => Error::io(self.0.join(DATA), "write", &e),
                Err(e) => cannot_encode(ParquetError::External(e)),
            },
            e => cannot_encode(e),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The error that matters was the first one.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cannot_encode(e: ParquetError) -> Error {
    Error::usage(format!("cannot encode the model: {e}"))
}

/// A file, and what has been written to it.
struct Counted {
    out: BufWriter<fs::File>,
    crc32: crc32fast::Hasher,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.crc32.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Reads a model of a known kind.
///
/// # Errors
/// Input, if it is missing, damaged, of another algorithm or of a newer version; I/O.
pub fn load<M: Persist>(path: impl AsRef<Path>) -> Result<M> {
    let path = path.as_ref();
    let outer = read_metadata::<serde::de::IgnoredAny>(path)?;
    if outer.algorithm != M::ALGORITHM {
        return Err(refuse(path, &format!("it is a `{}` model, not `{}`", outer.algorithm, M::ALGORITHM)));
    }
    let metadata = read_metadata::<M::Attributes>(path)?;
    let inside = Path::new(&metadata.data.path);
    if !inside.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(refuse(path, &format!("`{}` is not inside of it", metadata.data.path)));
    }
    let file = path.join(inside);
    let bytes = fs::read(&file).map_err(|e| Error::io(&file, "read", &e))?;
    if bytes.len() as u64 != metadata.data.bytes || crc32fast::hash(&bytes) != metadata.data.crc32 {
        return Err(refuse(
            path,
            &format!("{} does not have the recorded size and checksum", metadata.data.path),
        ));
    }
    let table = read_parquet(bytes).map_err(|e| refuse(path, &e.to_string()))?;
    M::restore(metadata.attributes, &table)
}

/// What a model is, without reading its numbers; attributes are JSON text.
///
/// # Errors
/// Input, if there is no readable metadata; I/O.
pub fn inspect(path: impl AsRef<Path>) -> Result<Metadata<String>> {
    let m = read_metadata::<serde_json::Value>(path.as_ref())?;
    Ok(Metadata {
        format: m.format,
        format_version: m.format_version,
        library_version: m.library_version,
        algorithm: m.algorithm,
        attributes: m.attributes.to_string(),
        features: m.features,
        data: m.data,
    })
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::input(
        format!("{}: cannot load this model: {why}", path.display()),
        "train it again, or copy it again",
    )
}

fn read_metadata<A: DeserializeOwned>(path: &Path) -> Result<Metadata<A>> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: String,
        format_version: u32,
    }
    let file = path.join(METADATA);
    let bytes = fs::read(&file).map_err(|e| Error::io(&file, "read", &e))?;
    let damaged = |e: serde_json::Error| refuse(path, &format!("{METADATA} is damaged: {e}"));
    // The version first: a newer one may differ in anything else.
    let head: Head = serde_json::from_slice(&bytes).map_err(damaged)?;
    if head.format != FORMAT {
        return Err(refuse(path, &format!("its format is `{}`, not `{FORMAT}`", head.format)));
    }
    if head.format_version > FORMAT_VERSION {
        return Err(refuse(
            path,
            &format!(
                "its format version is {}, this program reads up to {FORMAT_VERSION}",
                head.format_version
            ),
        ));
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}

fn check_target(path: &Path, overwrite: Overwrite) -> Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let what = if path.join(METADATA).is_file() { "a model" } else { "something that is no model" };
    if overwrite == Overwrite::Replace && what == "a model" {
        return Ok(());
    }
    let hint = if what == "a model" { "; allow to overwrite it" } else { "" };
    Err(Error::usage(format!("{}: there is {what} already{hint}", path.display())))
}

/// A name beside `path` that no other process uses.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.{suffix}", std::process::id()));
    path.with_file_name(name)
}

/// Renames; a model that is replaced is moved aside first, since a directory cannot be renamed onto a full one.
fn put_in_place(temporary: &Path, path: &Path) -> Result<()> {
    let rename = |from: &Path, to: &Path| fs::rename(from, to).map_err(|e| Error::io(to, "rename to", &e));
    if path.symlink_metadata().is_err() {
        return rename(temporary, path);
    }
    let old = beside(path, "old");
    rename(path, &old)?;
    if let Err(e) = rename(temporary, path) {
        rename(&old, path)?;
        return Err(e);
    }
    fs::remove_dir_all(&old).map_err(|e| Error::io(&old, "remove", &e))
}

/// The table of a file, in one batch. The decoder answers nearly every damaged file with an error, and panics on some.
fn read_parquet(bytes: Vec<u8>) -> Result<RecordBatch> {
    let failed = |e: &dyn std::fmt::Display| Error::input(e.to_string(), "");
    let read = move || {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(|e| failed(&e))?;
        let schema = builder.schema().clone();
        // In pieces: how many rows there are is only what the file says.
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|e| failed(&e))?;
        let (mut batches, mut rows) = (vec![], 0);
        for batch in reader {
            let batch = batch.map_err(|e| failed(&e))?;
            rows += batch.num_rows();
            values(rows, batch.num_columns())?;
            batches.push(batch);
        }
        match &batches[..] {
            [batch] => Ok(batch.clone()),
            _ => concat_batches(&schema, &batches).map_err(|e| failed(&e)),
        }
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(failed(&"the file of numbers is damaged")))
}
