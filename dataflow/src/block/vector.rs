//! One row of features.

use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Features of one row, dense or sparse. Indices are 0-based.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Vector {
    /// Every value.
    Dense(Vec<f64>),
    /// The values that are not zero.
    Sparse(SparseVector),
}

/// Values that are not zero and where they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SparseVector {
    size: usize,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl SparseVector {
    /// `indices`: 0-based, strictly ascending, below `size`; `values`: as many. Errors name what does not hold.
    pub fn new(size: usize, indices: Vec<u32>, values: Vec<f64>) -> Result<Self, Error> {
        if indices.len() != values.len() {
            return Err(Error::usage(format!("{} indices but {} values", indices.len(), values.len())));
        }
        if let Some(w) = indices.windows(2).find(|w| w[0] >= w[1]) {
            return Err(Error::usage(format!("indices must ascend strictly, but {} follows {}", w[1], w[0])));
        }
        if let Some(last) = indices.last().filter(|i| **i as usize >= size) {
            return Err(Error::usage(format!("index {last} is not below the size {size}")));
        }
        Ok(SparseVector { size, indices, values })
    }
    /// Number of columns.
    pub fn size(&self) -> usize {
        self.size
    }
    /// Where the values are: 0-based, ascending.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }
    /// The values that are not zero.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

impl Vector {
    /// A dense vector.
    pub fn dense(values: impl Into<Vec<f64>>) -> Self {
        Vector::Dense(values.into())
    }
    /// A sparse vector; see [`SparseVector::new`].
    pub fn sparse(size: usize, indices: Vec<u32>, values: Vec<f64>) -> Result<Self, Error> {
        SparseVector::new(size, indices, values).map(Vector::Sparse)
    }
    /// Number of columns.
    pub fn size(&self) -> usize {
        match self {
            Vector::Dense(v) => v.len(),
            Vector::Sparse(s) => s.size,
        }
    }
    /// Stored values and their columns, ascending. A dense vector yields every column.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let (dense, sparse) = match self {
            Vector::Dense(v) => (Some(v.iter().copied().enumerate()), None),
            Vector::Sparse(s) => {
                (None, Some(s.indices.iter().map(|i| *i as usize).zip(s.values.iter().copied())))
            }
        };
        dense.into_iter().flatten().chain(sparse.into_iter().flatten())
    }
    /// The value of one column; 0 where nothing is stored.
    pub fn get(&self, column: usize) -> f64 {
        match self {
            Vector::Dense(v) => v.get(column).copied().unwrap_or(0.0),
            Vector::Sparse(s) => {
                s.indices.binary_search(&(column as u32)).map(|i| s.values[i]).unwrap_or(0.0)
            }
        }
    }
    /// Inner product with dense weights. Columns beyond the weights count as zero weight.
    pub fn dot(&self, weights: &[f64]) -> f64 {
        match self {
            Vector::Dense(v) => v.iter().zip(weights).map(|(x, w)| x * w).sum(),
            Vector::Sparse(s) => s
                .indices
                .iter()
                .zip(&s.values)
                .map(|(i, x)| weights.get(*i as usize).map_or(0.0, |w| x * w))
                .sum(),
        }
    }
    /// All values.
    pub fn to_dense(&self) -> Vec<f64> {
        let mut v = vec![0.0; self.size()];
        self.iter().for_each(|(i, x)| v[i] = x);
        v
    }
}
