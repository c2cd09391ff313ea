//! Rows of a dataset: [`Sweep`] on the engine.
//!
//! # What it is
//! The dataset's rows, packed into blocks and gathered to one record a partition, which is persisted (memory, then
//! disk). A sweep is one `aggregate` over these records: it lends a cached partition without copying it.
//!
//! # Cost
//! The first sweep computes the dataset and packs it; others read memory: 12 bytes a value, 12 a row. A partition that is on
//! disk is in memory while a worker sweeps it, and twice while it is read or written. The rows are kept until the last clone is
//! dropped. If the dataset itself is cached as well there are two copies, so do not cache what is only trained on, and make one
//! [`DatasetRows`] for several runs over the same rows.
//!
//! # Guarantees
//! Those of [`Sweep`], and those of the engine: a partition that is lost is computed again, and a failed task runs
//! again. The result has the same bits as [`super::LocalRows`] gives for the same blocks.

use super::sweep::{Partial, Sweep};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint, Row, pack};
use slackwater_dataflow::{Context, Data, Dataset, Error, ErrorKind, Record, Result, StorageLevel};
use std::iter::once_with;
use std::ops::Range;
use std::sync::Arc;

/// The rows of one partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RowPartition {
    partition: usize,
    blocks: Arc<Vec<LabeledBlock>>,
}

/// Some neighbouring rows of a partition. Cloning clones a handle.
#[derive(Debug, Clone)]
pub struct RowSlice {
    blocks: Arc<Vec<LabeledBlock>>,
    block: usize,
    rows: Range<usize>,
}

impl RowSlice {
    /// Label and features of each row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, Row<'_>)> + '_ {
        let block = &self.blocks[self.block];
        self.rows.clone().map(|i| (block.labels[i], block.features.row(i)))
    }
}

/// Rows of a dataset, ready for sweeps. Cloning clones a handle.
#[derive(Debug, Clone)]
pub struct DatasetRows {
    partitions: Dataset<RowPartition>,
}

impl DatasetRows {
    fn persisted(partitions: Dataset<RowPartition>) -> Self {
        DatasetRows { partitions: partitions.persist(StorageLevel::MemoryAndDisk).named("training rows") }
    }
    /// The rows of blocks.
    pub fn from_blocks(blocks: &Dataset<LabeledBlock>) -> Self {
        Self::persisted(blocks.map_partitions_with_index(|partition, blocks| {
            once_with(move || RowPartition { partition, blocks: Arc::new(blocks.collect()) })
        }))
    }
    /// The rows of points, which are packed into blocks.
    pub fn from_points(points: &Dataset<LabeledPoint>) -> Self {
        Self::persisted(points.map_partitions_with_index(|partition, points| {
            once_with(move || RowPartition { partition, blocks: Arc::new(pack(points).collect()) })
        }))
    }
    /// The rows as blocks, for whatever follows training on the same rows.
    pub fn blocks(&self) -> Dataset<LabeledBlock> {
        self.partitions.flat_map_ref(|rows| rows.blocks.as_slice())
    }
    /// The rows in slices of at most `rows`, for solvers that go from one few rows to the next.
    pub fn slices(&self, rows: usize) -> Dataset<RowSlice> {
        let rows = rows.max(1);
        self.partitions.expand(move |partition: &RowPartition, out| {
            for (block, of) in partition.blocks.iter().enumerate() {
                let cuts = (0..of.rows()).step_by(rows);
                out.extend(cuts.map(|from| RowSlice {
                    blocks: partition.blocks.clone(),
                    block,
                    rows: from..(from + rows).min(of.rows()),
                }));
            }
        })
    }
    /// The context of the dataset.
    pub(crate) fn context(&self) -> &Context {
        self.partitions.context()
    }
    /// What `f` makes of each partition, in one record a partition. `f` is given its number and its rows.
    pub(crate) fn map<R: Data>(
        &self,
        f: impl Fn(usize, &[LabeledBlock]) -> R + Send + Sync + 'static,
    ) -> Dataset<R> {
        self.partitions.map_ref(move |rows| f(rows.partition, &rows.blocks))
    }
    /// What `f` makes of the blocks of every partition, one list a partition, in every process.
    pub(crate) fn by_partition<R: Record>(
        &self,
        f: impl Fn(&LabeledBlock) -> Vec<R> + Send + Sync + 'static,
    ) -> Result<Vec<Vec<R>>> {
        self.map(move |_, blocks| blocks.iter().flat_map(&f).collect::<Vec<R>>()).collect()
    }
    /// The rows for which `keep` is true; it is given the partition's number and the row's place in it.
    pub(crate) fn filtered<I: Iterator<Item = bool>>(
        &self,
        keep: impl Fn(usize) -> I + Send + Sync + 'static,
    ) -> Self {
        Self::persisted(self.map(move |partition, blocks| {
            let mut kept = keep(partition);
            let filter = |b: &LabeledBlock| b.filter(|_| kept.next().unwrap_or(false));
            let blocks = blocks.iter().map(filter).collect();
            RowPartition { partition, blocks: Arc::new(blocks) }
        }))
    }
}

impl From<&Dataset<LabeledBlock>> for DatasetRows {
    fn from(blocks: &Dataset<LabeledBlock>) -> Self {
        Self::from_blocks(blocks)
    }
}

impl From<&Dataset<LabeledPoint>> for DatasetRows {
    fn from(points: &Dataset<LabeledPoint>) -> Self {
        Self::from_points(points)
    }
}

impl From<&DatasetRows> for DatasetRows {
    fn from(rows: &DatasetRows) -> Self {
        rows.clone()
    }
}

impl Sweep for DatasetRows {
    fn partitions(&self) -> usize {
        self.partitions.num_partitions()
    }
    fn fold<R, T, M>(&self, task: T, merge: M) -> Result<Option<R>>
    where
        R: Partial,
        T: Fn(usize, &[LabeledBlock]) -> Result<R> + Send + Sync + 'static,
        M: Fn(R, R) -> R + Send + Sync + 'static,
    {
        // An error is a value here: trying again would not help.
        type Outcome<R> = Option<Result<R, ErrorKind>>;
        let run = move |outcome: &mut Outcome<R>, rows: &RowPartition| {
            *outcome = Some(task(rows.partition, &rows.blocks).map_err(|e| e.kind().clone()));
        };
        let join = |left: &mut Outcome<R>, right: Outcome<R>| {
            *left = match (left.take(), right) {
                (Some(Ok(a)), Some(Ok(b))) => Some(Ok(merge(a, b))),
                (Some(Ok(_)), Some(Err(e))) => Some(Err(e)),
                (left, right) => left.or(right),
            };
        };
        self.partitions.aggregate(None, run, join)?.transpose().map_err(Error::new)
    }
}
