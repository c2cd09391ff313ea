//! A partition's increments of one clock, before they leave.
//!
//! Two logs in one. Single increments are summed up by element, in a list as long as the table. Increments of whole rows
//! are summed up by row, right where they are sent from: row after row, by shard. So a row that is added once is copied
//! once, and a table that is written in rows has a log as long as the rows that a clock touches. If the table's rows are
//! sparse, so are those of the log.

use crate::server::ShardMap;
use crate::sparse::{Order, SparseRow};
use crate::value::Value;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// No increments of the row yet.
const NONE: u32 = u32::MAX;

/// Rows that a clock has touched, of one shard, and their sums one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowSums<V> {
    pub rows: Vec<u32>,
    pub sums: Vec<V>,
}

impl<V: Copy> RowSums<V> {
    /// Moves what is there to the end of two lists. Lists without room take it as it is, and the log gets room for as
    /// much again.
    pub fn move_to(&mut self, rows: &mut Vec<u32>, sums: &mut Vec<V>) {
        if sums.capacity() == 0 {
            let room = (Vec::with_capacity(self.rows.len()), Vec::with_capacity(self.sums.len()));
            *rows = std::mem::replace(&mut self.rows, room.0);
            *sums = std::mem::replace(&mut self.sums, room.1);
        } else {
            rows.append(&mut self.rows);
            sums.append(&mut self.sums);
        }
    }
}

/// Sums by sparse row.
#[derive(Default)]
struct SparseLog<V> {
    /// By row: its place in `rows`.
    places: HashMap<u32, u32, FixedState>,
    /// In the order in which they were touched; those from `used` on wait to be used again.
    rows: Vec<(u32, SparseRow<V>)>,
    used: usize,
}

impl<V: Value> SparseLog<V> {
    fn row(&self, row: usize) -> Option<&SparseRow<V>> {
        let place = *self.places.get(&(row as u32))?;
        Some(&self.rows[place as usize].1)
    }
    fn row_mut(&mut self, row: usize) -> &mut SparseRow<V> {
        let row = row as u32;
        // Increments of a row tend to come one after the other.
        let place = match self.used.checked_sub(1).filter(|last| self.rows[*last].0 == row) {
            Some(last) => last,
            None => *self.places.entry(row).or_insert(self.used as u32) as usize,
        };
        if place == self.used {
            match self.rows.get_mut(place) {
                Some(unused) => unused.0 = row,
                None => self.rows.push((row, SparseRow::default())),
            }
            self.used += 1;
        }
        &mut self.rows[place].1
    }
    fn drain(&mut self, mut each: impl FnMut(u32, &[(u32, V)])) {
        for (row, sums) in &mut self.rows[..self.used] {
            each(*row, sums.entries());
            sums.clear();
        }
        self.used = 0;
        self.places.clear();
    }
}

/// Sums a partition's increments of one clock.
pub(crate) struct DeltaLog<V> {
    /// Sum and whether the element was touched: side by side, since an increment needs both. Empty if rows are sparse.
    elements: Vec<(V, bool)>,
    touched: Vec<u32>,
    /// By row: its place among the touched ones of its shard, or [`NONE`].
    places: Vec<u32>,
    by_shard: Vec<RowSums<V>>,
    has_rows: bool,
    columns: usize,
    sparse: SparseLog<V>,
}

impl<V: Value> DeltaLog<V> {
    /// For a table of `rows` and `columns`.
    pub fn new(rows: usize, columns: usize, shards: usize, is_sparse: bool) -> Self {
        DeltaLog {
            elements: vec![(V::default(), false); if is_sparse { 0 } else { rows * columns }],
            touched: Vec::new(),
            places: vec![NONE; rows],
            by_shard: vec![RowSums { rows: vec![], sums: vec![] }; shards],
            has_rows: false,
            columns,
            sparse: SparseLog::default(),
        }
    }
    /// The sum of a row's increments as a whole, if there were any.
    #[inline]
    fn row(&self, map: &ShardMap, row: usize) -> Option<&[V]> {
        match self.places[row] {
            NONE => None,
            place => {
                let sums = &self.by_shard[map.shard_of(row)].sums;
                Some(&sums[place as usize * self.columns..][..self.columns])
            }
        }
    }
    /// The sum of the increments of one value.
    #[inline(always)]
    pub fn get(&self, map: &ShardMap, row: usize, column: usize) -> V {
        let Some((own, _)) = self.elements.get(row * self.columns + column).copied() else {
            return self.of_sparse(row, column);
        };
        if !self.has_rows {
            return own;
        }
        self.row(map, row).map_or(own, |sums| own.plus(sums[column]))
    }
    /// Replaces `to` by the sums of a row and what `shared` holds.
    #[inline]
    pub fn read_row(&self, map: &ShardMap, row: usize, shared: &[V::Atomic], to: &mut [V]) {
        if self.touched.is_empty() {
            to.iter_mut().zip(shared).for_each(|(to, shared)| *to = V::load(shared));
        } else {
            let own = &self.elements[row * self.columns..][..self.columns];
            for (to, (shared, (own, _))) in to.iter_mut().zip(shared.iter().zip(own)) {
                *to = V::load(shared).plus(*own);
            }
        }
        if let Some(sums) = self.has_rows.then(|| self.row(map, row)).flatten() {
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = to.plus(*sum));
        }
    }
    #[inline(always)]
    pub fn add(&mut self, element: usize, delta: V) {
        let Some((sum, is_touched)) = self.elements.get_mut(element) else {
            return self.add_sparse(element, delta);
        };
        *sum = sum.plus(delta);
        if !std::mem::replace(is_touched, true) {
            self.touched.push(element as u32);
        }
    }
    #[inline(never)]
    fn of_sparse(&self, row: usize, column: usize) -> V {
        self.sparse.row(row).map_or(V::default(), |sums| sums.get(Order::by_column(), column as u32))
    }
    #[inline(never)]
    fn add_sparse(&mut self, element: usize, delta: V) {
        let (row, column) = (element / self.columns, element % self.columns);
        self.sparse.row_mut(row).add(Order::by_column(), column as u32, delta);
    }
    /// The sums of a row, if rows are sparse and it was touched.
    pub fn sparse_row(&self, row: usize) -> Option<&SparseRow<V>> {
        self.sparse.row(row)
    }
    /// Adds to a whole row that is not sparse.
    #[inline]
    pub fn add_row(&mut self, map: &ShardMap, row: usize, deltas: &[V]) {
        let of_shard = &mut self.by_shard[map.shard_of(row)];
        match self.places[row] {
            NONE => {
                self.places[row] = of_shard.rows.len() as u32;
                of_shard.rows.push(row as u32);
                of_shard.sums.extend_from_slice(deltas);
                self.has_rows = true;
            }
            place => {
                let sums = &mut of_shard.sums[place as usize * self.columns..][..self.columns];
                sums.iter_mut().zip(deltas).for_each(|(sum, delta)| *sum = sum.plus(*delta));
            }
        }
    }
    /// Takes the sums of elements, in the order in which they, or their sparse rows, were first touched.
    pub fn drain_elements(&mut self, mut each: impl FnMut(u32, V)) {
        let columns = self.columns as u32;
        self.sparse.drain(|row, entries| {
            entries.iter().for_each(|(column, sum)| each(row * columns + column, *sum));
        });
        for element in self.touched.drain(..) {
            let (sum, _) = std::mem::take(&mut self.elements[element as usize]);
            each(element, sum);
        }
    }
    /// Calls `each` with the sums of rows, by shard; it must take them.
    pub fn drain_rows(&mut self, mut each: impl FnMut(usize, &mut RowSums<V>)) {
        if !std::mem::take(&mut self.has_rows) {
            return;
        }
        for (shard, of_shard) in self.by_shard.iter_mut().enumerate() {
            of_shard.rows.iter().for_each(|row| self.places[*row as usize] = NONE);
            each(shard, of_shard);
            debug_assert!(of_shard.rows.is_empty() && of_shard.sums.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_rows_add_up() {
        let (rows, columns, shards) = (9, 4, 3);
        let map = ShardMap::new(rows, columns, shards);
        let mut log = DeltaLog::<i64>::new(rows, columns, shards, false);
        for clock in 0..3 {
            let mut sums = vec![0; rows * columns];
            for i in 0..60 {
                let (row, by) = (i * 7 % rows, i as i64 + clock);
                if i % 3 == 0 {
                    log.add_row(&map, row, &[by, 1, 2, 3]);
                    (0..4).for_each(|c| sums[row * columns + c] += [by, 1, 2, 3][c]);
                } else {
                    log.add(row * columns + i % 4, by);
                    sums[row * columns + i % 4] += by;
                }
                assert_eq!(log.get(&map, row, 1), sums[row * columns + 1]);
                let shared: Vec<_> = (0..4).map(|c| i64::share(100 * c)).collect();
                let mut read = [0; 4];
                log.read_row(&map, row, &shared, &mut read);
                let expected: Vec<i64> = (0..4).map(|c| 100 * c + sums[row * columns + c as usize]).collect();
                assert_eq!(read, expected[..]);
            }
            let mut drained = vec![0; rows * columns];
            log.drain_elements(|element, sum| drained[element as usize] += sum);
            log.drain_rows(|shard, of_shard| {
                let (mut rows, mut sums) = (vec![], vec![]);
                of_shard.move_to(&mut rows, &mut sums);
                for (row, sums) in rows.iter().zip(sums.chunks(columns)) {
                    assert_eq!(map.shard_of(*row as usize), shard);
                    (0..columns).for_each(|c| drained[*row as usize * columns + c] += sums[c]);
                }
            });
            assert_eq!(drained, sums);
            assert!((0..rows).all(|row| (0..columns).all(|c| log.get(&map, row, c) == 0)));
        }
    }
}
