//! The group lasso and the sparse group lasso: weights of whole groups of columns are zero.
//!
//! # Problem
//! `min 1/(2n) Σ (x'b + b₀ - y)² + λ Σ_g [α |b_g|₁ + (1 - α) w_g |b_g|₂]`, `0 <= α <= 1`; `w_g` is the root of the size of the
//! group unless said. `α = 0` is the group lasso, `α = 1` the lasso.
//!
//! # Stopping rule
//! The duality gap is at most `tolerance |y|² / (2n)`, where `y` is less its mean if there is an intercept. The gap is computed
//! from all columns; no objective can be lower than the objective less the gap.
//!
//! # Solver
//! Working sets of groups on a design by column, as for [the lasso](super::lasso); block coordinate descent with
//! extrapolation on them ([`solver`]).
//!
//! # Guarantees
//! The same rows give the same bits for any number of workers and processes.
//!
//! # Cost
//! A pass takes the products of all columns, by all workers; a handful of passes is common. The columns of working sets, the
//! products within their groups, and two residuals are in the main program of every process.
//!
//! # References
//! Yuan and Lin, JRSS B 68 (2006); Simon, Friedman, Hastie and Tibshirani, JCGS 22 (2013); Ndiaye et al., NIPS 2016 (duals).

mod fit;
mod groups;
mod params;
mod penalty;
mod solver;

pub use fit::{GroupLassoFit, GroupPoint};
pub use groups::Groups;
pub use params::GroupLassoParams;
