//! Fully connected neural networks for classes, by stochastic gradient descent on parameter tables.
//!
//! # Problem
//! `min 1/n Σ_i -log softmax(f(x_i))[y_i] + λ/2 Σ ‖W‖²`, where `f` goes through the hidden layers, `a <- σ(W'a + b)`, and
//! then through a last one without `σ`, with one output a class. Biases `b` are not penalised. Every layer has a table: a
//! row an input, with one weight a unit, and last a row of biases.
//!
//! A clock takes `batch` rows of every partition; with `G` the sum of their gradients, all at weights that are at most as
//! stale as the tables allow, `W <- W - step decay^epoch (m/n G + λ W)`, where `m` is the number of clocks of an epoch (so
//! `m/n` is one over the mean number of rows in a clock). More partitions therefore mean larger minibatches, not more steps.
//! A minibatch reads all weights once. With momentum the step of the clock before, times `momentum`, is added, by the shards
//! of the tables, which see the clock's sum: `V <- momentum V - step decay^epoch (..)`, `W <- W + V`.
//!
//! First weights are drawn by seed, layer, row and column, evenly between `±√(6 / inputs)` for ReLU (He),
//! `±4 √(6 / (inputs + outputs))` for sigmoid units and `±√(6 / (inputs + outputs))` for outputs (Glorot).
//!
//! # Stopping rule
//! A number of epochs, or earlier when the loss, summed while the epoch ran, fell by less than `tolerance` (relative).
//!
//! # Cost
//! Six operations a row and weight in an epoch, as products of matrices of `f32`; and every clock each partition reads all
//! weights and sends a number for each. So a minibatch has to be large enough to pay for its way: from about a hundred rows
//! on for networks of millions of weights. Every process has all weights and every worker a copy of them, four bytes
//! each, beside the values of the units for the rows of its minibatch. Sparse rows are made dense, minibatch by minibatch.
//!
//! # Guarantees
//! With BSP the same bits for any number of workers, on the same kind of processor (see [`crate::linalg::gemm`]).
//!
//! # References
//! Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors (also the momentum); Glorot and Bengio 2010,
//! Understanding the difficulty of training deep feedforward neural networks; He et al. 2015, Delving deep into rectifiers
//! (first weights); Dean et al. 2012, Large scale distributed deep networks, and Wei et al. 2015, Managed communication and
//! consistency for fast data-parallel iterative analytics (the same on parameter servers).

mod model;
mod network;
mod params;
mod train;

pub use model::{Attributes, NeuralNetworkModel, NeuralNetworkSummary};
pub use network::Layer;
pub use params::{Activation, NeuralNetworkParams};
pub use train::UntrainedNetwork;
