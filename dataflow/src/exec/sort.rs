//! Sorting a partition, in bounded memory.
//!
//! # Guarantees
//! The sort is stable: equal records keep the order of the input, whether anything was spilled or not.
//!
//! # How
//! Records are collected and sorted in memory. When they outgrow the task's share of the budget, what is there is
//! sorted and written as a run; in the end the runs are merged, the earlier run first among equals. Memory is then one
//! frame a run.

use super::codec::{decode, encode, estimate_bytes};
use super::task::TaskContext;
use crate::Record;
use crate::dataset::lineage::{Chunk, Cursor, Stop};
use crate::error::{Error, Result};
use crate::store::memory::Lease;
use crate::store::spill::{Frame, SpillFile};
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of a frame of a run, about.
const FRAME_BYTES: usize = 64 << 10;

/// A run on disk.
struct Run<T> {
    file: Arc<SpillFile>,
    frames: std::vec::IntoIter<(Frame, usize)>,
    now: std::vec::IntoIter<T>,
}

impl<T: Record> Run<T> {
    fn refill(&mut self) -> Result<bool> {
        while self.now.as_slice().is_empty() {
            let Some((frame, n)) = self.frames.next() else { return Ok(false) };
            let mut bytes = vec![];
            self.file.read(&frame, &mut bytes)?;
            let records = decode(&mut &bytes[..], n).map_err(|e| Error::new(crate::ErrorKind::Lost(e)))?;
            self.now = records.into_iter();
        }
        Ok(true)
    }
}

/// Collects records to sort.
pub(crate) struct Sorter<T, F> {
    compare: F,
    records: Vec<T>,
    bytes: u64,
    runs: Vec<Run<T>>,
    lease: Lease,
    task: Rc<TaskContext>,
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> Sorter<T, F> {
    pub fn new(compare: F, task: &Rc<TaskContext>) -> Self {
        Sorter { compare, records: vec![], bytes: 0, runs: vec![], lease: task.lease(), task: task.clone() }
    }
    /// Says that `n` records will come, so that room for them is made at once if they fit.
    pub fn expect(&mut self, n: usize) {
        if self.lease.cover((n * size_of::<T>()) as u64) {
            self.records.reserve_exact(n);
        }
    }
    /// Adds records.
    pub fn extend(&mut self, records: impl Iterator<Item = T>) -> Result<(), Stop> {
        let from = self.records.len();
        self.records.extend(records);
        self.bytes += estimate_bytes(&self.records[from..]);
        let flat = (self.records.capacity() * size_of::<T>()) as u64;
        if !self.lease.cover(self.bytes.max(flat)) {
            self.spill()?;
        }
        Ok(())
    }
    fn spill(&mut self) -> Result<()> {
        self.records.sort_by(&self.compare);
        let file = Arc::new(self.task.engine.store.dir.create()?);
        let records =
            (FRAME_BYTES as u64 * self.records.len() as u64 / self.bytes.max(1)).clamp(16, 65536) as usize;
        let (mut frames, mut bytes) = (vec![], vec![]);
        let mut all = std::mem::take(&mut self.records).into_iter();
        loop {
            let part: Vec<T> = all.by_ref().take(records).collect();
            if part.is_empty() {
                break;
            }
            bytes.clear();
            encode(&part, &mut bytes).map_err(Error::usage)?;
            frames.push((file.append(&bytes)?, part.len()));
        }
        self.task.metrics.borrow_mut().bytes_spilled += file.length();
        self.task.engine.count_spilled(file.length());
        self.runs.push(Run { file, frames: frames.into_iter(), now: vec![].into_iter() });
        self.bytes = 0;
        self.lease.release();
        Ok(())
    }
    /// The records in order.
    pub fn finish(mut self) -> Result<SortedCursor<T, F>, Stop> {
        self.records.sort_by(&self.compare);
        let most = TaskContext::chunk_records::<T>();
        let Sorter { compare, records, mut runs, lease, task, .. } = self;
        if runs.is_empty() {
            return Ok(SortedCursor {
                source: Out::Memory { records: records.into_iter(), _lease: lease },
                compare,
                buffer: vec![],
                most,
                task,
            });
        }
        let mut heap = Vec::with_capacity(runs.len() + 1);
        for (i, run) in runs.iter_mut().enumerate() {
            if run.refill()? {
                heap.push(i);
            }
        }
        let last = runs.len();
        let tail = records.into_iter();
        if !tail.as_slice().is_empty() {
            heap.push(last);
        }
        let mut merge = Merge { runs, tail, heap, _lease: lease };
        for i in (0..merge.heap.len() / 2).rev() {
            merge.sift(i, &compare);
        }
        Ok(SortedCursor { source: Out::Merged(merge), compare, buffer: vec![], most, task })
    }
}

/// Merges runs; the records that never left memory are the last run.
struct Merge<T> {
    runs: Vec<Run<T>>,
    tail: std::vec::IntoIter<T>,
    /// Runs that have records, as a binary heap by (first record, run).
    heap: Vec<usize>,
    _lease: Lease,
}

impl<T: Record> Merge<T> {
    fn head(&self, run: usize) -> &T {
        let rest = if run == self.runs.len() { self.tail.as_slice() } else { self.runs[run].now.as_slice() };
        &rest[0]
    }
    fn less(&self, a: usize, b: usize, compare: &impl Fn(&T, &T) -> Ordering) -> bool {
        compare(self.head(a), self.head(b)).then(a.cmp(&b)) == Ordering::Less
    }
    fn sift(&mut self, mut i: usize, compare: &impl Fn(&T, &T) -> Ordering) {
        loop {
            let (left, right) = (2 * i + 1, 2 * i + 2);
            let mut least = i;
            for child in [left, right] {
                if child < self.heap.len() && self.less(self.heap[child], self.heap[least], compare) {
                    least = child;
                }
            }
            if least == i {
                return;
            }
            self.heap.swap(i, least);
            i = least;
        }
    }
    fn next(&mut self, compare: &impl Fn(&T, &T) -> Ordering) -> Result<Option<T>> {
        let Some(run) = self.heap.first().copied() else { return Ok(None) };
        let (record, more) = if run == self.runs.len() {
            (self.tail.next(), !self.tail.as_slice().is_empty())
        } else {
            let r = &mut self.runs[run];
            (r.now.next(), r.refill()?)
        };
        if !more {
            self.heap.swap_remove(0);
        }
        self.sift(0, compare);
        Ok(record)
    }
}

enum Out<T> {
    Memory {
        records: std::vec::IntoIter<T>,
        /// The records are still in memory.
        _lease: Lease,
    },
    Merged(Merge<T>),
}

/// Sorted records.
pub(crate) struct SortedCursor<T, F> {
    source: Out<T>,
    compare: F,
    buffer: Vec<T>,
    most: usize,
    task: Rc<TaskContext>,
}

impl<T: Record, F: Fn(&T, &T) -> Ordering> Cursor<T> for SortedCursor<T, F> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.task.check()?;
        self.buffer.clear();
        match &mut self.source {
            Out::Memory { records, .. } => self.buffer.extend(records.by_ref().take(self.most)),
            Out::Merged(merge) => {
                while self.buffer.len() < self.most {
                    let Some(record) = merge.next(&self.compare)? else { break };
                    self.buffer.push(record);
                }
            }
        }
        Ok((!self.buffer.is_empty()).then_some(Chunk::Owned(&mut self.buffer)))
    }
}
