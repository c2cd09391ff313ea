//! A model whose words are still in blocks, in the processes that trained them.

use super::counts::{counts_table, parts};
use super::rotation::{Block, OfPartition};
use super::{Attributes, DocumentTopics, LdaModel, LdaParams, LdaSummary};
use crate::blocks::Blocks;
use crate::model::{ModelFile, Overwrite, Persist};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Dataset, Result};
use slackwater_paramstore::Seat;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Counts of a word.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfWord {
    word: u32,
    /// (topic, tokens), those of no tokens left out.
    counts: Vec<(u32, f32)>,
}

/// What [`LdaParams::fit_in_blocks`] has fitted. Each process of a cluster has the blocks of its partitions and those of the process
/// before it, as bytes. All methods that return a result are collective.
#[derive(Debug, Clone)]
pub struct LdaBlocks {
    pub(super) seats: Dataset<Seat<OfPartition, Block>>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) vocabulary: Option<Vec<String>>,
    pub(super) attributes: Attributes,
}

impl LdaBlocks {
    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.params().topics
    }
    /// Number of words: 0 up to this.
    pub fn words(&self) -> usize {
        self.attributes.words
    }
    /// The parameters of the training.
    pub fn params(&self) -> &LdaParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &LdaSummary {
        &self.attributes.summary
    }
    /// Topics of the documents at the end of training, in their partitions.
    pub fn documents(&self) -> Dataset<DocumentTopics> {
        let topics = self.topics();
        self.seats.flat_map(move |seat| seat.into_state().documents(topics))
    }
    /// Tokens of the words of a range by topic, word by word, in every process.
    fn counts(&self, words: Range<usize>) -> Result<Vec<f32>> {
        let (topics, blocks, range) = (self.topics(), self.blocks.clone(), words.clone());
        let rows = self.seats.flat_map(move |seat| {
            let (number, block) = seat.into_block();
            let mut row = vec![0f32; topics];
            let of_words = blocks.items[number as usize].iter().enumerate();
            let of_range = of_words.filter(|(_, word)| range.contains(&(**word as usize)));
            let counts = of_range.map(|(place, word)| {
                row.fill(0.0);
                block.add_to(place, &mut row);
                let counts = row.iter().enumerate().filter(|(_, n)| **n > 0.0);
                OfWord { word: *word, counts: counts.map(|(k, n)| (k as u32, *n)).collect() }
            });
            counts.collect::<Vec<_>>()
        });
        let mut counts = vec![0f32; words.len() * topics];
        for of_word in rows.collect()? {
            let row = &mut counts[(of_word.word as usize - words.start) * topics..][..topics];
            of_word.counts.into_iter().for_each(|(k, n)| row[k as usize] = n);
        }
        Ok(counts)
    }
    /// The whole model, in every process.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn model(&self) -> Result<LdaModel> {
        let mut counts = Vec::with_capacity(self.words() * self.topics());
        for words in parts(self.words(), self.topics()) {
            counts.extend(self.counts(words)?);
        }
        Ok(LdaModel::new(counts, self.vocabulary.clone(), self.attributes.clone()))
    }
    /// Stores the model as [`save`](crate::model::save) would store the whole one, to the byte. Words come to the lowest process, which
    /// writes, in parts of at most 2^22 numbers: no process has all of them.
    ///
    /// # Errors
    /// As `save`; what the engine reports.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        let cx = self.seats.context();
        let mut file = None;
        for words in parts(self.words(), self.topics()) {
            let counts = self.counts(words.clone())?;
            // What it was replaced by takes the counts from the log, and writes from the beginning.
            if cx.topology().process == 0 {
                let part = counts_table(words.start, &counts, self.topics(), self.vocabulary.as_deref());
                let begun = match file.take() {
                    None => ModelFile::create(&path, overwrite, part.schema()),
                    Some(begun) => begun,
                };
                file = Some(begun.and_then(|mut file| file.append(&part).map(|()| file)));
            }
        }
        cx.once(move || match file {
            Some(file) => file?.finish(LdaModel::ALGORITHM, &self.attributes, None),
            None => Ok(()),
        })
    }
}
