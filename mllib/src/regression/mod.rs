//! Linear regression, by rows and by columns.

pub mod lasso;
pub mod linear;

pub use lasso::{LassoFit, LassoParams};
pub use linear::{LinearRegressionModel, LinearRegressionParams};
