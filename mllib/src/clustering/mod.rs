//! Groups that nobody has named: topics of documents.

pub mod lda;

pub use lda::{LdaModel, LdaParams};
