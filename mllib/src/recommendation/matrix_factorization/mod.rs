//! Matrix factorisation by stochastic gradient descent, with the factors in a parameter table or in blocks that rotate, and by
//! coordinate descent.
//!
//! # Problem
//! `min Σ (r - μ - b_u - b_i - p_u'q_i)² + λ (b_u² + b_i² + ‖p_u‖² + ‖q_i‖²)` over the known ratings `r` of items `i` by
//! users `u`; `μ` is their mean and not fitted. Without biases `μ`, `b_u` and `b_i` are 0; non-negative factorisation has
//! none, and `p, q >= 0`. The penalty is counted once a rating, so rows with many ratings are held by more of it.
//!
//! Ratings are partitioned by user, so the factors of users are states of partitions: they are never stale and never sent.
//! A table has a row for every item that has a rating, numbered by ascending id; its columns are the factors and, last,
//! the bias. A clock takes `batch` ratings of every partition, one after the other, each from where the ones before it in
//! its partition have left the factors: `p_u += step decay^epoch (e q_i - λ p_u)`, with the error `e`, and so on. Within a
//! partition they stand in a random order.
//!
//! Increments of one clock that come from several partitions add up, and could overshoot for items that many users rate.
//! The batch that is chosen if none is given keeps their number in a clock small for the most rated item.
//!
//! That is the solver `sgd`. With `dsgd` items are in as many blocks as there are partitions, and each partition works on a
//! block that no other has, with its ratings of items in it; then blocks go to the next partition, and after all of them an epoch
//! is over. So nothing that is read is ever stale, nothing adds up or overshoots, and it comes to what one thread comes to that
//! takes the blocks one after another. With `fugue` partitions that are done go on with their block while the others are not.
//!
//! With `ccd` there are no steps: an epoch moves one feature after the other, of all users to where each is best for the items
//! as they are, and of all items for the users ([`ccd`]). It needs far fewer epochs, and comes so near to the minimum that a
//! larger penalty pays than with the others, whose steps end before.
//!
//! # Stopping rule
//! A number of epochs, or earlier when the sum of squared errors, taken while the epoch ran (with `ccd`: at its end), fell by less
//! than `tolerance` (relative).
//!
//! # Cost
//! An epoch takes about `6 rank` multiplications a rating, and sends `rank + 1` numbers a touched item, clock and
//! partition. With `ccd` it takes about `16 rank` and reads what it knows of a rating `2 rank` times, sends `2 rank` numbers of each
//! user and item to each partition that needs them, and has `2 rank` rounds; a process has the factors of its own users and items
//! alone. With `dsgd` it sends each item once a partition, has as many rounds as partitions, and a process has the items
//! of its own blocks alone, until the end. Before it ratings are shuffled once, and the ids of users and items are collected in every process. Every
//! process has the factors of all items, `4 (rank + 1)` bytes each, while it trains on a table, and of all users at the end.
//!
//! # References
//! Koren, Bell and Volinsky 2009, Matrix factorization techniques for recommender systems (the model and its updates);
//! Gemulla, Nijkamp, Haas and Sismanis 2011, Large-scale matrix factorization with distributed stochastic gradient descent
//! (partitions that share no rows need not agree, and blocks of items that go from one to the next: `dsgd`); Kumar, Beutel, Ho and
//! Xing 2014, Fugue: slow-worker-agnostic distributed learning for big models on big data; Yu, Hsieh, Si and Dhillon 2012,
//! Scalable coordinate descent approaches to parallel matrix factorization for recommender systems (`ccd`); Wei et al. 2015, Managed communication and consistency for fast
//! data-parallel iterative analytics (the same on a table of bounded staleness).

mod ccd;
mod census;
mod descent;
mod ids;
mod model;
mod params;
mod train;

pub use model::{Attributes, MatrixFactorizationModel, MatrixFactorizationSummary};
pub use params::{MatrixFactorizationParams, Solver};
