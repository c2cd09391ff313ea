//! Training: from ratings to a table, and from the table to a model.

use super::model::Side;
use super::{Attributes, MatrixFactorizationModel, MatrixFactorizationParams, MatrixFactorizationSummary};
use crate::evaluation::RegressionMetrics;
use crate::optimization::{Observer, Stop, TableTraining, silent};
use crate::random::{shuffle, unit_of};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::hash::{hash_of, partition_of};
use slackwater_dataflow::{Dataset, Error, ErrorKind, Result, rng};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, Table, TableExt, TableSpec, TableView};
use std::collections::HashMap;
use std::iter::once_with;
use std::sync::Arc;

/// Ratings of a partition in a clock, at most, unless said.
const BATCH_MAX: f64 = 1024.0;
/// Ratings of the most rated item in a clock, about, unless a batch is said: more would overshoot.
const ITEM_RATINGS_PER_CLOCK: f64 = 32.0;
/// First factors are within plus and minus this; biases begin at 0.
const FIRST_FACTOR: f64 = 0.1;
/// Errors this many times the size of ratings are no training any more.
const DIVERGED: f64 = 10.0;

/// What is known of some ratings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Census {
    /// (id, ratings), ascending.
    users: Vec<(u32, u64)>,
    items: Vec<(u32, u64)>,
    ratings: u64,
    sum: f64,
    squares: f64,
}

impl Census {
    fn of(ratings: impl Iterator<Item = Rating>) -> Self {
        let (mut users, mut items) = (HashMap::new(), HashMap::new());
        let mut census = Census::default();
        for Rating { user, item, rating } in ratings {
            *users.entry(user).or_default() += 1;
            *items.entry(item).or_default() += 1;
            census.ratings += 1;
            census.sum += f64::from(rating);
            census.squares += f64::from(rating).powi(2);
        }
        let sorted = |counts: HashMap<u32, u64>| {
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_unstable();
            counts
        };
        Census { users: sorted(users), items: sorted(items), ..census }
    }
    fn merge(self, other: Census) -> Census {
        Census {
            users: merge(self.users, other.users),
            items: merge(self.items, other.items),
            ratings: self.ratings + other.ratings,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
    /// Ratings of each partition in a clock, such that the most rated item does not get too many from all of them.
    fn batch(&self, partitions: usize) -> usize {
        let most = self.items.iter().map(|(_, n)| *n).max().unwrap_or(1) as f64;
        let in_a_clock = ITEM_RATINGS_PER_CLOCK * self.ratings as f64 / most;
        (in_a_clock / partitions as f64).clamp(1.0, BATCH_MAX) as usize
    }
}

/// Two ascending lists of counts as one.
fn merge(a: Vec<(u32, u64)>, b: Vec<(u32, u64)>) -> Vec<(u32, u64)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.0.cmp(&y.0) {
            std::cmp::Ordering::Less => all.extend(a.next()),
            std::cmp::Ordering::Greater => all.extend(b.next()),
            std::cmp::Ordering::Equal => {
                all.push((x.0, x.1 + y.1));
                a.next();
                b.next();
            }
        }
    }
    all.extend(a.chain(b));
    all
}

impl MatrixFactorizationParams {
    /// Fits a model to ratings. Collective: every process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](MatrixFactorizationParams::fit_observed).
    pub fn fit(&self, ratings: &Dataset<Rating>) -> Result<MatrixFactorizationModel> {
        self.fit_observed(ratings, None, &mut silent)
    }
    /// [`fit`](MatrixFactorizationParams::fit) with snapshots, and with an observer, which is told the root mean squared error of every
    /// epoch. The ratings are read twice: cache them if that is slow.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; input, if there are no ratings; numerical, if training diverges; what the
    /// engine reports.
    pub fn fit_observed(
        &self,
        ratings: &Dataset<Rating>,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<MatrixFactorizationModel> {
        self.check()?;
        let census = ratings.map_partitions(|ratings| once_with(move || Census::of(ratings)));
        let census = census.reduce(Census::merge)?.unwrap_or_default();
        if census.ratings == 0 {
            return Err(Error::input("there are no ratings to learn from", ""));
        }
        let ids = |counts: &[(u32, u64)]| -> Arc<[u32]> { counts.iter().map(|(id, _)| *id).collect() };
        let (users, items) = (ids(&census.users), ids(&census.items));
        let partitions = ratings.num_partitions().max(ratings.context().config().default_partitions);
        let homes = Arc::new(Homes::new(users.len(), partitions));
        let rows = self.rows(ratings, &users, &items, &homes).cache();
        let mut fit = Fit { params: self, rows, census, users, items, homes, history: vec![] };
        let table = fit.table();
        let result = table.and_then(|table| {
            let (stop, of_users) = fit.descend(&table, snapshots, observer)?;
            fit.model(of_users, &table, stop)
        });
        fit.rows.unpersist();
        result
    }
    /// The ratings of users by their place in the partition and of items by their row of the table, all ratings of a user
    /// in one partition, in a random order.
    fn rows(
        &self,
        ratings: &Dataset<Rating>,
        users: &Arc<[u32]>,
        items: &Arc<[u32]>,
        homes: &Arc<Homes>,
    ) -> Dataset<Rating> {
        let (users, items, seed, partitions) = (users.clone(), items.clone(), self.seed, homes.users.len());
        let (places, row) = (homes.clone(), |ids: &[u32], id: u32| ids.partition_point(|known| *known < id));
        let rows = ratings.map(move |r| {
            let (user, item) = (row(&users, r.user), row(&items, r.item));
            (user as u32, Rating::new(places.places[user], item as u32, r.rating))
        });
        rows.partition_by(partitions).values().map_partitions_with_index(move |partition, rows| {
            let mut rows: Vec<Rating> = rows.collect();
            shuffle(&mut rows, &mut rng::stream(seed, partition as u64));
            rows.into_iter()
        })
    }
}

/// Where users live: with the partition that has their ratings.
struct Homes {
    /// By user: place among those of the partition.
    places: Vec<u32>,
    /// By partition: users, ascending.
    users: Vec<Vec<u32>>,
}

impl Homes {
    /// As [`Dataset::partition_by`] places them.
    fn new(users: usize, partitions: usize) -> Self {
        let mut homes = Homes { places: vec![], users: vec![vec![]; partitions] };
        for user in 0..users as u32 {
            let neighbours = &mut homes.users[partition_of(hash_of(&user), partitions)];
            homes.places.push(neighbours.len() as u32);
            neighbours.push(user);
        }
        homes
    }
}

/// First factors.
#[derive(Clone, Copy)]
struct First {
    rank: usize,
    seed: u64,
    /// What they are around.
    start: f64,
    least: f64,
}

impl First {
    /// By row, users before items, and column.
    fn factor(self, row: usize, column: usize) -> f32 {
        if column == self.rank {
            return 0.0;
        }
        let unit = unit_of([self.seed, row as u64, column as u64]);
        let factor = self.start + (2.0 * unit - 1.0) * FIRST_FACTOR.max(self.start / 2.0);
        factor.max(self.least) as f32
    }
}

/// One training.
struct Fit<'a> {
    params: &'a MatrixFactorizationParams,
    rows: Dataset<Rating>,
    census: Census,
    users: Arc<[u32]>,
    items: Arc<[u32]>,
    homes: Arc<Homes>,
    history: Vec<f64>,
}

impl Fit<'_> {
    fn mean(&self) -> f64 {
        self.census.sum / self.census.ratings as f64
    }
    fn batch(&self) -> usize {
        self.params.batch.unwrap_or_else(|| self.census.batch(self.rows.num_partitions()))
    }
    fn columns(&self) -> usize {
        self.params.rank + usize::from(self.params.biases)
    }
    fn first(&self) -> First {
        let (rank, seed) = (self.params.rank, self.params.seed);
        // Without a mean to start from, products of factors begin near the mean.
        let start = match self.params.biases {
            true => 0.0,
            false => (self.mean().max(0.0) / rank as f64).sqrt(),
        };
        let least = if self.params.non_negative { 0.0 } else { f64::NEG_INFINITY };
        First { rank, seed, start, least }
    }
    /// The factors of items.
    fn table(&self) -> Result<Table<f32>> {
        let (first, users) = (self.first(), self.users.len());
        let spec = TableSpec::dense(self.items.len(), self.columns());
        let spec = spec.init(move |item, column| first.factor(users + item, column));
        self.rows.context().table("item factors", spec.consistency(self.params.consistency))
    }
    fn descend(
        &mut self,
        table: &Table<f32>,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<(Stop, Dataset<Vec<f32>>)> {
        let (params, homes, first, columns) = (self.params, self.homes.clone(), self.first(), self.columns());
        let descent = Descent {
            rank: params.rank,
            biases: params.biases,
            non_negative: params.non_negative,
            mean: if params.biases { self.mean() as f32 } else { 0.0 },
            step: params.step_size,
            decay: params.decay,
            penalty: params.regularization as f32,
        };
        let (batch, ratings) = (self.batch(), self.census.ratings as f64);
        let training = self
            .rows
            .epochs(params.epochs as u64)
            .batch(batch)
            .seed(params.seed)
            .local(move |partition, _| {
                let row = |user: &u32| (0..columns).map(move |c| first.factor(*user as usize, c)).collect();
                homes.users[partition].iter().flat_map::<Vec<f32>, _>(row).collect::<Vec<f32>>()
            })
            .update_all(&[table], move |of_users, batch, tables, clock| {
                descent.run(of_users, batch, &mut tables[0], clock)
            });
        let run = TableTraining {
            snapshots,
            tolerance: params.tolerance,
            objective: &|loss| (loss / ratings).sqrt(),
        };
        let result = run.run(training, observer).map_err(|e| match e.kind() {
            ErrorKind::Numerical(message) => self.diverged(message),
            _ => e,
        });
        let (history, stop, of_users) = result?;
        self.history = history;
        Ok((stop, of_users))
    }
    fn diverged(&self, what: &str) -> Error {
        let (step, batch) = (self.params.step_size, self.batch());
        let hint = format!("a smaller step size than {step}, or a smaller batch than {batch}");
        Error::new(ErrorKind::Numerical(format!("{what}\n  hint: {hint}")))
    }
    fn side(&self, ids: &[u32], values: &[f32]) -> Side {
        let rank = self.params.rank;
        let rows = || values.chunks_exact(self.columns());
        // What partitions have added up to may be a little below.
        let least = if self.params.non_negative { 0.0 } else { f32::NEG_INFINITY };
        Side {
            ids: ids.to_vec(),
            biases: rows().map(|row| row.get(rank).copied().unwrap_or(0.0)).collect(),
            factors: rows().flat_map(|row| row[..rank].iter().map(|x| x.max(least))).collect(),
        }
    }
    /// The factors of users, by user.
    fn factors_of_users(&self, of_partitions: Dataset<Vec<f32>>) -> Result<Vec<f32>> {
        let (columns, of_partitions) = (self.columns(), of_partitions.collect()?);
        let mut factors = vec![0.0; columns * self.users.len()];
        for (users, of_partition) in self.homes.users.iter().zip(&of_partitions) {
            for (user, of_user) in users.iter().zip(of_partition.chunks_exact(columns)) {
                factors[*user as usize * columns..][..columns].copy_from_slice(of_user);
            }
        }
        Ok(factors)
    }
    fn model(
        &mut self,
        of_users: Dataset<Vec<f32>>,
        of_items: &Table<f32>,
        stop: Stop,
    ) -> Result<MatrixFactorizationModel> {
        let (of_users, of_items) = (self.factors_of_users(of_users)?, of_items.values());
        let summary = MatrixFactorizationSummary {
            ratings: self.census.ratings,
            partitions: self.rows.num_partitions(),
            batch: self.batch(),
            rmse_history: std::mem::take(&mut self.history),
            rmse: 0.0,
            stop,
        };
        let attributes = Attributes {
            users: self.users.len(),
            items: self.items.len(),
            mean: self.mean(),
            params: self.params.clone(),
            summary,
        };
        let (users, items) = (self.side(&self.users, &of_users), self.side(&self.items, &of_items));
        let mut model = MatrixFactorizationModel::new(users, items, attributes);
        let (homes, user_ids, item_ids) = (self.homes.clone(), self.users.clone(), self.items.clone());
        let ratings = self.rows.map_partitions_with_index(move |partition, rows| {
            let (homes, user_ids, item_ids) = (homes.clone(), user_ids.clone(), item_ids.clone());
            rows.map(move |r| {
                let user = homes.users[partition][r.user as usize];
                Rating::new(user_ids[user as usize], item_ids[r.item as usize], r.rating)
            })
        });
        let rmse = RegressionMetrics::of(&model.score(&ratings))?.root_mean_squared_error;
        let size = (self.census.squares / self.census.ratings as f64).sqrt();
        if rmse.is_nan() || rmse > DIVERGED * size.max(FIRST_FACTOR) {
            return Err(self.diverged(&format!("the errors are more than {DIVERGED} times the ratings")));
        }
        model.summary_mut().rmse = rmse;
        Ok(model)
    }
}

/// What a minibatch needs to know.
struct Descent {
    rank: usize,
    biases: bool,
    non_negative: bool,
    mean: f32,
    step: f64,
    decay: f64,
    penalty: f32,
}

impl Descent {
    fn run(
        &self,
        of_users: &mut [f32],
        batch: &[Rating],
        of_items: &mut TableView<'_, f32>,
        clock: &mut Clock,
    ) {
        let step = (self.step * self.decay.powf(clock.epoch() as f64)) as f32;
        let columns = of_items.columns();
        let (mut q, mut loss) = (vec![0.0; columns], 0.0);
        for r in batch {
            let (p, item) = (&mut of_users[r.user as usize * columns..][..columns], r.item as usize);
            of_items.read_row(item, &mut q);
            let error = r.rating - self.prediction(p, &q);
            loss += f64::from(error) * f64::from(error);
            self.step(step, error, p, &mut q);
            of_items.inc_dense(item, 0, &q);
        }
        clock.loss(loss);
    }
    fn prediction(&self, p: &[f32], q: &[f32]) -> f32 {
        let products = p[..self.rank].iter().zip(&q[..self.rank]);
        let product: f32 = match self.non_negative {
            true => products.map(|(p, q)| p.max(0.0) * q.max(0.0)).sum(),
            false => products.map(|(p, q)| p * q).sum(),
        };
        if self.biases { self.mean + p[self.rank] + q[self.rank] + product } else { product }
    }
    /// Moves the factors of a user, and replaces those of an item by what is to be added to them.
    fn step(&self, step: f32, error: f32, p: &mut [f32], q: &mut [f32]) {
        let (of_users, of_items) = (p[..self.rank].iter_mut(), q[..self.rank].iter_mut());
        for (p, q) in of_users.zip(of_items) {
            // Other partitions' increments can leave a factor below 0: this one counts as 0 then, and is put back.
            let (a, b) = if self.non_negative { (p.max(0.0), q.max(0.0)) } else { (*p, *q) };
            let to_p = step * (error * b - self.penalty * a);
            let to_q = step * (error * a - self.penalty * b);
            (*p, *q) = match self.non_negative {
                true => ((a + to_p).max(0.0), (b + to_q).max(0.0) - *q),
                false => (a + to_p, to_q),
            };
        }
        if self.biases {
            p[self.rank] += step * (error - self.penalty * p[self.rank]);
            q[self.rank] = step * (error - self.penalty * q[self.rank]);
        }
    }
}
