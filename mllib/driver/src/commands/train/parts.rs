//! `train nmf` and `train dictionary`: read, split, fit, measure, store.

use super::rows::Files;
use super::{Measured, Trained, finish, shares, target};
use crate::args::{DictionaryArgs, Globals, HeldOutArgs, InputArgs, NmfArgs, OutputArgs};
use crate::commands::parts::{Parts, evaluation};
use crate::labels::negative_located;
use crate::model::{check_columns, check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Config, Error, Result};
use slackwater_mllib::decomposition::{DictionaryParams, NmfParams};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::Observer;
use std::path::Path;
use std::time::Instant;

/// Runs `train nmf`.
pub fn run_nmf(globals: &Globals, args: &NmfArgs) -> Result<u8> {
    let default = NmfParams::default();
    let params = NmfParams {
        rank: args.rank.unwrap_or(default.rank),
        l1_codes: args.l1_codes.unwrap_or(default.l1_codes),
        l2_codes: args.l2_codes.unwrap_or(default.l2_codes),
        l1_components: args.l1_components.unwrap_or(default.l1_components),
        l2_components: args.l2_components.unwrap_or(default.l2_components),
        passes: args.passes.unwrap_or(default.passes),
        epochs: args.epochs.unwrap_or(default.epochs),
        tolerance: args.tolerance.unwrap_or(default.tolerance),
        seed: seed(globals),
    };
    params.check()?;
    let options = Options { input: &args.input, held_out: &args.held_out, output: &args.output };
    run(globals, &options, params.epochs, |rows, observer| {
        params.fit_observed(rows, args.snapshots.spec(), observer)
    })
}

/// Runs `train dictionary`.
pub fn run_dictionary(globals: &Globals, args: &DictionaryArgs) -> Result<u8> {
    let default = DictionaryParams::default();
    let params = DictionaryParams {
        atoms: args.atoms.unwrap_or(default.atoms),
        lambda: args.lambda.unwrap_or(default.lambda),
        non_negative_codes: args.non_negative_codes,
        non_negative_atoms: args.non_negative_atoms,
        first_atoms: args.first_atoms.unwrap_or(default.first_atoms),
        code_tolerance: args.code_tolerance.unwrap_or(default.code_tolerance),
        epochs: args.epochs.unwrap_or(default.epochs),
        tolerance: args.tolerance.unwrap_or(default.tolerance),
        seed: seed(globals),
    };
    params.check()?;
    let options = Options { input: &args.input, held_out: &args.held_out, output: &args.output };
    run(globals, &options, params.epochs, |rows, observer| {
        params.fit_observed(rows, args.snapshots.spec(), observer)
    })
}

fn seed(globals: &Globals) -> u64 {
    globals.seed.unwrap_or(Config::default().seed)
}

/// Options that all have.
struct Options<'a> {
    input: &'a InputArgs,
    held_out: &'a HeldOutArgs,
    output: &'a OutputArgs,
}

fn run<M: Parts>(
    globals: &Globals,
    options: &Options<'_>,
    epochs: usize,
    fit: impl Fn(&DatasetRows, &mut Observer<'_>) -> Result<M>,
) -> Result<u8> {
    let (start, output) = (Instant::now(), options.output);
    let target = target(output.model.as_ref(), M::ALGORITHM);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, output.overwrite)?;
    if options.input.read.binarize.is_some() {
        return Err(Error::config("binarize", "is for labels, and a factorisation has no use for them"));
    }
    let files = Files::open(options.input, options.held_out, globals)?;
    Session::run(globals, |session| {
        let rows = files.rows(session, seed(globals))?;
        let model = fit(&rows.training, &mut |progress| session.iteration(M::ALGORITHM, epochs, progress));
        let model = model.map_err(|e| negative_located(e, &files.input))?;
        session.check()?;
        let (measured, on) = files.measured_rows(session, &rows)?;
        let evaluation = evaluation(&model, &measured)?;
        check_columns(model.columns(), evaluation.columns, &files.measured_input().name())?;
        let measured = Measured { evaluation, on, all_metrics: output.metrics };
        let outcome = Outcome { data: files.input.name(), model, measured, bad_rows: 0 };
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, output.overwrite, files.input.features())
        })
    })
}

/// What was done.
struct Outcome<M> {
    data: String,
    model: M,
    measured: Measured,
    bad_rows: u64,
}

impl<M: Parts> Trained for Outcome<M> {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &Path, seconds: f64) -> Value {
        let (model, summary) = (&self.model, self.model.summary());
        json!({
            "command": "train",
            "algorithm": M::ALGORITHM,
            "data": self.data,
            "rows": summary.rows,
            "columns": model.columns(),
            "partitions": summary.partitions,
            "rank": model.numbers(),
            "unused": summary.unused,
            "epochs": summary.objective_history.len(),
            "objective_history": summary.objective_history,
            "objective": summary.objective,
            "model_bytes": summary.model_bytes,
            "stop": summary.stop.to_string(),
            "converged": summary.stop.is_converged(),
            "parameters": model.parameters(),
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
            "data       {}: {}, {}, {}\n\
             found      {}, {} unused\n\
             training   {}, objective {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(model.columns() as u64, "column"),
            count(summary.partitions as u64, "partition"),
            count(model.numbers() as u64, M::PART),
            summary.unused,
            count(summary.objective_history.len() as u64, "epoch"),
            figure(summary.objective),
            summary.stop,
        );
        text + &shares("components", &summary.model_bytes) + &self.measured.text(target, seconds)
    }
}
