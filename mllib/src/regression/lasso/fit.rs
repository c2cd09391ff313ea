//! Fitting: one penalty or a path of them, and the model.

use super::cross_validation::{Search, search};
use super::design::Design;
use super::params::LassoParams;
use super::problem::Problem;
use super::scheduled::Scheduled;
use super::solver::Solver;
use crate::linear::{PathPoint, Solver as SolverName, TrainingParams, TrainingSummary, WeightTable};
use crate::objective::{DatasetRows, Scaling as PenaltyScaling};
use crate::optimization::{Observer, Report, Stop, silent};
use crate::regression::working_sets::{Limits, Solved};
use crate::regression::{LinearRegressionModel, LinearRegressionParams};
use slackwater_dataflow::{Error, Result};

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

impl PathPoint {
    /// What came of a penalty.
    pub(crate) fn new(regularization: f64, solved: &Solved, nonzeros: usize) -> Self {
        PathPoint {
            regularization,
            objective: *solved.history.last().expect("there is a pass"),
            gap: solved.gap,
            nonzeros,
            passes: solved.passes,
            products: solved.products,
            epochs: solved.epochs,
            converged: solved.stop == Stop::Optimality,
        }
    }
}

/// Weights of columns as they came, and the intercept.
pub(crate) type RawWeights = (Vec<f64>, f64);

/// A solver of problems that differ in their penalty, each from where the one before ended.
pub(crate) trait Fits {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Minimises.
    ///
    /// # Errors
    /// What the engine reports.
    fn solve(&mut self, problem: Problem, limits: Limits, observer: &mut Observer<'_>) -> Result<Solved>;
    /// Number of weights that are not zero.
    fn nonzeros(&self) -> usize;
    /// Where it is.
    fn raw_weights(&self) -> RawWeights;
}

/// Fits one penalty after the other, and gives each to `f`.
pub(crate) fn each_penalty(
    solver: &mut impl Fits,
    penalties: &[f64],
    l1_ratio: f64,
    limits: Limits,
    observer: &mut Observer<'_>,
    mut f: impl FnMut(PathPoint, RawWeights, Solved),
) -> Result<()> {
    for penalty in penalties {
        let problem = Problem::new(*penalty, l1_ratio, solver.rows());
        let solved = solver.solve(problem, limits, observer)?;
        let point = PathPoint::new(*penalty, &solved, solver.nonzeros());
        let stopped = solved.stop == Stop::Observer;
        f(point, solver.raw_weights(), solved);
        if stopped {
            break;
        }
    }
    Ok(())
}

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
        let fit = |rest: &DatasetRows| self.on_rows(rest, &penalties, observer);
        let search = search(folds, self.seed, rows, &penalties, fit, |y, p| (y - p) * (y - p))?;
        let mut fit = self.along(&design, solver, &penalties[..=search.chosen], observer)?;
        fit.search = Some(search);
        Ok(fit)
    }
    /// Fits to columns that were made with [`scaling`](LassoParams::scaling).
    ///
    /// # Errors
    /// As `fit`; config for folds, which need rows, and for a schedule.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_design(&self, design: &Design, observer: &mut Observer<'_>) -> Result<LassoFit> {
        self.check()?;
        if self.folds.is_some() {
            return Err(Error::config("folds", "need rows: fit to rows instead of columns"));
        }
        if self.schedule.is_some() {
            return Err(Error::config("schedule", "needs a context: call `train_scheduled`"));
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
        mut solver: Solver<'_>,
        penalties: &[f64],
        observer: &mut Observer<'_>,
    ) -> Result<LassoFit> {
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        let largest = self.largest(&solver, design);
        let mut last = None;
        let mut path = vec![];
        let limits = self.limits(design);
        each_penalty(&mut solver, penalties, self.l1_ratio, limits, observer, |point, weights, solved| {
            path.push(point);
            last = Some((weights, solved));
        })?;
        let ((weights, intercept), solved) = last.expect("there is at least one penalty");
        let chosen = path.len() - 1;
        let mut model = self.model(design, &path[chosen], weights, intercept, solved);
        model.summary_mut().keep_path(path.iter().cloned());
        Ok(LassoFit { model, path, chosen, regularization_max: largest, search: None, scheduled: None })
    }
    /// When a problem of this design is solved.
    pub(super) fn limits(&self, design: &Design) -> Limits {
        let y = design.targets();
        Limits {
            gap: self.tolerance * 0.5 * crate::linalg::dense::dot(y, y),
            passes: self.passes_max,
            plain: false,
        }
    }
    /// The weights that a path leads to on some of the rows.
    fn on_rows(
        &self,
        rows: &DatasetRows,
        penalties: &[f64],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<RawWeights>> {
        let design = Design::from_rows(rows, self.scaling())?;
        let (mut solver, limits) = (Solver::new(&design)?, self.limits(&design));
        let mut found = vec![];
        let keep = |_, weights, _| found.push(weights);
        each_penalty(&mut solver, penalties, self.l1_ratio, limits, observer, keep)?;
        Ok(found)
    }
    pub(crate) fn model(
        &self,
        design: &Design,
        point: &PathPoint,
        weights: Vec<f64>,
        intercept: f64,
        solved: Solved,
    ) -> LinearRegressionModel {
        let solver = if self.schedule.is_some() { SolverName::Scheduled } else { SolverName::WorkingSet };
        let columns = weights.len();
        let training = self.training(solver, point.regularization);
        let summary = TrainingSummary {
            solver,
            rows: design.rows() as u64,
            columns,
            objective: point.objective,
            report: report_of(solved),
            path: vec![],
        };
        let table = WeightTable { columns, outputs: 1, weights, intercepts: vec![intercept] };
        LinearRegressionModel::new(table, LinearRegressionParams { training }, summary)
    }
    /// Parameters of the model that one penalty leads to.
    pub(crate) fn training(&self, solver: SolverName, regularization: f64) -> TrainingParams {
        TrainingParams {
            solver: Some(solver),
            scaling: PenaltyScaling::Mean { regularization },
            l1_ratio: self.l1_ratio,
            intercept: self.intercept,
            standardize: self.standardize,
            iterations_max: Some(self.passes_max),
            tolerance: Some(self.tolerance),
            seed: self.seed,
            ..Default::default()
        }
    }
}

/// What a model says of how it was solved.
pub(crate) fn report_of(solved: Solved) -> Report {
    Report {
        iterations: solved.passes,
        evaluations: solved.passes,
        other_sweeps: solved.epochs,
        objective_history: solved.history,
        gradient_norm: solved.gap,
        stop: solved.stop,
    }
}
