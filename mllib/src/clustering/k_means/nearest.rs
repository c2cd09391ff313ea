//! The nearest centre of every row.
//!
//! # What it does
//! `‖x - c‖² = ‖x‖² + 2 (½‖c‖² - x'c)`, so the nearest centre has the least score `½‖c‖² - x'c`. Scores are computed in `f32`:
//! for dense rows as products of matrices, tile by tile, for sparse ones from the centres by column. Of every tile the least
//! two scores of a row are kept, not the scores.
//!
//! # Guarantees
//! The centre is the nearest in `f64`, the first of equals. A score in `f32` is off by at most `ε (‖x‖² + ‖c‖²)`, with
//! `ε = 1.1 (m + 8) 2^-25` for `m` stored values (any order of summation: Higham 2002, section 3.1). Where the two least
//! are closer than that, all centres are looked at again in `f64`. So results do not depend on the processor.
//!
//! # Cost
//! `2 m k` operations in `f32` a row, and `m k` more in `f64` for the few that are close. A megabyte of scratch.

use super::params::Centers;
use super::rows::{Packed, Values};
use crate::linalg::dense::dot;
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linalg::widest;
use std::array;
use std::ops::Range;

/// Rows of a tile (a multiple of the 96 that the widest product takes), and centres that it is multiplied with at once.
const TILE: usize = 192;
const CENTERS_AT_ONCE: usize = 256;
/// Rows, or centres, that are compared at once.
const LANES: usize = 16;
/// Scores this close are looked at again: products of smaller numbers underflow.
const UNDERFLOW: f32 = 1e-35;

/// What a tile needs besides; kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    scores: Vec<f32>,
    tile: Vec<f32>,
    least: Least,
}

/// By row: the least score, whose it is, and the second least.
#[derive(Debug, Default)]
struct Least {
    best: Vec<f32>,
    second: Vec<f32>,
    at: Vec<u32>,
}

impl Least {
    fn clear(&mut self, rows: usize) {
        for (values, start) in [(&mut self.best, f32::INFINITY), (&mut self.second, f32::INFINITY)] {
            values.clear();
            values.resize(rows, start);
        }
        self.at.clear();
        self.at.resize(rows, 0);
    }
}

/// What was found for a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub center: u32,
    /// Bounds of squared distances: of this centre from above, of all others from below.
    pub most: f32,
    pub others_least: f32,
}

/// The centres as the rows of a partition see them.
pub(super) struct Nearest<'a> {
    rows: &'a Packed,
    k: usize,
    columns: usize,
    /// Centre by centre, less the shift of the rows, in the columns that the partition has.
    exact: Vec<f64>,
    /// By centre: squared norm, and of it the part in columns that the partition has not.
    squares: Vec<f64>,
    beyond: Vec<f64>,
    /// Dense: centre by centre. Sparse: column by column.
    rounded: Vec<f32>,
    /// By centre: half the squared norm, less `slack`.
    halves: Vec<f32>,
    /// By centre: how far rounding may move a score.
    slack: Vec<f32>,
    /// The same by squared norm of a row.
    unit: f32,
}

impl<'a> Nearest<'a> {
    pub fn new(rows: &'a Packed, centers: &Centers) -> Self {
        Nearest::of(rows, centers.values(), centers.k(), centers.columns())
    }
    /// Of centres that lie one after the other.
    pub fn of(rows: &'a Packed, centers: &[f64], k: usize, width: usize) -> Self {
        let (columns, shift) = (rows.columns, rows.shift());
        let mut exact = Vec::with_capacity(k * columns);
        let (mut squares, mut beyond) = (Vec::with_capacity(k), Vec::with_capacity(k));
        for center in centers.chunks_exact(width.max(1)) {
            let (known, rest) = center.split_at(columns);
            let from = exact.len();
            exact.extend_from_slice(known);
            exact[from..].iter_mut().zip(shift).for_each(|(c, s)| *c -= s);
            beyond.push(dot(rest, rest));
            squares.push(dot(&exact[from..], &exact[from..]) + dot(rest, rest));
        }
        // Without columns all centres are alike.
        squares.resize(k, 0.0);
        beyond.resize(k, 0.0);
        let unit = 1.1 * (rows.stored_max() + 8) as f64 * 0.5f64.powi(25);
        let slack: Vec<f64> = squares.iter().map(|s| unit * s).collect();
        let rounded = match rows.values {
            Values::Dense { .. } => exact.iter().map(|c| *c as f32).collect(),
            Values::Sparse { .. } => {
                let column = |j: usize| exact.iter().skip(j).step_by(columns).map(|c| *c as f32);
                (0..columns).flat_map(column).collect()
            }
        };
        Nearest {
            rows,
            k,
            columns: width,
            rounded,
            halves: squares.iter().zip(&slack).map(|(s, slack)| (0.5 * s - slack) as f32).collect(),
            slack: slack.into_iter().map(|s| s as f32).collect(),
            exact,
            squares,
            beyond,
            unit: unit as f32,
        }
    }
    /// Number of centres.
    pub fn k(&self) -> usize {
        self.k
    }
    /// Number of columns of the centres.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.rows()
    }
    /// A centre, less the shift of the rows.
    pub fn center(&self, center: usize) -> &[f64] {
        &self.exact[center * self.rows.columns..][..self.rows.columns]
    }
    /// Its squared norm, in all columns.
    pub fn square(&self, center: usize) -> f64 {
        self.squares[center]
    }
    /// Squared distance of a row from a centre.
    #[inline(always)]
    pub fn distance(&self, row: usize, center: usize) -> f64 {
        let c = self.center(center);
        match &self.rows.values {
            Values::Dense { values, .. } => {
                squared_distance(&values[row * c.len()..][..c.len()], c) + self.beyond[center]
            }
            Values::Sparse { .. } => {
                let mut sum = self.squares[center];
                self.rows.for_each(row, |j, x| {
                    let x = f64::from(x);
                    sum += x * (x - 2.0 * c[j]);
                });
                sum.max(0.0)
            }
        }
    }
    /// The nearest centre by distances in `f64`; the first of equals.
    pub fn look_again(&self, row: usize) -> (usize, f64) {
        let first = (0, self.distance(row, 0));
        (1..self.k).fold(first, |best, j| {
            let distance = self.distance(row, j);
            if distance < best.1 { (j, distance) } else { best }
        })
    }
    /// Calls `f` with every row of `range` and what was found for it, in order.
    pub fn for_each(&self, range: Range<usize>, scratch: &mut Scratch, mut f: impl FnMut(usize, Found)) {
        for from in range.clone().step_by(TILE) {
            let to = (from + TILE).min(range.end);
            match &self.rows.values {
                // Rows that lie together need not be brought together.
                Values::Dense { values, .. } if to - from == TILE => {
                    let columns = self.rows.columns;
                    self.dense(&values[from * columns..to * columns], TILE, scratch);
                }
                _ => self.tile(from..to, scratch),
            }
            (from..to).for_each(|row| f(row, self.judge(row, row - from, &scratch.least)));
        }
    }
    /// [`for_each`](Nearest::for_each) of some rows.
    pub fn for_some(&self, rows: &[u32], scratch: &mut Scratch, mut f: impl FnMut(usize, Found)) {
        for rows in rows.chunks(TILE) {
            self.tile(rows.iter().map(|row| *row as usize), scratch);
            for (at, row) in rows.iter().enumerate() {
                f(*row as usize, self.judge(*row as usize, at, &scratch.least));
            }
        }
    }
    /// What the least two scores of a row say.
    fn judge(&self, row: usize, at: usize, least: &Least) -> Found {
        let (best, second, center) = (least.best[at], least.second[at], least.at[at] as usize);
        let square = self.rows.squares[row];
        let of_row = self.unit * square;
        let most = best + 2.0 * self.slack[center] + of_row;
        if second - of_row > most + UNDERFLOW {
            return Found {
                center: center as u32,
                most: (square + 2.0 * most).max(0.0),
                others_least: (square + 2.0 * (second - of_row)).clamp(0.0, f32::MAX),
            };
        }
        let (center, distance) = self.look_again(row);
        // Nothing is known of the others but that they are no nearer.
        Found { center: center as u32, most: distance as f32, others_least: distance as f32 }
    }
    /// Finds the least scores of at most [`TILE`] rows.
    fn tile(&self, rows: impl ExactSizeIterator<Item = usize>, scratch: &mut Scratch) {
        match &self.rows.values {
            Values::Dense { values, .. } => {
                let (columns, padded) = (self.rows.columns, rows.len().next_multiple_of(LANES));
                let mut tile = std::mem::take(&mut scratch.tile);
                tile.clear();
                rows.for_each(|row| tile.extend_from_slice(&values[row * columns..][..columns]));
                tile.resize(padded * columns, 0.0);
                self.dense(&tile, padded, scratch);
                scratch.tile = tile;
            }
            Values::Sparse { offsets, indices, values } => {
                scratch.least.clear(rows.len());
                for (at, row) in rows.enumerate() {
                    let of_row = offsets[row] as usize..offsets[row + 1] as usize;
                    self.sparse(&indices[of_row.clone()], &values[of_row], at, scratch);
                }
            }
        }
    }
    /// The same of `rows` rows, a multiple of [`LANES`], that lie one after the other.
    fn dense(&self, tile: &[f32], rows: usize, scratch: &mut Scratch) {
        let columns = self.rows.columns;
        let Scratch { scores, least, .. } = scratch;
        least.clear(rows);
        let tile = Matrix::new(tile, rows, columns).transposed();
        for first in (0..self.k).step_by(CENTERS_AT_ONCE) {
            let k = (self.k - first).min(CENTERS_AT_ONCE);
            scores.resize(k * rows, 0.0);
            let centers = Matrix::new(&self.rounded[first * columns..][..k * columns], k, columns);
            gemm(1.0, centers, tile, Write::Replace, scores);
            let halves = &self.halves[first..first + k];
            widest(
                #[inline(always)]
                || compare_rows(scores, rows, halves, first as u32, least),
            );
        }
    }
    fn sparse(&self, indices: &[u32], values: &[f32], at: usize, scratch: &mut Scratch) {
        let (k, Scratch { scores, least, .. }) = (self.k, scratch);
        scores.resize(k, 0.0);
        let found = widest(
            #[inline(always)]
            || {
                let scores = &mut scores[..k];
                scores.copy_from_slice(&self.halves);
                for (j, x) in indices.iter().zip(values) {
                    let of_column = &self.rounded[*j as usize * k..][..k];
                    scores.iter_mut().zip(of_column).for_each(|(score, c)| *score -= x * c);
                }
                compare_centers(scores)
            },
        );
        (least.best[at], least.second[at], least.at[at]) = found;
    }
}

/// The least two of some scores, and whose the least is: one of each a lane.
#[derive(Clone, Copy)]
struct Lanes {
    best: [f32; LANES],
    second: [f32; LANES],
    at: [u32; LANES],
}

impl Lanes {
    /// Takes in a score a lane, all of them of `center`.
    ///
    /// New arrays instead of changed ones: these stay in registers, those are stored through masks (a third of the time).
    #[inline(always)]
    fn take(&mut self, scores: [f32; LANES], center: u32) {
        let Lanes { best, second, at } = *self;
        let loser: [f32; LANES] = array::from_fn(|l| if scores[l] < best[l] { best[l] } else { scores[l] });
        *self = Lanes {
            best: array::from_fn(|l| if scores[l] < best[l] { scores[l] } else { best[l] }),
            second: array::from_fn(|l| if loser[l] < second[l] { loser[l] } else { second[l] }),
            at: array::from_fn(|l| if scores[l] < best[l] { center } else { at[l] }),
        };
    }
}

/// The least two scores of every row; the scores of a centre lie one after the other.
#[inline(always)]
fn compare_rows(scores: &[f32], rows: usize, halves: &[f32], first: u32, least: &mut Least) {
    for from in (0..rows).step_by(LANES) {
        let of = from..from + LANES;
        let mut lanes = Lanes {
            best: array::from_fn(|l| least.best[from + l]),
            second: array::from_fn(|l| least.second[from + l]),
            at: array::from_fn(|l| least.at[from + l]),
        };
        for (j, half) in halves.iter().enumerate() {
            let products: &[f32; LANES] =
                scores[j * rows + from..][..LANES].try_into().expect("as many as asked for");
            lanes.take(array::from_fn(|l| half - products[l]), first + j as u32);
        }
        least.best[of.clone()].copy_from_slice(&lanes.best);
        least.second[of.clone()].copy_from_slice(&lanes.second);
        least.at[of].copy_from_slice(&lanes.at);
    }
}

/// The least two of the scores of one row, and the place of the least.
#[inline(always)]
fn compare_centers(scores: &[f32]) -> (f32, f32, u32) {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut lanes = Lanes { best: [f32::INFINITY; LANES], second: [f32::INFINITY; LANES], at: [0; LANES] };
    chunks.iter().enumerate().for_each(|(i, chunk)| lanes.take(*chunk, i as u32));
    let mut least = (f32::INFINITY, f32::INFINITY, 0);
    let mut take = |score: f32, at: u32| {
        least = match score < least.0 {
            true => (score, least.0, at),
            false => (least.0, least.1.min(score), least.2),
        };
    };
    for l in 0..LANES {
        take(lanes.best[l], lanes.at[l] * LANES as u32 + l as u32);
    }
    let from = scores.len() - rest.len();
    rest.iter().enumerate().for_each(|(i, score)| take(*score, (from + i) as u32));
    // The second of a lane counts whether or not the lane has the least: nothing is before it but the lane's best.
    (least.0, lanes.second.iter().fold(least.1, |a, b| a.min(*b)), least.2)
}

/// `‖x - c‖²`, in a fixed order.
#[inline(always)]
fn squared_distance(x: &[f32], c: &[f64]) -> f64 {
    const SUMS: usize = 8;
    let (xs, x_rest) = x.as_chunks::<SUMS>();
    let (cs, c_rest) = c.as_chunks::<SUMS>();
    let mut sums = [0.0; SUMS];
    for (x, c) in xs.iter().zip(cs) {
        for l in 0..SUMS {
            let apart = f64::from(x[l]) - c[l];
            sums[l] += apart * apart;
        }
    }
    let rest: f64 = x_rest.iter().zip(c_rest).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum();
    (sums[0] + sums[4]) + (sums[1] + sums[5]) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

#[cfg(test)]
mod tests {
    use super::super::params::Distance;
    use super::super::rows::Packing;
    use super::*;
    use slackwater_dataflow::block::CsrBuilder;
    use slackwater_dataflow::rng;

    /// The nearest centre and both bounds, for rows of any shape, with centres that are alike or very far away.
    #[test]
    fn bounds_hold() {
        let mut rng = rng::stream(1, 0);
        for (rows, columns, k, share) in
            [(500, 9, 1, 1.0), (500, 3, 37, 1.0), (193, 64, 300, 1.0), (300, 50, 21, 0.1), (5, 0, 3, 1.0)]
        {
            let mut block = CsrBuilder::default();
            for _ in 0..rows {
                for j in (0..columns).filter(|_| rng::unit_f64(&mut rng) < share).collect::<Vec<_>>() {
                    block.push(j, (1.0 + rng::normal(&mut rng)) * 10f64.powi(j as i32 % 4));
                }
                block.end_row();
            }
            let block = block.finish(columns as usize);
            let packing = Packing { distance: Distance::Euclidean, shuffle: None, columns_max: usize::MAX };
            let packed = Packed::new(&[&block], packing, 0);
            // One column more than the rows have.
            let mut values: Vec<f64> =
                (0..k * (columns as usize + 1)).map(|_| 3.0 * rng::normal(&mut rng)).collect();
            if k > 5 {
                let width = columns as usize + 1;
                values[4 * width..5 * width].iter_mut().for_each(|c| *c *= 1e6);
                values.copy_within(width..2 * width, 5 * width);
            }
            let nearest = Nearest::new(&packed, &Centers::of(values, k));
            let mut seen = 0;
            nearest.for_each(0..rows, &mut Scratch::default(), |row, found| {
                let (center, distance) = nearest.look_again(row);
                assert_eq!(found.center as usize, center, "row {row} of {columns} columns, {k} centres");
                assert!(f64::from(found.most) * (1.0 + 1e-6) >= distance, "row {row}: {found:?} {distance}");
                let others = (0..k).filter(|j| *j != center).map(|j| nearest.distance(row, j));
                let least = others.fold(f64::INFINITY, f64::min);
                assert!(
                    f64::from(found.others_least) * (1.0 - 1e-6) <= least,
                    "row {row}: {found:?} {least}"
                );
                seen += 1;
            });
            assert_eq!(seen, rows);
        }
    }
}
