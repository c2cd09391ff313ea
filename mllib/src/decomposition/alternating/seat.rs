//! What a partition has: codes of its rows, a block of the components, and the sums that it needs.

use super::clocks::Alternation;
use crate::linalg::dense::axpy;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;
use std::sync::Arc;

/// Numbers that several letters have.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Numbers(#[serde(with = "pod")] pub Vec<f64>);

/// What partitions tell each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Letter {
    /// From a block to rows: products of components with each other over its columns; and the columns that have slots there, in
    /// their order, a value a component.
    Columns { gram: Arc<Numbers>, values: Numbers },
    /// From rows to a block: `U'U` over these rows; and `U'X` in those columns of the block that have slots, in their order.
    Sums { gram: Arc<Numbers>, products: Numbers },
    /// From block to block: the squared length of a component over its columns.
    Square(f64),
}

/// The state of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seat {
    /// Row by row.
    #[serde(with = "pod")]
    pub codes: Vec<f64>,
    /// Column by column of the block, in the order of places: a value a component.
    #[serde(with = "pod")]
    pub columns: Vec<f64>,
    /// Over all rows, where components need them in several clocks: `U'U`,
    #[serde(with = "pod")]
    pub gram: Vec<f64>,
    /// and `U'X`, as `columns`.
    #[serde(with = "pod")]
    pub products: Vec<f64>,
    /// What is of no use after a clock.
    #[serde(skip)]
    pub work: Work,
}

/// What a clock works with.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    /// Rows or columns that are done in this clock.
    pub at: usize,
    /// Blocks of rows that are done.
    pub blocks: usize,
    /// By slot: the components there.
    pub seen: Vec<f64>,
    /// By slot: `U'X`.
    pub products: Vec<f64>,
    /// Products of codes, or of components: below the diagonal and on it.
    pub square: Vec<f64>,
    /// Of a row or column: its products with components or codes, and room for what is left of them.
    pub of_one: Vec<f64>,
    pub rest: Vec<f64>,
    /// Of some rows that have values in most slots: the values by slot, and the products with components.
    pub values: Vec<f64>,
    pub of_rows: Vec<f64>,
    /// What moves codes, or columns.
    pub solver: Option<crate::decomposition::lasso::Lasso>,
}

impl Seat {
    /// As it begins.
    pub fn new(alternation: &Alternation, partition: usize) -> Self {
        let (rank, layout, start) = (alternation.rank, &alternation.layout, &alternation.start);
        let rows = layout.first_rows[partition]..layout.first_rows[partition + 1];
        let columns = layout.blocks.items[partition].iter();
        Seat {
            codes: rows.flat_map(|row| (0..rank).map(move |j| (start.codes)(row, j))).collect(),
            columns: columns
                .flat_map(|column| (0..rank).map(move |j| (start.components)(j, *column as usize)))
                .collect(),
            gram: vec![],
            products: vec![],
            work: Work::default(),
        }
    }
    /// The block, column by column, and the squared length of the codes of each component.
    pub fn into_end(self, rank: usize) -> (Vec<f64>, Vec<f64>) {
        let mut squares = vec![0.0; rank];
        for codes in self.codes.chunks_exact(rank) {
            squares.iter_mut().zip(codes).for_each(|(square, code)| *square += code * code);
        }
        (self.columns, squares)
    }
}

/// Adds the products of some numbers with each other to a matrix, below its diagonal and on it.
#[inline(always)]
pub(super) fn add_products(numbers: &[f64], square: &mut [f64]) {
    let n = numbers.len();
    for (i, x) in numbers.iter().enumerate().filter(|(_, x)| **x != 0.0) {
        axpy(*x, &numbers[..=i], &mut square[i * n..=i * n + i]);
    }
}

/// Copies what is below the diagonal to where it is missing.
pub(super) fn mirror(square: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            square[j * n + i] = square[i * n + j];
        }
    }
}
