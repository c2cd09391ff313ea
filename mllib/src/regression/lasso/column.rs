//! Columns of a design, centred and scaled, and blocks of them.
//!
//! # Cost
//! A dense column takes 8 bytes a row, a sparse one 12 bytes a stored value. Dense columns are centred and scaled when they
//! are made; sparse ones are scaled, and their mean is subtracted by formula wherever they are used.
//!
//! # Guarantees
//! All sums over a column are taken in one fixed order, whatever the processor, and a column is never divided.

use crate::linalg::{dense, widest};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;
use std::ops::Range;

/// A block of columns is kept dense if this share of its values is stored: sparse values take half as much again, and
/// reading them is slower.
const DENSE_SHARE: f64 = 0.3;
/// A column whose deviation is less than this part of its mean is constant but for rounding.
const CONSTANT: f64 = 16.0 * f64::EPSILON;

/// What is to be done to columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// Subtract the mean.
    pub center: bool,
    /// Divide by the deviation with `n`.
    pub standardize: bool,
}

/// What was done to a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Mean of the column as it came; 0 if it was not subtracted.
    pub mean: f64,
    /// What it was multiplied by after that; 0 for a column that does not vary.
    pub scale: f64,
    /// Squared norm of what has become of it.
    pub square: f64,
}

/// The values of a column: all of them, or those that are not zero by row.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// One a row.
    Dense(&'a [f64]),
    /// Rows, ascending, and values.
    Sparse(&'a [u32], &'a [f64]),
}

/// A column: its values less `shift`.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    values: Values<'a>,
    shift: f64,
}

impl Column<'_> {
    /// True if only values that are not zero are stored.
    pub fn is_sparse(&self) -> bool {
        matches!(self.values, Values::Sparse(..))
    }
    /// Numbers that are read to take a product with it.
    pub fn stored(&self) -> usize {
        match self.values {
            Values::Dense(x) | Values::Sparse(_, x) => x.len(),
        }
    }
    /// Inner product with `v`, whose sum is `sum`.
    #[inline(always)]
    pub fn dot(&self, v: &[f64], sum: f64) -> f64 {
        match self.values {
            Values::Dense(x) => dense::dot(x, v),
            Values::Sparse(rows, x) => gather(rows, x, v) - self.shift * sum,
        }
    }
    /// Inner products with other columns of as many `rows`. Columns must be whole, not [slices](ColumnBlock::slice): the sum of what
    /// is stored is then `rows` times the shift, where there is one.
    ///
    /// Of `spread` all is 0, before and after; it grows to a number a row.
    pub fn dots<'c>(
        &self,
        others: impl Iterator<Item = Column<'c>>,
        rows: usize,
        spread: &mut Vec<f64>,
        mut each: impl FnMut(f64),
    ) {
        match self.values {
            Values::Dense(x) => {
                let sum = x.iter().sum();
                widest(
                    #[inline(always)]
                    || others.for_each(|other| each(other.dot(x, sum))),
                );
            }
            Values::Sparse(at, x) => {
                if spread.len() < rows {
                    spread.resize(rows, 0.0);
                }
                at.iter().zip(x).for_each(|(i, x)| spread[*i as usize] = *x);
                for other in others {
                    each(match other.values {
                        Values::Dense(y) => self.dot(y, y.iter().sum()),
                        Values::Sparse(k, y) => gather(k, y, spread) - rows as f64 * self.shift * other.shift,
                    });
                }
                at.iter().for_each(|i| spread[*i as usize] = 0.0);
            }
        }
    }
    /// `v += a x`, but for the shift: what must still be added to all of `v` is returned.
    #[inline(always)]
    pub fn axpy(&self, a: f64, v: &mut [f64]) -> f64 {
        match self.values {
            Values::Dense(x) => dense::axpy(a, x, v),
            Values::Sparse(rows, x) => rows.iter().zip(x).for_each(|(i, x)| v[*i as usize] += a * x),
        }
        -a * self.shift
    }
    /// The column in full.
    pub fn write(&self, to: &mut [f64]) {
        match self.values {
            Values::Dense(x) => to.copy_from_slice(x),
            Values::Sparse(rows, x) => {
                to.fill(-self.shift);
                rows.iter().zip(x).for_each(|(i, x)| to[*i as usize] += x);
            }
        }
    }
    /// The column in full, where the shift is times `unit`, as in [weighted](ColumnBlock::weighted) columns.
    pub fn write_with(&self, unit: &[f64], to: &mut [f64]) {
        match self.values {
            Values::Dense(x) => to.copy_from_slice(x),
            Values::Sparse(rows, x) => {
                to.iter_mut().zip(unit).for_each(|(to, u)| *to = -self.shift * u);
                rows.iter().zip(x).for_each(|(i, x)| to[*i as usize] += x);
            }
        }
    }
}

/// `Σ x_k v[rows_k]` in four partial sums.
#[inline(always)]
fn gather(rows: &[u32], x: &[f64], v: &[f64]) -> f64 {
    let (fours, rest) = rows.as_chunks::<4>();
    let (xs, x_rest) = x.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (i, x) in fours.iter().zip(xs) {
        for k in 0..4 {
            sums[k] += x[k] * v[i[k] as usize];
        }
    }
    let rest: f64 = rest.iter().zip(x_rest).map(|(i, x)| x * v[*i as usize]).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stored {
    /// Column by column.
    Dense(#[serde(with = "pod")] Vec<f64>),
    Sparse {
        #[serde(with = "pod")]
        offsets: Vec<u64>,
        #[serde(with = "pod")]
        rows: Vec<u32>,
        #[serde(with = "pod")]
        values: Vec<f64>,
    },
}

/// Neighbouring columns, or a choice of columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ColumnBlock {
    first: usize,
    rows: usize,
    stored: Stored,
    facts: Vec<Facts>,
}

impl ColumnBlock {
    /// Columns `first..` of `rows` rows, value by value, one column after the other.
    ///
    /// # Panics
    /// If `values` are no whole columns.
    pub fn dense(first: usize, rows: usize, values: Vec<f64>, scaling: Scaling) -> Self {
        assert!(rows > 0 && values.len().is_multiple_of(rows), "whole columns of {rows} rows");
        let facts = vec![Facts::default(); values.len() / rows];
        let mut block = ColumnBlock { first, rows, stored: Stored::Dense(values), facts };
        block.scale(scaling);
        block
    }
    /// Columns `first..` of `rows` rows: column `k` has the values `values[offsets[k]..offsets[k + 1]]` in the rows of the
    /// same places, which ascend.
    ///
    /// # Panics
    /// If the arrays do not fit, or a row is not below `rows`.
    pub fn sparse(
        first: usize,
        rows: usize,
        offsets: Vec<u64>,
        row_numbers: Vec<u32>,
        values: Vec<f64>,
        scaling: Scaling,
    ) -> Self {
        assert!(offsets.first() == Some(&0) && offsets.is_sorted(), "offsets begin at 0 and ascend");
        let stored = offsets[offsets.len() - 1] as usize;
        assert!(stored == values.len() && stored == row_numbers.len(), "one row a value");
        assert!(row_numbers.iter().all(|i| (*i as usize) < rows), "rows are below {rows}");
        let columns = offsets.len() - 1;
        let facts = vec![Facts::default(); columns];
        let stored = match values.len() as f64 >= DENSE_SHARE * (rows * columns) as f64 {
            true => {
                let mut all = vec![0.0; rows * columns];
                for (k, column) in all.chunks_exact_mut(rows.max(1)).enumerate() {
                    for at in offsets[k] as usize..offsets[k + 1] as usize {
                        column[row_numbers[at] as usize] = values[at];
                    }
                }
                Stored::Dense(all)
            }
            false => Stored::Sparse { offsets, rows: row_numbers, values },
        };
        let mut block = ColumnBlock { first, rows, stored, facts };
        block.scale(scaling);
        block
    }
    fn scale(&mut self, scaling: Scaling) {
        let n = self.rows as f64;
        let scale_of = |square: f64, mean: f64| {
            let deviation = (square / n).sqrt();
            match deviation <= CONSTANT * mean.abs() || square == 0.0 {
                true => 0.0,
                false if scaling.standardize => 1.0 / deviation,
                false => 1.0,
            }
        };
        match &mut self.stored {
            Stored::Dense(values) => {
                for (x, facts) in values.chunks_exact_mut(self.rows).zip(&mut self.facts) {
                    let mean = x.iter().sum::<f64>() / n;
                    let about: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
                    // Deviations are about the mean even where it is not subtracted, as in all trainers.
                    let shift = if scaling.center { mean } else { 0.0 };
                    let varies = scaling.center || scaling.standardize;
                    let scale = scale_of(if varies { about } else { dense::dot(x, x) }, shift);
                    x.iter_mut().for_each(|x| *x = (*x - shift) * scale);
                    *facts = Facts { mean: shift, scale, square: dense::dot(x, x) };
                }
            }
            Stored::Sparse { offsets, values, .. } => {
                for (k, facts) in self.facts.iter_mut().enumerate() {
                    let x = &mut values[offsets[k] as usize..offsets[k + 1] as usize];
                    let zeros = n - x.len() as f64;
                    let mean = x.iter().sum::<f64>() / n;
                    let about = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() + zeros * mean * mean;
                    let shift = if scaling.center { mean } else { 0.0 };
                    let varies = scaling.center || scaling.standardize;
                    let scale = scale_of(if varies { about } else { dense::dot(x, x) }, shift);
                    x.iter_mut().for_each(|x| *x *= scale);
                    let to = shift * scale;
                    let square = x.iter().map(|x| (x - to) * (x - to)).sum::<f64>() + zeros * to * to;
                    *facts = Facts { mean: shift, scale, square };
                }
            }
        }
    }
    /// Number of the first column.
    pub fn first(&self) -> usize {
        self.first
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.facts.len()
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// What was done to each column.
    pub fn facts(&self) -> &[Facts] {
        &self.facts
    }
    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        match &self.stored {
            Stored::Dense(values) => 8 * values.len(),
            Stored::Sparse { offsets, values, .. } => 12 * values.len() + 8 * offsets.len(),
        }
    }
    /// Its `k`th column.
    #[inline(always)]
    pub fn column(&self, k: usize) -> Column<'_> {
        match &self.stored {
            Stored::Dense(values) => {
                Column { values: Values::Dense(&values[k * self.rows..][..self.rows]), shift: 0.0 }
            }
            Stored::Sparse { offsets, rows, values } => {
                let at = offsets[k] as usize..offsets[k + 1] as usize;
                let facts = &self.facts[k];
                let shift = facts.mean * facts.scale;
                Column { values: Values::Sparse(&rows[at.clone()], &values[at]), shift }
            }
        }
    }
    /// The rows `range` of all its columns; what was done to the columns stays as it is.
    pub fn slice(&self, range: Range<usize>) -> ColumnBlock {
        let stored = match &self.stored {
            Stored::Dense(values) => {
                let columns = values.chunks_exact(self.rows.max(1));
                Stored::Dense(columns.flat_map(|x| &x[range.clone()]).copied().collect())
            }
            Stored::Sparse { offsets, rows, values } => {
                let (mut starts, mut of_slice, mut sliced) = (vec![0], vec![], vec![]);
                for k in 0..self.columns() {
                    let at = offsets[k] as usize..offsets[k + 1] as usize;
                    let place =
                        |row: usize| at.start + rows[at.clone()].partition_point(|r| (*r as usize) < row);
                    let at = place(range.start)..place(range.end);
                    of_slice.extend(rows[at.clone()].iter().map(|r| r - range.start as u32));
                    sliced.extend_from_slice(&values[at]);
                    starts.push(sliced.len() as u64);
                }
                Stored::Sparse { offsets: starts, rows: of_slice, values: sliced }
            }
        };
        ColumnBlock { first: self.first, rows: range.len(), stored, facts: self.facts.clone() }
    }
    /// Some columns of as many rows, all of them stored alike, with row `i` times `roots[i]`; less their projection on `roots` if
    /// they are centred. Of sparse ones it is subtracted by formula: their shift is times `roots`, not times 1.
    pub fn weighted(columns: &[Column<'_>], roots: &[f64], center: bool) -> ColumnBlock {
        let rows = roots.len();
        let total = dense::dot(roots, roots);
        let mut facts = Vec::with_capacity(columns.len());
        if !columns.iter().any(|c| matches!(c.values, Values::Sparse(..))) {
            let mut values = Vec::with_capacity(columns.len() * rows);
            widest(
                #[inline(always)]
                || {
                    for column in columns {
                        let Values::Dense(x) = column.values else { continue };
                        let at = values.len();
                        values.extend(x.iter().zip(roots).map(|(x, u)| x * u));
                        let weighted = &mut values[at..];
                        if center {
                            let part = -dense::dot(weighted, roots) / total;
                            dense::axpy(part, roots, weighted);
                        }
                        facts.push(Facts { mean: 0.0, scale: 1.0, square: dense::dot(weighted, weighted) });
                    }
                },
            );
            return ColumnBlock { first: 0, rows, stored: Stored::Dense(values), facts };
        }
        let (mut offsets, mut row_numbers, mut values) = (vec![0], vec![], vec![]);
        for column in columns {
            let Values::Sparse(rows, x) = column.values else { continue };
            let at = values.len();
            row_numbers.extend_from_slice(rows);
            values.extend(rows.iter().zip(x).map(|(i, x)| x * roots[*i as usize]));
            offsets.push(values.len() as u64);
            let weighted = rows.iter().zip(&values[at..]);
            let (mut with_roots, mut weight) = (0.0, 0.0);
            for (i, x) in weighted.clone() {
                let root = roots[*i as usize];
                with_roots += x * root;
                weight += root * root;
            }
            let mean = if center { with_roots / total } else { 0.0 };
            let about = weighted.map(|(i, x)| x - mean * roots[*i as usize]).map(|x| x * x).sum::<f64>();
            let square = about + mean * mean * (total - weight).max(0.0);
            facts.push(Facts { mean, scale: 1.0, square });
        }
        let stored = Stored::Sparse { offsets, rows: row_numbers, values };
        ColumnBlock { first: 0, rows, stored, facts }
    }
    /// Its columns `which`, in their order.
    pub fn choose(&self, which: &[usize]) -> ColumnBlock {
        let facts = which.iter().map(|k| self.facts[*k]).collect();
        let stored = match &self.stored {
            Stored::Dense(values) => {
                let mut chosen = Vec::with_capacity(which.len() * self.rows);
                which.iter().for_each(|k| chosen.extend_from_slice(&values[k * self.rows..][..self.rows]));
                Stored::Dense(chosen)
            }
            Stored::Sparse { offsets, rows, values } => {
                let (mut starts, mut chosen_rows, mut chosen) = (vec![0], vec![], vec![]);
                for k in which {
                    let at = offsets[*k] as usize..offsets[k + 1] as usize;
                    chosen_rows.extend_from_slice(&rows[at.clone()]);
                    chosen.extend_from_slice(&values[at]);
                    starts.push(chosen.len() as u64);
                }
                Stored::Sparse { offsets: starts, rows: chosen_rows, values: chosen }
            }
        };
        ColumnBlock { first: self.first, rows: self.rows, stored, facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same values, dense and sparse, with every scaling.
    #[test]
    fn dense_and_sparse_are_the_same_columns() {
        let x = [0.0, 3.0, 0.0, 0.0, -1.5, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0];
        let v: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7) - 1.0).collect();
        for (center, standardize) in [(true, true), (true, false), (false, true), (false, false)] {
            let scaling = Scaling { center, standardize };
            let dense = ColumnBlock::dense(0, 12, x.to_vec(), scaling);
            let sparse = ColumnBlock::sparse(0, 12, vec![0, 3], vec![1, 4, 8], vec![3.0, -1.5, 7.0], scaling);
            assert!(matches!(sparse.stored, Stored::Sparse { .. }));
            let mean = x.iter().sum::<f64>() / 12.0;
            let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0).sqrt();
            let expected: Vec<f64> = x
                .iter()
                .map(|x| (x - if center { mean } else { 0.0 }) / if standardize { deviation } else { 1.0 })
                .collect();
            let product: f64 = expected.iter().zip(&v).map(|(x, v)| x * v).sum();
            let square: f64 = expected.iter().map(|x| x * x).sum();
            for block in [dense, sparse] {
                let column = block.column(0);
                let mut full = vec![0.0; 12];
                column.write(&mut full);
                full.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-14, "{a} {b}"));
                assert!((column.dot(&v, v.iter().sum()) - product).abs() < 1e-12);
                assert!((block.facts()[0].square - square).abs() < 1e-12);
                let mut moved = v.clone();
                let rest = column.axpy(2.0, &mut moved);
                for (i, moved) in moved.iter().enumerate() {
                    assert!((moved + rest - v[i] - 2.0 * expected[i]).abs() < 1e-12);
                }
                let chosen = block.choose(&[0]);
                assert_eq!(chosen.column(0).dot(&v, 1.0), column.dot(&v, 1.0));
            }
        }
    }

    #[test]
    fn slices_are_of_the_same_columns() {
        let x: Vec<f64> = (0..20).map(|i| if i % 4 == 1 { f64::from(i) } else { 0.0 }).collect();
        let scaling = Scaling { center: true, standardize: true };
        let rows = [1, 5, 9, 3, 7];
        let values = rows.map(|i| x[i as usize + if i == 3 || i == 7 { 10 } else { 0 }]);
        let sparse = ColumnBlock::sparse(7, 10, vec![0, 3, 5], rows.to_vec(), values.to_vec(), scaling);
        for block in [sparse, ColumnBlock::dense(7, 10, x, scaling)] {
            let cut = [0..4, 4..4, 4..10].map(|range| block.slice(range));
            for k in 0..2 {
                let mut whole = vec![0.0; 10];
                block.column(k).write(&mut whole);
                let mut parts = vec![0.0; 10];
                let (front, back) = parts.split_at_mut(4);
                cut[0].column(k).write(front);
                cut[2].column(k).write(back);
                assert_eq!(whole, parts);
                assert_eq!((cut[1].rows(), cut[2].first(), cut[2].facts()), (0, 7, block.facts()));
            }
        }
    }

    /// Dense and sparse columns become the same weighted ones.
    #[test]
    fn weighted_columns() {
        let x = [0.0, 3.0, 0.0, 0.0, -1.5, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0];
        let roots: Vec<f64> = (0..12).map(|i| 0.1 + f64::from(i * 5 % 7)).collect();
        for center in [true, false] {
            let scaling = Scaling { center, standardize: true };
            let dense = ColumnBlock::dense(0, 12, x.to_vec(), scaling);
            let sparse = ColumnBlock::sparse(0, 12, vec![0, 3], vec![1, 4, 8], vec![3.0, -1.5, 7.0], scaling);
            let total: f64 = roots.iter().map(|u| u * u).sum();
            let mut expected = vec![0.0; 12];
            dense.column(0).write(&mut expected);
            let mean = expected.iter().zip(&roots).map(|(x, u)| x * u * u).sum::<f64>() / total;
            let mean = if center { mean } else { 0.0 };
            expected.iter_mut().zip(&roots).for_each(|(x, u)| *x = u * (*x - mean));
            for block in [&dense, &sparse] {
                let weighted = ColumnBlock::weighted(&[block.column(0)], &roots, center);
                let mut full = vec![0.0; 12];
                weighted.column(0).write_with(&roots, &mut full);
                full.iter().zip(&expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-13, "{a} {b}"));
                let square: f64 = expected.iter().map(|x| x * x).sum();
                assert!((weighted.facts()[0].square - square).abs() < 1e-12 * square);
            }
        }
    }

    #[test]
    fn products_of_columns() {
        let scaling = Scaling { center: true, standardize: false };
        let (offsets, rows) = (vec![0, 3, 5], vec![1, 5, 9, 3, 5]);
        let sparse = ColumnBlock::sparse(0, 10, offsets, rows, vec![1.0, 2.0, -4.0, 3.0, 0.5], scaling);
        let mut full = vec![vec![0.0; 10]; 2];
        full.iter_mut().enumerate().for_each(|(k, x)| sparse.column(k).write(x));
        let dense = ColumnBlock::dense(0, 10, full.concat(), Scaling { center: false, standardize: false });
        let expected = dense::dot(&full[0], &full[1]);
        for (a, b) in [(&sparse, &sparse), (&sparse, &dense), (&dense, &sparse), (&dense, &dense)] {
            let (mut products, mut spread) = (vec![], vec![]);
            a.column(0).dots([1, 0].map(|k| b.column(k)).into_iter(), 10, &mut spread, |d| products.push(d));
            for (product, expected) in products.iter().zip([expected, dense::dot(&full[0], &full[0])]) {
                assert!((product - expected).abs() < 1e-12, "{product} {expected}");
            }
            assert!(products.len() == 2 && spread.iter().all(|x| *x == 0.0));
        }
    }

    #[test]
    fn what_does_not_vary_becomes_nothing() {
        let scaling = Scaling { center: true, standardize: true };
        let block = ColumnBlock::dense(0, 3, vec![0.1, 0.1, 0.1, 0.0, 0.0, 0.0], scaling);
        assert!(block.facts().iter().all(|f| f.scale == 0.0 && f.square == 0.0), "{:?}", block.facts());
    }
}
