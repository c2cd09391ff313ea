//! What the bytes of a file mean: one format a module.

pub mod libsvm;
pub mod libsvm_write;
pub mod text;
