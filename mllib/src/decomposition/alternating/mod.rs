//! Rows as codes times components, `X ≈ U V`, by turns: the codes of every row for the components as they are, then the components
//! for the codes. What [`nmf`](super::nmf) and [`dictionary`](super::dictionary) have in common.
//!
//! # What
//! `X` has `n` rows and `m` columns, `U` is `n` by `k`, and `V` is `k` by `m`. All that the components need to know of the codes are
//! the sums `U'U` and `U'X`, and all that a row needs to know of the components are `VV'` and `V` in the columns where it has
//! values. So an epoch is one pass over the values: in its first clock each row's codes move and are added to the sums, and in
//! those after it the components move.
//!
//! **Where what is.** Rows stay in their partitions, and their codes are the state of these: they are never sent. Columns of `V`
//! are in as many blocks as there are partitions, and block `p` is part of the state of partition `p`. A letter from rows to
//! a block has `U'U` and those columns of `U'X` that the sender has values in, and a letter from a block to rows has the products of
//! components over the block, and its columns in which the receiver has values. So while it trains, no process has the whole of
//! `V` unless its rows have values in all columns. (Whoever calls has it in the end, in each process: the model.)
//!
//! # Guarantees
//! No step raises the objective, but for rounding. Sums are taken row by row, and from letters in the order of their senders:
//! the same bits for any number of workers and processes. (Rows that have values in most columns are multiplied some at a time, and the
//! rounding of [those products](crate::linalg::gemm) follows the kind of processor.) The objective of an epoch is exact, of the codes and components
//! at its end: `½‖X‖² - <U'X, V> + ½ <U'U, VV'>`, block by block, and penalties.
//!
//! # Cost
//! `4 k` operations a value and epoch, `k²` a row and a pass over its codes, `k²` a column and a pass over it. Letters are
//! `8 k` bytes for each partition and column that it has values in, both ways, and `16 k²` for each pair of partitions.
//! Blocks have about as much of that each: values of a column cost a block nothing, since rows do not move. Codes take `8 k` bytes a
//! row; where columns are is known in every process, in 8 bytes for each partition and column that it has values in. A worker takes a MiB and more to multiply dense rows.

mod census;
mod clocks;
mod layout;
mod seat;

pub(super) use census::Census;
pub(super) use clocks::{CodeMove, ComponentMove, Until};

use crate::objective::{DatasetRows, RowSlice};
use crate::optimization::{ModelBytes, Observer, Stop, TableTrained, TableTraining};
use clocks::Alternation;
use layout::Layout;
use seat::{Letter, Seat};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::{EpochsExt, Snapshots, Training};
use std::sync::Arc;

/// What each element of a factor begins as, by its row and component, or component and column.
pub(super) type First<R> = Arc<dyn Fn(R, usize) -> f64 + Send + Sync>;

/// Where a training begins.
#[derive(Clone)]
pub(super) struct Start {
    /// By number of the row and component.
    pub codes: First<u64>,
    /// By component and column.
    pub components: First<usize>,
}

/// What is to be done.
pub(super) struct Task {
    /// Number of components.
    pub rank: usize,
    pub code_move: CodeMove,
    pub component_move: ComponentMove,
    pub epochs: usize,
    /// Ends the training after an epoch in which the objective fell by less than this share.
    pub tolerance: f64,
    pub seed: u64,
}

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlternationSummary {
    /// Rows that were learnt from.
    pub rows: u64,
    /// Partitions that took part, and blocks of columns.
    pub partitions: usize,
    /// Objective at the end.
    pub objective: f64,
    /// By epoch: the objective at its end.
    pub objective_history: Vec<f64>,
    /// Components (or atoms) that are 0, or of which all codes are.
    pub unused: usize,
    /// By process: bytes of the components that it had while training.
    #[serde(skip)]
    pub model_bytes: ModelBytes,
    /// Why training ended.
    pub stop: Stop,
}

impl Task {
    /// Runs the epochs; returns the components, row by row.
    ///
    /// # Errors
    /// Numerical, if numbers overflow; what the engine reports.
    pub fn run(
        &self,
        rows: &DatasetRows,
        census: &Census,
        start: &Start,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<(Vec<f64>, AlternationSummary)> {
        let (rank, columns) = (self.rank, census.columns);
        let layout = Arc::new(Layout::new(census, rank));
        let alternation = Alternation {
            rank,
            code_move: self.code_move,
            component_move: self.component_move,
            gram: first_gram(rank, columns, start),
            start: start.clone(),
            layout: layout.clone(),
        };
        let alternation = Arc::new(alternation);
        let clocks = self.component_move.clocks(rank) + 1;
        let first = alternation.clone();
        // A record is a block of rows: only handles are copied.
        let training = rows
            .slices(usize::MAX)
            .epochs(self.epochs as u64)
            .clocks(clocks)
            .seed(self.seed)
            .mail::<Letter>()
            .local(move |partition, _: &[RowSlice]| Seat::new(&first, partition));
        let training: Training<'_, RowSlice, f64, Seat> =
            training.update_all(&[], move |seat: &mut Seat, blocks, _, clock| {
                alternation.run(seat, blocks, clock);
            });
        // Of rows that fit exactly, rounding makes it a little less than nothing.
        let objective = |sum: f64| sum.max(0.0);
        let run = TableTraining { snapshots, tolerance: Some(self.tolerance), objective: &objective };
        let TableTrained { history, stop, states: seats, report } = run.run(training, observer)?;
        let (mut components, mut code_squares) = (vec![0.0; rank * columns], vec![0.0; rank]);
        let ends = seats.map(move |seat| seat.into_end(rank)).collect()?;
        for (of_block, (values, squares)) in layout.blocks.items.iter().zip(ends) {
            for (column, of_column) in of_block.iter().zip(values.chunks_exact(rank)) {
                for (j, value) in of_column.iter().enumerate() {
                    components[j * columns + *column as usize] = *value;
                }
            }
            code_squares.iter_mut().zip(squares).for_each(|(all, square)| *all += square);
        }
        let used = components.chunks_exact(columns).zip(&code_squares);
        let used = used.filter(|(component, square)| **square > 0.0 && component.iter().any(|v| *v != 0.0));
        let summary = AlternationSummary {
            rows: census.rows(),
            partitions: census.sizes.len(),
            objective: history.last().copied().unwrap_or(f64::NAN),
            unused: rank - used.count(),
            objective_history: history,
            model_bytes: report.model_bytes(rows.context().topology().workers).into(),
            stop,
        };
        Ok((components, summary))
    }
}

/// The products of the first components with each other, column by column: no process needs all their values at a time.
fn first_gram(rank: usize, columns: usize, start: &Start) -> Vec<f64> {
    let (mut gram, mut of_column) = (vec![0.0; rank * rank], vec![0.0; rank]);
    for column in 0..columns {
        of_column.iter_mut().enumerate().for_each(|(j, v)| *v = (start.components)(j, column));
        seat::add_products(&of_column, &mut gram);
    }
    seat::mirror(&mut gram, rank);
    gram
}
