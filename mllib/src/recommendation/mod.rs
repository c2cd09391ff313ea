//! Recommendation: what users think of items they have not rated.

pub mod matrix_factorization;

pub use matrix_factorization::{MatrixFactorizationModel, MatrixFactorizationParams, Solver};
