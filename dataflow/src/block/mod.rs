//! Blocks of feature rows, ratings, documents and edges: what loaders make and what numerical kernels read.
//!
//! A dataset of single [`LabeledPoint`]s is convenient, a dataset of [`LabeledBlock`]s is fast: a block keeps many rows
//! in four arrays (CSR), so a partition is a handful of allocations and a pass over it streams memory. Every trainer
//! takes either.

mod csr;
mod document;
mod edge;
mod labeled;
pub mod pod;
mod rating;
mod vector;

pub use csr::{CsrBlock, CsrBuilder, Row};
pub use document::{Document, WORD_END, WordCount};
pub use edge::Edge;
pub use labeled::{LabeledBlock, LabeledPoint, TARGET_BLOCK_NONZEROS, pack};
pub use rating::{ID_END, Rating};
pub use vector::{SparseVector, Vector};
