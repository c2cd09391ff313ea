//! `train distance-metric`: read, split, pair, fit, measure, store.

use super::rows::{Files, Rows};
use super::{Measured, MeasuredOn, Trained, finish, target};
use crate::args::{DistanceMetricArgs, Globals, NEIGHBOURS};
use crate::commands::metric::measure;
use crate::data::row_pairs;
use crate::evaluation::Evaluation;
use crate::labels::{self, Accepts};
use crate::model::{check_columns, check_target, save_model};
use crate::output::{count, figure};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::feature::distance_metric::{NearestNeighbours, PairDifferences, Pairs};
use slackwater_mllib::feature::{DistanceMetricModel, DistanceMetricParams};
use std::path::Path;
use std::time::Instant;

/// Its name in the command and in the name of a model.
const NAME: &str = "distance-metric";
/// Rows whose neighbours are looked for after training, about: each is compared with all.
const ASKED_MAX: usize = 1000;

/// Runs `train distance-metric`.
pub fn run(globals: &Globals, args: &DistanceMetricArgs) -> Result<u8> {
    let start = Instant::now();
    let target = target(args.output.model.as_ref(), NAME);
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, args.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let params = params(args, seed);
    params.check()?;
    let files = Files::open(&args.input, &args.held_out, globals)?;
    Session::run(globals, |session| {
        let outcome = fit(session, args, &params, &files)?;
        finish(session, outcome, &target, start, |outcome| {
            save_model(&outcome.model, &target, args.output.overwrite, files.input.features())
        })
    })
}

fn params(args: &DistanceMetricArgs, seed: u64) -> DistanceMetricParams {
    let default = DistanceMetricParams::default();
    DistanceMetricParams {
        rank: args.rank,
        pairs: args.pairs,
        margin: args.margin.unwrap_or(default.margin),
        dissimilar_weight: args.dissimilar_weight.unwrap_or(default.dissimilar_weight),
        epochs: args.epochs.unwrap_or(default.epochs),
        step_size: args.step_size.unwrap_or(default.step_size),
        decay: args.decay.unwrap_or(default.decay),
        momentum: args.momentum.unwrap_or(default.momentum),
        batch: args.batch.unwrap_or(default.batch),
        standardize: args.standardize,
        consistency: args.consistency.consistency.unwrap_or(default.consistency),
        tolerance: args.tolerance,
        seed,
    }
}

fn fit(
    session: &Session,
    args: &DistanceMetricArgs,
    params: &DistanceMetricParams,
    files: &Files,
) -> Result<Outcome> {
    let rows = files.rows(session, params.seed)?;
    let pairs = match args.similar.is_empty() {
        true => PairDifferences::of_labels(&rows.training, params.pairs, params.seed)
            .map_err(|e| labels::located(e, &files.input, Some(&Accepts::Classes)))?,
        false => {
            let read = |paths| row_pairs(&session.cx, paths);
            let pairs = Pairs { similar: read(&args.similar)?, dissimilar: read(&args.dissimilar)? };
            PairDifferences::of_pairs(&rows.training, &pairs, params.seed)?
        }
    };
    let (epochs, snapshots) = (params.epochs, args.snapshots.spec());
    let model =
        params.fit_observed(&pairs, snapshots, &mut |progress| session.iteration(NAME, epochs, progress))?;
    session.check()?;
    let (evaluation, on) = measured(session, args, files, &rows, &pairs, &model)?;
    let measured = Measured { evaluation, on, all_metrics: args.output.metrics };
    Ok(Outcome { data: files.input.name(), model, measured, bad_rows: 0 })
}

/// Labels tell how good a metric is; where pairs were given, the rows learnt from may have none that mean anything.
fn measured(
    session: &Session,
    args: &DistanceMetricArgs,
    files: &Files,
    rows: &Rows,
    pairs: &PairDifferences,
    model: &DistanceMetricModel,
) -> Result<(Evaluation, MeasuredOn)> {
    let (asked, on) = files.measured_rows(session, rows)?;
    if !args.similar.is_empty() && matches!(on, MeasuredOn::Training) {
        let area = |model| -> Result<f64> { Ok(pairs.metrics(model)?.area_under_roc()) };
        let figures = vec![("area_under_roc", area(Some(model))?), ("euclidean_area_under_roc", area(None)?)];
        let summary = model.summary();
        let evaluation =
            Evaluation::of_figures(summary.similar + summary.dissimilar, model.columns(), figures);
        return Ok((evaluation, MeasuredOn::TrainingPairs));
    }
    let references = match on {
        MeasuredOn::Training => None,
        _ => Some(&rows.training),
    };
    let neighbours = args.neighbours.unwrap_or(NEIGHBOURS);
    let nearest = NearestNeighbours { rows_max: Some(ASKED_MAX), ..NearestNeighbours::new(neighbours) };
    let input = files.measured_input();
    let evaluation = measure(model, &asked, references, nearest, model.params().seed)
        .map_err(|e| labels::located(e, input, Some(&Accepts::Classes)))?;
    check_columns(model.columns(), evaluation.columns, &input.name())?;
    Ok((evaluation, on))
}

/// What was done.
struct Outcome {
    data: String,
    model: DistanceMetricModel,
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
            "columns": model.columns(),
            "partitions": summary.partitions,
            "rank": model.rank(),
            "similar": summary.similar,
            "dissimilar": summary.dissimilar,
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
        let (model, summary) = (&self.model, self.model.summary());
        let mut text = format!(
            "data       {}: {} similar and {} dissimilar pairs, {}\n",
            self.data,
            summary.similar,
            summary.dissimilar,
            count(summary.partitions as u64, "partition"),
        );
        text += &format!("map        {} to {}\n", count(model.columns() as u64, "column"), model.rank());
        text += &format!(
            "training   {} of {} pairs a partition, loss {}, {}\n",
            count(summary.loss_history.len() as u64, "epoch"),
            model.params().batch,
            figure(summary.loss),
            summary.stop,
        );
        text + &self.measured.text(target, seconds)
    }
}
