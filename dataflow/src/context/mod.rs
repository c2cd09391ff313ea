//! The context: worker threads, memory, blocks, jobs; the main program's handle to the engine.

pub(crate) mod accumulator;
mod bad;
mod broadcast;
pub(crate) mod checksums;
pub(crate) mod config;
mod from_env;
mod generations;
mod once;

pub use accumulator::Accumulator;
pub use broadcast::Broadcast;
pub use config::{Config, Recovery, parse_bytes};
pub use from_env::VARIABLES;

use crate::cluster::mesh::{Mesh, Progress};
use crate::cluster::placement::Placement;
use crate::cluster::{Member, Terms, build};
use crate::dataset::lineage::NodeId;
use crate::error::{BadRecord, Error, ErrorKind, OnBad, Result};
use crate::event::{Event, EventBus};
use crate::exec::attempts::{Attempt, Others, attempts_on};
use crate::exec::board::Board;
use crate::exec::interop::AnyOutput;
use crate::exec::keep::Kept;
use crate::exec::leave::leave;
use crate::exec::log::ResultLog;
use crate::exec::parcel::{Head, Kind};
use crate::exec::stage::JobControl;
use crate::simulation::{self, Task};
use crate::store::BlockStore;
use crate::store::memory::Memory;
use crate::store::spill::SpillDir;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, Weak};
use std::time::Duration;
use timely::communication::WorkerGuards;
use timely::worker::Worker;

/// Processes and workers, and who owns which partition. In a cluster it changes when processes are lost, come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Number of this process among those that are there.
    pub process: usize,
    /// Processes of the cluster that are there.
    pub processes: usize,
    /// Worker threads of each process.
    pub workers: usize,
    placement: Placement,
    /// What workers send each other is encoded within a process, too.
    encodes_all: bool,
}

impl Topology {
    /// The process that computes partition `partition`.
    pub fn owner(&self, partition: usize) -> usize {
        self.placement.rank(self.placement.slot_of(partition))
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
    /// True if what this process sends to a worker, of all workers of all processes, travels as bytes.
    pub fn encodes_to(&self, worker: usize) -> bool {
        self.encodes_all || worker / self.workers != self.process
    }
    /// How many workers receive a parcel of this kind.
    pub(crate) fn copies(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Data | Kind::Direct => 1,
            Kind::Commit => (self.workers * self.processes) as u32,
            Kind::Abort | Kind::ToProcesses => self.processes as u32 - 1,
        }
    }
    pub(crate) fn is_remote(&self, head: &Head) -> bool {
        match head.kind {
            Kind::Data => self.encodes_all || !self.owns(head.part as usize),
            Kind::ToProcesses => self.processes > 1,
            Kind::Commit | Kind::Abort | Kind::Direct => false,
        }
    }
}

/// What worker threads and nodes share. It does not own the threads.
pub struct Engine {
    pub(crate) config: Config,
    /// As of the current generation.
    topology: RwLock<Topology>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<BlockStore>,
    pub(crate) events: Arc<EventBus>,
    pub(crate) board: Arc<Board>,
    pub(crate) log: ResultLog,
    pub(crate) kept: Kept,
    /// Where raw dataflows end.
    pub(crate) outputs: Mutex<Vec<Weak<dyn AnyOutput>>>,
    /// Channels between workers that are known here: what comes for others is refused, beyond some.
    channels: Arc<AtomicU64>,
    /// What a supervisor is told of.
    progress: Arc<Progress>,
    pub(crate) next_job: Mutex<u64>,
    pub(crate) accumulators: accumulator::Accumulators,
    pub(crate) bad: bad::BadRecords,
    pub(crate) checksums: checksums::Checksums,
    running: Mutex<BTreeMap<u64, Weak<JobControl>>>,
    names: Mutex<BTreeSet<String>>,
    ids: AtomicU64,
    spilled: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Engine {
    /// Processes and workers of the current generation. It changes between jobs only.
    pub(crate) fn topology(&self) -> Topology {
        *self.topology.read().unwrap_or_else(|e| e.into_inner())
    }
    /// A worker has built a dataflow.
    pub(crate) fn note_channels(&self, worker: &Worker) {
        self.channels.fetch_max(worker.peek_identifier() as u64, Ordering::Relaxed);
    }
    /// A job has ended.
    pub(crate) fn note_progress(&self) {
        self.progress.set_jobs(self.log.jobs());
    }
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
    /// Puts something into the result log that the program goes by, and that only exists at this moment: `write` gives it,
    /// or nothing if this process has come too late to have it. Returns it if this process has come later than that.
    /// Collective; alone it does nothing.
    #[doc(hidden)]
    #[track_caller]
    pub fn remember(
        &self,
        write: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Option<Vec<u8>>> {
        if self.engine.config.membership.is_none() {
            return Ok(None);
        }
        let has = write().is_some();
        let attempt = |_: &Others<'_>| {
            Ok(Some(Attempt { told: Box::new(move || vec![u8::from(has)]), ..Attempt::default() }))
        };
        let remember = move || write().unwrap_or_default();
        let site = std::panic::Location::caller();
        let ended = attempts_on::<Name>(&self.engine, "remember", site, &[], attempt, remember)?;
        if ended.told.iter().any(|told| told != &[1]) {
            let what = format!(
                "{} is read between segments of a training, and a process was lost just then",
                self.name
            );
            return Err(Error::new(ErrorKind::Lost(what)));
        }
        Ok(ended.remembered.filter(|_| !ended.took_part))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        lock(&self.engine.names).remove(&self.name);
    }
}

/// A process that leaves by itself stays this long, for what it has sent to arrive.
const PARTING: Duration = Duration::from_millis(500);

/// What runs the workers.
enum Threads {
    /// The workers of a process that is alone.
    Alone(WorkerGuards<()>),
    /// The thread that makes those of each generation.
    Member(Arc<dyn Mesh>, Task),
}

/// The engine with its threads; ends them when the last [`Context`] and [`Dataset`](crate::Dataset) are gone.
struct Owner {
    engine: Arc<Engine>,
    threads: Mutex<Option<Threads>>,
    /// Set when this process has left the cluster: have all?
    all_left: OnceLock<bool>,
}

impl Owner {
    /// Leaves the cluster, once; true if all processes have.
    fn leave(&self, failure: Option<&str>) -> bool {
        *self.all_left.get_or_init(|| {
            let all = leave(&self.engine, failure.unwrap_or("its program has ended"));
            if let Some(Threads::Member(member, _)) = &*lock(&self.threads) {
                member.say_left(failure.is_some());
            }
            all
        })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // If the last handle was held by a closure that a worker has just dropped, it cannot wait for itself.
        let on_worker = std::thread::current().name().is_some_and(|n| n.starts_with("timely:work"));
        let is_member = matches!(*lock(&self.threads), Some(Threads::Member(..)));
        let panicked = std::thread::panicking().then_some("its program has panicked");
        // If some process goes on, or is gone, waiting for what it sends could take for ever.
        let orderly = !on_worker && (!is_member || self.leave(panicked));
        self.engine.board.close();
        match lock(&self.threads).take() {
            Some(Threads::Alone(threads)) if orderly => drop(threads.join()),
            // A worker cannot wait for itself; they end by themselves.
            Some(Threads::Alone(threads)) => std::mem::forget(threads),
            Some(Threads::Member(member, generations)) => {
                if orderly {
                    // First, or it waits for another generation if somebody was lost just now.
                    member.close();
                    generations.join();
                } else {
                    // The others get what was sent to them. What they send back is not waited for.
                    if !on_worker {
                        generations.wait_ended(PARTING);
                    }
                    member.cut_off("this process has left by itself");
                }
            }
            None => {}
        }
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
        if simulation::is_on() {
            return Err(Error::usage("a program that is simulated uses the context that it is given"));
        }
        let board = Arc::<Board>::default();
        let member = config.membership.as_ref();
        let member = member.map(|m| Member::join(m, terms(&config), config.workers, &board)).transpose()?;
        let progress = member.as_ref().map(|m| m.progress().clone()).unwrap_or_default();
        let mesh = member.map(|member| Arc::new(member) as Arc<dyn Mesh>);
        Context::with_mesh(config, board, progress, mesh)
    }

    /// A context of a process that is alone, or finds the others by a mesh.
    pub(crate) fn with_mesh(
        config: Config,
        board: Arc<Board>,
        progress: Arc<Progress>,
        mesh: Option<Arc<dyn Mesh>>,
    ) -> Result<Self> {
        let (process, processes) = config.membership.as_ref().map_or((0, 1), |m| (m.process, m.processes));
        let placement = Placement::new(processes, &(0..processes).collect::<Vec<_>>());
        let topology =
            Topology { process, processes, workers: config.workers, placement, encodes_all: false };
        let memory = Memory::new(config.memory_budget_bytes);
        let events = EventBus::new(process);
        let store = BlockStore::new(&memory, SpillDir::new(&config.spill_dir), &events);
        let engine = Arc::new(Engine {
            topology: RwLock::new(topology),
            memory,
            store,
            events,
            board,
            log: ResultLog::default(),
            kept: Kept::default(),
            outputs: Mutex::default(),
            channels: Arc::default(),
            progress,
            next_job: Mutex::new(0),
            accumulators: Default::default(),
            bad: Default::default(),
            checksums: Default::default(),
            running: Mutex::default(),
            names: Mutex::default(),
            ids: AtomicU64::new(1),
            spilled: AtomicU64::new(0),
            config,
        });
        let threads = match mesh {
            None => Threads::Alone(generations::start_alone(&engine)?),
            Some(mesh) => {
                let task = generations::start_member(&engine, mesh.clone())?;
                Threads::Member(mesh, task)
            }
        };
        Ok(Context(Arc::new(Owner { engine, threads: Mutex::new(Some(threads)), all_left: OnceLock::new() })))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.engine.config
    }
    /// Processes and workers, at this moment: another process of the run may see others, so a program must not be another
    /// for it. See [`Config::workers_at_first`].
    pub fn topology(&self) -> Topology {
        self.0.engine.topology()
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
    /// Leaves the cluster, with the program's error if it has failed: processes that are in a job without this one fail
    /// at once, with that error in theirs. Waits at most 10 s for them to hear it. A program that ends by an error of
    /// its own calls this first; one that ends well need not. The context can run no job afterwards. Alone, this does
    /// nothing.
    pub fn leave(&self, failure: Option<&str>) {
        if self.config().membership.is_some() {
            self.0.leave(failure);
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
    /// Runs `f` in one process only, the lowest; for printing and the like. It must not call actions. A process that takes
    /// the place of the lowest runs it again: what touches the world outside belongs into [`once`](Self::once).
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

/// What the processes of a cluster must have in common, for their programs to be one.
fn terms(config: &Config) -> Terms {
    Terms::new()
        .with("build", build())
        .with("workers", config.workers)
        .with("partitions", config.default_partitions)
        .with("seed", config.seed)
        .with("task attempts", config.task_attempts)
        .with("result bytes", config.max_result_bytes)
        .with("bad records", policy(&config.on_bad))
        .with("recovery", config.recovery)
}

fn policy(on_bad: &OnBad) -> &'static str {
    match on_bad {
        OnBad::Fail => "fail",
        OnBad::Skip => "skip",
        OnBad::Quarantine(_) => "quarantine",
    }
}
