//! What a partition has while a model rotates, and what it does in a clock.

use crate::view::Clock;
use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Record, rng};

/// The state of a partition, and the block that it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seat<S, B> {
    state: S,
    /// Nothing while it is under way to the next.
    held: Option<Held<B>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held<B> {
    number: u32,
    block: B,
    /// Passes over the records that are done.
    pass: u64,
    /// Records of this pass that are done.
    at: usize,
}

/// How the sub-epochs go.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub piece: usize,
    /// Further passes while others are not done, at most.
    pub extra: u64,
}

impl Shape {
    /// With Fugue: work, and hand over.
    pub fn clocks_per_sub_epoch(self) -> u64 {
        if self.extra > 0 { 2 } else { 1 }
    }
    /// The sub-epoch of a clock within its epoch, and whether blocks go on at its end.
    fn sub_epoch(self, clock: &Clock) -> (usize, u64) {
        let in_epoch = clock.number() % clock.clocks_per_epoch();
        let per = self.clocks_per_sub_epoch();
        ((in_epoch / per) as usize, in_epoch % per)
    }
}

/// Where the work on a block stands.
pub struct Turn<'a> {
    clock: &'a mut Clock,
    sub_epoch: usize,
    block: usize,
    pass: u64,
    first: usize,
    /// Size of the block, in turns that count it.
    counted: Option<u64>,
}

impl Turn<'_> {
    /// Number of the epoch, from 0.
    pub fn epoch(&self) -> u64 {
        self.clock.epoch()
    }
    /// Number of the sub-epoch in its epoch, from 0: of the stratum that is worked on.
    pub fn sub_epoch(&self) -> usize {
        self.sub_epoch
    }
    /// Number of the block.
    pub fn block(&self) -> usize {
        self.block
    }
    /// The partition that works on it.
    pub fn partition(&self) -> usize {
        self.clock.partition()
    }
    /// Partitions, and blocks.
    pub fn partitions(&self) -> usize {
        self.clock.partitions()
    }
    /// 0 for the pass that all make; later ones are Fugue's.
    pub fn pass(&self) -> u64 {
        self.pass
    }
    /// The place of the first record of this piece among those of the partition that need this block.
    pub fn first(&self) -> usize {
        self.first
    }
    /// Random numbers of this piece: the same for any number of workers.
    pub fn rng(&self) -> rng::Stream {
        let seed = self.clock.seed ^ hash_u64(self.first as u64 ^ self.pass << 40);
        rng::partition_stream(seed, self.clock.number(), self.clock.partition())
    }
    /// Adds to the loss of the epoch, but for that of Fugue's passes.
    pub fn loss(&mut self, loss: f64) {
        self.clock.loss(loss);
    }
    /// Tells how many bytes of the model the state of the partition has, for those who share a model between states and
    /// blocks: [`WorkerReport::model_bytes`](crate::WorkerReport::model_bytes) has both.
    pub fn model_bytes(&mut self, of_state: u64) {
        if let Some(of_block) = self.counted {
            self.clock.model_bytes(of_block + of_state);
        }
    }
}

impl<S: Record, B: Record> Seat<S, B> {
    pub(super) fn new(state: S, number: u32, block: B) -> Self {
        let mut seat = Seat { state, held: None };
        seat.take(number, block);
        seat
    }
    pub(super) fn take(&mut self, number: u32, block: B) {
        self.held = Some(Held { number, block, pass: 0, at: 0 });
    }
    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }
    /// The state alone.
    pub fn into_state(self) -> S {
        self.state
    }
    /// The block alone, with its number.
    ///
    /// # Panics
    /// If it is not one of those that a training has given back.
    pub fn into_block(self) -> (u32, B) {
        let held = self.held.expect("when a training has ended every partition has a block");
        (held.number, held.block)
    }
    /// What a partition does in a clock.
    pub(super) fn turn<R>(
        &mut self,
        shape: Shape,
        strata: &[Vec<R>],
        clock: &mut Clock,
        work: &mut impl FnMut(&mut S, &mut B, &[R], &mut Turn<'_>),
    ) {
        let (sub_epoch, step) = shape.sub_epoch(clock);
        if step == 0 {
            if let Some((_, (number, block))) = clock.mail::<(u32, B)>().pop() {
                self.take(number, block);
            }
            let held = self.held.as_ref().expect("a block is there before its turn");
            let expected = (clock.partition() + sub_epoch) % clock.partitions();
            assert_eq!(held.number as usize, expected, "blocks rotate in order");
            // To count the bytes takes as long as to write them: now and then is enough.
            let epoch = clock.epoch();
            let is_counted =
                sub_epoch == 0 && held.at == 0 && (clock.model_bytes == 0 || epoch.is_power_of_two());
            let counted = is_counted.then(|| {
                let bytes = postcard::serialize_with_flavor(&held.block, Size::default());
                bytes.unwrap_or(0) as u64
            });
            if let Some(bytes) = counted {
                clock.model_bytes(bytes);
            }
            if !self.piece(shape, sub_epoch, counted, &strata[sub_epoch], clock, work) {
                return clock.call_again();
            }
        }
        if step + 1 == shape.clocks_per_sub_epoch()
            && let Some(held) = self.held.take()
        {
            let next = (clock.partition() + clock.partitions() - 1) % clock.partitions();
            clock.send(next, (held.number, held.block));
        }
    }
    /// A piece more of Fugue's passes, while others are not done; true if there may be more.
    pub(super) fn extra<R>(
        &mut self,
        shape: Shape,
        strata: &[Vec<R>],
        clock: &mut Clock,
        work: &mut impl FnMut(&mut S, &mut B, &[R], &mut Turn<'_>),
    ) -> bool {
        let (sub_epoch, _) = shape.sub_epoch(clock);
        match &self.held {
            Some(held) if held.pass <= shape.extra && !strata[sub_epoch].is_empty() => {
                self.piece(shape, sub_epoch, None, &strata[sub_epoch], clock, work);
                true
            }
            _ => false,
        }
    }
    /// A piece of a pass; true if the pass is done.
    fn piece<R>(
        &mut self,
        shape: Shape,
        sub_epoch: usize,
        counted: Option<u64>,
        records: &[R],
        clock: &mut Clock,
        work: &mut impl FnMut(&mut S, &mut B, &[R], &mut Turn<'_>),
    ) -> bool {
        let Seat { state, held } = self;
        let Some(held) = held else { return true };
        let first = held.at;
        let end = records.len().min(first + shape.piece);
        let (block, pass) = (held.number as usize, held.pass);
        let mut turn = Turn { clock, sub_epoch, block, pass, first, counted };
        work(state, &mut held.block, &records[first..end], &mut turn);
        let is_done = end == records.len();
        (held.at, held.pass) = if is_done { (0, held.pass + 1) } else { (end, held.pass) };
        is_done
    }
}
