//! Fitting: one penalty or a path of them, and the model.

use super::params::SparseLogisticParams;
use super::problem::Rows;
use super::solver::Solver;
use crate::classification::{Family, LogisticRegressionModel, LogisticRegressionParams};
use crate::linear::{Solver as SolverName, TrainingSummary, WeightTable, class_labels};
use crate::objective::{DatasetRows, Logistic, Loss};
use crate::optimization::{Observer, silent};
use crate::params::require;
use crate::regression::lasso::cross_validation::search;
use crate::regression::lasso::fit::{Fits, RawWeights, each_penalty, report_of};
use crate::regression::lasso::problem::Problem;
use crate::regression::lasso::scheduled::{Descended, FIRST_QUIET, Plan, RowLoss};
use crate::regression::lasso::{Design, PathPoint, ScheduleParams, Scheduled, Search};
use crate::regression::working_sets::{Limits, Solved};
use slackwater_dataflow::{Context, Error, Result};

/// A fitted model, and how it came about.
#[derive(Debug, Clone)]
pub struct SparseLogisticFit {
    /// The model of the last penalty, or of the one that was chosen.
    pub model: LogisticRegressionModel,
    /// The penalties, in the order in which they were fitted.
    pub path: Vec<PathPoint>,
    /// Which of them the model is of.
    pub chosen: usize,
    /// The least penalty that leaves no weights.
    pub regularization_max: f64,
    /// What cross-validation found: scores are mean losses.
    pub search: Option<Search>,
    /// What came of a schedule.
    pub scheduled: Option<Scheduled>,
}

/// The labels of the two classes, the negative one first.
fn classes_of(labels: &[f64]) -> Result<[f64; 2]> {
    let mut distinct = labels.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    match class_labels(&distinct)?[..] {
        [negative, positive] => Ok([negative, positive]),
        ref all => Err(Error::input(
            format!("there are {} classes, and sparse logistic regression tells two apart", all.len()),
            "`logistic-regression` takes more",
        )),
    }
}

fn sign(label: f64, classes: [f64; 2]) -> f64 {
    if label == classes[1] { 1.0 } else { -1.0 }
}

impl SparseLogisticParams {
    /// Fits to rows of two classes, whose labels are whole numbers; the larger one is the positive class.
    ///
    /// # Errors
    /// Config for parameters that cannot be; data for labels that are no whole numbers; input for rows that cannot be, and for
    /// one class or more than two; what the engine reports.
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<SparseLogisticFit> {
        self.train(&data.into(), &mut silent)
    }
    /// [`fit`](SparseLogisticParams::fit), with an observer that is called after every pass.
    ///
    /// # Errors
    /// As `fit`.
    pub fn train(&self, rows: &DatasetRows, observer: &mut Observer<'_>) -> Result<SparseLogisticFit> {
        self.check()?;
        let design = Design::from_rows(rows, self.scaling())?;
        let Some(folds) = self.folds else {
            return match &self.schedule {
                Some(schedule) => self.train_scheduled(rows.context(), &design, schedule, observer),
                None => self.train_design(&design, observer),
            };
        };
        let (classes, solver) = self.solver(&design)?;
        let penalties = self.as_lasso().values(solver.largest(self.l1_ratio));
        let fit = |rest: &DatasetRows| self.on_rows(rest, classes, &penalties, observer);
        let loss = move |label, z| Logistic.at(z, sign(label, classes)).value;
        let search = search(folds, self.seed, rows, &penalties, fit, loss)?;
        let mut fit = self.along(&design, classes, solver, &penalties[..=search.chosen], observer)?;
        fit.search = Some(search);
        Ok(fit)
    }
    /// Fits to columns that were made with [`scaling`](SparseLogisticParams::scaling), whose targets are labels.
    ///
    /// # Errors
    /// As `fit`; config for folds, which need rows, and for a schedule.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_design(&self, design: &Design, observer: &mut Observer<'_>) -> Result<SparseLogisticFit> {
        self.check()?;
        if self.folds.is_some() {
            return Err(Error::config("folds", "need rows: fit to rows instead of columns"));
        }
        if self.schedule.is_some() {
            return Err(Error::config("schedule", "needs a context: call `train_scheduled`"));
        }
        let (classes, solver) = self.solver(design)?;
        let penalties = self.as_lasso().values(solver.largest(self.l1_ratio));
        self.along(design, classes, solver, &penalties, observer)
    }
    /// Fits one penalty to columns that were made with [`scaling`](SparseLogisticParams::scaling), by scheduled coordinate
    /// descent: every step takes the largest curvature that the loss can have. It ends as
    /// [that of the lasso](crate::regression::LassoParams::train_scheduled).
    ///
    /// # Errors
    /// As [`fit`](SparseLogisticParams::fit); numerical, if columns that depend on each other have changed together too
    /// often.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_scheduled(
        &self,
        cx: &Context,
        design: &Design,
        schedule: &ScheduleParams,
        observer: &mut Observer<'_>,
    ) -> Result<SparseLogisticFit> {
        self.check()?;
        schedule.check()?;
        let (classes, mut solver) = self.solver(design)?;
        let largest = solver.largest(self.l1_ratio);
        let penalties = self.as_lasso().values(largest);
        require(penalties.len() == 1, "path", || "a schedule fits one penalty".into())?;
        let own = SparseLogisticParams { schedule: Some(*schedule), ..self.clone() };
        let problem = Problem::new(penalties[0], self.l1_ratio, design.rows());
        let cut = 0.5 * (classes[0] + classes[1]) - design.target_mean();
        let plan = Plan {
            design,
            loss: RowLoss::Logistic { cut, intercept: self.intercept },
            problem,
            limits: self.limits(&solver),
            schedule,
            seed: self.seed,
            quiet: FIRST_QUIET * largest,
        };
        let gap_at = |weights: &[f64]| solver.gap_at(&problem, weights);
        let Descended { solved, scheduled, .. } = plan.descend(cx, gap_at, observer)?;
        let point = PathPoint::new(penalties[0], &solved, solver.nonzeros());
        // With the best intercept for these weights, which the gap is of.
        let model = own.model(design, classes, &point, solver.raw_weights(), solved);
        let (path, scheduled) = (vec![point], Some(scheduled));
        Ok(SparseLogisticFit { model, path, chosen: 0, regularization_max: largest, search: None, scheduled })
    }
    /// The classes of a design's labels, and a solver of its problems.
    fn solver<'a>(&self, design: &'a Design) -> Result<([f64; 2], Solver<'a>)> {
        let classes = classes_of(design.labels())?;
        Ok((classes, self.solver_for(design, classes)?))
    }
    fn solver_for<'a>(&self, design: &'a Design, classes: [f64; 2]) -> Result<Solver<'a>> {
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        let signs = design.labels().iter().map(|label| sign(*label, classes)).collect();
        Solver::new(design, Rows { signs, intercept: self.intercept })
    }
    fn along(
        &self,
        design: &Design,
        classes: [f64; 2],
        mut solver: Solver<'_>,
        penalties: &[f64],
        observer: &mut Observer<'_>,
    ) -> Result<SparseLogisticFit> {
        let (largest, limits) = (solver.largest(self.l1_ratio), self.limits(&solver));
        let mut last = None;
        let mut path = vec![];
        each_penalty(&mut solver, penalties, self.l1_ratio, limits, observer, |point, weights, solved| {
            path.push(point);
            last = Some((weights, solved));
        })?;
        let (weights, solved) = last.expect("there is at least one penalty");
        let chosen = path.len() - 1;
        let mut model = self.model(design, classes, &path[chosen], weights, solved);
        model.summary_mut().keep_path(path.iter().cloned());
        Ok(SparseLogisticFit {
            model,
            path,
            chosen,
            regularization_max: largest,
            search: None,
            scheduled: None,
        })
    }
    /// When a problem is solved.
    fn limits(&self, solver: &Solver<'_>) -> Limits {
        Limits { gap: self.tolerance * solver.null, passes: self.passes_max, plain: false }
    }
    /// The weights that a path leads to on some of the rows.
    fn on_rows(
        &self,
        rows: &DatasetRows,
        classes: [f64; 2],
        penalties: &[f64],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<RawWeights>> {
        let design = Design::from_rows(rows, self.scaling())?;
        if let Some(other) = classes.iter().find(|class| !design.labels().contains(class)) {
            let message = format!("without the rows of a fold there are none of class {other}");
            return Err(Error::input(message, "take more folds, or none"));
        }
        let mut solver = self.solver_for(&design, classes)?;
        let limits = self.limits(&solver);
        let mut found = vec![];
        let keep = |_, weights, _| found.push(weights);
        each_penalty(&mut solver, penalties, self.l1_ratio, limits, observer, keep)?;
        Ok(found)
    }
    fn model(
        &self,
        design: &Design,
        classes: [f64; 2],
        point: &PathPoint,
        (weights, intercept): RawWeights,
        solved: Solved,
    ) -> LogisticRegressionModel {
        let solver = if self.schedule.is_some() { SolverName::Scheduled } else { SolverName::WorkingSet };
        let training = self.as_lasso().training(solver, point.regularization);
        let columns = weights.len();
        let summary = TrainingSummary {
            solver,
            rows: design.rows() as u64,
            columns,
            objective: point.objective,
            report: report_of(solved),
            path: vec![],
        };
        let table = WeightTable { columns, outputs: 1, weights, intercepts: vec![intercept] };
        let params = LogisticRegressionParams { family: Family::Auto, training };
        LogisticRegressionModel::new(table, classes.to_vec(), params, summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_are_told_apart() {
        assert_eq!(classes_of(&[2.0, 1.0, 2.0]).unwrap(), [1.0, 2.0]);
        let three = classes_of(&[0.0, 1.0, 2.0]).unwrap_err();
        assert!(three.to_string().contains("logistic-regression") && three.exit_code() == 3, "{three}");
        assert!(classes_of(&[1.0, 1.0]).unwrap_err().to_string().contains("nothing to tell apart"));
        assert!(classes_of(&[0.5, 1.0]).unwrap_err().to_string().contains("label 0.5"));
    }
}
