//! Functions to minimise: a sum of losses over partitioned rows, plus a penalty on the weights.
//!
//! ```text
//!   f(w) = a Σ_i loss(x_i'w + b, y_i)  +  Σ_j p_j (λ2/2 w_j² + λ1 |w_j|)
//! ```
//!
//! Both scalings in use are choices of `a` and `λ`:
//!
//! | | `a` | `λ` | who |
//! |---|---|---|---|
//! | [`Scaling::Sum`] | `C` | 1 | LIBLINEAR, `1/2 w'w + C Σ loss` |
//! | [`Scaling::Mean`] | `1/n` | `reg` | Spark, `1/n Σ loss + reg (1/2 (1-α) w'w + α ‖w‖₁)` |
//!
//! They have the same minimiser when `C = 1 / (n reg)`. `p_j` is 1, or 0 for the intercept, or another factor where a
//! penalty applies to weights of standardised columns but the columns are not standardised.
//!
//! The parts: [`Sweep`] runs work over partitions and adds up; a [`RowKernel`] ([`MarginKernel`] for one output,
//! [`SoftmaxKernel`] for many) computes losses and derivatives of one partition; [`LossSum`] is their sum;
//! [`Regularized`] adds the penalty and, if asked, works on [`Standardization`]-ed columns without touching the data;
//! the result is an [`Objective`].

mod dataset_rows;
mod kernel;
mod loss;
mod loss_sum;
mod margin;
mod penalty;
mod regularized;
mod slots;
mod softmax;
mod standardization;
mod sweep;

pub use dataset_rows::{DatasetRows, RowSlice};
pub(crate) use kernel::check_width;
pub use kernel::{RowKernel, Target};
pub use loss::{Hinge, Logistic, Loss, LossAt, SquaredError, SquaredHinge};
pub use loss_sum::LossSum;
pub use margin::MarginKernel;
pub use penalty::{Penalty, Scaling};
pub use regularized::Regularized;
pub(crate) use slots::Slots;
pub use softmax::{SoftmaxKernel, softmax};
pub use standardization::Standardization;
pub use sweep::{LocalRows, Partial, Sweep, add_vectors, merge_tree};

use slackwater_dataflow::Result;

/// A function of `dimension` weights that solvers can evaluate.
///
/// Solvers call [`value_and_gradient`](Objective::value_and_gradient) first; the second-order calls refer to the
/// weights of the last such call.
///
/// # Errors
/// What running over the data reports; a value or gradient that is not finite is the solver's to notice.
pub trait Objective {
    /// Number of weights.
    fn dimension(&self) -> usize;

    /// Value at `w`; the gradient is written to `gradient`. Of an objective with an L1 part this is the smooth part
    /// only, see [`l1`](Objective::l1).
    fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> Result<f64>;

    /// `out = H v` with the Hessian `H` at the weights of the last evaluation (a generalised one where the second
    /// derivative jumps).
    fn hessian_vector(&mut self, v: &[f64], out: &mut [f64]) -> Result<()>;

    /// The diagonal of that Hessian: a preconditioner. Every entry is positive.
    fn hessian_diagonal(&mut self, out: &mut [f64]) -> Result<()>;

    /// Weight of `|w_j|` in the full objective for every `j`, or `None` if there is no such part.
    fn l1(&self) -> Option<Vec<f64>> {
        None
    }
}
