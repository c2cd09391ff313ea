//! The workers of a context: of a process that is alone, or of one generation after the other.

use super::{Engine, Topology};
use crate::cluster::channel::Channel;
use crate::cluster::mesh::{Formation, Links, Mesh};
use crate::cluster::placement::Placement;
use crate::cluster::{Generation, Limits, QuietStream, overflow};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::exec::keep::hand_over;
use crate::exec::log::catch_up;
use crate::exec::task::text_of;
use crate::fault;
use crate::safety;
use crate::simulation::{self, Task};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{Allocator, AllocatorBuilder, Hooks, WorkerGuards, initialize_from};
use timely::worker::Worker;

fn cluster_error(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Cluster(what.to_string()))
}

/// The configuration of timely's workers.
fn worker_config(engine: &Engine) -> WorkerConfig {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    if engine.config.workers > cores || engine.config.membership.is_some() {
        // Polling threads would keep others from their cores.
        return WorkerConfig::default().idle_spin(Duration::ZERO);
    }
    WorkerConfig::default()
}

/// The workers of a process that is alone.
pub(super) fn start_alone(engine: &Arc<Engine>) -> Result<WorkerGuards<()>> {
    let builders = ProcessBuilder::new_typed_vector(engine.config.workers, Hooks::default().refill, None);
    let builders = builders.into_iter().map(AllocatorBuilder::Process).collect();
    engine.board.begin(1);
    engine.board.open(1);
    let shared = engine.clone();
    let threads = initialize_from(builders, Box::new(()), move |allocator| {
        let worker = Worker::new(worker_config(&shared), allocator, Some(Instant::now()));
        work(&shared, worker, &|why| shared.board.die(why));
    });
    threads.map_err(|e| cluster_error(format!("worker threads: {e}")))
}

/// The thread that makes the workers of each generation; waits until those of the first are there.
pub(super) fn start_member(engine: &Arc<Engine>, mesh: Arc<dyn Mesh>) -> Result<Task> {
    let shared = engine.clone();
    let generations = Task::spawn("generations", move || {
        let why = lead(&shared, &mesh);
        shared.board.die(why);
    });
    let generations = generations.map_err(|e| cluster_error(format!("threads: {e}")))?;
    engine.board.await_open().map_err(cluster_error)?;
    Ok(generations)
}

/// Forms generation after generation, until this process leaves or is left; returns why.
fn lead(engine: &Arc<Engine>, mesh: &Arc<dyn Mesh>) -> String {
    let mut why = String::new();
    loop {
        let formation = match mesh.next_formation() {
            Ok(formation) => formation,
            Err(e) => return e.to_string(),
        };
        let generation = formation.generation.clone();
        match run_generation(engine, mesh, formation, &why) {
            Err(e) => generation.abort(&e.to_string()),
            Ok(()) if engine.board.is_closed() => return "the context is closed".to_string(),
            Ok(()) => {}
        }
        why = generation.why().unwrap_or_default();
    }
}

/// Starts the workers of a generation and waits for their end.
fn run_generation(engine: &Arc<Engine>, mesh: &Arc<dyn Mesh>, formation: Formation, why: &str) -> Result<()> {
    let Formation { generation, members, links } = formation;
    let config = &engine.config;
    let (slot, slots) = config.membership.as_ref().map_or((0, 1), |m| (m.process, m.processes));
    let placement = Placement::new(slots, &members);
    let (process, processes) = (placement.rank(slot), members.len());
    let encodes_all = matches!(links, Links::Simulated { .. });
    let topology = Topology { process, processes, workers: config.workers, placement, encodes_all };
    *engine.topology.write().unwrap_or_else(|e| e.into_inner()) = topology;
    engine.channels.store(0, Ordering::Relaxed);
    engine.board.begin(generation.number());
    if generation.is_aborted() {
        engine.board.interrupt();
    }
    let worker = {
        let (engine, mesh, generation) = (engine.clone(), mesh.clone(), generation.clone());
        let why = why.to_string();
        move |allocator| take_part(&engine, &*mesh, &generation, &why, allocator)
    };
    match links {
        Links::Sockets(links) => {
            fault::enter(slot, generation.number());
            let (builders, others) = connect(engine, &generation, &members, links)?;
            let threads = initialize_from(builders, others, worker);
            let threads = threads.map_err(|e| cluster_error(format!("worker threads: {e}")))?;
            // What a worker had to say it has said to the board.
            drop(threads.join());
        }
        Links::Simulated { builders, started, all_started } => {
            let (worker, mut threads) = (Arc::new(worker), vec![]);
            for (i, builder) in builders.into_iter().enumerate() {
                let (worker, ready) = (worker.clone(), all_started.clone());
                // Its name is that of timely's own threads.
                let thread = Task::spawn_when(
                    &format!("timely:work-{i}"),
                    move || ready(),
                    move || Allocator::Process(builder.build()),
                    move |allocator| worker(allocator),
                );
                threads.push(thread.map_err(|e| cluster_error(format!("worker threads: {e}"))));
            }
            started.fetch_add(1, Ordering::AcqRel);
            threads.into_iter().try_for_each(|thread| thread.map(Task::join))?;
        }
    }
    Ok(())
}

/// Gives timely the sockets to the other members.
fn connect(
    engine: &Engine,
    generation: &Arc<Generation>,
    members: &[usize],
    links: Vec<Option<Channel>>,
) -> Result<(Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>)> {
    let (config, topology) = (&engine.config, engine.topology());
    // One to each worker from each peer, and one from each.
    let queues = 2 * config.workers * (topology.processes - 1);
    let spill = safety::OVERFLOW.is_on().then(|| overflow(&engine.store, generation, queues));
    let hooks = Hooks { spill, ..Hooks::default() };
    let local = ProcessBuilder::new_typed_vector(config.workers, hooks.refill.clone(), None);
    if topology.processes == 1 {
        return Ok((local.into_iter().map(AllocatorBuilder::Process).collect(), Box::new(())));
    }
    let workers = |process: usize| (process * config.workers) as u64..((process + 1) * config.workers) as u64;
    let quiet = |(slot, link): (&usize, Option<_>)| {
        let peer = topology.placement.rank(*slot);
        let mut limits = Limits::new(workers(topology.process), workers(peer), engine.channels.clone());
        // A result is one message.
        limits.length = limits.length.max(config.max_result_bytes.saturating_mul(2));
        link.map(|l| QuietStream::new(l, generation, format!("process {slot}"), limits)).transpose()
    };
    let sockets = members.iter().zip(links).map(quiet).collect::<std::io::Result<_>>();
    let sockets = sockets.map_err(|e| cluster_error(format!("connections: {e}")))?;
    let (builders, guard) =
        initialize_networking_from_sockets(local, sockets, topology.process, config.workers, hooks)
            .map_err(|e| cluster_error(format!("connections: {e}")))?;
    Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
}

/// What a worker of a generation does: hears what has been, and then works.
fn take_part(
    engine: &Arc<Engine>,
    mesh: &dyn Mesh,
    generation: &Generation,
    why: &str,
    allocator: Allocator,
) {
    let _entered = Entered::new(generation);
    let _watched = engine.progress.turns.watch();
    let mut worker = Worker::new(worker_config(engine), allocator, Some(Instant::now()));
    let ready = catch_unwind(AssertUnwindSafe(|| {
        catch_up(&mut worker, engine)?;
        hand_over(&mut worker, engine)
    }));
    match ready {
        Err(panic) if simulation::is_killed(&*panic) => {}
        Err(panic) => generation.abort(&cannot_go_on(&*panic)),
        Ok(Err(e)) => generation.abort(&e.to_string()),
        Ok(Ok(())) if worker.index().is_multiple_of(engine.config.workers) => {
            engine.note_progress();
            mesh.say_formed();
            let (number, processes, why) =
                (generation.number(), engine.topology().processes, why.to_string());
            engine.events.emit(|| Event::GenerationFormed { generation: number, processes, why });
            engine.board.open(number);
        }
        Ok(Ok(())) => {}
    }
    work(engine, worker, &|why| generation.abort(&why));
}

/// A worker is in a generation until this is dropped, after the worker.
struct Entered<'a>(&'a Generation);

impl<'a> Entered<'a> {
    fn new(generation: &'a Generation) -> Self {
        generation.enter();
        Entered(generation)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn cannot_go_on(panic: &(dyn std::any::Any + Send)) -> String {
    format!("a worker cannot go on: {}", text_of(panic))
}

/// What a worker thread does: follow the board until it is closed or interrupted.
fn work(engine: &Engine, mut worker: Worker, fail: &dyn Fn(String)) {
    let mut n = 0;
    while let Some(job) = engine.board.take(n, engine.config.workers) {
        n += 1;
        let result = catch_unwind(AssertUnwindSafe(|| job.run(&mut worker)));
        if let Err(panic) = result {
            if !simulation::is_killed(&*panic) {
                fail(cannot_go_on(&*panic));
            }
            break;
        }
    }
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(worker)));
}
