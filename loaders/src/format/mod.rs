//! What the bytes of a file mean: one format a module.

pub mod bag_of_words;
mod fault;
pub mod libsvm;
pub mod libsvm_write;
pub mod matrix_market;
pub mod ratings;
pub mod records;
#[cfg(test)]
mod testing;
pub mod text;
