//! The operator that trains: one clock is one minibatch of each of the worker's partitions.
//!
//! The capability of its output is the worker's clock. Its input carries no data, only a frontier: with `f` the
//! frontier at the end of the loop, which adds one, everything of clocks below `f - 1` has been applied and installed.
//! The end of a run is one more read, of everything.

use crate::block::{Block, MAIL, NO_PULL};
use crate::bound::Bound;
use crate::consistency::Refresh;
use crate::delta_log::DeltaLog;
use crate::local::Local;
use crate::mail::{Letter, Mail, Post};
use crate::report::{EpochLoss, Histogram, WorkerReport};
use crate::run::{Run, TableRun};
use crate::sending::{Held, bucket};
use crate::value::Value;
use crate::view::TableView;
use slackwater_dataflow::time::Instant;
use slackwater_dataflow::{Bridge, Data, fault};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::ContainerBytes;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// A worker computes no longer than this (or one minibatch) before its shards and the progress protocol get the thread.
const SLICE: Duration = Duration::from_millis(1);
/// Bytes that the workers of a process may have on the way to shards of other processes, before another clock begins. A
/// clock may be larger; then it is one.
const UNDER_WAY_MAX: u64 = 32 << 20;

/// One of the worker's partitions.
struct Lane<T> {
    partition: usize,
    records: Arc<Vec<T>>,
    local: Local,
    epoch: EpochLoss,
    /// Of the pieces of this clock's minibatch that are done.
    loss: f64,
    post: Option<Box<Post>>,
    /// There may be something to do while the worker waits.
    has_more: bool,
    /// Bytes of a model that it has.
    model_bytes: u64,
}

/// What a worker knows of a table before it begins a clock.
struct Gate {
    /// How much staleness it makes use of.
    bound: Bound,
    waits_since: Option<Instant>,
    /// The last version that it has asked for.
    asked: u64,
}

impl Gate {
    fn new(staleness: (u64, u64)) -> Self {
        Gate { bound: Bound::new(staleness), waits_since: None, asked: 0 }
    }
}

/// Where the worker stands within its clock.
enum Phase {
    /// Before the gate, since when.
    Waiting(Instant),
    /// In the minibatch of this lane.
    Working(usize),
}

/// One worker in one run.
pub(crate) struct WorkerState<T: Data, V: Value> {
    run: Arc<Run<T, V>>,
    index: usize,
    bridge: Bridge,
    /// Filled at the first activation.
    lanes: Option<Vec<Lane<T>>>,
    clock: u64,
    phase: Phase,
    /// The lane whose turn it is while the worker waits.
    turn: usize,
    /// By table.
    gates: Vec<Gate>,
    /// Time in the user's function in this clock.
    worked: Duration,
    logs: Vec<DeltaLog<V>>,
    /// By table and shard: deltas of this clock.
    blocks: Vec<Vec<Block<V>>>,
    /// Clocks that others may not have taken yet, ascending, with the bytes that were sent to other processes.
    under_way: VecDeque<(u64, u64)>,
    /// By table: increments that wait, if they may.
    held: Vec<Option<Held<V>>>,
    report: WorkerReport,
}

/// What an activation has come to.
enum Step {
    /// Nothing to do until the frontier moves or a refresh arrives; perhaps tables to ask for: (table, version).
    Wait(Vec<(usize, u64)>),
    /// More to do, in another activation.
    Again,
    /// The clock is done.
    Clock,
    /// The run is over.
    End,
}

impl<T: Data, V: Value> WorkerState<T, V> {
    pub fn new(run: &Arc<Run<T, V>>, index: usize, bridge: Bridge) -> Self {
        let shards = run.topology.workers_in_all();
        let log = |t: &TableRun<V>| DeltaLog::new(t.rows, t.columns, shards, t.replica.is_sparse());
        let none = vec![Histogram::default(); run.tables.len()];
        WorkerState {
            index,
            bridge,
            lanes: None,
            clock: 0,
            phase: Phase::Waiting(Instant::now()),
            turn: 0,
            gates: run.tables.iter().map(|t| Gate::new(t.staleness())).collect(),
            worked: Duration::ZERO,
            logs: run.tables.iter().map(log).collect(),
            held: run.tables.iter().map(|t| Held::new(t, run.dataset.num_partitions())).collect(),
            blocks: run.tables.iter().map(|_| (0..shards).map(|_| Block::default()).collect()).collect(),
            under_way: VecDeque::new(),
            report: WorkerReport {
                worker: index,
                proven: none.clone(),
                observed: none,
                ..Default::default()
            },
            run: run.clone(),
        }
    }
    /// Loads the worker's partitions; false if that failed.
    fn load(&mut self) -> bool {
        let (run, bridge) = (&self.run, &self.bridge);
        let own = (0..run.dataset.num_partitions()).filter(|p| run.topology.worker_of(*p) == self.index);
        let lane = |partition| {
            let records = bridge.records(&run.dataset, partition)?;
            let epoch = EpochLoss { epoch: run.epochs_before, loss: 0.0 };
            let kept = run.locals.lock().unwrap_or_else(|e| e.into_inner()).remove(&partition);
            let local = match kept {
                Some(local) => local,
                None => bridge.guard(partition, || (run.local.init)(partition, &records))?,
            };
            let post = run
                .mailbox
                .as_ref()
                .map(|mailbox| Box::new(Post { of: mailbox.kind.of, sent: vec![], arrived: vec![] }));
            Some(Lane { partition, records, local, epoch, loss: 0.0, post, has_more: false, model_bytes: 0 })
        };
        self.lanes = own.map(lane).collect();
        self.phase = Phase::Waiting(Instant::now());
        self.lanes.is_some()
    }
    /// Whether the clock may begin, given the frontier at the input.
    fn gate(&mut self, frontier: u64, since: Instant) -> Option<Step> {
        let (is_over, mut ask) = (self.clock == self.run.clocks, vec![]);
        // Letters of the clock before may be on their way until it is applied.
        let mut waits = self.run.mailbox.is_some() && frontier.saturating_sub(1) < self.clock;
        let mut visible = vec![];
        for (i, table) in self.run.tables.iter().enumerate() {
            let pulls = table.refresh() == Refresh::Pull;
            // Another replica's answers say nothing about this one, so the version comes with the answer.
            let there = if pulls { table.replica.version() } else { frontier.saturating_sub(1) };
            let gate = &mut self.gates[i];
            let needed = self.clock.saturating_sub(if is_over { 0 } else { gate.bound.get() });
            if there < needed {
                waits = true;
                gate.waits_since.get_or_insert_with(Instant::now);
                if pulls && gate.asked < needed && table.replica.claim_pull(needed, self.clock) {
                    gate.asked = needed;
                    ask.push((i, needed));
                }
            }
            visible.push(there.min(self.clock));
        }
        if waits || self.has_too_much_under_way(frontier) {
            return Some(Step::Wait(ask));
        }
        if is_over {
            return Some(Step::End);
        }
        let worked = std::mem::take(&mut self.worked);
        for gate in &mut self.gates {
            let waited = gate.waits_since.take().map_or(Duration::ZERO, |since| since.elapsed());
            gate.bound.count(waited, worked);
        }
        self.report.waited_us += since.elapsed().as_micros() as u64;
        self.measure(&visible);
        self.open_mail();
        None
    }
    /// True if others must take what was sent before this worker goes on: a bound on clocks is none on memory. It waits for
    /// clocks that it has ended itself, which the slowest of all waits for, too; so somebody always goes on.
    fn has_too_much_under_way(&mut self, frontier: u64) -> bool {
        while self.under_way.pop_front_if(|(clock, _)| *clock + 1 < frontier).is_some() {}
        let bytes: u64 = self.under_way.iter().map(|(_, bytes)| bytes).sum();
        bytes * self.run.topology.workers as u64 > UNDER_WAY_MAX
    }
    /// Hands out the letters for this clock.
    fn open_mail(&mut self) {
        let is_cut = self.is_cut(self.clock);
        let (Some(mailbox), Some(lanes)) = (&self.run.mailbox, &mut self.lanes) else { return };
        for lane in lanes {
            let letters = mailbox.open(self.run.clocks_before + self.clock, lane.partition, is_cut);
            if let Some(post) = &mut lane.post {
                post.arrived = letters.into_iter().map(|l| (l.from as usize, l.body)).collect();
            }
        }
    }
    /// Works for about one slice at what there is to do while the worker waits.
    fn work_meanwhile(&mut self) {
        let run = self.run.clone();
        let (Some(meanwhile), Some(lanes)) = (&run.meanwhile, &mut self.lanes) else { return };
        let start = Instant::now();
        while start.elapsed() < SLICE && lanes.iter().any(|lane| lane.has_more) {
            let n = lanes.len();
            let lane = &mut lanes[self.turn % n];
            if lane.has_more {
                let mut now = run.now(lane.partition, lane.epoch.epoch, self.clock, self.index);
                (now.post, now.is_waiting) = (lane.post.take(), true);
                let (records, local) = (&lane.records, &mut *lane.local);
                let more = self.bridge.guard(lane.partition, || meanwhile(local, records, &mut now));
                lane.post = now.post;
                let Some(more) = more else { return };
                lane.has_more = more;
            }
            self.turn += 1;
        }
        self.report.meanwhile_us += start.elapsed().as_micros() as u64;
    }
    /// True if there may be something to do while the worker waits.
    fn has_more_meanwhile(&self) -> bool {
        self.clock < self.run.clocks && self.lanes.iter().flatten().any(|lane| lane.has_more)
    }
    /// Counts the staleness of the reads of this clock, and checks what the gate has promised.
    fn measure(&mut self, visible: &[u64]) {
        let own = self.lanes.as_ref().map_or(0, Vec::len) as u64;
        let WorkerState { run, report, clock, .. } = self;
        for (i, (table, visible)) in run.tables.iter().zip(visible).enumerate() {
            report.proven[i].count((*clock - visible) as i64, own);
            for partition in 0..run.dataset.num_partitions() {
                let seen = table.replica.witness(partition);
                assert!(
                    seen >= *visible,
                    "clock {clock}: {visible} clocks are proven, but {seen} of partition {partition} are seen",
                );
                report.observed[i].count(*clock as i64 - seen as i64, own);
            }
        }
    }
    /// One minibatch of one lane, or a piece of it: whether it is done, or nothing if the user's function panicked.
    fn minibatch(&mut self, lane: usize) -> Option<bool> {
        let WorkerState { run, index, bridge, lanes, clock, logs, blocks, held, .. } = self;
        let lane = &mut lanes.as_mut().expect("loaded before the first clock")[lane];
        let per_epoch = run.clocks_per_epoch as u128;
        // An equal share of the partition a clock, so that all partitions take part in every clock.
        let (step, n) = ((*clock % run.clocks_per_epoch) as u128, lane.records.len() as u128);
        let range = match run.takes_all {
            true => 0..lane.records.len(),
            false => (n * step / per_epoch) as usize..(n * (step + 1) / per_epoch) as usize,
        };
        let mut now = run.now(lane.partition, lane.epoch.epoch, *clock, *index);
        (now.post, now.model_bytes, now.loss) = (lane.post.take(), lane.model_bytes, lane.loss);
        let mut views: Vec<TableView<'_, V>> = run
            .tables
            .iter()
            .zip(logs.iter_mut())
            .map(|(table, log)| TableView {
                replica: &table.replica,
                log,
                map: &table.map,
                rows: table.rows,
                columns: table.columns,
            })
            .collect();
        let (records, local) = (&lane.records[range], &mut *lane.local);
        let number = now.number;
        fault::reach("before-read", number);
        bridge.guard(lane.partition, || (run.update)(local, records, &mut views, &mut now))?;
        fault::reach("after-compute", number);
        (lane.post, lane.model_bytes) = (now.post, now.model_bytes);
        if now.is_unfinished {
            // One sum a clock, whatever its pieces.
            lane.loss = now.loss;
            return Some(false);
        }
        lane.epoch.loss += now.loss;
        lane.loss = 0.0;
        for (i, table) in run.tables.iter().enumerate() {
            match &mut held[i] {
                Some(held) => held.take(lane.partition, *clock, table, &mut logs[i]),
                None => bucket(lane.partition, table, &mut logs[i], &mut blocks[i]),
            }
        }
        if (*clock + 1).is_multiple_of(run.clocks_per_epoch) {
            // Before the clock ends, so that a snapshot of the next one finds it.
            let mut losses = run.losses.lock().unwrap_or_else(|e| e.into_inner());
            losses.entry(lane.partition).or_default().push(lane.epoch);
            lane.epoch = EpochLoss { epoch: lane.epoch.epoch + 1, loss: 0.0 };
        }
        Some(true)
    }
    /// Works for about one slice.
    fn step(&mut self, frontier: u64) -> Step {
        if self.lanes.is_none() && !self.load() {
            return Step::Wait(vec![]);
        }
        if let Phase::Waiting(since) = self.phase {
            if let Some(step) = self.gate(frontier, since) {
                // What others may wait for is sent first.
                let has_nothing_to_send =
                    matches!(&step, Step::Wait(ask) if ask.is_empty() && self.first_held().is_none());
                if has_nothing_to_send && self.has_more_meanwhile() {
                    self.work_meanwhile();
                }
                return step;
            }
            self.phase = Phase::Working(0);
        }
        let Phase::Working(mut lane) = self.phase else { unreachable!("the gate was just passed") };
        let (start, lanes) = (Instant::now(), self.lanes.as_ref().map_or(0, Vec::len));
        while lane < lanes && start.elapsed() < SLICE {
            match self.minibatch(lane) {
                None => return Step::Wait(vec![]),
                Some(is_done) => lane += usize::from(is_done),
            }
        }
        self.worked += start.elapsed();
        self.report.computed_us += start.elapsed().as_micros() as u64;
        self.phase = Phase::Working(lane);
        if lane < lanes { Step::Again } else { Step::Clock }
    }
    /// Whether a snapshot is taken when this clock begins.
    fn is_cut(&self, clock: u64) -> bool {
        self.run.snapshots.as_ref().is_some_and(|s| s.clocks.contains(&clock))
    }
    /// Fills the blocks with what leaves at the end of the clock; with all that waits if `all`.
    fn fill_blocks(&mut self, all: bool) {
        let all = all || self.is_cut(self.clock + 1);
        for (i, held) in self.held.iter_mut().enumerate() {
            let Some(held) = held else { continue };
            match all || held.is_due(self.clock) {
                true => held.send_all(&self.run.tables[i], &mut self.blocks[i]),
                false => held.send_some(&self.run.tables[i], &mut self.blocks[i]),
            }
        }
    }
    /// The first clock of which some increments wait.
    fn first_held(&self) -> Option<u64> {
        self.held.iter().filter_map(|held| held.as_ref()?.since()).min()
    }
    /// By table: the capability that its deltas leave with. What has waited leaves as of the clock since when it has.
    fn stamps(&self, at: &Capability<u64>) -> Vec<Capability<u64>> {
        let clock = |held: &Option<Held<V>>| held.as_ref().and_then(Held::since).unwrap_or(self.clock);
        self.held.iter().map(|held| at.delayed(&clock(held))).collect()
    }
    /// Sends the blocks, and leaves empty ones.
    fn send_blocks(
        &mut self,
        stamps: &[Capability<u64>],
        mut send: impl FnMut(&Capability<u64>, &mut Block<V>),
    ) {
        let mut of_tables = std::mem::take(&mut self.blocks);
        for (table, (blocks, stamp)) in of_tables.iter_mut().zip(stamps).enumerate() {
            for (dest, block) in blocks.iter_mut().enumerate().filter(|(_, b)| !b.is_empty()) {
                (block.dest, block.source, block.table) = (dest as u32, self.index as u32, table as u32);
                block.version = NO_PULL;
                self.count_sent(dest, block);
                let next = block.like();
                send(stamp, block);
                *block = next;
                fault::reach("mid-push", self.run.clocks_before + self.clock);
            }
        }
        self.blocks = of_tables;
    }
    /// Sends the letters of the clock.
    fn send_mail(&mut self, mut send: impl FnMut(&mut Block<V>)) {
        let run = self.run.clone();
        let (Some(mailbox), Some(lanes)) = (&run.mailbox, &mut self.lanes) else { return };
        let mut by_worker: BTreeMap<usize, Vec<Letter>> = BTreeMap::new();
        for letter in lanes.iter_mut().flat_map(|lane| lane.post.iter_mut()).flat_map(|p| p.sent.drain(..)) {
            by_worker.entry(run.topology.worker_of(letter.to as usize)).or_default().push(letter);
        }
        for (worker, letters) in by_worker {
            let mail = match run.topology.encodes_to(worker) {
                true => Mail::Written(mailbox.write(&letters)),
                false => Mail::Live(letters),
            };
            let mut block = Block {
                dest: worker as u32,
                source: self.index as u32,
                how: MAIL,
                version: run.clocks_before + self.clock + 1,
                mail: Some(Box::new(mail)),
                ..Block::default()
            };
            self.count_sent(worker, &block);
            send(&mut block);
            fault::reach("mid-push", run.clocks_before + self.clock);
        }
    }
    /// Counts a block that is about to be sent.
    fn count_sent(&mut self, dest: usize, block: &Block<V>) {
        let bytes = block.length_in_bytes() as u64;
        self.report.sent_bytes += bytes;
        if self.run.process_of(dest) != self.run.process_of(self.index) {
            match self.under_way.back_mut().filter(|(clock, _)| *clock == self.clock) {
                Some((_, all)) => *all += bytes,
                None => self.under_way.push_back((self.clock, bytes)),
            }
        }
    }
    /// Ends the clock; what a snapshot of the next one needs is there before.
    fn end_clock(&mut self) {
        self.clock += 1;
        self.phase = Phase::Waiting(Instant::now());
        let waits = self.run.meanwhile.is_some();
        let lanes = self.lanes.iter_mut().flatten();
        let model_bytes = lanes.fold(0, |sum, lane| {
            lane.has_more = waits;
            sum + lane.model_bytes
        });
        self.report.model_bytes = self.report.model_bytes.max(model_bytes);
        if let Some(lanes) = self.lanes.as_ref().filter(|_| self.is_cut(self.clock)) {
            let states = lanes.iter().map(|lane| (lane.partition, (self.run.local.encode)(&*lane.local)));
            let mut written = self.run.written.lock().unwrap_or_else(|e| e.into_inner());
            written.entry(self.clock).or_default().extend(states);
        }
    }
    /// Hands in what the worker has to tell.
    fn finish(&mut self) {
        self.report.clocks = self.clock;
        let mut locals = self.run.locals.lock().unwrap_or_else(|e| e.into_inner());
        locals.extend(self.lanes.take().into_iter().flatten().map(|lane| (lane.partition, lane.local)));
        let mut reports = self.run.reports.lock().unwrap_or_else(|e| e.into_inner());
        reports.insert(self.index, std::mem::take(&mut self.report));
    }
}

/// The worker as an operator.
pub(crate) fn compute<'scope, T: Data, V: Value>(
    applied: Stream<'scope, u64, Vec<()>>,
    mut state: WorkerState<T, V>,
) -> Stream<'scope, u64, Block<V>> {
    let scope = applied.scope();
    let mut builder = OperatorBuilder::new("compute".to_string(), scope);
    let (output, deltas) = builder.new_output::<Block<V>>();
    let mut output = OutputBuilder::<_, NoopBuilder<Block<V>>>::from(output);
    // Not connected to the output: what comes in makes the operator send nothing it had no capability for.
    let mut input = builder.new_input_connection(applied, Pipeline, []);
    let address: Rc<[usize]> = builder.operator_info().address;
    let again = scope.activator_for(address.clone());
    state.bridge.wake_on_stop(scope.worker().sync_activator_for(address.to_vec()));
    for table in &state.run.tables {
        table.replica.wake_on_refresh(scope.worker().sync_activator_for(address.to_vec()));
    }
    builder.build(move |mut capabilities| {
        let mut capability: Option<Capability<u64>> = capabilities.pop();
        move |frontiers| {
            input.for_each(|_, _: &mut Vec<()>| {});
            let Some(at) = &mut capability else { return };
            let frontier = frontiers[0].frontier().first().copied().unwrap_or(u64::MAX);
            let step = if state.bridge.must_stop() { Step::Wait(vec![]) } else { state.step(frontier) };
            let source = state.index as u32;
            if let Some(error) = state.bridge.failure() {
                // The other processes would wait for this one for ever.
                let topology = state.run.topology;
                let mut output = output.activate();
                let mut session = output.session_with_builder(&*at);
                for process in (0..topology.processes).filter(|p| *p != topology.process) {
                    let dest = (process * topology.workers) as u32;
                    session.give_container(&mut Block::abort(dest, source, &error));
                }
                drop(session);
                capability = None;
                return;
            }
            match step {
                Step::Wait(ask) => {
                    let mut output = output.activate();
                    if state.first_held().is_some() && !state.bridge.must_stop() {
                        // Others may wait for what waits here.
                        let stamps = state.stamps(at);
                        state.fill_blocks(true);
                        state.send_blocks(&stamps, |at, block| {
                            output.session_with_builder(at).give_container(block)
                        });
                        drop(stamps);
                        at.downgrade(&state.clock);
                    }
                    let mut session = output.session_with_builder(&*at);
                    for (table, version) in ask {
                        for dest in 0..state.run.topology.workers_in_all() as u32 {
                            let table = table as u32;
                            session.give_container(&mut Block {
                                dest,
                                source,
                                table,
                                version,
                                ..Block::default()
                            });
                        }
                    }
                    if state.has_more_meanwhile() && !state.bridge.must_stop() {
                        again.activate();
                    }
                }
                Step::Again => again.activate(),
                Step::Clock => {
                    let stamps = state.stamps(at);
                    state.fill_blocks(false);
                    let mut output = output.activate();
                    state.send_blocks(&stamps, |at, block| {
                        output.session_with_builder(at).give_container(block)
                    });
                    let now = at.delayed(&state.clock);
                    state.send_mail(|block| output.session_with_builder(&now).give_container(block));
                    drop(now);
                    state.end_clock();
                    at.downgrade(&state.first_held().unwrap_or(state.clock));
                    again.activate();
                }
                Step::End => {
                    state.finish();
                    capability = None;
                }
            }
        }
    });
    deltas
}
