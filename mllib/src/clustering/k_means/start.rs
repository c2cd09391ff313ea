//! First centres.
//!
//! Rows are drawn by a race: each runs for a time that is distributed exponentially, with its weight as the rate, and the
//! first ones win. So `n` rows are drawn without putting any back, each time in proportion to the weights of those left
//! (Efraimidis and Spirakis 2006), in one pass, and the winners do not depend on who runs where. Its random number is
//! that of the row's partition and place.

use super::bounds::Assigner;
use super::lloyd::measure;
use super::nearest::{Nearest, Scratch};
use super::params::{Centers, Distance, KMeansParams, Start};
use super::rows::{Packed, PackedRows};
use super::weighted::Points;
use crate::objective::Slots;
use crate::random::unit_of;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use std::sync::Arc;

/// A row and what it is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Key {
    value: f64,
    partition: u32,
    row: u32,
}

impl Key {
    pub fn new(value: f64, partition: usize, row: usize) -> Self {
        Key { value, partition: partition as u32, row: row as u32 }
    }
    fn order(&self, other: &Key) -> std::cmp::Ordering {
        self.value.total_cmp(&other.value).then((self.partition, self.row).cmp(&(other.partition, other.row)))
    }
}

/// The rows with the least keys, ascending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Winners {
    count: usize,
    keys: Vec<Key>,
}

impl Winners {
    pub fn new(count: usize) -> Self {
        Winners { count, keys: vec![] }
    }
    pub fn push(&mut self, key: Key) {
        // Sorted now and then: twice as many as wanted are kept meanwhile.
        self.keys.push(key);
        if self.keys.len() >= 2 * self.count + 64 {
            self.cut();
        }
    }
    fn cut(&mut self) {
        self.keys.sort_unstable_by(Key::order);
        self.keys.truncate(self.count);
    }
    pub fn merge(mut self, other: Winners) -> Winners {
        self.keys.extend(other.keys);
        self.cut();
        self
    }
    /// Winners of a partition.
    pub fn sealed(mut self) -> Winners {
        self.cut();
        self
    }
}

/// The rows of some places, in their order, one after the other.
///
/// # Errors
/// What the job reports.
pub(super) fn fetch(rows: &PackedRows, winners: &Winners) -> Result<Vec<f64>> {
    let winners = Arc::new(winners.clone().sealed().keys);
    let (wanted, columns) = (winners.clone(), rows.census.columns());
    let task = move |partition: usize, rows: &Packed| {
        let here = wanted.iter().enumerate().filter(|(_, key)| key.partition as usize == partition);
        here.map(|(at, key)| (at, rows.restored(key.row as usize, columns))).collect::<Vec<_>>()
    };
    let merge = |mut left: Vec<(usize, Vec<f64>)>, right| {
        left.extend::<Vec<_>>(right);
        left
    };
    let mut found = rows.fold(task, merge)?.unwrap_or_default();
    found.sort_unstable_by_key(|(at, _)| *at);
    Ok(found.into_iter().flat_map(|(_, row)| row).collect())
}

/// Draws first centres; `attempt` counts those of a training.
///
/// # Errors
/// What a job reports.
pub(super) fn first_centers(rows: &PackedRows, params: &KMeansParams, attempt: usize) -> Result<Centers> {
    let k = params.k;
    let mut draw = Draw::new(rows, params.seed, attempt);
    match params.start {
        Start::PlusPlus => {
            draw.uniformly(1)?;
            while draw.count < k && draw.by_distance(1)? {}
        }
        Start::Parallel => {
            draw.uniformly(1)?;
            let mut rounds = 0;
            while rounds < params.start_rounds && draw.by_distance(2 * k)? {
                rounds += 1;
            }
            if draw.count > k {
                draw.reduce(k, params.distance)?;
            }
        }
        Start::Random | Start::Given => {}
    }
    // With fewer different rows than centres, the others begin where some row is.
    draw.uniformly(k - draw.count)?;
    Ok(Centers::of(draw.centers, k))
}

/// Centres that are drawn one round after the other.
struct Draw<'a> {
    rows: &'a PackedRows,
    key: [u64; 2],
    round: u64,
    centers: Vec<f64>,
    count: usize,
    /// Centres that the distances know.
    measured: usize,
    /// By partition and row: the squared distance from the nearest of them. Their number is that of the entry.
    distances: Slots<Vec<f64>>,
}

impl<'a> Draw<'a> {
    fn new(rows: &'a PackedRows, seed: u64, attempt: usize) -> Self {
        let distances = Slots::new(rows.count());
        Draw {
            rows,
            key: [seed, attempt as u64],
            round: 0,
            centers: vec![],
            count: 0,
            measured: 0,
            distances,
        }
    }
    fn take(&mut self, winners: &Winners) -> Result<()> {
        let found = fetch(self.rows, winners)?;
        self.count += winners.keys.len();
        self.centers.extend(found);
        Ok(())
    }
    /// A row's random number in a round.
    fn unit(&mut self) -> impl Fn(usize, usize) -> f64 + Send + Sync + 'static {
        self.round += 1;
        let (round, [seed, attempt]) = (self.round, self.key);
        move |partition, row| unit_of([seed, attempt, round, partition as u64, row as u64])
    }
    /// Draws `count` rows, each as likely as any other.
    fn uniformly(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let unit = self.unit();
        let task = move |partition: usize, rows: &Packed| {
            let mut winners = Winners::new(count);
            (0..rows.rows()).for_each(|row| winners.push(Key::new(unit(partition, row), partition, row)));
            winners.sealed()
        };
        let winners = self.rows.fold(task, Winners::merge)?.unwrap_or_else(|| Winners::new(count));
        self.take(&winners)
    }
    /// Draws at most `count` rows by their squared distances; false if all rows are where a centre is.
    fn by_distance(&mut self, count: usize) -> Result<bool> {
        let unit = self.unit();
        let distances = self.distances.clone();
        let (centers, before, now) = (Arc::new(self.centers.clone()), self.measured, self.count);
        let columns = self.rows.census.columns();
        let task = move |partition: usize, rows: &Packed| {
            let lower = |of_rows: &mut Vec<f64>, from: usize, to: usize| {
                of_rows.resize(rows.rows(), f64::INFINITY);
                lower(of_rows, rows, &centers[from * columns..to * columns], (to - from, columns));
            };
            let again = |of_rows: &mut Vec<f64>| {
                of_rows.clear();
                lower(of_rows, 0, before);
            };
            let mut winners = Winners::new(count);
            distances.advance(partition, before as u64, now as u64, again, |of_rows| {
                lower(of_rows, before, now);
                for (row, distance) in of_rows.iter().enumerate().filter(|(_, d)| **d > 0.0) {
                    let time = -(1.0 - unit(partition, row)).ln() / distance;
                    winners.push(Key::new(time, partition, row));
                }
            });
            winners.sealed()
        };
        let winners = self.rows.fold(task, Winners::merge)?.unwrap_or_else(|| Winners::new(count));
        self.measured = now;
        self.take(&winners)?;
        Ok(!winners.keys.is_empty())
    }
    /// Leaves `k` centres for those that were drawn, by the number of rows that are nearest to each.
    fn reduce(&mut self, k: usize, distance: Distance) -> Result<()> {
        let measured =
            measure(&mut Assigner::new(self.rows), &Centers::of(self.centers.clone(), self.count))?;
        let weights: Vec<f64> = measured.sizes.into_iter().map(|n| n as f64).collect();
        let points = Points { values: &self.centers, columns: self.rows.census.columns(), weights: &weights };
        self.centers = points.cluster(k, distance, self.key);
        self.count = k;
        Ok(())
    }
}

/// Lowers each row's squared distance to that from the nearest of `k` centres of `columns` columns.
fn lower(of_rows: &mut [f64], rows: &Packed, centers: &[f64], (k, columns): (usize, usize)) {
    let nearest = Nearest::of(rows, centers, k, columns);
    let mut take = |row: usize, distance: f64| of_rows[row] = of_rows[row].min(distance);
    match k {
        0 => {}
        1 => (0..rows.rows()).for_each(|row| take(row, nearest.distance(row, 0))),
        _ => nearest.for_each(0..rows.rows(), &mut Scratch::default(), |row, found| {
            take(row, nearest.distance(row, found.center as usize));
        }),
    }
}
