//! The tree lasso and the graph-guided fused lasso: what is known of how columns belong together is in the penalty.
//!
//! # Problem
//! `min 1/(2n) Σ (x'b + b₀ - y)² + λ P(b)`, where `P` is
//! * of a [`Tree`]: `Σ_v w_v |b_v|₂` over nodes, `b_v` the weights of all columns at or below `v` (columns may have an absolute value of
//!   their own);
//! * of a [`Graph`]: `|b|₁ + f Σ_ij |w_ij| |b_i - s_ij b_j|` over edges, `s_ij` the sign of `w_ij`. A chain makes the fused lasso.
//!
//! # Stopping rule
//! The duality gap is at most `tolerance |y|² / (2n)`, where `y` is less its mean if there is an intercept. The gap is computed
//! from all columns; no objective can be lower than the objective less the gap. A point of the dual is feasible if the exact
//! proximal map takes its products to zero, which is how the largest feasible multiple is found.
//!
//! # Solver
//! Working sets of columns on a design by column, as for [the lasso](super::lasso): the support, and what a proximal gradient
//! step over all columns would give a weight. Accelerated proximal gradients and Newton steps on them ([`inner`]). Proximal maps are
//! exact: one pass over a tree; minimal cuts for a graph ([`cut`]), without any flow where it has no circles.
//!
//! # Guarantees
//! The same rows give the same bits for any number of workers and processes.
//!
//! # Cost
//! A pass takes the products of all columns, by all workers; a handful of passes is common. The structure, working sets and
//! their columns are in the main program of every process.
//!
//! # References
//! Jenatton, Mairal, Obozinski and Bach, JMLR 12 (2011); Kim and Xing, Annals of Applied Statistics 6 (2012) (tree lasso), PLoS
//! Genetics 5 (2009) (graph-guided fused lasso); Tibshirani et al., JRSS B 67 (2005) (fused lasso).

#[cfg(test)]
mod checks;
mod cut;
mod fit;
mod fused;
mod graph;
mod inner;
mod params;
mod penalty;
mod solver;
mod tree;

pub use fit::{StructuredFit, StructuredPoint};
pub use graph::{Edge, Graph};
pub use params::{Structure, StructuredLassoParams};
pub use tree::{Leaf, Node, Tree};
