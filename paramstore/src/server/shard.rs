//! A shard: the values of some rows of a table, always exactly as of the frontier.
//!
//! Deltas of a clock wait until the frontier has passed it, and are then applied: clocks ascending, within a clock
//! partitions ascending, each element once a (clock, partition). So the values have the same bits whatever the number
//! of workers, wherever the deltas have.

use crate::block::Block;
use crate::value::Value;
use slackwater_dataflow::hash::{hash_u64, partition_of};
use std::collections::BTreeMap;
use timely::dataflow::operators::Capability;

/// Which shard an element belongs to, and its place there. Rows go by our stable hash, whole.
pub(crate) struct ShardMap {
    columns: u32,
    elements: u32,
    /// By row: its shard, and the place of its first element.
    rows: Vec<(u32, u32)>,
    /// By partition: shard and place of its witness.
    witnesses: Vec<(u32, u32)>,
    /// By shard: its elements in the order of their places.
    pub shards: Vec<Vec<u32>>,
}

impl ShardMap {
    pub fn new(rows: usize, columns: usize, partitions: usize, shards: usize) -> Self {
        let mut of: Vec<Vec<u32>> = vec![vec![]; shards];
        let mut put = |shard: usize, elements: std::ops::Range<usize>| {
            let at = (shard as u32, of[shard].len() as u32);
            of[shard].extend(elements.map(|e| e as u32));
            at
        };
        let by_row = (0..rows)
            .map(|r| put(partition_of(hash_u64(r as u64), shards), r * columns..(r + 1) * columns))
            .collect();
        let elements = rows * columns;
        let witnesses = (0..partitions).map(|p| put(p % shards, elements + p..elements + p + 1)).collect();
        ShardMap { columns: columns as u32, elements: elements as u32, rows: by_row, witnesses, shards: of }
    }
    /// Shard and place of an element.
    #[inline]
    pub fn place(&self, element: u32) -> (usize, usize) {
        // Divisions of 32 bits, and none for tables of one column: this is done for every element that is sent.
        let ((shard, base), offset) = match element.checked_sub(self.elements) {
            Some(witness) => (self.witnesses[witness as usize], 0),
            None if self.columns == 1 => (self.rows[element as usize], 0),
            None => (self.rows[(element / self.columns) as usize], element % self.columns),
        };
        (shard as usize, (base + offset) as usize)
    }
}

/// What one replica has not been sent yet.
struct News<V> {
    /// Sums of the deltas of all *other* replicas: a process adds its own at once, so nothing is counted twice. Not
    /// used where refreshes carry values.
    sums: Vec<V>,
    is_dirty: Vec<bool>,
    dirty: Vec<u32>,
}

impl<V: Value> News<V> {
    fn mark(&mut self, place: usize) {
        if !std::mem::replace(&mut self.is_dirty[place], true) {
            self.dirty.push(place as u32);
        }
    }
}

/// One worker's part of a table.
pub(crate) struct Shard<V> {
    values: Vec<V>,
    news: Vec<News<V>>,
    /// Refreshes carry values instead of sums.
    by_value: bool,
    open: BTreeMap<u64, (Capability<u64>, Vec<Block<V>>)>,
}

impl<V: Value> Shard<V> {
    pub fn new(values: Vec<V>, replicas: usize, by_value: bool) -> Self {
        let n = values.len();
        let news = (0..replicas).map(|_| News {
            sums: vec![V::default(); if by_value { 0 } else { n }],
            is_dirty: vec![false; n],
            dirty: vec![],
        });
        Shard { news: news.collect(), values, by_value, open: BTreeMap::new() }
    }
    /// Takes deltas that `replica` has sent: the others hear of them with their next refresh, the values wait until the
    /// clock is closed.
    pub fn hold(&mut self, capability: Capability<u64>, block: Block<V>, map: &ShardMap, replica: usize) {
        if !self.by_value {
            for (_, news) in self.news.iter_mut().enumerate().filter(|(other, _)| *other != replica) {
                for (element, delta) in block.elements.iter().zip(&block.values) {
                    let (_, place) = map.place(*element);
                    news.sums[place] = news.sums[place].plus(*delta);
                    news.mark(place);
                }
            }
        }
        let clock = *capability.time();
        self.open.entry(clock).or_insert_with(|| (capability, vec![])).1.push(block);
    }
    /// Applies all clocks below `frontier`; returns the capability of the least of them. A refresh must be stamped with
    /// the least clock whose news it carries: stamped with the last, it would let the gate believe that the first is
    /// installed while it still travels.
    pub fn close(&mut self, frontier: u64, map: &ShardMap) -> Option<Capability<u64>> {
        let mut least = None;
        while self.open.first_key_value().is_some_and(|(clock, _)| *clock < frontier) {
            let (_, (capability, blocks)) = self.open.pop_first().expect("just seen");
            least.get_or_insert(capability);
            let mut segments = vec![];
            for block in &blocks {
                let mut at = 0;
                for [partition, elements] in &block.segments {
                    segments.push((*partition, block, at..at + *elements as usize));
                    at += *elements as usize;
                }
            }
            segments.sort_by_key(|(partition, ..)| *partition);
            for (_, block, range) in segments {
                for (element, delta) in block.elements[range.clone()].iter().zip(&block.values[range]) {
                    let (_, place) = map.place(*element);
                    self.values[place] = self.values[place].plus(*delta);
                    if self.by_value {
                        self.news.iter_mut().for_each(|news| news.mark(place));
                    }
                }
            }
        }
        least
    }
    /// What `replica` has not been sent yet; `elements` are those of this shard.
    pub fn refresh(&mut self, replica: usize, elements: &[u32]) -> Block<V> {
        let (mut block, news) = (Block::default(), &mut self.news[replica]);
        for place in news.dirty.drain(..) {
            let place = place as usize;
            news.is_dirty[place] = false;
            block.elements.push(elements[place]);
            block.values.push(match self.by_value {
                true => self.values[place],
                false => std::mem::take(&mut news.sums[place]),
            });
        }
        block
    }
    /// Elements and values, for a snapshot.
    pub fn copy(&self, elements: &[u32]) -> (Vec<u32>, Vec<V>) {
        (elements.to_vec(), self.values.clone())
    }
    /// All values.
    pub fn whole(&self, elements: &[u32]) -> Block<V> {
        Block { elements: elements.to_vec(), values: self.values.clone(), ..Block::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_place_of_its_own() {
        let map = ShardMap::new(50, 3, 7, 4);
        let mut seen = [false; 157];
        for (shard, elements) in map.shards.iter().enumerate() {
            for (place, element) in elements.iter().enumerate() {
                assert_eq!(map.place(*element), (shard, place));
                assert!(!std::mem::replace(&mut seen[*element as usize], true));
            }
        }
        assert!(seen.iter().all(|s| *s));
    }
}
