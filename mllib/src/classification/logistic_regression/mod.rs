//! Logistic regression, binary and multinomial.
//!
//! # Problem
//! Binary: `min 1/2 w'w + C Σ log(1 + exp(-y z))`, `z = w'x + b`, `y` = ±1. Multinomial: `-log softmax(W'x + b)[y]` for
//! the loss, one vector of weights a class. Both with an L2, L1 or elastic net penalty, and in either scaling, see
//! [`crate::objective::Scaling`].
//!
//! Multinomial weights are determined up to a shift of all classes where there is no penalty; the shift is chosen such
//! that the classes' intercepts (and, without any penalty, weights) have mean 0, as in Spark.
//!
//! # Solvers
//! | | binary | multinomial | intercept |
//! |---|---|---|---|
//! | `newton` | default | yes | free |
//! | `lbfgs` | yes, default with L1 | default | free |
//! | `dual` | yes | no | penalised |
//! | `sgd` | yes, also L1 | no | penalised |
//!
//! # References
//! Those of the [solvers](crate::optimization) and of the [objectives](crate::objective).

mod model;
mod params;
mod train;

pub use model::LogisticRegressionModel;
pub use params::{Family, LogisticRegressionParams};
