//! Training: from documents to tables, and from tables to a model.

use super::batch::{Batch, batch_alone, batch_of, batches};
use super::counts::top;
use super::likelihood::{OfDocuments, of_words};
use super::params::Solver;
use super::rotation::{Rotated, Rotating};
use super::sampler::{Counts, Priors, WordState, sweep};
use super::{Attributes, LdaBlocks, LdaModel, LdaParams, LdaSummary, Sampler};
use crate::optimization::{ModelBytes, Stop};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Document;
use slackwater_dataflow::{Dataset, Error, Result};
use slackwater_paramstore::{
    Clock, EpochsExt, Report, Snapshots, Table, TableExt, TableSpec, TableValues, TableView,
};
use std::iter::once_with;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What is known of some documents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Census {
    documents: u64,
    tokens: u64,
    /// By word, up to the largest: its tokens.
    of_words: Vec<u64>,
}

impl Census {
    fn of(documents: impl Iterator<Item = Document>) -> Self {
        let mut census = Census::default();
        for document in documents {
            census.documents += 1;
            census.tokens += document.tokens();
            for (word, count) in document.iter() {
                let (word, words) = (word as usize, census.of_words.len());
                census.of_words.resize(words.max(word + 1), 0);
                census.of_words[word] += u64::from(count);
            }
        }
        census
    }
    fn merge(self, other: Census) -> Census {
        let (mut of_words, fewer) = match self.of_words.len() < other.of_words.len() {
            true => (other.of_words, self.of_words),
            false => (self.of_words, other.of_words),
        };
        of_words.iter_mut().zip(fewer).for_each(|(all, n)| *all += n);
        Census { documents: self.documents + other.documents, tokens: self.tokens + other.tokens, of_words }
    }
}

/// How many tokens of a document have each topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentTopics {
    /// Number of the document.
    pub id: u32,
    /// Tokens, one number a topic.
    pub counts: Vec<u32>,
}

/// The state after some epochs.
#[derive(Debug, Clone, Copy)]
pub struct LdaProgress<'a> {
    /// Epochs done.
    pub epochs: usize,
    /// Joint log likelihood of words and topics.
    pub log_likelihood: f64,
    counts: Option<&'a TableValues<i32>>,
}

impl LdaProgress<'_> {
    /// The `n` words of which a topic has the most tokens, and how many; see [`LdaModel::top_words`]. None while blocks rotate:
    /// nobody has them all.
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        let Some(counts) = self.counts else { return vec![] };
        top((0..counts.rows()).map(|word| counts.get(word, topic) as f32), n)
    }
}

/// Called after every evaluation; `Break` ends the training with what it has.
pub type LdaObserver<'a> = dyn FnMut(&LdaProgress<'_>) -> ControlFlow<()> + 'a;

/// A fitted model, and what training has found of the documents.
#[derive(Debug, Clone)]
pub struct LdaFit {
    /// The model.
    pub model: LdaModel,
    /// Topics of the documents at the end of training, in their partitions. Made from the documents when it is asked for.
    pub documents: Dataset<DocumentTopics>,
}

/// Topics of the tokens of a partition: one vector a batch, empty before the first epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Assignments(Vec<Vec<u16>>);

impl LdaParams {
    /// Fits a model to documents. Collective: every process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](LdaParams::fit_observed).
    pub fn fit(&self, documents: &Dataset<Document>) -> Result<LdaModel> {
        Ok(self.fit_observed(documents, None, None, &mut |_| ControlFlow::Continue(()))?.model)
    }
    /// [`fit`](LdaParams::fit) with the names of the words, with snapshots, and with an observer, which is told the joint log
    /// likelihood at every evaluation. Without names there are as many words as the largest number says. The documents are
    /// read twice: cache them if that is slow. Evaluations before a training was resumed are not repeated.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; input, if there are no tokens, or a word without a name; what the engine
    /// reports.
    pub fn fit_observed(
        &self,
        documents: &Dataset<Document>,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut LdaObserver<'_>,
    ) -> Result<LdaFit> {
        let fit = self.prepare(documents, &vocabulary)?;
        match self.solver {
            Solver::Table => fit.on_tables(vocabulary, snapshots, observer),
            Solver::Rotation => {
                let blocks = fit.in_blocks(vocabulary, snapshots, observer)?;
                Ok(LdaFit { model: blocks.model()?, documents: blocks.documents() })
            }
        }
    }
    /// [`fit_observed`](LdaParams::fit_observed) by rotation, after which words stay in blocks where they are: no process needs memory
    /// for all of them, neither while training nor to [store](LdaBlocks::save) the model.
    ///
    /// # Errors
    /// As `fit_observed`; config, if the solver is another.
    pub fn fit_in_blocks(
        &self,
        documents: &Dataset<Document>,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut LdaObserver<'_>,
    ) -> Result<LdaBlocks> {
        if self.solver != Solver::Rotation {
            return Err(Error::config("solver", "tables are not in blocks: choose `rotation`"));
        }
        self.prepare(documents, &vocabulary)?.in_blocks(vocabulary, snapshots, observer)
    }
    fn prepare(&self, documents: &Dataset<Document>, vocabulary: &Option<Vec<String>>) -> Result<Fit<'_>> {
        self.check()?;
        let census = documents.map_partitions(|documents| once_with(move || Census::of(documents)));
        let mut census = census.reduce(Census::merge)?.unwrap_or_default();
        let words = census.of_words.len();
        if census.tokens == 0 {
            return Err(Error::input("there are no words to learn from", "a document has words with counts"));
        }
        let words = match vocabulary {
            Some(names) if names.len() < words => {
                return Err(Error::input(
                    format!("word {} has no name: the vocabulary has {}", words - 1, names.len()),
                    "words are numbered from 0, in the order of the vocabulary",
                ));
            }
            Some(names) => names.len(),
            None => words,
        };
        census.of_words.resize(words, 0);
        let batch = self.batch.unwrap_or_else(|| match self.solver {
            Solver::Table => batch_of(census.documents, census.tokens, documents.num_partitions()),
            Solver::Rotation => batch_alone(census.documents, census.tokens),
        });
        let packed = documents.map_partitions(move |documents| batches(documents, batch));
        Ok(Fit { params: self, packed, census, words, batch })
    }
}

/// One training.
struct Fit<'a> {
    params: &'a LdaParams,
    packed: Dataset<Batch>,
    census: Census,
    words: usize,
    batch: usize,
}

impl Fit<'_> {
    fn has_sparse_rows(&self) -> bool {
        self.params.rows.are_sparse(self.words, self.params.topics, self.census.tokens)
    }
    fn tables(&self) -> Result<(Table<i32>, Table<i32>)> {
        let (cx, topics) = (self.packed.context(), self.params.topics);
        let spec = match self.has_sparse_rows() {
            true => TableSpec::sparse(self.words, topics),
            false => TableSpec::dense(self.words, topics),
        };
        let consistency = self.params.consistency;
        let of_words = cx.table("topics of words", spec.consistency(consistency))?;
        Ok((of_words, cx.table("topics", TableSpec::dense(1, topics).consistency(consistency))?))
    }
    fn history<'h, 'o>(&'h self, observer: &'h mut LdaObserver<'o>) -> History<'h, 'o> {
        History { params: self.params, observer, evaluations: vec![], stop: Stop::IterationLimit }
    }
    /// What is stored beside the counts.
    fn attributes(&self, report: &Report, history: History<'_, '_>) -> Attributes {
        let summary = LdaSummary {
            documents: self.census.documents,
            tokens: self.census.tokens,
            partitions: self.packed.num_partitions(),
            batch: self.batch,
            epochs: report.epochs as usize,
            log_likelihood: history.evaluations.last().map_or(f64::NAN, |(_, value)| *value),
            log_likelihood_history: history.evaluations,
            seconds_in_training: report.wall_us as f64 * 1e-6,
            model_bytes: match self.params.solver {
                Solver::Table => ModelBytes::default(),
                Solver::Rotation => report.model_bytes(self.packed.context().topology().workers).into(),
            },
            stop: history.stop,
        };
        Attributes { words: self.words, params: self.params.clone(), summary }
    }
    fn in_blocks(
        &self,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut LdaObserver<'_>,
    ) -> Result<LdaBlocks> {
        let mut history = self.history(observer);
        let rotating = Rotating {
            params: self.params,
            packed: &self.packed,
            tokens: &self.census.of_words,
            is_sparse: self.has_sparse_rows(),
        };
        let Rotated { report, seats, blocks } = rotating.run(snapshots, &mut history)?;
        Ok(LdaBlocks { seats, blocks, vocabulary, attributes: self.attributes(&report, history) })
    }
    fn on_tables(
        &self,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut LdaObserver<'_>,
    ) -> Result<LdaFit> {
        let mut history = self.history(observer);
        let packed = self.packed.cache();
        let assigned = self.assign(&packed, snapshots, &mut history);
        packed.unpersist();
        let Assigned { report, counts, documents } = assigned?;
        let model = LdaModel::new(counts, vocabulary, self.attributes(&report, history));
        Ok(LdaFit { model, documents })
    }
    fn assign(
        &self,
        packed: &Dataset<Batch>,
        snapshots: Option<Snapshots>,
        history: &mut History<'_, '_>,
    ) -> Result<Assigned> {
        let (params, topics) = (self.params, self.params.topics);
        let (of_words_table, totals) = self.tables()?;
        let gibbs = Gibbs::new(params, self.words);
        let mut mean = Mean { params, words: &of_words_table, sums: vec![], samples: 0 };
        let training = packed
            .epochs(params.epochs as u64)
            .batch(1)
            .seed(params.seed)
            .local(|_, batches: &[Batch]| Assignments(vec![vec![]; batches.len()]))
            .update_all(&[&of_words_table, &totals], move |state, batches, tables, clock| {
                gibbs.run(state, batches, tables, clock)
            })
            .every(params.evaluate_every as u64)
            .until(|progress| {
                let (epochs, counts) = (progress.epochs as usize, of_words_table.snapshot());
                mean.take(epochs, &counts);
                let value = of_words(&counts, params.beta) - progress.loss();
                history.take(epochs, value, Some(&counts))
            });
        let (report, states) = match snapshots {
            Some(snapshots) => training.snapshots(snapshots).run_with_locals()?,
            None => training.run_with_locals()?,
        };
        let counts = mean.counts();
        let documents = self.packed.zip_partitions(&states, move |batches, states| {
            // A partition has one state, if it has any.
            let state = states.flat_map(|state: Assignments| state.0);
            batches.zip(state).flat_map(move |(batch, z)| topics_of_documents(&batch, &z, topics))
        })?;
        Ok(Assigned { report, counts, documents })
    }
}

/// What a training has come to.
struct Assigned {
    report: Report,
    /// By word and topic.
    counts: Vec<f32>,
    documents: Dataset<DocumentTopics>,
}

fn topics_of_documents(batch: &Batch, assigned: &[u16], topics: usize) -> Vec<DocumentTopics> {
    let none = |id: &u32| DocumentTopics { id: *id, counts: vec![0; topics] };
    let mut all: Vec<DocumentTopics> = batch.ids.iter().map(none).collect();
    for (document, topic) in batch.documents.iter().zip(assigned) {
        all[*document as usize].counts[*topic as usize] += 1;
    }
    all
}

/// What is known after some epochs.
pub(super) struct History<'a, 'o> {
    params: &'a LdaParams,
    observer: &'a mut LdaObserver<'o>,
    /// (epochs, log likelihood).
    evaluations: Vec<(usize, f64)>,
    stop: Stop,
}

impl History<'_, '_> {
    /// True if training should end.
    pub fn take(&mut self, epochs: usize, value: f64, counts: Option<&TableValues<i32>>) -> bool {
        let change = self.evaluations.last().map(|(_, before)| ((value - before) / before).abs());
        self.evaluations.push((epochs, value));
        let note = LdaProgress { epochs, log_likelihood: value, counts };
        if (self.observer)(&note).is_break() {
            self.stop = Stop::Observer;
        } else if change.zip(self.params.tolerance).is_some_and(|(change, tolerance)| change < tolerance) {
            self.stop = Stop::Objective;
        }
        self.stop != Stop::IterationLimit
    }
}

/// The mean of counts in a table.
struct Mean<'a> {
    params: &'a LdaParams,
    words: &'a Table<i32>,
    /// Sums of counts after the burn-in, and how many.
    sums: Vec<f32>,
    samples: usize,
}

impl Mean<'_> {
    fn take(&mut self, epochs: usize, counts: &TableValues<i32>) {
        if self.params.burn_in.is_some_and(|n| epochs > n) {
            self.sums.resize(counts.rows() * self.params.topics, 0.0);
            add(counts, &mut self.sums);
            self.samples += 1;
        }
    }
    /// The mean of the counts after the burn-in, or the last ones.
    fn counts(&self) -> Vec<f32> {
        match self.samples {
            0 => {
                let mut counts = vec![0.0; self.words.rows() * self.params.topics];
                add(&self.words.snapshot(), &mut counts);
                counts
            }
            n => self.sums.iter().map(|sum| sum / n as f32).collect(),
        }
    }
}

/// Adds counts to sums of all words and topics.
fn add(counts: &TableValues<i32>, sums: &mut [f32]) {
    for (word, sums) in sums.chunks_exact_mut(counts.columns()).enumerate() {
        counts.entries(word).iter().for_each(|(topic, n)| sums[*topic as usize] += *n as f32);
    }
}

/// What every clock needs to know.
struct Gibbs {
    priors: Priors,
    how: (Sampler, usize),
    of_documents: Arc<OfDocuments>,
}

impl Gibbs {
    fn new(params: &LdaParams, words: usize) -> Self {
        Gibbs {
            priors: Priors::new(params, words),
            how: (params.sampler(), params.proposals),
            of_documents: Arc::new(OfDocuments::new(params.topics, params.alpha)),
        }
    }
    fn run(
        &self,
        state: &mut Assignments,
        batches: &[Batch],
        tables: &mut [TableView<'_, i32>],
        clock: &mut Clock,
    ) {
        let [words, totals] = tables else { unreachable!("training has two tables") };
        for batch in batches {
            let before = totals.row(0);
            let mut word = WordState::new(self.priors, before.clone());
            let topics = &mut state.0[batch.number];
            let rng = &mut clock.rng();
            let likelihood =
                sweep(batch, topics, &mut word, &mut OfWords(words), self.how, &self.of_documents, rng);
            let changes = word.totals.iter().zip(&before).enumerate().filter(|(_, (now, then))| now != then);
            totals.inc_batch(0, changes.map(|(k, (now, then))| (k, now - then)));
            clock.loss(-likelihood);
        }
    }
}

/// The counts of words in their table.
struct OfWords<'a, 't>(&'a mut TableView<'t, i32>);

impl Counts for OfWords<'_, '_> {
    fn read(&mut self, word: usize, row: &mut [i32]) {
        self.0.read_row(word, row);
    }
    #[inline]
    fn add(&mut self, word: usize, topic: usize, delta: i32) {
        self.0.inc(word, topic, delta);
    }
}
