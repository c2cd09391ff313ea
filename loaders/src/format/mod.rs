//! What the bytes of a file mean: one format a module.

pub mod adjacency;
pub mod arff;
pub mod arrow_ipc;
pub mod bag_of_words;
pub mod binary;
pub mod csv;
pub mod dimacs;
pub mod edges;
mod fault;
pub mod graph;
pub mod idx;
pub mod json_lines;
pub mod libsvm;
pub mod libsvm_write;
pub mod matrix_market;
pub mod metis;
mod number;
pub mod parquet;
mod quick;
pub mod ratings;
pub mod ratings_table;
pub mod records;
#[cfg(test)]
mod testing;
pub mod text;
pub mod text_table;
pub mod uai;
pub mod vowpal_wabbit;
