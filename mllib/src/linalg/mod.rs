//! Vectors, rows and matrices: the inner loops of everything above.
//!
//! Sums are taken in a fixed order that the code spells out (several accumulators, combined in a fixed tree), so a
//! result does not depend on the machine's vector width; the products of [`gemm`] alone do. Shapes are the caller's
//! duty: a mismatch panics.

pub mod cholesky;
pub mod dense;
pub mod gemm;
pub mod sparse;
mod widest;

pub(crate) use widest::widest;
