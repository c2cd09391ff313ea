//! Map side: open blocks by partition, and a combiner that switches itself off.

use crate::Record;
use crate::dataset::lineage::Stop;
use crate::exec::parcel::{Head, Pairs, Parcel, Payload};
use crate::exec::stage::Task;
use crate::exec::table::Table;
use crate::fault;
use crate::store::memory::Memory;
use std::hash::Hash;
use std::sync::Arc;

/// What one map task makes.
pub(crate) struct MapTarget {
    pub map: usize,
    pub attempt: u32,
    /// Reduce partitions that are wanted; records for the others are dropped.
    pub missing: Arc<Vec<bool>>,
    pub block_bytes: u64,
    /// Where spare blocks are.
    pub memory: Arc<Memory>,
    /// For tests: records an open block holds.
    pub budget_records: Option<usize>,
}

/// A map task: one chunk of input a call.
pub(crate) trait MapTask<P> {
    /// Appends finished blocks; true at the end.
    fn step(&mut self, out: &mut Vec<Parcel<P>>) -> Result<bool, Stop>;
}

/// A map task as a task of a stage.
pub(crate) struct AsTask<P>(pub Box<dyn MapTask<P>>);

impl<P> Task<P> for AsTask<P> {
    fn step(&mut self, out: &mut Vec<Parcel<P>>) -> Result<bool, Stop> {
        self.0.step(out)
    }
}

/// A block that is being filled.
struct Open<K, V> {
    block: Pairs<K, V>,
    /// Records with which it is shipped.
    full: usize,
}

/// Records up to which a block grows as it must, since a task may have few; then it moves to one of full size.
const SMALL_RECORDS: usize = 1024;
/// Records by which the first blocks of neighbouring partitions differ: an odd number of cache lines of 8-byte values.
/// Blocks begin on large powers of two; where keys are spread evenly and all blocks are equally full, what is written next
/// would lie in the same few sets of the caches for all partitions.
const STAGGER_RECORDS: usize = 17 * 8;

/// The open blocks of one task attempt, one a reduce partition.
pub(crate) struct Scatter<K, V> {
    open: Vec<Open<K, V>>,
    missing: Arc<Vec<bool>>,
    all: bool,
    /// Records an open block holds.
    capacity: usize,
    memory: Arc<Memory>,
    head: Head,
    pub records: u64,
    pub bytes: u64,
}

impl<K: Record, V: Record> Scatter<K, V> {
    pub fn new(target: &MapTarget) -> Self {
        let size = (size_of::<K>() + size_of::<V>()).max(1);
        let capacity = target.budget_records.unwrap_or((target.block_bytes as usize / size).max(16));
        let head = Head { map: target.map as u32, attempt: target.attempt, ..Head::default() };
        Scatter {
            open: (target.missing.iter())
                .map(|_| Open { block: Pairs::default(), full: SMALL_RECORDS.min(capacity) })
                .collect(),
            all: target.missing.iter().all(|m| *m),
            missing: target.missing.clone(),
            capacity,
            memory: target.memory.clone(),
            head,
            records: 0,
            bytes: 0,
        }
    }
    #[inline(always)]
    pub fn push(&mut self, part: usize, key: K, value: V, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        if !self.all && !self.missing[part] {
            return;
        }
        let Open { block, full } = &mut self.open[part];
        block.keys.push(key);
        block.values.push(value);
        if block.keys.len() >= *full {
            self.turn(part, out);
        }
    }
    /// Goes on with a block of full size, after a small or a full one.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, part: usize, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        let fresh = Open { block: self.fresh(), full: self.capacity };
        let Open { mut block, full } = std::mem::replace(&mut self.open[part], fresh);
        if full >= self.capacity / 2 {
            return self.ship(part, block, out);
        }
        let open = &mut self.open[part];
        open.block.keys.append(&mut block.keys);
        open.block.values.append(&mut block.values);
        open.full -= part * STAGGER_RECORDS % (self.capacity / 2 + 1);
    }
    fn fresh(&self) -> Pairs<K, V> {
        self.memory.spare.take(self.capacity).unwrap_or_else(|| Pairs {
            keys: Vec::with_capacity(self.capacity),
            values: Vec::with_capacity(self.capacity),
        })
    }
    /// The records in a block of their size; a block of full size waits for the next shuffle.
    fn smaller(&self, mut block: Pairs<K, V>) -> Pairs<K, V> {
        let mut small = Pairs::default();
        small.keys.append(&mut block.keys);
        small.values.append(&mut block.values);
        if let Some((room, emptied)) = block.take_emptied() {
            let bytes = emptied.bytes();
            self.memory.spare.give(room, emptied, bytes, self.memory.spare_limit());
        }
        small
    }
    fn ship(&mut self, part: usize, full: Pairs<K, V>, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        fault::reach_in_task("mid-shuffle");
        self.records += full.keys.len() as u64;
        self.bytes += full.bytes();
        out.push(Parcel::data(Head { part: part as u32, ..self.head }, full));
        self.head.seq += 1;
    }
    /// Ships what is left.
    pub fn finish(&mut self, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        for part in 0..self.open.len() {
            let mut last = std::mem::take(&mut self.open[part].block);
            if last.keys.len() < last.keys.capacity() / 4 {
                last = self.smaller(last);
            }
            if !last.keys.is_empty() {
                self.ship(part, last, out);
            }
        }
    }
}

/// Keys that the combiner holds at most: with 16-byte entries its table is 1.5 MiB, in a second-level cache. It must
/// not depend on memory or workers, because where the table is emptied decides how values are associated.
const KEYS_MAX: usize = 64 << 10;
/// The same for keys with a heap, such as texts: shipping one costs an allocation, so a larger table pays although it
/// leaves the cache. About 20 MiB of short texts.
const HEAP_KEYS_MAX: usize = 256 << 10;
/// Records that pass uncombined before the combiner tries again, as data may be clustered.
const REST_RECORDS: usize = 4 << 20;

/// Combines values by key before the scatter, and stops where that does not pay.
///
/// When the table is full it is emptied; if it did not at least halve the records, the next [`REST_RECORDS`] records go
/// straight to the scatter. With few or skewed keys nearly nothing is shipped, with many 2 % of the records pay for the
/// test. All of it depends on the task's input alone, so it is deterministic.
pub(crate) struct Adaptive<K, C> {
    pub table: Table<K, C>,
    fed: usize,
    rest: usize,
}

impl<K: Record + Hash + Eq, C: Record> Adaptive<K, C> {
    pub fn new() -> Self {
        Adaptive { table: Table::default(), fed: 0, rest: 0 }
    }
    /// True if the next `records` records should be combined.
    pub fn wants(&mut self, records: usize) -> bool {
        let on = self.rest == 0;
        self.rest = self.rest.saturating_sub(records);
        on
    }
    /// To be called after `records` records were combined: the table's content, if it must be emptied.
    pub fn fed(&mut self, records: usize) -> Option<Vec<(K, C)>> {
        self.fed += records;
        let most = if std::mem::needs_drop::<K>() { HEAP_KEYS_MAX } else { KEYS_MAX };
        if self.table.len() + records.min(most / 2) <= most {
            return None;
        }
        if self.fed < 2 * self.table.len() {
            self.rest = REST_RECORDS;
        }
        Some(self.empty())
    }
    pub fn empty(&mut self) -> Vec<(K, C)> {
        self.fed = 0;
        self.table.take()
    }
}
