//! Solvers: they minimise an [`Objective`] and know nothing of data.
//!
//! | solver | problem | when |
//! |---|---|---|
//! | [`Lbfgs`] | smooth | the default for smooth losses; one sweep an iteration |
//! | [`OwlQn`] | smooth plus absolute values | L1 and elastic net |
//! | [`Newton`] | smooth, with second derivatives | high accuracy; several sweeps an iteration, few iterations |
//! | [`DualCoordinateDescent`] | L2-regularised hinge, squared hinge, logistic | sparse data with many columns, moderate accuracy, hinge |
//! | [`GradientDescent`] | any loss | to have Spark's numbers |
//! | [`GramSums`] | least squares | few columns |
//!
//! Every solver starts where it is told, calls an [`Observer`] once an iteration (which may stop it), and returns a
//! [`Solution`] whose [`Report`] says what was done and why it ended. Reaching the iteration limit is an outcome, not an
//! error. A value or gradient that is not finite is [`slackwater_dataflow::ErrorKind::Numerical`].

mod dual;
mod epochs;
mod gradient_descent;
mod lbfgs;
mod line_search;
mod newton;
mod normal;
mod owlqn;
mod report;

pub use dual::{DualCoordinateDescent, DualLoss, HingeDual, LogisticDual, SquaredHingeDual, Step};
pub(crate) use epochs::{TableTrained, TableTraining, require_convergence};
pub use gradient_descent::{GradientDescent, Updater};
pub use lbfgs::{InitialMatrix, Lbfgs};
pub use line_search::{StrongWolfe, Trial};
pub use newton::Newton;
pub use normal::GramSums;
pub use owlqn::OwlQn;
pub use report::{ModelBytes, Observer, Progress, Report, Solution, Stop, silent};

#[cfg(doc)]
use crate::objective::Objective;
