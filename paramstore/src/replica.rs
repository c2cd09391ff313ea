//! The copy of a table that the workers of a process share, and a worker's log of increments that have not left yet.

use crate::value::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use timely::scheduling::activate::SyncActivator;

/// A process's copy of a table, in atomic words.
pub(crate) struct Replica<V: Value> {
    values: Vec<V::Atomic>,
    /// By shard: all updates of clocks below this are in `values`. Raised by answers to pulls only.
    versions: Vec<AtomicU64>,
    /// The highest version that some worker of this process has asked for, so that each is asked for once.
    wanted: AtomicU64,
    /// Operators to wake when a version rises; they may live on other threads than the installer.
    waiting: Mutex<Vec<SyncActivator>>,
}

impl<V: Value> Replica<V> {
    pub fn new(values: impl Iterator<Item = V>, shards: usize) -> Self {
        Replica {
            values: values.map(V::share).collect(),
            versions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            wanted: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }
    #[inline(always)]
    pub fn get(&self, element: usize) -> V {
        V::load(&self.values[element])
    }
    #[inline(always)]
    pub fn set(&self, element: usize, value: V) {
        V::store(&self.values[element], value)
    }
    #[inline(always)]
    pub fn add(&self, element: usize, delta: V) {
        V::add(&self.values[element], delta)
    }
    /// The shared numbers of a range, for reading a row.
    #[inline]
    pub fn range(&self, range: std::ops::Range<usize>) -> &[V::Atomic] {
        &self.values[range]
    }
    /// All updates of clocks below this are in the values.
    pub fn version(&self) -> u64 {
        self.versions.iter().map(|v| v.load(Ordering::Acquire)).min().unwrap_or(u64::MAX)
    }
    pub fn raise_version(&self, shard: usize, version: u64) {
        self.versions[shard].fetch_max(version, Ordering::Release);
        for waiting in self.waiting.lock().unwrap_or_else(|e| e.into_inner()).iter() {
            // An error says that the worker is gone, and then nobody waits.
            let _ = waiting.activate();
        }
    }
    /// True if the caller is the one who has to ask for `version`.
    pub fn claim_pull(&self, version: u64) -> bool {
        self.wanted.fetch_max(version, Ordering::AcqRel) < version
    }
    pub fn wake_on_refresh(&self, waiting: SyncActivator) {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner()).push(waiting);
    }
    /// The first `n` values.
    pub fn to_vec(&self, n: usize) -> Vec<V> {
        self.values[..n].iter().map(V::load).collect()
    }
}

/// Sums a partition's increments of one clock, each element once.
pub(crate) struct DeltaLog<V> {
    /// Sum and whether the element was touched: side by side, since an increment needs both.
    sums: Vec<(V, bool)>,
    touched: Vec<u32>,
}

impl<V: Value> DeltaLog<V> {
    pub fn new(elements: usize) -> Self {
        DeltaLog { sums: vec![(V::default(), false); elements], touched: Vec::new() }
    }
    #[inline(always)]
    pub fn get(&self, element: usize) -> V {
        self.sums[element].0
    }
    /// Sums of a range, and whether each was touched.
    #[inline]
    pub fn range(&self, range: std::ops::Range<usize>) -> &[(V, bool)] {
        &self.sums[range]
    }
    #[inline(always)]
    pub fn add(&mut self, element: usize, delta: V) {
        let (sum, is_touched) = &mut self.sums[element];
        *sum = sum.plus(delta);
        if !std::mem::replace(is_touched, true) {
            self.touched.push(element as u32);
        }
    }
    /// Empties the log, in the order in which elements were first touched.
    pub fn drain(&mut self, mut each: impl FnMut(u32, V)) {
        for element in self.touched.drain(..) {
            let (sum, _) = std::mem::take(&mut self.sums[element as usize]);
            each(element, sum);
        }
    }
}
