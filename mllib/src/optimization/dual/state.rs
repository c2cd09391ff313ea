//! What is known between rounds, the same in every process, and what partitions change of it.

use crate::linalg::dense::{axpy, dot};
use crate::random::shuffle;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng::Stream;
use std::sync::Arc;

/// A group has a partition for so many, and at least two.
const PARTITIONS_PER_PLACE: usize = 16;
/// By how much more the curvature of a partition is taken for, for every other one in its group. With too little of it variables overshoot,
/// and the step along the sum of the changes is short.
const CURVATURE_OF_OTHERS: f64 = 0.4;
/// Rows aside come back when the projected gradients of the others lie within this, and the next time within a part of it.
const SETTLED: f64 = 1.0;
const SETTLED_NEXT: f64 = 0.3;
/// Weight of the last weights in the average, once there were enough.
const WEIGHT_OF_LAST: f64 = 0.2;

/// What a partition of a group of `n` takes its curvature times.
pub(super) fn curvature(n: usize) -> f64 {
    1.0 + CURVATURE_OF_OTHERS * (n as f64 - 1.0)
}

/// Where the projected gradients of a pass lay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Range {
    pub least: f64,
    pub largest: f64,
}

impl Range {
    pub const EVERYTHING: Range = Range { least: f64::NEG_INFINITY, largest: f64::INFINITY };
    pub fn include(&mut self, x: f64) {
        self.least = self.least.min(x);
        self.largest = self.largest.max(x);
    }
    pub fn and(self, other: Range) -> Range {
        Range { least: self.least.min(other.least), largest: self.largest.max(other.largest) }
    }
    /// Beyond which rows are set aside. As in LIBLINEAR: a bound that no row exceeds says nothing.
    fn bounds(self) -> Range {
        Range {
            least: if self.least < 0.0 { self.least } else { f64::NEG_INFINITY },
            largest: if self.largest > 0.0 { self.largest } else { f64::INFINITY },
        }
    }
}

impl Default for Range {
    /// That of no row.
    fn default() -> Self {
        Range { least: f64::INFINITY, largest: f64::NEG_INFINITY }
    }
}

/// Rows that are set aside: a bit for each. Empty, if there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Aside(Vec<u64>);

impl Aside {
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }
    pub fn insert(&mut self, row: usize) {
        if self.0.len() <= row / 64 {
            self.0.resize(row / 64 + 1, 0);
        }
        self.0[row / 64] |= 1 << (row % 64);
    }
}

/// The rows of a partition.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Their dual variables.
    pub alphas: Arc<Vec<f64>>,
    pub aside: Arc<Aside>,
}

/// What a pass over a partition changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartChanges {
    /// Rows whose variables change, ascending.
    pub rows: Vec<u32>,
    /// Their new variables.
    pub values: Vec<f64>,
    /// All rows that are aside now.
    pub aside: Aside,
}

/// What the partitions of a group return: changes of `w` add up, those of variables stay apart. Nothing, from other partitions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Changes {
    pub of_weights: Vec<f64>,
    pub visits: u64,
    pub range: Range,
    /// By partition of the group, ascending.
    pub parts: Vec<PartChanges>,
}

/// Those of both, `left`'s partitions first.
pub(super) fn join(mut left: Changes, right: Changes) -> Changes {
    // Those that did nothing have no weights to add, and so has everybody where there are no columns.
    if left.parts.is_empty() {
        return right;
    }
    if right.parts.is_empty() {
        return left;
    }
    axpy(1.0, &right.of_weights, &mut left.of_weights);
    left.visits += right.visits;
    left.range = left.range.and(right.range);
    left.parts.extend(right.parts);
    left
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    pub range: Range,
    pub has_moved: bool,
}

/// What is known between rounds.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub w: Vec<f64>,
    /// Of the last weights.
    pub average: Vec<f64>,
    /// The least primal objective that was seen, and where.
    pub best: (f64, Vec<f64>),
    pub parts: Vec<Part>,
    /// Gradients at bounds beyond these set a row aside.
    pub bounds: Range,
    /// False if the last round changed nothing, though it visited all rows.
    pub has_moved: bool,
    /// Width of the range of gradients at which rows come back.
    settled: f64,
    rounds: usize,
}

impl State {
    pub fn new(w: Vec<f64>, lengths: &[usize], start: f64) -> State {
        let part = |n: &usize| Part { alphas: Arc::new(vec![start; *n]), aside: Arc::default() };
        State {
            average: w.clone(),
            best: (f64::INFINITY, w.clone()),
            w,
            parts: lengths.iter().map(part).collect(),
            bounds: Range::EVERYTHING,
            has_moved: true,
            settled: SETTLED,
            rounds: 0,
        }
    }
    /// All dual variables.
    pub fn alphas(&self) -> impl Iterator<Item = f64> + '_ {
        self.parts.iter().flat_map(|part| part.alphas.iter().copied())
    }
    /// Partitions that take their passes at the same time, in the order of their turns; ascending within a group.
    pub fn groups(&self, mut stream: Stream) -> Vec<Vec<usize>> {
        let n = self.parts.len();
        let mut order: Vec<u32> = (0..n as u32).collect();
        shuffle(&mut order, &mut stream);
        let size = n.div_ceil(PARTITIONS_PER_PLACE).max(2);
        let sorted = |group: &[u32]| {
            let mut group: Vec<usize> = group.iter().map(|p| *p as usize).collect();
            group.sort_unstable();
            group
        };
        order.chunks(size).map(sorted).collect()
    }
    /// Old and new values of the variables that a group changes.
    pub fn pairs(&self, group: &[usize], changes: &Changes) -> Vec<(f64, f64)> {
        let of_part = |(p, new): (&usize, &PartChanges)| {
            let alphas = self.parts[*p].alphas.clone();
            let pairs: Vec<_> =
                new.rows.iter().zip(&new.values).map(|(i, b)| (alphas[*i as usize], *b)).collect();
            pairs
        };
        group.iter().zip(&changes.parts).flat_map(of_part).collect()
    }
    /// Goes `step` of the way of a group's changes.
    pub fn apply(&mut self, group: &[usize], changes: Changes, step: f64) {
        axpy(step, &changes.of_weights, &mut self.w);
        for (p, new) in group.iter().zip(changes.parts) {
            let part = &mut self.parts[*p];
            if step > 0.0 && !new.rows.is_empty() {
                let alphas = Arc::make_mut(&mut part.alphas);
                for (i, b) in new.rows.iter().zip(&new.values) {
                    let a = &mut alphas[*i as usize];
                    *a = if step == 1.0 { *b } else { *a + step * (b - *a) };
                }
            }
            part.aside = Arc::new(new.aside);
        }
    }
    /// Ends a round. True if what was visited is nearly optimal: rows that were aside are back.
    pub fn end(&mut self, round: Round) -> bool {
        self.rounds += 1;
        let weight = WEIGHT_OF_LAST.max(1.0 / self.rounds as f64);
        self.average.iter_mut().zip(&self.w).for_each(|(a, w)| *a += weight * (w - *a));
        let was_whole = self.parts.iter().all(|part| *part.aside == Aside::default());
        let is_settled = round.range.largest - round.range.least <= self.settled;
        if is_settled || !round.has_moved {
            self.parts.iter_mut().for_each(|part| part.aside = Arc::default());
            self.bounds = Range::EVERYTHING;
            self.settled *= SETTLED_NEXT;
        } else {
            self.bounds = round.range.bounds();
        }
        self.has_moved = round.has_moved || !was_whole;
        is_settled
    }
    /// Keeps the better ones of the last weights, the average and the best so far, given the sums of losses of the former two.
    pub fn compare(&mut self, losses_at_last: f64, losses_at_average: f64) {
        let objective = |losses: f64, w: &[f64]| losses + 0.5 * dot(w, w);
        let [last, average] =
            [objective(losses_at_last, &self.w), objective(losses_at_average, &self.average)];
        // What is not a number must be seen, too.
        if last < self.best.0 || last.is_nan() {
            self.best = (last, self.w.clone());
        }
        if average < self.best.0 {
            self.best = (average, self.average.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    #[test]
    fn every_partition_has_its_turn() {
        for (partitions, size) in [(1, 2), (2, 2), (7, 2), (16, 2), (33, 3), (64, 4)] {
            let state = State::new(vec![], &vec![1; partitions], 0.0);
            let groups = state.groups(rng::stream(3, partitions as u64));
            assert_eq!(groups.len(), partitions.div_ceil(size));
            let mut all: Vec<usize> = groups.iter().flatten().copied().collect();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..partitions));
            assert!(groups.iter().all(|group| group.is_sorted() && group.len() <= size));
        }
    }

    #[test]
    fn rows_come_back_when_the_others_are_settled() {
        let mut state = State::new(vec![], &[100], 0.0);
        let changes = |rows: &[usize], range| {
            let mut aside = Aside::default();
            rows.iter().for_each(|i| aside.insert(*i));
            let parts = vec![PartChanges { rows: vec![1], values: vec![1.0], aside }];
            Changes { parts, range, ..Changes::default() }
        };
        let wide = Range { least: -2.0, largest: -0.5 };
        state.apply(&[0], changes(&[3, 70], wide), 1.0);
        assert!(!state.end(Round { range: wide, has_moved: true }));
        assert_eq!(state.bounds, Range { least: -2.0, largest: f64::INFINITY });
        let aside: Vec<usize> = (0..100).filter(|i| state.parts[0].aside.contains(*i)).collect();
        assert_eq!(aside, [3, 70]);
        // Nothing moved, but not all rows were asked.
        assert!(!state.end(Round { range: wide, has_moved: false }));
        assert!(state.has_moved && !state.parts[0].aside.contains(70));
        assert_eq!(state.bounds, Range::EVERYTHING);
        assert!(!state.end(Round { range: wide, has_moved: false }));
        assert!(!state.has_moved);
        state.apply(&[0], changes(&[3], wide), 1.0);
        let narrow = Range { least: -0.02, largest: 0.02 };
        assert!(state.end(Round { range: narrow, has_moved: true }));
        assert!(!state.parts[0].aside.contains(3));
    }
}
