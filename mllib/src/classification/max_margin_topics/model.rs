//! The fitted topics and weights.

use super::MaxMarginTopicsParams;
use super::batch::class_of;
use crate::clustering::lda::counts::TopicCounts;
use crate::model::Persist;
use crate::optimization::Stop;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{Document, Row};
use slackwater_dataflow::{Error, Result};

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxMarginTopicsSummary {
    /// Documents that were learnt from.
    pub documents: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Partitions that took part in every clock.
    pub partitions: usize,
    /// Documents of each partition in a clock, at most.
    pub batch: usize,
    /// Passes over the tokens.
    pub epochs: usize,
    /// Mean over documents of the sum of their tasks' hinge losses, with the topics and weights of the last epoch.
    pub loss: f64,
    /// The same after every epoch.
    pub loss_history: Vec<f64>,
    /// Share of the documents learnt from whose class is the one that the topics and weights of the last epoch give.
    pub accuracy: f64,
    /// Evaluations that the model is the mean of; 0 if it is what there was at the end.
    pub samples: usize,
    /// Seconds that the epochs took.
    #[serde(skip)]
    pub seconds_in_training: f64,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) words: usize,
    pub(super) classes: Vec<f64>,
    /// Tasks x topics.
    pub(super) weights: Vec<f64>,
    pub(super) params: MaxMarginTopicsParams,
    pub(super) summary: MaxMarginTopicsSummary,
}

impl Attributes {
    fn tasks(&self) -> usize {
        if self.classes.len() == 2 { 1 } else { self.classes.len() }
    }
}

/// Topics, and weights that make classes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxMarginTopicsModel {
    counts: TopicCounts,
    attributes: Attributes,
}

impl MaxMarginTopicsModel {
    pub(super) fn new(counts: Vec<f32>, vocabulary: Option<Vec<String>>, attributes: Attributes) -> Self {
        let MaxMarginTopicsParams { topics, alpha, beta, .. } = attributes.params;
        MaxMarginTopicsModel {
            counts: TopicCounts::new(counts, topics, [alpha, beta], vocabulary),
            attributes,
        }
    }
    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.counts.topics()
    }
    /// Number of words it knows: 0 up to this.
    pub fn words(&self) -> usize {
        self.attributes.words
    }
    /// The name of a word, if words have names.
    pub fn name(&self, word: u32) -> Option<&str> {
        self.counts.name(word)
    }
    /// Labels of the classes, ascending.
    pub fn classes(&self) -> &[f64] {
        &self.attributes.classes
    }
    /// Number of scores of a document: one a class, or one for two classes.
    pub fn tasks(&self) -> usize {
        self.attributes.tasks()
    }
    /// Weights of the topics in a task.
    ///
    /// # Panics
    /// If there is no such task.
    pub fn weights(&self, task: usize) -> &[f64] {
        &self.attributes.weights[task * self.topics()..][..self.topics()]
    }
    /// Tokens of a word by topic.
    ///
    /// # Panics
    /// If the model does not know the word.
    pub fn counts(&self, word: u32) -> &[f32] {
        self.counts.counts(word)
    }
    /// Tokens of a topic.
    pub fn total(&self, topic: usize) -> f64 {
        self.counts.total(topic)
    }
    /// The `n` most probable words of a topic and their counts, the most probable first; of equals the smaller number.
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        self.counts.top_words(topic, n)
    }
    /// Shares of topics among the tokens of a document, as they are expected at the fixed point that
    /// [`LdaModel::infer`](crate::clustering::LdaModel::infer) finds. Words that the model does not know are left out; of a document
    /// without words every topic has the same share. Costs up to 200 passes over its words.
    pub fn shares(&self, words: impl Iterator<Item = (u32, f64)>) -> Vec<f64> {
        let (mut shares, tokens) = self.counts.infer(words);
        if tokens > 0.0 {
            let alpha = self.params().alpha;
            let all = tokens + alpha * shares.len() as f64;
            shares.iter_mut().for_each(|x| *x = (*x * all - alpha) / tokens);
        }
        shares
    }
    /// Scores of such shares, one a task.
    pub fn scores_of(&self, shares: &[f64]) -> Vec<f64> {
        let weights = self.attributes.weights.chunks_exact(self.topics());
        weights.map(|eta| eta.iter().zip(shares).map(|(eta, share)| eta * share).sum()).collect()
    }
    /// Scores of a row of counts, one a task.
    pub fn scores(&self, row: &Row<'_>) -> Vec<f64> {
        self.scores_of(&self.shares(row.indices.iter().copied().zip(row.values.iter().copied())))
    }
    /// The label of some scores: of several classes that with the largest, of equals the smallest label; of two classes the
    /// larger label if the score is above 0.
    pub fn class_of(&self, scores: &[f64]) -> f64 {
        self.attributes.classes[class_of(scores)]
    }
    /// The label of a document.
    pub fn predict(&self, document: &Document) -> f64 {
        let words = document.iter().map(|(w, n)| (w, f64::from(n)));
        self.class_of(&self.scores_of(&self.shares(words)))
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &MaxMarginTopicsParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &MaxMarginTopicsSummary {
        &self.attributes.summary
    }
}

impl Persist for MaxMarginTopicsModel {
    const ALGORITHM: &'static str = "medlda";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    fn table(&self) -> RecordBatch {
        self.counts.table()
    }
    fn tables(&self) -> impl Iterator<Item = RecordBatch> {
        self.counts.tables()
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let MaxMarginTopicsParams { topics, alpha, beta, .. } = attributes.params;
        let weights = &attributes.weights;
        let fits =
            attributes.classes.len() >= 2 && attributes.tasks().checked_mul(topics) == Some(weights.len());
        if !fits || weights.iter().any(|x| !x.is_finite()) {
            return Err(Error::input("the weights do not fit: there is one a topic and class", ""));
        }
        let counts = TopicCounts::restore(table, attributes.words, topics, [alpha, beta])?;
        Ok(MaxMarginTopicsModel { counts, attributes })
    }
}
