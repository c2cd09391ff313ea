//! The learnt metric.

use super::DistanceMetricParams;
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linear::Features;
use crate::model::{Persist, matrix_of, matrix_table};
use crate::optimization::Stop;
use arrow_array::RecordBatch;
use arrow_array::types::Float32Type;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::CsrBlock;
use slackwater_dataflow::{Error, Result};

/// Rows that are mapped at once: enough for the products to be of matrices, few enough to stay small.
const ROWS_AT_ONCE: usize = 256;

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistanceMetricSummary {
    /// Similar pairs that were learnt from.
    pub similar: u64,
    /// Dissimilar pairs that were learnt from.
    pub dissimilar: u64,
    /// Partitions that took part in every clock.
    pub partitions: usize,
    /// Loss of the last epoch.
    pub loss: f64,
    /// By epoch: loss, that of each pair before the model learnt from it once more.
    pub loss_history: Vec<f64>,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) rank: usize,
    pub(super) params: DistanceMetricParams,
    pub(super) summary: DistanceMetricSummary,
}

/// A linear map `L`: the distance of `x` and `y` is the length of `L(x - y)`.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceMetricModel {
    /// Row by row.
    map: Vec<f32>,
    attributes: Attributes,
}

impl DistanceMetricModel {
    pub(super) fn new(map: Vec<f32>, attributes: Attributes) -> Self {
        DistanceMetricModel { map, attributes }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.attributes.columns
    }
    /// Rows of `L`: values of a mapped row.
    pub fn rank(&self) -> usize {
        self.attributes.rank
    }
    /// `L`, row by row: `rank` rows of `columns` values.
    pub fn map(&self) -> &[f32] {
        &self.map
    }
    /// Calls `f` with `Lx` of every row, in order. Columns that the model does not know are left out. Costs two operations a
    /// row and element of `L`.
    pub fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(&[f32])) {
        let (rank, columns) = (self.rank(), self.columns());
        let (mut dense, mut mapped) = (vec![], vec![]);
        for from in (0..rows.rows()).step_by(ROWS_AT_ONCE) {
            let to = (from + ROWS_AT_ONCE).min(rows.rows());
            let count = to - from;
            dense.resize(count * columns, 0.0);
            (from..to).zip(dense.chunks_exact_mut(columns)).for_each(|(i, place)| rows.row(i).write(place));
            mapped.resize(count * rank, 0.0);
            let map = Matrix::new(&self.map, rank, columns).transposed();
            gemm(1.0, Matrix::new(&dense, count, columns), map, Write::Replace, &mut mapped);
            mapped.chunks_exact(rank).for_each(&mut f);
        }
    }
    /// `Lx`, `rank` numbers; for many rows [`for_each`](DistanceMetricModel::for_each) is much faster.
    pub fn transform(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        let component = |weights: &[f32]| {
            let mut sum = 0.0;
            row.for_each(|j, x| sum += weights.get(j).map_or(0.0, |w| f64::from(*w) * x));
            sum
        };
        self.map.chunks_exact(self.columns()).map(component).collect()
    }
    /// The distance of two rows: `‖L(x - y)‖`.
    pub fn distance(&self, x: &(impl Features + ?Sized), y: &(impl Features + ?Sized)) -> f64 {
        crate::linalg::dense::distance(&self.transform(x), &self.transform(y))
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &DistanceMetricParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &DistanceMetricSummary {
        &self.attributes.summary
    }
}

/// What rows of the table are called.
const COMPONENT: &str = "component";

impl Persist for DistanceMetricModel {
    const ALGORITHM: &'static str = "distance-metric";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every row of `L`.
    fn table(&self) -> RecordBatch {
        matrix_table::<Float32Type>(COMPONENT, &self.map, self.columns())
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let (rank, columns) = (attributes.rank, attributes.columns);
        if rank == 0 || columns == 0 {
            return Err(Error::input("the components do not fit: there are none, or they are empty", ""));
        }
        Ok(DistanceMetricModel {
            map: matrix_of::<Float32Type>(table, COMPONENT, rank, columns)?,
            attributes,
        })
    }
}
