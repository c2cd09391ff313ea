//! `train medlda`: read documents with classes, split, sample, measure, store.

use super::rows::Files;
use super::{Measured, Trained, finish, target};
use crate::args::{Globals, MedldaArgs};
use crate::commands::topics::note_topics;
use crate::data::vocabulary;
use crate::labels::{self, Accepts};
use crate::model::{check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::classification::{MaxMarginTopicsModel, MaxMarginTopicsParams};
use slackwater_mllib::optimization::Progress;
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "medlda";

/// Runs `train medlda`.
pub fn run(globals: &Globals, args: &MedldaArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, args.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed);
    params.check()?;
    let files = Files::open(&args.input, &args.held_out, globals)?;
    files.input.needs_labels();
    let names = args.vocabulary.as_ref().map(vocabulary).transpose()?;
    Session::run(globals, |session| {
        let outcome = fit(session, args, &params, &files, names.clone()).map_err(|e| {
            let e = labels::counts_located(e, &files.input);
            labels::located(e, &files.input, Some(&Accepts::Classes))
        })?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, files.input.features())
        })
    })
}

fn params(args: &MedldaArgs, seed: u64) -> MaxMarginTopicsParams {
    let default = MaxMarginTopicsParams::default();
    MaxMarginTopicsParams {
        topics: args.topics.unwrap_or(default.topics),
        alpha: args.alpha.unwrap_or(default.alpha),
        beta: args.beta.unwrap_or(default.beta),
        cost: args.cost.unwrap_or(default.cost),
        margin: args.margin.unwrap_or(default.margin),
        variance: args.variance.unwrap_or(default.variance),
        epochs: args.epochs.unwrap_or(default.epochs),
        burn_in: args.burn_in,
        evaluate_every: args.evaluate_every.unwrap_or(default.evaluate_every),
        rows: args.count_rows,
        batch: args.batch,
        consistency: args.consistency.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
    }
}

fn fit(
    session: &Session,
    args: &MedldaArgs,
    params: &MaxMarginTopicsParams,
    files: &Files,
    names: Option<Vec<String>>,
) -> Result<Outcome> {
    let rows = files.rows(session, params.seed)?;
    let shown = names.clone();
    let snapshots = args.snapshots.spec();
    let model = params.fit_observed(&rows.training, names, snapshots, &mut |progress| {
        if let Some(n) = args.watch {
            note_topics(session, params.topics, shown.as_deref(), |topic| progress.top_words(topic, n));
            let (loss, accuracy) = (figure(progress.loss), figure(progress.accuracy));
            session.output.note(&format!("epoch {}: loss {loss}, accuracy {accuracy}", progress.epochs));
        }
        let note = Progress {
            iteration: progress.epochs,
            objective: progress.loss,
            gradient_norm: f64::NAN,
            weights: &[],
        };
        session.iteration(NAME, params.epochs, &note)
    })?;
    session.check()?;
    let (evaluation, on) = files.measure(session, &rows, &model)?;
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: files.input.name(), model, measured, bad_rows: 0 })
}

/// What was done.
struct Outcome {
    data: String,
    model: MaxMarginTopicsModel,
    measured: Measured,
    bad_rows: u64,
}

impl Outcome {
    fn tokens_per_second(&self) -> f64 {
        let summary = self.model.summary();
        summary.tokens as f64 * summary.epochs as f64 / summary.seconds_in_training
    }
}

impl Trained for Outcome {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &Path, seconds: f64) -> Value {
        let (model, summary) = (&self.model, self.model.summary());
        json!({
            "command": "train",
            "algorithm": NAME,
            "data": self.data,
            "rows": summary.documents,
            "tokens": summary.tokens,
            "words": model.words(),
            "classes": model.classes(),
            "partitions": summary.partitions,
            "batch": summary.batch,
            "epochs": summary.epochs,
            "loss": summary.loss,
            "loss_history": summary.loss_history,
            "training_accuracy": summary.accuracy,
            "samples": summary.samples,
            "tokens_per_second": self.tokens_per_second(),
            "stop": summary.stop.to_string(),
            "converged": summary.stop.is_converged(),
            "parameters": model.params(),
            "measured_on": self.measured.on.name(),
            "metrics": self.measured.evaluation.to_json(),
            "bad_rows": self.bad_rows,
            "model": target,
            "seconds": seconds,
        })
    }

    fn text(&self, target: &Path, seconds: f64) -> String {
        let (model, summary) = (&self.model, self.model.summary());
        let text = format!(
            "data       {}: {}, {}, {}, {} classes\n",
            self.data,
            count(summary.documents, "document"),
            count(summary.tokens, "token"),
            count(model.words() as u64, "word"),
            model.classes().len(),
        );
        let training = format!(
            "training   {}, {}, {} of {}, loss {}, accuracy {}, {}\n",
            count(model.topics() as u64, "topic"),
            count(summary.epochs as u64, "epoch"),
            count(summary.partitions as u64, "partition"),
            count(summary.batch as u64, "document"),
            figure(summary.loss),
            figure(summary.accuracy),
            summary.stop,
        );
        let speed = figure((self.tokens_per_second() * 1e-4).round() * 1e-2);
        let speed = format!("sampler    {speed} M tokens a second\n");
        text + &training + &speed + &self.measured.text(target, seconds)
    }
}
