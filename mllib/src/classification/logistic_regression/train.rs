//! Training of logistic regression.

use super::{Family, LogisticRegressionModel, LogisticRegressionParams};
use crate::linear::minibatch::{Minibatch, Outputs};
use crate::linear::{
    Smooth, Solver, Survey, TrainingSummary, WeightTable, binary_classes, class_labels, gradient_descent,
    standardization_of,
};
use crate::objective::{
    DatasetRows, Logistic, MarginKernel, Objective, Penalty, RowKernel, SoftmaxKernel, Sweep, Target,
};
use crate::optimization::{DualCoordinateDescent, LogisticDual, Observer, Solution, silent};
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::Snapshots;

impl LogisticRegressionParams {
    /// [`train`](LogisticRegressionParams::train) on a dataset of points or blocks, or on [`DatasetRows`] that serve several runs.
    ///
    /// # Errors
    /// As `train`.
    pub fn fit(&self, data: impl Into<DatasetRows>) -> Result<LogisticRegressionModel> {
        self.fit_observed(&data.into(), None, &mut silent)
    }
    /// [`fit`](LogisticRegressionParams::fit) with an observer, and for the solver `minibatch` with snapshots.
    ///
    /// # Errors
    /// As `train`; config, if another solver is given snapshots; what reading or writing them reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<LogisticRegressionModel> {
        if snapshots.is_some() && self.training.solver != Some(Solver::Minibatch) {
            return Err(Error::config("snapshots", "are for the solver `minibatch` only"));
        }
        self.fit_with(rows, observer, |fit, outputs, observer| {
            fit.minibatch(rows, outputs, snapshots, observer)
        })
    }
    /// Fits a model to rows whose labels are whole numbers (for [`Family::Binary`]: 0 and 1, or -1 and +1).
    ///
    /// # Errors
    /// Config for parameters that do not fit; data for labels that do not; numerical; what the sweep reports.
    pub fn train<S: Sweep + Clone>(
        &self,
        rows: &S,
        observer: &mut Observer<'_>,
    ) -> Result<LogisticRegressionModel> {
        self.fit_with(rows, observer, |_, _, _| {
            Err(Error::config("solver", "`minibatch` trains on datasets: call `fit` or `fit_observed`"))
        })
    }
    fn fit_with<S: Sweep + Clone>(
        &self,
        rows: &S,
        observer: &mut Observer<'_>,
        minibatch: impl FnOnce(&Fit<'_, S>, Outputs, &mut Observer<'_>) -> Result<Solution>,
    ) -> Result<LogisticRegressionModel> {
        self.check()?;
        let survey = Survey::new(rows, self.training.standardize)?;
        let classes = match self.family {
            Family::Binary => binary_classes(&survey.labels).map(|b| vec![b.negative, b.positive])?,
            Family::Auto | Family::Multinomial => class_labels(&survey.labels)?,
        };
        let multinomial = self.family == Family::Multinomial || classes.len() > 2;
        let solver = self.solver(multinomial)?;
        let fit = Fit { params: self, rows, survey: &survey };
        let solution = if solver == Solver::Minibatch {
            let outputs = match multinomial {
                true => Outputs::Classes(classes.as_slice().into()),
                false => Outputs::Positive(classes[1]),
            };
            minibatch(&fit, outputs, observer)?
        } else if multinomial {
            let kernel = SoftmaxKernel::new(&classes, survey.columns, self.training.intercept);
            let mut solution = fit.smooth(kernel).minimize(solver, &self.training, observer)?;
            self.center(&mut solution.weights, survey.columns, classes.len());
            solution
        } else {
            fit.binary(solver, classes[1], observer)?
        };
        let summary = TrainingSummary {
            solver,
            rows: survey.rows,
            columns: survey.columns,
            objective: solution.objective,
            report: solution.report,
            path: vec![],
        };
        let outputs = if multinomial { classes.len() } else { 1 };
        let table = WeightTable::from_solution(solution.weights, survey.columns, outputs);
        Ok(LogisticRegressionModel::new(table, classes, self.clone(), summary))
    }
    /// Removes the shift that the loss leaves open.
    fn center(&self, weights: &mut [f64], columns: usize, outputs: usize) {
        let from = if self.training.scaling.penalty_factor() == 0.0 { 0 } else { columns * outputs };
        for of_column in weights[from..].chunks_exact_mut(outputs) {
            let mean = of_column.iter().sum::<f64>() / outputs as f64;
            of_column.iter_mut().for_each(|w| *w -= mean);
        }
    }
}

/// Value and norm of the gradient.
fn value_at(objective: &mut impl Objective, w: &[f64]) -> Result<(f64, f64)> {
    let mut gradient = vec![0.0; objective.dimension()];
    let value = objective.value_and_gradient(w, &mut gradient)?;
    Ok((value, gradient.iter().map(|g| g * g).sum::<f64>().sqrt()))
}

/// A training run.
struct Fit<'a, S> {
    params: &'a LogisticRegressionParams,
    rows: &'a S,
    survey: &'a Survey,
}

impl<S: Sweep + Clone> Fit<'_, S> {
    fn minibatch(
        &self,
        rows: &DatasetRows,
        outputs: Outputs,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<Solution> {
        let (columns, intercept) = (self.survey.columns, self.params.training.intercept);
        let objective = |w: &[f64]| match &outputs {
            Outputs::Positive(positive) => {
                let target = Target::Positive(*positive);
                let kernel = MarginKernel::new(Logistic, target, columns, intercept);
                value_at(&mut self.smooth(kernel).objective(), w)
            }
            Outputs::Classes(classes) => {
                let kernel = SoftmaxKernel::new(classes, columns, intercept);
                value_at(&mut self.smooth(kernel).objective(), w)
            }
        };
        let minibatch = Minibatch {
            params: &self.params.training,
            outputs: outputs.clone(),
            columns,
            rows: self.survey.rows,
            snapshots,
        };
        minibatch.minimize(rows, objective, observer)
    }
    fn smooth<K: RowKernel>(&self, kernel: K) -> Smooth<S, K> {
        let p = &self.params.training;
        Smooth {
            rows: self.rows.clone(),
            kernel,
            factor: p.scaling.loss_factor(self.survey.rows),
            penalty: Penalty::elastic_net(p.scaling.penalty_factor(), p.l1_ratio),
            standardization: standardization_of(p, self.survey),
        }
    }
    fn binary(&self, solver: Solver, positive: f64, observer: &mut Observer<'_>) -> Result<Solution> {
        let p = &self.params.training;
        let target = Target::Positive(positive);
        let kernel = MarginKernel::new(Logistic, target.clone(), self.survey.columns, p.intercept);
        match solver {
            Solver::Sgd => gradient_descent(self.rows, &kernel, p, observer),
            Solver::Dual => {
                let dual = DualCoordinateDescent::for_params(p, self.survey.rows);
                let mut smooth = self.smooth(kernel);
                // The same problem for the Newton method: `1/2 w'w + C Σ loss`, the intercept penalised.
                smooth.factor = dual.c;
                smooth.penalty = Penalty::l2(1.0).with_intercepts(true);
                let mut primal = smooth.objective();
                let mut solution =
                    dual.minimize_then_newton(self.rows, LogisticDual, target, &mut primal, observer)?;
                solution.rescale(p.scaling.penalty_factor());
                Ok(solution)
            }
            smooth => self.smooth(kernel).minimize(smooth, p, observer),
        }
    }
}
