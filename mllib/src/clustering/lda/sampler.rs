//! Draws the topics of the tokens of a batch.

use super::batch::{Batch, ByWord};
use super::likelihood::OfDocuments;
use super::params::{LdaParams, Sampler};
use crate::linalg::widest;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng::{Stream, below, unit_f64};

/// Topics that are summed together.
pub(crate) const LANE: usize = 16;
/// A document is expected so many tokens before it is its turn: about the time of a draw is what memory takes.
const AHEAD: usize = 2;

/// What is the same for all batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priors {
    pub alpha: f32,
    pub beta: f32,
    /// Sum of the prior counts of all words in a topic.
    pub beta_sum: f32,
}

impl Priors {
    pub fn new(params: &LdaParams, words: usize) -> Self {
        Priors {
            alpha: params.alpha as f32,
            beta: params.beta as f32,
            beta_sum: (params.beta * words as f64) as f32,
        }
    }
}

/// The shared counts as one word needs them: its own, those of all words, and the weight of every topic.
pub(super) struct WordState {
    priors: Priors,
    /// Tokens of the word by topic.
    pub row: Vec<i32>,
    /// Tokens by topic.
    pub totals: Vec<i32>,
    /// `1 / (total + prior)`.
    inverse: Vec<f32>,
    /// `(n_wk + β) / (n_k + V β)`, in whole lanes: 0 beyond the last topic.
    weights: Vec<f32>,
}

impl WordState {
    pub fn new(priors: Priors, totals: Vec<i32>) -> Self {
        let topics = totals.len();
        let mut state = WordState {
            priors,
            row: vec![0; topics],
            inverse: vec![0.0; topics],
            weights: vec![0.0; topics.next_multiple_of(LANE)],
            totals,
        };
        (0..topics).for_each(|k| state.inverse[k] = state.inverse_of(k));
        state
    }
    #[inline(always)]
    fn inverse_of(&self, k: usize) -> f32 {
        // Other partitions' changes may be half known.
        1.0 / (self.totals[k].max(0) as f32 + self.priors.beta_sum)
    }
    #[inline(always)]
    fn weigh(&mut self, k: usize) {
        self.weights[k] = (self.row[k].max(0) as f32 + self.priors.beta) * self.inverse[k];
    }
    /// To be called when `row` is that of another word.
    #[inline(always)]
    fn turn(&mut self) {
        let rows = self.row.iter().zip(&self.inverse);
        for (weight, (n, inverse)) in self.weights.iter_mut().zip(rows) {
            *weight = ((*n).max(0) as f32 + self.priors.beta) * inverse;
        }
    }
    #[inline(always)]
    fn add(&mut self, k: usize, delta: i32) {
        self.row[k] += delta;
        self.totals[k] += delta;
        self.inverse[k] = self.inverse_of(k);
        self.weigh(k);
    }
}

/// Where words' counts come from and changes go to.
pub(super) trait Counts {
    /// Reads the counts of a word.
    fn read(&mut self, word: usize, row: &mut [i32]);
    /// One token of the word more (or less) in a topic.
    fn add(&mut self, _word: usize, _topic: usize, _delta: i32) {}
    /// What they are after all tokens of a word.
    fn done(&mut self, _word: usize, _row: &[i32]) {}
}

/// The counts of the documents of a batch, kept as a sampler needs them.
trait Documents {
    /// A token of document `d` more in topic `k`.
    fn add(&mut self, d: usize, k: usize);
    /// One less.
    fn remove(&mut self, d: usize, k: usize);
    /// To be called when a token of document `d` comes soon: what is known of it is loaded meanwhile.
    fn expect(&self, _d: usize) {}
    /// To be called when weights are those of another word.
    fn turn(&mut self, _: &WordState) {}
    /// To be called when the weight of topic `k` has changed.
    fn changed(&mut self, _: &WordState, _k: usize) {}
    /// Draws a topic for a token of document `d`, which is not among the counts.
    fn draw(&mut self, word: &WordState, d: usize, token: Token, topics: &[u16], rng: &mut Stream) -> usize;
    /// Log likelihood of the topics of all documents.
    fn likelihood(&self, of: &OfDocuments) -> f64;
}

/// A token whose topic is drawn.
#[derive(Clone, Copy)]
struct Token {
    /// Its place in the batch.
    at: usize,
    /// The topic it had.
    old: usize,
}

/// Draws the topics of all tokens of a batch: `topics` has one a token, or none before the first time, when all get one by
/// chance. `state` has the totals before, and after. Returns the log likelihood of the documents' topics.
pub(super) fn sweep(
    batch: &Batch,
    topics: &mut Vec<u16>,
    state: &mut WordState,
    counts: &mut impl Counts,
    how: (Sampler, usize),
    of_documents: &OfDocuments,
    rng: &mut Stream,
) -> f64 {
    let (k, alpha) = (state.totals.len(), state.priors.alpha);
    match how {
        (Sampler::Dense, _) => {
            let documents = Dense::new(batch.ids.len(), k, alpha);
            run(documents, batch, topics, state, counts, of_documents, rng)
        }
        (Sampler::Sparse, _) => {
            let mut lengths = vec![0; batch.ids.len()];
            batch.documents.iter().for_each(|d| lengths[*d as usize] += 1);
            let documents = Sparse::new(&lengths, k, alpha);
            run(documents, batch, topics, state, counts, of_documents, rng)
        }
        (Sampler::Alias, proposals) => {
            let documents = Alias::new(batch, k, alpha, proposals);
            run(documents, batch, topics, state, counts, of_documents, rng)
        }
    }
}

fn run(
    mut documents: impl Documents,
    batch: &Batch,
    topics: &mut Vec<u16>,
    state: &mut WordState,
    counts: &mut impl Counts,
    of_documents: &OfDocuments,
    rng: &mut Stream,
) -> f64 {
    let is_first = topics.is_empty();
    topics.resize(batch.tokens(), 0);
    if !is_first {
        batch.documents.iter().zip(&*topics).for_each(|(d, k)| documents.add(*d as usize, *k as usize));
    }
    draw_all(&mut documents, batch.by_word(), topics, is_first, state, counts, rng);
    documents.likelihood(of_documents)
}

/// Draws the topics of some tokens of the documents: `topics` has one a token, which mean nothing the first time, when all get one by
/// chance.
fn draw_all(
    documents: &mut impl Documents,
    tokens: ByWord<'_>,
    topics: &mut [u16],
    is_first: bool,
    state: &mut WordState,
    counts: &mut impl Counts,
    rng: &mut Stream,
) {
    if is_first {
        return start_all(documents, tokens, topics, state, counts, rng);
    }
    // The whole loop: what a draw calls is compiled with it.
    widest(
        #[inline(always)]
        || {
            for (word, of_word) in tokens.iter() {
                counts.read(word, &mut state.row);
                state.turn();
                documents.turn(state);
                for token in of_word {
                    if let Some(d) = tokens.documents.get(token + AHEAD) {
                        documents.expect(*d as usize);
                    }
                    let (d, old) = (tokens.documents[token] as usize, topics[token] as usize);
                    documents.remove(d, old);
                    state.add(old, -1);
                    documents.changed(state, old);
                    let new = documents.draw(state, d, Token { at: token, old }, topics, rng);
                    documents.add(d, new);
                    state.add(new, 1);
                    documents.changed(state, new);
                    if old != new {
                        topics[token] = new as u16;
                        counts.add(word, old, -1);
                        counts.add(word, new, 1);
                    }
                }
                counts.done(word, &state.row);
            }
        },
    );
}

/// Gives every token a topic, each as likely as any other. What draws from the counts of those before would give has a better
/// likelihood at first; of 15 M tokens it was behind from 40 epochs on, by 0.06 a token after 60.
fn start_all(
    documents: &mut impl Documents,
    tokens: ByWord<'_>,
    topics: &mut [u16],
    state: &mut WordState,
    counts: &mut impl Counts,
    rng: &mut Stream,
) {
    for (word, of_word) in tokens.iter() {
        counts.read(word, &mut state.row);
        for token in of_word {
            let topic = below(rng, state.totals.len() as u64) as usize;
            documents.add(tokens.documents[token] as usize, topic);
            state.add(topic, 1);
            topics[token] = topic as u16;
            counts.add(word, topic, 1);
        }
        counts.done(word, &state.row);
    }
}

/// The counts of some documents, which stay while words come and go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Packed", into = "Packed")]
pub(super) enum Kept {
    Dense(Dense),
    Sparse(Sparse),
}

impl Kept {
    /// Of documents with so many tokens, before any has a topic. Without alias tables, which need all tokens of a document at
    /// hand.
    pub fn new(sampler: Sampler, lengths: &[u32], topics: usize, alpha: f32) -> Self {
        match sampler {
            Sampler::Dense => Kept::Dense(Dense::new(lengths.len(), topics, alpha)),
            Sampler::Sparse | Sampler::Alias => Kept::Sparse(Sparse::new(lengths, topics, alpha)),
        }
    }
    /// As [`sweep`], for those tokens whose words are at hand.
    pub fn sweep(
        &mut self,
        tokens: ByWord<'_>,
        topics: &mut [u16],
        is_first: bool,
        state: &mut WordState,
        counts: &mut impl Counts,
        rng: &mut Stream,
    ) {
        match self {
            Kept::Dense(documents) => draw_all(documents, tokens, topics, is_first, state, counts, rng),
            Kept::Sparse(documents) => draw_all(documents, tokens, topics, is_first, state, counts, rng),
        }
    }
    /// Log likelihood of the topics of all documents.
    pub fn likelihood(&self, of: &OfDocuments) -> f64 {
        match self {
            Kept::Dense(documents) => documents.likelihood(of),
            Kept::Sparse(documents) => documents.likelihood(of),
        }
    }
    /// The topics that each document has, with their tokens.
    pub fn rows(&self) -> Vec<Vec<(u16, u32)>> {
        match self {
            Kept::Dense(documents) => {
                let rows = documents.counts.chunks_exact(documents.lanes * LANE);
                let present = |row: &[f32]| {
                    let all = row.iter().enumerate().map(|(k, n)| (k as u16, *n as u32));
                    all.filter(|(_, n)| *n > 0).collect()
                };
                rows.map(present).collect()
            }
            Kept::Sparse(documents) => (0..documents.used.len())
                .map(|d| {
                    let places = documents.starts[d]..documents.starts[d] + documents.used[d] as usize;
                    places.map(|at| (documents.topics[at], documents.counts[at])).collect()
                })
                .collect(),
        }
    }
}

/// [`Kept`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Packed {
    topics: usize,
    alpha: f32,
    /// By document, where only the topics are kept that it has: how many it can have.
    rooms: Option<Vec<u32>>,
    rows: Vec<Vec<(u16, u32)>>,
}

impl From<Kept> for Packed {
    fn from(kept: Kept) -> Self {
        let rows = kept.rows();
        match kept {
            Kept::Dense(d) => Packed { topics: d.topics, alpha: d.alpha, rooms: None, rows },
            Kept::Sparse(s) => {
                let rooms = s.starts.windows(2).map(|w| (w[1] - w[0]) as u32).collect();
                Packed { topics: s.products.len(), alpha: s.alpha, rooms: Some(rooms), rows }
            }
        }
    }
}

impl TryFrom<Packed> for Kept {
    type Error = &'static str;
    fn try_from(packed: Packed) -> Result<Self, &'static str> {
        let Packed { topics, alpha, rooms, rows } = packed;
        let has_room = |(d, row): (usize, &Vec<(u16, u32)>)| match &rooms {
            Some(rooms) => rooms.get(d).is_some_and(|room| row.len() <= topics.min(*room as usize)),
            None => true,
        };
        if !rows.iter().enumerate().all(has_room) || rooms.as_ref().is_some_and(|r| r.len() != rows.len()) {
            return Err("a document has more topics than tokens");
        }
        if rows.iter().flatten().any(|(k, _)| usize::from(*k) >= topics) {
            return Err("a document has a topic that there is not");
        }
        let sampler = if rooms.is_some() { Sampler::Sparse } else { Sampler::Dense };
        let mut kept = Kept::new(sampler, &rooms.unwrap_or_else(|| vec![0; rows.len()]), topics, alpha);
        for (d, row) in rows.into_iter().enumerate() {
            match &mut kept {
                Kept::Dense(dense) => {
                    let counts = &mut dense.counts[d * dense.lanes * LANE..];
                    row.into_iter().for_each(|(k, n)| counts[k as usize] = n as f32);
                }
                Kept::Sparse(sparse) => {
                    let start = sparse.starts[d];
                    sparse.used[d] = row.len() as u32;
                    for (i, (k, n)) in row.into_iter().enumerate() {
                        (sparse.topics[start + i], sparse.counts[start + i]) = (k, n);
                    }
                }
            }
        }
        Ok(kept)
    }
}

/// Products of counts, with the prior, and weights, which are 0 beyond the last topic; their sums by lane, and of all.
#[inline(always)]
fn products_of_lanes(
    counts: &[[f32; LANE]],
    weights: &[[f32; LANE]],
    alpha: f32,
    products: &mut [[f32; LANE]],
    sums: &mut [f32],
) -> f32 {
    let mut all = 0.0;
    for (sum, ((counts, weights), products)) in sums.iter_mut().zip(counts.iter().zip(weights).zip(products))
    {
        let mut lane = [0.0; LANE];
        for k in 0..LANE {
            lane[k] = (counts[k] + alpha) * weights[k];
        }
        *products = lane;
        *sum = sum_of_lane(&lane);
        all += *sum;
    }
    all
}

/// Sum of sixteen numbers, by halves: the same on every machine.
#[inline(always)]
pub(crate) fn sum_of_lane(lane: &[f32; LANE]) -> f32 {
    let mut eight = [0.0; 8];
    for k in 0..8 {
        eight[k] = lane[k] + lane[k + 8];
    }
    let mut four = [0.0; 4];
    for k in 0..4 {
        four[k] = eight[k] + eight[k + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The first place at which the sum of `values` passes `point`; the last positive one if rounding lets none pass.
#[inline(always)]
fn find(values: &[f32], mut point: f32) -> usize {
    let mut last = 0;
    for (i, value) in values.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        last = i;
        if point < *value {
            break;
        }
        point -= value;
    }
    last
}

/// As [`find`], over lanes whose sums are known.
#[inline(always)]
pub(crate) fn find_in_lanes(sums: &[f32], values: &[f32], mut point: f32) -> usize {
    let mut lane = 0;
    for (i, sum) in sums.iter().enumerate().filter(|(_, s)| **s > 0.0) {
        lane = i;
        if point < *sum {
            break;
        }
        point -= sum;
    }
    lane * LANE + find(&values[lane * LANE..][..LANE], point)
}

/// All topics of all documents.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    topics: usize,
    lanes: usize,
    alpha: f32,
    /// By document, in whole lanes. Without the prior: sums with it would not come back to what they were.
    counts: Vec<f32>,
    products: Vec<f32>,
    sums: Vec<f32>,
}

impl Dense {
    fn new(documents: usize, topics: usize, alpha: f32) -> Self {
        let lanes = topics.div_ceil(LANE);
        Dense {
            topics,
            lanes,
            alpha,
            counts: vec![0.0; documents * lanes * LANE],
            products: vec![0.0; lanes * LANE],
            sums: vec![0.0; lanes],
        }
    }
}

impl Documents for Dense {
    #[inline(always)]
    fn add(&mut self, d: usize, k: usize) {
        self.counts[d * self.lanes * LANE + k] += 1.0;
    }
    #[inline(always)]
    fn remove(&mut self, d: usize, k: usize) {
        self.counts[d * self.lanes * LANE + k] -= 1.0;
    }
    #[inline(always)]
    fn expect(&self, d: usize) {
        // A number of each line of the cache: what comes of them is of no interest.
        let lines = self.counts[d * self.lanes * LANE..][..self.lanes * LANE].as_chunks::<LANE>().0;
        std::hint::black_box(lines.iter().fold(0, |all, line| all | line[0].to_bits()));
    }
    #[inline(always)]
    fn draw(&mut self, word: &WordState, d: usize, _: Token, _: &[u16], rng: &mut Stream) -> usize {
        let size = self.lanes * LANE;
        let counts = self.counts[d * size..][..size].as_chunks::<LANE>().0;
        let (weights, share) = (word.weights.as_chunks::<LANE>().0, unit_f64(rng) as f32);
        let (products, sums, alpha) = (&mut self.products, &mut self.sums, self.alpha);
        let all = products_of_lanes(counts, weights, alpha, products.as_chunks_mut().0, sums);
        find_in_lanes(sums, products, share * all)
    }
    fn likelihood(&self, of: &OfDocuments) -> f64 {
        let rows = self.counts.chunks_exact(self.lanes * LANE);
        rows.map(|row| of.of(row.iter().map(|n| *n as u64))).sum()
    }
}

/// The topics that each document has.
#[derive(Debug, Clone)]
pub(super) struct Sparse {
    alpha: f32,
    /// By document: where its topics begin in `topics` and `counts`, which have room for as many as it can have.
    starts: Vec<usize>,
    /// By document: how many topics it has.
    used: Vec<u32>,
    topics: Vec<u16>,
    counts: Vec<u32>,
    /// Sums of lanes of the weights of the word, and their sum.
    sums: Vec<f32>,
    all: f32,
    products: Vec<f32>,
}

impl Sparse {
    /// Of documents with so many tokens.
    fn new(lengths: &[u32], topics: usize, alpha: f32) -> Self {
        let mut room = 0;
        let mut starts = vec![0];
        starts.extend(lengths.iter().map(|length| {
            room += (*length as usize).min(topics);
            room
        }));
        Sparse {
            alpha,
            used: vec![0; lengths.len()],
            starts,
            topics: vec![0; room],
            counts: vec![0; room],
            sums: vec![0.0; topics.div_ceil(LANE)],
            all: 0.0,
            products: vec![0.0; topics],
        }
    }
    fn find_topic(&self, d: usize, k: usize) -> Option<usize> {
        let (start, used) = (self.starts[d], self.used[d] as usize);
        self.topics[start..start + used].iter().position(|t| *t as usize == k).map(|at| start + at)
    }
}

impl Documents for Sparse {
    fn add(&mut self, d: usize, k: usize) {
        match self.find_topic(d, k) {
            Some(at) => self.counts[at] += 1,
            None => {
                let at = self.starts[d] + self.used[d] as usize;
                (self.topics[at], self.counts[at]) = (k as u16, 1);
                self.used[d] += 1;
            }
        }
    }
    fn remove(&mut self, d: usize, k: usize) {
        let at = self.find_topic(d, k).expect("the document has a token of the topic");
        self.counts[at] -= 1;
        if self.counts[at] == 0 {
            self.used[d] -= 1;
            let last = self.starts[d] + self.used[d] as usize;
            self.topics.swap(at, last);
            self.counts.swap(at, last);
        }
    }
    fn turn(&mut self, word: &WordState) {
        for (sum, lane) in self.sums.iter_mut().zip(word.weights.as_chunks().0) {
            *sum = sum_of_lane(lane);
        }
        self.all = self.sums.iter().sum();
    }
    fn changed(&mut self, word: &WordState, k: usize) {
        let lane = k / LANE;
        let sum = sum_of_lane(&word.weights.as_chunks().0[lane]);
        self.all += sum - self.sums[lane];
        self.sums[lane] = sum;
    }
    fn draw(&mut self, word: &WordState, d: usize, _: Token, _: &[u16], rng: &mut Stream) -> usize {
        let (start, used) = (self.starts[d], self.used[d] as usize);
        let own = self.topics[start..start + used].iter().zip(&self.counts[start..start + used]);
        let mut of_document = 0.0;
        for (product, (k, n)) in self.products.iter_mut().zip(own) {
            *product = *n as f32 * word.weights[*k as usize];
            of_document += *product;
        }
        let of_prior = self.alpha * self.all;
        let point = unit_f64(rng) as f32 * (of_document + of_prior);
        if point < of_document {
            self.topics[start + find(&self.products[..used], point)] as usize
        } else {
            find_in_lanes(&self.sums, &word.weights, (point - of_document) / self.alpha)
        }
    }
    fn likelihood(&self, of: &OfDocuments) -> f64 {
        let row = |d: usize| &self.counts[self.starts[d]..][..self.used[d] as usize];
        (0..self.used.len()).map(|d| of.of(row(d).iter().map(|n| u64::from(*n)))).sum()
    }
}

/// Proposals in constant time.
struct Alias {
    alpha: f32,
    k: usize,
    proposals: usize,
    counts: Vec<u32>,
    /// Tokens by document.
    starts: Vec<u32>,
    tokens: Vec<u32>,
    /// The weights of which the word's table was made, and the table: the chance to stay in a slot, and where to go else.
    weights: Vec<f32>,
    stay: Vec<f32>,
    other: Vec<u16>,
    small: Vec<u16>,
    large: Vec<u16>,
}

impl Alias {
    fn new(batch: &Batch, topics: usize, alpha: f32, proposals: usize) -> Self {
        let (starts, tokens) = batch.by_document();
        Alias {
            alpha,
            k: topics,
            proposals,
            counts: vec![0; batch.ids.len() * topics],
            starts,
            tokens,
            weights: vec![0.0; topics],
            stay: vec![0.0; topics],
            other: vec![0; topics],
            small: vec![],
            large: vec![],
        }
    }
    /// A topic by the weights that the word had when its table was made.
    #[inline]
    fn propose_of_word(&self, rng: &mut Stream) -> usize {
        let slot = below(rng, self.k as u64) as usize;
        if (unit_f64(rng) as f32) < self.stay[slot] { slot } else { self.other[slot] as usize }
    }
    /// A topic by the counts of the document with the token itself, and the prior.
    #[inline]
    fn propose_of_document(
        &self,
        d: usize,
        topics: &[u16],
        token: Token,
        now: usize,
        rng: &mut Stream,
    ) -> usize {
        let (start, end) = (self.starts[d] as usize, self.starts[d + 1] as usize);
        let (length, prior) = ((end - start) as f64, f64::from(self.alpha) * self.k as f64);
        let point = unit_f64(rng) * (length + prior);
        if point < length {
            let chosen = self.tokens[start + point as usize] as usize;
            if chosen == token.at { now } else { topics[chosen] as usize }
        } else {
            below(rng, self.k as u64) as usize
        }
    }
    fn weight(&self, word: &WordState, d: usize, k: usize) -> f32 {
        (self.counts[d * self.k + k] as f32 + self.alpha) * word.weights[k]
    }
}

impl Documents for Alias {
    #[inline]
    fn add(&mut self, d: usize, k: usize) {
        self.counts[d * self.k + k] += 1;
    }
    #[inline]
    fn remove(&mut self, d: usize, k: usize) {
        self.counts[d * self.k + k] -= 1;
    }
    /// Vose's construction: slots with less than their share get the rest from one that has more.
    fn turn(&mut self, word: &WordState) {
        self.weights.copy_from_slice(&word.weights[..self.k]);
        let all: f32 = self.weights.iter().sum();
        self.small.clear();
        self.large.clear();
        for (k, weight) in self.weights.iter().enumerate() {
            self.stay[k] = weight * self.k as f32 / all;
            if self.stay[k] < 1.0 { self.small.push(k as u16) } else { self.large.push(k as u16) }
        }
        while let Some(large) = self.large.last().copied() {
            let Some(small) = self.small.pop() else { break };
            self.other[small as usize] = large;
            self.stay[large as usize] -= 1.0 - self.stay[small as usize];
            if self.stay[large as usize] < 1.0 {
                self.large.pop();
                self.small.push(large);
            }
        }
        // What is left has its share but for rounding.
        self.small.iter().chain(&self.large).for_each(|k| self.stay[*k as usize] = 1.0);
    }
    fn draw(&mut self, word: &WordState, d: usize, token: Token, topics: &[u16], rng: &mut Stream) -> usize {
        let mut now = token.old;
        for _ in 0..self.proposals {
            let next = self.propose_of_word(rng);
            if next != now {
                let there = self.weight(word, d, next) * self.weights[now];
                let here = self.weight(word, d, now) * self.weights[next];
                if unit_f64(rng) as f32 * here < there {
                    now = next;
                }
            }
            let next = self.propose_of_document(d, topics, token, now, rng);
            if next != now {
                // There and back the proposals are as likely as the document's counts of the two say, which are factors
                // of what is drawn from: what remains is the word's part.
                if unit_f64(rng) as f32 * word.weights[now] < word.weights[next] {
                    now = next;
                }
            }
        }
        now
    }
    fn likelihood(&self, of: &OfDocuments) -> f64 {
        self.counts.chunks_exact(self.k).map(|row| of.of(row.iter().map(|n| u64::from(*n)))).sum()
    }
}
