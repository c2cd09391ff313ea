//! Training: from rows to tables, and from tables to a model.

use super::batch::{Census, Labelled, batches, class_of, losses};
use super::model::Attributes;
use super::sampler::{Classes, Counts, Priors, Sampler};
use super::scales::draw_inverse;
use super::weights::{Term, Weights, columns, zero};
use super::{MaxMarginTopicsModel, MaxMarginTopicsParams, MaxMarginTopicsSummary};
use crate::clustering::lda::batch::batch_of;
use crate::clustering::lda::counts::top;
use crate::objective::DatasetRows;
use crate::optimization::Stop;
use crate::pool::Pool;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng::Stream;
use slackwater_dataflow::{Context, Dataset, Error, Result};
use slackwater_paramstore::{
    Clock, EpochsExt, Report, Snapshots, Table, TableExt, TableSpec, TableValues, TableView,
};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// The state after some epochs.
#[derive(Debug, Clone, Copy)]
pub struct MaxMarginTopicsProgress<'a> {
    /// Epochs done.
    pub epochs: usize,
    /// Mean over documents of the sum of their tasks' hinge losses.
    pub loss: f64,
    /// Share of the documents whose class is the one that their topics and the weights give.
    pub accuracy: f64,
    counts: &'a TableValues<f64>,
}

impl MaxMarginTopicsProgress<'_> {
    /// The `n` words of which a topic has the most tokens, and how many; see [`MaxMarginTopicsModel::top_words`].
    pub fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        top((0..self.counts.rows()).map(|word| self.counts.get(word, topic) as f32), n)
    }
}

/// Called after every evaluation; `Break` ends the training with what it has.
pub type MaxMarginTopicsObserver<'a> = dyn FnMut(&MaxMarginTopicsProgress<'_>) -> ControlFlow<()> + 'a;

impl MaxMarginTopicsParams {
    /// Fits a model to a dataset of points or blocks, or to [`DatasetRows`] that serve several runs: a row is a document, its values
    /// say how often each word occurs, its label is its class. Collective: every process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](MaxMarginTopicsParams::fit_observed).
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<MaxMarginTopicsModel> {
        self.fit_observed(&data.into(), None, None, &mut |_| ControlFlow::Continue(()))
    }
    /// [`fit`](MaxMarginTopicsParams::fit) with the names of the words, with snapshots, and with an observer, which is told loss and
    /// accuracy at every evaluation. Without names there are as many words as columns. Evaluations before a training was
    /// resumed are not repeated.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; data, for a value that is no count or a label that is no whole number; input, if there
    /// are no words, a word without a name, or only one class; numerical, if weights are no numbers; what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut MaxMarginTopicsObserver<'_>,
    ) -> Result<MaxMarginTopicsModel> {
        self.check()?;
        let census = Census::new(rows)?;
        let words = match &vocabulary {
            Some(names) if names.len() < census.words => {
                return Err(Error::input(
                    format!("word {} has no name: the vocabulary has {}", census.words, names.len()),
                    "the first name is that of the first column",
                ));
            }
            Some(names) => names.len(),
            None => census.words,
        };
        let partitions = rows.blocks().num_partitions();
        let batch = self.batch.unwrap_or_else(|| batch_of(census.documents, census.tokens, partitions));
        let tasks = if census.classes.len() == 2 { 1 } else { census.classes.len() };
        let packed = batches(rows, batch, &census.classes).cache();
        let fit = Fit { params: self, packed: &packed, census, words, batch, tasks };
        let model = fit.train(vocabulary, snapshots, observer);
        packed.unpersist();
        model
    }
}

/// One training.
struct Fit<'a> {
    params: &'a MaxMarginTopicsParams,
    packed: &'a Dataset<Labelled>,
    census: Census,
    words: usize,
    batch: usize,
    /// Rows of weights.
    tasks: usize,
}

/// What all partitions share.
struct Tables {
    of_words: Table<f64>,
    totals: Table<f64>,
    /// A row a task: what its weights are drawn from. In the last row: documents whose class is right.
    sums: Table<f64>,
    /// The sums of the counts, and of the weights, at the evaluations after the burn-in.
    samples: Option<[Table<f64>; 2]>,
}

impl Tables {
    fn all(&self) -> Vec<&Table<f64>> {
        [&self.of_words, &self.totals, &self.sums].into_iter().chain(self.samples.iter().flatten()).collect()
    }
}

impl Fit<'_> {
    fn tables(&self, cx: &Context) -> Result<Tables> {
        let (params, topics) = (self.params, self.params.topics);
        let table = |name: &str, rows, columns, is_sparse| {
            let spec = match is_sparse {
                true => TableSpec::sparse(rows, columns),
                false => TableSpec::dense(rows, columns),
            };
            cx.table(name, spec.consistency(params.consistency))
        };
        let is_sparse = params.rows.are_sparse(self.words, topics, self.census.tokens);
        Ok(Tables {
            of_words: table("topics of words", self.words, topics, is_sparse)?,
            totals: table("topics", 1, topics, false)?,
            sums: table("sums of documents", self.tasks + 1, columns(topics), false)?,
            samples: match params.burn_in {
                None => None,
                Some(_) => Some([
                    table("sampled topics of words", self.words, topics, is_sparse)?,
                    table("sampled weights", self.tasks, topics, false)?,
                ]),
            },
        })
    }
    fn train(
        &self,
        vocabulary: Option<Vec<String>>,
        snapshots: Option<Snapshots>,
        observer: &mut MaxMarginTopicsObserver<'_>,
    ) -> Result<MaxMarginTopicsModel> {
        let params = self.params;
        let tables = self.tables(self.packed.context())?;
        let gibbs = Gibbs::new(self);
        let (mut stop, mut before) = (Stop::IterationLimit, None);
        let training = self
            .packed
            .epochs(params.epochs as u64)
            .batch(1)
            .seed(params.seed)
            .local(|_, batches: &[Labelled]| State::new(batches.len()))
            .update_all(&tables.all(), move |state, batches, tables, clock| {
                gibbs.run(state, batches, tables, clock)
            })
            .every(params.evaluate_every as u64)
            .until(|progress| {
                let loss = progress.loss() / self.census.documents as f64;
                let counts = tables.of_words.snapshot();
                let accuracy = self.accuracy(&tables);
                let epochs = progress.epochs as usize;
                let note = MaxMarginTopicsProgress { epochs, loss, accuracy, counts: &counts };
                let change = before.replace(loss).map(|before| ((loss - before) / before).abs());
                if observer(&note).is_break() {
                    stop = Stop::Observer;
                } else if change.zip(params.tolerance).is_some_and(|(change, tolerance)| change < tolerance) {
                    stop = Stop::Objective;
                }
                stop != Stop::IterationLimit
            });
        let report = match snapshots {
            Some(snapshots) => training.snapshots(snapshots).run()?,
            None => training.run()?,
        };
        self.model(&tables, &report, stop, vocabulary)
    }
    fn accuracy(&self, tables: &Tables) -> f64 {
        tables.sums.get(self.tasks, 0) / self.census.documents as f64
    }
    fn model(
        &self,
        tables: &Tables,
        report: &Report,
        stop: Stop,
        vocabulary: Option<Vec<String>>,
    ) -> Result<MaxMarginTopicsModel> {
        let (params, epochs) = (self.params, report.epochs as usize);
        let samples = (1..=epochs).filter(|n| params.is_sample(*n)).count();
        let (counts, weights) = match &tables.samples {
            Some([counts, weights]) if samples > 0 => {
                let mean = |x: &f64| x / samples as f64;
                (self.counts(counts, mean), weights.values().iter().map(mean).collect())
            }
            _ => {
                let sums = tables.sums.values();
                let means = Weights::means(&sums[..self.tasks * columns(params.topics)], params)?;
                (self.counts(&tables.of_words, |x| *x), means)
            }
        };
        let loss_history: Vec<f64> =
            report.losses.iter().map(|loss| loss / self.census.documents as f64).collect();
        let summary = MaxMarginTopicsSummary {
            documents: self.census.documents,
            tokens: self.census.tokens,
            partitions: self.packed.num_partitions(),
            batch: self.batch,
            epochs,
            loss: loss_history.last().copied().unwrap_or(f64::NAN),
            loss_history,
            accuracy: self.accuracy(tables),
            samples,
            seconds_in_training: report.wall_us as f64 * 1e-6,
            stop,
        };
        let attributes = Attributes {
            words: self.words,
            classes: self.census.classes.clone(),
            weights,
            params: params.clone(),
            summary,
        };
        Ok(MaxMarginTopicsModel::new(counts, vocabulary, attributes))
    }
    fn counts(&self, table: &Table<f64>, value: impl Fn(&f64) -> f64) -> Vec<f32> {
        let (values, topics) = (table.snapshot(), self.params.topics);
        let mut counts = vec![0f32; self.words * topics];
        for (word, row) in counts.chunks_exact_mut(topics).enumerate() {
            values.entries(word).iter().for_each(|(k, n)| row[*k as usize] = value(n) as f32);
        }
        counts
    }
}

/// What stays with a partition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// By batch.
    batches: Vec<OfBatch>,
    /// What the clocks of the epoch so far change in the sums; nothing between epochs.
    changes: Vec<f64>,
    /// Documents whose class is right: in this epoch so far, and in the last.
    right: [f64; 2],
}

impl State {
    fn new(batches: usize) -> Self {
        State { batches: vec![OfBatch::default(); batches], ..State::default() }
    }
}

/// What is kept of the documents of a batch: nothing before the first epoch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfBatch {
    /// By token.
    topics: Vec<u16>,
    /// Documents x tasks: `1/λ`.
    inverse_scales: Vec<f64>,
}

/// What every clock needs to know.
struct Gibbs {
    params: MaxMarginTopicsParams,
    priors: Priors,
    tasks: usize,
    /// The weights of an epoch, in this process.
    weights: Mutex<Option<(u64, Arc<Weights>)>>,
    samplers: Pool<Sampler>,
}

impl Gibbs {
    fn new(fit: &Fit<'_>) -> Self {
        let MaxMarginTopicsParams { alpha, beta, .. } = *fit.params;
        Gibbs {
            params: fit.params.clone(),
            priors: Priors {
                alpha: alpha as f32,
                beta: beta as f32,
                beta_sum: (beta * fit.words as f64) as f32,
            },
            tasks: fit.tasks,
            weights: Mutex::new(None),
            samplers: Pool::default(),
        }
    }
    /// The weights of the clock's epoch. Whoever comes first in a process draws them.
    fn weights(&self, sums: &TableView<'_, f64>, epoch: u64) -> Result<Arc<Weights>> {
        let topics = self.params.topics;
        if epoch == 0 {
            return Ok(Arc::new(zero(self.tasks, topics)));
        }
        let mut known = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, weights)) = &*known
            && *of == epoch
        {
            return Ok(weights.clone());
        }
        let mut all = vec![0.0; self.tasks * columns(topics)];
        sums.read_rows(0, &mut all);
        let weights = Arc::new(Weights::draw(&all, &self.params, epoch)?);
        *known = Some((epoch, weights.clone()));
        Ok(weights)
    }
    fn run(
        &self,
        state: &mut State,
        batches: &[Labelled],
        tables: &mut [TableView<'_, f64>],
        clock: &mut Clock,
    ) {
        let [words, totals, sums, samples @ ..] = tables else { unreachable!("training has its tables") };
        let Ok(weights) = self.weights(sums, clock.epoch()) else {
            // Ends the training with a numerical error.
            return clock.loss(f64::NAN);
        };
        let step = clock.number() % clock.clocks_per_epoch();
        let is_sample = self.params.is_sample(clock.epoch() as usize + 1);
        if let (0, 0, true, [_, of_weights]) = (clock.partition(), step, is_sample, &mut *samples) {
            of_weights.inc_rows(0, &weights.means);
        }
        for labelled in batches {
            let before = totals.row(0);
            let mut now = before.clone();
            let topics = self.samplers.with(|sampler| {
                let counts = &mut OfWords(words);
                self.sweep(sampler, state, labelled, &weights, &mut now, counts, clock)
            });
            let changes = now.iter().zip(&before).enumerate().filter(|(_, (now, then))| now != then);
            totals.inc_batch(0, changes.map(|(k, (now, then))| (k, now - then)));
            if let (true, [of_words, _]) = (is_sample, &mut *samples) {
                for (word, tokens) in labelled.batch.by_word().iter() {
                    tokens.for_each(|t| of_words.inc(word, usize::from(topics[t]), 1.0));
                }
            }
        }
        if step + 1 == clock.clocks_per_epoch() {
            let changes = std::mem::take(&mut state.changes);
            if !changes.is_empty() {
                sums.inc_rows(0, &changes);
            }
            let [right, told] = state.right;
            sums.inc(self.tasks, 0, right - told);
            state.right = [0.0, right];
        }
    }
    /// Draws the topics and scales of a batch; its topics.
    #[expect(clippy::too_many_arguments, reason = "what a sweep reads and changes is of many owners")]
    fn sweep<'s>(
        &self,
        sampler: &mut Sampler,
        state: &'s mut State,
        labelled: &Labelled,
        weights: &Weights,
        totals: &mut [f64],
        counts: &mut impl Counts,
        clock: &mut Clock,
    ) -> &'s [u16] {
        let State { batches, changes, right } = state;
        let OfBatch { topics, inverse_scales } = &mut batches[labelled.batch.number];
        changes.resize(self.tasks * columns(self.params.topics), 0.0);
        let mut classes = &labelled.classes[..];
        let known = std::mem::take(inverse_scales);
        let pulls = Classes {
            classes,
            weights: &weights.drawn,
            inverse_scales: &known,
            cost_and_margin: [self.params.cost, self.params.margin],
        };
        let shares_before = Shares::of_batch(labelled, topics, self.params.topics);
        let (mut loss, mut scores) = (0.0, vec![0.0; self.tasks]);
        inverse_scales.reserve_exact(classes.len() * self.tasks);
        let is_known = !known.is_empty();
        let done = |document: usize, tokens: &[f32], rng: &mut Stream| {
            let class = usize::from(classes[0]);
            classes = &classes[1..];
            let shares = Shares::of_document(tokens);
            for (score, eta) in scores.iter_mut().zip(weights.drawn.chunks_exact(tokens.len())) {
                *score = shares.iter().map(|(k, share)| eta[*k] * share).sum();
            }
            loss += losses(&scores, class, self.params.margin).map(|x| x.max(0.0)).sum::<f64>();
            right[0] += f64::from(u8::from(class_of(&scores) == class));
            let drawn = losses(&scores, class, self.params.margin);
            let start = inverse_scales.len();
            inverse_scales.extend(drawn.map(|loss| draw_inverse(self.params.cost, loss, rng)));
            let cost_margin = self.params.cost * self.params.margin;
            let mut add = |shares: &[(usize, f64)], inverse_scales: &[f64], times| {
                let term = Term { shares, inverse_scales, class };
                term.add_to(changes, self.params.topics, cost_margin, times);
            };
            if is_known {
                add(shares_before.get(document), &known[document * self.tasks..][..self.tasks], -1.0);
            }
            add(&shares, &inverse_scales[start..], 1.0);
        };
        let rng = &mut clock.rng();
        let pulls = is_known.then_some(&pulls);
        sampler.sweep(&labelled.batch, topics, totals, counts, self.priors, pulls, rng, done);
        clock.loss(loss);
        topics
    }
}

/// By document, the topics that it has with their shares of its tokens.
struct Shares {
    starts: Vec<usize>,
    all: Vec<(usize, f64)>,
}

impl Shares {
    fn of_document(tokens: &[f32]) -> Vec<(usize, f64)> {
        let all: f64 = tokens.iter().map(|n| f64::from(*n)).sum();
        let present = tokens.iter().enumerate().filter(|(_, n)| **n > 0.0);
        present.map(|(k, n)| (k, f64::from(*n) / all)).collect()
    }
    fn of_batch(labelled: &Labelled, assigned: &[u16], topics: usize) -> Self {
        let mut shares = Shares { starts: vec![0], all: vec![] };
        if assigned.is_empty() {
            return shares;
        }
        let (starts, tokens) = labelled.batch.by_document();
        let mut counts = vec![0f32; topics];
        for bounds in starts.windows(2) {
            counts.fill(0.0);
            let of_document = &tokens[bounds[0] as usize..bounds[1] as usize];
            of_document.iter().for_each(|t| counts[usize::from(assigned[*t as usize])] += 1.0);
            shares.all.extend(Shares::of_document(&counts));
            shares.starts.push(shares.all.len());
        }
        shares
    }
    fn get(&self, document: usize) -> &[(usize, f64)] {
        &self.all[self.starts[document]..self.starts[document + 1]]
    }
}

/// The counts of words in their table.
struct OfWords<'a, 't>(&'a mut TableView<'t, f64>);

impl Counts for OfWords<'_, '_> {
    fn read(&mut self, word: usize, row: &mut [f64]) {
        self.0.read_row(word, row);
    }
    #[inline]
    fn add(&mut self, word: usize, topic: usize, delta: f64) {
        self.0.inc(word, topic, delta);
    }
}
