//! Training of linear regression.

use super::{LinearRegressionModel, LinearRegressionParams};
use crate::linear::{
    Smooth, Solver, Survey, TrainingSummary, WeightTable, gradient_descent, standardization_of,
};
use crate::objective::{DatasetRows, MarginKernel, Penalty, SquaredError, Sweep, Target};
use crate::optimization::{GramSums, Observer, Report, Solution, silent};
use slackwater_dataflow::{Error, Result};

impl LinearRegressionParams {
    /// [`train`](LinearRegressionParams::train) on a dataset of points or blocks, or on [`DatasetRows`] that serve several runs.
    ///
    /// # Errors
    /// As `train`.
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<LinearRegressionModel> {
        self.train(&data.into(), &mut silent)
    }
    /// Fits a model to rows with numbers for labels.
    ///
    /// # Errors
    /// Config for parameters that do not fit; data for labels that are not finite; numerical (`normal`: collinear
    /// columns without penalty); what the sweep reports.
    pub fn train<S: Sweep + Clone>(
        &self,
        rows: &S,
        observer: &mut Observer<'_>,
    ) -> Result<LinearRegressionModel> {
        self.check()?;
        let survey = Survey::new(rows, self.training.standardize)?;
        if survey.rows == 0 {
            return Err(Error::input("there are no rows", ""));
        }
        if !survey.targets.mean.is_finite() {
            return Err(Error::input("a label is not a finite number", ""));
        }
        let solver = self.solver(survey.columns);
        let fit = Fit { params: self, rows, survey: &survey };
        let solution = match solver {
            Solver::Normal => fit.normal()?,
            Solver::Sgd => fit.sgd(observer)?,
            smooth => fit.smooth(smooth, observer)?,
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
        Ok(LinearRegressionModel::new(table, self.clone(), summary))
    }
}

/// A training run.
struct Fit<'a, S> {
    params: &'a LinearRegressionParams,
    rows: &'a S,
    survey: &'a Survey,
}

impl<S: Sweep + Clone> Fit<'_, S> {
    fn kernel(&self, target: Target) -> MarginKernel<SquaredError> {
        MarginKernel::new(SquaredError, target, self.survey.columns, self.params.training.intercept)
    }
    fn sgd(&self, observer: &mut Observer<'_>) -> Result<Solution> {
        gradient_descent(self.rows, &self.kernel(Target::Value), &self.params.training, observer)
    }
    /// The penalty's factor for labels that were divided by `deviation`.
    fn strength(&self, deviation: f64) -> f64 {
        self.params.training.scaling.penalty_factor() / deviation
    }
    /// Deviation that labels are divided by; 1 if they do not vary or are not to be.
    fn deviation_of(&self, variance: f64) -> f64 {
        if self.params.training.standardize && variance > 0.0 { variance.sqrt() } else { 1.0 }
    }
    fn smooth(&self, solver: Solver, observer: &mut Observer<'_>) -> Result<Solution> {
        let p = &self.params.training;
        let deviation = self.deviation_of(self.survey.targets.sample_variance());
        let shift = if p.intercept { self.survey.targets.mean } else { 0.0 };
        let smooth = Smooth {
            rows: self.rows.clone(),
            kernel: self.kernel(Target::Affine { shift, scale: 1.0 / deviation }),
            factor: p.scaling.loss_factor(self.survey.rows),
            penalty: Penalty::elastic_net(self.strength(deviation), p.l1_ratio),
            standardization: standardization_of(p, self.survey),
        };
        let mut solution = smooth.minimize(solver, p, observer)?;
        crate::linalg::dense::scale(deviation, &mut solution.weights);
        if p.intercept {
            solution.weights[self.survey.columns] += shift;
        }
        Ok(solution)
    }
    fn normal(&self) -> Result<Solution> {
        let (p, d) = (&self.params.training, self.survey.columns);
        let sums = GramSums::new(self.rows, d)?;
        let deviation = self.deviation_of(self.survey.targets.population_variance());
        // `factor` times the sum of squares against `strength`: what the equations need is their ratio.
        let factor = p.scaling.loss_factor(self.survey.rows);
        let penalty = self.strength(deviation) / factor;
        let variance = |j: usize| match self.survey.moments.as_ref().filter(|_| p.standardize) {
            Some(moments) => moments.column(j).population_variance(),
            None => 1.0,
        };
        // A column that does not vary has weight 0 if columns are standardised; any penalty makes it so.
        let floor = |v: f64| if p.standardize && v == 0.0 { 1.0 } else { penalty * v };
        let penalties: Vec<f64> = (0..d).map(|j| floor(variance(j))).collect();
        let (mut weights, intercept) = sums.solve(&penalties, p.intercept)?;
        let squares: f64 = weights.iter().zip(&penalties).map(|(w, r)| r * w * w).sum();
        let objective = factor * 0.5 * (sums.squared_error(&weights, intercept) + squares);
        if p.intercept {
            weights.push(intercept);
        }
        Ok(Report::direct(objective, weights))
    }
}
