//! Lloyd's iterations: every row to its nearest centre, every centre to the mean of its rows.

use super::bounds::Assigner;
use super::nearest::Nearest;
use super::params::{Centers, Distance, KMeansParams};
use super::rows::{Packed, PackedRows, Values};
use super::start::{Key, Winners, fetch};
use crate::linalg::dense::{dot, norm2};
use crate::linalg::widest;
use crate::optimization::{Observer, Progress, Stop};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::pod;
use std::sync::Arc;

/// What the rows of each centre come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Centre by centre, one number a column.
    #[serde(with = "pod")]
    pub sums: Vec<f64>,
    /// By centre: rows.
    #[serde(with = "pod")]
    pub counts: Vec<u64>,
    /// What all rows cost.
    pub cost: f64,
}

impl Sums {
    /// Of the rows of a partition, given the nearest centre of each.
    fn new(_: usize, rows: &Packed, nearest: &Nearest<'_>, assigned: &[u32]) -> Self {
        let (k, columns) = (nearest.k(), nearest.columns());
        let mut sums = vec![0.0; k * columns];
        let mut counts = vec![0u64; k];
        widest(
            #[inline(always)]
            || {
                for (row, center) in assigned.iter().map(|center| *center as usize).enumerate() {
                    counts[center] += 1;
                    let to = &mut sums[center * columns..][..rows.columns];
                    match &rows.values {
                        Values::Dense { values, .. } => {
                            let of_row = &values[row * rows.columns..][..rows.columns];
                            to.iter_mut().zip(of_row).for_each(|(sum, x)| *sum += f64::from(*x));
                        }
                        Values::Sparse { .. } => rows.for_each(row, |j, x| to[j] += f64::from(x)),
                    }
                }
            },
        );
        let mut cost = rows.square_sum;
        for (j, n) in counts.iter().map(|n| *n as f64).enumerate() {
            let to = &mut sums[j * columns..][..rows.columns];
            // Σ ‖x - c‖² = Σ ‖x‖² - 2 c'Σx + n ‖c‖²
            cost += n * nearest.square(j) - 2.0 * dot(nearest.center(j), to);
            to.iter_mut().zip(rows.shift()).for_each(|(sum, s)| *sum += n * s);
        }
        Sums { sums, counts, cost: cost.max(0.0) }
    }
    pub fn merge(mut self, other: Sums) -> Sums {
        crate::linalg::dense::add(&other.sums, &mut self.sums);
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.cost += other.cost;
        self
    }
}

/// How a cost is told: half of squared distances of rows of length 1 is their cosine distance.
pub(super) fn told(cost: f64, distance: Distance) -> f64 {
    if distance == Distance::Cosine { 0.5 * cost } else { cost }
}

/// Puts a centre on the sphere, if that is where rows are; false if it has no direction.
pub(super) fn direct(center: &mut [f64], distance: Distance) -> bool {
    if distance == Distance::Euclidean {
        return true;
    }
    let norm = norm2(center);
    if norm > f64::EPSILON {
        center.iter_mut().for_each(|c| *c /= norm);
    }
    norm > f64::EPSILON
}

/// Where iterations end, and how they went.
#[derive(Debug, Clone)]
pub(super) struct Descent {
    pub centers: Centers,
    /// The cost before every iteration.
    pub history: Vec<f64>,
    pub stop: Stop,
}

/// Iterates from `centers` on.
///
/// # Errors
/// What a job reports.
pub(super) fn descend(
    rows: &PackedRows,
    assigner: &mut Assigner<'_>,
    params: &KMeansParams,
    mut centers: Centers,
    observer: &mut Observer<'_>,
) -> Result<Descent> {
    let bound = params.movement_min() * rows.census.squares
        / (rows.census.rows as f64 * rows.census.columns().max(1) as f64);
    let (mut history, mut stop) = (vec![], Stop::IterationLimit);
    for iteration in 1..=params.iterations_max {
        let shared = Arc::new(centers.clone());
        let step = assigner.run(&shared, Sums::new, Sums::merge)?;
        let cost = told(step.cost, params.distance);
        history.push(cost);
        let next = means(rows, assigner, &shared, &step, params.distance)?;
        let moved = centers.moved(&next);
        centers = next;
        let progress =
            Progress { iteration, objective: cost, gradient_norm: moved.sqrt(), weights: centers.values() };
        if observer(&progress).is_break() {
            stop = Stop::Observer;
        } else if moved <= bound {
            stop = Stop::Weights;
        } else {
            continue;
        }
        break;
    }
    Ok(Descent { centers, history, stop })
}

/// The means of the rows of each centre. One without rows goes to the row that is farthest from its centre, the next to
/// the next farthest; it stays if all rows are where their centres are.
fn means(
    rows: &PackedRows,
    assigner: &mut Assigner<'_>,
    centers: &Arc<Centers>,
    step: &Sums,
    distance: Distance,
) -> Result<Centers> {
    let mut next = Centers::clone(centers);
    let columns = centers.columns();
    let empty: Vec<usize> = (0..centers.k()).filter(|j| step.counts[*j] == 0).collect();
    for (j, n) in step.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
        let mut mean: Vec<f64> = step.sums[j * columns..][..columns].iter().map(|s| s / *n as f64).collect();
        // Rows that point everywhere have no mean direction: their centre stays.
        if direct(&mut mean, distance) {
            next.row_mut(j).copy_from_slice(&mean);
        }
    }
    if !empty.is_empty() {
        let places = farthest(assigner, centers, empty.len())?;
        let found = fetch(rows, &places)?;
        for (j, row) in empty.iter().zip(found.chunks_exact(columns.max(1))) {
            next.row_mut(*j).copy_from_slice(row);
        }
    }
    Ok(next)
}

/// The `count` rows that are farthest from their centres, but for those that are where it is.
fn farthest(assigner: &mut Assigner<'_>, centers: &Arc<Centers>, count: usize) -> Result<Winners> {
    let task = move |partition: usize, _: &Packed, nearest: &Nearest<'_>, assigned: &[u32]| {
        let mut winners = Winners::new(count);
        for (row, center) in assigned.iter().enumerate() {
            let distance = nearest.distance(row, *center as usize);
            if distance > 0.0 {
                winners.push(Key::new(-distance, partition, row));
            }
        }
        winners.sealed()
    };
    assigner.run(centers, task, Winners::merge)
}

/// What centres cost, and how many rows each has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Sum of squared distances.
    pub cost: f64,
    pub sizes: Vec<u64>,
}

/// Measures centres, row by row.
///
/// # Errors
/// What the job reports.
pub(super) fn measure(assigner: &mut Assigner<'_>, centers: &Centers) -> Result<Measured> {
    let task = |_: usize, _: &Packed, nearest: &Nearest<'_>, assigned: &[u32]| {
        let mut measured = Measured { cost: 0.0, sizes: vec![0; nearest.k()] };
        for (row, center) in assigned.iter().enumerate() {
            measured.cost += nearest.distance(row, *center as usize);
            measured.sizes[*center as usize] += 1;
        }
        measured
    };
    let merge = |mut left: Measured, right: Measured| {
        left.cost += right.cost;
        left.sizes.iter_mut().zip(&right.sizes).for_each(|(a, b)| *a += b);
        left
    };
    assigner.run(&Arc::new(centers.clone()), task, merge)
}
