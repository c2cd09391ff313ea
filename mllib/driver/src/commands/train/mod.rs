//! `train`: linear models, networks, clusters, metrics and dictionaries from rows, factorisations from ratings, topics
//! from documents with classes or without.

mod clusters;
mod coding;
mod documents;
mod lasso;
mod linear;
mod medlda;
mod metric;
mod network;
mod parts;
mod ratings;
mod rows;
mod structured;

pub use network::widths;

use crate::args::{Algorithm, Globals, TrainArgs};
use crate::evaluation::Evaluation;
use crate::output::count;
use crate::session::Session;
use serde_json::Value;
use slackwater_dataflow::Result;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs `train`.
pub fn run(globals: &Globals, args: &TrainArgs) -> Result<u8> {
    match &args.algorithm {
        Algorithm::Linear(algorithm) => linear::run(globals, algorithm),
        Algorithm::Lasso(args) => lasso::run(globals, "lasso", args, 1.0),
        Algorithm::ElasticNet(args) => lasso::run(globals, "elastic-net", &args.common, args.l1_ratio),
        Algorithm::GroupLasso(args) => lasso::run_groups(globals, args),
        Algorithm::TreeLasso(args) => structured::run_tree(globals, args),
        Algorithm::FusedLasso(args) => structured::run_fused(globals, args),
        Algorithm::SparseLogistic(args) => lasso::run_logistic(globals, &args.common, args.l1_ratio),
        Algorithm::NeuralNetwork(args) => network::run(globals, args),
        Algorithm::KMeans(args) => clusters::run(globals, args),
        Algorithm::MatrixFactorization(args) => ratings::run(globals, args),
        Algorithm::Topics(args) => documents::run(globals, args),
        Algorithm::Medlda(args) => medlda::run(globals, args),
        Algorithm::DistanceMetric(args) => metric::run(globals, args),
        Algorithm::SparseCoding(args) => coding::run(globals, args),
        Algorithm::Nmf(args) => parts::run_nmf(globals, args),
        Algorithm::Dictionary(args) => parts::run_dictionary(globals, args),
    }
}

/// Where the model goes: where the option says, or into this folder.
fn target(model: Option<&PathBuf>, algorithm: &str) -> PathBuf {
    model.cloned().unwrap_or_else(|| PathBuf::from(format!("{algorithm}.model")))
}

/// What a training has come to, as it is told.
trait Trained {
    /// Says how many rows could not be read.
    fn set_bad_rows(&mut self, rows: u64);
    /// For programs.
    fn to_json(&self, target: &Path, seconds: f64) -> Value;
    /// For people.
    fn text(&self, target: &Path, seconds: f64) -> String;
}

/// Ends a training that went well: stores what it has come to, in one process, and tells it.
fn finish<T: Trained>(
    session: &Session,
    mut outcome: T,
    target: &Path,
    start: Instant,
    save: impl FnOnce(&T) -> Result<()>,
) -> Result<u8> {
    session.check()?;
    session.cx.once(|| save(&outcome))?;
    outcome.set_bad_rows(session.note_bad_rows());
    let seconds = start.elapsed().as_secs_f64();
    session.output.result(|| outcome.to_json(target, seconds), || outcome.text(target, seconds))?;
    Ok(0)
}

/// Which rows the metrics are of.
#[derive(Clone, Copy)]
pub enum MeasuredOn {
    /// Those learnt from.
    Training,
    /// The second part of a split.
    HeldOut,
    /// Those of other files.
    Test,
    /// The pairs of rows learnt from.
    TrainingPairs,
}

impl MeasuredOn {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            MeasuredOn::Training => "training rows",
            MeasuredOn::HeldOut => "held-out rows",
            MeasuredOn::Test => "test rows",
            MeasuredOn::TrainingPairs => "training pairs",
        }
    }
}

/// How good a fitted model is.
struct Measured {
    evaluation: Evaluation,
    on: MeasuredOn,
    /// All metrics are told, not only the first.
    all_metrics: bool,
}

impl Measured {
    /// The last lines of what `train` says.
    fn text(&self, target: &Path, seconds: f64) -> String {
        let (on, rows) = (self.on.name(), self.evaluation.rows);
        let metrics = match self.all_metrics {
            true => format!("metrics    on the {on}\n{}", self.evaluation.text()),
            false => format!("metrics    {} on the {rows} {on}\n", self.evaluation.headline()),
        };
        metrics + &saved(target, seconds)
    }
}

/// How much of the model a process had, if that was counted.
fn shares(what: &str, model_bytes: &[u64]) -> String {
    match model_bytes.iter().max() {
        None => String::new(),
        Some(most) => {
            let processes = count(model_bytes.len() as u64, "process");
            format!("{what:<10} {processes} with at most {most} bytes of them each\n")
        }
    }
}

/// The very last lines of what `train` says.
fn saved(target: &Path, seconds: f64) -> String {
    format!("model      {}\ntime       {seconds:.3} s", target.display())
}
