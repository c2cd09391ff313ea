//! One run: what the workers of a process share, and the dataflow that each of them builds.

use crate::block::Block;
use crate::compute::{WorkerState, compute};
use crate::consistency::{ASYNC_RULED_LEAD_MAX, Consistency, Refresh};
use crate::local::{LocalKind, Locals};
use crate::mail::Mailbox;
use crate::replica::Replica;
use crate::report::{EpochLoss, WorkerReport};
use crate::rule::Rule;
use crate::sending::Sending;
use crate::server::{ShardMap, install, manifests, store};
use crate::snapshot::Manifest;
use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use crate::view::{Clock, TableView};
use slackwater_dataflow::{Bridge, Data, DatasetRef, Error, ErrorKind, Result, Topology};
use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::worker::Worker;

/// The user's function: the partition's state, a minibatch, the tables, the clock.
pub(crate) type Update<T, V> = dyn Fn(&mut dyn Any, &[T], &mut [TableView<'_, V>], &mut Clock) + Send + Sync;

/// What a worker does while it waits: the partition's state, all of its records, the clock that it waits for. True if there
/// is more to do.
pub(crate) type Meanwhile<T> = dyn Fn(&mut dyn Any, &[T], &mut Clock) -> bool + Send + Sync;

/// A table in one run.
pub(crate) struct TableRun<V: Value> {
    pub consistency: Consistency,
    pub rule: Rule,
    pub sending: Sending,
    pub rows: usize,
    pub columns: usize,
    pub initial: Values<V>,
    pub map: ShardMap,
    pub replica: Replica<V>,
}

impl<V: Value> TableRun<V> {
    pub fn new(table: &Table<V>, initial: Values<V>, partitions: usize, topology: Topology) -> Self {
        let (rows, columns) = (table.rows(), table.columns());
        let shards = topology.workers_in_all();
        let replica = match &initial {
            Values::Dense(values) => Replica::new(values.iter().copied(), partitions, shards),
            Values::Sparse(rows) => Replica::sparse(rows, partitions, shards),
        };
        let map = ShardMap::new(rows, columns, shards);
        let (consistency, rule, sending) = (table.consistency(), table.rule(), table.sending());
        TableRun { consistency, rule, sending, rows, columns, initial, map, replica }
    }
    /// The values of the replica.
    pub fn values(&self) -> Values<V> {
        match self.replica.to_sparse() {
            None => Values::Dense(Arc::new(self.replica.to_vec())),
            Some(rows) => Values::Sparse(Arc::new(rows)),
        }
    }
    pub fn has_rule(&self) -> bool {
        self.rule != Rule::Increment
    }
    /// True if own increments stay out of the shared replica until they come back with those of all others: under BSP
    /// what a partition reads would else depend on which others share its process, and on how far they are. Where a rule
    /// decides what an increment means, only the shard knows.
    pub fn defers_writes(&self) -> bool {
        self.consistency == Consistency::Bsp || self.has_rule()
    }
    /// How many clocks of others a read may miss, at first and at most.
    pub fn staleness(&self) -> (u64, u64) {
        match self.consistency {
            Consistency::Async if self.has_rule() => (ASYNC_RULED_LEAD_MAX, ASYNC_RULED_LEAD_MAX),
            consistency => (consistency.staleness_at_first(), consistency.staleness()),
        }
    }
    /// When the shards send fresh rows. What a rule makes of a clock is known when the clock is closed.
    pub fn refresh(&self) -> Refresh {
        match self.consistency.refresh() {
            Refresh::Arrival if self.has_rule() => Refresh::Frontier,
            refresh => refresh,
        }
    }
}

/// What the rules of tables keep from one run of a training to the next: by table and state, by element. Of each process
/// those of its own shards are right.
pub(crate) type RuleStates<V> = Arc<Mutex<Vec<Vec<Vec<V>>>>>;

/// What a shard has when its run is broken off.
pub(crate) struct Salvaged<V> {
    pub values: Vec<V>,
    /// What the table's rule keeps, by state.
    pub states: Vec<Vec<V>>,
}

/// The snapshots of one run.
pub(crate) struct RunSnapshots {
    pub dir: PathBuf,
    pub keep: usize,
    /// Clocks of this run, ascending, none later than its last.
    pub clocks: Vec<u64>,
    pub shape: Manifest,
}

/// What the workers of a process share in one run.
pub(crate) struct Run<T: Data, V: Value> {
    pub dataset: DatasetRef<T>,
    pub topology: Topology,
    pub tables: Vec<TableRun<V>>,
    pub update: Arc<Update<T, V>>,
    pub meanwhile: Option<Arc<Meanwhile<T>>>,
    /// Letters from the run before, and for the one that follows.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Every clock gets all records of its partitions.
    pub takes_all: bool,
    pub local: LocalKind<T>,
    /// States from the run before, and for the one that follows.
    pub locals: Locals,
    pub rule_states: RuleStates<V>,
    /// By clock of a snapshot: states of partitions of this process, written down when their clock ended.
    pub written: Mutex<BTreeMap<u64, Vec<(usize, Vec<u8>)>>>,
    /// Clocks of this run.
    pub clocks: u64,
    pub clocks_per_epoch: u64,
    /// Clocks and epochs of earlier runs of the same training.
    pub clocks_before: u64,
    pub epochs_before: u64,
    pub seed: u64,
    /// Where and when snapshots are taken.
    pub snapshots: Option<RunSnapshots>,
    /// What the workers of this process have reported, by worker.
    pub reports: Mutex<BTreeMap<usize, WorkerReport>>,
    /// By partition of this process: its losses by epoch.
    pub losses: Mutex<BTreeMap<usize, Vec<EpochLoss>>>,
    /// Whether shards keep what they have when the run is broken off.
    pub salvages: bool,
    /// What they have kept, by worker and table, in the order of places.
    pub salvaged: Mutex<BTreeMap<usize, Vec<Salvaged<V>>>>,
    /// Values of the tables when the run has ended.
    pub ended: OnceLock<Vec<Values<V>>>,
}

impl<T: Data, V: Value> Run<T, V> {
    /// The one worker that installs what `shard` sends to the replica of `process`: values arrive in the order in which
    /// they were sent.
    pub fn installer(&self, process: usize, shard: usize) -> usize {
        process * self.topology.workers + shard % self.topology.workers
    }
    /// What the snapshot of a clock of this run is of.
    pub fn manifest(&self, snapshots: &RunSnapshots, clock: u64) -> Manifest {
        Manifest {
            clock: self.clocks_before + clock,
            epoch: self.epochs_before + clock / self.clocks_per_epoch,
            ..snapshots.shape.clone()
        }
    }
    /// Losses of the partitions of this process up to a clock of this run that is closed.
    pub fn losses_until(&self, clock: u64) -> Vec<(usize, Vec<EpochLoss>)> {
        let epochs = self.epochs_before + clock / self.clocks_per_epoch;
        let losses = self.losses.lock().unwrap_or_else(|e| e.into_inner());
        let until = |l: &Vec<EpochLoss>| l.iter().copied().filter(|l| l.epoch < epochs).collect();
        losses.iter().map(|(partition, losses)| (*partition, until(losses))).collect()
    }
    /// The states of the partitions of this process as of a clock of a snapshot that is closed.
    pub fn take_written(&self, clock: u64) -> Vec<(usize, Vec<u8>)> {
        let states = self.written.lock().unwrap_or_else(|e| e.into_inner()).remove(&clock);
        let (states, due) = (states.unwrap_or_default().into_iter(), self.clocks_before + clock);
        match &self.mailbox {
            None => states.collect(),
            Some(mailbox) => states.map(|(p, state)| (p, mailbox.cut(due, p, &state))).collect(),
        }
    }
    /// A clock of this run, for a partition.
    pub fn now(&self, partition: usize, epoch: u64, clock: u64, worker: usize) -> Clock {
        Clock {
            number: self.clocks_before + clock,
            epoch,
            partition,
            partitions: self.dataset.num_partitions(),
            clocks_per_epoch: self.clocks_per_epoch,
            worker,
            seed: self.seed,
            loss: 0.0,
            post: None,
            is_unfinished: false,
            is_waiting: false,
            model_bytes: 0,
        }
    }
    /// Takes in letters that have arrived.
    pub fn deliver(&self, block: Block<V>) -> Result<()> {
        let (Some(mailbox), Some(mail)) = (&self.mailbox, block.mail) else { return Ok(()) };
        mailbox.deliver(block.version, *mail).map_err(|e| Error::new(ErrorKind::Cluster(e)))
    }
    /// The state of a partition at the end of the run, with the letters that wait for it.
    pub fn write_local(&self, partition: usize, local: &dyn Any) -> Vec<u8> {
        let state = (self.local.encode)(local);
        match &self.mailbox {
            None => state,
            Some(mailbox) => mailbox.keep(self.clocks_before + self.clocks, partition, &state),
        }
    }
    /// Keeps the states of a table's rule in the shard of a worker for the run that follows.
    pub fn keep_states(&self, table: usize, index: usize, states: &[Vec<V>]) {
        let mut kept = self.rule_states.lock().unwrap_or_else(|e| e.into_inner());
        kept.resize_with(self.tables.len(), Vec::new);
        let (of_table, run) = (&mut kept[table], &self.tables[table]);
        let n = run.rows * run.columns;
        of_table.resize_with(states.len(), || vec![V::default(); n]);
        for (kept, state) in of_table.iter_mut().zip(states) {
            run.map
                .elements_of(index)
                .zip(state)
                .for_each(|(element, value)| kept[element as usize] = *value);
        }
    }
    /// Values of the tables, of a run that has ended.
    pub fn ended(&self) -> &[Values<V>] {
        self.ended.get_or_init(|| self.tables.iter().map(TableRun::values).collect())
    }
    /// The process of a worker; also its replica.
    pub fn process_of(&self, worker: usize) -> usize {
        worker / self.topology.workers
    }
    /// Builds the dataflow of one worker.
    pub fn build(self: &Arc<Self>, worker: &mut Worker, bridge: &Bridge) {
        let (index, bridge) = (worker.index(), bridge.clone());
        let run = self.clone();
        worker.dataflow_named::<u64, _, _>("training", move |scope| {
            let (handle, applied) = scope.feedback::<Vec<()>>(1);
            let deltas = compute(applied, WorkerState::new(&run, index, bridge.clone()));
            let (refreshes, durable) = store(deltas, run.clone(), index, bridge.clone());
            manifests(durable, run.clone(), index, bridge);
            install(refreshes, run, index).connect_loop(handle);
        });
    }
}
