//! When increments leave a worker: managed communication.
//!
//! Wei et al. 2015, Managed communication and consistency for fast data-parallel iterative analytics (bandwidth, the largest
//! first); Li et al. 2014, Scaling distributed machine learning with the parameter server (what is not significant waits).

use crate::block::Block;
use crate::consistency::Consistency;
use crate::delta_log::DeltaLog;
use crate::run::TableRun;
use crate::value::Value;
use slackwater_dataflow::time::Instant;
use slackwater_dataflow::{Error, Result};

/// What a worker sends of its increments, and when.
///
/// As it comes, all that a worker's partitions have added in a clock leaves when the clock ends. Increments may wait
/// instead, for those of later clocks, so that each value is sent once for all of them. Meanwhile they are seen within the
/// process, and all others know that they are missing: what waits counts as not yet sent in the bound on staleness, which
/// holds as ever. So waiting takes from the clocks that others may be ahead.
///
/// What waits leaves after [`hold`](Sending::hold) clocks, before a snapshot, and whenever the worker itself has to wait.
/// Some of it may leave earlier: the largest changes, as far as a [bandwidth](Sending::bandwidth) allows, and those that are
/// [significant](Sending::significance).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    hold: u64,
    bandwidth: Option<f64>,
    significance: Option<f64>,
    largest_first: bool,
}

impl Default for Sending {
    fn default() -> Self {
        Sending::at_once()
    }
}

impl Sending {
    /// Everything at the end of its clock.
    pub const fn at_once() -> Self {
        Sending { hold: 0, bandwidth: None, significance: None, largest_first: true }
    }
    /// Increments wait for as many clocks at most. Not more than the staleness of the table, which must not be BSP or have
    /// a rule.
    pub const fn hold(clocks: u64) -> Self {
        Sending { hold: clocks, ..Self::at_once() }
    }
    /// Of what waits, each worker sends so many bytes a second early, those changes first that are the largest in
    /// proportion to the value that they change.
    pub const fn bandwidth(self, bytes_a_second: f64) -> Self {
        Sending { bandwidth: Some(bytes_a_second), ..self }
    }
    /// With a [bandwidth](Self::bandwidth), those first that have waited the longest. Mostly to compare with.
    pub const fn oldest_first(self) -> Self {
        Sending { largest_first: false, ..self }
    }
    /// Changes of at least this share of the value leave at the end of their clock.
    pub const fn significance(self, share: f64) -> Self {
        Sending { significance: Some(share), ..self }
    }
    /// Clocks that increments may wait for.
    pub const fn clocks(self) -> u64 {
        self.hold
    }
    pub(crate) fn check(self, consistency: Consistency, has_rule: bool) -> Result<()> {
        let wrong = |message: String| Err(Error::config("sending", message));
        if self == Sending::at_once() {
            return Ok(());
        }
        let (hold, most) = (self.hold, consistency.staleness());
        if has_rule || consistency == Consistency::Bsp {
            return wrong("increments cannot wait under bsp, nor under an update rule".to_string());
        }
        if hold == 0 || hold > most {
            return wrong(format!(
                "increments must wait for 1 to {most} clocks under {consistency}, not {hold}"
            ));
        }
        for (value, name) in [(self.bandwidth, "bandwidth"), (self.significance, "significance")] {
            if let Some(value) = value.filter(|v| !v.is_finite() || *v < 0.0) {
                return wrong(format!("the {name} must be a number of at least 0, not {value}"));
            }
        }
        Ok(())
    }
}

/// Moves a partition's deltas into the blocks of the shards that own them, and but for BSP adds them to the replica.
pub(crate) fn bucket<V: Value>(
    partition: usize,
    table: &TableRun<V>,
    log: &mut DeltaLog<V>,
    blocks: &mut [Block<V>],
) {
    let before: Vec<[usize; 2]> = blocks.iter().map(Block::lengths).collect();
    let writes_through = !table.defers_writes();
    log.drain_elements(|element, delta| {
        if writes_through {
            table.replica.add(element as usize, delta);
        }
        let block = &mut blocks[table.map.place(element).0];
        block.elements.push(element);
        block.values.push(delta);
    });
    log.drain_rows(|shard, of_shard| {
        if writes_through {
            for (row, deltas) in of_shard.rows.iter().zip(of_shard.sums.chunks_exact(table.columns)) {
                table.replica.add_range(*row as usize * table.columns, deltas);
            }
        }
        let Block { rows, row_values, .. } = &mut blocks[shard];
        of_shard.move_to(rows, row_values);
    });
    blocks.iter_mut().zip(before).for_each(|(block, before)| block.end_segment(partition, before));
    if writes_through {
        table.replica.add_witness(partition, 1);
    }
    blocks[partition % table.map.shards()].witnesses.push([partition as u64, 1]);
}

/// The increments of one worker that wait, of one table.
pub(crate) struct Held<V> {
    sending: Sending,
    log: DeltaLog<V>,
    /// By partition: its clocks that wait.
    clocks: Vec<u64>,
    /// The first clock that waits.
    since: Option<u64>,
    start: Instant,
    /// Bytes sent since the start.
    sent: f64,
}

/// A change that may be sent by itself.
enum Change<V> {
    Element(u32, V),
    Row(u32, Vec<V>),
}

impl<V: Value> Change<V> {
    /// How large it is in proportion to what is there.
    fn size(&self, table: &TableRun<V>) -> f64 {
        match self {
            Change::Element(element, delta) => delta.relative_to(table.replica.get(*element as usize)),
            Change::Row(row, deltas) => {
                let first = *row as usize * table.columns;
                let sizes = (first..).zip(deltas).map(|(e, delta)| delta.relative_to(table.replica.get(e)));
                sizes.fold(0.0, f64::max)
            }
        }
    }
    fn bytes(&self) -> f64 {
        let values = match self {
            Change::Element(..) => 1,
            Change::Row(_, deltas) => deltas.len(),
        };
        (4 + values * size_of::<V>()) as f64
    }
}

impl<V: Value> Held<V> {
    pub fn new(table: &TableRun<V>, partitions: usize) -> Option<Self> {
        (table.sending != Sending::at_once()).then(|| Held {
            sending: table.sending,
            log: DeltaLog::new(table.rows, table.columns, table.map.shards(), table.replica.is_sparse()),
            clocks: vec![0; partitions],
            since: None,
            start: Instant::now(),
            sent: 0.0,
        })
    }
    /// The first clock that waits.
    pub fn since(&self) -> Option<u64> {
        self.since
    }
    /// True if what waits must leave when `clock` has ended.
    pub fn is_due(&self, clock: u64) -> bool {
        self.since.is_some_and(|since| clock + 1 - since > self.sending.hold)
    }
    /// Takes a partition's increments of a clock. They are seen in the process at once.
    pub fn take(&mut self, partition: usize, clock: u64, table: &TableRun<V>, log: &mut DeltaLog<V>) {
        log.drain_elements(|element, delta| {
            table.replica.add(element as usize, delta);
            self.log.add(element as usize, delta);
        });
        log.drain_rows(|_, of_shard| {
            for (row, deltas) in of_shard.rows.iter().zip(of_shard.sums.chunks_exact(table.columns)) {
                table.replica.add_range(*row as usize * table.columns, deltas);
                self.log.add_row(&table.map, *row as usize, deltas);
            }
            of_shard.rows.clear();
            of_shard.sums.clear();
        });
        table.replica.add_witness(partition, 1);
        self.clocks[partition] += 1;
        self.since.get_or_insert(clock);
    }
    fn drain(&mut self, columns: usize) -> Vec<Change<V>> {
        let mut changes = vec![];
        self.log.drain_elements(|element, delta| changes.push(Change::Element(element, delta)));
        self.log.drain_rows(|_, of_shard| {
            let rows = of_shard.rows.drain(..).zip(of_shard.sums.chunks_exact(columns.max(1)));
            changes.extend(rows.map(|(row, deltas)| Change::Row(row, deltas.to_vec())));
            of_shard.sums.clear();
        });
        changes
    }
    /// Moves all that waits into the blocks of the shards.
    pub fn send_all(&mut self, table: &TableRun<V>, blocks: &mut [Block<V>]) {
        let changes = self.drain(table.columns);
        self.send(changes, table, blocks);
        for (partition, clocks) in self.clocks.iter_mut().enumerate().filter(|(_, clocks)| **clocks > 0) {
            let shard = partition % table.map.shards();
            blocks[shard].witnesses.push([partition as u64, std::mem::take(clocks)]);
        }
        self.since = None;
    }
    /// Moves what may leave before the rest.
    pub fn send_some(&mut self, table: &TableRun<V>, blocks: &mut [Block<V>]) {
        let Sending { bandwidth, significance, largest_first, .. } = self.sending;
        let mut room = bandwidth.map_or(0.0, |b| b * self.start.elapsed().as_secs_f64() - self.sent);
        if significance.is_none() && room < (4 + size_of::<V>()) as f64 {
            return;
        }
        let mut changes: Vec<(f64, Change<V>)> =
            self.drain(table.columns).into_iter().map(|change| (change.size(table), change)).collect();
        if largest_first {
            // Stable: of equals the one that has waited longer.
            changes.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        let mut some = vec![];
        for (size, change) in changes {
            let fits = room >= change.bytes();
            if fits || significance.is_some_and(|share| size >= share) {
                room -= change.bytes();
                some.push(change);
            } else {
                match change {
                    Change::Element(element, delta) => self.log.add(element as usize, delta),
                    Change::Row(row, deltas) => self.log.add_row(&table.map, row as usize, &deltas),
                }
            }
        }
        self.send(some, table, blocks);
    }
    fn send(&mut self, changes: Vec<Change<V>>, table: &TableRun<V>, blocks: &mut [Block<V>]) {
        let before: Vec<[usize; 2]> = blocks.iter().map(Block::lengths).collect();
        for change in changes {
            self.sent += change.bytes();
            match change {
                Change::Element(element, delta) => {
                    let block = &mut blocks[table.map.place(element).0];
                    block.elements.push(element);
                    block.values.push(delta);
                }
                Change::Row(row, deltas) => {
                    let block = &mut blocks[table.map.shard_of(row as usize)];
                    block.rows.push(row);
                    block.row_values.extend_from_slice(&deltas);
                }
            }
        }
        // Of many partitions, which matters where their order does: under BSP, where nothing waits.
        blocks.iter_mut().zip(before).for_each(|(block, before)| block.end_segment(0, before));
    }
}
