//! Coordinate descent, feature by feature (CCD++).
//!
//! # What
//! The residual of the ratings is kept twice: by user, in the partition where the user lives, and by item, in that of the item. A
//! feature is what is left of the ratings as a matrix of rank one: users are moved to where each of them is best for the
//! items as they are, then items for the users, so `p_u = Σ r q_i / (λ n_u + Σ q_i²)` over the ratings of the user, of which there
//! are `n_u`. That is done some times, and then comes the next feature. Biases are moved once an epoch, before the features,
//! in the same way. What is not negative is that best value or 0, whichever is larger.
//!
//! # Guarantees
//! No step raises the objective, but for rounding. Each partition owns the factors of its users and of its items, and tells
//! the others in letters what they need of them; so it comes to the same bits for any number of workers and processes.
//!
//! # Cost
//! A clock moves one feature of users, or of items, and passes over all ratings in that order. Each of both copies of a rating
//! takes 8 bytes beside the 8 of its place. For each feature two values of a user go to each partition with items that it has
//! rated, and two of an item; one for each inner iteration but the first of users, and but the last of items.

mod seat;
mod side;
mod steps;

use super::model::MatrixFactorizationModel;
use super::train::{Fit, Homes};
use crate::blocks::Blocks;
use crate::optimization::Observer;
use seat::{Descent, Letter, Seat, Sides};
use side::{Entry, Side};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::hash::{hash_of, partition_of};
use slackwater_dataflow::transform::{Partitioner, PartitionerId};
use slackwater_dataflow::{Dataset, Result};
use slackwater_paramstore::{EpochsExt, Snapshots, Training};
use std::iter::once_with;
use std::sync::Arc;
use steps::Steps;

/// Block `i` is partition `i`.
struct ByBlock(usize);

impl Partitioner<u32> for ByBlock {
    fn partitions(&self) -> usize {
        self.0
    }
    fn partition(&self, key: &u32) -> usize {
        *key as usize
    }
    fn id(&self) -> PartitionerId {
        PartitionerId { kind: "block of items".to_string(), partitions: self.0, digest: 0 }
    }
}

impl Fit<'_> {
    /// Factors of users and items are states, and go to others feature by feature.
    pub(super) fn descend_by_feature(
        &mut self,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<MatrixFactorizationModel> {
        let (params, first, users) = (self.params, self.first(), self.users.len());
        let blocks = Arc::new(self.blocks());
        let sides = sides(&self.rows, &self.homes, &blocks)?.cache();
        let largest = sides.map(|sides| sides.users.ratings().len().max(sides.items.ratings().len()));
        self.batch = largest.reduce(usize::max)?.unwrap_or(0);
        let descent = Descent {
            steps: Steps { rank: params.rank, biases: params.biases, inner: params.inner_iterations },
            non_negative: params.non_negative,
            penalty: params.regularization,
        };
        let (mean, of_blocks) = (if params.biases { self.mean() as f32 } else { 0.0 }, blocks.clone());
        let training = sides
            .epochs(params.epochs as u64)
            .clocks(descent.steps.clocks_per_epoch())
            .seed(params.seed)
            .mail::<Letter>()
            .local(move |partition, sides: &[Sides]| {
                let first =
                    |p: usize, i, column| first.factor(users + of_blocks.items[p][i] as usize, column);
                Seat::new(&descent, &sides[0], partition, mean, first)
            });
        let training: Training<'_, Sides, f32, Seat> =
            training.update_all(&[], move |seat: &mut Seat, sides, _, clock| {
                descent.run(seat, &sides[0], clock);
            });
        let result = self.run(training, snapshots, observer);
        sides.unpersist();
        let (stop, seats) = result?;
        let columns = self.columns();
        let mut of_items = vec![0.0; columns * self.items.len()];
        for (items, factors) in blocks.items.iter().zip(seats.map(|seat| seat.items()).collect()?) {
            for (item, of_item) in items.iter().zip(factors.chunks_exact(columns)) {
                of_items[*item as usize * columns..][..columns].copy_from_slice(of_item);
            }
        }
        self.model(seats.map(|seat| seat.users()), &of_items, stop)
    }
}

/// The ratings of each partition by its users, and by its items.
fn sides(rows: &Dataset<Rating>, homes: &Arc<Homes>, blocks: &Arc<Blocks>) -> Result<Dataset<Sides>> {
    let partitions = rows.num_partitions();
    let (of_users, of_items) = (homes.clone(), blocks.clone());
    let by_user = rows.map_partitions_with_index(move |partition, rows| {
        let (homes, blocks) = (of_users.clone(), of_items.clone());
        once_with(move || {
            let entry =
                |r: Rating| Entry { row: r.user, other: blocks.places[r.item as usize], rating: r.rating };
            Side::new(homes.users[partition].len(), partitions, &rows.map(entry).collect::<Vec<_>>())
        })
    });
    let (of_users, of_items) = (homes.clone(), blocks.clone());
    let to_items = rows.map_partitions_with_index(move |partition, rows| {
        let (homes, blocks) = (of_users.clone(), of_items.clone());
        rows.map(move |r| {
            let (block, place) = blocks.places[r.item as usize];
            (block, Rating::new(homes.users[partition][r.user as usize], place, r.rating))
        })
    });
    let by_block: Arc<dyn Partitioner<u32>> = Arc::new(ByBlock(partitions));
    let (of_users, of_items) = (homes.clone(), blocks.clone());
    let to_items = to_items.partition_by(by_block).values();
    let by_item = to_items.map_partitions_with_index(move |partition, rows| {
        let (homes, blocks) = (of_users.clone(), of_items.clone());
        once_with(move || {
            let home =
                |user: u32| (partition_of(hash_of(&user), partitions) as u32, homes.places[user as usize]);
            let entry = |r: Rating| Entry { row: r.item, other: home(r.user), rating: r.rating };
            Side::new(blocks.items[partition].len(), partitions, &rows.map(entry).collect::<Vec<_>>())
        })
    });
    by_user.zip_partitions(&by_item, |users, items| {
        users.zip(items).map(|(users, items)| Sides { users, items })
    })
}
