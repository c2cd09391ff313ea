//! From rows to batches of documents with classes.

use super::weights::side;
use crate::clustering::lda::batch::Batch;
use crate::linear::{Survey, class_labels};
use crate::objective::DatasetRows;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{Document, LabeledBlock, Row};
use slackwater_dataflow::{BadRecord, Dataset, Error, Result};
use std::sync::Arc;

/// Tokens of a word in a document are below this.
const COUNT_END: f64 = (1u64 << 31) as f64;

/// What a partition tells of its documents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Part {
    documents: u64,
    tokens: u64,
    /// The first value that is no count: row of the partition, column, and the value.
    odd: Option<(u64, u32, f64)>,
}

/// True for a number that says how often a word occurs.
pub fn is_count(x: f64) -> bool {
    x.fract() == 0.0 && (0.0..COUNT_END).contains(&x)
}

/// Refuses a row with a value that is no count, naming its column, from 1.
pub fn check_counts(row: &Row<'_>) -> Result<(), BadRecord> {
    odd_value(row)
        .map_or(Ok(()), |(column, value)| Err(no_count(&format!("in column {}", column + 1), value)))
}

fn odd_value(row: &Row<'_>) -> Option<(u32, f64)> {
    row.indices.iter().zip(row.values).find(|(_, x)| !is_count(**x)).map(|(j, x)| (*j, *x))
}

fn no_count(place: &str, value: f64) -> BadRecord {
    let message = format!("value {value} {place}: a word occurs a whole number of times, from 0 to 2^31");
    BadRecord::new(message).hint("rows are documents: `label word:count word:count ...`")
}

impl Part {
    fn new(blocks: &[LabeledBlock]) -> Self {
        let mut part = Part::default();
        for row in blocks.iter().flat_map(|block| block.features.iter()) {
            if part.odd.is_none() {
                part.odd = odd_value(&row).map(|(j, x)| (part.documents, j, x));
            }
            part.documents += 1;
            part.tokens += row.values.iter().filter(|x| is_count(**x)).map(|x| *x as u64).sum::<u64>();
        }
        part
    }
}

/// What is known of all documents, in every process.
#[derive(Debug, Clone)]
pub(super) struct Census {
    pub documents: u64,
    pub tokens: u64,
    /// Columns of the widest block.
    pub words: usize,
    /// Ascending.
    pub classes: Vec<f64>,
}

impl Census {
    /// Two passes over the rows. Collective.
    ///
    /// # Errors
    /// Data, for a value that is no count, or a label that is no whole number; input, if there are no words or only one class; what
    /// the engine reports.
    pub fn new(rows: &DatasetRows) -> Result<Self> {
        let (mut documents, mut tokens) = (0, 0);
        for part in rows.map(|_, blocks| Part::new(blocks)).collect()? {
            if let Some((row, column, value)) = part.odd {
                let place = format!("of row {} in column {}", documents + row + 1, column + 1);
                return Err(no_count(&place, value).into());
            }
            documents += part.documents;
            tokens += part.tokens;
        }
        let survey = Survey::new(rows, false)?;
        let classes = class_labels(&survey.labels)?;
        if tokens == 0 {
            return Err(Error::input("there are no words to learn from", "a document has words with counts"));
        }
        Ok(Census { documents, tokens, words: survey.columns, classes })
    }
}

/// Some documents of a partition, with their classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Labelled {
    pub batch: Batch,
    /// By document: the place of its class.
    pub classes: Vec<u16>,
}

/// Batches of the documents of every partition. `classes`: ascending labels, those of all documents among them.
pub(super) fn batches(rows: &DatasetRows, size: usize, classes: &[f64]) -> Dataset<Labelled> {
    let classes: Arc<[f64]> = classes.into();
    rows.blocks().map_partitions(move |blocks| {
        let classes = classes.clone();
        let documents = blocks.flat_map(move |block| {
            let document = |(label, row): (f64, Row<'_>)| {
                let class = classes.partition_point(|c| *c < label) as u16;
                let counts = row.values.iter().map(|x| *x as u32);
                (class, Document::new(0, row.indices.iter().copied().zip(counts)))
            };
            block.iter().map(document).collect::<Vec<_>>()
        });
        let (mut documents, mut number) = (documents, 0);
        std::iter::from_fn(move || {
            let (classes, some): (Vec<u16>, Vec<Document>) = documents.by_ref().take(size).unzip();
            let made = (!some.is_empty()).then(|| Labelled { batch: Batch::new(number, &some), classes });
            number += 1;
            made
        })
    })
}

/// The losses of a document with some scores, one a task: `ℓ - y s`, before they are cut off at 0.
pub(super) fn losses(scores: &[f64], class: usize, margin: f64) -> impl Iterator<Item = f64> + '_ {
    scores.iter().enumerate().map(move |(task, score)| margin - side(scores.len(), task, class) * score)
}

/// The class of some scores, one a task: the one with the largest, of equals the first. Of two classes, which have one
/// task, the second if its score is above 0.
pub(super) fn class_of(scores: &[f64]) -> usize {
    match scores {
        [score] => usize::from(*score > 0.0),
        scores => (0..scores.len()).fold(0, |best, l| if scores[l] > scores[best] { l } else { best }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_scores() {
        assert_eq!([class_of(&[0.0]), class_of(&[1e-9]), class_of(&[-1.0])], [0, 1, 0]);
        assert_eq!([class_of(&[1.0, 1.0, 0.0]), class_of(&[-2.0, -1.0, -1.0])], [0, 1]);
        assert_eq!(losses(&[1.0, -2.0], 1, 4.0).collect::<Vec<_>>(), [5.0, 6.0]);
        assert_eq!(losses(&[1.5], 1, 4.0).chain(losses(&[1.5], 0, 4.0)).collect::<Vec<_>>(), [2.5, 5.5]);
    }

    #[test]
    fn counts_are_whole() {
        assert!([0.0, 1.0, 2147483647.0].into_iter().all(is_count));
        assert!([0.5, -1.0, 2147483648.0, f64::NAN, f64::INFINITY].into_iter().all(|x| !is_count(x)));
    }
}
