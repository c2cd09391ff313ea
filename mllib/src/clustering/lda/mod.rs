//! Latent Dirichlet allocation by collapsed Gibbs sampling, with the counts of words by topics in a parameter table.
//!
//! # Problem
//! Every document `d` mixes `K` topics with proportions `θ_d ~ Dirichlet(α)`, every topic is a distribution of words
//! `φ_k ~ Dirichlet(β)`, and every token draws a topic `z` from `θ_d` and then its word from `φ_z`. Training draws the
//! topics of all tokens from their posterior, one token at a time given all others:
//! `p(z = k) ∝ (n_dk + α) (n_wk + β) / (n_k + V β)`, with the counts of tokens of topic k in the document, of the word, and
//! in all, without the token itself, and `V` words.
//!
//! Two tables hold what all documents share: `n_wk`, a row a word, and `n_k`. The topics of tokens stay with the
//! partition of their documents. A clock takes some documents of every partition and goes through their tokens word by
//! word, so that a word's row is read once; each token sees what the ones before it in the clock have changed, and other
//! partitions' changes as old as the consistency allows. The first epoch gives every token a topic by chance.
//!
//! Instead of the first table, [`Solver::Rotation`] has as many blocks of words as there are partitions, which go from one to
//! the next: a partition draws the topics of those of its tokens whose words it has, then hands the block over. So the counts
//! of words are never stale, however many partitions there are, and only the totals are as of the last sub-epoch.
//!
//! Three samplers draw from the same conditional distribution:
//!
//! | sampler | how | cost of a token |
//! |---|---|---|
//! | [`Dense`](Sampler::Dense) | all `K` products, then a search | `K`, sixteen at once |
//! | [`Sparse`](Sampler::Sparse) | the topics of the document, or the prior's share from sums of sixteen | topics of the document, `K / 16` |
//! | [`Alias`](Sampler::Alias) | Metropolis-Hastings steps that propose from the word (an alias table a clock) and from the document | constant |
//!
//! # Stopping rule
//! A number of epochs, or earlier when the log likelihood changes by less than `tolerance` (relative) between two
//! evaluations. With a burn-in the model is the mean of the counts at all later evaluations, otherwise it is the last ones.
//!
//! # Cost
//! See the table; besides, a clock reads the `K` counts of each of its words, and every changed token sends four numbers.
//! Two bytes a token stay with the partition, four more with the documents. Every process has both tables, and
//! each table is there a few times (replica, shards, what is to be sent): 4 bytes a word and topic each, or with
//! [sparse rows](CountRows) 8 bytes a topic that a word has. With rotation each of `P` processes has a part in `P` of the words,
//! once: 4 bytes a word and topic, or 4 bytes a topic that a word has; beside them 4 bytes a document and topic (dense) or 6
//! a topic that a document can have (sparse). The model has `4 K V` bytes; a process has room for it unless it is
//! [fitted](LdaParams::fit_in_blocks) and [stored](LdaBlocks::save) in blocks.
//!
//! # References
//! Blei, Ng and Jordan 2003, Latent Dirichlet allocation; Griffiths and Steyvers 2004, Finding scientific topics (the sampler
//! and the joint log likelihood); Newman, Asuncion, Smyth and Welling 2009, Distributed algorithms for topic models
//! (partitions that sample against old counts); Zheng et al. 2014, Model-parallel inference for big topic models (blocks of words
//! that rotate, and totals that are a little old); Yao, Mimno and McCallum 2009, Efficient methods for topic model inference on
//! streaming document collections, and Yu et al. 2015, A scalable asynchronous distributed algorithm for topic modeling
//! (the sparse sampler, word by word); Yuan et al. 2015, LightLDA: big topic models on modest computer clusters (the alias
//! sampler).

pub(crate) mod batch;
mod blocks;
pub(crate) mod counts;
mod likelihood;
mod model;
mod params;
mod rotation;
pub(crate) mod sampler;
mod train;

pub use blocks::LdaBlocks;
pub use model::{Attributes, LdaModel, LdaSummary, Perplexity};
pub use params::{CountRows, LdaParams, Sampler, Solver};
pub use train::{DocumentTopics, LdaFit, LdaObserver, LdaProgress};
