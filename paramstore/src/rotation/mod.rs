//! Block scheduling: a model in blocks that rotate over the partitions of the data, so that every partition works on a
//! block that nobody else has.
//!
//! # What
//! With `d` partitions the model has `d` blocks. An epoch is `d` sub-epochs. In sub-epoch `s` partition `p` works on block
//! `(p + s) mod d`, with those of its records that need this block: a *stratum* is what all partitions work on at the same
//! time. Then each block goes to the partition that works on it next, as a letter.
//!
//! # Guarantees
//! A block has one owner at any time, and every record sees what the ones before it in its partition, and all strata before
//! its own, have made of state and block. So it is serially equivalent: the result has the bits of the strata worked one block
//! after another by one thread, for any number of workers and processes, resumed or interrupted. With Fugue it depends on
//! how fast the others are.
//!
//! # Fugue
//! Who is done with its block before the slowest goes on with it, at most for some further passes, instead of waiting. A
//! sub-epoch is two clocks then: work, and hand over; extra passes are what a worker does while it waits for the second, and
//! end wherever they are when it may begin, so nobody waits for them.
//!
//! # Tables
//! What all blocks share (such as the totals of a model whose rows are in blocks) can stand in tables beside them: see
//! [`Rotation::work_with`].
//!
//! # Cost
//! A process has the blocks of its own partitions, and those that have arrived before their time: of `P` processes each has
//! about `1/P` of the model (`WorkerReport::model_bytes`). A sub-epoch costs one round of all workers (two with Fugue),
//! whatever its length, and sends each block once; within a process it is moved. Recovery points hold the blocks twice. At
//! the end of a training in a cluster all processes are told the states and blocks, encoded, as of all states of partitions.
//!
//! # References
//! Gemulla, Nijkamp, Haas and Sismanis 2011, *Large-scale matrix factorization with distributed stochastic gradient descent*
//! (strata); Kumar, Beutel, Ho and Xing 2014, *Fugue: slow-worker-agnostic distributed learning for big models on big data*.

mod seat;

pub use seat::{Seat, Turn};

use crate::epochs::{EpochsExt, Training};
use crate::table::Table;
use crate::value::Value;
use crate::view::{Clock, TableView};
use seat::Shape;
use slackwater_dataflow::{Dataset, Record};
use std::any::Any;
use std::sync::Arc;

/// Records of a block from one look of the worker at its other duties to the next, unless said.
const PIECE: usize = 1024;

/// Rotation of a model over the partitions of a dataset.
pub trait RotateExt<R: Record> {
    /// Divides a model into as many blocks as the dataset has partitions. A record comes with the number of the block that it
    /// needs; `init` makes a block of its number, in the process that works on it first.
    ///
    /// The records are grouped by block, in the order in which they stand, and held in memory while training runs.
    ///
    /// ```
    /// use slackwater_dataflow::Context;
    /// use slackwater_paramstore::RotateExt;
    ///
    /// // Sums of numbers by their remainder, in blocks of remainders.
    /// let cx = Context::local(2)?;
    /// let numbers = cx.range(0..1000, 4).map(|n| ((n % 20 / 5) as u32, n));
    /// let rotation = numbers.rotate(|_| vec![0u64; 5]).epochs(1);
    /// let training = rotation.work(|_, sums, numbers, _| numbers.iter().for_each(|n| sums[*n as usize % 5] += n));
    /// let (report, seats) = training.run_with_locals()?;
    /// let mut blocks: Vec<(u32, Vec<u64>)> = seats.map(|seat| seat.into_block()).collect()?;
    /// blocks.sort();
    /// assert_eq!(blocks[1], (1, (5..10).map(|first| (0..50).map(|i| first + 20 * i).sum()).collect()));
    /// assert_eq!(report.clocks, 4);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    fn rotate<B: Record>(&self, init: impl Fn(usize) -> B + Send + Sync + 'static) -> Rotation<R, B>;
}

impl<R: Record> RotateExt<R> for Dataset<(u32, R)> {
    #[track_caller]
    fn rotate<B: Record>(&self, init: impl Fn(usize) -> B + Send + Sync + 'static) -> Rotation<R, B> {
        let blocks = self.num_partitions();
        let strata = self.map_partitions_with_index(move |partition, records| {
            let mut strata: Vec<Vec<R>> = (0..blocks).map(|_| vec![]).collect();
            for (block, record) in records {
                let block = block as usize;
                assert!(block < blocks, "there is no block {block}: there are {blocks}, one a partition");
                strata[(block + blocks - partition) % blocks].push(record);
            }
            strata.into_iter()
        });
        let strata = strata.cache();
        let (state, init) = (Arc::new(|_: usize, _: &[Vec<R>]| ()), Arc::new(init));
        Rotation { strata, init, state, epochs: 1, seed: None, extra: 0, piece: PIECE }
    }
}

/// How a model rotates; see [`RotateExt::rotate`].
pub struct Rotation<R: Record, B: Record, S: Record = ()> {
    /// Of each partition: its records by sub-epoch.
    strata: Dataset<Vec<R>>,
    init: Arc<dyn Fn(usize) -> B + Send + Sync>,
    state: Arc<dyn Fn(usize, &[Vec<R>]) -> S + Send + Sync>,
    epochs: u64,
    seed: Option<u64>,
    extra: u64,
    piece: usize,
}

impl<R: Record, B: Record, S: Record> Rotation<R, B, S> {
    /// Passes over the dataset, 1 unless said. In each, every partition works once on every block.
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }
    /// Seed of [`Turn::rng`]; that of the context unless said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
    /// Fugue: who would wait for slower ones makes further passes over its block, at most so many in a sub-epoch. Results then
    /// depend on how fast the workers are.
    pub fn fugue(mut self, extra: u64) -> Self {
        self.extra = extra;
        self
    }
    /// Records that the function is given at once, at most, 1024 unless said: between two calls the worker looks after
    /// its other duties, and with Fugue whether the block must go. They should take less than a millisecond.
    pub fn piece(mut self, records: usize) -> Self {
        self.piece = records.max(1);
        self
    }
    /// Gives every partition a state that stays with it, made of its number and its records by sub-epoch.
    pub fn state<N: Record>(
        self,
        init: impl Fn(usize, &[Vec<R>]) -> N + Send + Sync + 'static,
    ) -> Rotation<R, B, N> {
        let Rotation { strata, init: of_blocks, epochs, seed, extra, piece, .. } = self;
        Rotation { strata, init: of_blocks, state: Arc::new(init), epochs, seed, extra, piece }
    }
    /// Calls `work` with the state of a partition, the block that it has, records that need this block, and where it
    /// stands; piece by piece, in the order of the records. What it does must depend on nothing else.
    ///
    /// The training gives the states and blocks back by [`run_with_locals`](Training::run_with_locals), one [`Seat`] a
    /// partition. It has no tables.
    pub fn work(
        self,
        work: impl Fn(&mut S, &mut B, &[R], &mut Turn<'_>) + Send + Sync + 'static,
    ) -> Training<'static, Vec<R>, f32, Seat<S, B>> {
        self.train(&[], move |state, block, records, _, turn| work(state, block, records, turn))
    }
    /// [`work`](Rotation::work) with tables beside the blocks. A clock is a sub-epoch: under BSP all that partitions have added in
    /// one is seen by all in the next, and the result is the same for any number of workers.
    ///
    /// # Panics
    /// With Fugue, whose further passes are between clocks, where there are no tables.
    pub fn work_with<V: Value>(
        self,
        tables: &[&Table<V>],
        work: impl Fn(&mut S, &mut B, &[R], &mut [TableView<'_, V>], &mut Turn<'_>) + Send + Sync + 'static,
    ) -> Training<'static, Vec<R>, V, Seat<S, B>> {
        assert!(self.extra == 0, "the further passes of Fugue have no tables");
        self.train(tables, work)
    }
    fn train<V: Value>(
        self,
        tables: &[&Table<V>],
        work: impl Fn(&mut S, &mut B, &[R], &mut [TableView<'_, V>], &mut Turn<'_>) + Send + Sync + 'static,
    ) -> Training<'static, Vec<R>, V, Seat<S, B>> {
        let Rotation { strata, init, state, epochs, seed, extra, piece } = self;
        let shape = Shape { piece, extra };
        let work = Arc::new(work);
        let mut epochs = strata.epochs(epochs).mail::<(u32, B)>();
        epochs.clocks = Some(strata.num_partitions() as u64 * shape.clocks_per_sub_epoch());
        epochs.seed = seed;
        let again = work.clone();
        let training = epochs
            .local(move |partition, strata: &[Vec<R>]| {
                Seat::new(state(partition, strata), partition as u32, init(partition))
            })
            .update_all(tables, move |seat: &mut Seat<S, B>, strata, views, clock| {
                seat.turn(shape, strata, clock, &mut |s, b, records, turn| work(s, b, records, views, turn));
            });
        let mut training = match extra {
            0 => training,
            _ => training.meanwhile(move |seat, strata: &[Vec<R>], clock: &mut Clock| {
                seat.extra(shape, strata, clock, &mut |s, b, records, turn| {
                    again(s, b, records, &mut [], turn)
                })
            }),
        };
        training.at_end = Some(Arc::new(|local: &mut dyn Any, letters| {
            let seat = local.downcast_mut::<Seat<S, B>>().expect("states of a training have one type");
            for (_, letter) in letters {
                let (number, block) = *letter.downcast().expect("letters of a training have one type");
                seat.take(number, block);
            }
        }));
        training
    }
}
