//! Raw timely inside a program: datasets as streams, streams as datasets.
//!
//! [`Context::timely`] runs a closure on every worker, between two jobs; the closure builds dataflows, which then run to
//! their end. [`Dataset::to_stream`] feeds the partitions of a dataset in, [`IntoDataset::into_dataset`] collects what
//! comes out. What happens between is timely's: no retries, no bounded memory, and an operator that panics ends the
//! call with an error.

use super::attempts::Attempt;
use super::stage::{Failure, StageState};
use super::task::{TaskContext, guarded};
use crate::context::{Context, Engine};
use crate::dataset::Dataset;
use crate::dataset::lineage::{
    Chunk, Cursor, Data, Dependency, Input, Lineage, Node, NodeInfo, Record, Stop,
};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Stored;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::progress::Timestamp;
use timely::scheduling::activate::SyncActivator;
use timely::worker::Worker;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A dataset with its record type erased, as an input of [`Context::timely`].
pub trait AnyDataset {
    #[doc(hidden)]
    fn node(&self) -> Arc<dyn Node>;
}

impl<T: Data> AnyDataset for Dataset<T> {
    fn node(&self) -> Arc<dyn Node> {
        self.erased()
    }
}

/// What `to_stream` needs inside the closure of [`Context::timely`]. Cheap to clone, so that operators can keep one.
#[derive(Clone)]
pub struct Bridge {
    pub(super) state: Arc<StageState>,
    /// Operators that have something to do when the call fails or is cancelled.
    pub(super) on_stop: Arc<Mutex<Vec<SyncActivator>>>,
}

/// A dataset for what workers hold on to: it does not keep the context alive.
///
/// A context that is dropped leaves its cluster in order, for which it needs its workers: if the last handle is in
/// something that a worker drops, it cannot. So closures and operators hold this instead of a [`Dataset`].
pub struct DatasetRef<T: Data>(Arc<dyn Lineage<T>>);

impl<T: Data> Clone for DatasetRef<T> {
    fn clone(&self) -> Self {
        DatasetRef(self.0.clone())
    }
}

impl<T: Data> DatasetRef<T> {
    /// Number of partitions.
    pub fn num_partitions(&self) -> usize {
        self.0.info().partitions
    }
}

impl<T: Data> Dataset<T> {
    /// The dataset without its context.
    pub fn to_ref(&self) -> DatasetRef<T> {
        DatasetRef(self.lineage().clone())
    }
}

impl Bridge {
    /// All records of a partition, of a dataset that was named as an input. What is persisted in memory is shared and not
    /// copied. `None` if it cannot be had: the call of [`Context::timely`] then ends with the reason.
    pub fn records<T: Data>(&self, dataset: &DatasetRef<T>, partition: usize) -> Option<Arc<Vec<T>>> {
        let (node, engine) = (dataset.0.clone(), &self.state.job.engine);
        let kept = || match engine.store.get(node.info().id, partition) {
            Some(Stored::Memory(block)) => block.downcast::<Vec<T>>().ok(),
            _ => None,
        };
        if let Some(records) = kept() {
            return Some(records);
        }
        for attempt in 0.. {
            let task = TaskContext::new(&self.state, partition, attempt);
            let result = guarded(&task, || {
                let (mut records, mut cursor) = (vec![], node.clone().open(partition, &task)?);
                while let Some(chunk) = cursor.next()? {
                    // Reading it has perhaps made it persistent, as a whole.
                    if let Some(records) = kept() {
                        return Ok(records);
                    }
                    chunk.append_to(&mut records);
                }
                task.publish()?;
                Ok(kept().unwrap_or(Arc::new(records)))
            });
            match result {
                Ok(records) => return Some(records),
                Err(Stop::Failed(_)) if attempt + 1 < engine.config.task_attempts => {}
                Err(stop) => {
                    self.state.fail(partition, failure(stop));
                    break;
                }
            }
        }
        None
    }
    /// Runs user code on behalf of a partition; `None` if it panicked: the call of [`Context::timely`] then ends with the
    /// panic's message.
    pub fn guard<R>(&self, partition: usize, f: impl FnOnce() -> R) -> Option<R> {
        let task = TaskContext::new(&self.state, partition, 0);
        match guarded(&task, || Ok(f())) {
            Ok(result) => Some(result),
            Err(stop) => {
                self.state.fail(partition, failure(stop));
                None
            }
        }
    }
    /// Ends the call of [`Context::timely`] with an error; that of the lowest partition wins.
    pub fn fail(&self, partition: usize, error: &Error) {
        self.state.fail(partition, Failure::Error(error.kind().clone()));
    }
    /// What the call has failed with, if it has; cancelled is a failure, too.
    pub fn failure(&self) -> Option<Error> {
        let cancelled = || self.state.must_stop(0).then_some(Failure::Cancelled);
        self.state.failure().or_else(cancelled).map(error_of)
    }
    /// What the call has failed with, when all processes have said how it went: that its generation has ended since then, or that
    /// it was cancelled, changes nothing any more.
    pub(super) fn outcome(&self) -> Option<Error> {
        self.state.failure().map(error_of)
    }
    /// Says that the call was cancelled, if it was, before the processes say how it went.
    pub(super) fn note_cancelled(&self) {
        if self.state.job.cancelled.load(Ordering::Relaxed) {
            self.state.fail(0, Failure::Cancelled);
        }
    }
    /// Wakes an operator when the call fails or is cancelled: it is scheduled once more before the dataflow is dropped,
    /// so that it can tell other processes, which would wait for this one for ever.
    pub fn wake_on_stop(&self, operator: SyncActivator) {
        lock(&self.on_stop).push(operator);
    }
    /// True if the call has failed or was cancelled, so that further work is in vain.
    pub fn must_stop(&self) -> bool {
        self.state.failure().is_some() || self.state.must_stop(0)
    }
}

/// Depends on all inputs, so that planning it computes their shuffles.
pub(super) struct Roots {
    pub info: NodeInfo,
    pub parents: Vec<Arc<dyn Node>>,
}

impl Node for Roots {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        self.parents.iter().map(|p| Dependency::Narrow(p.clone())).collect()
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        let mut p = partition;
        for parent in &self.parents {
            if p < parent.info().partitions {
                return visit(Input::Narrow(parent, p));
            }
            p -= parent.info().partitions;
        }
    }
}

struct Nothing;
impl Cursor<()> for Nothing {
    fn next(&mut self) -> Result<Option<Chunk<'_, ()>>, Stop> {
        Ok(None)
    }
}

impl Lineage<()> for Roots {
    fn open(self: Arc<Self>, _: usize, _: &Rc<TaskContext>) -> Result<Box<dyn Cursor<()>>, Stop> {
        Ok(Box::new(Nothing))
    }
}

impl<T: Data> Dataset<T> {
    /// The records of the partitions that this worker reads, as a stream at the least time. Inside the closure of
    /// [`Context::timely`], for a dataset that was named as an input.
    pub fn to_stream<'scope, S: Timestamp>(
        &self,
        scope: Scope<'scope, S>,
        bridge: &Bridge,
    ) -> StreamVec<'scope, S, T> {
        let (node, state) = (self.lineage().clone(), bridge.state.clone());
        let (topology, index) = (state.job.engine.topology(), scope.index());
        let mut partitions = (0..node.info().partitions).filter(move |p| topology.worker_of(*p) == index);
        source::<_, CapacityContainerBuilder<Vec<T>>, _, _>(scope, "dataset", move |capability, info| {
            let again = scope.activator_for(info.address);
            let mut capability = Some(capability);
            let mut running: Option<(Rc<TaskContext>, Box<dyn Cursor<T>>)> = None;
            move |output| {
                let Some(at) = &capability else { return };
                if running.is_none() {
                    let Some(p) = partitions.next().filter(|p| !state.must_stop(*p)) else {
                        capability = None;
                        return;
                    };
                    let task = TaskContext::new(&state, p, 0);
                    match guarded(&task, || node.clone().open(p, &task)) {
                        Ok(cursor) => running = Some((task, cursor)),
                        Err(stop) => return state.fail(p, failure(stop)),
                    }
                }
                let (task, cursor) = running.as_mut().expect("just opened");
                let (t, mut session) = (task.clone(), output.session(at));
                let more = guarded(&t, || {
                    let Some(chunk) = cursor.next()? else {
                        t.publish()?;
                        return Ok(false);
                    };
                    chunk.for_each(|record| session.give(record));
                    Ok(true)
                });
                drop(session);
                match more {
                    Ok(true) => {}
                    Ok(false) => running = None,
                    Err(stop) => {
                        state.fail(t.partition(), failure(stop));
                        capability = None;
                        return;
                    }
                }
                again.activate();
            }
        })
    }
}

fn error_of(failure: Failure) -> Error {
    Error::new(match failure {
        Failure::Cancelled => ErrorKind::Cancelled,
        Failure::Missing(what) => ErrorKind::Lost(what),
        Failure::Error(kind) => kind,
    })
}

fn failure(stop: Stop) -> Failure {
    match stop {
        Stop::Cancelled => Failure::Cancelled,
        Stop::Missing(what) => Failure::Error(ErrorKind::Lost(what)),
        Stop::Fatal(e) | Stop::Failed(e) => Failure::Error(e.kind().clone()),
    }
}

/// Where a stream is collected; see [`Context::output`].
pub struct Output<U> {
    place: Arc<Place<U>>,
    engine: Arc<Engine>,
}

struct Place<U> {
    parts: Vec<Mutex<Vec<U>>>,
    /// A call that collects in it has ended.
    closed: AtomicBool,
}

/// An output with its record type erased.
pub(crate) trait AnyOutput: Send + Sync {
    /// True if no call that collects in it has ended.
    fn is_open(&self) -> bool;
    fn close(&self);
    /// Forgets what an interrupted call has left.
    fn clear(&self);
    /// What this process has collected, for the others.
    fn written(&self) -> Vec<u8>;
    /// Takes what a process has collected.
    fn read(&self, bytes: &[u8]) -> Result<()>;
}

impl<U: Record> AnyOutput for Place<U> {
    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
    fn clear(&self) {
        self.parts.iter().for_each(|part| lock(part).clear());
    }
    fn written(&self) -> Vec<u8> {
        let parts = self.parts.iter().enumerate().map(|(p, part)| (p, lock(part).clone()));
        let parts: Vec<(usize, Vec<U>)> = parts.filter(|(_, records)| !records.is_empty()).collect();
        postcard::to_stdvec(&parts).unwrap_or_default()
    }
    fn read(&self, bytes: &[u8]) -> Result<()> {
        let parts: Vec<(usize, Vec<U>)> =
            postcard::from_bytes(bytes).map_err(|e| Error::usage(format!("an output: {e}")))?;
        for (p, records) in parts {
            if let Some(part) = self.parts.get(p) {
                *lock(part) = records;
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Outputs that a call may collect in.
    fn open_outputs(&self) -> Vec<Arc<dyn AnyOutput>> {
        let mut all = lock(&self.outputs);
        all.retain(|o| o.strong_count() > 0);
        all.iter().filter_map(|o| o.upgrade()).filter(|o| o.is_open()).collect()
    }
}

impl<U> Clone for Output<U> {
    fn clone(&self) -> Self {
        Output { place: self.place.clone(), engine: self.engine.clone() }
    }
}

impl<U: Record + Ord> Output<U> {
    /// What was collected so far, each partition sorted, because the order of arrival means nothing.
    #[track_caller]
    pub fn dataset(&self, cx: &Context) -> Dataset<U> {
        let parts = self.place.parts.iter().map(|p| {
            let mut records = lock(p).clone();
            records.sort();
            records
        });
        cx.from_partitions(parts.collect())
    }
}

/// Ends a stream in a dataset.
pub trait IntoDataset<U> {
    /// Sends every record to partition `route(record)` modulo the partitions of `output`.
    fn into_dataset(self, output: &Output<U>, route: impl Fn(&U) -> u64 + 'static);
}

impl<'scope, S: Timestamp, U: Record> IntoDataset<U> for StreamVec<'scope, S, U> {
    fn into_dataset(self, output: &Output<U>, route: impl Fn(&U) -> u64 + 'static) {
        let (output, n, route) = (output.clone(), output.place.parts.len() as u64, Rc::new(route));
        let (by, topology) = (route.clone(), output.engine.topology());
        let exchange = Exchange::new(move |x: &U| topology.worker_of((by(x) % n) as usize) as u64);
        self.sink(exchange, "into dataset", move |(input, _)| {
            input.for_each(|_, records: &mut Vec<U>| {
                for record in records.drain(..) {
                    lock(&output.place.parts[(route(&record) % n) as usize]).push(record);
                }
            })
        });
    }
}

impl Context {
    /// A place for [`IntoDataset::into_dataset`], of `partitions` partitions.
    pub fn output<U: Record + Ord>(&self, partitions: usize) -> Output<U> {
        let parts = (0..partitions.max(1)).map(|_| Mutex::default()).collect();
        let place = Arc::new(Place { parts, closed: AtomicBool::new(false) });
        let weak: std::sync::Weak<dyn AnyOutput> = Arc::downgrade(&place) as _;
        lock(&self.engine().outputs).push(weak);
        Output { place, engine: self.engine().clone() }
    }
    /// Runs `build` on every worker and then the dataflows it has built, until they are complete. `inputs` are the
    /// datasets that it reads with [`Dataset::to_stream`]: their shuffles are computed first.
    ///
    /// All workers must build the same dataflows in the same order. When a process of a cluster is lost meanwhile, they are
    /// built again from the start, and what was collected before is forgotten.
    #[track_caller]
    pub fn timely<F>(&self, inputs: &[&dyn AnyDataset], build: F) -> Result<()>
    where
        F: Fn(&mut Worker, &Bridge) + Send + Sync + 'static,
    {
        let build = Arc::new(build);
        let outputs = self.engine().open_outputs();
        let ended = self.attempts::<F>(
            "timely",
            inputs,
            |_| {
                outputs.iter().for_each(|output| output.clear());
                let (build, told) = (build.clone(), outputs.clone());
                Ok(Some(Attempt {
                    build: Box::new(move |worker, bridge| build(worker, bridge)),
                    told: Box::new(move || {
                        let written: Vec<Vec<u8>> = told.iter().map(|o| o.written()).collect();
                        postcard::to_stdvec(&written).unwrap_or_default()
                    }),
                    ..Attempt::default()
                }))
            },
            Vec::new,
        )?;
        for bytes in &ended.told {
            let written: Vec<Vec<u8>> =
                postcard::from_bytes(bytes).map_err(|e| Error::usage(format!("an output: {e}")))?;
            outputs.iter().zip(written).try_for_each(|(output, bytes)| output.read(&bytes))?;
        }
        outputs.iter().for_each(|output| output.close());
        Ok(())
    }
}
