//! Coordinate descent beside one that recomputes everything from the ratings, value by value.

use super::super::train::First;
use super::*;
use crate::recommendation::{MatrixFactorizationParams, Solver};
use slackwater_dataflow::{Context, rng};

/// Users and items, by row; the bias last.
struct Naive {
    users: Vec<Vec<f64>>,
    items: Vec<Vec<f64>>,
    mean: f64,
    rank: usize,
}

impl Naive {
    fn error(&self, r: &Rating) -> f64 {
        let (p, q) = (&self.users[r.user as usize], &self.items[r.item as usize]);
        let product: f64 = (0..self.rank).map(|k| p[k] * q[k]).sum();
        let biases = p.get(self.rank).unwrap_or(&0.0) + q.get(self.rank).unwrap_or(&0.0);
        f64::from(r.rating) - self.mean - biases - product
    }
    /// Moves a column of all users, or of all items.
    fn step(
        &mut self,
        ratings: &[Rating],
        column: usize,
        of_items: bool,
        params: &MatrixFactorizationParams,
    ) {
        let rows = if of_items { self.items.len() } else { self.users.len() };
        for row in 0..rows {
            let (mut product, mut square, mut n) = (0.0, 0.0, 0.0);
            let own = if of_items { self.items[row][column] } else { self.users[row][column] };
            for r in ratings.iter().filter(|r| row == if of_items { r.item } else { r.user } as usize) {
                let other =
                    if of_items { &self.users[r.user as usize] } else { &self.items[r.item as usize] };
                let other = if column == self.rank { 1.0 } else { other[column] };
                product += (self.error(r) + own * other) * other;
                square += other * other;
                n += 1.0;
            }
            let value = product / (square + params.regularization * n);
            let value = if params.non_negative { value.max(0.0) } else { value };
            if of_items { self.items[row][column] = value } else { self.users[row][column] = value }
        }
    }
    fn epoch(&mut self, ratings: &[Rating], params: &MatrixFactorizationParams) {
        let biases = params.biases.then_some((self.rank, 1));
        for (column, inner) in biases.into_iter().chain((0..self.rank).map(|k| (k, params.inner_iterations)))
        {
            for _ in 0..inner {
                self.step(ratings, column, false, params);
                self.step(ratings, column, true, params);
            }
        }
    }
}

/// About a third of the ratings of 25 items by 40 users, each at least once, some twice.
fn ratings() -> Vec<Rating> {
    let mut random = rng::stream(7, 0);
    let all = (0..40u32).flat_map(|user| (0..25u32).map(move |item| (user, item)));
    let mut ratings = vec![];
    for (user, item) in all {
        let times = if user % 25 == item { 1 + user % 2 } else { u32::from(rng::below(&mut random, 3) == 0) };
        for _ in 0..times {
            let liked = f64::from((user * item) % 5) - 1.0;
            ratings.push(Rating::new(user, item, (3.0 + liked + 0.3 * rng::normal(&mut random)) as f32));
        }
    }
    ratings
}

#[test]
fn every_step_is_that_of_a_naive_program() {
    let all = ratings();
    let base = MatrixFactorizationParams { solver: Solver::Ccd, rank: 3, ..Default::default() };
    for params in [
        base.clone(),
        MatrixFactorizationParams { inner_iterations: 3, regularization: 0.02, ..base.clone() },
        MatrixFactorizationParams { biases: false, ..base.clone() },
        MatrixFactorizationParams { biases: false, inner_iterations: 2, rank: 1, ..base.clone() },
        MatrixFactorizationParams {
            non_negative: true,
            biases: false,
            inner_iterations: 2,
            regularization: 0.01,
            ..base.clone()
        },
    ] {
        for epochs in [1, 2, 5] {
            let params = MatrixFactorizationParams { epochs, ..params.clone() };
            let cx = Context::local(2).unwrap();
            let model = params.fit(&cx.parallelize(all.clone(), 3)).unwrap();
            let mean = all.iter().map(|r| f64::from(r.rating)).sum::<f64>() / all.len() as f64;
            let start = if params.biases { 0.0 } else { (mean / params.rank as f64).sqrt() };
            let least = if params.non_negative { 0.0 } else { f64::NEG_INFINITY };
            let first = First { rank: params.rank, seed: params.seed, start, least };
            let columns = params.rank + usize::from(params.biases);
            let of_item = |i| (0..columns).map(|c| f64::from(first.factor(40 + i, c))).collect();
            let mut naive = Naive {
                users: vec![vec![0.0; columns]; 40],
                items: (0..25).map(of_item).collect(),
                mean: if params.biases { mean } else { 0.0 },
                rank: params.rank,
            };
            (0..epochs).for_each(|_| naive.epoch(&all, &params));
            let close = |got: f64, want: f64| {
                assert!((got - want).abs() < 2e-5 * (1.0 + want.abs()), "{params:?}: {got} {want}");
            };
            for (user, want) in naive.users.iter().enumerate() {
                let factors = model.user_factors(user as u32).unwrap();
                factors.iter().zip(want).for_each(|(x, y)| close(f64::from(*x), *y));
                close(model.user_bias(user as u32), *want.get(params.rank).unwrap_or(&0.0));
            }
            for (item, want) in naive.items.iter().enumerate() {
                let factors = model.item_factors(item as u32).unwrap();
                factors.iter().zip(want).for_each(|(x, y)| close(f64::from(*x), *y));
                close(model.item_bias(item as u32), *want.get(params.rank).unwrap_or(&0.0));
            }
            // The errors are those after each epoch.
            let history = &model.summary().rmse_history;
            let error = all.iter().map(|r| naive.error(r).powi(2)).sum::<f64>() / all.len() as f64;
            close(history[epochs - 1], error.sqrt());
            close(model.summary().rmse, error.sqrt());
        }
    }
}
