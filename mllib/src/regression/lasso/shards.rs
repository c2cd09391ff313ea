//! A design for programs that are [scheduled](slackwater_paramstore::schedule): each partition has some rows of all columns, to
//! compute with, and all rows of the columns whose scheduler it is, to see what they depend on.

use super::column::{Column, ColumnBlock};
use super::design::{ByBlock, Design};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;
use slackwater_dataflow::transform::Partitioner;
use slackwater_dataflow::{Context, Dataset, StorageLevel};
use std::cell::RefCell;
use std::sync::Arc;

/// What a partition has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shard {
    /// Its rows of all columns.
    rows: Vec<ColumnBlock>,
    /// Targets of its rows.
    #[serde(with = "pod")]
    pub(super) targets: Vec<f64>,
    /// The columns whose scheduler it is, in order.
    own: Vec<Own>,
}

/// Some columns of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Own {
    numbers: Vec<u32>,
    columns: ColumnBlock,
}

impl Own {
    /// The number after the last.
    fn end(&self) -> usize {
        self.numbers.last().map_or(0, |n| *n as usize + 1)
    }
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
            let (rows, own): (_, Vec<Own>) = pieces.into_iter().map(|p| (p.rows, p.own)).unzip();
            let own = own.into_iter().filter(|own| !own.numbers.is_empty()).collect();
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
        let block = self.own.get(self.own.partition_point(|own| own.end() <= number))?;
        let at = block.numbers.binary_search(&(number as u32)).ok()?;
        Some(block.columns.column(at))
    }
    /// The correlations (about 0) of a column with others, absolute; the partition is the scheduler of them all.
    pub(super) fn correlations(&self, column: usize, others: &[usize], squares: &[f64], to: &mut [f64]) {
        to.fill(0.0);
        let Some(x) = self.own(column) else { return };
        let rows = self.own.first().map_or(0, |own| own.columns.rows());
        let (which, columns): (Vec<usize>, Vec<Column<'_>>) =
            others.iter().enumerate().filter_map(|(at, other)| Some((at, self.own(*other)?))).unzip();
        let mut which = which.into_iter();
        SPREAD.with_borrow_mut(|spread| {
            x.dots(columns.into_iter(), rows, spread, |product| {
                let at = which.next().expect("a product for each column");
                let squared = squares[column] * squares[others[at]];
                to[at] = if squared > 0.0 { product.abs() / squared.sqrt() } else { 0.0 };
            });
        });
    }
}

thread_local! {
    /// A column that is sparse, in full: a number a row, all 0 between uses.
    static SPREAD: RefCell<Vec<f64>> = const { RefCell::new(vec![]) };
}
