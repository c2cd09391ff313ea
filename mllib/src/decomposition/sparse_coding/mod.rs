//! Sparse coding: a dictionary of atoms of which every row is a combination of a few, by projected gradient descent on a
//! parameter table.
//!
//! # Problem
//! `min 1/n Σ_i (1/2 ‖x_i - s_i B‖² + λ ‖s_i‖₁)` over the dictionary `B`, whose rows, the atoms, have `‖B_j‖ ≤ c`, and over
//! the codes `s_i`, one number an atom; if asked for, atoms and codes of at least 0. (scikit-learn's objective is `n` times
//! this, its `alpha` is `λ`, and its `c` is 1. Without a bound on atoms codes could be as small as one likes.)
//!
//! A table has a row for every atom; the codes of a partition's rows are its state, and are never sent. A clock takes `batch`
//! rows of every partition. Their codes go on from where the epoch before has left them, with `passes` passes of coordinate
//! descent at the dictionary that was read: as in Mairal et al., since it needs no step and its codes are exactly zero where
//! they should be. Gradient steps on codes, which Bösen takes, need both a step and a shrinkage. Then atoms take a step:
//! with the residuals `R = X - SB` of the clock's rows, `B_j += step decay^epoch m/n (S'R)_j / h_j`, where `m` is the number
//! of clocks of an epoch, and `h_j = Σ_l |S'S|_jl` a bound on the curvature, per row: the mean of those that the partition
//! has seen, or that of the clock if it is larger. So a step of 1 goes to the minimum of the bound, and steps below 2 can do
//! no harm if the clock has all rows, whatever the scale of the data; smaller clocks have noise, which `decay` holds.
//!
//! **Projection.** Several partitions add to an atom in the same clock, so that the table has `B̃` outside of the bounds.
//! Every read projects: it takes `B = P(B̃)`, to the nearest atoms within them. Together with its step a partition adds its
//! share, one of the number of partitions, of `B - B̃`, so that what goes on from clock to clock is what was read: with BSP
//! this is projected gradient descent exactly. (Where reads may be stale, others may have taken back the same already; an
//! atom is a little too short then, and grows again.) The model has `P(B̃)`.
//!
//! Atoms begin as rows of the data that are drawn by seed, or as random ones, of length `c`.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the objective, summed while the epoch ran, fell by less than `tolerance` (relative).
//! Codes of the model's rows are exact: coordinate descent ends when the duality gap is below `1e-12 ‖x‖²`.
//!
//! # Cost
//! With `k` atoms, `d` columns: a clock takes `2 k² d` operations a partition for the products of atoms, `6 k d` a row as
//! products of matrices of `f32`, and `k` for every code that changes in a pass. Each partition reads all atoms and sends a
//! number for each element. So minibatches of about `k` rows are the smallest that pay. Codes take 8 bytes each that is
//! not zero. The model's own codes cost `k` operations a value of the row and a change of a code, in `f64`.
//!
//! # Guarantees
//! With BSP the same bits for any number of workers, on the same kind of processor (see [`crate::linalg::gemm`]).
//!
//! # References
//! Olshausen and Field 1997, Sparse coding with an overcomplete basis set; Mairal, Bach, Ponce and Sapiro 2010, Online
//! learning for matrix factorization and sparse coding (coordinate descent, the bounds); Friedman, Hastie and Tibshirani
//! 2010, Regularization paths for generalized linear models via coordinate descent; Böhning and Lindsay 1988, Monotonicity
//! of quadratic-approximation algorithms (steps by bounds of the curvature); Wei et al. 2015, Managed communication and
//! consistency for fast data-parallel iterative analytics (projected gradients on a parameter server: Bösen's).

mod atoms;
mod model;
mod params;
mod train;

pub(super) use atoms::{Bounds, first_atoms};
pub use model::{Attributes, CodingMetrics, SparseCodingModel, SparseCodingSummary};
pub use params::{FirstAtoms, SparseCodingParams};
