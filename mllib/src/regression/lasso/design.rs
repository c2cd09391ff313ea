//! A design by columns, where its columns are, and the targets.
//!
//! # What it is
//! Blocks of columns in a dataset that is kept in memory, or in the main program if there are few ([`IN_PROGRAM_BYTES`]); the
//! targets are in the main program. A solver asks for products of columns with a vector, and for columns.
//!
//! # Guarantees
//! A column is in one block and all its sums are taken in one order, so nothing depends on the number of workers. How columns
//! are cut into blocks depends on their number and on how many values there are.
//!
//! # Cost
//! [`Design::from_rows`] passes over the rows twice and moves each value once through one shuffle. The columns take 8 bytes a
//! value, or 12 a value that is not zero. Products are one job over the blocks that are asked for.

use super::column::{ColumnBlock, Facts, Scaling};
use crate::linalg::widest;
use crate::objective::DatasetRows;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledBlock, pod};
use slackwater_dataflow::transform::{Partitioner, PartitionerId};
use slackwater_dataflow::{Context, Dataset, Error, Result, StorageLevel};
use std::sync::Arc;

/// Columns that take less are all brought to the main program: a job would take longer than what it computes.
pub const IN_PROGRAM_BYTES: usize = 32 << 20;
/// A block of columns has about this many bytes,
const BLOCK_BYTES: u64 = 8 << 20;
/// unless there would be more than this many blocks,
const BLOCKS_MAX: u64 = 256;
/// or fewer than this many.
const BLOCKS_MIN: u64 = 4;

/// Where the columns are.
#[derive(Debug, Clone)]
enum Place {
    Program(Arc<Vec<ColumnBlock>>),
    Workers(Dataset<ColumnBlock>),
}

/// Columns, centred and scaled, and targets. Cloning clones handles.
#[derive(Debug, Clone)]
pub struct Design {
    place: Place,
    facts: Arc<Vec<Facts>>,
    labels: Arc<Vec<f64>>,
    targets: Arc<Vec<f64>>,
    /// What was subtracted from the targets.
    target_mean: f64,
    pub(crate) scaling: Scaling,
}

/// What is known of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    first: usize,
    rows: usize,
    bytes: usize,
    facts: Vec<Facts>,
}

/// What is known of a partition of rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RowsHead {
    labels: Vec<f64>,
    columns: usize,
    stored: u64,
}

/// The values of a range of columns in the rows of one partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Piece {
    first_row: u64,
    #[serde(with = "pod")]
    offsets: Vec<u64>,
    #[serde(with = "pod")]
    rows: Vec<u32>,
    #[serde(with = "pod")]
    values: Vec<f64>,
}

/// Block `i` is partition `i`.
pub(crate) struct ByBlock(pub usize);

impl Partitioner<u64> for ByBlock {
    fn partitions(&self) -> usize {
        self.0
    }
    fn partition(&self, key: &u64) -> usize {
        *key as usize
    }
    fn id(&self) -> PartitionerId {
        PartitionerId { kind: "column block".to_string(), partitions: self.0, digest: 0 }
    }
}

/// The rows of a partition by column, cut into blocks of `width` columns.
fn pieces(blocks: &[LabeledBlock], first_row: u64, columns: usize, width: usize) -> Vec<(u64, Piece)> {
    let mut ends = vec![0u64; columns + 1];
    for j in blocks.iter().flat_map(|b| b.features.indices()) {
        ends[*j as usize + 1] += 1;
    }
    (0..columns).for_each(|j| ends[j + 1] += ends[j]);
    let stored = ends[columns] as usize;
    let (mut rows, mut values) = (vec![0u32; stored], vec![0.0; stored]);
    let mut next = ends.clone();
    let all = blocks.iter().flat_map(|b| b.features.iter());
    for (row, of_row) in (first_row as u32..).zip(all) {
        for (j, x) in of_row.indices.iter().zip(of_row.values) {
            let at = next[*j as usize] as usize;
            (rows[at], values[at]) = (row, *x);
            next[*j as usize] += 1;
        }
    }
    let cuts = (0..columns).step_by(width).enumerate();
    cuts.map(|(block, from)| {
        let to = (from + width).min(columns);
        let (start, end) = (ends[from] as usize, ends[to] as usize);
        let piece = Piece {
            first_row,
            offsets: ends[from..=to].iter().map(|e| e - ends[from]).collect(),
            rows: rows[start..end].to_vec(),
            values: values[start..end].to_vec(),
        };
        (block as u64, piece)
    })
    .collect()
}

/// The pieces of a block of columns from all partitions, put together.
fn join(first: usize, rows: usize, mut pieces: Vec<Piece>, scaling: Scaling) -> ColumnBlock {
    pieces.sort_by_key(|p| p.first_row);
    let columns = pieces.first().map_or(0, |p| p.offsets.len() - 1);
    let stored = pieces.iter().map(|p| p.values.len()).sum();
    let (mut offsets, mut row_numbers, mut values) =
        (vec![0], Vec::with_capacity(stored), Vec::with_capacity(stored));
    for k in 0..columns {
        for piece in &pieces {
            let at = piece.offsets[k] as usize..piece.offsets[k + 1] as usize;
            row_numbers.extend_from_slice(&piece.rows[at.clone()]);
            values.extend_from_slice(&piece.values[at]);
        }
        offsets.push(values.len() as u64);
    }
    ColumnBlock::sparse(first, rows, offsets, row_numbers, values, scaling)
}

impl Design {
    /// The columns of rows, and their labels as targets.
    ///
    /// # Errors
    /// Input, if there are no rows, or if a value is not a finite number; what the engine reports.
    pub fn from_rows(rows: &DatasetRows, scaling: Scaling) -> Result<Self> {
        Self::from_rows_with(rows, scaling, IN_PROGRAM_BYTES)
    }
    /// [`from_rows`](Design::from_rows), with columns left to the workers if they take more than `in_program_bytes`.
    ///
    /// # Errors
    /// As `from_rows`.
    pub fn from_rows_with(rows: &DatasetRows, scaling: Scaling, in_program_bytes: usize) -> Result<Self> {
        let head = |_, blocks: &[LabeledBlock]| RowsHead {
            labels: blocks.iter().flat_map(|b| b.labels.iter().copied()).collect(),
            columns: blocks.iter().map(|b| b.features.columns()).max().unwrap_or(0),
            stored: blocks.iter().map(|b| b.features.nnz() as u64).sum(),
        };
        let heads = rows.map(head).collect()?;
        let columns = heads.iter().map(|h| h.columns).max().unwrap_or(0);
        let stored: u64 = heads.iter().map(|h| h.stored).sum();
        let mut targets = vec![];
        let mut first_rows = Vec::with_capacity(heads.len());
        for head in heads {
            first_rows.push(targets.len() as u64);
            targets.extend(head.labels);
        }
        let n = targets.len();
        if n == 0 {
            return Err(no_rows());
        }
        if n > u32::MAX as usize {
            return Err(Error::input(format!("{n} rows are too many"), "there may be 2^32 - 1"));
        }
        let bytes = (12 * stored).min(8 * n as u64 * columns as u64);
        let count = bytes.div_ceil(BLOCK_BYTES).clamp(BLOCKS_MIN, BLOCKS_MAX) as usize;
        let width = columns.div_ceil(count).max(1);
        let count = columns.div_ceil(width).max(1);
        let cut = rows.map(move |p, blocks| pieces(blocks, first_rows[p], columns, width));
        let by_block: Arc<dyn Partitioner<u64>> = Arc::new(ByBlock(count));
        let blocks = cut
            .flat_map(|pieces| pieces)
            .group_by_key_with(by_block)
            .map(move |(block, pieces)| join(block as usize * width, n, pieces, scaling));
        Design::from_columns(&blocks, targets, scaling, in_program_bytes)
    }
    /// Columns that are there by column: blocks of neighbouring columns that were made with the same `scaling`, in any
    /// order and partitions, and a target for each row. Where they take more than `in_program_bytes`, they are left to the
    /// workers ([`IN_PROGRAM_BYTES`] is a good choice).
    ///
    /// # Errors
    /// Input, if there are no rows, if columns are missing or have another number of rows, or if a value is not a finite
    /// number.
    pub fn from_columns(
        blocks: &Dataset<ColumnBlock>,
        targets: Vec<f64>,
        scaling: Scaling,
        in_program_bytes: usize,
    ) -> Result<Self> {
        let blocks = blocks.persist(StorageLevel::MemoryAndDisk).named("columns");
        let head = |b: &ColumnBlock| Head {
            first: b.first(),
            rows: b.rows(),
            bytes: b.bytes(),
            facts: b.facts().to_vec(),
        };
        let heads = blocks.map_ref(head).collect()?;
        let bytes: usize = heads.iter().map(|h| h.bytes).sum();
        let place = match bytes <= in_program_bytes {
            true => {
                let all = blocks.collect()?;
                blocks.unpersist();
                Place::Program(Arc::new(all))
            }
            false => Place::Workers(blocks),
        };
        Self::of(place, heads, targets, scaling)
    }
    /// Columns that are in the main program.
    ///
    /// # Errors
    /// As [`Design::from_columns`].
    pub fn in_program(blocks: Vec<ColumnBlock>, targets: Vec<f64>, scaling: Scaling) -> Result<Self> {
        let head = |b: &ColumnBlock| Head {
            first: b.first(),
            rows: b.rows(),
            bytes: b.bytes(),
            facts: b.facts().to_vec(),
        };
        let heads = blocks.iter().map(head).collect();
        Self::of(Place::Program(Arc::new(blocks)), heads, targets, scaling)
    }
    fn of(mut place: Place, mut heads: Vec<Head>, targets: Vec<f64>, scaling: Scaling) -> Result<Self> {
        let n = targets.len();
        if n == 0 {
            return Err(no_rows());
        }
        if let Place::Program(blocks) = &mut place {
            Arc::make_mut(blocks).sort_by_key(ColumnBlock::first);
        }
        heads.sort_by_key(|h| h.first);
        let mut facts = vec![];
        for head in heads {
            if head.rows != n || head.first != facts.len() {
                return Err(Error::input(
                    format!("columns {}.. of {} rows do not fit", head.first, head.rows),
                    format!("there are {n} targets, and column {} comes next", facts.len()),
                ));
            }
            facts.extend(head.facts);
        }
        let bad = |f: &Facts| !(f.mean.is_finite() && f.square.is_finite());
        if let Some(j) = facts.iter().position(bad) {
            let message = format!("column {} has a value that is not a finite number, or enormous", j + 1);
            return Err(Error::input(message, "leave such rows out"));
        }
        if !targets.iter().all(|y| y.is_finite()) {
            return Err(Error::input("a label is not a finite number", ""));
        }
        let target_mean = if scaling.center { targets.iter().sum::<f64>() / n as f64 } else { 0.0 };
        let labels = Arc::new(targets);
        let targets = match scaling.center {
            true => Arc::new(labels.iter().map(|y| y - target_mean).collect()),
            false => labels.clone(),
        };
        Ok(Design { place, facts: Arc::new(facts), labels, targets, target_mean, scaling })
    }
    /// The columns, wherever they are.
    pub(crate) fn blocks(&self, cx: &Context) -> Dataset<ColumnBlock> {
        match &self.place {
            Place::Program(blocks) => cx.parallelize(blocks.to_vec(), blocks.len().max(1)),
            Place::Workers(blocks) => blocks.clone(),
        }
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.targets.len()
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.facts.len()
    }
    /// What was done to each column.
    pub fn facts(&self) -> &[Facts] {
        &self.facts
    }
    /// The targets, less their mean if columns are centred.
    pub fn targets(&self) -> &[f64] {
        &self.targets
    }
    /// The targets as they came.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }
    /// What was subtracted from the targets.
    pub(crate) fn target_mean(&self) -> f64 {
        self.target_mean
    }
    /// Products with `v` of the columns that are wanted, in their order.
    pub(crate) fn products(&self, v: &Arc<Vec<f64>>, wanted: &Arc<Vec<bool>>) -> Result<Vec<f64>> {
        let sum: f64 = v.iter().sum();
        match &self.place {
            Place::Program(blocks) => {
                let mut products = vec![];
                blocks.iter().for_each(|b| append_products(b, v, sum, wanted, &mut products));
                Ok(products)
            }
            Place::Workers(blocks) => {
                let (v, wanted) = (v.clone(), wanted.clone());
                let of_block = move |b: &ColumnBlock| {
                    let mut products = vec![];
                    append_products(b, &v, sum, &wanted, &mut products);
                    (b.first(), products)
                };
                let mut by_block = blocks.map_ref(of_block).collect()?;
                by_block.sort_by_key(|(first, _)| *first);
                Ok(by_block.into_iter().flat_map(|(_, products)| products).collect())
            }
        }
    }
    /// The columns that are wanted, in their order.
    pub(crate) fn fetch(&self, wanted: Vec<usize>) -> Result<Vec<ColumnBlock>> {
        let choose = move |b: &ColumnBlock| {
            let from = wanted.partition_point(|j| *j < b.first());
            let to = wanted.partition_point(|j| *j < b.first() + b.columns());
            b.choose(&wanted[from..to].iter().map(|j| j - b.first()).collect::<Vec<_>>())
        };
        let mut chosen = match &self.place {
            Place::Program(blocks) => blocks.iter().map(choose).collect(),
            Place::Workers(blocks) => blocks.map_ref(choose).collect()?,
        };
        chosen.sort_by_key(ColumnBlock::first);
        Ok(chosen)
    }
    /// Weights of columns as they came, and the intercept, from weights of columns as they are here.
    pub fn to_raw(&self, weights: &[f64]) -> (Vec<f64>, f64) {
        self.to_raw_with(weights, self.target_mean)
    }
    /// [`to_raw`](Design::to_raw), where `intercept` belongs to columns as they are here.
    pub fn to_raw_with(&self, weights: &[f64], intercept: f64) -> (Vec<f64>, f64) {
        let raw: Vec<f64> = weights.iter().zip(&*self.facts).map(|(w, f)| w * f.scale).collect();
        let shift: f64 = raw.iter().zip(&*self.facts).map(|(w, f)| w * f.mean).sum();
        (raw, if self.scaling.center { intercept - shift } else { 0.0 })
    }
}

fn no_rows() -> Error {
    Error::input("there are no rows", "")
}

fn append_products(block: &ColumnBlock, v: &[f64], sum: f64, wanted: &[bool], to: &mut Vec<f64>) {
    let of_block = &wanted[block.first()..block.first() + block.columns()];
    widest(
        #[inline(always)]
        || {
            for (k, wanted) in of_block.iter().enumerate() {
                if *wanted {
                    to.push(block.column(k).dot(v, sum));
                }
            }
        },
    );
}
