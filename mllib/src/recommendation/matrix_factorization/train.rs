//! Training: from ratings to factors, on a table or in blocks, and from factors to a model.

use super::census::Census;
use super::descent::Descent;
use super::ids::Ids;
use super::model::Side;
use super::params::Solver;
use super::{Attributes, MatrixFactorizationModel, MatrixFactorizationParams, MatrixFactorizationSummary};
use crate::blocks::Blocks;
use crate::evaluation::RegressionMetrics;
use crate::optimization::{ModelBytes, Observer, Stop, TableTrained, TableTraining, silent};
use crate::random::{shuffle, unit_of};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::hash::{hash_of, partition_of};
use slackwater_dataflow::{Data, Dataset, Error, ErrorKind, Record, Result, rng};
use slackwater_paramstore::{EpochsExt, RotateExt, Snapshots, Table, TableExt, TableSpec, Training, Value};
use std::iter::once_with;
use std::sync::Arc;

/// First factors are within plus and minus this; biases begin at 0.
const FIRST_FACTOR: f64 = 0.1;
/// Errors this many times the size of ratings are no training any more.
const DIVERGED: f64 = 10.0;

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
        let ids = |counts: &[(u32, u64)]| Arc::new(Ids::new(counts.iter().map(|(id, _)| *id).collect()));
        let (users, items) = (ids(&census.users), ids(&census.items));
        let partitions = ratings.num_partitions().max(ratings.context().config().default_partitions);
        let homes = Arc::new(Homes::new(users.len(), partitions));
        let rows = self.rows(ratings, &users, &items, &homes).cache();
        let mut fit = Fit {
            params: self,
            rows,
            census,
            users,
            items,
            homes,
            batch: 0,
            history: vec![],
            model_bytes: ModelBytes::default(),
        };
        let result = match self.solver {
            Solver::Sgd => fit.table().and_then(|table| {
                let (stop, of_users) = fit.descend(&table, snapshots, observer)?;
                fit.model(of_users, &table.values(), stop)
            }),
            Solver::Dsgd => fit.rotate(snapshots, observer),
            Solver::Ccd => fit.descend_by_feature(snapshots, observer),
        };
        fit.rows.unpersist();
        result
    }
    /// The ratings of users by their place in the partition and of items by their row of the table, all ratings of a user
    /// in one partition: in a random order if the solver takes one after the other, else user by user, which is quicker to go over.
    fn rows(
        &self,
        ratings: &Dataset<Rating>,
        users: &Arc<Ids>,
        items: &Arc<Ids>,
        homes: &Arc<Homes>,
    ) -> Dataset<Rating> {
        let (users, items, seed, partitions) = (users.clone(), items.clone(), self.seed, homes.users.len());
        let (places, row) = (homes.clone(), |ids: &Ids, id: u32| ids.place(id).expect("all were counted"));
        let rows = ratings.map(move |r| {
            let (user, item) = (row(&users, r.user), row(&items, r.item));
            (user as u32, Rating::new(places.places[user], item as u32, r.rating))
        });
        let is_in_order = self.solver == Solver::Ccd;
        rows.partition_by(partitions).values().map_partitions_with_index(move |partition, rows| {
            let mut rows: Vec<Rating> = rows.collect();
            match is_in_order {
                true => rows.sort_by_key(|r| r.user),
                false => shuffle(&mut rows, &mut rng::stream(seed, partition as u64)),
            }
            rows.into_iter()
        })
    }
}

/// The most ratings that a partition has of a block.
fn largest_stratum(blocks: &Arc<Blocks>, rows: &Dataset<Rating>) -> Result<usize> {
    let blocks = blocks.clone();
    let largest = rows.map_partitions(move |rows| {
        let blocks = blocks.clone();
        once_with(move || {
            let mut counts = vec![0u64; blocks.items.len()];
            rows.for_each(|r| counts[blocks.places[r.item as usize].0 as usize] += 1);
            counts.into_iter().max().unwrap_or(0)
        })
    });
    Ok(largest.reduce(|a, b| a.max(b))?.unwrap_or(0) as usize)
}

/// Where users live: with the partition that has their ratings.
pub(super) struct Homes {
    /// By user: place among those of the partition.
    pub places: Vec<u32>,
    /// By partition: users, ascending.
    pub users: Vec<Vec<u32>>,
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
pub(super) struct First {
    rank: usize,
    seed: u64,
    /// What they are around.
    start: f64,
    least: f64,
}

impl First {
    /// By row, users before items, and column.
    pub fn factor(self, row: usize, column: usize) -> f32 {
        if column == self.rank {
            return 0.0;
        }
        let unit = unit_of([self.seed, row as u64, column as u64]);
        let factor = self.start + (2.0 * unit - 1.0) * FIRST_FACTOR.max(self.start / 2.0);
        factor.max(self.least) as f32
    }
}

/// One training.
pub(super) struct Fit<'a> {
    pub params: &'a MatrixFactorizationParams,
    pub rows: Dataset<Rating>,
    pub census: Census,
    pub users: Arc<Ids>,
    pub items: Arc<Ids>,
    pub homes: Arc<Homes>,
    /// Ratings of each partition in a clock, at most.
    pub batch: usize,
    history: Vec<f64>,
    model_bytes: ModelBytes,
}

impl Fit<'_> {
    pub fn mean(&self) -> f64 {
        self.census.sum / self.census.ratings as f64
    }
    fn descent(&self) -> Descent {
        let params = self.params;
        Descent {
            rank: params.rank,
            biases: params.biases,
            non_negative: params.non_negative,
            mean: if params.biases { self.mean() as f32 } else { 0.0 },
            step: params.step_size,
            decay: params.decay,
            penalty: params.regularization as f32,
        }
    }
    /// First factors of the users of a partition.
    fn first_of_users(&self) -> impl Fn(usize) -> Vec<f32> + Send + Sync + 'static {
        let (homes, first, columns) = (self.homes.clone(), self.first(), self.columns());
        move |partition| {
            let users = homes.users[partition].iter().map(|user| *user as usize);
            users.flat_map(|user| (0..columns).map(move |c| first.factor(user, c))).collect()
        }
    }
    pub fn columns(&self) -> usize {
        self.params.rank + usize::from(self.params.biases)
    }
    pub fn first(&self) -> First {
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
        let (params, descent, first) = (self.params, self.descent(), self.first_of_users());
        let batch = params.batch.unwrap_or_else(|| self.census.batch(self.rows.num_partitions()));
        self.batch = batch;
        let training = self
            .rows
            .epochs(params.epochs as u64)
            .batch(batch)
            .seed(params.seed)
            .local(move |partition, _| first(partition))
            .update_all(&[table], move |of_users: &mut Vec<f32>, batch, tables, clock| {
                descent.run(of_users, batch, &mut tables[0], clock)
            });
        self.run(training, snapshots, observer)
    }
    /// Items in as many blocks as there are partitions, with about as many ratings each.
    pub(super) fn blocks(&self) -> Blocks {
        let counts: Vec<u64> = self.census.items.iter().map(|(_, ratings)| *ratings).collect();
        Blocks::new(&counts, self.rows.num_partitions())
    }
    /// Factors of users are states, blocks of items rotate.
    fn rotate(
        &mut self,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<MatrixFactorizationModel> {
        let (params, descent, first_of_users) = (self.params, self.descent(), self.first_of_users());
        let (users, columns, first) = (self.users.len(), self.columns(), self.first());
        let blocks = Arc::new(self.blocks());
        let (places, of_blocks) = (blocks.clone(), blocks.clone());
        self.batch = largest_stratum(&blocks, &self.rows)?;
        let ratings = self.rows.map(move |r| {
            let (block, place) = places.places[r.item as usize];
            (block, Rating::new(r.user, place, r.rating))
        });
        let training = ratings
            .rotate(move |block| -> Vec<f32> {
                let rows = of_blocks.items[block].iter().map(|item| users + *item as usize);
                rows.flat_map(|row| (0..columns).map(move |c| first.factor(row, c))).collect()
            })
            .epochs(params.epochs as u64)
            .seed(params.seed)
            .fugue(params.fugue as u64)
            .state(move |partition, _| first_of_users(partition))
            .work(move |of_users, of_items, ratings, turn| {
                descent.run_in_block(of_users, of_items, ratings, turn);
            });
        let (stop, seats) = self.run(training, snapshots, observer)?;
        let mut of_items = vec![0.0; columns * self.items.len()];
        for (block, factors) in seats.map(|seat| seat.into_block()).collect()? {
            let items = blocks.items[block as usize].iter();
            for (item, of_item) in items.zip(factors.chunks_exact(columns)) {
                of_items[*item as usize * columns..][..columns].copy_from_slice(of_item);
            }
        }
        self.model(seats.map(|seat| seat.into_state()), &of_items, stop)
    }
    /// Runs a training; returns why it ended, and the states of the partitions.
    pub fn run<T: Data, V: Value, S: Record>(
        &mut self,
        training: Training<'_, T, V, S>,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<(Stop, Dataset<S>)> {
        let ratings = self.census.ratings as f64;
        let run = TableTraining {
            snapshots,
            tolerance: self.params.tolerance,
            objective: &|loss| (loss / ratings).sqrt(),
        };
        let result = run.run(training, observer).map_err(|e| match e.kind() {
            ErrorKind::Numerical(message) => self.diverged(message),
            _ => e,
        });
        let TableTrained { history, stop, states, report } = result?;
        self.history = history;
        if self.params.solver != Solver::Sgd {
            self.model_bytes = report.model_bytes(self.rows.context().topology().workers).into();
        }
        Ok((stop, states))
    }
    fn diverged(&self, what: &str) -> Error {
        let (step, batch) = (self.params.step_size, self.batch);
        let hint = match self.params.solver {
            Solver::Sgd => format!("a smaller step size than {step}, or a smaller batch than {batch}"),
            Solver::Dsgd => format!("a smaller step size than {step}"),
            Solver::Ccd => "a larger regularization".to_string(),
        };
        Error::new(ErrorKind::Numerical(format!("{what}\n  hint: {hint}")))
    }
    fn side(&self, ids: &Arc<Ids>, values: &[f32]) -> Side {
        let rank = self.params.rank;
        let rows = || values.chunks_exact(self.columns());
        // What partitions have added up to may be a little below.
        let least = if self.params.non_negative { 0.0 } else { f32::NEG_INFINITY };
        Side {
            ids: ids.clone(),
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
    pub fn model(
        &mut self,
        of_users: Dataset<Vec<f32>>,
        of_items: &[f32],
        stop: Stop,
    ) -> Result<MatrixFactorizationModel> {
        let of_users = self.factors_of_users(of_users)?;
        let summary = MatrixFactorizationSummary {
            ratings: self.census.ratings,
            partitions: self.rows.num_partitions(),
            batch: self.batch,
            rmse_history: std::mem::take(&mut self.history),
            rmse: 0.0,
            model_bytes: std::mem::take(&mut self.model_bytes),
            stop,
        };
        let attributes = Attributes {
            users: self.users.len(),
            items: self.items.len(),
            mean: self.mean(),
            params: self.params.clone(),
            summary,
        };
        let (users, items) = (self.side(&self.users, &of_users), self.side(&self.items, of_items));
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
