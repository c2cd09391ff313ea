//! Steps of stochastic gradient descent, rating by rating.

use crate::linalg::widest;
use slackwater_dataflow::block::Rating;
use slackwater_paramstore::{Clock, TableView, Turn};

/// Independent partial sums of [`dot`]: a vector of the widest registers, or two of the others.
const LANES: usize = 8;

/// What a minibatch needs to know.
pub(super) struct Descent {
    pub rank: usize,
    pub biases: bool,
    pub non_negative: bool,
    pub mean: f32,
    pub step: f64,
    pub decay: f64,
    pub penalty: f32,
}

impl Descent {
    /// The step of an epoch.
    fn step_of(&self, epoch: u64) -> f32 {
        (self.step * self.decay.powf(epoch as f64)) as f32
    }
    /// A minibatch on a table of items.
    pub fn run(
        &self,
        of_users: &mut [f32],
        batch: &[Rating],
        of_items: &mut TableView<'_, f32>,
        clock: &mut Clock,
    ) {
        let step = self.step_of(clock.epoch());
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
    /// Ratings whose items are in a block that nobody else has: by their place in it.
    pub fn run_in_block(
        &self,
        of_users: &mut [f32],
        of_items: &mut [f32],
        ratings: &[Rating],
        turn: &mut Turn<'_>,
    ) {
        let (step, columns) = (self.step_of(turn.epoch()), self.rank + usize::from(self.biases));
        let mut loss = 0.0;
        for r in ratings {
            let p = &mut of_users[r.user as usize * columns..][..columns];
            let q = &mut of_items[r.item as usize * columns..][..columns];
            loss += widest(
                #[inline(always)]
                || self.step_in_place(step, r.rating, p, q),
            );
        }
        turn.loss(loss);
        turn.model_bytes(4 * of_users.len() as u64);
    }
    /// Moves the factors of a user and of an item; returns the squared error before.
    #[inline(always)]
    fn step_in_place(&self, step: f32, rating: f32, p: &mut [f32], q: &mut [f32]) -> f64 {
        let ((p, of_user), (q, of_item)) = (p.split_at_mut(self.rank), q.split_at_mut(self.rank));
        let biases = match (self.biases, &*of_user, &*of_item) {
            (true, [of_user], [of_item]) => self.mean + of_user + of_item,
            _ => 0.0,
        };
        let error = rating - biases - dot(p, q);
        let least = if self.non_negative { 0.0 } else { f32::NEG_INFINITY };
        for (p, q) in p.iter_mut().zip(q) {
            let (a, b) = (*p, *q);
            *p = (a + step * (error * b - self.penalty * a)).max(least);
            *q = (b + step * (error * a - self.penalty * b)).max(least);
        }
        for bias in of_user.iter_mut().chain(of_item) {
            *bias += step * (error - self.penalty * *bias);
        }
        f64::from(error) * f64::from(error)
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

/// Inner product.
#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in xs.iter().zip(ys) {
        for k in 0..LANES {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[4]) + (sums[1] + sums[5]) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}
