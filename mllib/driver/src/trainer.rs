//! From options to a trainer of any kind.

use crate::args::{Grid, LinearAlgorithm, TrainingArgs};
use crate::labels::Accepts;
use crate::model::LinearModel;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::classification::{Family, LinearSvmParams, LogisticRegressionParams, SvmLoss};
use slackwater_mllib::linear::{Solver, TrainingParams};
use slackwater_mllib::objective::{DatasetRows, Scaling};
use slackwater_mllib::optimization::Observer;
use slackwater_mllib::regression::LinearRegressionParams;
use slackwater_paramstore::Snapshots;

/// Spark's `regParam` of the trainers that run gradient descent.
const SPARK_SGD_REGULARIZATION: f64 = 0.01;

/// Parameters of a trainer of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Trainer {
    /// Support vector machine.
    Svm(LinearSvmParams),
    /// Logistic regression.
    Logistic(LogisticRegressionParams),
    /// Linear regression.
    Linear(LinearRegressionParams),
}

impl Trainer {
    /// The parameters that the options mean, checked.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn new(algorithm: &LinearAlgorithm, seed: u64) -> Result<Self> {
        let args = &algorithm.common().training;
        let is_linear = matches!(algorithm, LinearAlgorithm::LinearRegression(_));
        let training = training_params(args, is_linear, seed);
        let trainer = match algorithm {
            LinearAlgorithm::Svm(svm) => {
                let is_sgd = training.solver == Some(Solver::Sgd);
                let default = if is_sgd { SvmLoss::Hinge } else { SvmLoss::SquaredHinge };
                Trainer::Svm(LinearSvmParams { loss: svm.loss.unwrap_or(default), training })
            }
            LinearAlgorithm::LogisticRegression(logistic) => {
                let table = logistic.table.params(training.solver == Some(Solver::Minibatch))?;
                let training = TrainingParams { table, ..training };
                Trainer::Logistic(LogisticRegressionParams { family: logistic.family, training })
            }
            LinearAlgorithm::LinearRegression(_) => Trainer::Linear(LinearRegressionParams { training }),
        };
        trainer.check()?;
        Ok(trainer)
    }
    fn check(&self) -> Result<()> {
        match self {
            Trainer::Svm(p) => p.check().map(drop),
            Trainer::Logistic(p) => p.check(),
            Trainer::Linear(p) => p.check(),
        }
    }
    fn training_mut(&mut self) -> &mut TrainingParams {
        match self {
            Trainer::Svm(p) => &mut p.training,
            Trainer::Logistic(p) => &mut p.training,
            Trainer::Linear(p) => &mut p.training,
        }
    }
    /// What all trainers have.
    pub fn training(&self) -> &TrainingParams {
        match self {
            Trainer::Svm(p) => &p.training,
            Trainer::Logistic(p) => &p.training,
            Trainer::Linear(p) => &p.training,
        }
    }
    /// Which labels it takes; nothing if any number will do.
    pub fn accepts(&self) -> Option<Accepts> {
        match self {
            Trainer::Svm(_) => Some(Accepts::Binary),
            Trainer::Logistic(p) if p.family == Family::Binary => Some(Accepts::Binary),
            Trainer::Logistic(_) => Some(Accepts::Classes),
            Trainer::Linear(_) => None,
        }
    }
    /// Fits a model; `snapshots` are for trainers that take them.
    pub fn fit(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<LinearModel> {
        Ok(match self {
            Trainer::Svm(p) => LinearModel::Svm(p.train(rows, observer)?),
            Trainer::Logistic(p) => LinearModel::Logistic(p.fit_observed(rows, snapshots, observer)?),
            Trainer::Linear(p) => LinearModel::Linear(p.train(rows, observer)?),
        })
    }
    /// All combinations of the grids' values in the place of this trainer's, each with what is different about it.
    ///
    /// # Errors
    /// Config, for a value that cannot be.
    pub fn candidates(&self, grids: &[Grid]) -> Result<Vec<(String, Trainer)>> {
        let mut all = vec![(String::new(), self.clone())];
        for grid in grids {
            let mut next = vec![];
            for (name, trainer) in &all {
                for value in &grid.values {
                    let mut varied = trainer.clone();
                    vary(varied.training_mut(), &grid.name, *value)?;
                    let place = format!("{name} {}={value}", grid.name);
                    next.push((place.trim_start().to_string(), varied));
                }
            }
            all = next;
        }
        all.iter().try_for_each(|(_, trainer)| trainer.check())?;
        Ok(all)
    }
}

fn vary(params: &mut TrainingParams, name: &str, value: f64) -> Result<()> {
    match name {
        "C" => params.scaling = Scaling::Sum { c: value },
        "reg" => params.scaling = Scaling::Mean { regularization: value },
        "l1-ratio" => params.l1_ratio = value,
        "tolerance" => params.tolerance = Some(value),
        "step-size" => params.step_size = value,
        "iterations" if value >= 1.0 && value.fract() == 0.0 => params.iterations_max = Some(value as usize),
        "iterations" => {
            return Err(Error::config("grid", format!("iterations: {value} is not a whole number")));
        }
        other => return Err(Error::config("grid", format!("`{other}` cannot be varied"))),
    }
    Ok(())
}

fn training_params(args: &TrainingArgs, is_linear: bool, seed: u64) -> TrainingParams {
    let solver = args.solver.0;
    let is_sgd = solver == Some(Solver::Sgd);
    let scaling = match (args.c, args.reg) {
        (Some(c), _) => Scaling::Sum { c },
        (None, Some(regularization)) => Scaling::Mean { regularization },
        (None, None) if is_linear => Scaling::Mean { regularization: 0.0 },
        (None, None) if is_sgd => Scaling::Mean { regularization: SPARK_SGD_REGULARIZATION },
        (None, None) => Scaling::Sum { c: 1.0 },
    };
    let as_in_spark = is_linear && !is_sgd;
    TrainingParams {
        solver,
        scaling,
        l1_ratio: args.l1_ratio,
        intercept: !args.no_intercept && args.intercept.unwrap_or(as_in_spark),
        standardize: args.standardize.unwrap_or(as_in_spark),
        iterations_max: args.iterations,
        tolerance: args.tolerance,
        step_size: args.step_size,
        mini_batch_fraction: args.mini_batch_fraction,
        seed,
        ..Default::default()
    }
}
