//! Groups that nobody has named: clusters of rows, topics of documents.

pub mod k_means;
pub mod lda;

pub use k_means::{KMeansModel, KMeansParams};
pub use lda::{LdaModel, LdaParams};
