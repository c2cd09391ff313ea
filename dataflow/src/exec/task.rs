//! One attempt at one partition of one stage: its context, and how panics become errors.

use crate::context::Engine;
use crate::context::accumulator::Contribution;
use crate::context::checksums::CHECKSUMS;
use crate::dataset::lineage::{NodeId, Stop};
use crate::error::{BadRecord, Error, OnBad};
use crate::event::{Event, Metrics};
use crate::exec::stage::StageState;
use crate::simulation;
use crate::store::memory::Lease;
use crate::time::Instant;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};

/// Records a chunk of a type of ordinary size.
pub const CHUNK_RECORDS: usize = 1024;
/// A chunk of large records is cut to about this many bytes, so that two buffers stay in a first-level cache.
const CHUNK_BYTES: usize = 16 << 10;

/// What a running task knows and collects. What it collects is published when the attempt has succeeded, else lost.
pub struct TaskContext {
    pub(crate) engine: Arc<Engine>,
    pub(crate) state: Arc<StageState>,
    /// The partition that the task computes.
    partition: usize,
    attempt: u32,
    /// The operation whose user code runs.
    node: Cell<NodeId>,
    contributions: RefCell<HashMap<(u64, NodeId), Box<dyn Any + Send>>>,
    bad: RefCell<Vec<(NodeId, BadRecord)>>,
    /// Fingerprints of partitions that it has computed and kept.
    checksums: RefCell<Vec<(NodeId, usize, u64)>>,
    pub(crate) metrics: RefCell<Metrics>,
}

impl TaskContext {
    pub(crate) fn new(state: &Arc<StageState>, partition: usize, attempt: u32) -> Rc<Self> {
        Rc::new(TaskContext {
            engine: state.job.engine.clone(),
            state: state.clone(),
            partition,
            attempt,
            node: Cell::new(state.actor),
            contributions: RefCell::default(),
            bad: RefCell::default(),
            checksums: RefCell::default(),
            metrics: RefCell::default(),
        })
    }
    /// The partition that the task computes: of the last operation of its stage.
    pub fn partition(&self) -> usize {
        self.partition
    }
    /// The attempt, from 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
    /// Number of the job.
    pub fn job(&self) -> u64 {
        self.state.job.number
    }
    /// Called by sources once a chunk: ends the task if its job is cancelled or has failed.
    #[inline]
    pub fn check(&self) -> Result<(), Stop> {
        if self.state.job.deadline.is_some_and(|d| Instant::now() > d) {
            self.state.job.cancelled.store(true, Ordering::Relaxed);
        }
        if self.state.must_stop(self.partition) { Err(Stop::Cancelled) } else { Ok(()) }
    }
    /// Counts records that a source delivered.
    pub fn count_in(&self, records: usize) {
        self.metrics.borrow_mut().records_in += records as u64;
    }
    /// Says that user code of operation `node` runs from here on.
    #[inline]
    pub(crate) fn enter(&self, node: NodeId) {
        self.node.set(node);
    }
    /// How many records of type `T` a chunk should have.
    pub fn chunk_records<T>() -> usize {
        CHUNK_RECORDS.min(CHUNK_BYTES / size_of::<T>().max(1)).max(16)
    }
    /// Memory for a table or a sort buffer.
    pub(crate) fn lease(&self) -> Lease {
        let memory = &self.engine.memory;
        Lease::new(memory, memory.budget() / self.engine.config.workers as u64)
    }
    /// Hands a record that cannot be used to the policy of the context: an error under `fail`, otherwise noted.
    #[cold]
    pub fn bad_record(&self, bad: BadRecord) -> Result<(), Stop> {
        match self.engine.config.on_bad {
            OnBad::Fail => Err(Stop::Fatal(bad.into())),
            OnBad::Skip | OnBad::Quarantine(_) => {
                self.metrics.borrow_mut().records_bad += 1;
                self.bad.borrow_mut().push((self.node.get(), bad));
                Ok(())
            }
        }
    }
    /// Adds to this task's contribution to an accumulator.
    pub(crate) fn contribute<A: Send + 'static>(
        &self,
        accumulator: u64,
        zero: impl FnOnce() -> A,
        add: impl FnOnce(&mut A),
    ) {
        let mut all = self.contributions.borrow_mut();
        let slot = all.entry((accumulator, self.node.get())).or_insert_with(|| Box::new(zero()));
        add(slot.downcast_mut::<A>().expect("an accumulator has one type"));
    }
    /// Notes the fingerprint of a partition that is kept, when the attempt has succeeded.
    pub(crate) fn note_checksum(&self, node: NodeId, partition: usize, checksum: u64) {
        self.checksums.borrow_mut().push((node, partition, checksum));
    }
    /// Publishes what the successful attempt collected; what the other processes must be told of it.
    pub(crate) fn publish(&self) -> Result<Vec<Contribution>, Error> {
        let (engine, job) = (&self.engine, &self.state.job);
        let bad = std::mem::take(&mut *self.bad.borrow_mut());
        let mut told = if bad.is_empty() { vec![] } else { engine.bad.publish(job, self.partition, bad)? };
        for (node, partition, checksum) in self.checksums.borrow_mut().drain(..) {
            let (partition, bytes) = (partition as u64, checksum.to_le_bytes().to_vec());
            engine.checksums.note(node, partition, checksum);
            if engine.config.membership.is_some() {
                told.push(Contribution { accumulator: CHECKSUMS, node, partition, bytes });
            }
        }
        for ((accumulator, node), value) in self.contributions.borrow_mut().drain() {
            told.extend(engine.accumulators.publish(job, accumulator, node, self.partition, value));
        }
        engine.accumulators.pending.add(&told, job, true);
        Ok(told)
    }
    pub(crate) fn ended(&self, worker: usize, error: Option<String>) {
        let state = &self.state;
        let metrics = *self.metrics.borrow();
        state.job.engine.events.emit(|| Event::TaskEnd {
            job: state.job.number,
            stage: state.stage,
            partition: self.partition,
            attempt: self.attempt,
            worker,
            error,
            metrics,
        });
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<TaskContext>>> = const { RefCell::new(None) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The task that runs on this thread, if one does.
pub fn current() -> Option<Rc<TaskContext>> {
    CURRENT.with_borrow(|c| c.clone())
}

/// Runs a piece of a task; a panic in it becomes `Stop::Failed` with message, place and (if asked for) backtrace.
pub(crate) fn guarded<R>(task: &Rc<TaskContext>, f: impl FnOnce() -> Result<R, Stop>) -> Result<R, Stop> {
    install_hook();
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(None);
        }
    }
    CURRENT.set(Some(task.clone()));
    let reset = Reset;
    let result = catch_unwind(AssertUnwindSafe(f));
    drop(reset);
    result.unwrap_or_else(|panic| {
        simulation::pass_on(panic);
        let what = PANIC.take().unwrap_or_else(|| "panicked".to_string());
        Err(Stop::Failed(Error::new(crate::ErrorKind::Lost(what))))
    })
}

/// What a panic says.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// Panics inside tasks are told by the job's error, not by the default hook; all others go to the hook before ours.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let in_task = CURRENT.try_with(|c| c.try_borrow().is_ok_and(|c| c.is_some())).unwrap_or(false);
            if !in_task {
                return before(info);
            }
            let message = info.payload_as_str().unwrap_or("a value that is not text");
            let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
            let mut text = format!("panic: {message}{place}");
            let trace = Backtrace::capture();
            if trace.status() == BacktraceStatus::Captured {
                text.push_str(&format!("\n{trace}"));
            }
            PANIC.set(Some(text));
        }));
    });
}
