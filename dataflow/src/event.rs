//! What the engine tells about itself while it works: one stream that progress bars, event files,
//! [`explain_analyze`](crate::Dataset::explain_analyze) and dashboards all read.
//!
//! Events are emitted a task at a time, never a record at a time: a few a millisecond at most. A subscriber is called
//! on the thread that emits, so it must be quick (put the event in a queue, update a counter). The serde form of
//! [`Stamped`] is one JSON object an event and is stable: fields are added, never changed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock, Weak};
use std::time::Instant;

/// One event with its number and time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamped {
    /// Counts events of this process from 0.
    pub sequence: u64,
    /// Microseconds since the context was made.
    pub time_us: u64,
    /// The process that emitted it.
    pub process: usize,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Counts of one task or one stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Records that the sources of the task delivered.
    pub records_in: u64,
    /// Records that the task handed on.
    pub records_out: u64,
    /// Bytes that the task handed to a shuffle, as they lie in memory.
    pub bytes_out: u64,
    /// Bytes written to spill files.
    pub bytes_spilled: u64,
    /// Records refused under [`OnBad::Skip`](crate::OnBad) or [`OnBad::Quarantine`](crate::OnBad).
    pub records_bad: u64,
    /// Time that the task computed, in microseconds.
    pub busy_us: u64,
}

impl Metrics {
    /// Adds the counts of another task. Files can say anything: counts stay at their largest value.
    pub fn add(&mut self, other: &Metrics) {
        self.records_in = self.records_in.saturating_add(other.records_in);
        self.records_out = self.records_out.saturating_add(other.records_out);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.bytes_spilled = self.bytes_spilled.saturating_add(other.bytes_spilled);
        self.records_bad = self.records_bad.saturating_add(other.records_bad);
        self.busy_us = self.busy_us.saturating_add(other.busy_us);
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run begins, or goes on with another process in the place of the one that wrote before.
    RunStart {
        /// Name of the run; empty if one process is alone.
        run: String,
        /// Processes that it began with.
        processes: usize,
        /// Milliseconds since 1970.
        began_ms: u64,
    },
    /// A run ends. A file without it is of a run that goes on, or that was killed.
    RunEnd {
        /// Nothing if it went well.
        error: Option<String>,
    },
    /// An action was called.
    JobStart {
        /// Number of the job, from 1.
        job: u64,
        /// Name of the action.
        action: String,
        /// Node number of the dataset it runs on.
        dataset: u64,
        /// Partitions to compute.
        partitions: usize,
    },
    /// A process was lost while an action was running: it runs again with those that are left and the replacement.
    JobInterrupted {
        /// Number of the job.
        job: u64,
        /// Name of the action.
        action: String,
    },
    /// The processes of a cluster have formed a generation.
    GenerationFormed {
        /// Its number, from 1.
        generation: u64,
        /// How many processes it has.
        processes: usize,
        /// Why the generation before has ended; empty for the first.
        why: String,
    },
    /// A training has gone on from what the processes had that were left.
    WentOn {
        /// From this epoch.
        epoch: u64,
        /// Values of tables that were only the lost process's to decide on.
        values_lost: u64,
        /// The largest Euclidean distance between what two processes had of these; nothing if one had them.
        distance: Option<f64>,
        /// The Euclidean distance of all values to those of the last recovery point.
        kept: f64,
    },
    /// An action ended.
    JobEnd {
        /// Number of the job.
        job: u64,
        /// Nothing if it went well.
        error: Option<String>,
        /// Wall time in microseconds.
        wall_us: u64,
    },
    /// A stage starts.
    StageStart {
        /// Number of the job.
        job: u64,
        /// Number of the stage in its job, from 0.
        stage: u32,
        /// Node number of what the stage computes.
        node: u64,
        /// The operation at the end of the stage.
        operation: String,
        /// Tasks of this process.
        tasks: usize,
    },
    /// A stage ended.
    StageEnd {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: u32,
        /// Wall time in microseconds.
        wall_us: u64,
    },
    /// A task attempt ended.
    TaskEnd {
        /// Number of the job.
        job: u64,
        /// Number of the stage.
        stage: u32,
        /// Partition that the task computed.
        partition: usize,
        /// Attempt, from 0.
        attempt: u32,
        /// Worker thread of the process.
        worker: usize,
        /// Nothing if it went well.
        error: Option<String>,
        /// Counts.
        metrics: Metrics,
    },
    /// A block was computed and kept.
    BlockStored {
        /// Node number of the dataset.
        node: u64,
        /// Partition.
        partition: usize,
        /// Size in bytes.
        bytes: u64,
        /// True if it lies on disk.
        disk: bool,
    },
    /// A kept block was dropped or moved to disk to make room.
    BlockEvicted {
        /// Node number of the dataset.
        node: u64,
        /// Partition.
        partition: usize,
        /// Size in bytes.
        bytes: u64,
        /// True if it was moved to disk, false if it will be recomputed.
        disk: bool,
    },
    /// A kept block could not be read and will be recomputed.
    BlockLost {
        /// Node number of the dataset.
        node: u64,
        /// Partition.
        partition: usize,
        /// Why.
        cause: String,
    },
    /// A record was refused.
    BadRecord {
        /// Partition.
        partition: usize,
        /// Where and why.
        record: crate::BadRecord,
    },
    /// One step of an iterative algorithm.
    Iteration {
        /// Name of the algorithm.
        algorithm: String,
        /// Steps done.
        iteration: u64,
        /// Steps at most; 0 if there is no limit.
        iterations_max: u64,
        /// Named figures, such as the objective.
        values: BTreeMap<String, f64>,
    },
    /// Something that a user should know.
    Warning {
        /// The text.
        message: String,
    },
}

type Listener = Arc<dyn Fn(&Stamped) + Send + Sync>;

/// Where events go. Without a subscriber an event costs one atomic load.
pub struct EventBus {
    start: Instant,
    process: usize,
    sequence: AtomicU64,
    any: AtomicBool,
    listeners: RwLock<Vec<(u64, Listener)>>,
    next_id: AtomicU64,
}

/// Ends a subscription when it is dropped.
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription {
    bus: Weak<EventBus>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            let mut listeners = bus.listeners.write().unwrap_or_else(|e| e.into_inner());
            listeners.retain(|(id, _)| *id != self.id);
            bus.any.store(!listeners.is_empty(), Ordering::Release);
        }
    }
}

impl EventBus {
    pub(crate) fn new(process: usize) -> Arc<Self> {
        Arc::new(EventBus {
            start: Instant::now(),
            process,
            sequence: AtomicU64::new(0),
            any: AtomicBool::new(false),
            listeners: RwLock::new(vec![]),
            next_id: AtomicU64::new(0),
        })
    }
    /// Calls `listener` for every event from now on, on the emitting thread, until the subscription is dropped.
    pub fn subscribe(self: &Arc<Self>, listener: impl Fn(&Stamped) + Send + Sync + 'static) -> Subscription {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.listeners.write().unwrap_or_else(|e| e.into_inner()).push((id, Arc::new(listener)));
        self.any.store(true, Ordering::Release);
        Subscription { bus: Arc::downgrade(self), id }
    }
    /// True if anybody listens.
    pub fn is_heard(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
    /// Emits the event that `make` makes, if anybody listens. A listener that panics does not harm the engine.
    pub fn emit(&self, make: impl FnOnce() -> Event) {
        if !self.is_heard() {
            return;
        }
        let stamped = Stamped {
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            time_us: self.start.elapsed().as_micros() as u64,
            process: self.process,
            event: make(),
        };
        let listeners: Vec<Listener> = {
            let listeners = self.listeners.read().unwrap_or_else(|e| e.into_inner());
            listeners.iter().map(|(_, l)| l.clone()).collect()
        };
        for listener in listeners {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(&stamped)));
        }
    }
}
