//! Training by rotation: the counts of words are in blocks that go from partition to partition.
//!
//! Every partition draws the topics of those of its tokens whose words are in the block that it has, batch of documents by
//! batch. Only the totals by topic are in a table.

use super::batch::{Batch, ByWord};
use super::likelihood::{LnGamma, OfDocuments};
use super::sampler::{Counts, Kept, Priors, WordState};
use super::train::History;
use super::{DocumentTopics, LdaParams};
use crate::blocks::Blocks;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Dataset, Result};
use slackwater_paramstore::{
    Report, RotateExt, Seat, Snapshots, Table, TableExt, TableSpec, TableView, Training, Turn,
};
use std::sync::Arc;

/// A count in a packed row beside its topic: larger ones take several entries.
const PACKED_MAX: i32 = u16::MAX as i32;

/// Tokens of a batch of documents, of the words of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cell {
    /// Place of the batch among those of its partition.
    batch: u32,
    /// Numbers of the documents of the batch: in the first cell of each only.
    ids: Vec<u32>,
    /// Tokens of the batch in the blocks before.
    first: u32,
    /// By document: its tokens in this block.
    lengths: Vec<u32>,
    /// Places of the words in the block, ascending.
    words: Vec<u32>,
    /// By word: where its tokens end.
    ends: Vec<u32>,
    /// By token: the place of its document.
    documents: Vec<u32>,
}

impl Cell {
    /// The cells of a batch, one a block.
    fn of_batch(batch: &Batch, blocks: &Blocks) -> Vec<(u32, Cell)> {
        let mut words: Vec<(u32, u32, std::ops::Range<usize>)> = batch
            .by_word()
            .iter()
            .map(|(word, tokens)| {
                let (block, place) = blocks.places[word];
                (block, place, tokens)
            })
            .collect();
        words.sort_unstable_by_key(|(block, place, _)| (*block, *place));
        let (mut words, mut first) = (words.into_iter().peekable(), 0);
        let cells = (0..blocks.items.len() as u32).map(|block| {
            let mut cell = Cell {
                batch: batch.number as u32,
                ids: if block == 0 { batch.ids.clone() } else { vec![] },
                first,
                lengths: vec![0; batch.ids.len()],
                words: vec![],
                ends: vec![],
                documents: vec![],
            };
            while let Some((_, place, tokens)) = words.next_if(|(of, ..)| *of == block) {
                cell.words.push(place);
                cell.documents.extend_from_slice(&batch.documents[tokens]);
                cell.ends.push(cell.documents.len() as u32);
            }
            cell.documents.iter().for_each(|d| cell.lengths[*d as usize] += 1);
            first += cell.documents.len() as u32;
            (block, cell)
        });
        cells.collect()
    }
    fn by_word(&self) -> ByWord<'_> {
        ByWord { words: &self.words, ends: &self.ends, documents: &self.documents }
    }
}

/// Documents of a batch while words come and go.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfBatch {
    /// Numbers of the documents.
    ids: Vec<u32>,
    /// By token, block by block.
    topics: Vec<u16>,
    counts: Kept,
}

/// Documents of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OfPartition(Vec<OfBatch>);

impl OfPartition {
    fn new(strata: &[Vec<Cell>], params: &LdaParams) -> Self {
        let batches = strata.first().map_or(0, Vec::len);
        let of_batch = |batch: usize| {
            let cells = || strata.iter().map(|cells| &cells[batch]);
            let mut lengths: Vec<u32> = vec![];
            for cell in cells() {
                lengths.resize(cell.lengths.len(), 0);
                lengths.iter_mut().zip(&cell.lengths).for_each(|(all, n)| *all += n);
            }
            OfBatch {
                ids: cells().flat_map(|cell| &cell.ids).copied().collect(),
                topics: vec![0; cells().map(|cell| cell.documents.len()).sum()],
                counts: Kept::new(params.sampler(), &lengths, params.topics, params.alpha as f32),
            }
        };
        OfPartition((0..batches).map(of_batch).collect())
    }
    /// Tokens of its documents by topic.
    pub fn documents(self, topics: usize) -> impl Iterator<Item = DocumentTopics> {
        self.0.into_iter().flat_map(move |batch| {
            let rows = batch.counts.rows().into_iter();
            let documents = batch.ids.into_iter().zip(rows).map(|(id, row)| {
                let mut counts = vec![0; topics];
                row.into_iter().for_each(|(k, n)| counts[usize::from(k)] = n);
                DocumentTopics { id, counts }
            });
            documents.collect::<Vec<_>>()
        })
    }
}

/// Counts of the words of a block by topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Rows {
    /// All topics of all words.
    Dense(Vec<i32>),
    /// By word: the topics that it has, in the upper half of each number, with their counts in the lower.
    Packed(Vec<Vec<u32>>),
}

/// The words of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Block {
    topics: usize,
    rows: Rows,
    /// Sums of the counts of all topics of all words at some evaluations, and at how many.
    sums: Vec<f32>,
    samples: u32,
}

impl Block {
    fn new(words: usize, topics: usize, is_sparse: bool) -> Self {
        let rows = match is_sparse {
            true => Rows::Packed(vec![vec![]; words]),
            false => Rows::Dense(vec![0; words * topics]),
        };
        Block { topics, rows, sums: vec![], samples: 0 }
    }
    fn words(&self) -> usize {
        match &self.rows {
            Rows::Dense(counts) => counts.len() / self.topics,
            Rows::Packed(rows) => rows.len(),
        }
    }
    /// `f` of the topics that a word has, with their counts; of large ones in parts.
    fn for_each(&self, word: usize, mut f: impl FnMut(usize, i32)) {
        match &self.rows {
            Rows::Dense(counts) => {
                let row = counts[word * self.topics..][..self.topics].iter().enumerate();
                row.filter(|(_, n)| **n != 0).for_each(|(k, n)| f(k, *n));
            }
            Rows::Packed(rows) => {
                rows[word].iter().for_each(|entry| f((entry >> 16) as usize, (entry & 0xffff) as i32));
            }
        }
    }
    /// Part of its words in the log likelihood: all but what the totals say.
    fn likelihood(&self, of: &LnGamma) -> f64 {
        let (mut row, mut sum) = (vec![0; self.topics], 0.0);
        for word in 0..self.words() {
            row.fill(0);
            self.for_each(word, |k, n| row[k] += n);
            sum += row.iter().map(|n| of.gain((*n).max(0) as u64)).sum::<f64>();
        }
        sum
    }
    /// Takes the counts into the mean.
    fn sample(&mut self) {
        let mut sums = std::mem::take(&mut self.sums);
        sums.resize(self.words() * self.topics, 0.0);
        for word in 0..self.words() {
            let sums = &mut sums[word * self.topics..][..self.topics];
            self.for_each(word, |k, n| sums[k] += n as f32);
        }
        (self.sums, self.samples) = (sums, self.samples + 1);
    }
    /// Adds what the model has of a word: the mean, or the last counts.
    pub fn add_to(&self, word: usize, row: &mut [f32]) {
        match self.samples {
            0 => self.for_each(word, |k, n| row[k] += n as f32),
            n => {
                let sums = &self.sums[word * self.topics..][..self.topics];
                row.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum / n as f32);
            }
        }
    }
}

impl Counts for Block {
    fn read(&mut self, word: usize, row: &mut [i32]) {
        match &self.rows {
            Rows::Dense(counts) => row.copy_from_slice(&counts[word * self.topics..][..self.topics]),
            Rows::Packed(_) => {
                row.fill(0);
                self.for_each(word, |k, n| row[k] += n);
            }
        }
    }
    fn done(&mut self, word: usize, row: &[i32]) {
        match &mut self.rows {
            Rows::Dense(counts) => counts[word * self.topics..][..self.topics].copy_from_slice(row),
            Rows::Packed(rows) => {
                let entries = &mut rows[word];
                entries.clear();
                for (k, n) in row.iter().enumerate().filter(|(_, n)| **n > 0) {
                    let mut rest = *n;
                    while rest > 0 {
                        entries.push((k as u32) << 16 | rest.min(PACKED_MAX) as u32);
                        rest -= PACKED_MAX;
                    }
                }
                // Most grow to what they are in the first epochs; later room is not needed.
                if entries.capacity() > 2 * entries.len() + 4 {
                    entries.shrink_to(entries.len() + 2);
                }
            }
        }
    }
}

/// What every sub-epoch needs to know.
struct Gibbs {
    params: LdaParams,
    priors: Priors,
    of_documents: OfDocuments,
    of_words: LnGamma,
}

impl Gibbs {
    /// Whether the state after an epoch is evaluated.
    fn is_evaluated(&self, epoch: u64) -> bool {
        let (done, params) = (epoch as usize + 1, &self.params);
        done.is_multiple_of(params.evaluate_every) || done == params.epochs
    }
    fn run(
        &self,
        state: &mut OfPartition,
        block: &mut Block,
        cells: &[Cell],
        totals: &mut TableView<'_, i32>,
        turn: &mut Turn<'_>,
    ) {
        let is_evaluated = turn.sub_epoch() + 1 == turn.partitions() && self.is_evaluated(turn.epoch());
        let mut likelihood = 0.0;
        for cell in cells {
            let before = totals.row(0);
            let mut word = WordState::new(self.priors, before.clone());
            let of_batch = &mut state.0[cell.batch as usize];
            let topics = &mut of_batch.topics[cell.first as usize..][..cell.documents.len()];
            let (is_first, rng) = (turn.epoch() == 0, &mut turn.rng());
            of_batch.counts.sweep(cell.by_word(), topics, is_first, &mut word, block, rng);
            let changes = word.totals.iter().zip(&before).enumerate().filter(|(_, (now, then))| now != then);
            totals.inc_batch(0, changes.map(|(k, (now, then))| (k, now - then)));
            if is_evaluated {
                likelihood += of_batch.counts.likelihood(&self.of_documents);
            }
        }
        if is_evaluated && turn.first() + cells.len() == state.0.len() {
            likelihood += block.likelihood(&self.of_words);
            if self.params.burn_in.is_some_and(|n| turn.epoch() as usize + 1 > n) {
                block.sample();
            }
        }
        turn.loss(-likelihood);
    }
}

/// What the totals add to the log likelihood.
fn of_totals(totals: &[i32], words: usize, beta: f64) -> f64 {
    let prior = words as f64 * beta;
    let whole = libm::lgamma(prior);
    totals.iter().map(|n| whole - libm::lgamma(prior + f64::from(*n))).sum()
}

/// What a rotation has come to.
pub(super) struct Rotated {
    pub report: Report,
    pub seats: Dataset<Seat<OfPartition, Block>>,
    pub blocks: Arc<Blocks>,
}

/// A rotation, to be run.
pub(super) struct Rotating<'a> {
    pub params: &'a LdaParams,
    pub packed: &'a Dataset<Batch>,
    /// By word: its tokens.
    pub tokens: &'a [u64],
    pub is_sparse: bool,
}

impl Rotating<'_> {
    /// Draws; returns the blocks, and what partitions know of their documents, which both stay where they are.
    pub fn run(&self, snapshots: Option<Snapshots>, history: &mut History<'_, '_>) -> Result<Rotated> {
        let (params, topics, words) = (self.params, self.params.topics, self.tokens.len());
        let blocks = Arc::new(Blocks::new(self.tokens, self.packed.num_partitions()));
        let cx = self.packed.context();
        let totals: Table<i32> = cx.table("topics", TableSpec::dense(1, topics))?;
        let training = self.training(&blocks, &totals);
        let training = training.every(params.evaluate_every as u64).until(|progress| {
            let of_totals = of_totals(&totals.snapshot().row(0), words, params.beta);
            history.take(progress.epochs as usize, of_totals - progress.loss(), None)
        });
        let (report, seats) = match snapshots {
            Some(snapshots) => training.snapshots(snapshots).run_with_locals_in_place()?,
            None => training.run_with_locals_in_place()?,
        };
        Ok(Rotated { report, seats, blocks })
    }
    fn training(
        &self,
        blocks: &Arc<Blocks>,
        totals: &Table<i32>,
    ) -> Training<'static, Vec<Cell>, i32, Seat<OfPartition, Block>> {
        let (params, topics, is_sparse) = (self.params.clone(), self.params.topics, self.is_sparse);
        let gibbs = Gibbs {
            priors: Priors::new(&params, self.tokens.len()),
            of_documents: OfDocuments::new(topics, params.alpha),
            of_words: LnGamma::new(params.beta),
            params: params.clone(),
        };
        let (places, of_blocks) = (blocks.clone(), blocks.clone());
        self.packed
            .flat_map(move |batch| Cell::of_batch(&batch, &places))
            .rotate(move |block| Block::new(of_blocks.items[block].len(), topics, is_sparse))
            .epochs(params.epochs as u64)
            .seed(params.seed)
            .piece(1)
            .state(move |_, strata: &[Vec<Cell>]| OfPartition::new(strata, &params))
            .work_with(&[totals], move |state, block, cells, tables, turn| {
                gibbs.run(state, block, cells, &mut tables[0], turn);
            })
    }
}
