//! Linear regression: least squares, ridge, lasso, elastic net.
//!
//! # Problem
//! [`Scaling::Mean`](crate::objective::Scaling): `min 1/(2n) Σ (x'w + b - y)² + reg ((1 - α)/2 w'w + α ‖w‖₁)`;
//! [`Scaling::Sum`](crate::objective::Scaling): `min C/2 Σ (x'w + b - y)² + …`.
//!
//! With `standardize` columns *and labels* are brought to unit deviation and the penalty is `reg / deviation(y)`, as in
//! Spark and glmnet: so the L1 part acts on `y` in its own units, while the L2 part is weaker by the deviation of `y`
//! than the formula says. The coefficients are those of raw columns and labels.
//!
//! # Solvers
//! | solver | penalty | deviations of `standardize` |
//! |---|---|---|
//! | `normal` (default up to 4,096 columns) | L2 | with `n`, as Spark's normal solver |
//! | `lbfgs` (default otherwise) | L2, L1, both | with `n - 1`, as Spark's `l-bfgs` |
//! | `newton` | L2 | with `n - 1` |
//! | `sgd` | L2 or L1, also on the intercept | not offered |

mod model;
mod params;
mod train;

pub use model::LinearRegressionModel;
pub use params::LinearRegressionParams;
