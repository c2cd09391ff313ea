//! How good the clusters of some rows are.

use super::lloyd::direct;
use super::model::KMeansModel;
use super::params::Distance;
use crate::evaluation::{ClusteringMetrics, Contingency};
use crate::linalg::dense::{add, dot};
use crate::linalg::sparse;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledBlock, Row};
use slackwater_dataflow::{Dataset, Error, Result};
use std::sync::Arc;

/// What is known of the rows of every cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Tally {
    rows: u64,
    columns: usize,
    cost: f64,
    /// By cluster: rows, the sum of their squared norms, and their sum (one number a column).
    sizes: Vec<u64>,
    squares: Vec<f64>,
    sums: Vec<f64>,
    labels: Contingency,
}

/// A row as the model measures it, with its squared norm; columns that it does not know left out.
fn scaled<'r>(model: &KMeansModel, row: Row<'r>, values: &'r mut Vec<f64>) -> (Row<'r>, f64) {
    let known = row.indices.partition_point(|j| (*j as usize) < model.columns());
    values.clear();
    values.extend_from_slice(&row.values[..known]);
    direct(values, model.params().distance);
    let square = dot(values, values);
    (Row { indices: &row.indices[..known], values }, square)
}

impl Tally {
    fn push(&mut self, model: &KMeansModel, block: &LabeledBlock) {
        let (k, columns) = (model.k(), model.columns());
        self.sizes.resize(k, 0);
        self.squares.resize(k, 0.0);
        self.sums.resize(k * columns, 0.0);
        self.rows += block.rows() as u64;
        self.columns = self.columns.max(block.features.columns());
        let (mut rows, mut values) = (block.features.iter().zip(&block.labels), vec![]);
        model.for_each(&block.features, |cluster, distance| {
            let (row, label) = rows.next().expect("as many as the block has");
            let (row, square) = scaled(model, row, &mut values);
            self.cost +=
                if model.params().distance == Distance::Cosine { distance } else { distance * distance };
            self.sizes[cluster] += 1;
            self.squares[cluster] += square;
            sparse::axpy(1.0, row, &mut self.sums[cluster * columns..][..columns]);
            self.labels.push(*label, cluster as u32);
        });
    }
    fn merge(self, other: Tally) -> Tally {
        // A partition without rows has no clusters either.
        let (mut a, b) = if self.rows >= other.rows { (self, other) } else { (other, self) };
        if b.rows > 0 {
            a.sizes.iter_mut().zip(&b.sizes).for_each(|(a, b)| *a += b);
            add(&b.squares, &mut a.squares);
            add(&b.sums, &mut a.sums);
        }
        Tally {
            rows: a.rows + b.rows,
            columns: a.columns.max(b.columns),
            cost: a.cost + b.cost,
            labels: a.labels.merge(b.labels),
            ..a
        }
    }
}

/// Mean squared distances of rows from clusters.
struct Silhouettes {
    model: Arc<KMeansModel>,
    sizes: Vec<u64>,
    /// By cluster: mean of the squared norms.
    squares: Vec<f64>,
    /// By cluster: the mean of the rows.
    means: Vec<f64>,
}

impl Silhouettes {
    fn new(model: &Arc<KMeansModel>, tally: &Tally) -> Self {
        let (columns, share) = (model.columns(), |j: usize| 1.0 / tally.sizes[j].max(1) as f64);
        Silhouettes {
            model: model.clone(),
            sizes: tally.sizes.clone(),
            squares: tally.squares.iter().enumerate().map(|(j, s)| s * share(j)).collect(),
            means: tally.sums.iter().enumerate().map(|(i, s)| s * share(i / columns)).collect(),
        }
    }
    /// Sum over the rows of a block.
    fn sum(&self, block: &LabeledBlock) -> f64 {
        let columns = self.model.columns();
        let (mut rows, mut values, mut sum) = (block.features.iter(), vec![], 0.0);
        self.model.for_each(&block.features, |cluster, _| {
            let row = rows.next().expect("as many as the block has");
            let (row, square) = scaled(&self.model, row, &mut values);
            // From all rows of a cluster: mean ‖x - y‖² = ‖x‖² + mean ‖y‖² - 2 x'mean y.
            let apart = |j: usize| {
                let product = sparse::dot(row, &self.means[j * columns..][..columns]);
                (square + self.squares[j] - 2.0 * product).max(0.0)
            };
            let own = self.sizes[cluster] as f64;
            if own < 2.0 {
                return;
            }
            let within = apart(cluster) * own / (own - 1.0);
            let others = (0..self.sizes.len()).filter(|j| *j != cluster && self.sizes[*j] > 0);
            let between = others.map(apart).fold(f64::INFINITY, f64::min);
            let larger = within.max(between);
            sum += if larger > 0.0 { (between - within) / larger } else { 0.0 };
        });
        sum
    }
}

impl KMeansModel {
    /// Measures the clusters of rows. Silhouettes are exact, of squared Euclidean distances or of cosine distances, as
    /// Spark's `ClusteringEvaluator` takes them. Two passes; the second costs two operations a stored value and centre.
    ///
    /// # Errors
    /// Input, if there are no rows; what the jobs report.
    pub fn evaluate(&self, rows: &Dataset<LabeledBlock>) -> Result<ClusteringMetrics> {
        let model = Arc::new(self.clone());
        let shared = model.clone();
        let add = move |tally: &mut Tally, block: &LabeledBlock| tally.push(&shared, block);
        let merge = |left: &mut Tally, right: Tally| *left = std::mem::take(left).merge(right);
        let tally = rows.aggregate(Tally::default(), add, merge)?;
        if tally.rows == 0 {
            return Err(Error::input(
                "there are no rows to measure on",
                "look at how the data was split or filtered",
            ));
        }
        let mut silhouette = None;
        if tally.sizes.iter().filter(|n| **n > 0).count() > 1 {
            let silhouettes = Silhouettes::new(&model, &tally);
            let add = move |sum: &mut f64, block: &LabeledBlock| *sum += silhouettes.sum(block);
            let sum = rows.aggregate(0.0, add, |left, right| *left += right)?;
            silhouette = Some(sum / tally.rows as f64);
        }
        Ok(ClusteringMetrics {
            rows: tally.rows,
            columns: tally.columns,
            cost: tally.cost,
            agreement: tally.labels.agreement(),
            sizes: tally.sizes,
            silhouette,
        })
    }
}
