//! Models of any kind: linear ones, which score rows of features, factorisations, which predict ratings, and topics of
//! documents.

use slackwater_dataflow::{Error, Result};
use slackwater_mllib::classification::{LinearSvmModel, LogisticRegressionModel};
use slackwater_mllib::clustering::LdaModel;
use slackwater_mllib::linear::{Features, TrainingSummary};
use slackwater_mllib::model::{Metadata, Overwrite, Persist, inspect, load, save};
use slackwater_mllib::recommendation::MatrixFactorizationModel;
use slackwater_mllib::regression::LinearRegressionModel;
use std::path::Path;

/// What is stored in a model's folder.
#[derive(Debug, Clone)]
pub enum Stored {
    /// A model for rows of features.
    Rows(Model),
    /// A model for ratings.
    Ratings(MatrixFactorizationModel),
    /// A model for documents.
    Documents(LdaModel),
}

impl Stored {
    /// Reads a model.
    pub fn load(path: &Path) -> Result<Stored> {
        let algorithm = metadata(path)?.algorithm;
        match algorithm.as_str() {
            LinearSvmModel::ALGORITHM => load(path).map(Model::Svm).map(Stored::Rows),
            LogisticRegressionModel::ALGORITHM => load(path).map(Model::Logistic).map(Stored::Rows),
            LinearRegressionModel::ALGORITHM => load(path).map(Model::Linear).map(Stored::Rows),
            MatrixFactorizationModel::ALGORITHM => load(path).map(Stored::Ratings),
            LdaModel::ALGORITHM => load(path).map(Stored::Documents),
            other => Err(Error::input(
                format!("{}: this program knows no model of kind `{other}`", path.display()),
                "use the program that made it",
            )),
        }
    }
}

/// Stores a model.
pub fn save_model(model: &impl Persist, path: &Path, overwrite: bool) -> Result<()> {
    save(model, path, if overwrite { Overwrite::Replace } else { Overwrite::Refuse })
}

/// A linear model of any kind.
#[derive(Debug, Clone)]
pub enum Model {
    /// Support vector machine.
    Svm(LinearSvmModel),
    /// Logistic regression.
    Logistic(LogisticRegressionModel),
    /// Linear regression.
    Linear(LinearRegressionModel),
}

/// Calls the same method of whatever model it is.
macro_rules! each {
    ($self:expr, $model:ident => $body:expr) => {
        match $self {
            Model::Svm($model) => $body,
            Model::Logistic($model) => $body,
            Model::Linear($model) => $body,
        }
    };
}

impl Model {
    /// Stores the model.
    pub fn save(&self, path: &Path, overwrite: bool) -> Result<()> {
        each!(self, m => save_model(m, path, overwrite))
    }
    /// What training did.
    pub fn summary(&self) -> &TrainingSummary {
        each!(self, m => m.summary())
    }
    /// Its parameters as JSON.
    pub fn params(&self) -> serde_json::Value {
        each!(self, m => serde_json::to_value(m.params())).expect("parameters are numbers and names")
    }
    /// Weights by column, those of one column together.
    pub fn weights(&self) -> &[f64] {
        each!(self, m => m.weights())
    }
    /// One an output.
    pub fn intercepts(&self) -> Vec<f64> {
        match self {
            Model::Svm(m) => vec![m.intercept()],
            Model::Logistic(m) => m.intercepts().to_vec(),
            Model::Linear(m) => vec![m.intercept()],
        }
    }
    /// Number of linear functions.
    pub fn outputs(&self) -> usize {
        self.intercepts().len()
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.weights().len() / self.outputs()
    }
    /// Labels of the classes, the positive one of two last; none for a regression.
    pub fn classes(&self) -> Option<Vec<f64>> {
        match self {
            Model::Svm(m) => Some(m.classes().to_vec()),
            Model::Logistic(m) => Some(m.classes().to_vec()),
            Model::Linear(_) => None,
        }
    }
    /// Raw scores, one an output.
    pub fn margins(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        match self {
            Model::Svm(m) => vec![m.score(row)],
            Model::Logistic(m) => m.margins(row),
            Model::Linear(m) => vec![m.predict(row)],
        }
    }
    /// Class, or value.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> f64 {
        each!(self, m => m.predict(row))
    }
    /// The score that ranks rows of two classes.
    pub fn score(&self, row: &(impl Features + ?Sized)) -> f64 {
        match self {
            Model::Svm(m) => m.score(row),
            Model::Logistic(m) => m.score(row),
            Model::Linear(m) => m.predict(row),
        }
    }
    /// Probability of each class; only logistic regression has them.
    pub fn probabilities(&self, row: &(impl Features + ?Sized)) -> Option<Vec<f64>> {
        match self {
            Model::Logistic(m) => Some(m.probabilities(row)),
            _ => None,
        }
    }
    /// The text of a LIBLINEAR model file.
    pub fn export_liblinear(&self) -> Result<String> {
        match self {
            Model::Svm(m) => m.export_liblinear(),
            Model::Logistic(m) => m.export_liblinear(),
            Model::Linear(_) => {
                Err(Error::usage("LIBLINEAR's export is for classifiers, not for linear regression"))
            }
        }
    }
    /// Refuses rows with columns that the model does not know.
    pub fn check_columns(&self, columns: usize, data: &str) -> Result<()> {
        let known = self.columns();
        if columns <= known {
            return Ok(());
        }
        let extra =
            if columns - known == 1 { format!("{columns}") } else { format!("{}..{columns}", known + 1) };
        Err(Error::input(
            format!(
                "{data} has {columns} columns and the model knows {known}: index {extra} was not there when it was trained"
            ),
            "train with --num-features, or leave them out of the scores with --ignore-extra-columns",
        ))
    }
}

/// True if there is a model at `path`.
pub fn is_model(path: &Path) -> bool {
    path.join("metadata.json").is_file()
}

/// What a model's folder says about it, but for the numbers.
pub fn metadata(path: &Path) -> Result<Metadata<String>> {
    if path.is_dir() && !is_model(path) {
        return Err(Error::input(
            format!("`{}` is a folder without metadata.json: no model", path.display()),
            "a model is the folder that `train --model` names",
        ));
    }
    inspect(path)
}

/// Refuses a place where something is, before any work is done.
pub fn check_target(path: &Path, overwrite: bool) -> Result<()> {
    let there = path.symlink_metadata().is_ok();
    if there && !(overwrite && is_model(path)) {
        let what = if is_model(path) { "a model" } else { "something that is no model" };
        let hint = if is_model(path) {
            "\n  hint: --overwrite replaces it, --model names another place"
        } else {
            ""
        };
        return Err(Error::usage(format!("{}: there is {what} already{hint}", path.display())));
    }
    Ok(())
}
