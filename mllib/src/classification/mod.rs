//! Linear classifiers.

pub mod linear_svm;
pub mod logistic_regression;

pub use linear_svm::{LinearSvmModel, LinearSvmParams, SvmLoss};
pub use logistic_regression::{Family, LogisticRegressionModel, LogisticRegressionParams};
