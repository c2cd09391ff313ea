//! Users, items and ratings, counted.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::hash::StableState;
use std::collections::HashMap;

/// Ratings of a partition in a clock, at most, unless said.
const BATCH_MAX: f64 = 1024.0;
/// Ratings of the most rated item in a clock, about, unless a batch is said: more would overshoot.
const ITEM_RATINGS_PER_CLOCK: f64 = 32.0;

/// Ratings by id.
type Counts = HashMap<u32, u64, StableState>;

/// What is known of some ratings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Census {
    /// (id, ratings), ascending.
    pub users: Vec<(u32, u64)>,
    pub items: Vec<(u32, u64)>,
    pub ratings: u64,
    pub sum: f64,
    pub squares: f64,
}

impl Census {
    pub fn of(ratings: impl Iterator<Item = Rating>) -> Self {
        let (mut users, mut items): (Counts, Counts) = Default::default();
        let mut census = Census::default();
        for Rating { user, item, rating } in ratings {
            *users.entry(user).or_default() += 1;
            *items.entry(item).or_default() += 1;
            census.ratings += 1;
            census.sum += f64::from(rating);
            census.squares += f64::from(rating).powi(2);
        }
        let sorted = |counts: Counts| {
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_unstable();
            counts
        };
        Census { users: sorted(users), items: sorted(items), ..census }
    }
    pub fn merge(self, other: Census) -> Census {
        Census {
            users: merge(self.users, other.users),
            items: merge(self.items, other.items),
            ratings: self.ratings + other.ratings,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
    /// Ratings of each partition in a clock, such that the most rated item does not get too many from all of them.
    pub fn batch(&self, partitions: usize) -> usize {
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
