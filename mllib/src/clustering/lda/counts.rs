//! Counts of words by topic, and what they say of words and documents.

use crate::linalg::dense::{axpy, dot};
use crate::linalg::widest;
use arrow_array::builder::{Float32Builder, ListBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use slackwater_dataflow::{Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Fixed-point iterations for the topics of a document, at most.
const ITERATIONS: usize = 200;
/// They end when no proportion changes by more than this.
const CHANGE: f64 = 1e-6;

/// Topics: how often each word has each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopicCounts {
    /// By word: one count a topic.
    counts: Vec<f32>,
    /// By topic.
    totals: Vec<f64>,
    /// Prior count of every topic in a document.
    alpha: f64,
    /// Prior count of every word in a topic.
    beta: f64,
    vocabulary: Option<Vec<String>>,
}

impl TopicCounts {
    pub fn new(
        counts: Vec<f32>,
        topics: usize,
        [alpha, beta]: [f64; 2],
        vocabulary: Option<Vec<String>>,
    ) -> Self {
        let mut totals = vec![0.0; topics];
        for row in counts.chunks_exact(topics) {
            totals.iter_mut().zip(row).for_each(|(total, n)| *total += f64::from(*n));
        }
        TopicCounts { counts, totals, alpha, beta, vocabulary }
    }
    pub fn topics(&self) -> usize {
        self.totals.len()
    }
    /// Number of words: 0 up to this.
    pub fn words(&self) -> usize {
        self.counts.len() / self.topics()
    }
    /// The name of a word, if words have names.
    pub fn name(&self, word: u32) -> Option<&str> {
        self.vocabulary.as_ref()?.get(word as usize).map(String::as_str)
    }
    /// Tokens of a word by topic.
    pub fn counts(&self, word: u32) -> &[f32] {
        &self.counts[word as usize * self.topics()..][..self.topics()]
    }
    /// Tokens of a topic.
    pub fn total(&self, topic: usize) -> f64 {
        self.totals[topic]
    }
    /// `(n_wk + β) / (n_k + V β)` of one word, by topic.
    pub fn probabilities(&self, word: u32) -> impl Iterator<Item = f64> + '_ {
        let prior = self.beta * self.words() as f64;
        let counts = self.counts(word).iter().zip(&self.totals);
        counts.map(move |(n, total)| (f64::from(*n) + self.beta) / (total + prior))
    }
    /// The `n` words of which a topic has the most tokens, and how many, those with the most first; of equals the smaller number.
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        top(self.counts.iter().skip(topic).step_by(self.topics()).copied(), n)
    }
    /// Proportions of topics in a document of some words with their counts: `θ` at a fixed point of
    /// `θ_k ∝ α + Σ_w n_w θ_k φ_wk / Σ_j θ_j φ_wj`; and the tokens of words that are known. Others are left out.
    pub fn infer(&self, words: impl Iterator<Item = (u32, f64)>) -> (Vec<f64>, f64) {
        let topics = self.topics();
        let known = words.filter(|(w, n)| (*w as usize) < self.words() && *n > 0.0);
        let known: Vec<(f64, Vec<f64>)> = known.map(|(w, n)| (n, self.probabilities(w).collect())).collect();
        let tokens: f64 = known.iter().map(|(n, _)| n).sum();
        let all = tokens + self.alpha * topics as f64;
        let mut theta = vec![1.0 / topics as f64; topics];
        let mut next = vec![0.0; topics];
        widest(
            #[inline(always)]
            || {
                for _ in 0..ITERATIONS {
                    next.fill(0.0);
                    for (n, phi) in &known {
                        axpy(n / dot(&theta, phi), phi, &mut next);
                    }
                    let mut change = 0f64;
                    for (theta, x) in theta.iter_mut().zip(&next) {
                        let new = (self.alpha + *theta * x) / all;
                        change = change.max((new - *theta).abs());
                        *theta = new;
                    }
                    if change < CHANGE {
                        break;
                    }
                }
            },
        );
        (theta, tokens)
    }
    /// As they are stored.
    pub fn table(&self) -> RecordBatch {
        counts_table(0, &self.counts, self.topics(), self.vocabulary.as_deref())
    }
    /// [`table`](TopicCounts::table) in parts.
    pub fn tables(&self) -> impl Iterator<Item = RecordBatch> {
        let topics = self.topics();
        parts(self.words(), topics).map(move |words| {
            let counts = &self.counts[words.start * topics..words.end * topics];
            counts_table(words.start, counts, topics, self.vocabulary.as_deref())
        })
    }
    /// The counts of a [`table`](TopicCounts::table).
    ///
    /// # Errors
    /// Input, if it is not one of so many words and topics.
    pub fn restore(table: &RecordBatch, words: usize, topics: usize, priors: [f64; 2]) -> Result<Self> {
        let refuse = |what: &str| Error::input(format!("the counts do not fit: {what}"), "");
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
        Ok(TopicCounts::new(counts, topics, priors, vocabulary))
    }
}

/// The `n` words with the largest counts.
pub(crate) fn top(counts: impl Iterator<Item = f32>, n: usize) -> Vec<(u32, f32)> {
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
