//! `train lda`: read documents, split, sample, measure, store.

use super::{Measured, MeasuredOn, Trained, finish, saved, shares, target};
use crate::args::{Globals, TopicsArgs};
use crate::commands::topics::note_topics;
use crate::data::{Documents, check_split, split_records, vocabulary};
use crate::evaluation::Evaluation;
use crate::model::{check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result, StorageLevel};
use slackwater_loaders::sink::{AtomicFile, Existing};
use slackwater_loaders::store::check_output;
use slackwater_mllib::clustering::lda::{DocumentTopics, LdaProgress, LdaSummary, Sampler, Solver};
use slackwater_mllib::clustering::{LdaModel, LdaParams};
use slackwater_mllib::model::Overwrite;
use slackwater_mllib::optimization::Progress;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "lda";

/// Runs `train lda`.
pub fn run(globals: &Globals, args: &TopicsArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_split(&args.held_out.split.split)?;
    check_target(&target, args.output.overwrite)?;
    for file in [&args.word_counts, &args.document_counts].into_iter().flatten() {
        check_output(file)?;
        if file.exists() && !args.output.overwrite {
            let file = file.display();
            return Err(Error::usage(format!("`{file}` is there already\n  hint: --overwrite replaces it")));
        }
    }
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed)?;
    let open = |files| Documents::open(files, args.format.format(), args.index_base, globals.partitions);
    let input = open(&args.data)?;
    let test = match &args.held_out.test[..] {
        [] => None,
        files => Some(open(files)?),
    };
    let names = args.vocabulary.as_ref().map(vocabulary).transpose()?;
    Session::run(globals, |session| {
        let job = Job { session, args, params: &params, input: &input, test: test.as_ref() };
        if args.in_blocks {
            let (outcome, documents) = job.fit_in_blocks(names.clone(), &target)?;
            return finish(session, outcome, &target, start, |_| save_topics(args, documents.as_deref()));
        }
        let (outcome, model, documents) = job.fit(names.clone())?;
        finish(session, outcome, &target, start, |_| {
            save_model(&model, &target, args.output.overwrite, None)?;
            save_words(args, &model)?;
            save_topics(args, documents.as_deref())
        })
    })
}

fn params(args: &TopicsArgs, seed: u64) -> Result<LdaParams> {
    let default = LdaParams::default();
    let params = LdaParams {
        topics: args.topics.unwrap_or(default.topics),
        alpha: args.alpha.unwrap_or(default.alpha),
        beta: args.beta.unwrap_or(default.beta),
        epochs: args.epochs.unwrap_or(default.epochs),
        burn_in: args.burn_in,
        evaluate_every: args.evaluate_every.unwrap_or(default.evaluate_every),
        solver: args.solver,
        sampler: args.sampler.0,
        rows: args.count_rows,
        proposals: args.proposals.unwrap_or(default.proposals),
        batch: args.batch,
        consistency: args.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
    };
    params.check()?;
    if args.proposals.is_some() && params.sampler() != Sampler::Alias {
        return Err(Error::config("proposals", "is for `--sampler alias` only"));
    }
    if args.in_blocks && params.solver != Solver::Rotation {
        return Err(Error::config("in-blocks", "is for `--solver rotation`: tables are in no blocks"));
    }
    if args.watch.is_some() && params.solver == Solver::Rotation {
        return Err(Error::config(
            "watch",
            "is for `--solver table`: nobody has the counts of all words while they rotate",
        ));
    }
    Ok(params)
}

/// What is to be done.
struct Job<'a> {
    session: &'a Session,
    args: &'a TopicsArgs,
    params: &'a LdaParams,
    input: &'a Documents,
    test: Option<&'a Documents>,
}

impl Job<'_> {
    fn iteration(&self, progress: &LdaProgress<'_>) -> ControlFlow<()> {
        let note = Progress {
            iteration: progress.epochs,
            objective: progress.log_likelihood,
            gradient_norm: f64::NAN,
            weights: &[],
        };
        self.session.iteration(NAME, self.params.epochs, &note)
    }
    /// Fits, and stores the model from its blocks.
    fn fit_in_blocks(
        &self,
        names: Option<Vec<String>>,
        target: &Path,
    ) -> Result<(Outcome, Option<Vec<DocumentTopics>>)> {
        let Job { session, args, params, input, .. } = self;
        let documents = input.documents(&session.cx)?;
        let documents = documents.persist(StorageLevel::MemoryAndDisk).named("parsed documents");
        let snapshots = args.snapshots.spec();
        let blocks =
            params.fit_in_blocks(&documents, names, snapshots, &mut |progress| self.iteration(progress))?;
        session.check()?;
        let overwrite = if args.output.overwrite { Overwrite::Replace } else { Overwrite::Refuse };
        blocks.save(target, overwrite)?;
        let topics = args.document_counts.as_ref().map(|_| blocks.documents().collect()).transpose()?;
        let (params, summary) = (blocks.params().clone(), blocks.summary().clone());
        let words = blocks.words();
        Ok((Outcome { data: input.name(), words, params, summary, measured: None, bad_rows: 0 }, topics))
    }
    /// Fits and measures; the documents' topics come with it, if they are to be written.
    fn fit(&self, names: Option<Vec<String>>) -> Result<(Outcome, LdaModel, Option<Vec<DocumentTopics>>)> {
        let Job { session, args, params, input, test } = self;
        // Training and measuring read it: parsed once.
        let documents = input.documents(&session.cx)?;
        let documents = documents.persist(StorageLevel::MemoryAndDisk).named("parsed documents");
        let weights = &args.held_out.split.split;
        let training = match weights.is_empty() {
            true => documents.clone(),
            false => split_records(&documents, weights, 0, params.seed),
        };
        let shown = names.clone();
        let fit = params.fit_observed(&training, names, args.snapshots.spec(), &mut |progress| {
            if let Some(n) = args.watch {
                note_topics(session, params.topics, shown.as_deref(), |topic| progress.top_words(topic, n));
            }
            self.iteration(progress)
        })?;
        session.check()?;
        let (measured, on) = match test {
            Some(test) => (test.documents(&session.cx)?, MeasuredOn::Test),
            None if weights.is_empty() => (training, MeasuredOn::Training),
            None => (split_records(&documents, weights, 1, params.seed), MeasuredOn::HeldOut),
        };
        let evaluation = Evaluation::of_words(fit.model.perplexity(&measured)?);
        let measured = Some(Measured { evaluation, on, all_metrics: args.output.metrics });
        let topics = args.document_counts.as_ref().map(|_| fit.documents.collect()).transpose()?;
        let (params, summary) = (fit.model.params().clone(), fit.model.summary().clone());
        let words = fit.model.words();
        let outcome = Outcome { data: input.name(), words, params, summary, measured, bad_rows: 0 };
        Ok((outcome, fit.model, topics))
    }
}

/// What was done.
struct Outcome {
    data: String,
    words: usize,
    params: LdaParams,
    summary: LdaSummary,
    /// Nothing if the model is only in its blocks.
    measured: Option<Measured>,
    bad_rows: u64,
}

/// A line: a name, and numbers with tabs between.
fn line(name: &str, numbers: impl Iterator<Item = impl ToString>) -> String {
    let mut line = name.to_string();
    for number in numbers {
        line.push('\t');
        line += &number.to_string();
    }
    line.push('\n');
    line
}

fn write(path: &Path, overwrite: bool, lines: impl Iterator<Item = String>) -> Result<()> {
    let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
    let mut file = AtomicFile::create(path, existing)?;
    for line in lines {
        file.append(line.as_bytes())?;
    }
    file.commit()
}

fn save_words(args: &TopicsArgs, model: &LdaModel) -> Result<()> {
    let Some(path) = &args.word_counts else { return Ok(()) };
    let word = |w: u32| {
        let name = model.name(w).map_or_else(|| w.to_string(), str::to_string);
        line(&name, model.counts(w).iter())
    };
    write(path, args.output.overwrite, (0..model.words() as u32).map(word))
}

fn save_topics(args: &TopicsArgs, documents: Option<&[DocumentTopics]>) -> Result<()> {
    let (Some(path), Some(documents)) = (&args.document_counts, documents) else { return Ok(()) };
    let document = |d: &DocumentTopics| line(&d.id.to_string(), d.counts.iter());
    write(path, args.output.overwrite, documents.iter().map(document))
}

impl Outcome {
    fn tokens_per_second(&self) -> f64 {
        let summary = &self.summary;
        summary.tokens as f64 * summary.epochs as f64 / summary.seconds_in_training
    }
}

impl Trained for Outcome {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &Path, seconds: f64) -> Value {
        let summary = &self.summary;
        let history = summary.log_likelihood_history.iter();
        json!({
            "command": "train",
            "algorithm": NAME,
            "data": self.data,
            "rows": summary.documents,
            "tokens": summary.tokens,
            "words": self.words,
            "partitions": summary.partitions,
            "batch": summary.batch,
            "sampler": self.params.sampler().name(),
            "epochs": summary.epochs,
            "log_likelihood": summary.log_likelihood,
            "log_likelihood_history": history.map(|(epochs, value)| json!([epochs, value])).collect::<Vec<_>>(),
            "tokens_per_second": self.tokens_per_second(),
            "model_bytes": summary.model_bytes,
            "stop": summary.stop.to_string(),
            "converged": summary.stop.is_converged(),
            "parameters": self.params,
            "measured_on": self.measured.as_ref().map(|m| m.on.name()),
            "metrics": self.measured.as_ref().map(|m| m.evaluation.to_json()),
            "bad_rows": self.bad_rows,
            "model": target,
            "seconds": seconds,
        })
    }

    fn text(&self, target: &Path, seconds: f64) -> String {
        let summary = &self.summary;
        let text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.documents, "document"),
            count(summary.tokens, "token"),
            count(self.words as u64, "word"),
        );
        let training = format!(
            "training   {}, {}, {} of {}, log likelihood {}, {}\n",
            count(self.params.topics as u64, "topic"),
            count(summary.epochs as u64, "epoch"),
            count(summary.partitions as u64, "partition"),
            count(summary.batch as u64, "document"),
            figure(summary.log_likelihood),
            summary.stop,
        );
        let speed = format!(
            "sampler    {}, {} M tokens a second\n",
            self.params.sampler().name(),
            figure((self.tokens_per_second() * 1e-4).round() * 1e-2)
        );
        let last = match &self.measured {
            Some(measured) => measured.text(target, seconds),
            None => saved(target, seconds),
        };
        text + &training + &speed + &shares("blocks", &summary.model_bytes) + &last
    }
}
