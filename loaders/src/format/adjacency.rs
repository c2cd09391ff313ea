//! Adjacency lists: a vertex and its neighbours a line.
//!
//! # Grammar
//!
//! ```text
//! file = { [vertex { blanks neighbour }] "\n" | comment }
//! ```
//!
//! Comments are those of [edge lists](super::edges). Vertices are numbers below 2^64 and keep them; they need not be in order. A line
//! `v a b` is read as the edges `(v, a)` and `(v, b)`, without weights; a vertex alone gives none. No other program says what
//! such a file is, so the format is never guessed.
//!
//! # Guarantees
//!
//! Of a line that cannot be used nothing is read. Edges and reports do not depend on how a file is divided.
//!
//! # Cost
//!
//! One pass; the edges of a line in memory.
//!
//! # References
//!
//! LDBC Graphalytics, the inputs of its validation graphs; PowerGraph, `adj` format (without its count).

use super::edges::is_empty;
use super::records::{LineRecords, Pending, RecordReader, RecordSource, Words, describe, whole};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::Edge;

/// A graph as lists of neighbours. See the [module](self).
pub struct Adjacency {
    splits: Vec<Split>,
    limits: ReadLimits,
}

impl Adjacency {
    /// Divides files into at least `min_splits` pieces unless they would be very small.
    pub fn open(files: &[InputFile], limits: ReadLimits, min_splits: usize) -> Self {
        Adjacency { splits: splits(files, min_splits), limits }
    }
}

impl RecordSource for Adjacency {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("adjacency lists", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        let lines = LineRecords::open(&self.splits[piece], self.limits, 0)?;
        Ok(Box::new(AdjacencyReader { lines, pending: Pending::new() }))
    }
}

struct AdjacencyReader {
    lines: LineRecords,
    pending: Pending<Edge>,
}

impl RecordReader for AdjacencyReader {
    type Record = Edge;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Edge>> {
        loop {
            if let Some(edge) = self.pending.take() {
                return Ok(Some(edge));
            }
            let pending = &mut self.pending;
            let line = self.lines.next(on_bad, |line| {
                if is_empty(line) {
                    return Ok(None);
                }
                pending.fill(|edges| {
                    let mut words = Words::of(line);
                    let (at, word) =
                        words.need("the vertex", "a line is `vertex neighbour neighbour ...`")?;
                    let source = whole(at, word, "the vertex")?;
                    for (at, word) in words {
                        edges.push(Edge { source, target: whole(at, word, "the neighbour")?, weight: 1.0 });
                    }
                    Ok(())
                })?;
                Ok(Some(()))
            })?;
            if line.is_none() {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cut, file, read};
    use super::*;
    use proptest::prelude::*;

    fn edges(source: &Adjacency) -> (Vec<(u64, u64)>, Vec<String>) {
        let (edges, bad) = read(source).unwrap();
        (edges.into_iter().map(|e| (e.source, e.target)).collect(), bad)
    }
    fn open(text: &str) -> Adjacency {
        Adjacency::open(&[file(text)], ReadLimits::default(), 1)
    }

    #[test]
    fn lists_of_neighbours() {
        let (good, bad) = edges(&open("1 2\t3\n# c\n7\n\n2 1 x 3\r\n5 1 \r\n"));
        assert_eq!(good, [(1, 2), (1, 3), (5, 1)]);
        assert!(
            bad.len() == 1 && bad[0].starts_with("t:5:5: the neighbour is not a whole number"),
            "{bad:?}"
        );
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(text in "([0-9]{1,2}( [0-9]{1,2}){0,5}|x)?(\n([0-9]{1,2}( [0-9x]{1,2}){0,5})?){0,9}", cuts: [prop::sample::Index; 3]) {
            let mut pieces = open(&text);
            pieces.splits = cut(&file(text.as_str()), &cuts);
            prop_assert_eq!(edges(&pieces), edges(&open(&text)));
        }
    }
}
