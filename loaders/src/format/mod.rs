//! What the bytes of a file mean: one format a module.

pub mod arrow_ipc;
pub mod bag_of_words;
pub mod csv;
mod fault;
pub mod json_lines;
pub mod libsvm;
pub mod libsvm_write;
mod number;
pub mod parquet;
pub mod ratings;
pub mod text;
