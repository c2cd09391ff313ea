//! Values that tasks add to and the main program reads, where every partition counts exactly once.
//!
//! A task's contributions are published when its attempt has succeeded, under (accumulator, operation, partition). A
//! partition that is computed again, in a retry, after an eviction or by a later job, replaces its own contribution
//! with the same one instead of adding to it. Contributions of an *action*'s closure belong to that one job, so
//! calling `foreach` twice counts twice.
//!
//! The value is merged in the order of (operation, partition): the same bits for any number of workers. After a job,
//! every process has the contributions of all.
//!
//! A task's contributions travel with its commit, so whoever has its output has them too. They wait ([`Pending`]) until a
//! job has ended in which all processes were told: what a task has added in a job that was interrupted by the loss of a
//! process, or failed, is not added again where the task's output was kept.

use super::Engine;
use super::checksums::CHECKSUMS;
use crate::Record;
use crate::dataset::lineage::NodeId;
use crate::error::{Error, Result};
use crate::exec::stage::JobControl;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// The accumulator number under which refused records travel; numbers of accumulators begin at 1.
pub(crate) const BAD_RECORDS: u64 = 0;

/// One partition's contribution, encoded for the other processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Contribution {
    pub accumulator: u64,
    pub node: NodeId,
    pub partition: u64,
    pub bytes: Vec<u8>,
}

type Merge<A> = Box<dyn Fn(&mut A, A) + Send + Sync>;

struct State<A> {
    zero: A,
    merge: Merge<A>,
    base: Mutex<A>,
    parts: Mutex<BTreeMap<(NodeId, u64), A>>,
}

/// Erased access for the engine.
trait Erased: Send + Sync {
    fn publish(&self, node: NodeId, partition: u64, value: Box<dyn Any + Send>);
    fn encode(&self, value: &(dyn Any + Send)) -> Vec<u8>;
    fn absorb(&self, node: NodeId, partition: u64, bytes: &[u8]) -> Result<()>;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl<A: Record> Erased for State<A> {
    fn publish(&self, node: NodeId, partition: u64, value: Box<dyn Any + Send>) {
        if let Ok(value) = value.downcast::<A>() {
            lock(&self.parts).insert((node, partition), *value);
        }
    }
    fn encode(&self, value: &(dyn Any + Send)) -> Vec<u8> {
        value.downcast_ref::<A>().and_then(|v| postcard::to_stdvec(v).ok()).unwrap_or_default()
    }
    fn absorb(&self, node: NodeId, partition: u64, bytes: &[u8]) -> Result<()> {
        let value = postcard::from_bytes(bytes).map_err(|e| Error::usage(format!("accumulator: {e}")))?;
        lock(&self.parts).insert((node, partition), value);
        Ok(())
    }
}

/// A value that tasks add to; see [`Context::accumulator`](crate::Context::accumulator).
pub struct Accumulator<A: Record> {
    id: u64,
    state: Arc<State<A>>,
}

impl<A: Record> Clone for Accumulator<A> {
    fn clone(&self) -> Self {
        Accumulator { id: self.id, state: self.state.clone() }
    }
}

impl<A: Record> Accumulator<A> {
    /// Merges `value` in: into the running task's contribution, or at once outside a task.
    pub fn add(&self, value: A) {
        match crate::exec::task::current() {
            Some(task) => {
                task.contribute(self.id, || self.state.zero.clone(), |into| (self.state.merge)(into, value))
            }
            None => (self.state.merge)(&mut *lock(&self.state.base), value),
        }
    }
    /// The merged value of everything added outside tasks and by successful tasks.
    pub fn value(&self) -> A {
        let mut value = lock(&self.state.base).clone();
        lock(&self.state.parts).values().for_each(|v| (self.state.merge)(&mut value, v.clone()));
        value
    }
    /// Forgets everything.
    pub fn reset(&self) {
        *lock(&self.state.base) = self.state.zero.clone();
        lock(&self.state.parts).clear();
    }
}

/// A contribution that some process may not have.
struct Waiting {
    bytes: Vec<u8>,
    /// The job in which it came, and which attempt at it.
    job: u64,
    attempt: u64,
    /// It is of a task of this process.
    own: bool,
}

/// The contributions of tasks, by accumulator, operation and partition, until a job has ended that has told all processes.
#[derive(Default)]
pub(crate) struct Pending(Mutex<BTreeMap<(u64, NodeId, u64), Waiting>>);

impl Pending {
    pub fn add(&self, contributions: &[Contribution], job: &JobControl, own: bool) {
        let mut all = lock(&self.0);
        for c in contributions {
            let key = (c.accumulator, c.node, c.partition);
            let own = own || all.get(&key).is_some_and(|w| w.own);
            let (job, attempt) = (job.number, job.attempt);
            all.insert(key, Waiting { bytes: c.bytes.clone(), job, attempt, own });
        }
    }
    /// What this process must tell at the end of an attempt. What others' tasks have added in this very attempt came with
    /// commits, which all processes have.
    pub fn to_tell(&self, attempt: u64) -> Vec<Contribution> {
        let all = lock(&self.0);
        let told = all.iter().filter(|(_, w)| w.own || w.attempt != attempt);
        told.map(|(&(accumulator, node, partition), w)| {
            let bytes = w.bytes.clone();
            Contribution { accumulator, node, partition, bytes }
        })
        .collect()
    }
    /// A job has ended: all have what was added until then.
    pub fn settle(&self, job: u64) {
        lock(&self.0).retain(|_, w| w.job > job);
    }
}

/// All accumulators of a context.
#[derive(Default)]
pub(crate) struct Accumulators {
    all: Mutex<HashMap<u64, Weak<dyn Erased>>>,
    pub pending: Pending,
}

impl Accumulators {
    pub fn make<A: Record>(
        &self,
        engine: &Engine,
        zero: A,
        merge: impl Fn(&mut A, A) + Send + Sync + 'static,
    ) -> Accumulator<A> {
        let id = engine.next_id();
        let state = Arc::new(State {
            base: Mutex::new(zero.clone()),
            zero,
            merge: Box::new(merge),
            parts: Mutex::default(),
        });
        let weak: Weak<dyn Erased> = Arc::downgrade(&state) as _;
        let mut all = lock(&self.all);
        all.retain(|_, a| a.strong_count() > 0);
        all.insert(id, weak);
        Accumulator { id, state }
    }
    fn find(&self, id: u64) -> Option<Arc<dyn Erased>> {
        lock(&self.all).get(&id).and_then(|a| a.upgrade())
    }
    /// Takes the contribution of a successful task; what other processes must be told, if there are any.
    pub fn publish(
        &self,
        job: &JobControl,
        id: u64,
        node: NodeId,
        partition: usize,
        value: Box<dyn Any + Send>,
    ) -> Option<Contribution> {
        let accumulator = self.find(id)?;
        let partition = partition as u64;
        let told = job.engine.config.membership.is_some().then(|| {
            let bytes = accumulator.encode(&*value);
            Contribution { accumulator: id, node, partition, bytes }
        });
        accumulator.publish(node, partition, value);
        told
    }
    /// Takes the contributions of another process.
    pub fn absorb(&self, engine: &Engine, contributions: Vec<Contribution>) -> Result<()> {
        for c in contributions {
            if c.accumulator == CHECKSUMS {
                engine.checksums.absorb(c.node, c.partition, &c.bytes);
            } else if c.accumulator == BAD_RECORDS {
                engine.bad.absorb(c.node, c.partition, &c.bytes)?;
            } else if let Some(accumulator) = self.find(c.accumulator) {
                accumulator.absorb(c.node, c.partition, &c.bytes)?;
            }
        }
        Ok(())
    }
}
