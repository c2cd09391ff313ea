//! Non-negative matrix factorisation: rows as sums of a few parts, none of which takes anything away.
//!
//! # Problem
//! `min ½‖X - UV‖² + Σ_u (l1 u + ½ l2 u²) + Σ_v (l1 v + ½ l2 v²)` over codes `U`, `n` by `k`, and components `V`, `k` by `m`, both of at
//! least 0, with penalties of their own for elements of `U` and of `V`. (scikit-learn's `alpha_W` is `l1` of codes a column if `l1_ratio` is
//! 1, its `alpha_H` that of components a row.) With a penalty on one factor alone the other grows, since only products count.
//!
//! By turns ([`alternating`](super::alternating)): hierarchical alternating least squares. Given `V`, the best value of a code is known while
//! the others of its row stand still, `u_j <- max(0, (x v_j' - l1 - Σ_{l≠j} u_l (VV')_lj) / ((VV')_jj + l2))`, and a pass moves each once; then
//! columns of `V`, in the same way. With one pass that is what scikit-learn's `solver='cd'` does without `shuffle`. More passes cost
//! little beside the products where rows have many values (Gillis and Glineur).
//!
//! It begins with normal numbers without their signs, times `√(mean X / k)`, as scikit-learn's `init='random'`; those of a row or column are
//! its own, whatever the partitions. A local optimum is all that can be hoped for: other seeds lead to others.
//!
//! **Components that die.** If all elements of one factor become 0, those of the other may be anything; they stay, or become 0 by their
//! penalty. A component that is 0 in both stays so: [`AlternationSummary::unused`](super::AlternationSummary::unused).
//!
//! # Stopping rule
//! A number of epochs, or earlier when the objective fell by less than `tolerance` (relative). Codes of rows that are not learnt from are
//! exact: coordinate descent goes on until no code moves a row by `1e-10` of its length, and, with an `l1`, the duality gap is below
//! `1e-12 ‖x‖²`.
//!
//! # Cost
//! An epoch is a pass over the values, `4 k` operations each; `k²` a row and a column for every pass. Where what is, and what travels: codes
//! never leave their partition, columns of `V` are in blocks, one a partition, while it trains. A partition holds its codes
//! (`8 k` bytes a row), its block, and components and sums in those columns in which its rows have values (`16 k` bytes a column), which
//! are told and sent once an epoch.
//!
//! # Guarantees
//! The objective never rises, but for rounding (`1e-15 ‖X‖²` or so). The same bits for any number of workers and processes.
//!
//! # How it fails
//! Values below 0 are an input error that names the first.
//!
//! # References
//! Cichocki and Phan 2009, Fast local algorithms for large scale nonnegative matrix and tensor factorizations (HALS); Gillis and Glineur
//! 2012, Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative matrix factorization (repeated passes);
//! Lee and Seung 1999, Learning the parts of objects by non-negative matrix factorization.

mod model;
mod params;
mod train;

pub use model::{Attributes, NmfModel};
pub use params::NmfParams;
