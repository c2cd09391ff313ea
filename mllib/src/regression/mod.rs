//! Linear regression, by rows and by columns.

pub mod group_lasso;
pub mod lasso;
pub mod linear;
pub mod structured;
pub(crate) mod working_sets;

pub use group_lasso::{GroupLassoFit, GroupLassoParams, Groups};
pub use lasso::{LassoFit, LassoParams};
pub use linear::{LinearRegressionModel, LinearRegressionParams};
pub use structured::{StructuredFit, StructuredLassoParams};
