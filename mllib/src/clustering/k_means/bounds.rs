//! Which rows need not be compared with all centres again, after these have moved.
//!
//! # What it does
//! Of every row the nearest centre is kept, with a bound from above on its distance and one from below on the distance of
//! all others. When centres move, the one grows by the way of the own centre, the other falls by the longest way of
//! another: while the first stays below the second, the nearest centre is the same. Where it does not, the distance of the
//! own centre is taken anew, and if that is not enough the distances of all.
//!
//! # Guarantees
//! Bounds are rounded outwards, so nearest centres are those that [`Nearest`] finds without them. They are a cache: a
//! partition without bounds, or with those of other centres, is compared as a whole.
//!
//! # Cost
//! 12 bytes a row. A row that stays costs a few operations, one that is tried `3 d`, one that is compared `2 d k`.
//!
//! # References
//! Hamerly 2010, Making k-means even faster.

use super::nearest::{Found, Nearest, Scratch};
use super::params::Centers;
use super::rows::{Packed, PackedRows};
use crate::linalg::dense::distance;
use crate::linalg::widest;
use crate::objective::Slots;
use slackwater_dataflow::{Error, Record, Result};
use std::cell::Cell;
use std::sync::Arc;

/// More than what a few operations in `f32` round, relative.
const ROUNDING: f32 = 1.0 / (1 << 20) as f32;

/// What is kept of the rows of a partition.
#[derive(Debug, Default)]
struct Bounds {
    assigned: Vec<u32>,
    /// On distances: of the own centre from above, of all others from below.
    upper: Vec<f32>,
    lower: Vec<f32>,
}

/// How far centres have moved, rounded up.
#[derive(Debug)]
struct Moves {
    of: Vec<f32>,
    /// The farthest, how far, and how far the next to it.
    farthest: usize,
    most: f32,
    second: f32,
}

impl Moves {
    fn new(before: &Centers, now: &Centers) -> Self {
        let way = |(a, b): (&[f64], &[f64])| (distance(a, b) as f32) * (1.0 + ROUNDING);
        let of: Vec<f32> = before.iter().zip(now.iter()).map(way).collect();
        let mut moves = Moves { of, farthest: 0, most: 0.0, second: 0.0 };
        for (j, way) in moves.of.iter().enumerate() {
            if *way > moves.most {
                (moves.farthest, moves.second, moves.most) = (j, moves.most, *way);
            } else {
                moves.second = moves.second.max(*way);
            }
        }
        moves
    }
    /// The longest way of a centre other than this one.
    fn of_others(&self, center: usize) -> f32 {
        if center == self.farthest { self.second } else { self.most }
    }
}

impl Bounds {
    fn set(&mut self, row: usize, found: Found) {
        self.assigned[row] = found.center;
        self.upper[row] = found.most.sqrt() * (1.0 + ROUNDING);
        self.lower[row] = found.others_least.sqrt() * (1.0 - ROUNDING);
    }
    /// Compares all rows with all centres.
    fn compare(&mut self, nearest: &Nearest<'_>, scratch: &mut Scratch) {
        let rows = nearest.rows();
        self.assigned.resize(rows, 0);
        self.upper.resize(rows, 0.0);
        self.lower.resize(rows, 0.0);
        nearest.for_each(0..rows, scratch, |row, found| self.set(row, found));
    }
    /// Follows the centres, and compares the rows for which that is not enough.
    fn follow(&mut self, moves: &Moves, nearest: &Nearest<'_>, scratch: &mut Scratch) {
        let open = widest(
            #[inline(always)]
            || self.move_bounds(moves, nearest),
        );
        nearest.for_some(&open, scratch, |row, found| self.set(row, found));
    }
    /// Moves the bounds; the rows that have to be compared.
    #[inline(always)]
    fn move_bounds(&mut self, moves: &Moves, nearest: &Nearest<'_>) -> Vec<u32> {
        let mut open = vec![];
        for row in 0..self.assigned.len() {
            let center = self.assigned[row] as usize;
            let (upper, away) = (self.upper[row] + moves.of[center], moves.of_others(center));
            self.upper[row] = upper + ROUNDING * upper;
            self.lower[row] -= away + ROUNDING * (self.lower[row].abs() + away);
            if self.upper[row] < self.lower[row] {
                continue;
            }
            self.upper[row] = (nearest.distance(row, center).sqrt() as f32) * (1.0 + ROUNDING);
            if self.upper[row] >= self.lower[row] {
                open.push(row as u32);
            }
        }
        open
    }
}

/// Goes through rows with their nearest centres, from one set of centres to the next.
pub(super) struct Assigner<'a> {
    rows: &'a PackedRows,
    bounds: Slots<Bounds>,
    /// Number of the last centres, which is that of their entries, and what they were.
    number: u64,
    last: Option<Arc<Centers>>,
}

impl<'a> Assigner<'a> {
    pub fn new(rows: &'a PackedRows) -> Self {
        Assigner { rows, bounds: Slots::new(rows.count()), number: 1, last: None }
    }
    /// What `task` makes of every partition (its number and its rows), given the nearest centre of each row; merged in a
    /// fixed tree.
    ///
    /// # Errors
    /// What the job reports.
    pub fn run<R: Record>(
        &mut self,
        centers: &Arc<Centers>,
        task: impl Fn(usize, &Packed, &Nearest<'_>, &[u32]) -> R + Send + Sync + 'static,
        merge: impl Fn(R, R) -> R + Send + Sync + 'static,
    ) -> Result<R> {
        let (before, now, bounds) = (self.number, self.number + 1, self.bounds.clone());
        let moves = self.last.as_ref().map(|last| Moves::new(last, centers));
        self.number = now;
        self.last = Some(centers.clone());
        let centers = centers.clone();
        let run = move |partition: usize, rows: &Packed| {
            let nearest = Nearest::new(rows, &centers);
            let mut scratch = Scratch::default();
            let is_new = Cell::new(false);
            bounds.advance(
                partition,
                before,
                now,
                |_| is_new.set(true),
                |bounds| {
                    match &moves {
                        Some(moves) if !is_new.get() => bounds.follow(moves, &nearest, &mut scratch),
                        _ => bounds.compare(&nearest, &mut scratch),
                    }
                    task(partition, rows, &nearest, &bounds.assigned)
                },
            )
        };
        self.rows.fold(run, merge)?.ok_or_else(|| Error::input("there are no rows", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::Distance;
    use super::super::rows::{Packing, UnpackedRows};
    use super::*;
    use slackwater_dataflow::block::{LabeledPoint, Vector};
    use slackwater_dataflow::{Context, rng};

    /// Centres that hardly move, that jump, and that stay: with bounds and without, rows have the same centres.
    #[test]
    fn nothing_is_missed() {
        let cx = Context::local(2).unwrap();
        let mut rng = rng::stream(2, 0);
        let mut normal = |n: usize| (0..n).map(|_| rng::normal(&mut rng)).collect::<Vec<f64>>();
        let points: Vec<_> = (0..1000).map(|_| LabeledPoint::new(0.0, Vector::dense(normal(5)))).collect();
        let packing = Packing { distance: Distance::Euclidean, shuffle: None, columns_max: usize::MAX };
        let rows = PackedRows::new(&UnpackedRows::from(&cx.parallelize(points, 3)), packing).unwrap();
        let all = |assigner: &mut Assigner<'_>, centers: &Centers| {
            let task = |_: usize, _: &Packed, _: &Nearest<'_>, assigned: &[u32]| assigned.to_vec();
            let merge = |mut left: Vec<u32>, right| {
                left.extend::<Vec<u32>>(right);
                left
            };
            assigner.run(&Arc::new(centers.clone()), task, merge).unwrap()
        };
        let (mut followed, mut values, mut changes) = (Assigner::new(&rows), normal(40 * 5), 0);
        let mut before = vec![];
        for step in [0.0, 0.01, 0.1, 0.0, 3.0, 0.001, 0.02] {
            values.iter_mut().zip(normal(40 * 5)).for_each(|(c, way)| *c += step * way);
            let centers = Centers::of(values.clone(), 40);
            let assigned = all(&mut followed, &centers);
            assert!(assigned == all(&mut Assigner::new(&rows), &centers), "after a step of {step}");
            changes += usize::from(before != assigned);
            before = assigned;
        }
        assert!(changes >= 5, "steps change something: {changes}");
    }
}
