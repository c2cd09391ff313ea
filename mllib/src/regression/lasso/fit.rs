//! Fitting: one penalty or a path of them, and the model.

use super::cross_validation::{Search, search};
use super::design::Design;
use super::params::LassoParams;
use super::problem::Problem;
use super::scheduled::Scheduled;
use super::solver::Solver;
use crate::linear::{Solver as SolverName, TrainingParams, TrainingSummary, WeightTable};
use crate::objective::{DatasetRows, Scaling as PenaltyScaling};
use crate::optimization::{Observer, Report, Stop, silent};
use crate::regression::working_sets::{Limits, Solved};
use crate::regression::{LinearRegressionModel, LinearRegressionParams};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// How the problem of one penalty was solved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathPoint {
    /// The penalty.
    pub regularization: f64,
    /// The objective.
    pub objective: f64,
    /// The duality gap: the objective is at most this far above its least value.
    pub gap: f64,
    /// Weights that are not zero.
    pub nonzeros: usize,
    /// Passes over the columns.
    pub passes: usize,
    /// Products of columns with a residual in these passes.
    pub products: u64,
    /// Epochs of coordinate descent on working sets.
    pub epochs: usize,
    /// True if the gap is as small as was asked for.
    pub converged: bool,
}

/// A fitted model, and how it came about.
#[derive(Debug, Clone)]
pub struct LassoFit {
    /// The model of the last penalty, or of the one that was chosen.
    pub model: LinearRegressionModel,
    /// The penalties, in the order in which they were fitted.
    pub path: Vec<PathPoint>,
    /// Which of them the model is of.
    pub chosen: usize,
    /// The least penalty that leaves no weights.
    pub regularization_max: f64,
    /// What cross-validation found.
    pub search: Option<Search>,
    /// What came of a schedule.
    pub scheduled: Option<Scheduled>,
}

/// Weights of columns as they came, and the intercept.
pub(super) type RawWeights = (Vec<f64>, f64);

impl LassoParams {
    /// Fits to rows with numbers for labels.
    ///
    /// # Errors
    /// Config for parameters that cannot be; input for rows that cannot; what the engine reports.
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<LassoFit> {
        self.train(&data.into(), &mut silent)
    }
    /// [`fit`](LassoParams::fit), with an observer that is called after every pass.
    ///
    /// # Errors
    /// As `fit`.
    pub fn train(&self, rows: &DatasetRows, observer: &mut Observer<'_>) -> Result<LassoFit> {
        self.check()?;
        let design = Design::from_rows(rows, self.scaling())?;
        let Some(folds) = self.folds else {
            return match &self.schedule {
                Some(schedule) => self.train_scheduled(rows.context(), &design, schedule, observer),
                None => self.train_design(&design, observer),
            };
        };
        let solver = Solver::new(&design)?;
        let penalties = self.values(self.largest(&solver, &design));
        let search = search(self, folds, rows, &penalties, observer)?;
        let mut fit = self.along(&design, solver, &penalties[..=search.chosen], observer)?;
        fit.search = Some(search);
        Ok(fit)
    }
    /// Fits to columns that were made with [`scaling`](LassoParams::scaling).
    ///
    /// # Errors
    /// As `fit`; config for folds, which need rows.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_design(&self, design: &Design, observer: &mut Observer<'_>) -> Result<LassoFit> {
        self.check()?;
        if self.folds.is_some() {
            return Err(Error::config("folds", "need rows: fit to rows instead of columns"));
        }
        let solver = Solver::new(design)?;
        let penalties = self.values(self.largest(&solver, design));
        self.along(design, solver, &penalties, observer)
    }
    pub(super) fn largest(&self, solver: &Solver<'_>, design: &Design) -> f64 {
        solver.largest_product() / (design.rows() as f64 * self.l1_ratio)
    }
    fn along(
        &self,
        design: &Design,
        solver: Solver<'_>,
        penalties: &[f64],
        observer: &mut Observer<'_>,
    ) -> Result<LassoFit> {
        let largest = self.largest(&solver, design);
        let mut last = None;
        let mut path = vec![];
        self.each(design, solver, penalties, observer, |point, weights, solved| {
            path.push(point);
            last = Some((weights, solved));
        })?;
        let ((weights, intercept), solved) = last.expect("there is at least one penalty");
        let chosen = path.len() - 1;
        let model = self.model(design, &path[chosen], weights, intercept, solved);
        Ok(LassoFit { model, path, chosen, regularization_max: largest, search: None, scheduled: None })
    }
    /// Fits one penalty after the other with a new solver, and gives each to `f`.
    pub(super) fn each(
        &self,
        design: &Design,
        mut solver: Solver<'_>,
        penalties: &[f64],
        observer: &mut Observer<'_>,
        mut f: impl FnMut(PathPoint, RawWeights, Solved),
    ) -> Result<()> {
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        let n = design.rows() as f64;
        let y = design.targets();
        let limits = Limits {
            gap: self.tolerance * 0.5 * crate::linalg::dense::dot(y, y),
            passes: self.passes_max,
            plain: false,
        };
        for penalty in penalties {
            let problem =
                Problem { alpha: n * penalty * self.l1_ratio, mu: n * penalty * (1.0 - self.l1_ratio) };
            let solved = solver.solve(problem, limits, observer)?;
            let point = PathPoint {
                regularization: *penalty,
                objective: *solved.history.last().expect("there is a pass"),
                gap: solved.gap,
                nonzeros: solver.nonzeros(),
                passes: solved.passes,
                products: solved.products,
                epochs: solved.epochs,
                converged: solved.stop.is_converged() && solved.gap * n <= limits.gap,
            };
            let stopped = solved.stop == Stop::Observer;
            f(point, design.to_raw(&solver.weights()), solved);
            if stopped {
                break;
            }
        }
        Ok(())
    }
    pub(in crate::regression) fn model(
        &self,
        design: &Design,
        point: &PathPoint,
        weights: Vec<f64>,
        intercept: f64,
        solved: Solved,
    ) -> LinearRegressionModel {
        let solver = if self.schedule.is_some() { SolverName::Scheduled } else { SolverName::WorkingSet };
        let columns = weights.len();
        let training = TrainingParams {
            solver: Some(solver),
            scaling: PenaltyScaling::Mean { regularization: point.regularization },
            l1_ratio: self.l1_ratio,
            intercept: self.intercept,
            standardize: self.standardize,
            iterations_max: Some(self.passes_max),
            tolerance: Some(self.tolerance),
            seed: self.seed,
            ..Default::default()
        };
        let report = Report {
            iterations: solved.passes,
            evaluations: solved.passes,
            other_sweeps: solved.epochs,
            objective_history: solved.history,
            gradient_norm: solved.gap,
            stop: solved.stop,
        };
        let summary = TrainingSummary {
            solver,
            rows: design.rows() as u64,
            columns,
            objective: point.objective,
            report,
        };
        let table = WeightTable { columns, outputs: 1, weights, intercepts: vec![intercept] };
        LinearRegressionModel::new(table, LinearRegressionParams { training }, summary)
    }
}
