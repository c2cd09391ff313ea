//! Combining values by key on the reduce side, in bounded memory.
//!
//! # Guarantees
//! Keys come out in the order in which they are first seen, and the values of a key are combined in the order of the
//! input, whether anything was spilled or not: the same bits for any memory budget.
//!
//! # How
//! A table in memory; when it outgrows the task's share of the budget, its entries and all records that follow are
//! spread over sixteen buckets on disk by other bits of the hash (grace hashing), each record with its number. A
//! bucket is then loaded by itself: first the entries, then the records in their order, so that a key sees the same
//! sequence of merges as without spilling. Buckets that are still too large are spread again. The results are sorted
//! by number already and are merged.
//!
//! # Limits
//! All values of one key must fit in memory when they are collected (`group_by_key`, `cogroup`).

use super::codec::{decode, encode, heap_bytes_mean};
use super::table::Table;
use super::task::TaskContext;
use crate::Record;
use crate::dataset::lineage::{Chunk, Cursor, Stop};
use crate::error::{Error, Result};
use crate::hash::{hash_of, hash_u64};
use crate::store::memory::Lease;
use crate::store::spill::{Frame, SpillFile};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

/// How values become combined ones.
pub(crate) trait Combine<X, C>: Send + Sync + 'static {
    /// True if a combined value grows with every value (a list).
    const GROWS: bool;
    /// The combined value of one value.
    fn create(&self, x: X) -> C;
    /// Combines one more value.
    fn merge(&self, c: &mut C, x: X);
}

const BUCKETS: usize = 16;
/// Records that a bucket collects before it writes a frame.
const BUCKET_RECORDS: usize = 1024;
/// Sixteen buckets, five times: 10^6 buckets. What still does not fit is one key.
const DEPTH_MAX: u32 = 5;

/// Which bucket a key belongs to at a depth. Other bits at every depth, and none of those of the partitioner.
fn bucket_of<K: Hash>(key: &K, depth: u32) -> usize {
    (hash_u64(hash_of(key) ^ (depth as u64 + 1).wrapping_mul(0x5851_f42d_4c95_7f2d)) >> 60) as usize
}

/// Numbered rows on disk: frames of (number, key, value).
struct Rows<K, V> {
    numbers: Vec<u64>,
    keys: Vec<K>,
    values: Vec<V>,
    frames: Vec<(Frame, usize)>,
}

impl<K: Record, V: Record> Rows<K, V> {
    fn new() -> Self {
        Rows { numbers: vec![], keys: vec![], values: vec![], frames: vec![] }
    }
    fn push(&mut self, number: u64, key: K, value: V, file: &SpillFile) -> Result<()> {
        self.numbers.push(number);
        self.keys.push(key);
        self.values.push(value);
        if self.numbers.len() == BUCKET_RECORDS { self.flush(file) } else { Ok(()) }
    }
    fn flush(&mut self, file: &SpillFile) -> Result<()> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let mut bytes = vec![];
        encode(&self.numbers, &mut bytes).map_err(Error::usage)?;
        encode(&self.keys, &mut bytes).map_err(Error::usage)?;
        encode(&self.values, &mut bytes).map_err(Error::usage)?;
        self.frames.push((file.append(&bytes)?, self.numbers.len()));
        (self.numbers, self.keys, self.values) = Default::default();
        Ok(())
    }
    fn load(frame: &(Frame, usize), file: &SpillFile) -> Result<(Vec<u64>, Vec<K>, Vec<V>)> {
        let mut bytes = vec![];
        file.read(&frame.0, &mut bytes)?;
        let rest = &mut &bytes[..];
        let columns = (|| Ok((decode(rest, frame.1)?, decode(rest, frame.1)?, decode(rest, frame.1)?)))();
        columns.map_err(|e: String| Error::new(crate::ErrorKind::Lost(e)))
    }
}

/// One bucket: entries combined so far, then records.
struct Bucket<K, X, C> {
    entries: Rows<K, C>,
    records: Rows<K, X>,
}

struct Buckets<K, X, C> {
    file: Arc<SpillFile>,
    depth: u32,
    all: Vec<Bucket<K, X, C>>,
}

/// Combines records by key.
pub(crate) struct Aggregation<K, X, C, A> {
    combine: Arc<A>,
    table: Table<K, C>,
    /// Bytes that growing values have taken.
    grown: u64,
    /// Mean heap bytes of an entry when last looked at, and the number of entries then.
    heap_mean: f64,
    looked_at: usize,
    next: u64,
    spilled: Option<Buckets<K, X, C>>,
    lease: Lease,
    task: Rc<TaskContext>,
}

impl<K, X, C, A> Aggregation<K, X, C, A>
where
    K: Record + Hash + Eq,
    X: Record,
    C: Record,
    A: Combine<X, C>,
{
    pub fn new(combine: Arc<A>, task: &Rc<TaskContext>) -> Self {
        Aggregation {
            combine,
            table: Table::default(),
            grown: 0,
            heap_mean: 0.0,
            looked_at: 0,
            next: 0,
            spilled: None,
            lease: task.lease(),
            task: task.clone(),
        }
    }
    /// Combines records whose keys are lent; new keys are cloned.
    pub fn add_ref(&mut self, keys: &[K], values: &[X]) -> Result<(), Stop> {
        if self.spilled.is_some() {
            for (k, x) in keys.iter().zip(values) {
                self.spill_record(k.clone(), x.clone())?;
            }
            return Ok(());
        }
        let combine = &*self.combine;
        let (create, merge) = (|x| combine.create(x), |c: &mut C, x| combine.merge(c, x));
        self.table.add_all_ref(keys.iter().zip(values), create, merge);
        self.next += keys.len() as u64;
        self.grew(values)
    }
    /// Combines records by value.
    pub fn add(&mut self, keys: Vec<K>, values: Vec<X>) -> Result<(), Stop> {
        if self.spilled.is_some() {
            for (k, x) in keys.into_iter().zip(values) {
                self.spill_record(k, x)?;
            }
            return Ok(());
        }
        // Growing values must be weighed before they are moved.
        let weight = self.weight(&values);
        let n = keys.len();
        let combine = &*self.combine;
        for (k, x) in keys.into_iter().zip(values) {
            self.table.add(k, x, |x| combine.create(x), |c, x| combine.merge(c, x));
        }
        self.next += n as u64;
        self.grown += weight;
        self.cover()
    }
    fn weight(&self, values: &[X]) -> u64 {
        if !A::GROWS {
            return 0;
        }
        // A list grows by doubling, so it holds twice what is in it at worst; 1.5 times on average.
        (values.len() as f64 * (1.5 * size_of::<X>() as f64 + heap_bytes_mean(values))) as u64
    }
    fn grew(&mut self, values: &[X]) -> Result<(), Stop> {
        self.grown += self.weight(values);
        self.cover()
    }
    fn bytes(&mut self) -> u64 {
        if std::mem::needs_drop::<(K, C)>() && self.table.len() > self.looked_at + self.looked_at / 4 {
            self.looked_at = self.table.len();
            let entries = self.table.entries();
            self.heap_mean = if A::GROWS {
                let keys: Vec<K> =
                    entries.iter().step_by(entries.len().div_ceil(16)).map(|e| e.0.clone()).collect();
                heap_bytes_mean(&keys)
            } else {
                heap_bytes_mean(entries)
            };
        }
        self.table.flat_bytes() + self.grown + (self.heap_mean * self.table.len() as f64) as u64
    }
    fn cover(&mut self) -> Result<(), Stop> {
        let bytes = self.bytes();
        if self.lease.cover(bytes) {
            return Ok(());
        }
        self.spill()?;
        Ok(())
    }
    /// Moves the table to buckets; from now on records go there as well.
    fn spill(&mut self) -> Result<()> {
        let mut buckets = Buckets::new(&self.task, 0)?;
        for (i, (k, c)) in self.table.take().into_iter().enumerate() {
            buckets.push_entry(i as u64, k, c)?;
        }
        self.grown = 0;
        self.lease.release();
        self.spilled = Some(buckets);
        Ok(())
    }
    fn spill_record(&mut self, key: K, x: X) -> Result<(), Stop> {
        let buckets = self.spilled.as_mut().expect("called after spilling");
        buckets.push_record(self.next, key, x)?;
        self.next += 1;
        Ok(())
    }
    /// The combined values, in order of first appearance.
    pub fn finish(mut self) -> Result<AggregateCursor<K, C>, Stop> {
        let Some(mut buckets) = self.spilled.take() else {
            let entries = self.table.take();
            return Ok(AggregateCursor {
                source: Out::Memory { entries: entries.into_iter(), _lease: self.lease },
                buffer: vec![],
                task: self.task,
            });
        };
        buckets.flush()?;
        let written = buckets.file.length();
        self.task.metrics.borrow_mut().bytes_spilled += written;
        self.task.engine.count_spilled(written);
        let mut runs = vec![];
        let results = Arc::new(self.task.engine.store.dir.create()?);
        self.lease.release();
        self.reduce(buckets, &results, &mut runs)?;
        self.lease.release();
        let merge = Merge::new(runs, &results)?;
        Ok(AggregateCursor { source: Out::Spilled(merge), buffer: vec![], task: self.task })
    }
    /// Combines each bucket by itself and writes its result as one run, sorted by number.
    fn reduce(
        &mut self,
        buckets: Buckets<K, X, C>,
        results: &Arc<SpillFile>,
        runs: &mut Vec<Vec<(Frame, usize)>>,
    ) -> Result<(), Stop> {
        let Buckets { file, depth, all } = buckets;
        for bucket in all {
            self.task.check()?;
            match self.load(bucket, &file, depth)? {
                Loaded::Whole(entries) => {
                    let mut rows = Rows::new();
                    for (k, (number, c)) in entries {
                        rows.push(number, k, c, results)?;
                    }
                    rows.flush(results)?;
                    runs.push(rows.frames);
                }
                Loaded::Deeper(deeper) => self.reduce(deeper, results, runs)?,
            }
        }
        Ok(())
    }
    /// Loads one bucket into a table, or spreads it again if it is too large.
    fn load(
        &mut self,
        bucket: Bucket<K, X, C>,
        file: &SpillFile,
        depth: u32,
    ) -> Result<Loaded<K, X, C>, Stop> {
        self.lease.release();
        let mut table: Table<K, (u64, C)> = Table::default();
        let mut deeper: Option<Buckets<K, X, C>> = None;
        let mut weight = 0u64;
        for frame in &bucket.entries.frames {
            let (numbers, keys, values) = Rows::<K, C>::load(frame, file)?;
            if let Some(deeper) = &mut deeper {
                for ((n, k), c) in numbers.into_iter().zip(keys).zip(values) {
                    deeper.push_entry(n, k, c)?;
                }
                continue;
            }
            weight += ((heap_bytes_mean(&keys) + heap_bytes_mean(&values)) * keys.len() as f64) as u64;
            for ((n, k), c) in numbers.into_iter().zip(keys).zip(values) {
                table.add(
                    k,
                    (n, c),
                    |first| first,
                    |_, _| unreachable!("entries of a bucket have distinct keys"),
                );
            }
            deeper = self.deepen(&mut table, weight, depth)?;
        }
        let combine = self.combine.clone();
        for frame in &bucket.records.frames {
            let (numbers, keys, values) = Rows::<K, X>::load(frame, file)?;
            if let Some(deeper) = &mut deeper {
                for ((n, k), x) in numbers.into_iter().zip(keys).zip(values) {
                    deeper.push_record(n, k, x)?;
                }
                continue;
            }
            let before = table.len();
            weight += self.weight(&values);
            let heap = heap_bytes_mean(&keys) + if A::GROWS { 0.0 } else { heap_bytes_mean(&values) };
            for ((n, k), x) in numbers.into_iter().zip(keys).zip(values) {
                table.add(
                    k,
                    (n, x),
                    |(n, x)| (n, combine.create(x)),
                    |slot, (_, x)| combine.merge(&mut slot.1, x),
                );
            }
            weight += (heap * (table.len() - before) as f64) as u64;
            deeper = self.deepen(&mut table, weight, depth)?;
        }
        match deeper {
            None => Ok(Loaded::Whole(table.take())),
            Some(mut deeper) => {
                deeper.flush()?;
                Ok(Loaded::Deeper(deeper))
            }
        }
    }
    /// If the table of a bucket outgrows the budget: moves it to deeper buckets.
    fn deepen(
        &mut self,
        table: &mut Table<K, (u64, C)>,
        weight: u64,
        depth: u32,
    ) -> Result<Option<Buckets<K, X, C>>, Stop> {
        if self.lease.cover(table.flat_bytes() + weight) || depth + 1 >= DEPTH_MAX {
            return Ok(None);
        }
        let mut deeper = Buckets::new(&self.task, depth + 1)?;
        for (k, (n, c)) in table.take() {
            deeper.push_entry(n, k, c)?;
        }
        self.lease.release();
        Ok(Some(deeper))
    }
}

/// What loading a bucket gives.
enum Loaded<K, X, C> {
    Whole(Vec<(K, (u64, C))>),
    Deeper(Buckets<K, X, C>),
}

impl<K: Record + Hash, X: Record, C: Record> Buckets<K, X, C> {
    fn new(task: &TaskContext, depth: u32) -> Result<Self> {
        let file = Arc::new(task.engine.store.dir.create()?);
        let all = (0..BUCKETS).map(|_| Bucket { entries: Rows::new(), records: Rows::new() }).collect();
        Ok(Buckets { file, depth, all })
    }
    fn push_entry(&mut self, number: u64, key: K, c: C) -> Result<()> {
        let b = bucket_of(&key, self.depth);
        self.all[b].entries.push(number, key, c, &self.file)
    }
    fn push_record(&mut self, number: u64, key: K, x: X) -> Result<()> {
        let b = bucket_of(&key, self.depth);
        self.all[b].records.push(number, key, x, &self.file)
    }
    fn flush(&mut self) -> Result<()> {
        for bucket in &mut self.all {
            bucket.entries.flush(&self.file)?;
            bucket.records.flush(&self.file)?;
        }
        Ok(())
    }
}

/// Reads one sorted run.
struct RunReader<K, C> {
    frames: std::vec::IntoIter<(Frame, usize)>,
    file: Arc<SpillFile>,
    now: std::vec::IntoIter<(u64, (K, C))>,
}

impl<K: Record, C: Record> RunReader<K, C> {
    fn next(&mut self) -> Result<Option<(u64, (K, C))>> {
        loop {
            if let Some(row) = self.now.next() {
                return Ok(Some(row));
            }
            let Some(frame) = self.frames.next() else { return Ok(None) };
            let (numbers, keys, values) = Rows::<K, C>::load(&frame, &self.file)?;
            self.now = numbers.into_iter().zip(keys.into_iter().zip(values)).collect::<Vec<_>>().into_iter();
        }
    }
}

/// Merges runs by number.
struct Merge<K, C> {
    runs: Vec<(RunReader<K, C>, Option<(K, C)>)>,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<K: Record, C: Record> Merge<K, C> {
    fn new(runs: Vec<Vec<(Frame, usize)>>, file: &Arc<SpillFile>) -> Result<Self> {
        let mut merge = Merge { runs: vec![], heap: BinaryHeap::new() };
        for (i, frames) in runs.into_iter().enumerate() {
            let reader =
                RunReader { frames: frames.into_iter(), file: file.clone(), now: vec![].into_iter() };
            merge.runs.push((reader, None));
            merge.pull(i)?;
        }
        Ok(merge)
    }
    fn pull(&mut self, i: usize) -> Result<()> {
        if let Some((number, row)) = self.runs[i].0.next()? {
            self.runs[i].1 = Some(row);
            self.heap.push(Reverse((number, i)));
        }
        Ok(())
    }
    fn next(&mut self) -> Result<Option<(K, C)>> {
        let Some(Reverse((_, i))) = self.heap.pop() else { return Ok(None) };
        let row = self.runs[i].1.take();
        self.pull(i)?;
        Ok(row)
    }
}

enum Out<K, C> {
    Memory {
        entries: std::vec::IntoIter<(K, C)>,
        /// The entries are still in memory.
        _lease: Lease,
    },
    Spilled(Merge<K, C>),
}

/// Combined values, in order of first appearance of their keys.
pub(crate) struct AggregateCursor<K, C> {
    source: Out<K, C>,
    buffer: Vec<(K, C)>,
    task: Rc<TaskContext>,
}

impl<K: Record, C: Record> Cursor<(K, C)> for AggregateCursor<K, C> {
    fn next(&mut self) -> Result<Option<Chunk<'_, (K, C)>>, Stop> {
        self.task.check()?;
        self.buffer.clear();
        let most = TaskContext::chunk_records::<(K, C)>();
        match &mut self.source {
            Out::Memory { entries, .. } => self.buffer.extend(entries.by_ref().take(most)),
            Out::Spilled(merge) => {
                while self.buffer.len() < most {
                    let Some(row) = merge.next()? else { break };
                    self.buffer.push(row);
                }
            }
        }
        Ok((!self.buffer.is_empty()).then_some(Chunk::Owned(&mut self.buffer)))
    }
}
