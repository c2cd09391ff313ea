//! An action as the workers see it: agree, plan, run the missing shuffles, compute the result, share it.
//!
//! # Guarantees
//! Every process gets the same result or the same error. Before anything is built, the processes compare job number
//! and plan fingerprint; if they differ nothing is built (timely would deliver data into wrong channels, silently).
//! When a block is gone that the plan relied on, the job is planned again, up to [`ROUNDS`] times in a row.
//! When a process is lost, the job runs again in the next generation, which computes what was lost and nothing else; a job
//! that has ended is never run again, its result is in the [log](super::log).
//!
//! # Cost
//! One process: one dataflow a missing shuffle and one for the result. Several: one more to agree.

use super::board::{Board, Job};
use super::gather::all_gather;
use super::leave::Call;
use super::log::{self, Entry};
use super::parcel::{Body, Head, Kind, Pairs, Parcel, Payload};
use super::shuffle::ShuffleRun;
use super::stage::{Failure, JobControl, StageState, Task, run_stage};
use super::task::TaskContext;
use crate::Record;
use crate::context::{Engine, accumulator::Contribution};
use crate::dataset::lineage::{Cursor, Data, Lineage, Node, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::fault;
use crate::plan::{Inventory, Known, StagePlan, inventory, plan};
use crate::simulation;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;
use timely::worker::Worker;

/// How often a job is planned before it fails, when blocks keep getting lost.
const ROUNDS: usize = 16;

/// Computes the result of one partition.
pub(crate) type Compute<T, R> = dyn Fn(&mut dyn Cursor<T>, &Rc<TaskContext>) -> Result<R, Stop> + Send + Sync;

/// One plan and its stages in this process; all local workers share it.
struct Round {
    stages: Vec<(StagePlan, ShuffleRun)>,
    result: Arc<StageState>,
}

struct Outcome<R> {
    slots: Vec<Option<R>>,
    /// The same, encoded, for the log.
    encoded: Vec<Vec<u8>>,
    error: Option<Error>,
    finished: bool,
}

/// A running action.
struct ActionJob<T: Data, R> {
    control: Arc<JobControl>,
    action: &'static str,
    root: Arc<dyn Lineage<T>>,
    partitions: Vec<usize>,
    compute: Arc<Compute<T, R>>,
    /// Fingerprint of the job.
    digest: u64,
    /// Its result is kept for processes that come later.
    is_logged: bool,
    rounds: Vec<OnceLock<Round>>,
    /// What this process has at the start of each round.
    inventories: Vec<OnceLock<Inventory>>,
    outcome: Mutex<Outcome<R>>,
    /// What tasks of all processes have added to accumulators, for the log.
    contributions: Mutex<Vec<Contribution>>,
    done: Condvar,
    left: AtomicUsize,
}

/// What the processes compare before they build anything.
#[derive(Serialize, Deserialize)]
pub(crate) struct Proposal {
    job: u64,
    digest: u64,
    what: String,
    inventory: Inventory,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Runs an action on `partitions` (ascending) of `root` and returns one result a partition, in their order. Blocks the
/// caller.
pub(crate) fn run<T: Data, R: Record>(
    engine: &Arc<Engine>,
    action: &'static str,
    root: Arc<dyn Lineage<T>>,
    partitions: Vec<usize>,
    compute: Box<Compute<T, R>>,
) -> Result<Vec<R>> {
    if super::task::current().is_some() {
        return Err(Error::usage(format!(
            "`{action}` was called inside a task; actions and transformations belong to the main program"
        )));
    }
    let start = Instant::now();
    // Numbers are given and jobs posted under one lock, so that the board's order is that of the numbers.
    let mut next = lock(&engine.next_job);
    *next += 1;
    let number = *next;
    let deadline = engine.config.job_timeout.map(|t| start + t);
    let info = root.info();
    engine.events.emit(|| Event::JobStart {
        job: number,
        action: action.to_string(),
        dataset: info.id,
        partitions: partitions.len(),
    });
    let compute: Arc<Compute<T, R>> = compute.into();
    let mut first = Some(next);
    let cancelled = Arc::<AtomicBool>::default();
    let result = loop {
        let mut control = JobControl::new(engine, number, deadline);
        // Who cancels the job cancels it also when there are no workers just now.
        control.cancelled = cancelled.clone();
        let control = Arc::new(control);
        engine.register_running(&control);
        let job =
            Arc::new(ActionJob::new(control, action, root.clone(), partitions.clone(), compute.clone()));
        match job.replay() {
            Ok(None) => {}
            Ok(Some(result)) => break Ok(result),
            Err(e) => break Err(e),
        }
        let posted = engine.board.post(Arc::new(Posted(job.clone())));
        drop(first.take());
        let result = match posted {
            Ok(generation) => job.wait(&engine.board, generation),
            Err(why) => Some(Err(Error::new(ErrorKind::Cluster(why)))),
        };
        if let Some(result) = result {
            break result;
        }
        // The generation has ended before the job: again in the next one.
        let action = action.to_string();
        engine.events.emit(|| Event::JobInterrupted { job: number, action });
    };
    engine.unregister_running(number);
    engine.accumulators.pending.settle(number);
    let timed_out = deadline.is_some_and(|d| Instant::now() > d);
    let result = match result {
        Err(e) if timed_out && matches!(e.kind(), ErrorKind::Cancelled) => {
            Err(Error::new(ErrorKind::Timeout {
                job: number,
                limit: engine.config.job_timeout.unwrap_or_default(),
            }))
        }
        other => other,
    };
    engine.events.emit(|| Event::JobEnd {
        job: number,
        error: result.as_ref().err().map(|e| e.to_string()),
        wall_us: start.elapsed().as_micros() as u64,
    });
    result
}

/// What a job has come to, if it has ended already, before this process has come.
pub(super) fn find(
    engine: &Engine,
    number: u64,
    digest: u64,
    what: impl FnOnce() -> String,
) -> Result<Option<Entry>> {
    if engine.config.membership.is_none() {
        return Ok(None);
    }
    // What the others have is there when there are workers.
    engine.board.await_open().map_err(|why| Error::new(ErrorKind::Cluster(why)))?;
    let Some(entry) = engine.log.get(number)? else { return Ok(None) };
    if entry.digest != digest {
        let plans = vec![
            format!("before: {}, plan {:016x}", entry.what, entry.digest),
            format!("now: {}, plan {digest:016x}", what()),
        ];
        return Err(Error::new(ErrorKind::PlanMismatch { job: number, plans }));
    }
    Ok(Some(entry))
}

/// Computes the shuffles that `root` reads, as the first half of job `number`, which is not an action. False if the
/// generation has ended meanwhile.
pub(super) fn prepare(
    engine: &Arc<Engine>,
    what: &'static str,
    number: u64,
    generation: u64,
    root: Arc<dyn Lineage<()>>,
    partitions: Vec<usize>,
) -> Result<bool> {
    let control = Arc::new(JobControl::new(engine, number, None));
    let job = ActionJob::new(control.clone(), what, root, partitions, Arc::new(|_, _| Ok(())));
    let job = Arc::new(ActionJob { is_logged: false, ..job });
    engine.register_running(&control);
    let posted = engine.board.post_in(generation, Arc::new(Posted(job.clone())));
    let posted = posted.map_err(|why| Error::new(ErrorKind::Cluster(why)))?;
    let result = if posted { job.wait(&engine.board, generation) } else { None };
    engine.unregister_running(number);
    result.transpose().map(|done| done.is_some())
}

impl<T: Data, R: Record> ActionJob<T, R> {
    fn new(
        control: Arc<JobControl>,
        action: &'static str,
        root: Arc<dyn Lineage<T>>,
        partitions: Vec<usize>,
        compute: Arc<Compute<T, R>>,
    ) -> Self {
        let workers = control.engine.config.workers;
        ActionJob {
            digest: crate::hash::hash_of(&(root.info().digest, action, &partitions)),
            control,
            action,
            is_logged: true,
            outcome: Mutex::new(Outcome {
                slots: partitions.iter().map(|_| None).collect(),
                encoded: vec![vec![]; partitions.len()],
                error: None,
                finished: false,
            }),
            contributions: Mutex::default(),
            root,
            partitions,
            compute,
            rounds: (0..ROUNDS).map(|_| OnceLock::new()).collect(),
            inventories: (0..ROUNDS).map(|_| OnceLock::new()).collect(),
            done: Condvar::new(),
            left: AtomicUsize::new(workers),
        }
    }
    /// The job in words.
    fn what(&self) -> String {
        let info = self.root.info();
        format!("{} of {} at {}:{}", self.action, info.operation, info.site.file(), info.site.line())
    }
    /// The result, if the job has ended already, before this process has come.
    fn replay(&self) -> Result<Option<Vec<R>>> {
        let (engine, number) = (&self.control.engine, self.control.number);
        let Some(entry) = find(engine, number, self.digest, || self.what())? else { return Ok(None) };
        fault::reach("in-replay", number);
        engine.accumulators.absorb(engine, entry.contributions)?;
        match entry.outcome {
            log::Outcome::Failed(kind) => Err(Error::new(kind)),
            log::Outcome::Done(parts) => {
                let open = |bytes: &Vec<u8>| {
                    let mut pairs = Pairs::<R, ()>::decode(&mut &bytes[..], 1).map_err(Error::usage)?;
                    pairs.keys.pop().ok_or_else(|| Error::usage("a result is empty"))
                };
                parts.iter().map(open).collect::<Result<Vec<R>>>().map(Some)
            }
        }
    }
    /// Writes the result down, for processes that come later. Called when all workers of this process are done.
    fn record(&self) -> Result<()> {
        let engine = &self.control.engine;
        let mut outcome = lock(&self.outcome);
        let result = match &outcome.error {
            Some(e) => log::Outcome::Failed(e.kind().clone()),
            None => log::Outcome::Done(std::mem::take(&mut outcome.encoded)),
        };
        let contributions = std::mem::take(&mut *lock(&self.contributions));
        let (digest, what) = (self.digest, self.what());
        let entry = Entry { digest, what, outcome: result, contributions, remembered: vec![] };
        engine.log.append(&entry, &engine.store.dir)?;
        engine.note_progress();
        Ok(())
    }
    /// The result; nothing if the generation that the job was posted for has ended before it.
    fn wait(self: &Arc<Self>, board: &Arc<Board>, generation: u64) -> Option<Result<Vec<R>>> {
        let mut outcome = lock(&self.outcome);
        while !outcome.finished {
            if let Some(why) = board.dead() {
                // A peer may have gone because of what has failed here too: that says more.
                let lost = || Error::new(ErrorKind::Cluster(why));
                return Some(Err(outcome.error.take().unwrap_or_else(lost)));
            }
            if board.is_over(generation) {
                return None;
            }
            let (tick, (job, of)) = (Duration::from_millis(100), (self.clone(), board.clone()));
            let ready = move || lock(&job.outcome).finished || of.is_over(generation);
            outcome =
                simulation::wait_for(&self.outcome, outcome, &self.done, tick, "waits for a job", ready);
        }
        if let Some(error) = outcome.error.take() {
            return Some(Err(error));
        }
        let results: Option<Vec<R>> = outcome.slots.drain(..).collect();
        Some(results.ok_or_else(|| Error::new(ErrorKind::Lost("a partition has no result".to_string()))))
    }
    fn topology(&self) -> crate::context::Topology {
        self.control.engine.topology()
    }
    /// Agrees with the other processes and plans; the first local worker that comes does the planning.
    fn plan(&self, worker: &mut Worker, round: usize) -> Result<&Round> {
        let node: Arc<dyn Node> = self.root.clone();
        let known =
            if self.topology().processes == 1 { Known::Local } else { self.agree(worker, round, &node)? };
        Ok(self.rounds[round].get_or_init(|| {
            let engine = &self.control.engine;
            let owned = |n: usize| (0..n).filter(|p| engine.topology().owns(*p)).collect::<Vec<_>>();
            let stages = plan(&node, &self.partitions, &known).into_iter().enumerate();
            let stages: Vec<_> = stages
                .map(|(i, stage)| {
                    let info = stage.shuffle.info();
                    let tasks = owned(stage.shuffle.parent().info().partitions);
                    let label = info.operation.to_string();
                    let state = Arc::new(StageState::new(&self.control, i as u32, info.id, label, tasks));
                    let missing = Arc::new(stage.missing.clone());
                    (stage, ShuffleRun { state, missing })
                })
                .collect();
            let tasks = self.partitions.iter().copied().filter(|p| engine.topology().owns(*p)).collect();
            let label = format!("{} of {}", self.action, node.info().operation);
            let result = StageState::new(&self.control, stages.len() as u32, node.info().id, label, tasks);
            let result = Arc::new(result.of_action());
            Round { stages, result }
        }))
    }
    /// Compares job and plan with the other processes and gathers what blocks they have.
    fn agree(&self, worker: &mut Worker, round: usize, node: &Arc<dyn Node>) -> Result<Known> {
        fault::reach("before-agree", self.control.number);
        let topology = self.topology();
        let mine = self.inventories[round].get_or_init(|| inventory(node, |p| topology.owns(p)));
        let proposal = Proposal {
            job: self.control.number,
            digest: self.digest,
            what: self.what(),
            inventory: mine.clone(),
        };
        let (number, digest) = (proposal.job, proposal.digest);
        let mut all = vec![];
        for (process, call) in
            Call::Job(proposal).exchange(worker, &self.control.engine)?.into_iter().enumerate()
        {
            match call {
                Call::Job(proposal) => all.push(proposal),
                Call::Leave(why) => {
                    let what = format!("process {process} has left the cluster: {why}");
                    return Err(Error::new(ErrorKind::Cluster(what)));
                }
            }
        }
        if all.iter().any(|p| (p.job, p.digest) != (number, digest)) {
            let plans = all.iter().enumerate();
            let plans = plans
                .map(|(i, p)| format!("process {i}: job {}, {}, plan {:016x}", p.job, p.what, p.digest))
                .collect();
            return Err(Error::new(ErrorKind::PlanMismatch { job: self.control.number, plans }));
        }
        Ok(Known::from(all.into_iter().map(|p| p.inventory)))
    }
    /// Runs stages until one fails.
    fn attempt(self: &Arc<Self>, worker: &mut Worker, round: usize) -> Result<Option<Failure>> {
        let plan = self.plan(worker, round)?;
        for (stage, run) in &plan.stages {
            let start = Instant::now();
            fault::reach("before-stage", self.control.number);
            if !stage.shuffle.clone().run(worker, run) {
                return Ok(None);
            }
            self.stage_ended(worker, &run.state, start);
            if let Some(failure) = run.state.failure() {
                return Ok(Some(failure));
            }
        }
        let start = Instant::now();
        fault::reach("before-result", self.control.number);
        if !self.results(worker, &plan.result) {
            return Ok(None);
        }
        self.stage_ended(worker, &plan.result, start);
        Ok(plan.result.failure())
    }
    fn stage_ended(&self, worker: &Worker, state: &Arc<StageState>, start: Instant) {
        if worker.index().is_multiple_of(self.topology().workers) {
            let (job, stage) = (self.control.number, state.stage);
            self.control.engine.events.emit(|| Event::StageEnd {
                job,
                stage,
                wall_us: start.elapsed().as_micros() as u64,
            });
        }
    }
    /// The last stage: computes the result of each partition and gives it to every process.
    fn results(self: &Arc<Self>, worker: &mut Worker, state: &Arc<StageState>) -> bool {
        let (this, into) = (self.clone(), self.clone());
        let start = Box::new(move |partition: usize, task: &Rc<TaskContext>| {
            Ok(Box::new(ResultTask { job: this.clone(), partition, task: task.clone() }) as Box<dyn Task<_>>)
        });
        let fails = state.clone();
        run_stage(worker, state, start, move |parcel: Parcel<Pairs<R, ()>>| {
            if parcel.head.kind != Kind::ToProcesses {
                return;
            }
            let slot = parcel.head.part as usize;
            let bytes = if let Body::Sealed(bytes) = &parcel.body { bytes.clone() } else { vec![] };
            match parcel.open() {
                Ok(mut pairs) => {
                    let mut outcome = lock(&into.outcome);
                    outcome.slots[slot] = pairs.keys.pop();
                    outcome.encoded[slot] = bytes;
                }
                Err(e) => fails.fail(slot, Failure::Error(Error::usage(e).kind().clone())),
            }
        })
    }
    /// Gives accumulator contributions to the other processes.
    fn share_contributions(&self, worker: &mut Worker) -> Result<()> {
        let engine = &self.control.engine;
        if engine.config.membership.is_none() {
            return Ok(());
        }
        let mine: Vec<Contribution> = if worker.index().is_multiple_of(engine.topology().workers) {
            engine.accumulators.pending.to_tell(self.control.attempt)
        } else {
            vec![]
        };
        let bytes = postcard::to_stdvec(&mine).map_err(|e| Error::usage(e.to_string()))?;
        let all = all_gather(worker, engine, bytes)?;
        if worker.index().is_multiple_of(engine.topology().workers) {
            for (process, bytes) in all.iter().enumerate() {
                let theirs: Vec<Contribution> = postcard::from_bytes(bytes)
                    .map_err(|e| Error::new(ErrorKind::Cluster(format!("process {process}: {e}"))))?;
                lock(&self.contributions).extend(theirs.iter().cloned());
                // This process's own as well: they may be of a task of another that is no more.
                engine.accumulators.absorb(engine, theirs)?;
            }
        }
        Ok(())
    }
    fn work(self: &Arc<Self>, worker: &mut Worker) -> Result<()> {
        let mut last = String::new();
        for round in 0..ROUNDS {
            let failed = match self.attempt(worker, round)? {
                None => None,
                Some(Failure::Cancelled) => Some(ErrorKind::Cancelled),
                Some(Failure::Error(kind)) => Some(kind),
                Some(Failure::Missing(what)) => {
                    last = what;
                    continue;
                }
            };
            // Also of a job that has failed: what it has cached is not computed again, so it would not be counted.
            self.share_contributions(worker)?;
            return failed.map_or(Ok(()), |kind| Err(Error::new(kind)));
        }
        Err(Error::new(ErrorKind::Lost(format!(
            "blocks were lost {ROUNDS} times in a row; the last: {last}"
        ))))
    }
}

/// `Arc<ActionJob>` on the board.
struct Posted<T: Data, R>(Arc<ActionJob<T, R>>);

impl<T: Data, R: Record> Job for Posted<T, R> {
    fn run(&self, worker: &mut Worker) {
        let engine = &self.0.control.engine;
        let result = self.0.work(worker);
        if engine.board.is_interrupted() {
            // Whatever came of it does not count: the job is not finished.
            return;
        }
        if let Err(error) = result {
            lock(&self.0.outcome).error.get_or_insert(error);
        }
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            fault::reach("after-result-before-log", self.0.control.number);
            if engine.config.membership.is_some()
                && self.0.is_logged
                && let Err(error) = self.0.record()
            {
                lock(&self.0.outcome).error.get_or_insert(error);
            }
            fault::reach("after-log", self.0.control.number);
            lock(&self.0.outcome).finished = true;
            self.0.done.notify_all();
        }
    }
}

/// Computes the result of one partition, in one step.
struct ResultTask<T: Data, R> {
    job: Arc<ActionJob<T, R>>,
    partition: usize,
    task: Rc<TaskContext>,
}

impl<T: Data, R: Record> Task<Pairs<R, ()>> for ResultTask<T, R> {
    fn step(&mut self, out: &mut Vec<Parcel<Pairs<R, ()>>>) -> Result<bool, Stop> {
        let job = &self.job;
        let mut cursor = job.root.clone().open(self.partition, &self.task)?;
        let result = (job.compute)(&mut *cursor, &self.task)?;
        let slot = job.partitions.binary_search(&self.partition).expect("a partition of the job");
        let topology = job.topology();
        let mut bytes = vec![];
        if job.control.engine.config.membership.is_some() {
            let head = Head { part: slot as u32, ..Head::default() };
            let pairs = Pairs { keys: vec![result.clone()], values: vec![()] };
            let parcel = Parcel::to_processes(head, pairs, &topology);
            let parcel = parcel.map_err(|e| Stop::Fatal(Error::usage(e)))?;
            if let Body::Sealed(sealed) = &parcel.body {
                bytes = sealed.clone();
            }
            if topology.processes > 1 {
                out.push(parcel);
            }
        }
        let mut outcome = lock(&job.outcome);
        outcome.slots[slot] = Some(result);
        outcome.encoded[slot] = bytes;
        Ok(true)
    }
}
