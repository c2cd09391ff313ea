//! Dictionary learning: atoms of which every row is a combination of a few, by turns and exactly.
//!
//! # Problem
//! `min ½‖X - UV‖² + λ Σ|u|` over codes `U`, `n` by `k`, and the dictionary `V`, `k` by `m`, whose rows, the atoms, have `‖v_j‖ ≤ 1`; if asked
//! for, codes and atoms of at least 0. (scikit-learn's `DictionaryLearning`, whose `alpha` is `λ`.)
//!
//! By turns ([`alternating`](super::alternating)): the codes of every row by coordinate descent on `VV'`, from where the epoch before has left
//! them, until the duality gap is at most `code_tolerance ‖x‖²`; then atom by atom the best one of length at most 1 while the others stand
//! still, `v_j <- v_j + ((U'X)_j - (U'U)_j V) / (U'U)_jj`, cut to length 1. An atom that no row uses stays as it is.
//!
//! [Sparse coding](super::sparse_coding) has the same problem and goes by minibatches with steps: it needs fewer passes where there are
//! many rows, and may go on with stale atoms. This one has no step, its objective never rises, and it ends where neither codes nor
//! atoms can be better by themselves.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the objective fell by less than `tolerance` (relative). Codes of rows that are not learnt from are
//! exact: the duality gap is below `1e-12 ‖x‖²`.
//!
//! # Cost
//! An epoch is a pass over the values, `4 k` operations each, `k` for each code and pass of coordinate descent and `k` more for each that
//! changes; and `k + 1` clocks in which atoms move, since an atom's length is that of all its columns, which are in blocks, one
//! a partition. In such a clock each pair of partitions exchanges one number. Codes never leave their partition.
//! First atoms are whole in every process.
//!
//! # Guarantees
//! The objective never rises, but for rounding. The same bits for any number of workers and processes.
//!
//! # References
//! Mairal, Bach, Ponce and Sapiro 2010, Online learning for matrix factorization and sparse coding (algorithm 2: atoms by block
//! coordinate descent); Friedman, Hastie and Tibshirani 2010, Regularization paths for generalized linear models via coordinate descent.

mod model;
mod params;
mod train;

pub use model::{Attributes, DictionaryModel};
pub use params::DictionaryParams;
