//! `train` of linear models: read, split, perhaps cross-validate, fit, measure, store.

use super::rows::{Files, Rows};
use super::{Measured, MeasuredOn, Trained, finish, target};
use crate::args::{Common, Globals, LinearAlgorithm};
use crate::evaluation::{Evaluation, direction};
use crate::labels;
use crate::model::{LinearModel, check_target};
use crate::output::{count, figure, table};
use crate::session::Session;
use crate::trainer::Trainer;
use serde_json::{Value, json};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Dataset, Error, Result};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::tuning::{Candidate, CrossValidation};
use slackwater_paramstore::Snapshots;
use std::time::Instant;

/// Folds of a grid search for which none are said, as in Spark.
const FOLDS: usize = 3;

/// Runs `train` for a linear model.
pub fn run(globals: &Globals, algorithm: &LinearAlgorithm) -> Result<u8> {
    let start = Instant::now();
    let common = algorithm.common();
    let target = target(common.output.model.as_ref(), algorithm.name());
    // What can be wrong without a look at the data comes first, and before anything is started.
    check_target(&target, common.output.overwrite)?;
    let seed = globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed);
    let trainer = Trainer::new(algorithm, seed)?;
    trainer.candidates(&common.training.grid)?;
    let files = Files::open(&common.input, &common.held_out, globals)?;
    files.input.needs_labels();
    Session::run(globals, |session| {
        let job = Job { session, algorithm, common, trainer, files, seed };
        let outcome = job.run()?;
        finish(session, outcome, &target, start, |outcome| {
            outcome.model.save(&target, common.output.overwrite, job.files.input.features())
        })
    })
}

/// What is to be done.
struct Job<'a> {
    session: &'a Session,
    algorithm: &'a LinearAlgorithm,
    common: &'a Common,
    trainer: Trainer,
    files: Files,
    seed: u64,
}

/// What was done.
struct Outcome {
    algorithm: &'static str,
    data: String,
    partitions: usize,
    model: LinearModel,
    search: Option<Search>,
    measured: Measured,
    bad_rows: u64,
}

/// What cross-validation found.
struct Search {
    metric: String,
    folds: usize,
    candidates: Vec<(String, Candidate)>,
    best: usize,
}

impl Job<'_> {
    fn run(&self) -> Result<Outcome> {
        let rows = self.files.rows(self.session, self.seed)?;
        let (input, accepts) = (&self.files.input, self.trainer.accepts());
        let (model, search, evaluation, on) =
            self.fit(&rows).map_err(|e| labels::located(e, input, accepts.as_ref()))?;
        Ok(Outcome {
            algorithm: self.algorithm.name(),
            data: input.name(),
            partitions: rows.partitions,
            model,
            search,
            measured: Measured { evaluation, on, all_metrics: self.common.output.metrics },
            bad_rows: 0,
        })
    }

    fn fit(&self, rows: &Rows) -> Result<(LinearModel, Option<Search>, Evaluation, MeasuredOn)> {
        let (trainer, search) = self.search(&rows.training)?;
        let model = self.fit_one(&trainer, &rows.training, self.algorithm.snapshots())?;
        let (evaluation, on) = self.files.measure(self.session, rows, &model)?;
        Ok((model, search, evaluation, on))
    }

    fn fit_one(
        &self,
        trainer: &Trainer,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
    ) -> Result<LinearModel> {
        let name = self.algorithm.name();
        let limit = trainer.training().iterations_max.unwrap_or(0);
        let model =
            trainer.fit(rows, snapshots, &mut |progress| self.session.iteration(name, limit, progress))?;
        self.session.check()?;
        Ok(model)
    }

    /// The best of the candidates, if there are any to compare.
    fn search(&self, rows: &DatasetRows) -> Result<(Trainer, Option<Search>)> {
        let args = &self.common.training;
        let folds = match (args.folds, args.grid.is_empty()) {
            (None, true) => return Ok((self.trainer.clone(), None)),
            (folds, _) => folds.unwrap_or(FOLDS),
        };
        let (names, trainers): (Vec<_>, Vec<_>) = self.trainer.candidates(&args.grid)?.into_iter().unzip();
        let metric = args.select_by.as_deref().map(|m| m.replace('-', "_"));
        // Which metrics there are depends on the labels: without a choice the first figure of the kind decides.
        let mut used = metric.clone();
        let direction = direction(metric.as_deref().unwrap_or(match self.trainer {
            Trainer::Linear(_) => "rmse",
            _ => "accuracy",
        }));
        let cv = CrossValidation { folds, direction };
        let fit = |trainer: &Trainer, rows: &DatasetRows| self.fit_one(trainer, rows, None);
        let evaluate = |model: &LinearModel, fold: &Dataset<LabeledBlock>| {
            let evaluation = Evaluation::new(model, fold)?;
            let name = used.get_or_insert_with(|| evaluation.figures()[0].0.to_string());
            evaluation.figure("select-by", name)
        };
        let (best, scores) = cv.run_on(rows, &trainers, self.seed, fit, evaluate)?;
        let candidates = names.into_iter().zip(scores).collect();
        let metric = used.ok_or_else(|| Error::config("grid", "has no candidates"))?;
        Ok((trainers[best].clone(), Some(Search { metric, folds, candidates, best })))
    }
}

impl Trained for Outcome {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &std::path::Path, seconds: f64) -> Value {
        let summary = self.model.summary();
        let search = self.search.as_ref().map(|s| {
            let candidates = s.candidates.iter().map(|(name, c)| {
                json!({"candidate": name, "scores": c.scores, "mean": c.mean, "deviation": c.deviation})
            });
            json!({
                "metric": s.metric,
                "folds": s.folds,
                "candidates": candidates.collect::<Vec<_>>(),
                "best": s.best,
            })
        });
        json!({
            "command": "train",
            "algorithm": self.algorithm,
            "data": self.data,
            "rows": summary.rows,
            "columns": summary.columns,
            "partitions": self.partitions,
            "solver": summary.solver.to_string(),
            "iterations": summary.report.iterations,
            "objective": summary.objective,
            "stop": summary.report.stop.to_string(),
            "converged": summary.report.stop.is_converged(),
            "parameters": self.model.params(),
            "cross_validation": search,
            "measured_on": self.measured.on.name(),
            "metrics": self.measured.evaluation.to_json(),
            "bad_rows": self.bad_rows,
            "model": target,
            "seconds": seconds,
        })
    }

    fn text(&self, target: &std::path::Path, seconds: f64) -> String {
        let summary = self.model.summary();
        let report = &summary.report;
        let mut text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(summary.columns as u64, "column"),
            count(self.partitions as u64, "partition"),
        );
        if let Some(search) = &self.search {
            text += &format!("search     {} folds, by {}\n", search.folds, search.metric.replace('_', " "));
            let rows = search.candidates.iter().enumerate().map(|(i, (name, c))| {
                let mark = if i == search.best { "best" } else { "" };
                vec![name.clone(), figure(c.mean), figure(c.deviation), mark.to_string()]
            });
            text += &table(&["candidate", "mean", "deviation", ""], rows);
        }
        text += &format!(
            "solver     {}: {}, objective {}, {}\n",
            summary.solver,
            count(report.iterations as u64, "iteration"),
            figure(summary.objective),
            report.stop,
        );
        text + &self.measured.text(target, seconds)
    }
}
