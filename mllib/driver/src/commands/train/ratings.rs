//! `train mf`: read ratings, split, fit, measure, store.

use super::{Measured, MeasuredOn, Trained, finish, shares, target};
use crate::args::{Globals, MatrixFactorizationArgs};
use crate::data::{Ratings, check_split, split_records};
use crate::evaluation::Evaluation;
use crate::model::{check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Result, StorageLevel};
use slackwater_mllib::evaluation::RegressionMetrics;
use slackwater_mllib::recommendation::{MatrixFactorizationModel, MatrixFactorizationParams};
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "mf";

/// Runs `train mf`.
pub fn run(globals: &Globals, args: &MatrixFactorizationArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_split(&args.held_out.split.split)?;
    check_target(&target, args.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed);
    params.check()?;
    let input = Ratings::open(&args.data, false, globals.partitions)?;
    let test = match &args.held_out.test[..] {
        [] => None,
        files => Some(Ratings::open(files, false, globals.partitions)?),
    };
    Session::run(globals, |session| {
        let outcome = fit(session, args, &params, &input, test.as_ref())?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, None)
        })
    })
}

fn params(args: &MatrixFactorizationArgs, seed: u64) -> MatrixFactorizationParams {
    let default = match args.non_negative {
        true => MatrixFactorizationParams::non_negative(),
        false => MatrixFactorizationParams { biases: !args.no_biases, ..Default::default() },
    };
    MatrixFactorizationParams {
        rank: args.rank.unwrap_or(default.rank),
        solver: args.solver.unwrap_or(default.solver),
        fugue: args.fugue.unwrap_or(default.fugue),
        inner_iterations: args.inner_iterations.unwrap_or(default.inner_iterations),
        epochs: args.epochs.unwrap_or(default.epochs),
        step_size: args.step_size.unwrap_or(default.step_size),
        decay: args.decay.unwrap_or(default.decay),
        regularization: args.regularization.unwrap_or(default.regularization),
        batch: args.batch,
        consistency: args.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
        ..default
    }
}

fn fit(
    session: &Session,
    args: &MatrixFactorizationArgs,
    params: &MatrixFactorizationParams,
    input: &Ratings,
    test: Option<&Ratings>,
) -> Result<Outcome> {
    // Training and measuring read it: parsed once.
    let ratings = input.ratings(&session.cx)?.persist(StorageLevel::MemoryAndDisk).named("parsed ratings");
    let weights = &args.held_out.split.split;
    let training = match weights.is_empty() {
        true => ratings.clone(),
        false => split_records(&ratings, weights, 0, params.seed),
    };
    let (epochs, snapshots) = (params.epochs, args.snapshots.spec());
    let model = params
        .fit_observed(&training, snapshots, &mut |progress| session.iteration(NAME, epochs, progress))?;
    session.check()?;
    let (ratings, on) = match test {
        Some(test) => (test.ratings(&session.cx)?, MeasuredOn::Test),
        None if weights.is_empty() => (training, MeasuredOn::Training),
        None => (split_records(&ratings, weights, 1, params.seed), MeasuredOn::HeldOut),
    };
    let evaluation = Evaluation::of_values(RegressionMetrics::of(&model.score(&ratings))?)?;
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: input.name(), model, measured, bad_rows: 0 })
}

/// What was done.
struct Outcome {
    data: String,
    model: MatrixFactorizationModel,
    measured: Measured,
    bad_rows: u64,
}

impl Trained for Outcome {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &Path, seconds: f64) -> Value {
        let summary = self.model.summary();
        json!({
            "command": "train",
            "algorithm": NAME,
            "data": self.data,
            "rows": summary.ratings,
            "users": self.model.users().len(),
            "items": self.model.items().len(),
            "partitions": summary.partitions,
            "batch": summary.batch,
            "epochs": summary.rmse_history.len(),
            "rmse_history": summary.rmse_history,
            "rmse": summary.rmse,
            "model_bytes": summary.model_bytes,
            "stop": summary.stop.to_string(),
            "converged": summary.stop.is_converged(),
            "parameters": self.model.params(),
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
            "data       {}: {} of {} by {}\n",
            self.data,
            count(summary.ratings, "rating"),
            count(self.model.items().len() as u64, "item"),
            count(self.model.users().len() as u64, "user"),
        );
        text += &format!(
            "training   {}, {}, {} of {}, RMSE {}, {}\n",
            count(self.model.rank() as u64, "factor"),
            count(summary.rmse_history.len() as u64, "epoch"),
            count(summary.partitions as u64, "partition"),
            count(summary.batch as u64, "rating"),
            figure(summary.rmse),
            summary.stop,
        );
        text + &shares("factors", &summary.model_bytes) + &self.measured.text(target, seconds)
    }
}
