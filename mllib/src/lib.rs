//! Machine learning on partitioned data: objectives, solvers, models, metrics.
//!
//! The layers, from the bottom: [`linalg`] has the kernels over dense vectors and CSR blocks; [`objective`] turns
//! partitioned rows and a loss into a function that can be evaluated ([`objective::Objective`]); [`optimization`]
//! minimises such functions and knows nothing of data; [`classification`] and [`regression`] choose an objective and a
//! solver, check labels and parameters, and make a model; [`recommendation`] learns from ratings, and [`clustering`] finds
//! groups of rows and topics of documents, on parameter tables or by jobs; [`decomposition`] finds what rows are made of,
//! and [`feature`] what they are better described by; [`model`] stores models; [`evaluation`] and [`tuning`] stand beside
//! them.
//!
//! # Determinism
//!
//! The same rows in the same partitions, the same parameters and the same seed give the same bits, whatever the number
//! of workers: each partition is summed row by row in order, and partial sums meet in a fixed tree by partition id
//! ([`objective::Sweep`]). No kernel uses fused multiply-add or an order of summation that depends on the machine, but for
//! the products of matrices of what is trained on tables of whole rows ([`linalg::gemm`]): their bits are those of one kind of
//! processor. k-means takes such products only to choose, and decides in `f64` what they leave open.

mod blocks;
pub mod classification;
pub mod clustering;
pub mod decomposition;
pub mod evaluation;
pub mod feature;
pub mod generate;
pub mod linalg;
pub mod linear;
pub mod model;
pub mod objective;
pub mod optimization;
mod params;
mod pool;
mod random;
pub mod recommendation;
pub mod regression;
pub mod stat;
pub mod tuning;

pub use slackwater_dataflow::{Error, Result};
