//! `train k-means`: read, split, fit, measure, store.

use super::rows::Files;
use super::{Measured, MeasuredOn, Trained, finish, target};
use crate::args::{Globals, KMeansArgs};
use crate::commands::clusters::sizes;
use crate::evaluation::Evaluation;
use crate::model::{Stored, check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::clustering::k_means::{Centers, MinibatchParams, Solver, Start, UnpackedRows};
use slackwater_mllib::clustering::{KMeansModel, KMeansParams};
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "k-means";

/// Runs `train k-means`.
pub fn run(globals: &Globals, args: &KMeansArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, args.output.overwrite)?;
    let first = args.start_from.as_deref().map(first_centers).transpose()?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, first.as_ref(), seed)?;
    params.check()?;
    let files = Files::open(&args.input, &args.held_out, globals)?;
    Session::run(globals, |session| {
        let outcome = fit(session, args, &params, first.as_ref(), &files)?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, files.input.features())
        })
    })
}

fn first_centers(path: &Path) -> Result<Centers> {
    match Stored::load(path)? {
        Stored::Clusters(model) => Ok(model.centers().clone()),
        _ => {
            Err(Error::input(format!("{}: this model has no centres", path.display()), "name one of k-means"))
        }
    }
}

/// Refuses options that would do nothing.
fn check_used(args: &KMeansArgs, solver: Solver, start: Start) -> Result<()> {
    let is_table = solver == Solver::Minibatch;
    let of_table = "is for `--solver minibatch` only";
    for (name, given, used, why) in [
        ("iterations", args.iterations.is_some(), !is_table, "is for `--solver lloyd` only: see --epochs"),
        ("epochs", args.epochs.is_some(), is_table, of_table),
        ("batch", args.batch.is_some(), is_table, of_table),
        ("decay", args.decay.is_some(), is_table, of_table),
        ("consistency", args.consistency.consistency.is_some(), is_table, of_table),
        ("snapshots", args.snapshots.snapshots.is_some(), is_table, of_table),
        ("init-steps", args.init_steps.is_some(), start == Start::Parallel, "is for `--init k-means||` only"),
    ] {
        if given && !used {
            return Err(Error::config(name, why));
        }
    }
    Ok(())
}

fn params(args: &KMeansArgs, first: Option<&Centers>, seed: u64) -> Result<KMeansParams> {
    let default = KMeansParams::default();
    let solver = args.solver.unwrap_or(default.solver);
    let start = match first {
        Some(_) => Start::Given,
        None => args.init.unwrap_or(default.start),
    };
    check_used(args, solver, start)?;
    let table = default.minibatch;
    Ok(KMeansParams {
        k: first.map_or(args.k.unwrap_or(default.k), Centers::k),
        distance: args.distance.unwrap_or(default.distance),
        solver,
        iterations_max: args.iterations.unwrap_or(default.iterations_max),
        tolerance: args.tolerance,
        start,
        start_rounds: args.init_steps.unwrap_or(default.start_rounds),
        restarts: args.restarts.unwrap_or(default.restarts),
        minibatch: MinibatchParams {
            epochs: args.epochs.unwrap_or(table.epochs),
            batch: args.batch.unwrap_or(table.batch),
            decay: args.decay.unwrap_or(table.decay),
            consistency: args.consistency.consistency.unwrap_or(table.consistency),
        },
        seed,
    })
}

fn fit(
    session: &Session,
    args: &KMeansArgs,
    params: &KMeansParams,
    first: Option<&Centers>,
    files: &Files,
) -> Result<Outcome> {
    let (training, held_out) = files.parts(session, params.seed)?;
    let passes = match params.solver {
        Solver::Lloyd => params.iterations_max,
        Solver::Minibatch => params.minibatch.epochs,
    };
    let model =
        params.fit_observed(&UnpackedRows::from(&training), first, args.snapshots.spec(), &mut |p| {
            session.iteration(NAME, passes, p)
        })?;
    session.check()?;
    let (rows, on) = match (&files.test, held_out) {
        (Some(test), _) => (test.blocks(&session.cx)?, MeasuredOn::Test),
        (None, Some(held_out)) => (held_out, MeasuredOn::HeldOut),
        (None, None) => (training, MeasuredOn::Training),
    };
    let metrics = model.evaluate(&rows)?;
    if let Some(test) = &files.test {
        crate::model::check_columns(model.columns(), metrics.columns, &test.name())?;
    }
    let evaluation = Evaluation::of_clusters(metrics);
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: files.input.name(), model, measured, bad_rows: 0 })
}

/// What was done.
struct Outcome {
    data: String,
    model: KMeansModel,
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
            "iterations": summary.iterations,
            "cost": summary.cost,
            "cost_history": summary.cost_history,
            "sizes": model.sizes(),
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
        let (params, summary) = (self.model.params(), self.model.summary());
        let mut text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(self.model.columns() as u64, "column"),
            count(summary.partitions as u64, "partition"),
        );
        text += &format!(
            "centres    {}, {} distance, {}\n",
            self.model.k(),
            params.distance.name(),
            sizes(self.model.sizes()),
        );
        let passes = if params.solver == Solver::Lloyd { "iteration" } else { "epoch" };
        text += &format!(
            "training   {}, {}, cost {}, {}\n",
            params.solver.name(),
            count(summary.iterations as u64, passes),
            figure(summary.cost),
            summary.stop,
        );
        text + &self.measured.text(target, seconds)
    }
}
