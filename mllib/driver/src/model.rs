//! Models of any kind: linear ones and networks, which score rows of features, clusters of rows, factorisations, which predict
//! ratings, topics of documents, with classes or without, and maps of rows of features to others.

use slackwater_dataflow::block::{CsrBlock, LabeledBlock, Row};
use slackwater_dataflow::{Dataset, Error, Result};
use slackwater_loaders::store::check_output;
use slackwater_loaders::table::FeatureMap;
use slackwater_mllib::classification::max_margin_topics::check_counts;
use slackwater_mllib::classification::{
    LinearSvmModel, LogisticRegressionModel, MaxMarginTopicsModel, NeuralNetworkModel,
};
use slackwater_mllib::clustering::{KMeansModel, LdaModel};
use slackwater_mllib::decomposition::{DictionaryModel, NmfModel, SparseCodingModel};
use slackwater_mllib::feature::DistanceMetricModel;
use slackwater_mllib::linear::TrainingSummary;
use slackwater_mllib::model::{Metadata, Overwrite, Persist, inspect, load, save_with};
use slackwater_mllib::recommendation::MatrixFactorizationModel;
use slackwater_mllib::regression::LinearRegressionModel;
use std::path::Path;

/// What is stored in a model's folder.
#[derive(Debug, Clone)]
pub enum Stored {
    /// A linear model for rows of features.
    Linear(LinearModel),
    /// A network for rows of features.
    Network(NeuralNetworkModel),
    /// Centres of rows of features.
    Clusters(KMeansModel),
    /// A model for ratings.
    Ratings(MatrixFactorizationModel),
    /// A model for documents.
    Documents(LdaModel),
    /// A model for documents that have classes: rows of counts.
    ClassTopics(MaxMarginTopicsModel),
    /// A map of rows of features under which similar ones are close.
    Metric(DistanceMetricModel),
    /// A dictionary for rows of features.
    Dictionary(SparseCodingModel),
    /// Components of which rows of features are sums.
    Components(NmfModel),
    /// A dictionary for rows of features that was learnt by turns.
    Atoms(DictionaryModel),
}

impl Stored {
    /// Reads a model.
    pub fn load(path: &Path) -> Result<Stored> {
        let algorithm = metadata(path)?.algorithm;
        match algorithm.as_str() {
            LinearSvmModel::ALGORITHM => load(path).map(LinearModel::Svm).map(Stored::Linear),
            LogisticRegressionModel::ALGORITHM => load(path).map(LinearModel::Logistic).map(Stored::Linear),
            LinearRegressionModel::ALGORITHM => load(path).map(LinearModel::Linear).map(Stored::Linear),
            NeuralNetworkModel::ALGORITHM => load(path).map(Stored::Network),
            KMeansModel::ALGORITHM => load(path).map(Stored::Clusters),
            MatrixFactorizationModel::ALGORITHM => load(path).map(Stored::Ratings),
            LdaModel::ALGORITHM => load(path).map(Stored::Documents),
            MaxMarginTopicsModel::ALGORITHM => load(path).map(Stored::ClassTopics),
            DistanceMetricModel::ALGORITHM => load(path).map(Stored::Metric),
            SparseCodingModel::ALGORITHM => load(path).map(Stored::Dictionary),
            NmfModel::ALGORITHM => load(path).map(Stored::Components),
            DictionaryModel::ALGORITHM => load(path).map(Stored::Atoms),
            other => Err(Error::input(
                format!("{}: this program knows no model of kind `{other}`", path.display()),
                "use the program that made it",
            )),
        }
    }
}

/// Stores a model, with how its rows are made of columns unless that goes without saying.
pub fn save_model(
    model: &impl Persist,
    path: &Path,
    overwrite: bool,
    features: Option<&FeatureMap>,
) -> Result<()> {
    let overwrite = if overwrite { Overwrite::Replace } else { Overwrite::Refuse };
    let features = features.filter(|map| !map.is_plain()).map(|map| {
        serde_json::to_value(map).map_err(|e| Error::usage(format!("the columns cannot be stored: {e}")))
    });
    save_with(model, path, overwrite, features.transpose()?)
}

/// How the rows of a stored model are made of columns, if it says so.
pub fn features(path: &Path) -> Result<Option<FeatureMap>> {
    let read = |value| {
        serde_json::from_value(value).map_err(|e| {
            let message = format!("{}: what it says of its columns cannot be read: {e}", path.display());
            Error::input(message, "train it again, or copy it again")
        })
    };
    metadata(path)?.features.map(read).transpose()
}

/// A linear model of any kind.
#[derive(Debug, Clone)]
pub enum LinearModel {
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
            LinearModel::Svm($model) => $body,
            LinearModel::Logistic($model) => $body,
            LinearModel::Linear($model) => $body,
        }
    };
}

impl LinearModel {
    /// Stores the model.
    pub fn save(&self, path: &Path, overwrite: bool, features: Option<&FeatureMap>) -> Result<()> {
        each!(self, m => save_model(m, path, overwrite, features))
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
            LinearModel::Svm(m) => vec![m.intercept()],
            LinearModel::Logistic(m) => m.intercepts().to_vec(),
            LinearModel::Linear(m) => vec![m.intercept()],
        }
    }
    /// The text of a LIBLINEAR model file.
    pub fn export_liblinear(&self) -> Result<String> {
        match self {
            LinearModel::Svm(m) => m.export_liblinear(),
            LinearModel::Logistic(m) => m.export_liblinear(),
            LinearModel::Linear(_) => {
                Err(Error::usage("LIBLINEAR's export is for classifiers, not for linear regression"))
            }
        }
    }
}

/// A model that scores rows of features.
pub trait RowModel: Clone + Send + Sync + 'static {
    /// Labels of the classes, the positive one of two last; none for a regression.
    fn classes(&self) -> Option<Vec<f64>>;
    /// Number of columns.
    fn columns(&self) -> usize;
    /// Raw scores of a row.
    fn outputs(&self) -> usize;
    /// True if it gives probabilities of classes.
    fn has_probabilities(&self) -> bool;
    /// Calls `f` with what the model makes of every row, in order.
    fn score(&self, rows: &CsrBlock, f: &mut dyn FnMut(&dyn RowScores));
    /// True if values of rows must be counts of words.
    fn takes_counts(&self) -> bool {
        false
    }
    /// Refuses rows with columns that the model does not know.
    fn check_columns(&self, columns: usize, data: &str) -> Result<()> {
        check_columns(self.columns(), columns, data)
    }
}

/// The rows, of which those are bad that the model does not take.
pub fn as_taken(model: &impl RowModel, rows: Dataset<LabeledBlock>) -> Dataset<LabeledBlock> {
    match model.takes_counts() {
        true => rows.try_expand(|block: &LabeledBlock, out, refuse| {
            let mut good = vec![true; block.rows()];
            for (good, row) in good.iter_mut().zip(block.features.iter()) {
                if let Err(bad) = check_counts(&row) {
                    refuse(bad)?;
                    *good = false;
                }
            }
            out.push(block.filter(|i| good[i]));
            Ok(())
        }),
        false => rows,
    }
}

/// Refuses rows of more `columns` than a model has `known`.
pub fn check_columns(known: usize, columns: usize, data: &str) -> Result<()> {
    if columns <= known {
        return Ok(());
    }
    let extra = if columns - known == 1 { format!("{columns}") } else { format!("{}..{columns}", known + 1) };
    Err(Error::input(
        format!(
            "{data} has {columns} columns and the model knows {known}: index {extra} was not there when it was trained"
        ),
        "train with --num-features, or leave them out of the scores with --ignore-extra-columns",
    ))
}

/// What a model makes of one row. Nothing is computed before it is asked for.
pub trait RowScores {
    /// Class, or value.
    fn prediction(&self) -> f64;
    /// Raw scores, one an output.
    fn margins(&self) -> Vec<f64>;
    /// The score that ranks rows of two classes.
    fn ranking(&self) -> f64;
    /// Probability of each class, if the model has them.
    fn probabilities(&self) -> Option<Vec<f64>>;
}

/// A row for a linear model.
struct OfLinear<'a>(&'a LinearModel, Row<'a>);

impl RowScores for OfLinear<'_> {
    fn prediction(&self) -> f64 {
        each!(self.0, m => m.predict(&self.1))
    }
    fn margins(&self) -> Vec<f64> {
        match self.0 {
            LinearModel::Svm(m) => vec![m.score(&self.1)],
            LinearModel::Logistic(m) => m.margins(&self.1),
            LinearModel::Linear(m) => vec![m.predict(&self.1)],
        }
    }
    fn ranking(&self) -> f64 {
        match self.0 {
            LinearModel::Svm(m) => m.score(&self.1),
            LinearModel::Logistic(m) => m.score(&self.1),
            LinearModel::Linear(m) => m.predict(&self.1),
        }
    }
    fn probabilities(&self) -> Option<Vec<f64>> {
        match self.0 {
            LinearModel::Logistic(m) => Some(m.probabilities(&self.1)),
            _ => None,
        }
    }
}

impl RowModel for LinearModel {
    fn classes(&self) -> Option<Vec<f64>> {
        match self {
            LinearModel::Svm(m) => Some(m.classes().to_vec()),
            LinearModel::Logistic(m) => Some(m.classes().to_vec()),
            LinearModel::Linear(_) => None,
        }
    }
    fn columns(&self) -> usize {
        self.weights().len() / self.outputs()
    }
    fn outputs(&self) -> usize {
        self.intercepts().len()
    }
    fn has_probabilities(&self) -> bool {
        matches!(self, LinearModel::Logistic(_))
    }
    fn score(&self, rows: &CsrBlock, f: &mut dyn FnMut(&dyn RowScores)) {
        rows.iter().for_each(|row| f(&OfLinear(self, row)));
    }
}

/// The outputs of a network for a row.
struct OfNetwork<'a>(&'a NeuralNetworkModel, &'a [f32]);

impl RowScores for OfNetwork<'_> {
    fn prediction(&self) -> f64 {
        self.0.class_of(self.1)
    }
    fn margins(&self) -> Vec<f64> {
        self.1.iter().copied().map(f64::from).collect()
    }
    fn ranking(&self) -> f64 {
        *self.0.probabilities_of(self.1).last().expect("there are at least two classes")
    }
    fn probabilities(&self) -> Option<Vec<f64>> {
        Some(self.0.probabilities_of(self.1))
    }
}

impl RowModel for NeuralNetworkModel {
    fn classes(&self) -> Option<Vec<f64>> {
        Some(NeuralNetworkModel::classes(self).to_vec())
    }
    fn columns(&self) -> usize {
        NeuralNetworkModel::columns(self)
    }
    fn outputs(&self) -> usize {
        NeuralNetworkModel::classes(self).len()
    }
    fn has_probabilities(&self) -> bool {
        true
    }
    fn score(&self, rows: &CsrBlock, f: &mut dyn FnMut(&dyn RowScores)) {
        self.for_each(rows, |outputs| f(&OfNetwork(self, outputs)));
    }
}

/// The scores of a document.
struct OfTopics<'a>(&'a MaxMarginTopicsModel, Vec<f64>);

impl RowScores for OfTopics<'_> {
    fn prediction(&self) -> f64 {
        self.0.class_of(&self.1)
    }
    fn margins(&self) -> Vec<f64> {
        self.1.clone()
    }
    fn ranking(&self) -> f64 {
        *self.1.last().expect("there is a score a task")
    }
    fn probabilities(&self) -> Option<Vec<f64>> {
        None
    }
}

impl RowModel for MaxMarginTopicsModel {
    fn classes(&self) -> Option<Vec<f64>> {
        Some(MaxMarginTopicsModel::classes(self).to_vec())
    }
    fn columns(&self) -> usize {
        self.words()
    }
    fn outputs(&self) -> usize {
        self.tasks()
    }
    fn has_probabilities(&self) -> bool {
        false
    }
    fn takes_counts(&self) -> bool {
        true
    }
    /// New documents have new words, which say nothing.
    fn check_columns(&self, _: usize, _: &str) -> Result<()> {
        Ok(())
    }
    fn score(&self, rows: &CsrBlock, f: &mut dyn FnMut(&dyn RowScores)) {
        rows.iter().for_each(|row| f(&OfTopics(self, self.scores(&row))));
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
    check_output(path)?;
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
