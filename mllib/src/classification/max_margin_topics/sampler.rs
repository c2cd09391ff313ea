//! Draws the topics of the tokens of a batch, document by document.

use super::pull::Pull;
use crate::clustering::lda::batch::Batch;
use crate::clustering::lda::sampler::{LANE, find_in_lanes, sum_of_lane};
use crate::linalg::widest;
use slackwater_dataflow::rng::{Stream, unit_f64};

/// Where the counts of words come from and changes go to.
pub(super) trait Counts {
    /// Reads the counts of a word by topic.
    fn read(&mut self, word: usize, row: &mut [f64]);
    /// One token of the word more (or less) in a topic.
    fn add(&mut self, word: usize, topic: usize, delta: f64);
}

/// The classes, weights and scales of documents, that pull at their tokens.
pub(super) struct Classes<'a> {
    /// By document.
    pub classes: &'a [u16],
    /// Tasks x topics.
    pub weights: &'a [f64],
    /// Documents x tasks: `1/λ`.
    pub inverse_scales: &'a [f64],
    pub cost_and_margin: [f64; 2],
}

/// Prior counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Priors {
    pub alpha: f32,
    pub beta: f32,
    /// Of all words in a topic.
    pub beta_sum: f32,
}

/// What the batches of a thread work with.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Topics, and topics in whole lanes.
    topics: usize,
    width: usize,
    /// Words of the batch x width: tokens by topic, with what the batch has changed.
    rows: Vec<i32>,
    /// By topic.
    totals: Vec<f64>,
    /// `1 / (total + prior)`: 0 beyond the last topic.
    inverse: Vec<f32>,
    /// Tokens of the document by topic.
    counts: Vec<f32>,
    products: Vec<f32>,
    sums: Vec<f32>,
    /// The factors of topics where nothing pulls.
    ones: Vec<f32>,
    pull: Pull,
    /// By token: the place of its word in the batch.
    words: Vec<u32>,
}

impl Sampler {
    /// For so many topics, unless it is.
    fn fit(&mut self, topics: usize) {
        if self.topics == topics {
            return;
        }
        let width = topics.next_multiple_of(LANE);
        *self = Sampler {
            topics,
            width,
            inverse: vec![0.0; width],
            counts: vec![0.0; width],
            products: vec![0.0; width],
            sums: vec![0.0; width / LANE],
            ones: vec![1.0; width],
            pull: Pull::new(topics),
            ..Sampler::default()
        };
    }
    fn load(&mut self, batch: &Batch, totals: &[f64], counts: &mut impl Counts) {
        self.fit(totals.len());
        self.rows.clear();
        self.rows.resize(batch.words.len() * self.width, 0);
        let mut row = vec![0.0; self.topics];
        for (word, to) in batch.words.iter().zip(self.rows.chunks_exact_mut(self.width)) {
            counts.read(*word as usize, &mut row);
            to.iter_mut().zip(&row).for_each(|(to, n)| *to = *n as i32);
        }
        self.totals.clear();
        self.totals.extend_from_slice(totals);
        self.words.clear();
        for (place, (_, tokens)) in batch.by_word().iter().enumerate() {
            self.words.extend(tokens.map(|_| place as u32));
        }
    }
    /// Draws the topics of all tokens of a batch: `topics` has one a token, or none before the first time. `totals` has the
    /// tokens by topic before, and after. After each document `done` is called with its place and its tokens by topic.
    #[expect(clippy::too_many_arguments, reason = "what a sweep reads and changes is of many owners")]
    pub fn sweep(
        &mut self,
        batch: &Batch,
        topics: &mut Vec<u16>,
        totals: &mut [f64],
        counts: &mut impl Counts,
        priors: Priors,
        classes: Option<&Classes<'_>>,
        rng: &mut Stream,
        mut done: impl FnMut(usize, &[f32], &mut Stream),
    ) {
        self.load(batch, totals, counts);
        (0..self.topics).for_each(|k| self.inverse[k] = self.inverse_of(k, priors));
        let is_first = topics.is_empty();
        topics.resize(batch.tokens(), 0);
        let (starts, tokens) = batch.by_document();
        for document in 0..batch.ids.len() {
            let of_document = &tokens[starts[document] as usize..starts[document + 1] as usize];
            self.counts.fill(0.0);
            if !is_first {
                of_document.iter().for_each(|t| self.counts[topics[*t as usize] as usize] += 1.0);
            }
            let (topics, counts, rng) = (&mut topics[..], &mut *counts, &mut *rng);
            let mut scene = Scene { batch, topics, counts, priors, rng };
            // A document without topics has no score yet that a class could pull at.
            match classes.filter(|_| !is_first && !of_document.is_empty()) {
                Some(classes) => widest(
                    #[inline(always)]
                    || self.pulled(document, of_document, classes, &mut scene),
                ),
                None => widest(
                    #[inline(always)]
                    || self.free(of_document, is_first, &mut scene),
                ),
            }
            done(document, &self.counts[..self.topics], rng);
        }
        totals.copy_from_slice(&self.totals);
    }
    #[inline(always)]
    fn inverse_of(&self, k: usize, priors: Priors) -> f32 {
        // Other partitions' changes may be half known.
        1.0 / (self.totals[k].max(0.0) as f32 + priors.beta_sum)
    }
    #[inline(always)]
    fn change(&mut self, word: usize, k: usize, delta: i32, priors: Priors) {
        self.rows[word * self.width + k] += delta;
        self.totals[k] += f64::from(delta);
        self.counts[k] += delta as f32;
        self.inverse[k] = self.inverse_of(k, priors);
    }
    /// Weighs all topics for a token of a word: LDA's weights times some factors. The sum of all weights.
    #[inline(always)]
    fn weigh(&mut self, word: usize, priors: Priors, factors: &[f32]) -> f32 {
        let row = self.rows[word * self.width..][..self.width].as_chunks::<LANE>().0;
        let of_topics = self.inverse.as_chunks::<LANE>().0.iter().zip(self.counts.as_chunks::<LANE>().0);
        let others = row.iter().zip(of_topics).zip(factors.as_chunks::<LANE>().0);
        let lanes = self.products.as_chunks_mut::<LANE>().0.iter_mut().zip(&mut self.sums);
        let mut all = 0.0;
        for ((products, sum), ((row, (inverse, counts)), factors)) in lanes.zip(others) {
            let mut lane = [0.0; LANE];
            for k in 0..LANE {
                let of_word = (row[k].max(0) as f32 + priors.beta) * inverse[k];
                lane[k] = (counts[k] + priors.alpha) * of_word * factors[k];
            }
            *products = lane;
            *sum = sum_of_lane(&lane);
            all += *sum;
        }
        all
    }
    #[inline(always)]
    fn find(&self, all: f32, rng: &mut Stream) -> usize {
        find_in_lanes(&self.sums, &self.products, unit_f64(rng) as f32 * all)
    }
    /// The tokens of a document that nothing pulls at.
    #[inline(always)]
    fn free(&mut self, tokens: &[u32], is_first: bool, scene: &mut Scene<'_, impl Counts>) {
        let ones = std::mem::take(&mut self.ones);
        for token in tokens.iter().map(|t| *t as usize) {
            let word = self.words[token] as usize;
            let old = (!is_first).then(|| scene.topics[token] as usize);
            if let Some(old) = old {
                self.change(word, old, -1, scene.priors);
            }
            let all = self.weigh(word, scene.priors, &ones);
            let new = self.find(all, scene.rng);
            self.change(word, new, 1, scene.priors);
            scene.note(token, self.words[token], old, new);
        }
        self.ones = ones;
    }
    /// The tokens of a document that its classes pull at.
    #[inline(always)]
    fn pulled(
        &mut self,
        document: usize,
        tokens: &[u32],
        classes: &Classes<'_>,
        scene: &mut Scene<'_, impl Counts>,
    ) {
        let mut pull = std::mem::take(&mut self.pull);
        let tasks = classes.weights.len() / self.topics;
        pull.turn(
            classes.weights,
            &classes.inverse_scales[document * tasks..][..tasks],
            usize::from(classes.classes[document]),
            classes.cost_and_margin,
            &self.counts[..self.topics],
        );
        for token in tokens.iter().map(|t| *t as usize) {
            let (word, old) = (self.words[token] as usize, scene.topics[token] as usize);
            self.change(word, old, -1, scene.priors);
            let all = self.weigh(word, scene.priors, pull.factors(old));
            let new = self.find(all, scene.rng);
            self.change(word, new, 1, scene.priors);
            if old != new {
                pull.moved(old, new);
            }
            scene.note(token, self.words[token], Some(old), new);
        }
        self.pull = pull;
    }
}

/// What a document's tokens are drawn in.
struct Scene<'a, C> {
    batch: &'a Batch,
    topics: &'a mut [u16],
    counts: &'a mut C,
    priors: Priors,
    rng: &'a mut Stream,
}

impl<C: Counts> Scene<'_, C> {
    /// A token of a word, by its place in the batch, had a topic and has another, perhaps the same.
    #[inline(always)]
    fn note(&mut self, token: usize, word: u32, old: Option<usize>, new: usize) {
        if old == Some(new) {
            return;
        }
        let word = self.batch.words[word as usize] as usize;
        self.topics[token] = new as u16;
        if let Some(old) = old {
            self.counts.add(word, old, -1.0);
        }
        self.counts.add(word, new, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::block::Document;
    use slackwater_dataflow::rng;

    const TOPICS: usize = 2;
    const WORDS: usize = 3;

    /// Counts of all words, with nobody beside.
    #[derive(Default)]
    struct Alone(Vec<f64>);

    impl Counts for Alone {
        fn read(&mut self, word: usize, row: &mut [f64]) {
            row.copy_from_slice(&self.0[word * TOPICS..][..TOPICS]);
        }
        fn add(&mut self, word: usize, topic: usize, delta: f64) {
            self.0[word * TOPICS + topic] += delta;
        }
    }

    /// Three documents, one of them of one token, with fixed weights and scales of two tasks: all assignments weighed by their
    /// joint probability, against how often a long run has each.
    #[test]
    fn topics_are_drawn_from_the_posterior() {
        let documents = [
            Document::new(0, [(0, 2), (1, 1)]),
            Document::new(1, [(1, 1), (2, 2)]),
            Document::new(2, [(0, 1)]),
            Document::new(3, []),
        ];
        let batch = Batch::new(0, &documents);
        let (alpha, beta, cost, margin) = (0.5, 0.4, 0.9, 1.3);
        let (weights, classes) = ([0.8, -0.9, -0.4, 1.1], [0u16, 1, 1, 0]);
        let inverse_scales = [0.7, 1.4, 2.0, 0.3, 0.6, 0.9, 1.0, 1.0];
        // By token, in the order of the batch: document and word.
        let tokens: Vec<(usize, usize)> = batch
            .by_word()
            .iter()
            .flat_map(|(w, tokens)| tokens.map(|t| (batch.documents[t] as usize, w)).collect::<Vec<_>>())
            .collect();
        let joint = |z: usize| {
            let (mut of_d, mut of_w, mut of_k) = (vec![[0.0; 2]; 4], vec![[0.0; 2]; WORDS], [0.0; 2]);
            let mut p = 1.0;
            for (i, (d, w)) in tokens.iter().enumerate() {
                let k = z >> i & 1;
                let all: f64 = of_d[*d].iter().sum();
                p *= (of_d[*d][k] + alpha) / (all + alpha * 2.0) * (of_w[*w][k] + beta)
                    / (of_k[k] + beta * WORDS as f64);
                of_d[*d][k] += 1.0;
                of_w[*w][k] += 1.0;
                of_k[k] += 1.0;
            }
            for d in 0..3 {
                let n: f64 = of_d[d].iter().sum();
                for l in 0..2 {
                    let score = (weights[2 * l] * of_d[d][0] + weights[2 * l + 1] * of_d[d][1]) / n;
                    let (y, lambda) =
                        (if classes[d] as usize == l { 1.0 } else { -1.0 }, 1.0 / inverse_scales[2 * d + l]);
                    let x: f64 = lambda + cost * (margin - y * score);
                    p *= (-x * x / (2.0 * lambda)).exp();
                }
            }
            p
        };
        let states = 1 << tokens.len();
        let all: f64 = (0..states).map(joint).sum();
        let mut seen = vec![0u32; states];
        let (mut topics, mut totals, mut rng) = (vec![], [0.0; TOPICS], rng::stream(6, 0));
        let (mut counts, mut sampler) = (Alone(vec![0.0; WORDS * TOPICS]), Sampler::default());
        let priors = Priors { alpha: alpha as f32, beta: beta as f32, beta_sum: beta as f32 * 3.0 };
        let classes = Classes {
            classes: &classes,
            weights: &weights,
            inverse_scales: &inverse_scales,
            cost_and_margin: [cost, margin],
        };
        let runs = 400_000;
        for _ in 0..runs {
            let mut visits = 0;
            sampler.sweep(
                &batch,
                &mut topics,
                &mut totals,
                &mut counts,
                priors,
                Some(&classes),
                &mut rng,
                |d, n, _| {
                    assert_eq!((d, n.iter().sum::<f32>() as u64), (visits, documents[d].tokens()));
                    visits += 1;
                },
            );
            assert!(visits == 4 && totals.iter().sum::<f64>() == 7.0);
            seen[topics.iter().enumerate().map(|(i, k)| usize::from(*k) << i).sum::<usize>()] += 1;
        }
        // Draws follow one another, so that a chance is known to about two deviations of independent ones.
        for (z, seen) in seen.into_iter().enumerate() {
            let (want, got) = (joint(z) / all, f64::from(seen) / f64::from(runs));
            let deviation = (want / f64::from(runs)).sqrt();
            assert!((got - want).abs() < 10.0 * deviation + 1e-5, "{z:b}: {got} for {want}");
        }
        // Without the classes it is another distribution.
        let of_words: f64 = counts.0.iter().sum();
        assert_eq!(of_words, 7.0);
    }
}
