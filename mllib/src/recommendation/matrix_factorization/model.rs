//! The fitted factorisation.

use super::MatrixFactorizationParams;
use super::ids::Ids;
use crate::model::Persist;
use crate::optimization::{ModelBytes, Stop};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, Float32Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::{Dataset, Error, Result};
use std::sync::Arc;

/// Independent partial sums of an inner product.
const LANES: usize = 8;

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixFactorizationSummary {
    /// Ratings that were learnt from.
    pub ratings: u64,
    /// Partitions that took part in every clock.
    pub partitions: usize,
    /// Ratings of each partition in a clock, at most.
    pub batch: usize,
    /// By epoch: root mean squared error, each rating before the model learnt from it once more; with `ccd`, at its end.
    pub rmse_history: Vec<f64>,
    /// Root mean squared error of the model on the ratings that it learnt from.
    pub rmse: f64,
    /// By process: bytes of factors and biases that it had while training, at most: with `ccd` of both sides, with `dsgd`
    /// also the length of a block; with `sgd` nothing is said, every process has the table of items.
    #[serde(skip)]
    pub model_bytes: ModelBytes,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) users: usize,
    pub(super) items: usize,
    pub(super) mean: f64,
    pub(super) params: MatrixFactorizationParams,
    pub(super) summary: MatrixFactorizationSummary,
}

/// Factors and biases of users, or of items, that have ratings.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Side {
    pub ids: Arc<Ids>,
    /// One an id; 0 for a model without biases.
    pub biases: Vec<f32>,
    /// `rank` an id.
    pub factors: Vec<f32>,
}

impl Side {
    fn row(&self, id: u32) -> Option<usize> {
        self.ids.place(id)
    }
    fn bias(&self, row: Option<usize>) -> f64 {
        row.map_or(0.0, |row| f64::from(self.biases[row]))
    }
    fn factors(&self, row: usize, rank: usize) -> &[f32] {
        &self.factors[row * rank..][..rank]
    }
}

/// The inner product. In `f64`, in sums of their own, which do not wait for each other.
fn product(p: &[f32], q: &[f32]) -> f64 {
    let ((ps, p_rest), (qs, q_rest)) = (p.as_chunks::<LANES>(), q.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (p, q) in ps.iter().zip(qs) {
        for k in 0..LANES {
            sums[k] += f64::from(p[k]) * f64::from(q[k]);
        }
    }
    let rest: f64 = p_rest.iter().zip(q_rest).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum();
    sums.iter().sum::<f64>() + rest
}

/// Matrix factorisation: ratings of items by users.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixFactorizationModel {
    users: Side,
    items: Side,
    attributes: Attributes,
}

impl MatrixFactorizationModel {
    pub(super) fn new(users: Side, items: Side, attributes: Attributes) -> Self {
        MatrixFactorizationModel { users, items, attributes }
    }
    /// Number of factors.
    pub fn rank(&self) -> usize {
        self.attributes.params.rank
    }
    /// Mean of the ratings that it learnt from.
    pub fn mean(&self) -> f64 {
        self.attributes.mean
    }
    /// Ids of the users it knows, ascending.
    pub fn users(&self) -> &[u32] {
        &self.users.ids
    }
    /// Ids of the items it knows, ascending.
    pub fn items(&self) -> &[u32] {
        &self.items.ids
    }
    /// Factors of a user, `rank` of them; `None` for a user without ratings.
    pub fn user_factors(&self, user: u32) -> Option<&[f32]> {
        self.users.row(user).map(|row| self.users.factors(row, self.rank()))
    }
    /// Factors of an item, `rank` of them; `None` for an item without ratings.
    pub fn item_factors(&self, item: u32) -> Option<&[f32]> {
        self.items.row(item).map(|row| self.items.factors(row, self.rank()))
    }
    /// Bias of a user: 0 if it is unknown, or the model has none.
    pub fn user_bias(&self, user: u32) -> f64 {
        self.users.bias(self.users.row(user))
    }
    /// Bias of an item: 0 if it is unknown, or the model has none.
    pub fn item_bias(&self, item: u32) -> f64 {
        self.items.bias(self.items.row(item))
    }
    /// The rating that the user would give the item. For a user or an item that it does not know this is the mean, with
    /// the bias of the one that it knows.
    pub fn predict(&self, user: u32, item: u32) -> f64 {
        self.predict_rows(self.users.row(user), self.items.row(item))
    }
    fn predict_rows(&self, user: Option<usize>, item: Option<usize>) -> f64 {
        let base = self.users.bias(user) + self.items.bias(item);
        let (Some(user), Some(item)) = (user, item) else { return self.mean() + base };
        let (p, q) = (self.users.factors(user, self.rank()), self.items.factors(item, self.rank()));
        let mean = if self.attributes.params.biases { self.mean() } else { 0.0 };
        mean + base + product(p, q)
    }
    /// The `n` items with the highest predictions for the user, best first, without those for which `exclude` is true
    /// (as what the user has rated already). Of equals the smaller id comes first. Costs one prediction an item.
    pub fn recommend(&self, user: u32, n: usize, exclude: impl Fn(u32) -> bool) -> Vec<(u32, f64)> {
        let user = self.users.row(user);
        let items = self.items.ids.iter().enumerate().filter(|(_, item)| !exclude(**item));
        let mut all: Vec<_> = items.map(|(row, item)| (*item, self.predict_rows(user, Some(row)))).collect();
        let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if n < all.len() {
            all.select_nth_unstable_by(n, order);
            all.truncate(n);
        }
        all.sort_unstable_by(order);
        all
    }
    /// (prediction, rating) of every rating, as [`crate::evaluation::RegressionMetrics::of`] takes them.
    pub fn score(&self, ratings: &Dataset<Rating>) -> Dataset<(f64, f64)> {
        let model = Arc::new(self.clone());
        ratings.map(move |r| (model.predict(r.user, r.item), f64::from(r.rating)))
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &MatrixFactorizationParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &MatrixFactorizationSummary {
        &self.attributes.summary
    }
    pub(super) fn summary_mut(&mut self) -> &mut MatrixFactorizationSummary {
        &mut self.attributes.summary
    }
}

const USER: &str = "user";
const ITEM: &str = "item";

/// Name of the column of a factor.
fn factor(k: usize) -> String {
    format!("factor_{k}")
}

impl Persist for MatrixFactorizationModel {
    const ALGORITHM: &'static str = "matrix-factorization";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every user and then for every item: what it is, its id, its bias, its factors.
    fn table(&self) -> RecordBatch {
        let sides = [(USER, &self.users), (ITEM, &self.items)];
        let of = sides.iter().flat_map(|(name, side)| side.ids.iter().map(|_| *name));
        let ids = sides.iter().flat_map(|(_, side)| side.ids.iter().copied());
        let biases = sides.iter().flat_map(|(_, side)| side.biases.iter().copied());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(of)),
            Arc::new(UInt32Array::from_iter_values(ids)),
            Arc::new(Float32Array::from_iter_values(biases)),
        ];
        let mut fields = vec![
            Field::new("side", DataType::Utf8, false),
            Field::new("id", DataType::UInt32, false),
            Field::new("bias", DataType::Float32, false),
        ];
        for k in 0..self.rank() {
            let values =
                sides.iter().flat_map(|(_, s)| s.factors.iter().skip(k).step_by(self.rank()).copied());
            columns.push(Arc::new(Float32Array::from_iter_values(values)));
            fields.push(Field::new(factor(k), DataType::Float32, false));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a value a row in every column")
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let refuse = |what: &str| Error::input(format!("the factors do not fit: {what}"), "");
        let (users, items, rank) = (attributes.users, attributes.items, attributes.params.rank);
        if users.checked_add(items) != Some(table.num_rows()) {
            return Err(refuse("the number of users and items is another"));
        }
        let column = |name: &str| {
            let column = table.column_by_name(name).filter(|c| c.null_count() == 0);
            column.ok_or_else(|| refuse(&format!("there is no column `{name}` with a value in every row")))
        };
        let sides = column("side")?.clone();
        let sides = sides.as_string_opt::<i32>().ok_or_else(|| refuse("`side` is no text"))?;
        if (0..table.num_rows()).any(|row| sides.value(row) != if row < users { USER } else { ITEM }) {
            return Err(refuse("users come first, then items"));
        }
        let ids = column("id")?.as_primitive_opt::<UInt32Type>();
        let ids = ids.ok_or_else(|| refuse("`id` is no whole number"))?.values();
        let floats = |name: &str| {
            let values = column(name)?.as_primitive_opt::<Float32Type>().map(|c| c.values().to_vec());
            let values = values.filter(|values| values.iter().all(|x| x.is_finite()));
            values.ok_or_else(|| refuse(&format!("`{name}` is not all numbers")))
        };
        let biases = floats("bias")?;
        let factors = (0..rank).map(|k| floats(&factor(k))).collect::<Result<Vec<_>>>()?;
        let side = |from: usize, to: usize| {
            let ids = ids[from..to].to_vec();
            if ids.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(refuse("ids do not ascend"));
            }
            let factors = (from..to).flat_map(|row| factors.iter().map(move |column| column[row])).collect();
            Ok(Side { ids: Arc::new(Ids::new(ids)), biases: biases[from..to].to_vec(), factors })
        };
        Ok(MatrixFactorizationModel {
            users: side(0, users)?,
            items: side(users, users + items)?,
            attributes,
        })
    }
}
