//! `train sparse-coding`: read, split, fit, measure, store.

use super::rows::Files;
use super::{Measured, Trained, finish, target};
use crate::args::{Globals, SparseCodingArgs};
use crate::commands::coding::measure;
use crate::model::{check_columns, check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::decomposition::{SparseCodingModel, SparseCodingParams};
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "sparse-coding";

/// Runs `train sparse-coding`.
pub fn run(globals: &Globals, args: &SparseCodingArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, args.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed);
    params.check()?;
    if args.input.read.binarize.is_some() {
        return Err(Error::config("binarize", "is for labels, and sparse coding has no use for them"));
    }
    let files = Files::open(&args.input, &args.held_out, globals)?;
    Session::run(globals, |session| {
        let outcome = fit(session, args, &params, &files)?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, files.input.features())
        })
    })
}

fn params(args: &SparseCodingArgs, seed: u64) -> SparseCodingParams {
    let default = SparseCodingParams::default();
    SparseCodingParams {
        atoms: args.atoms.unwrap_or(default.atoms),
        lambda: args.lambda.unwrap_or(default.lambda),
        bound: args.bound.unwrap_or(default.bound),
        non_negative_codes: args.non_negative_codes,
        non_negative_atoms: args.non_negative_atoms,
        first_atoms: args.first_atoms.unwrap_or(default.first_atoms),
        epochs: args.epochs.unwrap_or(default.epochs),
        step_size: args.step_size.unwrap_or(default.step_size),
        decay: args.decay.unwrap_or(default.decay),
        passes: args.passes.unwrap_or(default.passes),
        batch: args.batch.unwrap_or(default.batch),
        consistency: args.consistency.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
    }
}

fn fit(
    session: &Session,
    args: &SparseCodingArgs,
    params: &SparseCodingParams,
    files: &Files,
) -> Result<Outcome> {
    let rows = files.rows(session, params.seed)?;
    let (epochs, snapshots) = (params.epochs, args.snapshots.spec());
    let model = params
        .fit_observed(&rows.training, snapshots, &mut |progress| session.iteration(NAME, epochs, progress))?;
    session.check()?;
    let (measured, on) = files.measured_rows(session, &rows)?;
    let evaluation = measure(&model, &measured)?;
    check_columns(model.columns(), evaluation.columns, &files.measured_input().name())?;
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: files.input.name(), model, measured, bad_rows: 0 })
}

/// What was done.
struct Outcome {
    data: String,
    model: SparseCodingModel,
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
            "atoms": model.atoms(),
            "unused": summary.unused,
            "epochs": summary.objective_history.len(),
            "objective_history": summary.objective_history,
            "objective": summary.objective,
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
        let mut text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(model.columns() as u64, "column"),
            count(summary.partitions as u64, "partition"),
        );
        text += &format!("dictionary {}, {} unused\n", count(model.atoms() as u64, "atom"), summary.unused);
        text += &format!(
            "training   {} of {} rows a partition, objective {}, {}\n",
            count(summary.objective_history.len() as u64, "epoch"),
            model.params().batch,
            figure(summary.objective),
            summary.stop,
        );
        text + &self.measured.text(target, seconds)
    }
}
