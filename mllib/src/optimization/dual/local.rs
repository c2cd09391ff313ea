//! Coordinate descent over the rows of one partition.
//!
//! Rows are visited in random order on two levels, blocks and rows within a block, so that memory is read in pieces
//! that fit the second-level cache. Rows whose variable sits at a bound and is pushed against it are set aside for the
//! rounds to come (shrinking, Hsieh et al. 2008, section 3.2).

use super::coordinate::DualLoss;
use super::state::{Changes, Part, PartChanges, Range};
use crate::linalg::sparse;
use crate::objective::Target;
use crate::random::shuffle;
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::rng::Stream;

/// The dual problem, as every partition sees it.
#[derive(Debug, Clone)]
pub(super) struct Problem<L> {
    pub loss: L,
    pub target: Target,
    pub c: f64,
    pub columns: usize,
    pub intercept: bool,
}

/// How a pass goes about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Gradients at bounds beyond these set a row aside.
    pub bounds: Range,
    /// What the partition takes its curvature times.
    pub curvature: f64,
    /// How exactly steps without a closed form are computed.
    pub precision: f64,
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
    /// Sums of primal terms at two vectors of weights.
    pub(super) fn primals(&self, blocks: &[LabeledBlock], ws: [&[f64]; 2]) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for block in blocks {
            for (i, label) in block.labels.iter().enumerate() {
                let y = self.target.of(*label);
                for (sum, w) in sums.iter_mut().zip(ws) {
                    *sum += self.loss.primal(y * self.margin(block, i, w), self.c);
                }
            }
        }
        sums
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
    /// A pass over the rows that are not aside, from `w` and the partition's variables.
    pub(super) fn pass(
        &self,
        blocks: &[LabeledBlock],
        norms: &[f64],
        w: &[f64],
        part: &Part,
        pass: Pass,
        mut stream: Stream,
    ) -> Changes {
        let starts: Vec<usize> = blocks
            .iter()
            .scan(0, |from, b| {
                *from += b.rows();
                Some(*from - b.rows())
            })
            .collect();
        let mut order: Vec<u32> = (0..blocks.len() as u32).collect();
        shuffle(&mut order, &mut stream);
        let (mut local, mut alphas, mut aside) = (w.to_vec(), part.alphas.to_vec(), (*part.aside).clone());
        let (mut range, mut visits, mut rows) = (Range::default(), 0, vec![]);
        for b in &order {
            let (block, start) = (&blocks[*b as usize], starts[*b as usize]);
            rows.clear();
            rows.extend((0..block.rows() as u32).filter(|i| !part.aside.contains(start + *i as usize)));
            shuffle(&mut rows, &mut stream);
            visits += rows.len() as u64;
            for i in rows.iter().map(|i| *i as usize) {
                let y = self.target.of(block.labels[i]);
                let alpha = alphas[start + i];
                let yz = y * self.margin(block, i, &local);
                let q = pass.curvature * norms[start + i];
                let step = self.loss.step(alpha, q, yz, self.c, pass.precision);
                let bound = step.gradient_at_bound;
                if bound > 0.0 && bound > pass.bounds.largest || bound < 0.0 && bound < pass.bounds.least {
                    aside.insert(start + i);
                    continue;
                }
                range.include(step.violation);
                if step.alpha != alpha {
                    self.add(pass.curvature * y * (step.alpha - alpha), block, i, &mut local);
                    alphas[start + i] = step.alpha;
                }
            }
        }
        local.iter_mut().zip(w).for_each(|(l, w)| *l = (*l - w) / pass.curvature);
        let changed = alphas.iter().zip(part.alphas.iter()).enumerate().filter(|(_, (new, old))| new != old);
        let (rows, values) = changed.map(|(i, (new, _))| (i as u32, *new)).unzip();
        Changes { of_weights: local, visits, range, parts: vec![PartChanges { rows, values, aside }] }
    }
}
