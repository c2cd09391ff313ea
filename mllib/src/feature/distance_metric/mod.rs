//! Distance metric learning: a linear map under which similar rows are close and others are not, by stochastic gradient
//! descent on a parameter table.
//!
//! # Problem
//! `min 1/|S| Σ_S ‖L(x - y)‖² + λ/|D| Σ_D max(0, margin - ‖L(x - y)‖²)` over pairs `(x, y)` of rows, of which those in `S`
//! are similar and those in `D` are not; `L` has `rank` rows and a column a feature. It is Mahalanobis' distance with the
//! matrix `M = L'L`, which needs no constraint to be positive semidefinite, and has at most the rank that was asked for.
//! Without the second sum `L = 0` would be best. Means take the place of Xing's and Bösen's sums, so that neither the step
//! nor `λ` depends on how many pairs there are.
//!
//! A table has a row for every row of `L`. A clock takes `batch` pairs of every partition; with `G` the sum of their
//! gradients, at an `L` that is at most as stale as the table allows, `L <- L - step decay^epoch m G`, where `m` is the
//! number of clocks of an epoch. With momentum the step of the clock before, times `momentum`, is added.
//!
//! Before that, columns are divided by what makes the mean of `‖x - y‖²` over dissimilar pairs 1: by one number, or with
//! `standardize` each by a number of its own, so that all weigh the same. `L` begins as `√margin` times the identity, or,
//! of a smaller rank, times a random map which keeps squares of lengths in the mean. So steps mean the same for data of any
//! scale and for any margin. The model takes rows as they are.
//!
//! Pairs are drawn from labels ([`PairDifferences::of_labels`]), or given ([`PairDifferences::of_pairs`]). The loss knows
//! pairs by their differences `x - y` alone, and those are what is trained on.
//!
//! The loss asks for all rows of a class to be close. Where columns have scales and meanings of their own, nearest neighbours
//! gain by it; where they are right already, as those of images and letters, they lose a little, while pairs are told apart
//! far better. `λ` above 1 keeps more of what tells neighbours apart. Losses of neighbours alone (Weinberger and Saul) are
//! not here.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the loss, summed while the epoch ran, fell by less than `tolerance` (relative).
//!
//! # Cost
//! Four operations a pair and element of `L` in an epoch, as products of matrices of `f32`; every clock each partition reads
//! all of `L` and sends a number for each element. Rows are shuffled once, to where their pairs are; the pairs are known to
//! every process (16 bytes each), and their differences are kept like training rows, 12 bytes a value. Those of dense rows
//! take `24 pairs columns` bytes in all.
//!
//! # Guarantees
//! With BSP the same bits for any number of workers, on the same kind of processor (see [`crate::linalg::gemm`]).
//!
//! # References
//! Xing, Ng, Jordan and Russell 2003, Distance metric learning, with application to clustering with side-information;
//! Weinberger and Saul 2009, Distance metric learning for large margin nearest neighbor classification (learning `L`, the
//! hinge); Xie and Xing 2014, Large scale distributed distance metric learning (the same on a parameter server: Bösen's).

mod model;
mod neighbours;
mod pairs;
mod params;
mod train;

pub use model::{Attributes, DistanceMetricModel, DistanceMetricSummary};
pub use neighbours::NearestNeighbours;
pub use pairs::{PairDifferences, Pairs};
pub use params::DistanceMetricParams;
