//! Writing and reading the directory.

use super::metadata::{DataFile, FORMAT, FORMAT_VERSION, Metadata};
use super::{Overwrite, Persist, values};
use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::de::DeserializeOwned;
use slackwater_dataflow::{Error, Result};
use std::fs;
use std::io::Write;
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
    let path = path.as_ref();
    check_target(path, overwrite)?;
    let table = model.table();
    let data = parquet_bytes(&table)?;
    let schema = table.schema();
    let metadata = Metadata {
        format: FORMAT.to_string(),
        format_version: FORMAT_VERSION,
        library_version: env!("CARGO_PKG_VERSION").to_string(),
        algorithm: M::ALGORITHM.to_string(),
        attributes: model.attributes(),
        features,
        data: DataFile {
            path: DATA.to_string(),
            rows: table.num_rows() as u64,
            bytes: data.len() as u64,
            crc32: crc32fast::hash(&data),
            schema: schema.fields().iter().map(|f| (f.name().clone(), f.data_type().to_string())).collect(),
        },
    };
    let mut json = serde_json::to_vec_pretty(&metadata)
        .map_err(|e| Error::usage(format!("the model's attributes cannot be written as JSON: {e}")))?;
    json.push(b'\n');
    let temporary = beside(path, "tmp");
    let written = write_all(&temporary, &data, &json).and_then(|()| put_in_place(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
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

fn write_all(directory: &Path, data: &[u8], json: &[u8]) -> Result<()> {
    let file = directory.join(DATA);
    let parent = file.parent().expect("the data has a directory of its own");
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create", &e))?;
    for (file, bytes) in [(file, data), (directory.join(METADATA), json)] {
        let write = || {
            let mut out = fs::File::create(&file)?;
            out.write_all(bytes)?;
            out.sync_all()
        };
        write().map_err(|e| Error::io(&file, "write", &e))?;
    }
    Ok(())
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

fn parquet_bytes(table: &RecordBatch) -> Result<Vec<u8>> {
    let failed = |e: parquet::errors::ParquetError| Error::usage(format!("cannot encode the model: {e}"));
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("slackwater ", env!("CARGO_PKG_VERSION")).to_string())
        .build();
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties)).map_err(failed)?;
    writer.write(table).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(bytes)
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
