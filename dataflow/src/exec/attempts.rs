//! Dataflows that users or siblings build, as one job: tried in generation after generation until they have run to
//! their end.
//!
//! # What
//! An [`Attempt`] says what to build in one generation. When its dataflows are complete, every process tells all others
//! something ([`Attempt::told`]), and perhaps keeps a recovery point; then the job is in the log, with what was told and
//! what the process wants to remember besides. A process that comes later finds it there and builds nothing.
//!
//! # Guarantees
//! All processes end an attempt with the same outcome. If the generation ends before that, nothing of the attempt counts,
//! and the next one begins when its generation is there.
//!
//! # Cost
//! One job for the inputs, the dataflows, and in a cluster two rounds of messages.

use super::board::Job;
use super::gather::all_gather;
use super::interop::{AnyDataset, Bridge, Roots};
use super::job;
use super::keep::{Point, complete};
use super::log::{Entry, Outcome};
use super::parcel::{Body, Head, Kind, Pairs, Parcel, Route};
use super::stage::{Failure, JobControl, StageState};
use super::task::text_of;
use crate::context::{Context, Engine};
use crate::dataset::lineage::NodeInfo;
use crate::dataset::node::NewNode;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::simulation;
use crate::time::Instant;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::scheduling::activate::Activator;
use timely::worker::Worker;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What to do in one generation.
pub struct Attempt {
    /// Builds dataflows, on every worker.
    pub build: Box<dyn Fn(&mut Worker, &Bridge) + Send + Sync>,
    /// What this process tells all when they are complete.
    pub told: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    /// Whether a recovery point is kept, given what was told; must be the same in every process.
    pub is_due: Box<dyn Fn(&[Vec<u8>]) -> bool + Send + Sync>,
    /// The point, and the number of its computation, given what was told; called once a process if one is due.
    pub point: Box<dyn Fn(&[Vec<u8>]) -> (u64, Point) + Send + Sync>,
}

impl Default for Attempt {
    fn default() -> Self {
        Attempt {
            build: Box::new(|_, _| {}),
            told: Box::new(Vec::new),
            is_due: Box::new(|_| false),
            point: Box::new(|_| unreachable!("no point is due")),
        }
    }
}

/// How the attempts have ended.
pub struct Ended {
    /// By process.
    pub told: Vec<Vec<u8>>,
    /// What a process has remembered: this one, or if it was not there yet another.
    pub remembered: Option<Vec<u8>>,
    /// This process has taken part in the attempt that was complete; else it was before its time.
    pub took_part: bool,
}

struct TimelyJob {
    number: u64,
    digest: u64,
    what: String,
    bridge: Bridge,
    attempt: Attempt,
    /// None if the log has nothing to do with it.
    remember: Option<Arc<dyn Fn() -> Vec<u8> + Send + Sync>>,
    told: Mutex<Vec<Vec<u8>>>,
    /// What it has failed with, the same in all processes.
    agreed: Mutex<Option<ErrorKind>>,
    /// Set by a worker whose operators panicked: in one process timely does not tell the others.
    broken: AtomicBool,
    left: AtomicUsize,
    finished: Mutex<bool>,
    done: Condvar,
}

/// A dataflow beside the job's own, through which a worker that stops before its time tells the other processes: they would
/// wait for its part for ever. It is complete when all workers have left it.
struct Watch {
    dataflow: usize,
    state: Arc<StageState>,
    leaves: Rc<Cell<bool>>,
    wake: Activator,
}

impl Watch {
    fn new(worker: &mut Worker, state: &Arc<StageState>) -> Self {
        let topology = state.job.engine.topology();
        let leaves = Rc::<Cell<bool>>::default();
        let leaves_too = leaves.clone();
        let (tells, hears) = (state.clone(), state.clone());
        let dataflow = worker.next_dataflow_index();
        let wake = worker.dataflow_named::<u64, _, _>("watch", move |scope| {
            let mut wake = None;
            source::<_, NoopBuilder<Parcel<Pairs<u8, ()>>>, _, _>(scope, "tell", |capability, info| {
                wake = Some(scope.activator_for(info.address));
                let mut capability = Some(capability);
                move |output| {
                    if !leaves_too.get() {
                        return;
                    }
                    let (Some(at), Some(failure)) = (capability.take(), early(&tells)) else { return };
                    let head = Head { kind: Kind::Abort, ..Head::default() };
                    let note = postcard::to_stdvec(&failure).unwrap_or_default();
                    output
                        .session_with_builder(&at)
                        .give_container(&mut Parcel::control(head, note, &topology));
                }
            })
            .sink(DistributorPact(move |_| Route(topology)), "hear", move |(input, _)| {
                input.for_each(|_, parcel: &mut Parcel<Pairs<u8, ()>>| {
                    if let Body::Sealed(note) = std::mem::take(parcel).body {
                        let failure = postcard::from_bytes(&note)
                            .unwrap_or_else(|e| Failure::Error(ErrorKind::Cluster(e.to_string())));
                        hears.fail(0, failure);
                    }
                })
            });
            wake.expect("the source was built")
        });
        Watch { dataflow, state: state.clone(), leaves, wake }
    }
    /// This worker's part is over.
    fn leave(&self) {
        if !self.leaves.replace(true) {
            self.wake.activate();
        }
    }
    /// Leaves, and says why if it is before the time.
    fn end(&self, worker: &mut Worker) {
        self.leave();
        if early(&self.state).is_some() {
            // One step takes the activation in, one runs the operator.
            worker.step();
            worker.step();
        }
    }
}

/// Why a worker ends before its time.
fn early(state: &StageState) -> Option<Failure> {
    state.failure().or_else(|| state.must_stop(0).then_some(Failure::Cancelled))
}

struct Posted(Arc<TimelyJob>);

impl Job for Posted {
    fn run(&self, worker: &mut Worker) {
        let job = &self.0;
        let engine = &job.bridge.state.job.engine;
        let watch = (engine.topology().processes > 1).then(|| Watch::new(worker, &job.bridge.state));
        let result = catch_unwind(AssertUnwindSafe(|| job.complete_dataflows(worker, watch.as_ref())));
        if let Err(panic) = result {
            let panic = simulation::pass_on(panic);
            let text = text_of(&*panic).to_string();
            job.fail(ErrorKind::Usage(format!("a timely operator panicked: {text}")));
            job.broken.store(true, Ordering::Release);
        }
        let mut dataflows = worker.installed_dataflows();
        dataflows.sort_unstable();
        let is_watch = |dataflow: &usize| watch.as_ref().is_some_and(|w| w.dataflow == *dataflow);
        dataflows.iter().filter(|d| !is_watch(d)).for_each(|d| worker.drop_dataflow(*d));
        if let Some(watch) = watch.filter(|_| !engine.board.is_interrupted()) {
            watch.end(worker);
        }
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
        if let Err(e) = job.agree(worker) {
            job.fail(e.kind().clone());
        }
        if engine.board.is_interrupted() {
            // It is not finished, whatever came of it.
            return;
        }
        if job.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // What has failed on the way fails the whole job.
            let is_last = job.remember.is_some() || job.outcome().is_some();
            if engine.config.membership.is_some()
                && is_last
                && let Err(e) = job.record()
            {
                job.fail(e.kind().clone());
            }
            *lock(&job.finished) = true;
            job.done.notify_all();
        }
    }
}

impl TimelyJob {
    fn fail(&self, kind: ErrorKind) {
        self.bridge.state.fail(0, Failure::Error(kind));
    }
    /// What the job has failed with, when all have said how it went.
    fn outcome(&self) -> Option<Error> {
        let agreed = lock(&self.agreed).clone().map(Error::new);
        agreed.or_else(|| self.bridge.outcome())
    }
    fn must_stop(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.bridge.must_stop()
    }
    fn complete_dataflows(&self, worker: &mut Worker, watch: Option<&Watch>) {
        let engine = &self.bridge.state.job.engine;
        (self.attempt.build)(worker, &self.bridge);
        engine.note_channels(worker);
        while worker.has_dataflows() && !self.must_stop() {
            simulation::step(worker, Duration::from_millis(10), "runs a dataflow");
            if let Some(watch) = watch.filter(|watch| worker.installed_dataflows() == [watch.dataflow]) {
                watch.leave();
            }
        }
        let ends_early = worker.has_dataflows() && !engine.board.is_interrupted();
        if ends_early && !self.broken.load(Ordering::Acquire) {
            for operator in lock(&self.bridge.on_stop).iter() {
                // An error says that its worker is gone.
                let _ = operator.activate();
            }
            // One step takes the activations in, one runs the operators.
            worker.step();
            worker.step();
        }
    }
    /// Tells the other processes how it went and what there is to tell; keeps a point if one is due.
    fn agree(&self, worker: &mut Worker) -> Result<()> {
        let engine = &self.bridge.state.job.engine;
        let speaks = worker.index().is_multiple_of(engine.topology().workers);
        if speaks {
            self.bridge.note_cancelled();
        }
        if engine.config.membership.is_none() {
            if speaks {
                *lock(&self.told) = vec![(self.attempt.told)()];
            }
            return Ok(());
        }
        let failure = self.bridge.outcome().map(|e| e.kind().clone());
        let mine = if speaks && failure.is_none() { (self.attempt.told)() } else { vec![] };
        let wrong = |e: postcard::Error| Error::new(ErrorKind::Cluster(format!("what was told: {e}")));
        let mine = postcard::to_stdvec(&(failure, mine)).map_err(wrong)?;
        let mut told = vec![];
        for bytes in all_gather(worker, engine, mine)? {
            let (failure, of_process): (Option<ErrorKind>, Vec<u8>) =
                postcard::from_bytes(&bytes).map_err(wrong)?;
            if let Some(kind) = failure {
                *lock(&self.agreed) = Some(kind.clone());
                return Err(Error::new(kind));
            }
            told.push(of_process);
        }
        if (self.attempt.is_due)(&told) {
            let point = speaks.then(|| (self.attempt.point)(&told));
            let (key, point) = point.map_or((0, None), |(key, point)| (key, Some(point)));
            if let Some(point) = complete(worker, engine, point)? {
                engine.kept.propose(key, self.number, point);
            }
            // It may count only when all have it: one that is interrupted just now would not, and its copy be lost.
            all_gather(worker, engine, vec![])?;
        }
        if speaks {
            *lock(&self.told) = told;
        }
        Ok(())
    }
    /// Writes the outcome down. Called when all workers of this process are done.
    fn record(&self) -> Result<()> {
        let engine = &self.bridge.state.job.engine;
        let outcome = match self.outcome() {
            Some(e) => Outcome::Failed(e.kind().clone()),
            None => Outcome::Done(lock(&self.told).clone()),
        };
        let remembered = match (&outcome, &self.remember) {
            (Outcome::Done(_), Some(remember)) => remember(),
            _ => vec![],
        };
        let (digest, what) = (self.digest, self.what.clone());
        let entry = Entry { digest, what, outcome, contributions: vec![], remembered };
        engine.log.append(&entry, &engine.store.dir)?;
        engine.kept.settle(engine.log.jobs());
        engine.note_progress();
        Ok(())
    }
}

impl Context {
    /// True if this process is one of a cluster.
    #[doc(hidden)]
    pub fn is_member(&self) -> bool {
        self.config().membership.is_some()
    }
    /// The last recovery point of a computation.
    #[doc(hidden)]
    pub fn kept(&self, key: u64) -> Option<Point> {
        self.engine().kept.get(key)
    }
    /// Begins a computation that keeps recovery points, unless this process was given its point by others.
    #[doc(hidden)]
    pub fn begin_keeping(&self, key: u64, point: Point) {
        self.engine().kept.begin(key, point);
    }
    /// Forgets the points of a computation that has ended.
    #[doc(hidden)]
    pub fn stop_keeping(&self, key: u64) {
        self.engine().kept.forget(key);
    }
    /// True if the next job has ended already: this process has come too late for it.
    #[doc(hidden)]
    pub fn is_past(&self) -> bool {
        self.is_member() && self.last_job() < self.engine().log.jobs()
    }
    /// The number of the last job.
    #[doc(hidden)]
    pub fn last_job(&self) -> u64 {
        *lock(&self.engine().next_job)
    }
    /// Runs attempts until one is complete, as one job. `attempt` is given the processes of its generation; it gives
    /// nothing if the generation has ended meanwhile. `remember` says what the log keeps for processes that come later.
    /// `C` stands for what is built, in the job's fingerprint.
    #[doc(hidden)]
    #[track_caller]
    pub fn attempts<C>(
        &self,
        what: &'static str,
        inputs: &[&dyn AnyDataset],
        attempt: impl FnMut(&Others<'_>) -> Result<Option<Attempt>>,
        remember: impl Fn() -> Vec<u8> + Send + Sync + 'static,
    ) -> Result<Ended> {
        attempts_on::<C>(self.engine(), what, Location::caller(), inputs, attempt, remember)
    }
}

/// As [`Context::attempts`].
pub(crate) fn attempts_on<C>(
    engine: &Arc<Engine>,
    what: &'static str,
    site: &'static Location<'static>,
    inputs: &[&dyn AnyDataset],
    attempt: impl FnMut(&Others<'_>) -> Result<Option<Attempt>>,
    remember: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> Result<Ended> {
    let parents: Vec<_> = inputs.iter().map(|d| d.node()).collect();
    let digests: Vec<u64> = parents.iter().map(|p| p.info().digest).collect();
    let info = NewNode {
        closure: std::any::type_name::<C>(),
        parents: &digests,
        ..NewNode::of(what, parents.iter().map(|p| p.info().partitions).sum(), site)
    }
    .finish(engine);
    let (id, partitions) = (info.id, info.partitions);
    let roots = Arc::new(Roots { info, parents });
    let number = {
        let mut next = lock(&engine.next_job);
        *next += 1;
        *next
    };
    let (start, action) = (Instant::now(), what.to_string());
    engine.events.emit(|| Event::JobStart { job: number, action, dataset: id, partitions });
    let ended = until_one_ends(engine, what, number, &roots, attempt, Arc::new(remember));
    engine.events.emit(|| Event::JobEnd {
        job: number,
        error: ended.as_ref().err().map(|e| e.to_string()),
        wall_us: start.elapsed().as_micros() as u64,
    });
    ended
}

/// Attempts the job of `roots` in generation after generation.
fn until_one_ends(
    engine: &Arc<Engine>,
    what: &'static str,
    number: u64,
    roots: &Arc<Roots>,
    mut attempt: impl FnMut(&Others<'_>) -> Result<Option<Attempt>>,
    remember: Arc<dyn Fn() -> Vec<u8> + Send + Sync>,
) -> Result<Ended> {
    let NodeInfo { id, digest, partitions, .. } = roots.info;
    let cluster = |why| Error::new(ErrorKind::Cluster(why));
    let mut took_part = false;
    loop {
        let generation = engine.board.await_open().map_err(cluster)?;
        if let Some(entry) = job::find(engine, number, digest, || what.to_string())? {
            return match entry.outcome {
                Outcome::Failed(kind) => Err(Error::new(kind)),
                Outcome::Done(told) => Ok(Ended { told, remembered: Some(entry.remembered), took_part }),
            };
        }
        // Computes the shuffles of the inputs, and compares the program with the other processes.
        if !job::prepare(engine, what, number, generation, roots.clone(), (0..partitions).collect())? {
            continue;
        }
        let others = Others { engine, what, number, generation, digest, id };
        let attempt = match attempt(&others) {
            Ok(Some(attempt)) => attempt,
            Ok(None) => continue,
            // All have failed alike, by what they were asked.
            Err(e) if engine.log.jobs() >= number => return Err(e),
            Err(e) => {
                others.tell(Some(&e))?;
                // The generation has ended, and not all may have heard it.
                continue;
            }
        };
        // What only one process finds all must know before they build anything.
        if engine.config.membership.is_some() && !others.tell(None)? {
            continue;
        }
        let (posted, told) = others.run(attempt, Some(remember.clone()), None)?;
        took_part |= posted;
        if let Some(told) = told {
            return Ok(Ended { told, remembered: None, took_part: true });
        }
        engine.events.emit(|| Event::JobInterrupted { job: number, action: what.to_string() });
    }
}

/// The processes of a generation, to which something is to be said in the course of a job.
pub struct Others<'a> {
    engine: &'a Arc<Engine>,
    what: &'static str,
    number: u64,
    generation: u64,
    digest: u64,
    id: u64,
}

impl Others<'_> {
    /// The number of the generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }
    /// What each process says, by process; nothing if the generation ends before that. All must ask the same number of
    /// times. The messages come to every worker, so they should be small in comparison to what a process has.
    ///
    /// # Errors
    /// Cluster, if there will be no generation any more, or if another process does not answer.
    pub fn ask(&self, mine: Vec<u8>) -> Result<Option<Vec<Vec<u8>>>> {
        let attempt = Attempt { told: Box::new(move || mine.clone()), ..Attempt::default() };
        self.run(attempt, None, None).map(|(_, told)| told)
    }
    /// Says whether this process can go on. True if all can, false if the generation has ended before that was known; else
    /// the error is one of all, and of the job.
    fn tell(&self, failure: Option<&Error>) -> Result<bool> {
        self.run(Attempt::default(), None, failure).map(|(_, told)| told.is_some())
    }
    /// Runs an attempt: whether it was begun, and what was told if it was complete.
    fn run(
        &self,
        attempt: Attempt,
        remember: Option<Arc<dyn Fn() -> Vec<u8> + Send + Sync>>,
        failure: Option<&Error>,
    ) -> Result<(bool, Option<Vec<Vec<u8>>>)> {
        let Others { engine, what, number, generation, digest, id } = *self;
        let control = Arc::new(JobControl::new(engine, number, None));
        let state = Arc::new(StageState::new(&control, 0, id, what.to_string(), vec![]));
        let job = Arc::new(TimelyJob {
            number,
            digest,
            what: what.to_string(),
            bridge: Bridge { state, on_stop: Arc::default() },
            attempt,
            remember,
            told: Mutex::default(),
            agreed: Mutex::default(),
            broken: AtomicBool::new(false),
            left: AtomicUsize::new(engine.config.workers),
            finished: Mutex::new(false),
            done: Condvar::new(),
        });
        if let Some(failure) = failure {
            job.fail(failure.kind().clone());
        }
        engine.register_running(&control);
        let posted = engine.board.post_in(generation, Arc::new(Posted(job.clone())));
        let posted = posted.map_err(|why| Error::new(ErrorKind::Cluster(why)))?;
        let done = posted && job.wait(generation)?;
        engine.unregister_running(number);
        if !done {
            return Ok((posted, None));
        }
        let told = std::mem::take(&mut *lock(&job.told));
        job.outcome().map_or(Ok((posted, Some(told))), Err)
    }
}

impl TimelyJob {
    /// True when it is finished, false if its generation has ended before.
    fn wait(self: &Arc<Self>, generation: u64) -> Result<bool> {
        let engine = &self.bridge.state.job.engine;
        let board = &engine.board;
        let mut finished = lock(&self.finished);
        while !*finished {
            if let Some(why) = board.dead() {
                return Err(Error::new(ErrorKind::Cluster(why)));
            }
            if board.is_over(generation) {
                return Ok(false);
            }
            let (tick, (job, engine)) = (Duration::from_millis(100), (self.clone(), engine.clone()));
            let ready = move || *lock(&job.finished) || engine.board.is_over(generation);
            finished = simulation::wait_for(
                &self.finished,
                finished,
                &self.done,
                tick,
                "waits for a dataflow",
                ready,
            );
        }
        Ok(true)
    }
}
