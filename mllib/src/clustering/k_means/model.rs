//! The fitted centres.

use super::lloyd::told;
use super::nearest::{Nearest, Scratch};
use super::params::{Centers, Distance, KMeansParams};
use super::rows::{Packed, Packing};
use crate::linear::Features;
use crate::model::Persist;
use crate::optimization::Stop;
use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::CsrBlock;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeansSummary {
    /// Rows that were learnt from.
    pub rows: u64,
    /// Partitions that they were in.
    pub partitions: usize,
    /// Iterations, or epochs.
    pub iterations: usize,
    /// What all rows cost: the sum of squared distances, or of cosine distances, from their centres.
    pub cost: f64,
    /// The cost before every iteration, or while every epoch ran.
    pub cost_history: Vec<f64>,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the centres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) params: KMeansParams,
    pub(super) summary: KMeansSummary,
}

/// Centres, and which is the nearest.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansModel {
    centers: Centers,
    sizes: Vec<u64>,
    attributes: Attributes,
}

impl KMeansModel {
    pub(super) fn new(centers: Centers, sizes: Vec<u64>, attributes: Attributes) -> Self {
        KMeansModel { centers, sizes, attributes }
    }
    /// Number of centres.
    pub fn k(&self) -> usize {
        self.centers.k()
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.centers.columns()
    }
    /// The centres; of length 1 under the cosine distance.
    pub fn centers(&self) -> &Centers {
        &self.centers
    }
    /// By centre: rows that were nearest to it when training ended.
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }
    /// The nearest centre, of equals the first, and how far it is. Columns that the model does not know are left out. Under
    /// the cosine distance a row of length 0 is at distance 1 from all centres. For many rows
    /// [`for_each`](KMeansModel::for_each) is much faster.
    pub fn nearest(&self, row: &(impl Features + ?Sized)) -> (usize, f64) {
        let mut dense = vec![0.0; self.columns()];
        row.for_each(|j, x| {
            if let Some(to) = dense.get_mut(j) {
                *to = x;
            }
        });
        let distance = self.params().distance;
        if distance == Distance::Cosine && !super::lloyd::direct(&mut dense, distance) {
            return (0, 1.0);
        }
        let square = |c: &[f64]| dense.iter().zip(c).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let squares = self.centers.iter().map(square).enumerate();
        let best = squares.min_by(|a, b| a.1.total_cmp(&b.1)).expect("there is a centre");
        (best.0, as_distance(best.1, distance))
    }
    /// The nearest centre.
    pub fn predict(&self, row: &(impl Features + ?Sized)) -> usize {
        self.nearest(row).0
    }
    /// Calls `f` with the nearest centre of every row, in order, and how far it is, as [`nearest`](KMeansModel::nearest)
    /// does for one, with values rounded to 32 bits. Costs two operations a value and centre.
    pub fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(usize, f64)) {
        let distance = self.params().distance;
        let packing = Packing { distance, shuffle: None, columns_max: self.columns() };
        let packed = Packed::new(&[rows], packing, 0);
        let nearest = Nearest::new(&packed, &self.centers);
        let undirected = |row: usize| {
            let of_row = rows.row(row);
            let known = of_row.indices.partition_point(|j| (*j as usize) < packed.columns);
            of_row.values[..known].iter().all(|x| *x == 0.0)
        };
        nearest.for_each(0..packed.rows(), &mut Scratch::default(), |row, found| {
            if distance == Distance::Cosine && undirected(row) {
                return f(0, 1.0);
            }
            let center = found.center as usize;
            f(center, as_distance(nearest.distance(row, center), distance));
        });
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &KMeansParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &KMeansSummary {
        &self.attributes.summary
    }
}

/// The distance of a squared Euclidean distance.
fn as_distance(square: f64, distance: Distance) -> f64 {
    match distance {
        Distance::Euclidean => square.sqrt(),
        Distance::Cosine => told(square, distance),
    }
}

impl Persist for KMeansModel {
    const ALGORITHM: &'static str = "k-means";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every centre: its number, how many rows it has, and its values.
    fn table(&self) -> RecordBatch {
        let element = Arc::new(Field::new("item", DataType::Float64, false));
        let mut values = ListBuilder::new(Float64Builder::new()).with_field(element.clone());
        for center in self.centers.iter() {
            values.values().append_slice(center);
            values.append(true);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(0..self.k() as u32)),
            Arc::new(UInt64Array::from(self.sizes.clone())),
            Arc::new(values.finish()),
        ];
        let fields = vec![
            Field::new("center", DataType::UInt32, false),
            Field::new("rows", DataType::UInt64, false),
            Field::new("values", DataType::List(element), false),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a value a row in every column")
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let refuse = |what: &str| Error::input(format!("the centres do not fit: {what}"), "");
        let (k, columns) = (attributes.params.k, attributes.columns);
        if k == 0 || k != table.num_rows() {
            return Err(refuse("there are not as many as the parameters say"));
        }
        let column = |name: &str| {
            table.column_by_name(name).ok_or_else(|| refuse(&format!("there is no column `{name}`")))
        };
        let numbers = column("center")?.as_primitive_opt::<UInt32Type>();
        let numbers = numbers.ok_or_else(|| refuse("`center` is no whole number"))?;
        if numbers.null_count() > 0 || numbers.values().iter().enumerate().any(|(i, n)| *n as usize != i) {
            return Err(refuse("they are numbered from 0"));
        }
        let sizes = column("rows")?.as_primitive_opt::<UInt64Type>().filter(|s| s.null_count() == 0);
        let sizes = sizes.ok_or_else(|| refuse("`rows` is no whole number"))?.values().to_vec();
        let lists = column("values")?.as_list_opt::<i32>().filter(|l| l.null_count() == 0);
        let lists = lists.ok_or_else(|| refuse("`values` is no list in every row"))?;
        let mut values = vec![];
        for row in 0..k {
            let list = lists.value(row);
            let of_center = list.as_primitive_opt::<Float64Type>().filter(|v| v.null_count() == 0);
            let of_center = of_center.ok_or_else(|| refuse("`values` are no numbers"))?.values();
            if of_center.len() != columns {
                return Err(refuse("a centre has not one value a column"));
            }
            values.extend_from_slice(of_center);
        }
        let centers = Centers::new(values, k).map_err(|_| refuse("a value is no finite number"))?;
        Ok(KMeansModel::new(centers, sizes, attributes))
    }
}
