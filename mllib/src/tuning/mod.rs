//! Choosing parameters: grids, folds, cross-validation.
//!
//! The parts know neither data nor algorithms: [`CrossValidation::run`] is given a function that fits and scores one
//! candidate on one fold, so it serves local rows and datasets alike.

mod cross_validation;
mod dataset;
mod grid;

pub use cross_validation::{Candidate, CrossValidation, Direction, fold_of};
pub use grid::Grid;
