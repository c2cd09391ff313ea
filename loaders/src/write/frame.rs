//! Frames saved: as a folder of parts, or as one file.

use super::rows::largest;
use super::spool::{HELD_BYTES_MAX, Spool};
use super::{MatrixSize, TableFile, WriteOptions, check};
use crate::open::Format;
use crate::save::save_parts;
use crate::sink::Existing;
use crate::table::{BATCH_ROWS, Frame, RecordBlock, vector};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, StructArray};
use slackwater_dataflow::{Dataset, Result};
use std::path::Path;
use std::sync::Arc;

/// Partitions a worker has at hand while one file is written: the next ones are computed in one job.
const PARTITIONS_PER_WORKER: usize = 2;

/// What has been written so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Partitions, of [`Written::of`].
    pub partitions: usize,
    /// All partitions.
    pub of: usize,
}

impl Frame {
    /// Writes a folder: a file for each partition, called `part-00000` and so on with the ending of the format, and `_SUCCESS`
    /// when all are there. In a cluster each process writes the partitions that it computes, so the folder must be one
    /// that all of them see. Returns how many rows there are.
    ///
    /// # Errors
    /// I/O; usage, for a table that the format cannot hold; what reading the table fails with.
    pub fn save(
        &self,
        folder: impl AsRef<Path>,
        existing: Existing,
        format: Format,
        options: &WriteOptions,
    ) -> Result<u64> {
        check(format, self.schema())?;
        let (blocks, options) = self.ready(format, options, true)?;
        let schema = self.schema().clone();
        let extension = format.extension(options.compression);
        let rows = save_parts(&blocks, folder.as_ref(), existing, &extension, move |path, file, blocks| {
            let mut out = TableFile::over(path, file, format, &schema, &options)?;
            for block in blocks {
                out.write(&block)?;
            }
            out.commit()
        })?;
        Ok(rows.into_iter().sum())
    }

    /// Writes one file, partition after partition: two for each worker are computed at a time. One process holds 32 MiB of
    /// each of them, and keeps the rest in a file in [`Config::spill_dir`](slackwater_dataflow::Config); of several, the
    /// first holds them whole. `watch` hears of every few partitions, and may end it. Returns how many rows there are.
    ///
    /// # Errors
    /// As [`Frame::save`], and what `watch` answers.
    pub fn save_file(
        &self,
        path: impl AsRef<Path>,
        existing: Existing,
        format: Format,
        options: &WriteOptions,
        watch: &mut dyn FnMut(Written) -> Result<()>,
    ) -> Result<u64> {
        check(format, self.schema())?;
        let (blocks, options) = self.ready(format, options, false)?;
        let cx = self.context();
        let create = || TableFile::create(path.as_ref(), existing, format, self.schema(), &options);
        let mut file = cx.on_driver(create).transpose()?;
        let at_once = cx.config().workers_at_first() * PARTITIONS_PER_WORKER;
        let all: Vec<usize> = (0..blocks.num_partitions()).collect();
        let mut written = Written { of: all.len(), ..Written::default() };
        // Processes do not see each other's files, so several of them hold all of a partition.
        let held = if cx.topology().processes == 1 { HELD_BYTES_MAX } else { usize::MAX };
        let spool = Arc::new(Spool::new(&cx.config().spill_dir, held));
        for window in all.chunks(at_once) {
            watch(written)?;
            let task = spool.clone();
            let parts = blocks.run_job(window.to_vec(), move |partition, blocks| {
                task.take(partition, blocks).map_err(|e| e.kind().clone())
            })?;
            for (partition, blocks) in window.iter().zip(parts) {
                let mut write = |batch: &RecordBatch| {
                    written.rows += batch.num_rows() as u64;
                    file.as_mut().map_or(Ok(()), |file| file.write(batch))
                };
                blocks?.iter().try_for_each(|block| write(block))?;
                spool.rest(*partition, write)?;
            }
            written.partitions += window.len();
        }
        watch(written)?;
        file.map(TableFile::commit).transpose()?;
        Ok(written.rows)
    }

    /// The blocks, and the options, with what a format must know beforehand: a pass over the data for some.
    fn ready(
        &self,
        format: Format,
        options: &WriteOptions,
        parts: bool,
    ) -> Result<(Dataset<RecordBlock>, WriteOptions)> {
        let mut options = options.clone();
        let blocks = self.dataset();
        match format {
            Format::Csv | Format::Tsv => {
                let vectors: Vec<usize> = (0..self.schema().fields().len())
                    .filter(|i| vector::is_vector(self.schema().field(*i).data_type()))
                    .collect();
                if vectors.is_empty() {
                    return Ok((blocks, options));
                }
                // Every row has the columns of the widest one.
                let for_blocks = vectors.clone();
                let look = move |sizes: &mut Vec<u32>, block: &RecordBlock| {
                    for (size, i) in sizes.iter_mut().zip(&for_blocks) {
                        *size = (*size).max(vector::widest(block.column(*i).as_struct()));
                    }
                };
                let sizes = blocks.aggregate(vec![0; vectors.len()], look, |a: &mut Vec<u32>, b| {
                    a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(b));
                })?;
                Ok((blocks.map(move |block| resized(block, &vectors, &sizes)), options))
            }
            Format::MatrixMarket if options.matrix.is_none() && !parts => {
                // Blocks whose numbers cannot be read are found when they are written.
                let look = |size: &mut (i64, i64, u64), block: &RecordBlock| {
                    let max = |column| largest(block, column).ok().flatten().unwrap_or(-1);
                    *size = (size.0.max(max(0)), size.1.max(max(1)), size.2 + block.num_rows() as u64);
                };
                let (rows, columns, entries) =
                    blocks.aggregate((-1, -1, 0), look, |a: &mut (i64, i64, u64), b| {
                        *a = (a.0.max(b.0), a.1.max(b.1), a.2 + b.2);
                    })?;
                let count = |last: i64| u64::try_from(last + 1).unwrap_or(0);
                options.matrix = Some(MatrixSize { rows: count(rows), columns: count(columns), entries });
                Ok((blocks, options))
            }
            Format::MatrixMarket if parts => {
                Err(slackwater_dataflow::Error::usage("a matrix is one file, not a folder of parts"))
            }
            // Batches of a few rows make large files and slow readers.
            Format::Arrow | Format::ArrowStream => Ok((blocks.map_partitions(merged), options)),
            _ => Ok((blocks, options)),
        }
    }
}

/// Vectors that say that they have `sizes` columns.
fn resized(block: RecordBlock, vectors: &[usize], sizes: &[u32]) -> RecordBlock {
    let mut columns = block.columns().to_vec();
    for (i, size) in vectors.iter().zip(sizes) {
        let old = columns[*i].as_struct();
        let Some((at, field)) = old.fields().find("size") else { continue };
        let mut parts: Vec<ArrayRef> = old.columns().to_vec();
        let sizes: ArrayRef = Arc::new(Int32Array::from(vec![*size as i32; old.len()]));
        parts[at] = arrow_cast::cast(&sizes, field.data_type()).unwrap_or(sizes);
        if let Ok(new) = StructArray::try_new(old.fields().clone(), parts, old.nulls().cloned()) {
            columns[*i] = Arc::new(new);
        }
    }
    RecordBatch::try_new(block.schema(), columns).map_or(block, RecordBlock)
}

/// Blocks of at least [`BATCH_ROWS`] rows, but for the last one.
fn merged(blocks: impl Iterator<Item = RecordBlock>) -> impl Iterator<Item = RecordBlock> {
    let mut blocks = blocks.peekable();
    std::iter::from_fn(move || {
        let first = blocks.next()?;
        let (mut some, mut rows) = (vec![first.0], 0);
        rows += some[0].num_rows();
        while rows < BATCH_ROWS {
            let Some(next) = blocks.next() else { break };
            rows += next.num_rows();
            some.push(next.0);
        }
        let schema = some[0].schema();
        let together = arrow_select::concat::concat_batches(&schema, &some);
        Some(RecordBlock(together.unwrap_or_else(|_| some.swap_remove(0))))
    })
}
