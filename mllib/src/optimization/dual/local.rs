//! Coordinate descent over the rows of one partition.
//!
//! Rows are visited in random order on two levels, blocks and rows within a block, so that memory is read in pieces
//! that fit the second-level cache. Rows whose variable sits at a bound and is pushed against it are set aside for the
//! rest of the call (shrinking, Hsieh et al. 2008, section 3.2).

use super::coordinate::DualLoss;
use crate::linalg::sparse;
use crate::objective::Target;
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::rng::{self, Stream};

/// The dual problem, as every partition sees it.
#[derive(Debug, Clone)]
pub(super) struct Problem<L> {
    pub loss: L,
    pub target: Target,
    pub c: f64,
    pub columns: usize,
    pub intercept: bool,
}

/// What a partition did.
pub(super) struct Outcome {
    /// Change of `w`.
    pub change: Vec<f64>,
    /// New dual variables of the rows, in order.
    pub alphas: Vec<f64>,
    /// Passes made.
    pub passes: usize,
}

/// Where the projected gradients of a pass lay.
#[derive(Clone, Copy)]
struct Range {
    least: f64,
    largest: f64,
}

impl Range {
    const NOTHING: Range = Range { least: f64::INFINITY, largest: f64::NEG_INFINITY };
    const EVERYTHING: Range = Range { least: f64::NEG_INFINITY, largest: f64::INFINITY };
    fn include(&mut self, x: f64) {
        self.least = self.least.min(x);
        self.largest = self.largest.max(x);
    }
    fn width(&self) -> f64 {
        self.largest - self.least
    }
}

fn shuffle(order: &mut [u32], stream: &mut Stream) {
    for i in (1..order.len()).rev() {
        order.swap(i, rng::below(stream, i as u64 + 1) as usize);
    }
}

impl<L: DualLoss> Problem<L> {
    pub(super) fn dimension(&self) -> usize {
        self.columns + usize::from(self.intercept)
    }
    fn margin(&self, block: &LabeledBlock, i: usize, w: &[f64]) -> f64 {
        let z = sparse::dot(block.features.row(i), w);
        if self.intercept { z + w[self.columns] } else { z }
    }
    fn add(&self, a: f64, block: &LabeledBlock, i: usize, w: &mut [f64]) {
        sparse::axpy(a, block.features.row(i), w);
        if self.intercept {
            w[self.columns] += a;
        }
    }
    /// `x'x` of every row.
    pub(super) fn squared_norms(&self, blocks: &[LabeledBlock]) -> Vec<f64> {
        let one = f64::from(self.intercept);
        blocks.iter().flat_map(|b| b.features.iter()).map(|row| one + sparse::squared_norm(row)).collect()
    }
    /// Sum of primal terms at `w`.
    pub(super) fn primal(&self, blocks: &[LabeledBlock], w: &[f64]) -> f64 {
        let mut sum = 0.0;
        for block in blocks {
            for (i, label) in block.labels.iter().enumerate() {
                sum += self.loss.primal(self.target.of(*label) * self.margin(block, i, w), self.c);
            }
        }
        sum
    }
    /// `Σ y_i α_i x_i`: what weights the dual variables stand for.
    pub(super) fn weights(&self, blocks: &[LabeledBlock], alpha: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut w = vec![0.0; self.dimension()];
        let mut row = 0;
        for block in blocks {
            for (i, label) in block.labels.iter().enumerate() {
                let alpha = alpha(row);
                if alpha != 0.0 {
                    self.add(self.target.of(*label) * alpha, block, i, &mut w);
                }
                row += 1;
            }
        }
        w
    }
    /// Up to `passes_max` passes from `w` and `alphas`; fewer if the projected gradients come within `tolerance`.
    #[allow(clippy::too_many_arguments, reason = "one call; a struct would only name the same things twice")]
    pub(super) fn descend(
        &self,
        blocks: &[LabeledBlock],
        norms: &[f64],
        w: &[f64],
        mut alphas: Vec<f64>,
        (passes_max, tolerance, precision): (usize, f64, f64),
        mut stream: Stream,
    ) -> Outcome {
        let starts: Vec<usize> = blocks
            .iter()
            .scan(0, |from, b| {
                *from += b.rows();
                Some(*from - b.rows())
            })
            .collect();
        let mut active: Vec<Vec<u32>> = blocks.iter().map(|b| (0..b.rows() as u32).collect()).collect();
        let mut order: Vec<u32> = (0..blocks.len() as u32).collect();
        let mut local = w.to_vec();
        let mut before = Range::EVERYTHING;
        let mut passes = 0;
        while passes < passes_max {
            passes += 1;
            let mut range = Range::NOTHING;
            shuffle(&mut order, &mut stream);
            for b in &order {
                let (block, start) = (&blocks[*b as usize], starts[*b as usize]);
                let rows = &mut active[*b as usize];
                shuffle(rows, &mut stream);
                rows.retain(|i| {
                    let i = *i as usize;
                    let y = self.target.of(block.labels[i]);
                    let alpha = alphas[start + i];
                    let yz = y * self.margin(block, i, &local);
                    let step = self.loss.step(alpha, norms[start + i], yz, self.c, precision);
                    let bound = step.gradient_at_bound;
                    if bound > 0.0 && bound > before.largest || bound < 0.0 && bound < before.least {
                        return false;
                    }
                    range.include(step.violation);
                    if step.alpha != alpha {
                        self.add(y * (step.alpha - alpha), block, i, &mut local);
                        alphas[start + i] = step.alpha;
                    }
                    true
                });
            }
            if range.width() <= tolerance {
                break;
            }
            // As in LIBLINEAR: a bound that no active row exceeds says nothing.
            before = Range {
                least: if range.least < 0.0 { range.least } else { f64::NEG_INFINITY },
                largest: if range.largest > 0.0 { range.largest } else { f64::INFINITY },
            };
        }
        local.iter_mut().zip(w).for_each(|(l, w)| *l -= w);
        Outcome { change: local, alphas, passes }
    }
}
