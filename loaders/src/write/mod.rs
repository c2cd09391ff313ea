//! Tables written to files: [`TableFile`] is one, and [`Frame`](crate::table::Frame)s are saved as folders of parts or as one file.
//!
//! | format | what it holds |
//! |---|---|
//! | Parquet, Arrow (file and stream) | any table |
//! | JSON lines | any table that Arrow writes as JSON; NaN and infinities are null |
//! | CSV, TSV | numbers, booleans, dates, texts; vectors as one column an index |
//! | LIBSVM | a column `label` and a column `features` of vectors |
//! | MatrixMarket | `row`, `column`, `value`, from 0 |
//! | text | one column of texts, a line each |
//!
//! # Guarantees
//!
//! A file appears under its name when it is complete, and a folder has `_SUCCESS` when all its parts are there; see
//! [`crate::sink`]. The same batches give the same bytes. What a format cannot hold is refused before anything is written.
//!
//! # Cost
//!
//! A batch encoded; of Parquet a row group, at most [`GROUP_BYTES_MAX`], before it is packed.

mod frame;
mod rows;
mod spool;

use crate::codec::{Compression, Encoder};
use crate::format::csv::{CsvWriteOptions, CsvWriter};
use crate::open::Format;
use crate::sink::{AtomicFile, Existing};
use crate::table::{BatchWriter, vector};
use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_json::LineDelimitedWriter;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rows::{LibsvmWriter, MatrixWriter, TextWriter};
use slackwater_dataflow::{Error, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a row group of Parquet, as they are in memory: then it is written.
pub const GROUP_BYTES_MAX: usize = 128 << 20;

/// Bytes of a dictionary of Parquet. A column of more values than fit goes on without one; what has been read of it by then
/// is read again by everyone who begins in the middle of the row group.
const DICTIONARY_BYTES_MAX: usize = 256 << 10;

/// How tables are written.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// How values are packed. `None`: Parquet with Snappy, files of text as their name says, Arrow not at all.
    pub compression: Option<Compression>,
    /// For CSV and TSV.
    pub csv: CsvWriteOptions,
    /// For MatrixMarket: how many rows, columns and entries there are, which its head says.
    pub matrix: Option<MatrixSize>,
}

/// The size of a matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatrixSize {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// Entries.
    pub entries: u64,
}

/// A table that is written to one file. The file is there after [`TableFile::commit`], or not at all.
pub struct TableFile {
    writer: Box<dyn BatchWriter>,
    file: SharedFile,
    rows: u64,
}

impl TableFile {
    /// Starts a file. The name says how text is packed, unless the options do.
    ///
    /// # Errors
    /// I/O; usage, for a table that the format cannot hold.
    pub fn create(
        path: impl AsRef<Path>,
        existing: Existing,
        format: Format,
        schema: &SchemaRef,
        options: &WriteOptions,
    ) -> Result<Self> {
        check(format, schema)?;
        let file = AtomicFile::create(path.as_ref(), existing)?;
        Self::over(path.as_ref(), file, format, schema, options)
    }

    pub(crate) fn over(
        path: &Path,
        file: AtomicFile,
        format: Format,
        schema: &SchemaRef,
        options: &WriteOptions,
    ) -> Result<Self> {
        let outer = match packs_itself(format) {
            true => Compression::None,
            false => options.compression.unwrap_or_else(|| Compression::from_extension(path)),
        };
        let encoder = Encoder::new(file, outer).map_err(|e| Error::io(path, "write", &e))?;
        let file = SharedFile { path: path.to_path_buf(), encoder: Arc::new(Mutex::new(Some(encoder))) };
        let writer = writer(format, file.clone(), schema, options)?;
        Ok(TableFile { writer, file, rows: 0 })
    }
    /// Appends rows.
    ///
    /// # Errors
    /// I/O; data, for a value that the format cannot hold.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch)
    }
    /// Completes the file, waits until it is on disk and gives it its name. Returns how many rows it has.
    ///
    /// # Errors
    /// I/O.
    pub fn commit(self) -> Result<u64> {
        self.writer.finish()?;
        let path = self.file.path.clone();
        let encoder = self.file.lock().take();
        let encoder = encoder.ok_or_else(|| Error::usage("the file was committed before"))?;
        encoder.finish().map_err(|e| Error::io(&path, "write", &e))?.commit()?;
        Ok(self.rows)
    }
}

/// True for formats whose parts are packed inside of them.
fn packs_itself(format: Format) -> bool {
    matches!(format, Format::Parquet | Format::Arrow | Format::ArrowStream)
}

/// Where writers write to. They own it as they like; the file is taken out of it when they have finished.
#[derive(Clone)]
pub(crate) struct SharedFile {
    path: PathBuf,
    encoder: Arc<Mutex<Option<Encoder<AtomicFile>>>>,
}

impl SharedFile {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Encoder<AtomicFile>>> {
        self.encoder.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn failed(&self, e: &dyn std::fmt::Display) -> Error {
        Error::io(&self.path, "write", &io::Error::other(e.to_string()))
    }
    fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut this = self;
        this.write_all(bytes).map_err(|e| Error::io(&self.path, "write", &e))
    }
}

impl Write for &SharedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().as_mut().ok_or_else(|| io::Error::other("the file was committed"))?.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        // What is buffered is written when the file is committed.
        Ok(())
    }
}

impl Write for SharedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses a table that a format cannot hold, and formats that are only read.
///
/// # Errors
/// Usage.
pub fn check(format: Format, schema: &SchemaRef) -> Result<()> {
    let refuse = |what: &str, hint: &str| Err(Error::usage(format!("{what}\n  hint: {hint}")));
    match format {
        Format::Parquet | Format::Arrow | Format::ArrowStream | Format::JsonLines => Ok(()),
        Format::Csv | Format::Tsv => {
            CsvWriter::new("", io::sink(), schema, &CsvWriteOptions::default()).map(drop)
        }
        Format::Libsvm => match &schema.fields()[..] {
            [label, features]
                if label.data_type().is_numeric() && vector::is_vector(features.data_type()) =>
            {
                Ok(())
            }
            _ => refuse("LIBSVM text holds a label and a vector of features", "say which columns are what"),
        },
        Format::MatrixMarket => {
            let names = schema.fields().iter().map(|f| f.name().as_str());
            match names.eq(["row", "column", "value"])
                && schema.fields().iter().all(|f| f.data_type().is_numeric())
            {
                true => Ok(()),
                false => refuse(
                    "a matrix is a table of `row`, `column` and `value`",
                    "choose and rename columns first",
                ),
            }
        }
        Format::Text => match &schema.fields()[..] {
            [one] if matches!(one.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => {
                Ok(())
            }
            _ => refuse("text is a table of one column of texts", "choose one column, or write CSV"),
        },
        other => refuse(
            &format!("{} is read, and not written", other.name()),
            "write Parquet, Arrow, CSV, JSON lines or LIBSVM",
        ),
    }
}

fn writer(
    format: Format,
    file: SharedFile,
    schema: &SchemaRef,
    options: &WriteOptions,
) -> Result<Box<dyn BatchWriter>> {
    check(format, schema)?;
    let packed = options.compression;
    let name = file.path.display().to_string();
    Ok(match format {
        Format::Csv => Box::new(CsvWriter::new(name, file, schema, &options.csv)?),
        Format::Tsv => {
            let csv = CsvWriteOptions { delimiter: b'\t', ..options.csv.clone() };
            Box::new(CsvWriter::new(name, file, schema, &csv)?)
        }
        Format::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(parquet_codec(packed)?)
                .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
                .set_created_by(concat!("slackwater ", env!("CARGO_PKG_VERSION")).to_string())
                .build();
            let writer = ArrowWriter::try_new(file.clone(), schema.clone(), Some(properties));
            Box::new(Parquet { writer: writer.map_err(|e| file.failed(&e))?, file })
        }
        Format::Arrow | Format::ArrowStream => {
            let packed = match packed {
                None | Some(Compression::None) => None,
                Some(Compression::Zstd) => Some(CompressionType::ZSTD),
                Some(Compression::Lz4) => Some(CompressionType::LZ4_FRAME),
                Some(other) => return Err(no_codec(other, "Arrow", "zstd or lz4")),
            };
            let ipc = IpcWriteOptions::default().try_with_compression(packed).map_err(|e| file.failed(&e))?;
            let inner = match format {
                Format::Arrow => FileWriter::try_new_with_options(file.clone(), schema, ipc).map(Arrow::File),
                _ => StreamWriter::try_new_with_options(file.clone(), schema, ipc).map(Arrow::Stream),
            };
            Box::new(ArrowOut { inner: inner.map_err(|e| file.failed(&e))?, file })
        }
        Format::JsonLines => Box::new(Json { writer: LineDelimitedWriter::new(file.clone()), file }),
        Format::Libsvm => Box::new(LibsvmWriter::new(file)),
        Format::MatrixMarket => Box::new(MatrixWriter::new(file, options.matrix.unwrap_or_default())?),
        Format::Text => Box::new(TextWriter::new(file)),
        other => return Err(Error::usage(format!("{} is read, and not written", other.name()))),
    })
}

fn no_codec(codec: Compression, format: &str, there_are: &str) -> Error {
    Error::config(
        "compression",
        format!("{format} is not packed with {}, but with {there_are}", codec.name()),
    )
}

fn parquet_codec(packed: Option<Compression>) -> Result<parquet::basic::Compression> {
    Ok(match packed {
        None | Some(Compression::Snappy) => parquet::basic::Compression::SNAPPY,
        Some(Compression::None) => parquet::basic::Compression::UNCOMPRESSED,
        Some(Compression::Gzip) => parquet::basic::Compression::GZIP(GzipLevel::default()),
        Some(Compression::Zstd) => parquet::basic::Compression::ZSTD(ZstdLevel::default()),
        Some(Compression::Lz4) => parquet::basic::Compression::LZ4_RAW,
        Some(other) => return Err(no_codec(other, "Parquet", "snappy, zstd, gzip or lz4")),
    })
}

struct Parquet {
    writer: ArrowWriter<SharedFile>,
    file: SharedFile,
}

impl BatchWriter for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| self.file.failed(&e))?;
        if self.writer.memory_size() > GROUP_BYTES_MAX {
            self.writer.flush().map_err(|e| self.file.failed(&e))?;
        }
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<()> {
        self.writer.close().map(drop).map_err(|e| self.file.failed(&e))
    }
}

enum Arrow {
    File(FileWriter<SharedFile>),
    Stream(StreamWriter<SharedFile>),
}

struct ArrowOut {
    inner: Arrow,
    file: SharedFile,
}

impl BatchWriter for ArrowOut {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let result = match &mut self.inner {
            Arrow::File(w) => w.write(batch),
            Arrow::Stream(w) => w.write(batch),
        };
        result.map_err(|e| self.file.failed(&e))
    }
    fn finish(mut self: Box<Self>) -> Result<()> {
        let result = match &mut self.inner {
            Arrow::File(w) => w.finish(),
            Arrow::Stream(w) => w.finish(),
        };
        result.map_err(|e| self.file.failed(&e))
    }
}

struct Json {
    writer: LineDelimitedWriter<SharedFile>,
    file: SharedFile,
}

impl BatchWriter for Json {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|e| self.file.failed(&e))
    }
    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish().map_err(|e| self.file.failed(&e))
    }
}
