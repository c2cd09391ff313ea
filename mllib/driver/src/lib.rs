//! Slackwater as a library: datasets with lineage on timely dataflow, loaders, machine learning.
//!
//! ```
//! use slackwater::prelude::*;
//!
//! let cx = Context::local(2)?;
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("tiny.svm");
//! # std::fs::write(&path, "1 1:1\n-1 1:-1\n1 1:2\n-1 1:-2\n").unwrap();
//! let points = cx.read_libsvm(&path)?.cache();
//! let model = LinearSvmParams::default().fit(&points)?;
//! let scores = points.score_rows(move |row| model.score(&row));
//! assert_eq!(BinaryMetrics::of(&scores)?.area_under_roc(), 1.0);
//! # Ok::<(), slackwater::dataflow::Error>(())
//! ```
//!
//! This crate is the top of the workspace: it re-exports the layers, and holds the command `slackwater`. Without its
//! default feature `cli` it is the library alone.

pub use slackwater_dataflow as dataflow;
pub use slackwater_loaders as loaders;
pub use slackwater_mllib as mllib;
pub use slackwater_paramstore as paramstore;

/// The programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// What most programs use.
pub mod prelude {
    pub use slackwater_dataflow::block::{LabeledBlock, LabeledPoint, Rating, Vector};
    pub use slackwater_dataflow::{
        Accumulator, Broadcast, Config, Context, Dataset, Error, ErrorKind, OnBad, Result, StorageLevel,
    };
    pub use slackwater_loaders::table::{Aggregate, Expr, FeatureMap, FeatureOptions, Frame, col, lit};
    pub use slackwater_loaders::{Format, ReadExt, ReadGraphExt, ReadTables, SaveLibsvm, SaveText};
    pub use slackwater_mllib::classification::{
        Activation, Family, LinearSvmModel, LinearSvmParams, LogisticRegressionModel,
        LogisticRegressionParams, MaxMarginTopicsModel, MaxMarginTopicsParams, NeuralNetworkModel,
        NeuralNetworkParams, SvmLoss,
    };
    pub use slackwater_mllib::clustering::{KMeansModel, KMeansParams, LdaModel, LdaParams};
    pub use slackwater_mllib::decomposition::{
        DictionaryModel, DictionaryParams, NmfModel, NmfParams, SparseCodingModel, SparseCodingParams,
    };
    pub use slackwater_mllib::evaluation::{BinaryMetrics, MulticlassMetrics, RegressionMetrics};
    pub use slackwater_mllib::feature::{DistanceMetricModel, DistanceMetricParams, StandardScaler};
    pub use slackwater_mllib::linear::{Features, ScoreRows, Solver, TableParams, TrainingParams};
    pub use slackwater_mllib::model::Overwrite;
    pub use slackwater_mllib::objective::{DatasetRows, Scaling};
    pub use slackwater_mllib::recommendation::{MatrixFactorizationModel, MatrixFactorizationParams};
    pub use slackwater_mllib::regression::{LinearRegressionModel, LinearRegressionParams};
    pub use slackwater_mllib::tuning::{CrossValidation, Direction, Grid};
    pub use slackwater_paramstore::{
        Clock, Consistency, EpochsExt, MapWithExt, RotateExt, Rule, Sending, Snapshots, Table, TableExt,
        TableSpec, TableView,
    };
}
