//! The operator that owns a shard of every table: it applies deltas when their clock is closed, and sends refreshes.

use super::Shard;
use crate::block::{ABORT, ADD, Block, ByDest, MAIL, NO_PULL, OVERWRITE, WHOLE};
use crate::consistency::Refresh;
use crate::run::{Run, RunSnapshots, Salvaged, TableRun};
use crate::snapshot::{Part, Writer};
use crate::value::Value;
use slackwater_dataflow::{Bridge, Data};
use std::collections::VecDeque;
use std::sync::Arc;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// A replica that waits for a version of a table.
struct Pull {
    version: u64,
    table: usize,
    replica: usize,
    capability: Capability<u64>,
}

/// The snapshots of one worker's shards.
struct Cuts {
    /// Clocks to come.
    next: VecDeque<u64>,
    writer: Writer,
    /// Stands at the least clock that is not on disk.
    capability: Option<Capability<u64>>,
}

impl Cuts {
    fn new(
        snapshots: Option<&RunSnapshots>,
        capability: Option<Capability<u64>>,
        shard: usize,
        shards: usize,
    ) -> Self {
        let dir = snapshots.map(|s| s.dir.clone()).unwrap_or_default();
        let next = snapshots.map(|s| s.clocks.clone().into()).unwrap_or_default();
        let mut cuts = Cuts { next, writer: Writer::new(&dir, shard, shards), capability };
        cuts.advance();
        cuts
    }
    fn advance(&mut self) {
        match (self.writer.pending().or(self.next.front().copied()), &mut self.capability) {
            (Some(clock), Some(capability)) => capability.downgrade(&clock),
            (_, capability) => *capability = None,
        }
    }
}

/// The shards of a worker, one a table.
struct Shards<T: Data, V: Value> {
    of_tables: Vec<Shard<V>>,
    run: Arc<Run<T, V>>,
    index: usize,
    /// Every replica has their last values.
    is_done: bool,
}

impl<T: Data, V: Value> Drop for Shards<T, V> {
    fn drop(&mut self) {
        if self.is_done || !self.run.salvages {
            return;
        }
        // What has arrived counts, though clocks are not complete.
        let tables = self.of_tables.iter_mut().zip(&self.run.tables).map(|(shard, table)| {
            shard.close(u64::MAX, &table.map);
            let (_, values, states) = shard.copy(&table.map);
            Salvaged { values, states }
        });
        let values = tables.collect();
        self.run.salvaged.lock().unwrap_or_else(|e| e.into_inner()).insert(self.index, values);
    }
}

/// The shards of worker `index`: refreshes, and a stream without data whose frontier says which snapshots are on disk.
pub(crate) fn store<'scope, T: Data, V: Value>(
    deltas: Stream<'scope, u64, Block<V>>,
    run: Arc<Run<T, V>>,
    index: usize,
    bridge: Bridge,
) -> (Stream<'scope, u64, Block<V>>, Stream<'scope, u64, Vec<()>>) {
    let scope = deltas.scope();
    let mut builder = OperatorBuilder::new("store".to_string(), scope);
    let mut input = builder.new_input(deltas, DistributorPact(|_| ByDest));
    let (output, refreshes) = builder.new_output::<Block<V>>();
    let mut output = OutputBuilder::<_, NoopBuilder<Block<V>>>::from(output);
    // Not connected to the input: a snapshot that is being written holds back nobody's clock.
    let (_durable, durable) = builder.new_output_connection::<Vec<()>, _>([]);
    let address = builder.operator_info().address;
    let written = move || scope.worker().sync_activator_for(address.to_vec());

    builder.build(move |mut capabilities| {
        let replicas = run.topology.processes;
        let states = run.rule_states.lock().unwrap_or_else(|e| e.into_inner());
        let kept = |table: usize| states.get(table).map_or(&[][..], Vec::as_slice);
        let tables = run.tables.iter().enumerate();
        let shard = |(i, table)| Shard::new(table, index, replicas, kept(i));
        let of_tables = tables.map(shard).collect();
        drop(states);
        let mut all = Shards { of_tables, run: run.clone(), index, is_done: false };
        let mut pulls: Vec<Pull> = vec![];
        // For the values at the end. It stands at a time that no gate waits for.
        let for_snapshots = capabilities.pop();
        let mut last = capabilities.pop();
        if let Some(last) = &mut last {
            last.downgrade(&run.clocks);
        }

        let shards_in_all = run.topology.workers_in_all();
        let mut cuts = Cuts::new(run.snapshots.as_ref(), for_snapshots, index, shards_in_all);
        let done = written();
        // What a process has to tell is in the part of its first worker.
        let speaks = index.is_multiple_of(run.topology.workers);

        move |frontiers| {
            let shards = &mut all.of_tables;
            let mut arrived: Vec<Option<Capability<u64>>> = vec![None; shards.len()];
            input.for_each(|capability, block: &mut Block<V>| {
                let block = std::mem::take(block);
                if block.how == ABORT {
                    return bridge.fail(0, &block.error());
                }
                if block.how == MAIL {
                    let delivered = run.deliver(block);
                    return delivered.unwrap_or_else(|e| bridge.fail(0, &e));
                }
                let (table, replica) = (block.table as usize, run.process_of(block.source as usize));
                let capability = capability.retain_least(0).expect("deltas are stamped with one clock");
                if block.version != NO_PULL {
                    pulls.push(Pull {
                        version: block.version,
                        table,
                        replica,
                        capability: capability.clone(),
                    });
                }
                if block.is_empty() {
                    return;
                }
                if arrived[table].as_ref().is_none_or(|least| capability.time() < least.time()) {
                    arrived[table] = Some(capability.clone());
                }
                shards[table].hold(capability, block, &run.tables[table].map, replica);
            });

            let frontier = frontiers[0].frontier().first().copied();
            // Clocks are closed up to each snapshot, which is then of this clock and of nothing else.
            let mut closed: Vec<Option<Capability<u64>>> = vec![None; shards.len()];
            let reached = frontier.unwrap_or(u64::MAX);
            loop {
                let until = cuts.next.front().map_or(reached, |clock| reached.min(*clock));
                for (table, shard) in shards.iter_mut().enumerate() {
                    let least = shard.close(until, &run.tables[table].map);
                    closed[table] = closed[table].take().or(least);
                }
                let Some(clock) = cuts.next.pop_front_if(|clock| *clock <= reached) else { break };
                let copies = shards.iter().zip(&run.tables).map(|(shard, table)| shard.copy(&table.map));
                let part = Part {
                    clock,
                    clock_in_all: run.clocks_before + clock,
                    tables: copies.collect(),
                    losses: if speaks { run.losses_until(clock) } else { vec![] },
                    locals: if speaks { run.take_written(clock) } else { vec![] },
                };
                if let Err(e) = cuts.writer.begin(part, done.clone()) {
                    bridge.fail(0, &e);
                }
            }
            if let Err(e) = cuts.writer.collect() {
                bridge.fail(0, &e);
            }
            cuts.advance();

            let mut output = output.activate();
            let mut send =
                |table: usize, replica: usize, how: u32, mut block: Block<V>, at: &Capability<u64>| {
                    block.source = index as u32;
                    block.dest = run.installer(replica, index) as u32;
                    (block.table, block.how) = (table as u32, how);
                    block.version = frontier.unwrap_or(run.clocks);
                    output.session_with_builder(at).give_container(&mut block);
                };
            for (table, shard) in shards.iter_mut().enumerate() {
                let of_run = &run.tables[table];
                let news = match of_run.refresh() {
                    Refresh::Frontier => closed[table].take(),
                    Refresh::Arrival => arrived[table].take(),
                    Refresh::Pull => None,
                };
                for (at, replica) in news.iter().flat_map(|at| (0..replicas).map(move |r| (at, r))) {
                    let block = shard.refresh(replica, &of_run.map);
                    if !block.is_empty() {
                        send(table, replica, how(of_run), block, at);
                    }
                }
            }
            pulls.retain(|pull| {
                if frontier.is_some_and(|f| pull.version > f) {
                    return true;
                }
                let of_run = &run.tables[pull.table];
                // Also an empty answer is sent: it carries the version.
                let block = shards[pull.table].refresh(pull.replica, &of_run.map);
                send(pull.table, pull.replica, how(of_run), block, &pull.capability);
                false
            });
            if let (None, Some(at)) = (frontier, last.take_if(|_| frontier.is_none())) {
                // Every replica ends with the same bits.
                for (table, shard) in shards.iter().enumerate() {
                    for replica in 0..replicas {
                        let whole = shard.whole(&run.tables[table].map);
                        send(table, replica, WHOLE, whole, &at);
                    }
                    run.keep_states(table, index, shard.states());
                }
                all.is_done = true;
            }
        }
    });
    (refreshes, durable)
}

/// What a replica does with the values of a refresh.
fn how<V: Value>(table: &TableRun<V>) -> u32 {
    if table.defers_writes() { OVERWRITE } else { ADD }
}
