//! One run: what the workers of a process share, and the dataflow that each of them builds.

use crate::compute::{WorkerState, compute};
use crate::consistency::Consistency;
use crate::local::{LocalKind, Locals};
use crate::replica::Replica;
use crate::report::{EpochLoss, WorkerReport};
use crate::server::{ShardMap, install, manifests, store};
use crate::snapshot::Manifest;
use crate::value::Value;
use crate::view::{Clock, TableView};
use slackwater_dataflow::{Bridge, Data, DatasetRef, Topology};
use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::worker::Worker;

/// The user's function: the partition's state, a minibatch, the tables, the clock.
pub(crate) type Update<T, V> = dyn Fn(&mut dyn Any, &[T], &mut [TableView<'_, V>], &mut Clock) + Send + Sync;

/// A table in one run.
///
/// Behind the table's own elements stands one *witness* a partition, which counts the clocks of that partition and
/// travels with its deltas: what a replica has seen of a partition can be read off it.
pub(crate) struct TableRun<V: Value> {
    pub consistency: Consistency,
    pub rows: usize,
    pub columns: usize,
    pub initial: Arc<Vec<V>>,
    pub map: ShardMap,
    pub replica: Replica<V>,
}

impl<V: Value> TableRun<V> {
    pub fn new(
        consistency: Consistency,
        rows: usize,
        columns: usize,
        initial: Arc<Vec<V>>,
        partitions: usize,
        topology: Topology,
    ) -> Self {
        let shards = topology.workers_in_all();
        let witnesses = std::iter::repeat_n(V::default(), partitions);
        let replica = Replica::new(initial.iter().copied().chain(witnesses), shards);
        let map = ShardMap::new(rows, columns, partitions, shards);
        TableRun { consistency, rows, columns, initial, map, replica }
    }
    /// The element that counts the clocks of a partition.
    pub fn witness(&self, partition: usize) -> usize {
        self.rows * self.columns + partition
    }
    /// How many clocks of a partition the replica has seen.
    pub fn seen(&self, partition: usize) -> u64 {
        self.replica.get(self.witness(partition)).to_f64() as u64
    }
    /// First value of an element.
    pub fn initial(&self, element: u32) -> V {
        self.initial.get(element as usize).copied().unwrap_or_default()
    }
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
    pub local: LocalKind<T>,
    /// States from the run before, and for the one that follows.
    pub locals: Locals,
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
        self.written.lock().unwrap_or_else(|e| e.into_inner()).remove(&clock).unwrap_or_default()
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
