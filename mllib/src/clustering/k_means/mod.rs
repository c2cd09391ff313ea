//! k-means: the centres that rows are nearest to.
//!
//! # Problem
//! `min over c_1 .. c_k of Σ_i min_j d(x_i, c_j)`, where `d` is the squared Euclidean distance, or the cosine distance
//! `1 - cos(x, c)`. With the latter rows and centres are taken at length 1, where `d` is half the squared distance, so that
//! it is the same problem with the mean of a centre's rows put back on the sphere (spherical k-means).
//!
//! [`Lloyd`](Solver::Lloyd) moves every centre to the mean of the rows nearest to it, again and again. A centre without rows
//! goes to the row that is farthest from its centre (the second without rows to the next farthest, and so on), and stays if
//! every row is where its centre is: with fewer different rows than centres some have no rows in the end. What comes out is a
//! local optimum: `restarts` tries several and keeps the best.
//!
//! [`Minibatch`](Solver::Minibatch) does so with some rows of every partition at a time, a clock, and with centres in a
//! parameter table that may be as old as its consistency allows. A centre is the mean of the rows that it was nearest to when
//! they were looked at; those of earlier epochs count `decay` times less an epoch. A centre that never has rows stays where it
//! began. Rows stand in a random order within their partition.
//!
//! # Stopping rule
//! Lloyd: the sum over centres of the squared way that they moved is at most `tolerance` times the mean variance of the
//! columns (scikit-learn's rule; in Spark every centre must move by less than `tol` itself), or a number of iterations.
//! With 0 it goes on until no row changes its centre. Minibatch: a number of epochs, or earlier when the cost, summed
//! while the epoch ran, fell by less than `tolerance` (relative).
//!
//! # Cost
//! An iteration takes `2 d k` operations a row, as products of matrices of `f32` (of sparse rows: by stored value). Rows are
//! held once, packed: 4 bytes a value, or 8 a stored value where less than a quarter is stored. A task keeps
//! `8 k (d + 1)` bytes of sums, and sends them. First centres: `k-means||` two passes more than it has rounds, the last of
//! which costs as much as an iteration with `2 k` centres a round; `k-means++` `k` cheap passes; `random` one. A minibatch
//! reads the whole table and sends `d + 1` numbers for each centre that had rows.
//!
//! # Guarantees
//! Rows are rounded to 24 bits; all else is as in `f64`, whatever the processor: see [`nearest`]. Lloyd, and minibatches
//! with BSP, give the same bits for any number of workers and processes.
//!
//! # References
//! Lloyd 1982, Least squares quantization in PCM; Arthur and Vassilvitskii 2007, k-means++: the advantages of careful
//! seeding; Bahmani, Moseley, Vattani, Kumar and Vassilvitskii 2012, Scalable k-means++ (k-means||; its rounds draw here
//! exactly `2 k` rows); Dhillon and Modha 2001, Concept decompositions for large sparse text data using clustering (cosine);
//! Sculley 2010, Web-scale k-means clustering (minibatches).

mod bounds;
mod evaluate;
mod lloyd;
mod minibatch;
mod model;
mod nearest;
mod params;
mod rows;
mod start;
mod train;
mod weighted;

pub use model::{Attributes, KMeansModel, KMeansSummary};
pub use params::{Centers, Distance, KMeansParams, MinibatchParams, Solver, Start};
pub use rows::UnpackedRows;
