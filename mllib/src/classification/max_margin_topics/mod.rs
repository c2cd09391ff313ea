//! Max-margin topics (MedLDA): topics of documents that also tell their classes apart, by Gibbs sampling with data augmentation.
//!
//! # Problem
//! Documents and words are those of [LDA](crate::clustering::lda). Beside them every task `l` has a weight for each topic,
//! `η_l ~ N(0, ν² I)`, and gives a document the score `η_l'z̄`, where `z̄` are the shares of topics among its tokens. There is
//! a task for each of several classes (one against all others), all with the same topics, and one for two classes. With `y = 1` in
//! the task of a document's class and -1 in others, the posterior is that of LDA times
//! `Π_l Π_d exp(-2c max(0, ℓ - y_dl η_l'z̄_d))`: topics that put documents on the right side of a margin `ℓ`.
//!
//! Scales `λ_dl` make the hinge a mixture of normal densities, and then everything has a conditional distribution that can be drawn
//! from:
//!
//! * `η_l ~ N(μ, Σ)`, `Σ⁻¹ = I/ν² + c² Σ_d z̄_d z̄_d'/λ_dl`, `μ = Σ c Σ_d y_dl (1 + c ℓ/λ_dl) z̄_d`: once an epoch;
//! * the topic of a token is `k` with a probability in proportion to `(n_dk + α) (n_wk + β) / (n_k + V β) exp(e_k)`, where `e_k` is
//!   quadratic in what the document's scores would be;
//! * `1/λ_dl` is inverse Gaussian with mean `1/(c |ℓ - y_dl η_l'z̄_d|)` and shape 1.
//!
//! In the first epoch there are no weights: it is LDA's. Tables hold the counts `n_wk` and `n_k` and, a row a task, the sums that
//! weights are drawn from; topics of tokens and scales stay with the partition of their documents. At the end of an epoch
//! every partition adds to the sums what its documents give now and takes away what they gave before. When the next one begins
//! every process draws the same weights, from the same sums by the same random numbers (where reads are stale: from the sums as it
//! knows them).
//!
//! The **model** has the counts and the means `μ` of the weights, as of the end, or with a burn-in their mean over all later
//! evaluations. It gives a document the class of the largest score, with `z̄` as its topics are inferred without the class.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the mean hinge loss of the documents learnt from changes by less than `tolerance` (relative)
//! between two evaluations.
//!
//! # Cost
//! A token weighs all `K` topics, sixteen at once, and one that changes its topic adds two columns of a `K x K` matrix, which a document has one
//! of: `L K²/2` for `L` tasks. A document's part in the sums is `L T²` with `T` topics that it has. Every process solves `L` systems of
//! `K` equations an epoch, `L K³/3`. A partition reads the counts of each word of a clock, and sends two numbers for a token that
//! changed and, an epoch, `L (K (K + 1)/2 + K)` for the sums. Tables are of `f64` here: 8 bytes a word and topic, in a few copies, or
//! with [sparse rows](crate::clustering::lda::CountRows) 12 a topic that a word has; with a burn-in twice. `8 L` bytes a document and two a
//! token stay with the partition.
//!
//! # References
//! Zhu, Chen, Perkins and Zhang 2014, Gibbs max-margin topic models with data augmentation (the sampler); Zhu, Zheng, Zhou and
//! Zhang 2013, Scalable inference in max-margin topic models (several classes as tasks that share topics, in parallel); Zhu, Ahmed and
//! Xing 2012, MedLDA: maximum margin supervised topic models; Polson and Scott 2011, Data augmentation for support vector machines.

mod batch;
mod model;
mod params;
mod pull;
mod sampler;
mod scales;
mod train;
mod weights;

pub use batch::{check_counts, is_count};
pub use model::{Attributes, MaxMarginTopicsModel, MaxMarginTopicsSummary};
pub use params::MaxMarginTopicsParams;
pub use train::{MaxMarginTopicsObserver, MaxMarginTopicsProgress};
