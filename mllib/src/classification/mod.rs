//! Classifiers.

pub mod linear_svm;
pub mod logistic_regression;
pub mod max_margin_topics;
pub mod neural_network;
pub mod sparse_logistic;

pub use linear_svm::{LinearSvmModel, LinearSvmParams, SvmLoss};
pub use logistic_regression::{Family, LogisticRegressionModel, LogisticRegressionParams};
pub use max_margin_topics::{MaxMarginTopicsModel, MaxMarginTopicsParams};
pub use neural_network::{Activation, NeuralNetworkModel, NeuralNetworkParams};
pub use sparse_logistic::{SparseLogisticFit, SparseLogisticParams};
