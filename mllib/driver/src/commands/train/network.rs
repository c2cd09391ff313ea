//! `train neural-network`: read, split, fit, measure, store.

use super::rows::Files;
use super::{Measured, Trained, finish, target};
use crate::args::{Globals, NeuralNetworkArgs};
use crate::labels::{self, Accepts};
use crate::model::{check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::classification::neural_network::Layer;
use slackwater_mllib::classification::{NeuralNetworkModel, NeuralNetworkParams};
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "neural-network";

/// Runs `train neural-network`.
pub fn run(globals: &Globals, args: &NeuralNetworkArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, args.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed);
    params.check()?;
    let files = Files::open(&args.input, &args.held_out, globals)?;
    files.input.needs_labels();
    Session::run(globals, |session| {
        let fitted = fit(session, args, &params, &files);
        let outcome = fitted.map_err(|e| labels::located(e, &files.input, Some(&Accepts::Classes)))?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, files.input.features())
        })
    })
}

fn params(args: &NeuralNetworkArgs, seed: u64) -> NeuralNetworkParams {
    let default = NeuralNetworkParams::default();
    NeuralNetworkParams {
        hidden: args.hidden.clone().map_or(default.hidden, |hidden| hidden.0),
        activation: args.activation.unwrap_or(default.activation),
        epochs: args.epochs.unwrap_or(default.epochs),
        step_size: args.step_size.unwrap_or(default.step_size),
        decay: args.decay.unwrap_or(default.decay),
        momentum: args.momentum.unwrap_or(default.momentum),
        regularization: args.regularization.unwrap_or(default.regularization),
        batch: args.batch.unwrap_or(default.batch),
        shuffle: !args.no_shuffle,
        standardize: args.standardize,
        consistency: args.consistency.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
    }
}

/// Numbers of inputs, of the units of every hidden layer, and of outputs.
pub fn widths<'l>(layers: impl Iterator<Item = &'l Layer>) -> String {
    let mut widths = vec![];
    for layer in layers {
        if widths.is_empty() {
            widths.push(layer.inputs.to_string());
        }
        widths.push(layer.outputs.to_string());
    }
    widths.join("-")
}

fn fit(
    session: &Session,
    args: &NeuralNetworkArgs,
    params: &NeuralNetworkParams,
    files: &Files,
) -> Result<Outcome> {
    let rows = files.rows(session, params.seed)?;
    let network = params.for_rows(&rows.training)?;
    let (widths, weights) = (widths(network.layers().iter()), network.parameters() as u64);
    session.output.note(&format!("network {widths}: {}", count(weights, "parameter")));
    let (epochs, snapshots) = (params.epochs, args.snapshots.spec());
    let model = network.train(snapshots, &mut |progress| session.iteration(NAME, epochs, progress))?;
    session.check()?;
    let (evaluation, on) = files.measure(session, &rows, &model)?;
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: files.input.name(), model, widths, measured, bad_rows: 0 })
}

/// What was done.
struct Outcome {
    data: String,
    model: NeuralNetworkModel,
    widths: String,
    measured: Measured,
    bad_rows: u64,
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
            "rows": summary.rows,
            "columns": model.columns(),
            "partitions": summary.partitions,
            "layers": model.layers().map(|(l, _)| [l.inputs, l.outputs]).collect::<Vec<_>>(),
            "weights": summary.parameters,
            "epochs": summary.loss_history.len(),
            "loss_history": summary.loss_history,
            "loss": summary.loss,
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
        let summary = self.model.summary();
        let mut text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(self.model.columns() as u64, "column"),
            count(summary.partitions as u64, "partition"),
        );
        text += &format!(
            "network    {}, {}, {}\n",
            self.widths,
            self.model.params().activation.name(),
            count(summary.parameters as u64, "parameter"),
        );
        text += &format!(
            "training   {} of {} rows a partition, loss {}, {}\n",
            count(summary.loss_history.len() as u64, "epoch"),
            self.model.params().batch,
            figure(summary.loss),
            summary.stop,
        );
        text + &self.measured.text(target, seconds)
    }
}
