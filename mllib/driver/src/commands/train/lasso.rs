//! `train lasso`, `train elastic-net`, `train group-lasso`, `train sparse-logistic`: read, split, fit a penalty or a path, measure, store.

use super::rows::{Files, Rows};
use super::{Measured, Trained, finish, target};
use crate::args::{
    ColumnArgs, Globals, GroupLassoArgs, HeldOutArgs, InputArgs, LassoArgs, OutputArgs, PenaltyArgs,
};
use crate::groups::GroupsOption;
use crate::labels::{self, Accepts};
use crate::model::{LinearModel, RowModel, check_target};
use crate::output::{count, figure, table};
use crate::session::Session;
use crate::structures::Columns;
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::classification::SparseLogisticParams;
use slackwater_mllib::optimization::Progress;
use slackwater_mllib::regression::lasso::{
    Design, Folds, LassoFit, LassoParams, PathPoint, Penalties, ScheduleParams, Scheduled, Search,
};
use slackwater_mllib::regression::{GroupLassoParams, LinearRegressionModel};
use std::path::Path;
use std::time::Instant;

/// The last penalty of a path, relative to the first, as in scikit-learn.
const PATH_RATIO: f64 = 1e-3;
/// Penalties of a path that are told to people.
const ROWS_MAX: usize = 20;

/// Runs `train lasso` or `train elastic-net`.
pub fn run(globals: &Globals, name: &'static str, args: &LassoArgs, l1_ratio: f64) -> Result<u8> {
    let params = params(args, l1_ratio, seed(globals));
    params.check()?;
    let run = Run { globals, name, input: &args.input, held_out: &args.held_out, output: &args.output };
    run.go(|session, _, rows| {
        let mut params = params.clone();
        if let Some(schedule) = &mut params.schedule {
            schedule.partitions = rows.partitions;
        }
        let passes = params.passes_max;
        let fit = params.train(&rows.training, &mut |progress| session.iteration(name, passes, progress));
        Ok(fit?.into())
    })
}

/// Runs `train sparse-logistic`.
pub fn run_logistic(globals: &Globals, args: &LassoArgs, l1_ratio: f64) -> Result<u8> {
    const NAME: &str = "sparse-logistic";
    let params = SparseLogisticParams::from(params(args, l1_ratio, seed(globals)));
    params.check()?;
    let run = Run { globals, name: NAME, input: &args.input, held_out: &args.held_out, output: &args.output };
    run.go(|session, files, rows| {
        let mut params = params.clone();
        if let Some(schedule) = &mut params.schedule {
            schedule.partitions = rows.partitions;
        }
        let passes = params.passes_max;
        let fit = params.train(&rows.training, &mut |progress| session.iteration(NAME, passes, progress));
        let fit = fit.map_err(|e| labels::located(e, &files.input, Some(&Accepts::Classes)))?;
        Ok(Fitted {
            model: LinearModel::Logistic(fit.model),
            path: fit.path,
            chosen: fit.chosen,
            regularization_max: fit.regularization_max,
            search: fit.search,
            scheduled: fit.scheduled,
            parts: None,
        })
    })
}

/// Runs `train group-lasso`.
pub fn run_groups(globals: &Globals, args: &GroupLassoArgs) -> Result<u8> {
    const NAME: &str = "group-lasso";
    let default = GroupLassoParams::default();
    let columns = &args.columns;
    let params = GroupLassoParams {
        penalties: penalties(&args.penalty, default.penalties),
        l1_ratio: args.l1_ratio,
        intercept: intercept(columns, default.intercept),
        standardize: columns.standardize.unwrap_or(default.standardize),
        tolerance: columns.tolerance.unwrap_or(default.tolerance),
        passes_max: columns.iterations.unwrap_or(default.passes_max),
    };
    params.check()?;
    let option = GroupsOption::of(&args.groups)?;
    let run = Run { globals, name: NAME, input: &args.input, held_out: &args.held_out, output: &args.output };
    run.go(|session, files, rows| {
        let design = Design::from_rows(&rows.training, params.scaling())?;
        let names = files.input.features().map(|f| f.names(design.columns()));
        let groups = option.groups(&Columns::new(design.columns(), names.as_deref()))?;
        let passes = params.passes_max;
        let mut observer = |progress: &Progress<'_>| session.iteration(NAME, passes, progress);
        let fit = params.train_design(&design, &groups, &mut observer)?;
        let active = fit.path.iter().map(|p| p.groups).collect();
        let counts = Parts { key: "groups", what: "group", all: groups.len(), active };
        let path: Vec<_> = fit.path.into_iter().map(|p| p.point).collect();
        Ok(Fitted::structured(fit.model, path, fit.regularization_max, counts))
    })
}

fn seed(globals: &Globals) -> u64 {
    globals.seed.unwrap_or(slackwater_dataflow::Config::default().seed)
}

/// What all of these commands have.
pub(super) struct Run<'a> {
    pub globals: &'a Globals,
    pub name: &'static str,
    pub input: &'a InputArgs,
    pub held_out: &'a HeldOutArgs,
    pub output: &'a OutputArgs,
}

impl Run<'_> {
    /// Reads, fits by `fit`, measures and stores.
    pub(super) fn go(&self, fit: impl Fn(&Session, &Files, &Rows) -> Result<Fitted>) -> Result<u8> {
        let start = Instant::now();
        let target = target(self.output.model.as_ref(), self.name);
        // What can be wrong without a look at the data comes first, and before anything is started.
        check_target(&target, self.output.overwrite)?;
        let files = Files::open(self.input, self.held_out, self.globals)?;
        files.input.needs_labels();
        Session::run(self.globals, |session| {
            let rows = files.rows(session, seed(self.globals))?;
            let fit = fit(session, &files, &rows);
            // What was interrupted says so, whatever came of it.
            session.check()?;
            let fit = fit?;
            let (evaluation, on) = files.measure(session, &rows, &fit.model)?;
            let outcome = Outcome {
                algorithm: self.name,
                data: files.input.name(),
                partitions: rows.partitions,
                fit,
                measured: Measured { evaluation, on, all_metrics: self.output.metrics },
                bad_rows: 0,
            };
            finish(session, outcome, &target, start, |outcome| {
                outcome.fit.model.save(&target, self.output.overwrite, files.input.features())
            })
        })
    }
}

pub(super) fn penalties(args: &PenaltyArgs, default: Penalties) -> Penalties {
    match (args.reg, args.reg_ratio, args.path) {
        (Some(reg), _, _) => Penalties::Value(reg),
        (_, Some(ratio), _) => Penalties::Ratio(ratio),
        (_, _, Some(count)) => Penalties::Path { count, ratio: args.path_ratio.unwrap_or(PATH_RATIO) },
        (None, None, None) => default,
    }
}

pub(super) fn intercept(args: &ColumnArgs, default: bool) -> bool {
    !args.no_intercept && args.intercept.unwrap_or(default)
}

fn params(args: &LassoArgs, l1_ratio: f64, seed: u64) -> LassoParams {
    let (default, columns) = (LassoParams::default(), &args.columns);
    LassoParams {
        penalties: penalties(&args.penalty, default.penalties),
        l1_ratio,
        intercept: intercept(columns, default.intercept),
        standardize: columns.standardize.unwrap_or(default.standardize),
        tolerance: columns.tolerance.unwrap_or(default.tolerance),
        passes_max: columns.iterations.unwrap_or(default.passes_max),
        folds: args.folds.map(|count| Folds { count, rule: args.select.unwrap_or_default() }),
        seed,
        schedule: args.scheduler.and_then(|scheduler| scheduler.0).map(|chooser| {
            let default = ScheduleParams::default();
            ScheduleParams {
                chooser,
                parallelism: args.parallelism.unwrap_or(default.parallelism),
                correlation: args.correlation.unwrap_or(default.correlation),
                depth: args.depth.map_or(default.depth, |n| n as u64),
                steps_max: args.steps.map_or(default.steps_max, |n| n as u64),
                ..default
            }
        }),
    }
}

/// Groups of columns and the like, and by penalty how many of them have weights.
pub(super) struct Parts {
    /// What they are in JSON, all of them, and what one is.
    pub key: &'static str,
    pub what: &'static str,
    pub all: usize,
    pub active: Vec<usize>,
}

/// A fitted model, and how it came about.
pub(super) struct Fitted {
    model: LinearModel,
    path: Vec<PathPoint>,
    chosen: usize,
    regularization_max: f64,
    search: Option<Search>,
    scheduled: Option<Scheduled>,
    parts: Option<Parts>,
}

impl From<LassoFit> for Fitted {
    fn from(fit: LassoFit) -> Self {
        Fitted {
            model: LinearModel::Linear(fit.model),
            path: fit.path,
            chosen: fit.chosen,
            regularization_max: fit.regularization_max,
            search: fit.search,
            scheduled: fit.scheduled,
            parts: None,
        }
    }
}

impl Fitted {
    /// One whose columns belong together; the model is of the last penalty.
    pub(super) fn structured(
        model: LinearRegressionModel,
        path: Vec<PathPoint>,
        regularization_max: f64,
        parts: Parts,
    ) -> Self {
        Fitted {
            model: LinearModel::Linear(model),
            chosen: path.len() - 1,
            path,
            regularization_max,
            search: None,
            scheduled: None,
            parts: Some(parts),
        }
    }
}

/// What was done.
struct Outcome {
    algorithm: &'static str,
    data: String,
    partitions: usize,
    fit: Fitted,
    measured: Measured,
    bad_rows: u64,
}

impl Trained for Outcome {
    fn set_bad_rows(&mut self, rows: u64) {
        self.bad_rows = rows;
    }
    fn to_json(&self, target: &Path, seconds: f64) -> Value {
        let (fit, summary) = (&self.fit, self.fit.model.summary());
        let point = &fit.path[fit.chosen];
        let mut told = json!({
            "command": "train",
            "algorithm": self.algorithm,
            "data": self.data,
            "rows": summary.rows,
            "columns": summary.columns,
            "partitions": self.partitions,
            "solver": summary.solver.to_string(),
            "regularization": point.regularization,
            "regularization_max": fit.regularization_max,
            "objective": point.objective,
            "gap": point.gap,
            "nonzeros": point.nonzeros,
            "passes": point.passes,
            "products": point.products,
            "epochs": point.epochs,
            "stop": summary.report.stop.to_string(),
            "converged": point.converged,
            "path": fit.path,
            "cross_validation": fit.search,
            "schedule": fit.scheduled,
            "parameters": fit.model.params(),
            "measured_on": self.measured.on.name(),
            "metrics": self.measured.evaluation.to_json(),
            "bad_rows": self.bad_rows,
            "model": target,
            "seconds": seconds,
        });
        if let Some(parts) = &fit.parts {
            told[parts.key] = json!({"all": parts.all, "with_weights": parts.active});
        }
        told
    }

    fn text(&self, target: &Path, seconds: f64) -> String {
        let (fit, summary) = (&self.fit, self.fit.model.summary());
        let point = &fit.path[fit.chosen];
        let mut text = format!(
            "data       {}: {}, {}, {}\n",
            self.data,
            count(summary.rows, "row"),
            count(summary.columns as u64, "column"),
            count(self.partitions as u64, "partition"),
        );
        if let Some(search) = &fit.search {
            let loss = if fit.model.has_probabilities() { "mean log loss" } else { "mean squared error" };
            text += &format!("search     {}, by {loss}\n", count(search.folds.count as u64, "fold"));
            // Those around the choice, if there are many.
            let from = search.chosen.saturating_sub(ROWS_MAX / 2);
            let shown = search.penalties.iter().enumerate().skip(from).take(ROWS_MAX);
            let rows = shown.map(|(i, p)| {
                let mark = if i == search.chosen { "chosen" } else { "" };
                vec![figure(p.regularization), figure(p.mean), figure(p.standard_error), mark.to_string()]
            });
            text += &table(&["penalty", "mean", "standard error", ""], rows);
        } else if fit.path.len() > 1 {
            text += &format!("path       {}\n", count(fit.path.len() as u64, "penalty"));
            let step = fit.path.len().div_ceil(ROWS_MAX);
            let shown = fit.path.iter().rev().step_by(step).collect::<Vec<_>>().into_iter().rev();
            let rows = shown.map(|p| {
                let nonzeros = p.nonzeros.to_string();
                vec![figure(p.regularization), nonzeros, figure(p.objective), figure(p.gap)]
            });
            text += &table(&["penalty", "weights", "objective", "gap"], rows);
        }
        text += &format!(
            "penalty    {}; from {} on there are no weights\n",
            figure(point.regularization),
            figure(fit.regularization_max)
        );
        text += &format!(
            "solver     {}: {}, objective {}, gap {}, {}, {}\n",
            summary.solver,
            count(point.passes as u64, "pass"),
            figure(point.objective),
            figure(point.gap),
            count(point.nonzeros as u64, "weight"),
            summary.report.stop,
        );
        if let Some(parts) = &fit.parts {
            let active = parts.active[fit.chosen];
            let all = count(parts.all as u64, parts.what);
            text += &format!("{:<10} {all}, {active} with weights\n", parts.key);
        }
        if let Some(scheduled) = &fit.scheduled {
            text += &format!(
                "schedule   {}, {}, {}; no two correlate more than {} in one step\n",
                count(scheduled.steps, "step"),
                count(scheduled.updates, "update"),
                count(scheduled.probes, "probe"),
                figure(scheduled.certificate),
            );
        }
        text + &self.measured.text(target, seconds)
    }
}
