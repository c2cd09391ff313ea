//! Linear support vector machines for two classes.
//!
//! # Problem
//! `min 1/2 w'w + C Σ max(0, 1 - y z)` (hinge) or with the square of it (squared hinge), `z = w'x + b`; or the same in
//! Spark's scaling, see [`crate::objective::Scaling`].
//!
//! # Solvers
//! | | hinge | squared hinge | intercept |
//! |---|---|---|---|
//! | `dual` | default | yes | penalised |
//! | `newton` | no | default | free |
//! | `lbfgs` | no | yes, also L1 | free |
//! | `sgd` | yes, also L1 | yes, also L1 | penalised |
//!
//! `sgd` with [`LinearSvmParams::spark`] is Spark's `SVMWithSGD`.
//!
//! # References
//! Those of the [solvers](crate::optimization); Fan, Chang, Hsieh, Wang and Lin, *LIBLINEAR*, JMLR 9 (2008).

mod model;
mod params;
mod train;

pub use model::LinearSvmModel;
pub use params::{LinearSvmParams, SvmLoss};
