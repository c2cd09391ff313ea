//! Made-up rows, to try and to measure things on.
//!
//! What a row is depends on the seed and on its number alone: partitions and workers do not matter.

mod classification;
mod sparse;

pub use classification::{Classification, Labels};
pub use sparse::Sparse;
