//! Made-up rows, to try and to measure things on.
//!
//! What a row is depends on the seed and on its number alone: partitions and workers do not matter.

mod classification;
mod regression;
mod sparse;

pub use classification::{Classification, Labels};
pub use regression::Regression;
pub use sparse::Sparse;
