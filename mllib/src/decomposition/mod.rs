//! Decomposition: rows as combinations of a few parts.

mod alternating;
mod basis;
pub mod dictionary;
mod lasso;
pub mod nmf;
pub mod sparse_coding;

pub use alternating::AlternationSummary;
pub use dictionary::{DictionaryModel, DictionaryParams};
pub use nmf::{NmfModel, NmfParams};
pub use sparse_coding::{SparseCodingModel, SparseCodingParams};
