//! Compressed sparse rows: row `i` has the columns `indices[offsets[i]..offsets[i + 1]]`, 0-based and ascending.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Rows of a sparse matrix: n rows by `columns` columns, 12 bytes a stored value and 4 a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct CsrBlock {
    columns: usize,
    #[serde(with = "super::pod")]
    offsets: Vec<u32>,
    #[serde(with = "super::pod")]
    indices: Vec<u32>,
    #[serde(with = "super::pod")]
    values: Vec<f64>,
}

/// What is read back: checked before it becomes a [`CsrBlock`], so that a damaged file cannot index out of bounds.
#[derive(Deserialize)]
struct Raw {
    columns: usize,
    #[serde(with = "super::pod")]
    offsets: Vec<u32>,
    #[serde(with = "super::pod")]
    indices: Vec<u32>,
    #[serde(with = "super::pod")]
    values: Vec<f64>,
}

impl TryFrom<Raw> for CsrBlock {
    type Error = Error;
    fn try_from(r: Raw) -> Result<Self, Error> {
        CsrBlock::from_parts(r.columns, r.offsets, r.indices, r.values)
    }
}

/// One row: its columns and its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// Columns, 0-based, ascending.
    pub indices: &'a [u32],
    /// Values, one a column.
    pub values: &'a [f64],
}

impl Row<'_> {
    /// Inner product with dense weights, which must cover every column of the row.
    #[inline]
    pub fn dot(&self, weights: &[f64]) -> f64 {
        self.indices.iter().zip(self.values).map(|(i, x)| x * weights[*i as usize]).sum()
    }
}

impl Default for CsrBlock {
    fn default() -> Self {
        CsrBlock { columns: 0, offsets: vec![0], indices: vec![], values: vec![] }
    }
}

impl CsrBlock {
    /// Checks the arrays: offsets start at 0, do not descend, end at the number of values; columns ascend strictly in
    /// a row and are below `columns`.
    pub fn from_parts(
        columns: usize,
        offsets: Vec<u32>,
        indices: Vec<u32>,
        values: Vec<f64>,
    ) -> Result<Self, Error> {
        let bad = |what: &str| Err(Error::usage(format!("not a CSR block: {what}")));
        if offsets.first() != Some(&0) || offsets.windows(2).any(|w| w[0] > w[1]) {
            return bad("offsets must start at 0 and not descend");
        }
        if indices.len() != values.len() || offsets.last().copied().unwrap_or(0) as usize != indices.len() {
            return bad("offsets, indices and values do not have fitting lengths");
        }
        for w in offsets.windows(2) {
            let row = &indices[w[0] as usize..w[1] as usize];
            if row.windows(2).any(|p| p[0] >= p[1]) {
                return bad("columns must ascend strictly within a row");
            }
            if row.last().is_some_and(|c| *c as usize >= columns) {
                return bad("a column is not below the number of columns");
            }
        }
        Ok(CsrBlock { columns, offsets, indices, values })
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// The same rows as part of a wider matrix. Fewer columns than now are ignored.
    pub fn widen(&mut self, columns: usize) {
        self.columns = self.columns.max(columns);
    }
    /// Number of stored values.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }
    /// One row.
    #[inline]
    pub fn row(&self, i: usize) -> Row<'_> {
        let (from, to) = (self.offsets[i] as usize, self.offsets[i + 1] as usize);
        Row { indices: &self.indices[from..to], values: &self.values[from..to] }
    }
    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> + '_ {
        (0..self.rows()).map(|i| self.row(i))
    }
    /// Where each row starts in [`CsrBlock::indices`]; one more than there are rows.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }
    /// The columns of all rows.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }
    /// The values of all rows.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
    /// The values of all rows, to change in place (for scaling).
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * (self.offsets.capacity() + self.indices.capacity()) + 8 * self.values.capacity()
    }
}

/// Builds a [`CsrBlock`] value by value. The caller keeps columns ascending within a row ([`CsrBuilder::push`] checks
/// it in debug builds; parsers check it themselves, with a position).
#[derive(Debug)]
pub struct CsrBuilder {
    block: CsrBlock,
}

impl Default for CsrBuilder {
    fn default() -> Self {
        CsrBuilder::with_capacity(0, 0)
    }
}

/// Gives back what a vector has room for beyond its values, if that is more than an eighth of them.
fn give_back<T>(values: &mut Vec<T>) {
    if values.capacity() - values.len() > values.len() / 8 {
        values.shrink_to_fit();
    }
}

impl CsrBuilder {
    /// Room for a block whose last row is the one with which it has `nonzeros` values: a longer row lets it grow.
    pub fn for_block(nonzeros: usize) -> Self {
        CsrBuilder::with_capacity(0, nonzeros.saturating_add(nonzeros / 16))
    }
    /// Room for `rows` rows and `nnz` values.
    pub fn with_capacity(rows: usize, nnz: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        CsrBuilder {
            block: CsrBlock {
                columns: 0,
                offsets,
                indices: Vec::with_capacity(nnz),
                values: Vec::with_capacity(nnz),
            },
        }
    }
    /// Appends one value to the open row.
    #[inline]
    pub fn push(&mut self, column: u32, value: f64) {
        debug_assert!(
            self.block.offsets.last().is_none_or(|o| *o as usize == self.block.indices.len())
                || self.block.indices.last().is_none_or(|l| *l < column),
            "columns must ascend within a row"
        );
        self.block.indices.push(column);
        self.block.values.push(value);
    }
    /// The column of the last value of the open row.
    #[inline]
    pub fn last_column(&self) -> Option<u32> {
        let from = *self.block.offsets.last().unwrap_or(&0) as usize;
        self.block.indices[from..].last().copied()
    }
    /// Ends the open row. A block holds fewer than 2^32 values.
    #[inline]
    pub fn end_row(&mut self) {
        if let Some(last) = self.last_column() {
            self.block.columns = self.block.columns.max(last as usize + 1);
        }
        self.block.offsets.push(self.block.indices.len() as u32);
    }
    /// Drops the open row.
    pub fn abandon_row(&mut self) {
        let from = *self.block.offsets.last().unwrap_or(&0) as usize;
        self.block.indices.truncate(from);
        self.block.values.truncate(from);
    }
    /// Appends a whole row.
    pub fn push_row(&mut self, row: Row<'_>) {
        self.block.indices.extend_from_slice(row.indices);
        self.block.values.extend_from_slice(row.values);
        self.end_row();
    }
    /// Rows ended so far.
    pub fn rows(&self) -> usize {
        self.block.rows()
    }
    /// Values so far.
    pub fn nnz(&self) -> usize {
        self.block.nnz()
    }
    /// The block, at least `columns` wide. Room that was not needed is given back: blocks are kept, and many of them.
    pub fn finish(mut self, columns: usize) -> CsrBlock {
        self.block.widen(columns);
        give_back(&mut self.block.offsets);
        give_back(&mut self.block.indices);
        give_back(&mut self.block.values);
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_no_room_that_is_not_used() {
        let mut rows = CsrBuilder::for_block(1000);
        for _ in 0..1001 {
            (0..3).for_each(|column| rows.push(column, 1.0));
            rows.end_row();
        }
        let block = rows.finish(7);
        let has_little_room = |len: usize, capacity: usize| capacity - len <= len / 8;
        assert_eq!((block.rows(), block.columns(), block.nnz()), (1001, 7, 3003));
        assert!(has_little_room(1002, block.offsets.capacity()));
        assert!(has_little_room(3003, block.indices.capacity()));
        assert!(has_little_room(3003, block.values.capacity()));
        // A block of the size that was expected is not moved.
        let mut rows = CsrBuilder::for_block(1000);
        (0..1010).for_each(|column| rows.push(column, 1.0));
        rows.end_row();
        let place = rows.block.values.as_ptr();
        assert_eq!(rows.finish(0).values.as_ptr(), place);
    }
}
