//! The copy of a table that the workers of a process share.

use crate::sparse::{Order, SparseRow, SparseRows};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::value::Value;
use timely::scheduling::activate::SyncActivator;

/// A process's copy of a table, in atomic words, or in sparse rows each of which has a lock.
pub(crate) struct Replica<V: Value> {
    /// Empty if rows are sparse.
    values: Vec<V::Atomic>,
    sparse: Option<Sparse<V>>,
    /// By partition: how many of its clocks are in the values. What a replica has seen can be read off it.
    witnesses: Vec<AtomicU64>,
    /// By shard: all updates of clocks below this are in `values`. Raised by answers to pulls only.
    versions: Vec<AtomicU64>,
    /// The highest version that some worker of this process has asked for, so that each is asked for once.
    wanted: AtomicU64,
    /// Operators to wake when a version rises; they may live on other threads than the installer.
    waiting: Mutex<Vec<SyncActivator>>,
}

/// Rows that threads share.
struct Sparse<V> {
    order: Order<V>,
    columns: usize,
    rows: Vec<Mutex<SparseRow<V>>>,
}

impl<V: Value> Sparse<V> {
    fn row<R>(&self, row: usize, with: impl FnOnce(&mut SparseRow<V>) -> R) -> R {
        with(&mut self.rows[row].lock().unwrap_or_else(|e| e.into_inner()))
    }
    fn value<R>(&self, element: usize, with: impl FnOnce(&mut SparseRow<V>, Order<V>, u32) -> R) -> R {
        // There are columns, since there is an element.
        let (row, column) = (element / self.columns, (element % self.columns) as u32);
        self.row(row, |row| with(row, self.order, column))
    }
}

impl<V: Value> Replica<V> {
    /// Of dense rows.
    pub fn new(values: impl Iterator<Item = V>, partitions: usize, shards: usize) -> Self {
        Replica {
            values: values.map(V::share).collect(),
            sparse: None,
            witnesses: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
            versions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            wanted: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }
    /// Of sparse rows.
    pub fn sparse(table: &SparseRows<V>, partitions: usize, shards: usize) -> Self {
        let rows = table.rows.iter().cloned().map(Mutex::new).collect();
        let sparse = Some(Sparse { order: table.order, columns: table.columns, rows });
        Replica { sparse, ..Replica::new(std::iter::empty(), partitions, shards) }
    }
    #[inline(always)]
    pub fn get(&self, element: usize) -> V {
        match self.values.get(element) {
            Some(cell) => V::load(cell),
            None => self.of_sparse(element, |row, order, column| row.get(order, column)),
        }
    }
    #[inline(always)]
    pub fn set(&self, element: usize, value: V) {
        match self.values.get(element) {
            Some(cell) => V::store(cell, value),
            None => self.of_sparse(element, |row, order, column| row.set(order, column, value)),
        }
    }
    #[inline(always)]
    pub fn add(&self, element: usize, delta: V) {
        match self.values.get(element) {
            Some(cell) => V::add(cell, delta),
            None => self.of_sparse(element, |row, order, column| row.add(order, column, delta)),
        }
    }
    #[cold]
    #[inline(never)]
    fn of_sparse<R>(&self, element: usize, with: impl FnOnce(&mut SparseRow<V>, Order<V>, u32) -> R) -> R {
        self.sparse.as_ref().expect("elements of dense rows have a cell").value(element, with)
    }
    /// True if rows are sparse.
    #[inline(always)]
    pub fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }
    /// A sparse row, while nobody else changes it.
    pub fn with_row<R>(&self, row: usize, with: impl FnOnce(&SparseRow<V>, Order<V>) -> R) -> R {
        let sparse = self.sparse.as_ref().expect("a sparse row is asked for");
        sparse.row(row, |row| with(row, sparse.order))
    }
    /// Empties some sparse rows.
    pub fn clear_rows(&self, rows: &[u32]) {
        if let Some(sparse) = &self.sparse {
            rows.iter().for_each(|row| sparse.row(*row as usize, SparseRow::clear));
        }
    }
    /// All values of sparse rows.
    pub fn to_sparse(&self) -> Option<SparseRows<V>> {
        let Sparse { order, columns, rows } = self.sparse.as_ref()?;
        let rows = rows.iter().map(|row| row.lock().unwrap_or_else(|e| e.into_inner()).clone());
        Some(SparseRows { order: *order, columns: *columns, rows: rows.collect() })
    }
    /// Overwrites values from `element` on.
    pub fn set_range(&self, element: usize, values: &[V]) {
        let cells = &self.values[element..element + values.len()];
        cells.iter().zip(values).for_each(|(cell, value)| V::store(cell, *value));
    }
    /// Adds to values from `element` on.
    pub fn add_range(&self, element: usize, deltas: &[V]) {
        let cells = &self.values[element..element + deltas.len()];
        cells.iter().zip(deltas).for_each(|(cell, delta)| V::add(cell, *delta));
    }
    /// Clocks of a partition that are in the values.
    pub fn witness(&self, partition: usize) -> u64 {
        self.witnesses[partition].load(Ordering::Relaxed)
    }
    /// Says that more clocks of a partition are in the values.
    pub fn add_witness(&self, partition: usize, clocks: u64) {
        self.witnesses[partition].fetch_add(clocks, Ordering::Relaxed);
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
    /// True if a worker at `clock` has to ask for `version` itself. It has not if another one has asked for as much,
    /// unless that answer must wait for the caller's own clock to pass: then both would wait for ever.
    pub fn claim_pull(&self, version: u64, clock: u64) -> bool {
        let wanted = self.wanted.fetch_max(version, Ordering::AcqRel);
        wanted < version || wanted > clock
    }
    pub fn wake_on_refresh(&self, waiting: SyncActivator) {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner()).push(waiting);
    }
    /// All values of dense rows.
    pub fn to_vec(&self) -> Vec<V> {
        self.values.iter().map(V::load).collect()
    }
}
