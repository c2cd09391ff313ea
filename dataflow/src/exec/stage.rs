//! One stage on timely: a source operator that runs tasks in slices, an exchange of parcels, a sink operator.
//!
//! # Cost
//! A dataflow a stage: 20-40 us to build, 50-200 us in all when it is empty (two workers). In flight are at most
//! [`WINDOW`] slices a worker, so queues stay bounded although timely itself has no back-pressure: a slice is an
//! epoch, and a worker waits while its epoch is `WINDOW` ahead of what all sinks have taken.
//!
//! # Failure
//! A task runs under `catch_unwind`, up to `task_attempts` times. Its parcels count after its commit only, so a failed
//! attempt leaves nothing. When a task has failed for good, tasks of *higher* partitions stop and lower ones go on,
//! so that the error a user sees is that of the lowest partition, every time.

use super::parcel::{Head, Kind, Parcel, Payload, Route};
use super::task::{TaskContext, guarded};
use crate::context::Engine;
use crate::context::accumulator::Contribution;
use crate::dataset::lineage::{NodeId, Stop};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::fault;
use crate::simulation;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::ProbeHandle;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::{Operator, Probe};
use timely::worker::Worker;

/// Slices a worker may be ahead of the slowest sink.
const WINDOW: u64 = 4;
/// A slice of work between two looks at timely's other duties.
const SLICE: Duration = Duration::from_millis(1);
/// Longest sleep of a waiting worker; cancellation by another thread is seen after this time at the latest.
const PARK: Duration = Duration::from_millis(20);

/// Marks the number of a job among numbers of nodes.
const ACTION: NodeId = 1 << 63;

/// What all stages of a job share in a process.
pub(crate) struct JobControl {
    pub engine: Arc<Engine>,
    pub number: u64,
    /// Of all attempts at the job.
    pub cancelled: Arc<AtomicBool>,
    pub deadline: Option<Instant>,
    /// Distinct for each time that a job is run in this process.
    pub attempt: u64,
}

impl JobControl {
    pub fn new(engine: &Arc<Engine>, number: u64, deadline: Option<Instant>) -> Self {
        static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
        JobControl {
            engine: engine.clone(),
            number,
            cancelled: Arc::default(),
            deadline,
            attempt: ATTEMPTS.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Why a stage did not end well.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    Cancelled,
    /// Blocks are gone that the plan relied on: plan again.
    Missing(String),
    Error(ErrorKind),
}

/// One stage in one process: its tasks, who has taken which, and what has failed.
pub(crate) struct StageState {
    pub job: Arc<JobControl>,
    pub stage: u32,
    /// Whom contributions of the stage's own user code belong to: the shuffle, or this very call of an action.
    pub actor: NodeId,
    pub operation: String,
    tasks: Vec<usize>,
    claimed: Vec<AtomicBool>,
    /// Tasks of partitions above this one stop.
    stop_above: AtomicUsize,
    failure: Mutex<Option<(usize, Failure)>>,
}

impl StageState {
    pub fn new(
        job: &Arc<JobControl>,
        stage: u32,
        node: NodeId,
        operation: String,
        tasks: Vec<usize>,
    ) -> Self {
        job.engine.events.emit(|| Event::StageStart {
            job: job.number,
            stage,
            node,
            operation: operation.clone(),
            tasks: tasks.len(),
        });
        StageState {
            job: job.clone(),
            stage,
            actor: node,
            operation,
            claimed: tasks.iter().map(|_| AtomicBool::new(false)).collect(),
            tasks,
            stop_above: AtomicUsize::new(usize::MAX),
            failure: Mutex::new(None),
        }
    }
    /// A stage that computes the result of an action: what its closure adds to accumulators counts for this call, and
    /// counts again when the action is called again.
    pub fn of_action(self) -> Self {
        let actor = ACTION | self.job.number;
        StageState { actor, ..self }
    }
    /// True if the task of `partition` should end.
    #[inline]
    pub fn must_stop(&self, partition: usize) -> bool {
        self.job.cancelled.load(Ordering::Relaxed)
            || partition > self.stop_above.load(Ordering::Relaxed)
            || self.job.engine.board.is_interrupted()
    }
    /// The next task of worker `worker` of `workers`: its own share first, so that a partition stays in the same
    /// core's cache from job to job, then what others have not begun. `position` is the caller's place in that order.
    fn claim(&self, worker: usize, workers: usize, position: &mut usize) -> Option<usize> {
        let n = self.tasks.len();
        let own = n.saturating_sub(worker).div_ceil(workers);
        while *position < own + n {
            let i = if *position < own { worker + *position * workers } else { *position - own };
            *position += 1;
            if !self.claimed[i].swap(true, Ordering::AcqRel) {
                return Some(self.tasks[i]);
            }
        }
        None
    }
    /// Notes a failure; that of the lowest partition wins.
    pub fn fail(&self, partition: usize, failure: Failure) {
        let mut slot = self.failure.lock().unwrap_or_else(|e| e.into_inner());
        let rank = |f: &Failure| matches!(f, Failure::Cancelled) as usize;
        let worse = slot.as_ref().is_none_or(|(p, f)| (rank(&failure), partition) < (rank(f), *p));
        if worse {
            *slot = Some((partition, failure));
        }
        self.stop_above.fetch_min(partition, Ordering::AcqRel);
    }
    /// What has failed, when the stage has ended.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(|e| e.into_inner()).as_ref().map(|f| f.1.clone())
    }
    /// What a stopped attempt means for the job: `None` to try again.
    fn judge(&self, partition: usize, attempt: u32, stop: Stop) -> Option<Failure> {
        let attempts = self.job.engine.config.task_attempts;
        match stop {
            Stop::Cancelled => Some(Failure::Cancelled),
            Stop::Missing(what) => Some(Failure::Missing(what)),
            Stop::Fatal(e) => Some(Failure::Error(e.kind().clone())),
            Stop::Failed(_) if attempt + 1 < attempts => None,
            Stop::Failed(e) => Some(Failure::Error(ErrorKind::Task {
                job: self.job.number,
                operation: self.operation.clone(),
                partition,
                attempts,
                cause: e.to_string(),
            })),
        }
    }
}

/// A running task: does about a chunk of work a call, appends finished parcels, returns true when it is complete.
pub(crate) trait Task<P> {
    fn step(&mut self, out: &mut Vec<Parcel<P>>) -> Result<bool, Stop>;
}

/// Starts a task.
pub(crate) type Start<P> = dyn Fn(usize, &Rc<TaskContext>) -> Result<Box<dyn Task<P>>, Stop>;

/// The tasks of one worker in one stage.
struct Runner<P> {
    state: Arc<StageState>,
    start: Box<Start<P>>,
    worker: usize,
    position: usize,
    running: Option<(Rc<TaskContext>, Option<Box<dyn Task<P>>>)>,
    ready: Vec<Parcel<P>>,
}

impl<P: Payload> Runner<P> {
    /// Works for about one slice. False when there is nothing left to do.
    fn slice(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if self.running.is_none() {
                let workers = self.state.job.engine.config.workers;
                let Some(partition) = self.state.claim(self.worker, workers, &mut self.position) else {
                    return false;
                };
                if self.state.must_stop(partition) {
                    if self.state.job.cancelled.load(Ordering::Relaxed) {
                        // The others do not know it otherwise, and would wait for a result.
                        self.abort(partition, Failure::Cancelled);
                    }
                    continue;
                }
                self.running = Some((TaskContext::new(&self.state, partition, 0), None));
            }
            self.step();
            if start.elapsed() >= SLICE {
                return true;
            }
        }
    }
    fn step(&mut self) {
        let Some((context, task)) = &mut self.running else { return };
        let (from, began) = (self.ready.len(), Instant::now());
        let (ready, start) = (&mut self.ready, &self.start);
        let topology = self.state.job.engine.topology();
        let result = guarded(context, || {
            if task.is_none() {
                *task = Some(start(context.partition(), context)?);
            }
            let done = task.as_mut().expect("just started").step(ready)?;
            for parcel in &mut ready[from..] {
                if topology.is_remote(&parcel.head) {
                    parcel.seal().map_err(|e| Stop::Fatal(Error::usage(e)))?;
                }
            }
            done.then(|| context.publish()).transpose().map_err(Stop::from)
        });
        context.metrics.borrow_mut().busy_us += began.elapsed().as_micros() as u64;
        let (partition, attempt) = (context.partition(), context.attempt());
        match result {
            Ok(None) => {}
            Ok(Some(told)) => {
                let head = Head { kind: Kind::Commit, map: partition as u32, attempt, ..Head::default() };
                let note = if told.is_empty() { vec![] } else { encode(&told) };
                self.ready.push(Parcel::control(head, note, &topology));
                context.ended(self.worker, None);
                fault::reach("after-commit", self.state.job.number);
                self.running = None;
            }
            Err(stop) => {
                self.ready.truncate(from);
                let text = match &stop {
                    Stop::Failed(e) | Stop::Fatal(e) => e.to_string(),
                    Stop::Missing(what) => what.clone(),
                    Stop::Cancelled => "cancelled".to_string(),
                };
                context.ended(self.worker, Some(text));
                match self.state.judge(partition, attempt, stop) {
                    None => {
                        self.running = Some((TaskContext::new(&self.state, partition, attempt + 1), None))
                    }
                    Some(failure) => {
                        self.running = None;
                        self.abort(partition, failure);
                    }
                }
            }
        }
    }
    fn abort(&mut self, partition: usize, failure: Failure) {
        if self.state.job.engine.topology().processes > 1 {
            let note = postcard::to_stdvec(&failure).unwrap_or_default();
            let head = Head { kind: Kind::Abort, map: partition as u32, ..Head::default() };
            self.ready.push(Parcel::control(head, note, &self.state.job.engine.topology()));
        }
        self.state.fail(partition, failure);
    }
}

fn encode(told: &Vec<Contribution>) -> Vec<u8> {
    // Of numbers and bytes: it cannot fail.
    postcard::to_stdvec(told).unwrap_or_default()
}

/// Takes what a task of another process has contributed.
fn hear(job: &JobControl, note: &[u8]) -> Result<(), Failure> {
    let told = postcard::from_bytes::<Vec<Contribution>>(note)
        .map_err(|e| Failure::Error(ErrorKind::Cluster(format!("contributions: {e}"))))?;
    job.engine.accumulators.pending.add(&told, job, false);
    Ok(())
}

/// Runs a stage to its end. Collective: every worker of every process calls it with the same stage. Afterwards every
/// parcel has been handed to the sink of its worker, and [`StageState::failure`] is the same everywhere.
///
/// The sink is called on the worker's thread for data, and for control messages of all workers; it reports failures
/// of its own through the state. False if the generation has ended before the stage did: then nothing of it counts.
pub(crate) fn run_stage<P: Payload>(
    worker: &mut Worker,
    state: &Arc<StageState>,
    start: Box<Start<P>>,
    mut sink: impl FnMut(Parcel<P>) + 'static,
) -> bool {
    let topology = state.job.engine.topology();
    let local = worker.index() % topology.workers;
    let probe = ProbeHandle::<u64>::new();
    let (gate, seen) = (probe.clone(), probe.clone());
    // The epoch that the source waits for, if it waits; the loop below wakes it.
    let waits: Rc<Cell<Option<u64>>> = Rc::default();
    let (waits_too, fails) = (waits.clone(), state.clone());
    let mut runner =
        Runner { state: state.clone(), start, worker: local, position: 0, running: None, ready: vec![] };
    let wake = worker.dataflow_named::<u64, _, _>("stage", move |scope| {
        let mut wake = None;
        source::<_, NoopBuilder<Parcel<P>>, _, _>(scope, "tasks", |capability, info| {
            let again = scope.activator_for(info.address.clone());
            wake = Some(scope.activator_for(info.address));
            let mut capability = Some(capability);
            move |output| {
                let Some(at) = &mut capability else { return };
                let now = *at.time();
                if now >= WINDOW && gate.less_than(&(now - WINDOW)) {
                    waits_too.set(Some(now - WINDOW));
                    return;
                }
                let more = runner.slice();
                let mut session = output.session_with_builder(&*at);
                for mut parcel in runner.ready.drain(..) {
                    session.give_container(&mut parcel);
                }
                drop(session);
                if more {
                    at.downgrade(&(now + 1));
                    again.activate();
                } else {
                    capability = None;
                }
            }
        })
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            DistributorPact(move |_| Route(topology)),
            "sink",
            move |_, _| {
                move |input, _| {
                    input.for_each(|_, parcel: &mut Parcel<P>| {
                        let parcel = std::mem::take(parcel);
                        if let (Kind::Abort, super::parcel::Body::Sealed(note)) =
                            (parcel.head.kind, &parcel.body)
                        {
                            let failure = postcard::from_bytes(note)
                                .unwrap_or_else(|e| Failure::Error(ErrorKind::Cluster(e.to_string())));
                            fails.fail(parcel.head.map as usize, failure);
                        } else {
                            if let (Kind::Commit, super::parcel::Body::Sealed(note)) =
                                (parcel.head.kind, &parcel.body)
                                && local == 0
                                && let Err(failure) = hear(&fails.job, note)
                            {
                                fails.fail(parcel.head.map as usize, failure);
                            }
                            sink(parcel);
                        }
                    })
                }
            },
        )
        .probe_with(&seen);
        wake.expect("the source was built")
    });
    state.job.engine.note_channels(worker);
    while !probe.done() {
        if state.job.engine.board.is_interrupted() {
            return false;
        }
        if waits.get().is_some_and(|epoch| !probe.less_than(&epoch)) {
            waits.set(None);
            wake.activate();
        }
        simulation::step(worker, PARK, "runs a stage");
        if state.job.deadline.is_some_and(|d| Instant::now() > d) {
            state.job.cancelled.store(true, Ordering::Relaxed);
        }
    }
    true
}
