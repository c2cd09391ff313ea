//! Linear regression.

pub mod linear;

pub use linear::{LinearRegressionModel, LinearRegressionParams};
