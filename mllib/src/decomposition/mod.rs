//! Decomposition: rows as combinations of a few parts.

pub mod sparse_coding;

pub use sparse_coding::{SparseCodingModel, SparseCodingParams};
