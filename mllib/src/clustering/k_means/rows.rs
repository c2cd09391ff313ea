//! Rows as k-means holds them: one packed form a partition, in `f32`.
//!
//! # Cost
//! A dense partition takes 4 bytes a value, a sparse one (less than a quarter of the values stored) 8 bytes a stored value;
//! both 4 bytes a row more. The rows as they come are let go when their partition is packed.
//!
//! # Guarantees
//! Rows are rounded to 24 bits. Columns of a dense partition that are far from zero, for how much they vary, are shifted
//! first, so that rounding is relative to how much they vary; distances do not change by that.

use super::params::Distance;
use crate::linalg::dense::dot;
use crate::random::shuffle;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{CsrBlock, LabeledBlock, LabeledPoint, pack, pod};
use slackwater_dataflow::{BadRecord, Dataset, Error, Record, Result, StorageLevel, rng};
use std::iter::once_with;
use std::sync::Arc;

/// A partition is dense if this share of its values is stored.
const DENSE_SHARE: f64 = 0.25;
/// A column is shifted if its mean is this many of its deviations from 0.
const FAR_MEAN: f64 = 4.0;
/// Squared norms above this overflow what is computed of them in `f32`.
const SQUARE_MAX: f64 = 1e36;

/// Rows that a trainer packs for itself. Made of a dataset of points or of blocks.
#[derive(Debug, Clone)]
pub struct UnpackedRows(pub(super) Dataset<LabeledBlock>);

impl From<&Dataset<LabeledBlock>> for UnpackedRows {
    fn from(blocks: &Dataset<LabeledBlock>) -> Self {
        UnpackedRows(blocks.clone())
    }
}

impl From<&Dataset<LabeledPoint>> for UnpackedRows {
    fn from(points: &Dataset<LabeledPoint>) -> Self {
        UnpackedRows(points.map_partitions(pack))
    }
}

/// What a row cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Fault {
    NotFinite(f64),
    TooLarge,
    NoDirection,
}

/// The first row of some that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Bad {
    row: u64,
    fault: Fault,
}

impl Bad {
    fn error(self) -> Error {
        let row = self.row + 1;
        let (message, hint) = match self.fault {
            Fault::NotFinite(x) => (format!("row {row} has the value {x}"), "leave such rows out"),
            Fault::TooLarge => {
                (format!("row {row} has values too large to be squared in 32 bits"), "scale the columns")
            }
            Fault::NoDirection => (
                format!("row {row} is zero in all columns, so it has no direction"),
                "leave such rows out, or take the Euclidean distance",
            ),
        };
        BadRecord::new(message).hint(hint).into()
    }
}

/// Values row by row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Values {
    /// All of them, less `shift` by column.
    Dense {
        shift: Vec<f64>,
        #[serde(with = "pod")]
        values: Vec<f32>,
    },
    /// Those that are not zero.
    Sparse {
        #[serde(with = "pod")]
        offsets: Vec<u64>,
        #[serde(with = "pod")]
        indices: Vec<u32>,
        #[serde(with = "pod")]
        values: Vec<f32>,
    },
}

/// The rows of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Packed {
    pub columns: usize,
    pub values: Values,
    /// By row: the squared norm of what is stored.
    #[serde(with = "pod")]
    pub squares: Vec<f32>,
    /// Their sum, before they are rounded.
    pub square_sum: f64,
    bad: Option<Bad>,
}

/// How rows are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    pub distance: Distance,
    /// Seed of a random order.
    pub shuffle: Option<u64>,
    /// Columns from this one on are left out.
    pub columns_max: usize,
}

impl Packed {
    /// Packs the rows of partition `partition`.
    pub fn new(blocks: &[&CsrBlock], packing: Packing, partition: usize) -> Self {
        let columns = blocks.iter().map(|b| b.columns()).max().unwrap_or(0).min(packing.columns_max);
        let places = blocks.iter().enumerate();
        let mut order: Vec<(u32, u32)> =
            places.flat_map(|(b, of)| (0..of.rows() as u32).map(move |i| (b as u32, i))).collect();
        let mut packer = Packer { scales: vec![], bad: None };
        packer.look(blocks, packing);
        if let Some(seed) = packing.shuffle {
            let mut scales = std::mem::take(&mut packer.scales);
            let mut both: Vec<_> = order.into_iter().enumerate().collect();
            shuffle(&mut both, &mut rng::stream(seed, partition as u64));
            if !scales.is_empty() {
                scales = both.iter().map(|(at, _)| scales[*at]).collect();
            }
            packer.scales = scales;
            order = both.into_iter().map(|(_, place)| place).collect();
        }
        let stored: usize = blocks.iter().map(|b| b.nnz()).sum();
        let values = match stored as f64 >= DENSE_SHARE * (order.len() * columns) as f64 {
            true => packer.dense(blocks, &order, columns),
            false => packer.sparse(blocks, &order, columns, stored),
        };
        let mut packed = Packed { columns, values, squares: vec![], square_sum: 0.0, bad: packer.bad };
        let squares: Vec<f64> = (0..order.len()).map(|i| packed.square(i)).collect();
        packed.square_sum = squares.iter().sum();
        packed.squares = squares.into_iter().map(|s| s as f32).collect();
        packed
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.squares.len()
    }
    /// Most values of a row that are stored.
    pub fn stored_max(&self) -> usize {
        match &self.values {
            Values::Dense { .. } => self.columns,
            Values::Sparse { offsets, .. } => {
                offsets.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0)
            }
        }
    }
    /// What was subtracted from all rows: nothing if empty.
    pub fn shift(&self) -> &[f64] {
        match &self.values {
            Values::Dense { shift, .. } => shift,
            Values::Sparse { .. } => &[],
        }
    }
    /// Calls `f` with each stored column and value of a row.
    #[inline]
    pub fn for_each(&self, row: usize, mut f: impl FnMut(usize, f32)) {
        match &self.values {
            Values::Dense { values, .. } => {
                let of_row = &values[row * self.columns..][..self.columns];
                of_row.iter().enumerate().for_each(|(j, x)| f(j, *x));
            }
            Values::Sparse { offsets, indices, values } => {
                let at = offsets[row] as usize..offsets[row + 1] as usize;
                indices[at.clone()].iter().zip(&values[at]).for_each(|(j, x)| f(*j as usize, *x));
            }
        }
    }
    /// Squared norm of what is stored.
    pub fn square(&self, row: usize) -> f64 {
        let mut sum = 0.0;
        self.for_each(row, |_, x| sum += f64::from(x) * f64::from(x));
        sum
    }
    /// A row of `columns` columns as it came, but for rounding.
    pub fn restored(&self, row: usize, columns: usize) -> Vec<f64> {
        let mut whole = vec![0.0; columns];
        self.for_each(row, |j, x| whole[j] += f64::from(x));
        whole.iter_mut().zip(self.shift()).for_each(|(x, s)| *x += s);
        whole
    }
    fn census(&self) -> Census {
        let rows = self.rows();
        let mut means = vec![0.0; self.columns];
        (0..rows).for_each(|row| self.for_each(row, |j, x| means[j] += f64::from(x)));
        means.iter_mut().for_each(|m| *m /= rows.max(1) as f64);
        let about_mean = self.square_sum - rows as f64 * dot(&means, &means);
        means.iter_mut().zip(self.shift()).for_each(|(m, s)| *m += s);
        Census { rows: rows as u64, means, squares: about_mean.max(0.0), bad: self.bad }
    }
}

/// What is found while rows are packed.
struct Packer {
    /// By row: what its values are multiplied by; empty for 1.
    scales: Vec<f64>,
    bad: Option<Bad>,
}

impl Packer {
    /// Looks for rows that cannot be taken, and for their lengths.
    fn look(&mut self, blocks: &[&CsrBlock], packing: Packing) {
        for (at, row) in blocks.iter().flat_map(|b| b.iter()).enumerate() {
            let known = row.indices.partition_point(|j| (*j as usize) < packing.columns_max);
            let values = &row.values[..known];
            let square = dot(values, values);
            let fault = match values.iter().find(|x| !x.is_finite()) {
                Some(x) => Some(Fault::NotFinite(*x)),
                None if square > SQUARE_MAX => Some(Fault::TooLarge),
                None if packing.distance == Distance::Cosine && square == 0.0 => Some(Fault::NoDirection),
                None => None,
            };
            if packing.distance == Distance::Cosine {
                self.scales.push(if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 });
            }
            if let (None, Some(fault)) = (self.bad, fault) {
                self.bad = Some(Bad { row: at as u64, fault });
            }
        }
    }
    fn for_each(
        &self,
        blocks: &[&CsrBlock],
        order: &[(u32, u32)],
        columns: usize,
        mut f: impl FnMut(usize, usize, f64),
    ) {
        for (at, (block, i)) in order.iter().enumerate() {
            let row = blocks[*block as usize].row(*i as usize);
            let scale = self.scales.get(at).copied().unwrap_or(1.0);
            for (j, x) in row.indices.iter().zip(row.values).filter(|(j, _)| (**j as usize) < columns) {
                f(at, *j as usize, x * scale);
            }
        }
    }
    fn dense(&self, blocks: &[&CsrBlock], order: &[(u32, u32)], columns: usize) -> Values {
        let (mut sums, mut squares) = (vec![0.0; columns], vec![0.0; columns]);
        self.for_each(blocks, order, columns, |_, j, x| {
            sums[j] += x;
            squares[j] += x * x;
        });
        let n = order.len() as f64;
        let shift = |(sum, square): (&f64, &f64)| {
            let mean = sum / n;
            let variance = (square / n - mean * mean).max(0.0);
            if mean * mean > FAR_MEAN * FAR_MEAN * variance { short(mean, variance.sqrt()) } else { 0.0 }
        };
        let shift: Vec<f64> = sums.iter().zip(&squares).map(shift).collect();
        let mut values: Vec<f32> = Vec::with_capacity(order.len() * columns);
        let of_nothing: Vec<f32> = shift.iter().map(|s| -s as f32).collect();
        (0..order.len()).for_each(|_| values.extend_from_slice(&of_nothing));
        self.for_each(blocks, order, columns, |i, j, x| values[i * columns + j] = (x - shift[j]) as f32);
        Values::Dense { shift, values }
    }
    fn sparse(&self, blocks: &[&CsrBlock], order: &[(u32, u32)], columns: usize, stored: usize) -> Values {
        let mut offsets = vec![0; order.len() + 1];
        let (mut indices, mut values) = (Vec::with_capacity(stored), Vec::with_capacity(stored));
        self.for_each(blocks, order, columns, |i, j, x| {
            if x != 0.0 {
                indices.push(j as u32);
                values.push(x as f32);
                offsets[i + 1] = indices.len() as u64;
            }
        });
        // Rows without values end where the one before did.
        (1..offsets.len()).for_each(|i| offsets[i] = offsets[i].max(offsets[i - 1]));
        Values::Sparse { offsets, indices, values }
    }
}

/// A number with few digits that is `x` but for at most `coarse`: less it, numbers of few digits stay so, and are not rounded.
fn short(x: f64, coarse: f64) -> f64 {
    match coarse > 0.0 {
        true => {
            let unit = coarse.log2().floor().exp2();
            (x / unit).round() * unit
        }
        false => x,
    }
}

/// What is known of some rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Census {
    pub rows: u64,
    /// By column.
    pub means: Vec<f64>,
    /// Sum of the squared distances from the means.
    pub squares: f64,
    bad: Option<Bad>,
}

impl Census {
    /// As [`Moments`](crate::stat::Moments), for all columns at once.
    fn merge(mut self, mut other: Census) -> Census {
        let rows = self.rows + other.rows;
        let columns = self.means.len().max(other.means.len());
        self.means.resize(columns, 0.0);
        other.means.resize(columns, 0.0);
        let share = other.rows as f64 / rows.max(1) as f64;
        let mut apart = 0.0;
        for (mine, theirs) in self.means.iter_mut().zip(&other.means) {
            let delta = theirs - *mine;
            apart += delta * delta;
            *mine += delta * share;
        }
        let bad = self.bad.or(other.bad.map(|bad| Bad { row: bad.row + self.rows, ..bad }));
        let squares = self.squares + other.squares + apart * self.rows as f64 * share;
        Census { rows, means: self.means, squares, bad }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.means.len()
    }
}

/// A partition and its number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RowPartition {
    pub partition: usize,
    pub rows: Arc<Packed>,
}

/// All rows, packed.
#[derive(Debug, Clone)]
pub(super) struct PackedRows {
    pub partitions: Dataset<RowPartition>,
    pub census: Census,
}

impl PackedRows {
    /// Packs rows and looks at them.
    ///
    /// # Errors
    /// Data, for a row that cannot be taken; input, if there are none; what the job reports.
    pub fn new(rows: &UnpackedRows, packing: Packing) -> Result<Self> {
        let partitions = rows.0.map_partitions_with_index(move |partition, blocks| {
            once_with(move || {
                let blocks: Vec<LabeledBlock> = blocks.collect();
                let features: Vec<&CsrBlock> = blocks.iter().map(|b| &b.features).collect();
                RowPartition { partition, rows: Arc::new(Packed::new(&features, packing, partition)) }
            })
        });
        let partitions = partitions.persist(StorageLevel::MemoryAndDisk).named("packed rows");
        let mut packed = PackedRows { partitions, census: Census::default() };
        packed.census = packed.fold(|_, rows| rows.census(), Census::merge)?.unwrap_or_default();
        match packed.census.bad {
            Some(bad) => Err(bad.error()),
            None if packed.census.rows == 0 => {
                Err(Error::input("there are no rows", "look at how the data was split or filtered"))
            }
            None => Ok(packed),
        }
    }
    /// Number of partitions.
    pub fn count(&self) -> usize {
        self.partitions.num_partitions()
    }
    /// What `task` makes of every partition, merged in a fixed tree by their numbers.
    ///
    /// # Errors
    /// What the job reports.
    pub fn fold<R: Record>(
        &self,
        task: impl Fn(usize, &Packed) -> R + Send + Sync + 'static,
        merge: impl Fn(R, R) -> R + Send + Sync + 'static,
    ) -> Result<Option<R>> {
        let run = move |result: &mut Option<R>, rows: &RowPartition| {
            *result = Some(task(rows.partition, &rows.rows));
        };
        let join = |left: &mut Option<R>, right: Option<R>| {
            *left = match (left.take(), right) {
                (Some(a), Some(b)) => Some(merge(a, b)),
                (a, b) => a.or(b),
            };
        };
        self.partitions.aggregate(None, run, join)
    }
}

impl Drop for PackedRows {
    fn drop(&mut self) {
        self.partitions.unpersist();
    }
}
