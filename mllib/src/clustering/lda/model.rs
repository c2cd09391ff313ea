//! The fitted topics.

use super::LdaParams;
use crate::model::Persist;
use crate::optimization::Stop;
use arrow_array::builder::{Float32Builder, ListBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Document;
use slackwater_dataflow::{Dataset, Error, Result};
use std::iter::once_with;
use std::ops::Range;
use std::sync::Arc;

/// Fixed-point iterations for the topics of a document, at most.
const ITERATIONS: usize = 200;
/// They end when no proportion changes by more than this.
const CHANGE: f64 = 1e-6;

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
    pub model_bytes: Vec<u64>,
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
    /// By word: one count a topic.
    counts: Vec<f32>,
    /// By topic.
    totals: Vec<f64>,
    vocabulary: Option<Vec<String>>,
    attributes: Attributes,
}

impl LdaModel {
    pub(super) fn new(counts: Vec<f32>, vocabulary: Option<Vec<String>>, attributes: Attributes) -> Self {
        let mut totals = vec![0.0; attributes.params.topics];
        for row in counts.chunks_exact(totals.len()) {
            totals.iter_mut().zip(row).for_each(|(total, n)| *total += f64::from(*n));
        }
        LdaModel { counts, totals, vocabulary, attributes }
    }
    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.totals.len()
    }
    /// Number of words it knows: 0 up to this.
    pub fn words(&self) -> usize {
        self.attributes.words
    }
    /// The name of a word, if words have names.
    pub fn name(&self, word: u32) -> Option<&str> {
        self.vocabulary.as_ref()?.get(word as usize).map(String::as_str)
    }
    /// Tokens of a word by topic.
    ///
    /// # Panics
    /// If the model does not know the word.
    pub fn counts(&self, word: u32) -> &[f32] {
        &self.counts[word as usize * self.topics()..][..self.topics()]
    }
    /// Tokens of a topic.
    pub fn total(&self, topic: usize) -> f64 {
        self.totals[topic]
    }
    /// Probability of every topic's words: `(n_wk + β) / (n_k + V β)` of one word, by topic.
    ///
    /// # Panics
    /// If the model does not know the word.
    pub fn probabilities(&self, word: u32) -> impl Iterator<Item = f64> + '_ {
        let beta = self.params().beta;
        let prior = beta * self.words() as f64;
        let counts = self.counts(word).iter().zip(&self.totals);
        counts.map(move |(n, total)| (f64::from(*n) + beta) / (total + prior))
    }
    /// The `n` most probable words of a topic and their counts, the most probable first; of equals the smaller number.
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        top(self.counts.iter().skip(topic).step_by(self.topics()).copied(), n)
    }
    /// Proportions of topics in a document that need not have been learnt from: `θ` at a fixed point of
    /// `θ_k ∝ α + Σ_w n_w θ_k φ_wk / Σ_j θ_j φ_wj`. Words that the model does not know are left out; a document without words
    /// has all topics alike. Costs up to 200 passes over its words.
    pub fn infer(&self, document: &Document) -> Vec<f64> {
        let topics = self.topics();
        let known = document.iter().filter(|(w, n)| (*w as usize) < self.words() && *n > 0);
        let known: Vec<(f64, Vec<f64>)> =
            known.map(|(w, n)| (f64::from(n), self.probabilities(w).collect())).collect();
        let tokens: f64 = known.iter().map(|(n, _)| n).sum();
        let alpha = self.params().alpha;
        let all = tokens + alpha * topics as f64;
        let mut theta = vec![1.0 / topics as f64; topics];
        let mut next = vec![0.0; topics];
        for _ in 0..ITERATIONS {
            next.fill(alpha);
            for (n, phi) in &known {
                let mean: f64 = theta.iter().zip(phi).map(|(theta, phi)| theta * phi).sum();
                let share = n / mean;
                next.iter_mut().zip(theta.iter().zip(phi)).for_each(|(x, (t, phi))| *x += share * t * phi);
            }
            let mut change = 0f64;
            for (theta, x) in theta.iter_mut().zip(&next) {
                change = change.max((x / all - *theta).abs());
                *theta = x / all;
            }
            if change < CHANGE {
                break;
            }
        }
        theta
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

/// The `n` words with the largest counts.
pub(super) fn top(counts: impl Iterator<Item = f32>, n: usize) -> Vec<(u32, f32)> {
    let mut words: Vec<(u32, f32)> = counts.enumerate().map(|(word, n)| (word as u32, n)).collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if n < words.len() {
        words.select_nth_unstable_by(n, order);
        words.truncate(n);
    }
    words.sort_unstable_by(order);
    words
}

/// Numbers in a part of a stored model, at most.
const PART_VALUES: usize = 1 << 22;

/// The ranges of words in which a model is stored.
pub(super) fn parts(words: usize, topics: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (PART_VALUES / topics.max(1)).max(1);
    (0..words.max(1)).step_by(step).map(move |from| from..words.min(from + step))
}

/// A row for each of the words from `first` on, of which there are counts by topic: its number, its name, and its topics with their
/// counts, those of no tokens left out.
pub(super) fn counts_table(
    first: usize,
    counts: &[f32],
    topics: usize,
    vocabulary: Option<&[String]>,
) -> RecordBatch {
    let words = first..first + counts.len() / topics;
    let names = words.clone().map(|w| vocabulary.and_then(|names| names.get(w)).map(String::as_str));
    let element = |kind| Arc::new(Field::new("item", kind, false));
    let mut of_topics = ListBuilder::new(UInt32Builder::new()).with_field(element(DataType::UInt32));
    let mut of_counts = ListBuilder::new(Float32Builder::new()).with_field(element(DataType::Float32));
    for row in counts.chunks_exact(topics) {
        for (k, n) in row.iter().enumerate().filter(|(_, n)| **n > 0.0) {
            of_topics.values().append_value(k as u32);
            of_counts.values().append_value(*n);
        }
        of_topics.append(true);
        of_counts.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(words.map(|w| w as u32))),
        Arc::new(StringArray::from_iter(names)),
        Arc::new(of_topics.finish()),
        Arc::new(of_counts.finish()),
    ];
    let fields = vec![
        Field::new("word", DataType::UInt32, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("topics", DataType::List(element(DataType::UInt32)), false),
        Field::new("counts", DataType::List(element(DataType::Float32)), false),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a value a row in every column")
}

impl Persist for LdaModel {
    const ALGORITHM: &'static str = "lda";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    fn table(&self) -> RecordBatch {
        counts_table(0, &self.counts, self.topics(), self.vocabulary.as_deref())
    }
    fn tables(&self) -> impl Iterator<Item = RecordBatch> {
        let topics = self.topics();
        parts(self.words(), topics).map(move |words| {
            let counts = &self.counts[words.start * topics..words.end * topics];
            counts_table(words.start, counts, topics, self.vocabulary.as_deref())
        })
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let refuse = |what: &str| Error::input(format!("the counts do not fit: {what}"), "");
        let (words, topics) = (attributes.words, attributes.params.topics);
        if topics == 0 {
            return Err(refuse("there are no topics"));
        }
        if words != table.num_rows() {
            return Err(refuse("the number of words is another"));
        }
        let column = |name: &str| {
            table.column_by_name(name).ok_or_else(|| refuse(&format!("there is no column `{name}`")))
        };
        let numbers = column("word")?.as_primitive_opt::<UInt32Type>();
        let numbers = numbers.ok_or_else(|| refuse("`word` is no whole number"))?;
        if numbers.null_count() > 0 || numbers.values().iter().enumerate().any(|(i, w)| *w as usize != i) {
            return Err(refuse("words are numbered from 0"));
        }
        let names = column("name")?;
        let names = names.as_string_opt::<i32>().ok_or_else(|| refuse("`name` is no text"))?;
        let vocabulary = match names.null_count() {
            0 => Some(names.iter().flatten().map(str::to_string).collect()),
            n if n == words => None,
            _ => return Err(refuse("some words have names and some have not")),
        };
        let list = |name: &str| -> Result<&ListArray> {
            let list = column(name)?.as_list_opt::<i32>().filter(|l| l.null_count() == 0);
            list.ok_or_else(|| refuse(&format!("`{name}` is no list in every row")))
        };
        let (of_topics, of_counts) = (list("topics")?, list("counts")?);
        let mut counts = vec![0f32; crate::model::values(words, topics)?];
        for (row, to) in counts.chunks_exact_mut(topics).enumerate() {
            let (ks, ns) = (of_topics.value(row), of_counts.value(row));
            let (Some(ks), Some(ns)) =
                (ks.as_primitive_opt::<UInt32Type>(), ns.as_primitive_opt::<Float32Type>())
            else {
                return Err(refuse("lists have other values"));
            };
            if ks.len() != ns.len() || ks.null_count() + ns.null_count() > 0 {
                return Err(refuse("a word has not as many counts as topics"));
            }
            for (k, n) in ks.values().iter().zip(ns.values()) {
                let slot = to.get_mut(*k as usize).ok_or_else(|| refuse("there is no such topic"))?;
                if !(n.is_finite() && *n >= 0.0) {
                    return Err(refuse("a count is negative or no number"));
                }
                *slot = *n;
            }
        }
        Ok(LdaModel::new(counts, vocabulary, attributes))
    }
}
