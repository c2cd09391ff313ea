//! What iterative computations keep in memory from one recovery point to the next, here and with a neighbour.
//!
//! # What
//! A point has a *shared* part, which every process has anyway (tables at the end of a run), a *common* part, which is
//! gathered from all (what update rules keep), and parts by partition (states), which their owner keeps and the process
//! after it. When a process is lost, the one in its place gets all of it from the others before its program begins
//! ([`hand_over`]).
//!
//! # Guarantees
//! A point counts when the job that made it is in the [log](super::log): then every process has what it should have. Until
//! then the point before it is kept. One process that is lost takes nothing with it that its neighbour does not have; of two
//! neighbours that are lost at once, parts may be gone: [`hand_over`] then fails by name.
//!
//! # Cost
//! The parts, twice; a message to the neighbour a point.

use super::gather::{all_gather, scatter};
use crate::context::Engine;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use timely::worker::Worker;

/// What all processes have of a point.
#[derive(Clone)]
pub enum Shared {
    /// As it is in this process, and how it is written for another.
    Live(Arc<dyn Any + Send + Sync>, Arc<dyn Fn() -> Vec<u8> + Send + Sync>),
    /// As another process has written it.
    Written(Arc<Vec<u8>>),
}

/// A recovery point.
#[derive(Clone)]
pub struct Point {
    /// What all processes have.
    pub shared: Shared,
    /// What was gathered, by process; before that, this process's.
    pub common: Vec<Vec<u8>>,
    /// By partition: those of this process, and of the one before it.
    pub parts: BTreeMap<usize, Arc<Vec<u8>>>,
}

struct Slot {
    /// The job that made it.
    job: u64,
    point: Point,
}

#[derive(Default)]
struct Slots {
    /// The last that counts.
    last: Option<Slot>,
    /// One whose job is not known to have ended.
    next: Option<Slot>,
}

/// The points of a process, by the number of the computation.
#[derive(Default)]
pub(crate) struct Kept {
    slots: Mutex<BTreeMap<u64, Slots>>,
    /// Computations of which this process needs nothing more, whatever others may send.
    forgotten: Mutex<BTreeSet<u64>>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Slots>> {
        self.slots.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// The last point of a computation.
    pub fn get(&self, key: u64) -> Option<Point> {
        self.lock().get(&key)?.last.as_ref().map(|s| s.point.clone())
    }
    /// Begins a computation, unless another process has given its point to this one.
    pub fn begin(&self, key: u64, point: Point) {
        self.lock().entry(key).or_default().last.get_or_insert(Slot { job: 0, point });
    }
    /// A point that counts when `job` has ended.
    pub fn propose(&self, key: u64, job: u64, point: Point) {
        self.lock().entry(key).or_default().next = Some(Slot { job, point });
    }
    /// Decides on all points that are proposed: `jobs` have ended.
    pub fn settle(&self, jobs: u64) {
        for slots in self.lock().values_mut() {
            if let Some(next) = slots.next.take().filter(|next| next.job <= jobs) {
                slots.last = Some(next);
            }
        }
    }
    /// The computation has ended, and its result is in the log, or nobody reads it any more.
    pub fn forget(&self, key: u64) {
        self.forgotten.lock().unwrap_or_else(|e| e.into_inner()).insert(key);
        self.lock().remove(&key);
    }
    fn is_forgotten(&self, key: u64) -> bool {
        self.forgotten.lock().unwrap_or_else(|e| e.into_inner()).contains(&key)
    }
    fn list(&self) -> Vec<Listed> {
        let of = |(key, slots): (&u64, &Slots)| {
            let last = slots.last.as_ref()?;
            Some(Listed { key: *key, job: last.job, parts: last.point.parts.keys().copied().collect() })
        };
        self.lock().iter().filter_map(of).collect()
    }
}

/// What a process has of a computation's point.
#[derive(Clone, Serialize, Deserialize)]
struct Listed {
    key: u64,
    job: u64,
    parts: BTreeSet<usize>,
}

/// A piece of a point on its way.
#[derive(Serialize, Deserialize)]
enum Piece {
    Whole { key: u64, job: u64, shared: Vec<u8>, common: Vec<Vec<u8>> },
    Part { key: u64, partition: usize, bytes: Vec<u8> },
}

fn cluster(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Cluster(format!("handing over recovery points: {what}")))
}

/// Gives every process the points that it should have. Collective, after the logs are the same everywhere.
pub(crate) fn hand_over(worker: &mut Worker, engine: &Engine) -> Result<()> {
    let topology = engine.topology();
    let speaks = worker.index().is_multiple_of(topology.workers);
    if speaks {
        engine.kept.settle(engine.log.jobs());
    }
    let mine = postcard::to_stdvec(&engine.kept.list()).map_err(cluster)?;
    let all = all_gather(worker, engine, mine)?;
    let all: Vec<Vec<Listed>> =
        all.iter().map(|b| postcard::from_bytes(b)).collect::<Result<_, _>>().map_err(cluster)?;
    let outgoing = if speaks { outgoing(engine, &all)? } else { vec![] };
    let mut pieces = vec![];
    for bytes in scatter(worker, engine, outgoing)? {
        pieces.push(postcard::from_bytes::<Piece>(&bytes).map_err(cluster)?);
    }
    // Parts come from other processes than the rest, in any order.
    pieces.sort_by_key(|p| matches!(p, Piece::Part { .. }));
    let mut kept = engine.kept.lock();
    for piece in pieces {
        match piece {
            // Some process has not come to where it forgets it, or this one has forgotten it in the meantime.
            Piece::Whole { key, .. } if engine.kept.is_forgotten(key) => {}
            Piece::Whole { key, job, shared, common } => {
                let shared = Shared::Written(Arc::new(shared));
                let point = Point { shared, common, parts: BTreeMap::new() };
                kept.insert(key, Slots { last: Some(Slot { job, point }), next: None });
            }
            Piece::Part { key, partition, bytes } => {
                if let Some(slot) = kept.get_mut(&key).and_then(|slots| slots.last.as_mut()) {
                    slot.point.parts.insert(partition, Arc::new(bytes));
                }
            }
        }
    }
    Ok(())
}

/// What this process has to send, given what all have.
fn outgoing(engine: &Engine, all: &[Vec<Listed>]) -> Result<Vec<(usize, Vec<u8>)>> {
    let topology = engine.topology();
    let mut outgoing: Vec<(usize, Vec<u8>)> = vec![];
    let mut send = |to: usize, piece: &Piece| {
        postcard::to_stdvec(piece).map(|bytes| outgoing.push((to, bytes))).map_err(cluster)
    };
    let newest: BTreeMap<u64, u64> = all.iter().flatten().fold(BTreeMap::new(), |mut newest, l| {
        let job = newest.entry(l.key).or_insert(l.job);
        *job = (*job).max(l.job);
        newest
    });
    for (key, job) in newest {
        let of = |process: usize| all[process].iter().find(|l| l.key == key && l.job == job);
        let has = |process: usize| of(process).is_some();
        let holders: Vec<usize> = (0..topology.processes).filter(|p| has(*p)).collect();
        let point = engine.kept.get(key);
        if holders.first() == Some(&topology.process)
            && let Some(point) = &point
        {
            let shared = match &point.shared {
                Shared::Live(_, write) => write(),
                Shared::Written(bytes) => bytes.to_vec(),
            };
            let whole = Piece::Whole { key, job, shared, common: point.common.clone() };
            (0..topology.processes).filter(|p| !has(*p)).try_for_each(|p| send(p, &whole))?;
        }
        let partitions: BTreeSet<usize> =
            holders.iter().filter_map(|p| of(*p)).flat_map(|l| l.parts.iter().copied()).collect();
        for partition in partitions {
            let holds = |p: usize| of(p).is_some_and(|l| l.parts.contains(&partition));
            let owner = topology.owner(partition);
            let places = [owner, (owner + 1) % topology.processes];
            let Some(from) = holders.iter().copied().find(|p| holds(*p)) else { continue };
            if from == topology.process
                && let Some(bytes) = point.as_ref().and_then(|p| p.parts.get(&partition))
            {
                for to in places.into_iter().filter(|p| !holds(*p)) {
                    send(to, &Piece::Part { key, partition, bytes: bytes.to_vec() })?;
                }
            }
        }
    }
    Ok(outgoing)
}

/// Completes a point that this process proposes: gathers what is common, and exchanges parts with the neighbours.
/// Collective.
pub(crate) fn complete(worker: &mut Worker, engine: &Engine, point: Option<Point>) -> Result<Option<Point>> {
    let topology = engine.topology();
    let (common, parts) = match &point {
        Some(p) => (p.common.first().cloned().unwrap_or_default(), p.parts.clone()),
        None => (vec![], BTreeMap::new()),
    };
    let common = all_gather(worker, engine, common)?;
    let next = (topology.process + 1) % topology.processes;
    let mut outgoing = vec![];
    if point.is_some() && next != topology.process {
        for (partition, bytes) in &parts {
            let piece = postcard::to_stdvec(&(*partition, &**bytes)).map_err(cluster)?;
            outgoing.push((next, piece));
        }
    }
    let arrived = scatter(worker, engine, outgoing)?;
    let Some(mut point) = point else { return Ok(None) };
    point.common = common;
    for bytes in arrived {
        let (partition, bytes): (usize, Vec<u8>) = postcard::from_bytes(&bytes).map_err(cluster)?;
        point.parts.insert(partition, Arc::new(bytes));
    }
    Ok(Some(point))
}
