//! A shard: the values of some rows of a table, always exactly as of the frontier.
//!
//! Deltas of a clock wait until the frontier has passed it, and are then applied: clocks ascending, within a clock
//! partitions ascending, each element once a (clock, partition). So the values have the same bits whatever the number
//! of workers, wherever the deltas have.

use super::map::ShardMap;
use super::marks::Marks;
use super::ruled::Ruled;
use crate::block::Block;
use crate::run::TableRun;
use crate::sparse::Order;
use crate::value::Value;
use crate::values::Owned;
use std::collections::BTreeMap;
use std::ops::Range;
use timely::dataflow::operators::Capability;

/// What one replica has not been sent yet.
struct News<V> {
    /// Sums of the deltas of all *other* replicas: a process adds its own at once, so nothing is counted twice. Not
    /// used where refreshes carry values.
    sums: Owned<V>,
    /// Places of single values.
    elements: Marks,
    /// Whole rows, by number in the shard.
    rows: Marks,
    /// Clocks of partitions, as in [`Block::witnesses`].
    witnesses: Vec<[u64; 2]>,
}

/// One worker's part of a table.
pub(crate) struct Shard<V> {
    /// The worker's number.
    index: usize,
    columns: usize,
    values: Owned<V>,
    ruled: Option<Ruled<V>>,
    news: Vec<News<V>>,
    /// Refreshes carry values instead of sums.
    by_value: bool,
    open: BTreeMap<u64, (Capability<u64>, Vec<Block<V>>)>,
}

/// Deltas of one partition in a block.
struct Segment<'a, V> {
    partition: u32,
    block: &'a Block<V>,
    elements: Range<usize>,
    rows: Range<usize>,
}

/// The deltas of some blocks, by partition.
fn segments<V>(blocks: &[Block<V>]) -> Vec<Segment<'_, V>> {
    let mut segments = vec![];
    for block in blocks {
        let (mut elements, mut rows) = (0, 0);
        for [partition, of_elements, of_rows] in &block.segments {
            let until = [elements + *of_elements as usize, rows + *of_rows as usize];
            segments.push(Segment {
                partition: *partition,
                block,
                elements: elements..until[0],
                rows: rows..until[1],
            });
            [elements, rows] = until;
        }
    }
    segments.sort_by_key(|s| s.partition);
    segments
}

/// The place of a row, its number in the shard, and its values, one row after the other.
fn rows_of<'a, V>(
    block: &'a Block<V>,
    rows: Range<usize>,
    map: &'a ShardMap,
) -> impl Iterator<Item = (usize, usize, &'a [V])> {
    let columns = map.columns().max(1);
    let values = block.row_values[rows.start * columns..rows.end * columns].chunks_exact(columns);
    block.rows[rows].iter().zip(values).map(move |(row, values)| {
        let place = map.place_of_row(*row);
        (place, place / columns, values)
    })
}

/// Places of elements, and their deltas.
fn placed<'a, V: Value>(
    elements: &'a [u32],
    deltas: &'a [V],
    map: &'a ShardMap,
) -> impl Iterator<Item = (usize, V)> + 'a {
    elements.iter().zip(deltas).map(|(element, delta)| (map.place(*element).1, *delta))
}

fn add<V: Value>(to: &mut [V], deltas: &[V]) {
    to.iter_mut().zip(deltas).for_each(|(to, delta)| *to = to.plus(*delta));
}

impl<V: Value> Shard<V> {
    /// The shard of worker `index`. `states` are those of the table's rule, by element; empty at the beginning.
    pub fn new(table: &TableRun<V>, index: usize, replicas: usize, states: &[Vec<V>]) -> Self {
        let (map, by_value) = (&table.map, table.defers_writes());
        let values = Owned::of(&table.initial, table.columns, map.rows_of(index));
        let (rows, order) = (map.rows_of(index).len(), table.initial.order());
        let n = rows * table.columns;
        let state = |i: usize| match states.get(i) {
            Some(state) => map.elements_of(index).map(|e| state[e as usize]).collect(),
            None => (0..n).map(|place| table.rule.first(values.get(place))[i]).collect(),
        };
        let states = (0..table.rule.states()).map(state).collect();
        let ruled = table.has_rule().then(|| Ruled::new(table.rule, rows, table.columns, states));
        let news = (0..replicas).map(|_| News {
            sums: Owned::empty(
                order.map(|_| Order::by_column()),
                if by_value { 0 } else { rows },
                table.columns,
            ),
            elements: if order.is_some() { Marks::sparse() } else { Marks::new(n) },
            rows: Marks::new(rows),
            witnesses: vec![],
        });
        let news = news.collect();
        Shard { index, columns: table.columns, values, ruled, news, by_value, open: BTreeMap::new() }
    }
    /// Takes deltas that `replica` has sent: the others hear of them with their next refresh, the values wait until the
    /// clock is closed.
    pub fn hold(&mut self, capability: Capability<u64>, block: Block<V>, map: &ShardMap, replica: usize) {
        if !self.by_value {
            for (_, news) in self.news.iter_mut().enumerate().filter(|(other, _)| *other != replica) {
                let News { sums, elements, .. } = news;
                sums.add_all(
                    placed(&block.elements, &block.values, map).inspect(|(place, _)| elements.mark(*place)),
                );
                for (place, row, deltas) in rows_of(&block, 0..block.rows.len(), map) {
                    add(&mut news.sums.dense()[place..place + self.columns], deltas);
                    news.rows.mark(row);
                }
                news.witnesses.extend_from_slice(&block.witnesses);
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
            if self.by_value {
                let witnesses = || blocks.iter().flat_map(|block| &block.witnesses);
                self.news.iter_mut().for_each(|news| news.witnesses.extend(witnesses()));
            }
            for Segment { block, elements, rows, .. } in segments(&blocks) {
                self.apply_elements(&block.elements[elements.clone()], &block.values[elements], map);
                for (place, row, deltas) in rows_of(block, rows, map) {
                    match &mut self.ruled {
                        Some(ruled) => ruled.add_row(row, deltas),
                        None => add(&mut self.values.dense()[place..place + self.columns], deltas),
                    }
                    if self.by_value {
                        self.news.iter_mut().for_each(|news| news.rows.mark(row));
                    }
                }
            }
            if let Some(ruled) = &mut self.ruled {
                ruled.apply(self.values.dense());
            }
        }
        least
    }
    fn apply_elements(&mut self, elements: &[u32], deltas: &[V], map: &ShardMap) {
        let placed = || placed(elements, deltas, map);
        match &mut self.ruled {
            Some(ruled) => placed().for_each(|(place, delta)| ruled.add(place, delta)),
            None => self.values.add_all(placed()),
        }
        for news in self.news.iter_mut().filter(|_| self.by_value) {
            placed().for_each(|(place, _)| news.elements.mark(place));
        }
    }
    /// What `replica` has not been sent yet.
    pub fn refresh(&mut self, replica: usize, map: &ShardMap) -> Block<V> {
        let (mut block, news) = (Block::default(), &mut self.news[replica]);
        let rows = map.rows_of(self.index);
        block.rows.reserve(news.rows.list().len());
        block.row_values.reserve(news.rows.list().len() * self.columns);
        for row in news.rows.list() {
            let row = *row as usize;
            let places = row * self.columns..(row + 1) * self.columns;
            block.rows.push(rows[row]);
            if self.by_value {
                block.row_values.extend_from_slice(&self.values.dense()[places]);
            } else {
                let sums = &mut news.sums.dense()[places];
                block.row_values.extend_from_slice(sums);
                sums.fill(V::default());
            }
        }
        block.elements.reserve(news.elements.list().len());
        block.values.reserve(news.elements.list().len());
        if matches!(news.sums, Owned::Sparse(_)) {
            // What is taken from the end of a row moves nothing.
            news.elements.sort_descending();
        }
        for place in news.elements.list() {
            let place = *place as usize;
            // There are columns, since there is a place. A division takes as long as all the rest.
            let (row, column) = match self.columns {
                1 => (place, 0),
                columns => (place / columns, place % columns),
            };
            block.elements.push(rows[row] * self.columns as u32 + column as u32);
            block.values.push(match self.by_value {
                true => self.values.get(place),
                false => news.sums.take(place),
            });
        }
        block.witnesses = std::mem::take(&mut news.witnesses);
        news.rows.clear();
        news.elements.clear();
        block
    }
    /// Elements and values, for a snapshot: of the table, and for each state of its rule.
    pub fn copy(&self, map: &ShardMap) -> (Vec<u32>, Vec<V>, Vec<Vec<V>>) {
        let (elements, values) = match &self.values {
            Owned::Dense(values) => (map.elements_of(self.index).collect(), values.clone()),
            Owned::Sparse(rows) => rows.elements(map.rows_of(self.index)),
        };
        (elements, values, self.states().to_vec())
    }
    /// What the table's rule keeps, by state; in the order of the shard's places.
    pub fn states(&self) -> &[Vec<V>] {
        self.ruled.as_ref().map_or(&[], |ruled| &ruled.states)
    }
    /// All values.
    pub fn whole(&self, map: &ShardMap) -> Block<V> {
        match &self.values {
            Owned::Dense(values) => {
                let (rows, row_values) = (map.rows_of(self.index).to_vec(), values.clone());
                Block { rows, row_values, ..Block::default() }
            }
            Owned::Sparse(rows) => {
                let (elements, values) = rows.elements(map.rows_of(self.index));
                Block { elements, values, ..Block::default() }
            }
        }
    }
}
