//! A design for programs that are [scheduled](slackwater_paramstore::schedule): each partition has some rows of all columns, to
//! compute with, and all rows of the columns whose scheduler it is, to see what they depend on.

use super::column::{Column, ColumnBlock};
use super::design::{ByBlock, Design};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;
use slackwater_dataflow::transform::Partitioner;
use slackwater_dataflow::{Context, Dataset, StorageLevel};
use std::sync::Arc;

/// What a partition has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shard {
    /// Its rows of all columns.
    rows: Vec<ColumnBlock>,
    /// Targets of its rows.
    #[serde(with = "pod")]
    pub(super) targets: Vec<f64>,
    /// The columns whose scheduler it is.
    own: Vec<Own>,
}

/// Some columns of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    numbers: Vec<u32>,
    columns: ColumnBlock,
}

/// What comes of one block for one partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Piece {
    rows: ColumnBlock,
    own: Own,
}

fn piece(block: &ColumnBlock, rows: usize, partition: usize, partitions: usize) -> Piece {
    let cut = |p: usize| rows * p / partitions;
    let is_own = |k: &usize| (block.first() + k) % partitions == partition;
    let which: Vec<usize> = (0..block.columns()).filter(is_own).collect();
    let numbers = which.iter().map(|k| (block.first() + k) as u32).collect();
    Piece {
        rows: block.slice(cut(partition)..cut(partition + 1)),
        own: Own { numbers, columns: block.choose(&which) },
    }
}

/// A design by partitions, as a program whose variables are its columns needs it.
pub(super) fn shards(design: &Design, cx: &Context, partitions: usize) -> Dataset<Shard> {
    let (rows, targets) = (design.rows(), Arc::new(design.targets().to_vec()));
    let by_partition: Arc<dyn Partitioner<u64>> = Arc::new(ByBlock(partitions));
    let pieces = design.blocks(cx).flat_map(move |block| {
        (0..partitions).map(|p| (p as u64, piece(&block, rows, p, partitions))).collect::<Vec<_>>()
    });
    pieces
        .group_by_key_with(by_partition)
        .map(move |(partition, mut pieces)| {
            let cut = |p: usize| rows * p / partitions;
            pieces.sort_by_key(|p| p.rows.first());
            let targets = targets[cut(partition as usize)..cut(partition as usize + 1)].to_vec();
            let (rows, own) = pieces.into_iter().map(|p| (p.rows, p.own)).unzip();
            Shard { rows, targets, own }
        })
        .persist(StorageLevel::MemoryAndDisk)
        .named("shards")
}

impl Shard {
    /// The partition's rows of a column.
    #[inline(always)]
    pub(super) fn column(&self, number: usize) -> Column<'_> {
        let block = &self.rows[self.rows.partition_point(|b| b.first() <= number) - 1];
        block.column(number - block.first())
    }
    /// A column whose scheduler the partition is, in full.
    pub(super) fn own(&self, number: usize) -> Option<Column<'_>> {
        let of = |own: &Own| own.numbers.binary_search(&(number as u32)).ok();
        self.own.iter().find_map(|own| Some(own.columns.column(of(own)?)))
    }
    /// The correlation (about 0) of two columns whose scheduler the partition is, absolute.
    pub(super) fn correlation(&self, a: usize, b: usize, squares: &[f64]) -> f64 {
        let squared = squares[a] * squares[b];
        let (Some(x), Some(y)) = (self.own(a), self.own(b)) else { return 0.0 };
        let rows = self.own.first().map_or(0, |own| own.columns.rows());
        if squared > 0.0 { x.dot_column(&y, rows).abs() / squared.sqrt() } else { 0.0 }
    }
}
