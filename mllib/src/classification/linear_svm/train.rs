//! Training of the support vector machine.

use super::{LinearSvmModel, LinearSvmParams, SvmLoss};
use crate::linear::{
    Binary, Smooth, Solver, Survey, TrainingSummary, WeightTable, binary_classes, gradient_descent,
    standardization_of,
};
use crate::objective::{DatasetRows, Hinge, MarginKernel, Penalty, SquaredHinge, Sweep, Target};
use crate::optimization::{DualCoordinateDescent, HingeDual, Observer, Solution, SquaredHingeDual, silent};
use slackwater_dataflow::Result;

impl LinearSvmParams {
    /// [`train`](LinearSvmParams::train) on a dataset of points or blocks, or on [`DatasetRows`] that serve several runs.
    ///
    /// # Errors
    /// As `train`.
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<LinearSvmModel> {
        self.train(&data.into(), &mut silent)
    }
    /// Fits a model to rows whose labels are 0 and 1, or -1 and +1.
    ///
    /// # Errors
    /// Config for parameters that do not fit; data for labels that do not; numerical; what the sweep reports.
    pub fn train<S: Sweep + Clone>(&self, rows: &S, observer: &mut Observer<'_>) -> Result<LinearSvmModel> {
        let solver = self.check()?;
        let survey = Survey::new(rows, self.training.standardize)?;
        let classes = binary_classes(&survey.labels)?;
        let fit = Fit { params: self, rows, survey: &survey, classes };
        let solution = match solver {
            Solver::Sgd => fit.sgd(observer)?,
            Solver::Dual => fit.dual(observer)?,
            smooth => fit.smooth().minimize(smooth, &self.training, observer)?,
        };
        let summary = TrainingSummary {
            solver,
            rows: survey.rows,
            columns: survey.columns,
            objective: solution.objective,
            report: solution.report,
            path: vec![],
        };
        let table = WeightTable::from_solution(solution.weights, survey.columns, 1);
        Ok(LinearSvmModel::new(table, classes, self.clone(), summary))
    }
}

/// A training run.
struct Fit<'a, S> {
    params: &'a LinearSvmParams,
    rows: &'a S,
    survey: &'a Survey,
    classes: Binary,
}

impl<S: Sweep + Clone> Fit<'_, S> {
    fn target(&self) -> Target {
        Target::Positive(self.classes.positive)
    }
    /// The objective in the scaling of the parameters.
    fn smooth(&self) -> Smooth<S, MarginKernel<SquaredHinge>> {
        let p = &self.params.training;
        Smooth {
            rows: self.rows.clone(),
            kernel: MarginKernel::new(SquaredHinge, self.target(), self.survey.columns, p.intercept),
            factor: p.scaling.loss_factor(self.survey.rows),
            penalty: Penalty::elastic_net(p.scaling.penalty_factor(), p.l1_ratio),
            standardization: standardization_of(p, self.survey),
        }
    }
    fn sgd(&self, observer: &mut Observer<'_>) -> Result<Solution> {
        let (p, columns) = (&self.params.training, self.survey.columns);
        match self.params.loss {
            SvmLoss::Hinge => {
                let kernel = MarginKernel::new(Hinge, self.target(), columns, p.intercept);
                gradient_descent(self.rows, &kernel, p, observer)
            }
            SvmLoss::SquaredHinge => {
                let kernel = MarginKernel::new(SquaredHinge, self.target(), columns, p.intercept);
                gradient_descent(self.rows, &kernel, p, observer)
            }
        }
    }
    fn dual(&self, observer: &mut Observer<'_>) -> Result<Solution> {
        let p = &self.params.training;
        let dual = DualCoordinateDescent::for_params(p, self.survey.rows);
        let penalty = p.scaling.penalty_factor();
        let mut solution = match self.params.loss {
            SvmLoss::Hinge => {
                dual.minimize(self.rows, HingeDual, self.target(), self.survey.columns, observer)?
            }
            SvmLoss::SquaredHinge => {
                // The same problem for the Newton method: `1/2 w'w + C Σ loss`, the intercept penalised.
                let mut smooth = self.smooth();
                smooth.factor = dual.c;
                smooth.penalty = Penalty::l2(1.0).with_intercepts(true);
                let mut primal = smooth.objective();
                dual.minimize_then_newton(self.rows, SquaredHingeDual, self.target(), &mut primal, observer)?
            }
        };
        solution.rescale(penalty);
        Ok(solution)
    }
}
