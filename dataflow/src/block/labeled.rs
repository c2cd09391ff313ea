//! Rows with labels.

use super::{CsrBlock, CsrBuilder, Row, SparseVector, Vector};
use serde::{Deserialize, Serialize};

/// One labelled row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabeledPoint {
    /// Class or target value.
    pub label: f64,
    /// Features.
    pub features: Vector,
}

impl LabeledPoint {
    /// A labelled row.
    pub fn new(label: f64, features: Vector) -> Self {
        LabeledPoint { label, features }
    }
}

/// Many labelled rows: n labels and n CSR rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LabeledBlock {
    /// One a row.
    pub labels: Vec<f64>,
    /// n rows by d columns.
    pub features: CsrBlock,
}

/// About how many stored values a block should have: 768 KiB of CSR, so that one block fits a second-level cache.
pub const TARGET_BLOCK_NONZEROS: usize = 64 << 10;

impl LabeledBlock {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }
    /// Labels and rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, Row<'_>)> + '_ {
        self.labels.iter().copied().zip(self.features.iter())
    }
    /// The rows one by one, each `columns` wide.
    pub fn points(&self, columns: usize) -> impl Iterator<Item = LabeledPoint> + '_ {
        let columns = columns.max(self.features.columns());
        self.iter().map(move |(label, row)| {
            let sparse = SparseVector::new(columns, row.indices.to_vec(), row.values.to_vec())
                .expect("a block's rows ascend and fit");
            LabeledPoint::new(label, Vector::Sparse(sparse))
        })
    }
    /// The rows for which `keep` is true, in order.
    pub fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> LabeledBlock {
        let mut rows = CsrBuilder::default();
        let mut labels = vec![];
        for (i, (label, row)) in self.iter().enumerate() {
            if keep(i) {
                labels.push(label);
                rows.push_row(row);
            }
        }
        LabeledBlock { labels, features: rows.finish(self.features.columns()) }
    }
}

/// Packs points into blocks of about [`TARGET_BLOCK_NONZEROS`] values. Zeros of dense vectors are not stored.
pub fn pack(points: impl Iterator<Item = LabeledPoint>) -> impl Iterator<Item = LabeledBlock> {
    let mut points = points.peekable();
    std::iter::from_fn(move || {
        points.peek()?;
        let (mut labels, mut rows, mut columns) = (vec![], CsrBuilder::default(), 0);
        while rows.nnz() < TARGET_BLOCK_NONZEROS && labels.len() < TARGET_BLOCK_NONZEROS {
            let Some(p) = points.next() else { break };
            columns = columns.max(p.features.size());
            labels.push(p.label);
            p.features.iter().filter(|(_, x)| *x != 0.0).for_each(|(i, x)| rows.push(i as u32, x));
            rows.end_row();
        }
        Some(LabeledBlock { labels, features: rows.finish(columns) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_blocks_agree() {
        let points = vec![
            LabeledPoint::new(1.0, Vector::dense([0.0, 2.0, 0.0])),
            LabeledPoint::new(0.0, Vector::sparse(5, vec![1, 4], vec![3.0, -1.0]).unwrap()),
            LabeledPoint::new(2.0, Vector::sparse(5, vec![], vec![]).unwrap()),
        ];
        let blocks: Vec<_> = pack(points.clone().into_iter()).collect();
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].rows(), blocks[0].features.columns(), blocks[0].features.nnz()), (3, 5, 3));
        let back: Vec<_> = blocks[0].points(5).collect();
        for (a, b) in points.iter().zip(&back) {
            assert_eq!(a.label, b.label);
            (0..5).for_each(|i| assert_eq!(a.features.get(i), b.features.get(i)));
        }
        let odd = blocks[0].filter(|i| i % 2 == 1);
        assert_eq!((odd.labels, odd.features.row(0).indices), (vec![0.0], &[1, 4][..]));
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let block = pack([LabeledPoint::new(1.0, Vector::dense([1.0, 2.0]))].into_iter()).next().unwrap();
        let bytes = postcard::to_stdvec(&block).unwrap();
        assert_eq!(postcard::from_bytes::<LabeledBlock>(&bytes).unwrap(), block);
        assert!(CsrBlock::from_parts(2, vec![0, 2], vec![1, 1], vec![0.0, 0.0]).is_err());
        assert!(CsrBlock::from_parts(2, vec![0, 2], vec![0, 2], vec![0.0, 0.0]).is_err());
        assert!(CsrBlock::from_parts(2, vec![0, 3], vec![0, 1], vec![0.0, 0.0]).is_err());
    }
}
