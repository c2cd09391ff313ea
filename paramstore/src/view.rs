//! What a minibatch reads and writes.

use crate::delta_log::DeltaLog;
use crate::mail::{Letter, Post};
use crate::replica::Replica;
use crate::server::ShardMap;
use crate::value::Value;
use crate::values::{entries, merged};
use slackwater_dataflow::{Record, rng};
use std::any::TypeId;

/// A table as one partition sees it in one clock: the process's replica, with the partition's own increments.
///
/// Reading and writing never wait: the gate before the clock has made sure that what is read is fresh enough.
/// Increments are kept in a log of the partition, summed up by element, and leave when its minibatch ends: for the shards,
/// and but for BSP also for the replica, where the other workers of the process see them. So a value that many rows touch
/// is contended for once a minibatch, not once a row. Costs: a read is two loads, an increment an add.
pub struct TableView<'a, V: Value> {
    pub(crate) replica: &'a Replica<V>,
    pub(crate) log: &'a mut DeltaLog<V>,
    pub(crate) map: &'a ShardMap,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<V: Value> TableView<'_, V> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
    #[inline(always)]
    fn element(&self, row: usize, column: usize) -> usize {
        assert!(row < self.rows && column < self.columns, "the table has no ({row}, {column})");
        row * self.columns + column
    }
    /// One value.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[inline(always)]
    pub fn get(&self, row: usize, column: usize) -> V {
        let element = self.element(row, column);
        self.replica.get(element).plus(self.log.get(self.map, row, column))
    }
    /// Reads a row into `to`, whose length must be that of a row.
    ///
    /// # Panics
    /// If there is no such row, or `to` has another length.
    #[inline]
    pub fn read_row(&self, row: usize, to: &mut [V]) {
        assert_eq!(to.len(), self.columns, "a row has {} values", self.columns);
        if self.columns == 0 {
            return;
        }
        let start = self.element(row, 0);
        if self.replica.is_sparse() {
            to.fill(V::default());
            self.replica.with_row(row, |shared, _| shared.add_to(to));
            if let Some(own) = self.log.sparse_row(row) {
                own.add_to(to);
            }
            return;
        }
        let shared = self.replica.range(start..start + self.columns);
        self.log.read_row(self.map, row, shared, to);
    }
    /// Reads as many rows as `to` has room for, from row `first` on.
    ///
    /// # Panics
    /// If there are no such rows, or `to` does not end with one.
    pub fn read_rows(&self, first: usize, to: &mut [V]) {
        assert!(to.len().is_multiple_of(self.columns.max(1)), "a row has {} values", self.columns);
        for (i, to) in to.chunks_exact_mut(self.columns.max(1)).enumerate() {
            self.read_row(first + i, to);
        }
    }
    /// A row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Vec<V> {
        let mut values = vec![V::default(); self.columns];
        self.read_row(row, &mut values);
        values
    }
    /// Replaces `to` by the values of a row other than [`Default`], with their columns: ascending, or the largest first if
    /// the table is so. Costs what the row has, if the table is sparse.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn read_entries(&self, row: usize, to: &mut Vec<(u32, V)>) {
        assert!(row < self.rows, "the table has no row {row}");
        match self.replica.is_sparse() {
            true => {
                let own = self.log.sparse_row(row);
                self.replica.with_row(row, |shared, order| merged(order, shared, own, to));
            }
            false => {
                to.clear();
                to.extend(entries((0..self.columns).map(|column| self.get(row, column))));
            }
        }
    }
    /// Adds to one value.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[inline(always)]
    pub fn inc(&mut self, row: usize, column: usize, delta: V) {
        let element = self.element(row, column);
        self.log.add(element, delta);
    }
    /// Adds to some values of a row: (column, delta).
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn inc_batch(&mut self, row: usize, deltas: impl IntoIterator<Item = (usize, V)>) {
        deltas.into_iter().for_each(|(column, delta)| self.inc(row, column, delta));
    }
    /// Adds to the values of a row from column `start` on. Whole rows travel as such: cheaper by far than value by value.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[inline]
    pub fn inc_dense(&mut self, row: usize, start: usize, deltas: &[V]) {
        if let Some(last) = deltas.len().checked_sub(1) {
            let from = self.element(row, start);
            self.element(row, start + last);
            match deltas.len() == self.columns && self.columns > 1 && !self.replica.is_sparse() {
                true => self.log.add_row(self.map, row, deltas),
                false => deltas.iter().enumerate().for_each(|(i, delta)| self.log.add(from + i, *delta)),
            }
        }
    }
    /// Adds to whole rows, from row `first` on.
    ///
    /// # Panics
    /// If there are no such rows, or `deltas` does not end with one.
    pub fn inc_rows(&mut self, first: usize, deltas: &[V]) {
        assert!(deltas.len().is_multiple_of(self.columns.max(1)), "a row has {} values", self.columns);
        for (i, deltas) in deltas.chunks_exact(self.columns.max(1)).enumerate() {
            self.inc_dense(first + i, 0, deltas);
        }
    }
}

/// Where a minibatch stands, and what it reports.
pub struct Clock {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) partition: usize,
    pub(crate) partitions: usize,
    pub(crate) clocks_per_epoch: u64,
    pub(crate) worker: usize,
    pub(crate) seed: u64,
    pub(crate) loss: f64,
    /// Of a training with mail.
    pub(crate) post: Option<Box<Post>>,
    /// The function wants to be called once more in this clock.
    pub(crate) is_unfinished: bool,
    /// The clock waits for others: its time for letters has not come.
    pub(crate) is_waiting: bool,
    /// Bytes of the model that the partition has.
    pub(crate) model_bytes: u64,
}

impl Clock {
    /// Number of the clock in this run, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }
    /// Number of the epoch in this run, from 0.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
    /// The partition that the minibatch is from.
    pub fn partition(&self) -> usize {
        self.partition
    }
    /// Partitions of the dataset; each has a minibatch in every clock.
    pub fn partitions(&self) -> usize {
        self.partitions
    }
    /// Clocks of an epoch.
    pub fn clocks_per_epoch(&self) -> u64 {
        self.clocks_per_epoch
    }
    /// The worker that computes, of all workers of all processes. Results must not depend on it.
    pub fn worker(&self) -> usize {
        self.worker
    }
    /// Random numbers of this clock and partition: the same for any number of workers.
    pub fn rng(&self) -> rng::Stream {
        rng::partition_stream(self.seed, self.number, self.partition)
    }
    /// Adds to the loss of the epoch, which [`Progress`](crate::Progress) tells.
    pub fn loss(&mut self, loss: f64) {
        self.loss += loss;
    }
    /// Says how many bytes of a model the partition has in its state, for [`WorkerReport`](crate::WorkerReport).
    pub fn model_bytes(&mut self, bytes: u64) {
        self.model_bytes = bytes;
    }
    /// Calls the function once more in this clock, with the same minibatch, after the worker has looked after its other
    /// duties. So a long minibatch can be worked in pieces; where it stands is part of the partition's state.
    pub fn call_again(&mut self) {
        self.is_unfinished = true;
    }
    fn post<M: Record>(&mut self) -> &mut Post {
        let post = self.post.as_deref_mut().filter(|post| post.of == TypeId::of::<M>());
        post.expect("letters are of the type that `Epochs::mail` was given")
    }
    /// Sends a letter to a partition, whose function finds it in the next clock. It leaves when this clock ends.
    ///
    /// # Panics
    /// If there is no such partition, if letters of the training are of another type (see
    /// [`Epochs::mail`](crate::Epochs::mail)), or while the worker waits (see [`Training::meanwhile`](crate::Training::meanwhile)).
    pub fn send<M: Record>(&mut self, to: usize, letter: M) {
        assert!(to < self.partitions, "there is no partition {to}");
        assert!(!self.is_waiting, "letters are sent in clocks, not while a worker waits for one");
        let from = self.partition as u32;
        self.post::<M>().sent.push(Letter { from, to: to as u32, body: Box::new(letter) });
    }
    /// Takes the letters that were sent to this partition in the clock before: (sender, letter), in the order of senders, and
    /// of each as they were sent. What is not taken in this clock is lost.
    ///
    /// # Panics
    /// If letters of the training are of another type.
    pub fn mail<M: Record>(&mut self) -> Vec<(usize, M)> {
        let arrived = std::mem::take(&mut self.post::<M>().arrived);
        let typed = |(from, body): (usize, crate::mail::Body)| {
            (from, *body.downcast::<M>().expect("letters of a training have one type"))
        };
        arrived.into_iter().map(typed).collect()
    }
}
