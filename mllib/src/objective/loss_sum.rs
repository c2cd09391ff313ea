//! `Σ_i loss(x_i'W + b, y_i)` over all partitions.
//!
//! # Cost
//! One sweep an evaluation, one a Hessian-vector product, one a diagonal. Between sweeps each partition keeps the
//! memory of its [`RowKernel`]; see the slots beside this module for why losing it does no harm.

use super::kernel::{RowKernel, check_width};
use super::slots::Slots;
use super::sweep::{Sweep, add_vectors};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::LabeledBlock;
use std::sync::Arc;

/// A sum of losses over the rows of a [`Sweep`], unscaled and without a penalty.
#[derive(Debug)]
pub struct LossSum<S, K> {
    rows: S,
    kernel: K,
    /// Weights of the last evaluation and its number.
    weights: Arc<Vec<f64>>,
    evaluation: u64,
    memories: Slots<Vec<f64>>,
}

/// Cuts a sum into the given pieces; no partition at all sums to zero.
fn scatter(sum: Option<Vec<f64>>, pieces: &mut [&mut [f64]]) {
    let mut from = 0;
    for piece in pieces {
        let to = from + piece.len();
        match &sum {
            Some(sum) => piece.copy_from_slice(&sum[from..to]),
            None => piece.fill(0.0),
        }
        from = to;
    }
}

impl<S: Sweep, K: RowKernel> LossSum<S, K> {
    /// The sum over `rows`.
    pub fn new(rows: S, kernel: K) -> Self {
        let memories = Slots::new(rows.partitions());
        LossSum { rows, kernel, weights: Arc::new(vec![]), evaluation: 0, memories }
    }
    /// What is computed for each partition.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }
    /// Sum of losses at `w`; their gradient is written to `gradient`.
    pub fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> Result<f64> {
        assert_eq!(w.len(), self.kernel.dimension(), "weights of another dimension");
        self.evaluation += 1;
        self.weights = Arc::new(w.to_vec());
        let (kernel, memories) = (self.kernel.clone(), self.memories.clone());
        let (w, evaluation) = (self.weights.clone(), self.evaluation);
        let sum = self.rows.fold(
            move |p, blocks| {
                check_width(blocks, kernel.columns())?;
                Ok(memories.renew(p, evaluation, |memory| kernel.evaluate(blocks, &w, memory)))
            },
            add_vectors,
        )?;
        let mut value = [0.0];
        scatter(sum, &mut [gradient, &mut value]);
        Ok(value[0])
    }
    /// `out = H v` at the weights of the last evaluation.
    pub fn hessian_vector(&mut self, v: &[f64], out: &mut [f64]) -> Result<()> {
        assert_eq!(v.len(), self.kernel.dimension(), "a vector of another dimension");
        let v = v.to_vec();
        let task = move |kernel: &K, blocks: &[LabeledBlock], memory: &[f64]| {
            kernel.hessian_vector(blocks, memory, &v)
        };
        self.with_memories(task, &mut [out])
    }
    /// The diagonal of `H` to `diagonal` and, if asked for, the entries between each weight and the intercept of its
    /// output to `border` (shifted columns need them).
    pub fn hessian_diagonal(&mut self, diagonal: &mut [f64], border: Option<&mut [f64]>) -> Result<()> {
        let bordered = border.is_some();
        let task = move |kernel: &K, blocks: &[LabeledBlock], memory: &[f64]| {
            kernel.diagonal(blocks, memory, bordered)
        };
        self.with_memories(task, &mut [diagonal, border.unwrap_or(&mut [])])
    }
    fn with_memories(
        &self,
        task: impl Fn(&K, &[LabeledBlock], &[f64]) -> Vec<f64> + Send + Sync + 'static,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        let (kernel, memories) = (self.kernel.clone(), self.memories.clone());
        let (w, evaluation) = (self.weights.clone(), self.evaluation);
        let sum = self.rows.fold(
            move |p, blocks| {
                let missing = |memory: &mut Vec<f64>| kernel.remember(blocks, &w, memory);
                Ok(memories.with(p, evaluation, missing, |memory| task(&kernel, blocks, memory)))
            },
            add_vectors,
        )?;
        scatter(sum, out);
        Ok(())
    }
}
