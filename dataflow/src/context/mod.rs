//! The context: worker threads, memory, blocks, jobs; the main program's handle to the engine.

pub(crate) mod accumulator;
mod bad;
mod broadcast;
pub(crate) mod config;
mod from_env;

pub use accumulator::Accumulator;
pub use broadcast::Broadcast;
pub use config::{Config, parse_bytes};
pub use from_env::VARIABLES;

use crate::cluster;
use crate::dataset::lineage::NodeId;
use crate::error::{BadRecord, Error, ErrorKind, Result};
use crate::event::{Event, EventBus};
use crate::exec::board::Board;
use crate::exec::leave::leave;
use crate::exec::parcel::{Head, Kind};
use crate::exec::stage::JobControl;
use crate::store::BlockStore;
use crate::store::memory::Memory;
use crate::store::spill::SpillDir;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Hooks, WorkerGuards, initialize_from};
use timely::worker::Worker;

/// Processes and workers, and who owns which partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Number of this process.
    pub process: usize,
    /// Processes of the cluster.
    pub processes: usize,
    /// Worker threads of each process.
    pub workers: usize,
}

impl Topology {
    /// The process that computes partition `partition`.
    pub fn owner(&self, partition: usize) -> usize {
        partition % self.processes
    }
    /// True if this process computes `partition`.
    pub fn owns(&self, partition: usize) -> bool {
        self.owner(partition) == self.process
    }
    /// Workers of all processes.
    pub fn workers_in_all(&self) -> usize {
        self.workers * self.processes
    }
    /// The worker, of all workers of all processes, that receives blocks of `partition`.
    pub fn worker_of(&self, partition: usize) -> usize {
        self.owner(partition) * self.workers + partition / self.processes % self.workers
    }
    /// How many workers receive a parcel of this kind.
    pub(crate) fn copies(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Data => 1,
            Kind::Commit => (self.workers * self.processes) as u32,
            Kind::Abort | Kind::ToProcesses => self.processes as u32 - 1,
        }
    }
    pub(crate) fn is_remote(&self, head: &Head) -> bool {
        match head.kind {
            Kind::Data => !self.owns(head.part as usize),
            Kind::ToProcesses => self.processes > 1,
            Kind::Commit | Kind::Abort => false,
        }
    }
}

/// What worker threads and nodes share. It does not own the threads.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<BlockStore>,
    pub(crate) events: Arc<EventBus>,
    pub(crate) board: Board,
    pub(crate) next_job: Mutex<u64>,
    pub(crate) accumulators: accumulator::Accumulators,
    pub(crate) bad: bad::BadRecords,
    running: Mutex<BTreeMap<u64, Weak<JobControl>>>,
    names: Mutex<BTreeSet<String>>,
    ids: AtomicU64,
    spilled: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Engine {
    /// A number that no node and no accumulator has yet.
    pub(crate) fn next_id(&self) -> NodeId {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
    pub(crate) fn count_spilled(&self, bytes: u64) {
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
    }
    pub(crate) fn register_running(&self, job: &Arc<JobControl>) {
        lock(&self.running).insert(job.number, Arc::downgrade(job));
    }
    pub(crate) fn unregister_running(&self, number: u64) {
        lock(&self.running).remove(&number);
    }
}

/// A name that nothing else of the same context has, until this is dropped.
pub struct Name {
    engine: Arc<Engine>,
    name: String,
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        lock(&self.engine.names).remove(&self.name);
    }
}

/// The engine with its threads; ends them when the last [`Context`] and [`Dataset`](crate::Dataset) are gone.
struct Owner {
    engine: Arc<Engine>,
    threads: Mutex<Option<WorkerGuards<()>>>,
    /// Set when this process has left the cluster: have all?
    all_left: OnceLock<bool>,
}

impl Owner {
    /// Leaves the cluster, once; true if all processes have.
    fn leave(&self, why: &str) -> bool {
        *self.all_left.get_or_init(|| leave(&self.engine, why))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // If the last handle was held by a closure that a worker has just dropped, it cannot wait for itself.
        let on_worker = std::thread::current().name().is_some_and(|n| n.starts_with("timely:work"));
        // If some process goes on, or is gone, waiting for what it sends could take for ever.
        let alone = self.engine.topology.processes == 1;
        let orderly = !on_worker && (alone || self.leave("its program has ended"));
        self.engine.board.close();
        let Some(threads) = lock(&self.threads).take() else { return };
        if !orderly {
            // They end by themselves when the connections do.
            std::mem::forget(threads);
            return;
        }
        // Communication threads panic when a peer is gone; at the end of the program that is nobody's concern.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(threads.join())));
    }
}

/// The main program's handle: makes datasets, runs jobs, tells what happens. Cheap to clone; any thread may use it.
///
/// ```
/// use slackwater_dataflow::Context;
/// let cx = Context::local(2)?;
/// let sum = cx.range(0..1000, 4).map(|x| x * x).filter(|x| x % 3 == 1).reduce(|a, b| a + b)?;
/// assert_eq!(sum, Some((0..1000u64).map(|x| x * x).filter(|x| x % 3 == 1).sum()));
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
///
/// Every process of a cluster runs the same program: it must make the same datasets and call the same actions in the
/// same order (from one thread). An action blocks, and returns the same result in every process.
#[derive(Clone)]
pub struct Context(Arc<Owner>);

impl Context {
    /// A context in this process alone, with `workers` worker threads.
    pub fn local(workers: usize) -> Result<Self> {
        Context::new(Config::local(workers))
    }

    /// A context with the given settings. In a cluster this waits for the other processes (30 s at most).
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let (process, processes) = config.membership.as_ref().map_or((0, 1), |m| (m.process, m.processes));
        let topology = Topology { process, processes, workers: config.workers };
        let (builders, others) = communication(&config)?;
        let memory = Memory::new(config.memory_budget_bytes);
        let events = EventBus::new(process);
        let store = BlockStore::new(&memory, SpillDir::new(&config.spill_dir), &events);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let crowded = config.workers > cores || processes > 1;
        let engine = Arc::new(Engine {
            topology,
            memory,
            store,
            events,
            board: Board::default(),
            next_job: Mutex::new(0),
            accumulators: Default::default(),
            bad: Default::default(),
            running: Mutex::default(),
            names: Mutex::default(),
            ids: AtomicU64::new(1),
            spilled: AtomicU64::new(0),
            config,
        });
        let shared = engine.clone();
        let threads = initialize_from(builders, others, move |allocator| {
            let mut config = WorkerConfig::default();
            if crowded {
                // Polling threads would keep others from their cores.
                config = config.idle_spin(Duration::ZERO);
            }
            work(&shared, Worker::new(config, allocator, Some(Instant::now())));
        });
        let threads = threads.map_err(|e| Error::new(ErrorKind::Cluster(format!("worker threads: {e}"))))?;
        Ok(Context(Arc::new(Owner { engine, threads: Mutex::new(Some(threads)), all_left: OnceLock::new() })))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.engine.config
    }
    /// Processes and workers.
    pub fn topology(&self) -> Topology {
        self.0.engine.topology
    }
    /// The stream of events: progress, job and task ends, evictions.
    pub fn events(&self) -> &Arc<EventBus> {
        &self.0.engine.events
    }
    /// The memory budget and what is used of it.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.0.engine.memory
    }
    /// Bytes written to spill files so far.
    pub fn bytes_spilled(&self) -> u64 {
        self.0.engine.spilled.load(Ordering::Relaxed)
    }
    /// How many records have been refused under `skip` or `quarantine`, each partition counted once, and the first few
    /// of them.
    pub fn bad_records(&self) -> (u64, Vec<BadRecord>) {
        self.0.engine.bad.report()
    }
    /// Cancels all running jobs: they fail with [`ErrorKind::Cancelled`] within about 20 ms (a user function that is
    /// running ends first). The context stays usable. Safe to call from any thread.
    pub fn cancel(&self) {
        let running: Vec<_> = lock(&self.0.engine.running).values().cloned().collect();
        for job in running.into_iter().filter_map(|j| j.upgrade()) {
            job.cancelled.store(true, Ordering::Relaxed);
        }
    }
    /// Leaves the cluster: processes that are in a job without this one fail at once, with `why` in the error. Waits at
    /// most 10 s for them to hear it. A program that ends by an error of its own calls this first; one that ends well
    /// need not. The context can run no job afterwards. Alone, this does nothing.
    pub fn leave(&self, why: &str) {
        if self.topology().processes > 1 {
            self.0.leave(why);
        }
    }
    /// Takes a name, such as that of a parameter table, for whoever holds the result.
    ///
    /// # Errors
    /// Config, if the name is taken.
    pub fn claim_name(&self, name: &str) -> Result<Name> {
        let engine = self.engine().clone();
        if !lock(&engine.names).insert(name.to_string()) {
            return Err(Error::config("name", format!("`{name}` is in use already: give it another name")));
        }
        Ok(Name { engine, name: name.to_string() })
    }
    /// Runs `f` in one process only, the lowest; for printing and the like. It must not call actions.
    pub fn on_driver<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        (self.topology().process == 0).then(f)
    }
    /// A value that tasks add to with [`Accumulator::add`]; each partition counts exactly once.
    ///
    /// `merge` should be associative; contributions are merged in a fixed order, so the value has the same bits for
    /// any number of workers.
    pub fn accumulator<A: crate::Record>(
        &self,
        zero: A,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> Accumulator<A> {
        self.0.engine.accumulators.make(&self.0.engine, zero, merge)
    }
    /// An accumulator that counts.
    pub fn counter(&self) -> Accumulator<u64> {
        self.accumulator(0, |a, b| *a += b)
    }
    /// A value that all tasks may read; see [`Broadcast`].
    pub fn broadcast<T: crate::Record>(&self, value: T) -> Broadcast<T> {
        Broadcast::new(value)
    }
    /// Emits an event of the main program, such as [`Event::Iteration`].
    pub fn emit(&self, make: impl FnOnce() -> Event) {
        self.0.engine.events.emit(make);
    }
}

/// What timely needs to connect its workers.
fn communication(config: &Config) -> Result<(Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>)> {
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(config.workers, hooks.refill.clone(), None);
    match &config.membership {
        Some(member) if member.processes > 1 => {
            let sockets = cluster::connect(member)?;
            let (builders, guard) =
                initialize_networking_from_sockets(local, sockets, member.process, config.workers, hooks)
                    .map_err(|e| Error::new(ErrorKind::Cluster(format!("connections: {e}"))))?;
            Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
        }
        _ => Ok((local.into_iter().map(AllocatorBuilder::Process).collect(), Box::new(()))),
    }
}

/// What a worker thread does: follow the board until it is closed.
fn work(engine: &Engine, mut worker: Worker) {
    let mut n = 0;
    while let Some(job) = engine.board.take(n, engine.config.workers) {
        n += 1;
        let result = catch_unwind(AssertUnwindSafe(|| job.run(&mut worker)));
        if let Err(panic) = result {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
            engine.board.die(format!("a worker cannot go on (a peer process is gone?): {what}"));
            break;
        }
    }
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(worker)));
}
