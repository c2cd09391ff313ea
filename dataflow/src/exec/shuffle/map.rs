//! Map side: open blocks by partition, and a combiner that switches itself off.

use crate::Record;
use crate::dataset::lineage::Stop;
use crate::exec::parcel::{Head, Pairs, Parcel};
use crate::exec::stage::Task;
use crate::exec::table::Table;
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

/// The open blocks of one task attempt, one a reduce partition.
pub(crate) struct Scatter<K, V> {
    open: Vec<Pairs<K, V>>,
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
            open: target.missing.iter().map(|_| Pairs::default()).collect(),
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
        let block = &mut self.open[part];
        block.keys.push(key);
        block.values.push(value);
        if block.keys.len() >= self.capacity {
            // The first block of a partition grows as it must, since a task may have few records; where one was
            // filled, the next is made at full size at once.
            let full = std::mem::take(block);
            self.open[part] = self.fresh();
            self.ship(part, full, out);
        }
    }
    #[cold]
    #[inline(never)]
    fn fresh(&self) -> Pairs<K, V> {
        self.memory.spare.take(self.capacity).unwrap_or_else(|| Pairs {
            keys: Vec::with_capacity(self.capacity),
            values: Vec::with_capacity(self.capacity),
        })
    }
    #[cold]
    #[inline(never)]
    fn ship(&mut self, part: usize, full: Pairs<K, V>, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        use crate::exec::parcel::Payload;
        self.records += full.keys.len() as u64;
        self.bytes += full.bytes();
        out.push(Parcel::data(Head { part: part as u32, ..self.head }, full));
        self.head.seq += 1;
    }
    /// Ships what is left.
    pub fn finish(&mut self, out: &mut Vec<Parcel<Pairs<K, V>>>) {
        for part in 0..self.open.len() {
            let last = std::mem::take(&mut self.open[part]);
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
