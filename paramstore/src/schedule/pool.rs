//! The prioritiser: draws variables of a range, each at most once at a time.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng;
use std::collections::VecDeque;

/// Who comes first. Every variable comes once before any comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Priority {
    /// In order, again and again.
    Cyclic,
    /// Each with the same probability.
    Uniform,
    /// With a probability in proportion to `delta^2 + eta`: how much a variable's last update has changed it, squared, and how much
    /// those that it depends on have changed since, by how much it depends on them. `eta` is such that `uniform` (0 to 1) of
    /// all draws are due to it.
    Change {
        /// The share of draws that every variable has the same part in.
        uniform: f64,
    },
}

/// Weights in a binary tree of sums. A node is the sum of its two children and nothing else, so its bits depend on the weights
/// alone; those of a Fenwick tree, which is updated by differences, on how the weights have come about.
#[derive(Debug, Clone, Default)]
struct SumTree {
    /// The root is at 1, leaves from `leaves` on.
    nodes: Vec<f64>,
    leaves: usize,
}

impl SumTree {
    fn new(weights: impl ExactSizeIterator<Item = f64>) -> Self {
        let leaves = weights.len().next_power_of_two();
        let mut nodes = vec![0.0; 2 * leaves];
        nodes[leaves..].iter_mut().zip(weights).for_each(|(node, weight)| *node = weight);
        (1..leaves).rev().for_each(|i| nodes[i] = nodes[2 * i] + nodes[2 * i + 1]);
        SumTree { nodes, leaves }
    }
    fn set(&mut self, leaf: usize, weight: f64) {
        let mut i = self.leaves + leaf;
        if self.nodes[i] == weight {
            return;
        }
        self.nodes[i] = weight;
        while i > 1 {
            i /= 2;
            self.nodes[i] = self.nodes[2 * i] + self.nodes[2 * i + 1];
        }
    }
    fn total(&self) -> f64 {
        self.nodes[1]
    }
    /// The leaf whose part of `0..total` has `x` in it; one whose weight is not 0, if the total is not.
    fn find(&self, mut x: f64) -> usize {
        let mut i = 1;
        while i < self.leaves {
            let (left, right) = (self.nodes[2 * i], self.nodes[2 * i + 1]);
            i *= 2;
            if right > 0.0 && x >= left {
                x -= left;
                i += 1;
            }
        }
        i - self.leaves
    }
}

/// The variables of a range, by their places in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pool {
    priority: Priority,
    /// Squared changes of the last updates.
    changes: Vec<f64>,
    /// How much a change is to be expected.
    weights: Vec<f64>,
    /// By how much expectations came true that others have raised: the part of them that counts.
    trust: Vec<f32>,
    /// Drawn, and not come back.
    taken: Vec<bool>,
    /// Those that come before all others, in this order.
    first: VecDeque<u32>,
    /// Those that were left out and come before even these, in this order.
    waiting: VecDeque<u32>,
    /// Where a cycle stands.
    next: usize,
    /// Of those that are not taken; made anew where it is empty.
    #[serde(skip)]
    tree: SumTree,
}

/// Draws in vain before all are looked at.
const TRIES: usize = 32;

impl Pool {
    pub fn new(variables: usize, priority: Priority, rng: &mut rng::Stream) -> Self {
        let mut pool = Pool {
            priority,
            changes: vec![0.0; variables],
            weights: vec![0.0; variables],
            trust: vec![1.0; variables],
            taken: vec![false; variables],
            first: VecDeque::new(),
            waiting: VecDeque::new(),
            next: 0,
            tree: SumTree::default(),
        };
        pool.sweep(rng);
        pool
    }
    /// Every variable comes once before any comes twice.
    pub fn sweep(&mut self, rng: &mut rng::Stream) {
        let mut order: Vec<u32> = (0..self.changes.len() as u32).collect();
        if self.priority != Priority::Cyclic {
            for i in (1..order.len()).rev() {
                order.swap(i, rng::below(rng, i as u64 + 1) as usize);
            }
        }
        self.first = order.into();
        self.next = 0;
    }
    /// True if some have not come yet of a sweep.
    pub fn has_first(&self) -> bool {
        !self.first.is_empty()
    }
    pub fn largest_change(&self) -> f64 {
        self.changes.iter().copied().fold(0.0, f64::max)
    }
    fn tree(&mut self) -> &mut SumTree {
        if self.tree.nodes.is_empty() {
            let weights = self.weights.iter().zip(&self.taken);
            self.tree = SumTree::new(weights.map(|(weight, taken)| if *taken { 0.0 } else { *weight }));
        }
        &mut self.tree
    }
    /// A variable that is not taken, which is then; and whether a change is to be expected of it. Nothing, if all are taken.
    pub fn draw(&mut self, rng: &mut rng::Stream) -> Option<(u32, bool)> {
        let drawn = self.find(rng)?;
        self.taken[drawn] = true;
        self.weigh(drawn, 0.0);
        Some((drawn as u32, !self.expects() || self.weights[drawn] > 0.0))
    }
    fn find(&mut self, rng: &mut rng::Stream) -> Option<usize> {
        while let Some(first) = self.waiting.pop_front().or_else(|| self.first.pop_front()) {
            if !self.taken[first as usize] {
                return Some(first as usize);
            }
        }
        let n = self.changes.len();
        if self.priority == Priority::Cyclic {
            // Whoever has not come back would lose a turn if the others went on.
            let found = Some(self.next).filter(|i| *i < n && !self.taken[*i])?;
            self.next = (found + 1) % n;
            return Some(found);
        }
        if let Priority::Change { uniform } = self.priority
            && rng::unit_f64(rng) >= uniform
        {
            let total = self.tree().total();
            if total > 0.0 {
                let found = self.tree.find(rng::unit_f64(rng) * total);
                return Some(found).filter(|i| !self.taken[*i]);
            }
        }
        let mut at = 0;
        for _ in 0..TRIES.min(8 * n) {
            at = rng::below(rng, n as u64) as usize;
            if !self.taken[at] {
                return Some(at);
            }
        }
        (at..n).chain(0..at).find(|i| !self.taken[*i])
    }
    fn weigh(&mut self, variable: usize, weight: f64) {
        if matches!(self.priority, Priority::Change { .. }) {
            self.tree().set(variable, weight);
        }
    }
    /// Variables that were drawn in vain: any of them may be drawn again.
    pub fn put_back(&mut self, variables: &[u32]) {
        for variable in variables {
            let at = *variable as usize;
            self.taken[at] = false;
            self.weigh(at, self.weights[at]);
        }
    }
    /// Variables that were drawn in vain and come first the next time, in this order.
    pub fn put_first(&mut self, variables: &[u32]) {
        self.put_back(variables);
        variables.iter().rev().for_each(|v| self.waiting.push_front(*v));
    }
    /// A variable has been updated, or it is known what an update would change.
    pub fn settle(&mut self, variable: u32, squared_change: f64) {
        let at = variable as usize;
        // What is not a number is said by the objective; here it must not spoil the sums.
        let squared = if squared_change.is_finite() { squared_change } else { 0.0 };
        self.trust[at] = if squared > 0.0 { 1.0 } else { (self.trust[at] * DOUBT).max(TRUST_MIN) };
        (self.changes[at], self.weights[at]) = (squared, squared);
        self.taken[at] = false;
        self.weigh(at, squared);
    }
    /// Whether changes of some variables raise what is expected of others.
    pub fn expects(&self) -> bool {
        matches!(self.priority, Priority::Change { .. })
    }
    /// A variable may change, since one that it depends on has.
    pub fn expect(&mut self, variable: u32, squared_change: f64) {
        let at = variable as usize;
        let raised = self.weights[at] + f64::from(self.trust[at]) * squared_change;
        if raised.is_finite() {
            self.weights[at] = raised;
            if !self.taken[at] {
                self.weigh(at, raised);
            }
        }
    }
}

/// What trust is multiplied by when a variable does not change at all.
const DOUBT: f32 = 0.5;
const TRUST_MIN: f32 = 1.0 / 64.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_changes() {
        let mut rng = rng::stream(1, 0);
        let mut pool = Pool::new(10, Priority::Change { uniform: 0.2 }, &mut rng);
        let first: Vec<u32> = (0..10).filter_map(|_| pool.draw(&mut rng)).map(|(v, _)| v).collect();
        assert_eq!(pool.draw(&mut rng), None);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_ne!(first, sorted);
        // One has changed thrice as much as another, the others not at all.
        first.iter().for_each(|v| pool.settle(*v, [9.0, 3.0].get(*v as usize).copied().unwrap_or(0.0)));
        let mut times = [0.0; 10];
        const DRAWS: usize = 40_000;
        for _ in 0..DRAWS {
            let (v, is_expected) = pool.draw(&mut rng).unwrap();
            assert_eq!(is_expected, v < 2);
            times[v as usize] += 1.0 / DRAWS as f64;
            pool.put_back(&[v]);
        }
        for (v, share) in times.into_iter().enumerate() {
            let expected = 0.02 + 0.8 * [0.75, 0.25].get(v).copied().unwrap_or(0.0);
            // Five standard deviations.
            let bound = 5.0 * f64::sqrt(expected / DRAWS as f64);
            assert!((share - expected).abs() < bound, "{v}: {share} instead of {expected}");
        }
    }

    #[test]
    fn nobody_is_drawn_twice() {
        for priority in [Priority::Cyclic, Priority::Uniform, Priority::Change { uniform: 0.1 }] {
            let mut rng = rng::stream(2, 0);
            let mut pool = Pool::new(37, priority, &mut rng);
            for round in 0..50 {
                let drawn: Vec<u32> = (0..30).map_while(|_| pool.draw(&mut rng)).map(|(v, _)| v).collect();
                let mut unique = drawn.clone();
                unique.sort_unstable();
                unique.dedup();
                assert_eq!(unique.len(), drawn.len(), "{priority:?}");
                assert!(
                    drawn.len() == 30 || round == 1 && priority == Priority::Cyclic,
                    "{priority:?} {round}"
                );
                drawn.iter().for_each(|v| pool.settle(*v, f64::from(v % (round + 1))));
            }
        }
    }

    #[test]
    fn sums_are_as_if_made_anew() {
        let mut rng = rng::stream(3, 0);
        let mut pool = Pool::new(100, Priority::Change { uniform: 0.0 }, &mut rng);
        while let Some((v, _)) = pool.draw(&mut rng) {
            pool.first.is_empty().then(|| pool.settle(v, 0.1));
            if pool.first.is_empty() {
                break;
            }
        }
        for i in 0..1000u32 {
            pool.settle(i % 100, rng::unit_f64(&mut rng).exp());
        }
        let bytes = postcard::to_stdvec(&pool).unwrap();
        let mut copy: Pool = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(pool.tree().nodes, copy.tree().nodes);
    }

    #[test]
    fn those_left_out_come_first() {
        let mut rng = rng::stream(4, 0);
        let mut pool = Pool::new(6, Priority::Cyclic, &mut rng);
        let drawn: Vec<u32> = (0..4).map(|_| pool.draw(&mut rng).unwrap().0).collect();
        assert_eq!(drawn, [0, 1, 2, 3]);
        pool.put_first(&[1, 3]);
        assert_eq!(
            (0..4).filter_map(|_| pool.draw(&mut rng)).map(|(v, _)| v).collect::<Vec<_>>(),
            [1, 3, 4, 5]
        );
    }
}
