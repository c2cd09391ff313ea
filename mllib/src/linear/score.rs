//! Scores of whole datasets.

use super::features::Features;
use slackwater_dataflow::Dataset;
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint};

/// Datasets of labelled rows that a function of one row can be applied to.
pub trait ScoreRows {
    /// (what `f` makes of the row, label) of every row, lazily.
    fn score_rows(&self, f: impl Fn(RowRef<'_>) -> f64 + Send + Sync + 'static) -> Dataset<(f64, f64)>;
}

/// A borrowed row, whatever it is stored as.
#[derive(Debug, Clone, Copy)]
pub enum RowRef<'a> {
    /// A row of a block.
    Row(slackwater_dataflow::block::Row<'a>),
    /// A vector of its own.
    Vector(&'a slackwater_dataflow::block::Vector),
}

impl Features for RowRef<'_> {
    fn for_each(&self, f: impl FnMut(usize, f64)) {
        match self {
            RowRef::Row(row) => row.for_each(f),
            RowRef::Vector(vector) => vector.for_each(f),
        }
    }
}

impl ScoreRows for Dataset<LabeledBlock> {
    fn score_rows(&self, f: impl Fn(RowRef<'_>) -> f64 + Send + Sync + 'static) -> Dataset<(f64, f64)> {
        self.expand(move |block: &LabeledBlock, out| {
            out.extend(block.iter().map(|(label, row)| (f(RowRef::Row(row)), label)));
        })
    }
}

impl ScoreRows for Dataset<LabeledPoint> {
    fn score_rows(&self, f: impl Fn(RowRef<'_>) -> f64 + Send + Sync + 'static) -> Dataset<(f64, f64)> {
        self.map_ref(move |point: &LabeledPoint| (f(RowRef::Vector(&point.features)), point.label))
    }
}
