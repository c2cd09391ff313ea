//! The fitted topics.

use super::LdaParams;
use super::counts::TopicCounts;
use crate::model::Persist;
use crate::optimization::{ModelBytes, Stop};
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Document;
use slackwater_dataflow::{Dataset, Error, Result};
use std::iter::once_with;
use std::sync::Arc;

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LdaSummary {
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
    /// Joint log likelihood of words and topics at the last evaluation.
    pub log_likelihood: f64,
    /// All evaluations: epochs done, and the log likelihood then.
    pub log_likelihood_history: Vec<(usize, f64)>,
    /// Seconds that the epochs took.
    #[serde(skip)]
    pub seconds_in_training: f64,
    /// With rotation, by process: bytes of the blocks of words that it had while training, at most, as they are encoded.
    #[serde(skip)]
    pub model_bytes: ModelBytes,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) words: usize,
    pub(super) params: LdaParams,
    pub(super) summary: LdaSummary,
}

/// How well a model foretells words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// Documents, without those of less than two tokens that the model knows.
    pub documents: u64,
    /// Tokens that were foretold.
    pub tokens: u64,
    /// Tokens of words that the model does not know, which were left out.
    pub unknown: u64,
    /// Sum of the log probabilities of these tokens.
    pub log_likelihood: f64,
}

impl Perplexity {
    /// `exp` of minus the mean log probability of a token.
    pub fn perplexity(&self) -> f64 {
        (-self.log_likelihood / self.tokens as f64).exp()
    }
    fn plus(self, other: Perplexity) -> Perplexity {
        Perplexity {
            documents: self.documents + other.documents,
            tokens: self.tokens + other.tokens,
            unknown: self.unknown + other.unknown,
            log_likelihood: self.log_likelihood + other.log_likelihood,
        }
    }
}

/// Topics: how often each word has each.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaModel {
    counts: TopicCounts,
    attributes: Attributes,
}

impl LdaModel {
    pub(super) fn new(counts: Vec<f32>, vocabulary: Option<Vec<String>>, attributes: Attributes) -> Self {
        let LdaParams { topics, alpha, beta, .. } = attributes.params;
        LdaModel { counts: TopicCounts::new(counts, topics, [alpha, beta], vocabulary), attributes }
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
    /// Probability of every topic's words: `(n_wk + β) / (n_k + V β)` of one word, by topic.
    ///
    /// # Panics
    /// If the model does not know the word.
    pub fn probabilities(&self, word: u32) -> impl Iterator<Item = f64> + '_ {
        self.counts.probabilities(word)
    }
    /// The `n` most probable words of a topic and their counts, the most probable first; of equals the smaller number.
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        self.counts.top_words(topic, n)
    }
    /// Proportions of topics in a document that need not have been learnt from: `θ` at a fixed point of
    /// `θ_k ∝ α + Σ_w n_w θ_k φ_wk / Σ_j θ_j φ_wj`. Words that the model does not know are left out; a document without words
    /// has all topics alike. Costs up to 200 passes over its words.
    pub fn infer(&self, document: &Document) -> Vec<f64> {
        self.counts.infer(document.iter().map(|(w, n)| (w, f64::from(n)))).0
    }
    /// How well the model foretells a half of each document from the other (document completion): of every two tokens, in
    /// the order of words, one goes to either half.
    ///
    /// # Errors
    /// Input, if no document has two tokens that the model knows; what the job reports.
    pub fn perplexity(&self, documents: &Dataset<Document>) -> Result<Perplexity> {
        let model = Arc::new(self.clone());
        let parts = documents.map_partitions(move |documents| {
            let model = model.clone();
            once_with(move || documents.fold(Perplexity::default(), |sum, d| sum.plus(model.complete(&d))))
        });
        let sum = parts.reduce(Perplexity::plus)?.unwrap_or_default();
        if sum.tokens == 0 {
            return Err(Error::input(
                "no document has two tokens that the model knows",
                "were the words numbered as those it was trained on?",
            ));
        }
        Ok(sum)
    }
    fn complete(&self, document: &Document) -> Perplexity {
        let (mut seen, mut held) = (vec![], vec![]);
        let (mut at, mut unknown) = (0, 0);
        for (word, count) in document.iter() {
            if word as usize >= self.words() {
                unknown += u64::from(count);
                continue;
            }
            let (first, second) = (count.div_ceil(2), count / 2);
            let (of_seen, of_held) = if at % 2 == 0 { (first, second) } else { (second, first) };
            at += count % 2;
            seen.push((word, of_seen));
            held.push((word, of_held));
        }
        let (seen, held) = (Document::new(document.id, seen), Document::new(document.id, held));
        if held.tokens() == 0 {
            return Perplexity { unknown, ..Perplexity::default() };
        }
        let theta = self.infer(&seen);
        let mean = |w| theta.iter().zip(self.probabilities(w)).map(|(t, phi)| t * phi).sum::<f64>();
        let cells = held.iter().filter(|(_, n)| *n > 0);
        let log_likelihood = cells.map(|(w, n)| f64::from(n) * mean(w).ln()).sum();
        Perplexity { documents: 1, tokens: held.tokens(), unknown, log_likelihood }
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &LdaParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &LdaSummary {
        &self.attributes.summary
    }
}

impl Persist for LdaModel {
    const ALGORITHM: &'static str = "lda";
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
        let LdaParams { topics, alpha, beta, .. } = attributes.params;
        let counts = TopicCounts::restore(table, attributes.words, topics, [alpha, beta])?;
        Ok(LdaModel { counts, attributes })
    }
}
