//! Reduce side: blocks that arrive are kept in memory or spilled, and read back in the order of their map tasks.

use crate::context::Engine;
use crate::dataset::lineage::{NodeId, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::exec::parcel::{Head, Parcel, Payload};
use crate::exec::stage::StageState;
use crate::exec::task::TaskContext;
use crate::fault;
use crate::store::spill::{Frame, SpillFile};
use crate::store::{Held, Retained};
use std::collections::{HashSet, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

/// A block in memory; its bytes are given back to the budget when the last reader drops it, and its room goes to the
/// next shuffle.
pub(crate) struct Block<P: Payload> {
    pub payload: P,
    held: Option<Held>,
}

impl<P: Payload> Drop for Block<P> {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        if let Some((room, block)) = self.payload.take_emptied() {
            held.keep_spare(room, block);
        }
    }
}

enum Place<P: Payload> {
    Memory(Arc<Block<P>>),
    Disk(Arc<SpillFile>, Frame),
}

impl<P: Payload> Clone for Place<P> {
    fn clone(&self) -> Self {
        match self {
            Place::Memory(b) => Place::Memory(b.clone()),
            Place::Disk(f, frame) => Place::Disk(f.clone(), *frame),
        }
    }
}

struct Slot<P: Payload> {
    head: Head,
    place: Place<P>,
}

/// One reduce partition.
struct Part<P: Payload> {
    ready: bool,
    slots: Vec<Slot<P>>,
}

/// Which run of the map side is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    number: u64,
    job: u64,
}

#[derive(Default)]
struct Rounds {
    current: u64,
    /// (job, stage) that the current round belongs to: all workers of a process begin the same one.
    owner: Option<usize>,
    finished: bool,
    commits: HashSet<(u32, u32)>,
    /// Why blocks could not be kept here.
    failed: Option<ErrorKind>,
}

/// The output of one shuffle in one process.
pub(crate) struct ShuffleOutput<P: Payload> {
    engine: Arc<Engine>,
    node: NodeId,
    parts: Vec<Mutex<Part<P>>>,
    rounds: Mutex<Rounds>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl<P: Payload> ShuffleOutput<P> {
    pub fn new(engine: &Arc<Engine>, node: NodeId, partitions: usize) -> Arc<Self> {
        let parts = (0..partitions).map(|_| Mutex::new(Part { ready: false, slots: vec![] })).collect();
        let output =
            Arc::new(ShuffleOutput { engine: engine.clone(), node, parts, rounds: Mutex::default() });
        let weak: std::sync::Weak<dyn Retained> = Arc::downgrade(&output) as _;
        engine.store.retain_shuffle(node, weak);
        output
    }
    pub fn is_ready(&self, reduce: usize) -> bool {
        lock(&self.parts[reduce]).ready
    }
    /// Begins a round for the stage; the first worker of the process clears what an earlier round left.
    pub fn begin(&self, state: &Arc<StageState>, missing: &[bool]) -> Round {
        let owner = Arc::as_ptr(state) as usize;
        let mut rounds = lock(&self.rounds);
        if rounds.owner != Some(owner) {
            *rounds = Rounds { current: rounds.current + 1, owner: Some(owner), ..Rounds::default() };
            for (part, _) in self.parts.iter().zip(missing).filter(|(_, m)| **m) {
                *lock(part) = Part { ready: false, slots: vec![] };
            }
        }
        Round { number: rounds.current, job: state.job.number }
    }
    pub fn sink(self: &Arc<Self>, round: Round) -> Sink<P> {
        Sink { output: self.clone(), job: round.job, mine: HashSet::new(), overflow: None }
    }
    /// Ends a round, when every parcel has arrived: keeps the blocks of committed attempts, in order. Any worker may
    /// come first; the others find it done.
    pub fn finish(&self, round: Round, ok: bool, missing: &[bool]) {
        let mut rounds = lock(&self.rounds);
        if rounds.current != round.number || rounds.finished {
            return;
        }
        rounds.finished = true;
        let ok = ok && rounds.failed.is_none();
        for (r, part) in self.parts.iter().enumerate().filter(|(r, _)| missing[*r]) {
            let mut part = lock(part);
            if ok && self.engine.topology().owns(r) {
                part.slots.retain(|s| rounds.commits.contains(&(s.head.map, s.head.attempt)));
                part.slots.sort_by_key(|s| (s.head.map, s.head.seq));
                part.ready = true;
            } else {
                part.slots.clear();
            }
        }
    }
    pub fn read(self: &Arc<Self>, reduce: usize, task: &Rc<TaskContext>) -> Result<ShuffleReader<P>, Stop> {
        let part = lock(&self.parts[reduce]);
        if !part.ready {
            // Whoever ends a round takes the locks the other way round.
            drop(part);
            // The tasks that would have read it tell all processes why; that they were not kept only this one knows.
            if let Some(kind) = lock(&self.rounds).failed.clone() {
                return Err(Stop::Fatal(Error::new(kind)));
            }
            return Err(Stop::Missing(format!("shuffle {} has lost partition {reduce}", self.node)));
        }
        let blocks = part.slots.iter().map(|s| (s.head, s.place.clone())).collect();
        Ok(ShuffleReader {
            output: self.clone(),
            reduce,
            blocks,
            task: task.clone(),
            bytes: vec![],
            _p: PhantomData,
        })
    }
    /// Forgets a partition with a damaged block, and all others with blocks in the same file: what has damaged one
    /// has probably damaged them, and finding out one by one would take as many rounds.
    fn lose(&self, reduce: usize, damaged: &Arc<SpillFile>, cause: &str) {
        for (r, part) in self.parts.iter().enumerate() {
            let mut part = lock(part);
            let in_file = |s: &Slot<P>| matches!(&s.place, Place::Disk(f, _) if Arc::ptr_eq(f, damaged));
            if r == reduce || part.slots.iter().any(in_file) {
                part.ready = false;
                part.slots.clear();
            }
        }
        let (node, cause) = (self.node, cause.to_string());
        self.engine.events.emit(|| Event::BlockLost { node, partition: reduce, cause });
    }
    /// Writes the blocks of one partition that are in memory to `file`; returns the bytes freed.
    fn spill_part(&self, part: &Part<P>, moved: &mut Vec<(usize, Frame)>, into: &SpillFile) -> Result<u64> {
        let (mut freed, mut bytes) = (0, vec![]);
        for (i, slot) in part.slots.iter().enumerate() {
            let Place::Memory(block) = &slot.place else { continue };
            bytes.clear();
            block.payload.encode(&mut bytes).map_err(Error::usage)?;
            moved.push((i, into.append(&bytes)?));
            freed += block.held.as_ref().map_or(0, |h| h.bytes());
        }
        Ok(freed)
    }
    fn spill_parts(&self, which: impl Iterator<Item = usize>) -> Result<u64> {
        let file = self.engine.store.dir.create()?;
        let mut guards = vec![];
        let mut freed = 0;
        for r in which {
            let part = lock(&self.parts[r]);
            let mut moved = vec![];
            freed += self.spill_part(&part, &mut moved, &file)?;
            if !moved.is_empty() {
                guards.push((part, moved));
            }
        }
        let file = Arc::new(file);
        for (mut part, moved) in guards {
            for (i, frame) in moved {
                part.slots[i].place = Place::Disk(file.clone(), frame);
            }
        }
        if let Some(task) = crate::exec::task::current() {
            task.metrics.borrow_mut().bytes_spilled += file.length();
        }
        self.engine.count_spilled(file.length());
        Ok(freed)
    }
}

impl<P: Payload> Retained for ShuffleOutput<P> {
    fn spill(&self) -> u64 {
        // Only finished rounds: the sinks of a running one spill for themselves.
        let Ok(rounds) = self.rounds.try_lock() else { return 0 };
        if !rounds.finished {
            return 0;
        }
        self.spill_parts(0..self.parts.len()).unwrap_or(0)
    }
}

/// Takes the parcels that arrive at one worker.
pub(crate) struct Sink<P: Payload> {
    output: Arc<ShuffleOutput<P>>,
    job: u64,
    /// Partitions that this worker has received blocks for.
    mine: HashSet<usize>,
    /// Where blocks go for which there is no memory at all.
    overflow: Option<Arc<SpillFile>>,
}

impl<P: Payload> Sink<P> {
    /// Blocks could not be kept.
    pub fn fail(&mut self, error: &Error) {
        lock(&self.output.rounds).failed.get_or_insert(error.kind().clone());
    }
    pub fn commit(&mut self, head: Head) {
        lock(&self.output.rounds).commits.insert((head.map, head.attempt));
    }
    pub fn push(&mut self, parcel: Parcel<P>) -> Result<()> {
        fault::reach("mid-sink", self.job);
        let head = parcel.head;
        let payload = parcel.open().map_err(Error::usage)?;
        let (bytes, memory) = (payload.bytes(), &self.output.engine.memory);
        let mut held = Held::take(memory, bytes);
        if held.is_none() {
            self.output.spill_parts(self.mine.iter().copied())?;
            held = Held::take(memory, bytes);
        }
        let place = match held {
            Some(held) => Place::Memory(Arc::new(Block { payload, held: Some(held) })),
            None => {
                // Others hold the memory: straight to disk.
                let file = match &self.overflow {
                    Some(file) => file.clone(),
                    None => self.overflow.insert(Arc::new(self.output.engine.store.dir.create()?)).clone(),
                };
                let mut encoded = vec![];
                payload.encode(&mut encoded).map_err(Error::usage)?;
                let frame = file.append(&encoded)?;
                self.output.engine.count_spilled(encoded.len() as u64);
                Place::Disk(file, frame)
            }
        };
        self.mine.insert(head.part as usize);
        lock(&self.output.parts[head.part as usize]).slots.push(Slot { head, place });
        Ok(())
    }
}

/// A block that a reader hands out.
pub(crate) enum BlockRef<P: Payload> {
    Shared(Arc<Block<P>>),
    Owned(P),
}

impl<P: Payload> BlockRef<P> {
    pub fn get(&self) -> &P {
        match self {
            BlockRef::Shared(b) => &b.payload,
            BlockRef::Owned(p) => p,
        }
    }
}

/// Reads the blocks of one reduce partition in order.
pub(crate) struct ShuffleReader<P: Payload> {
    output: Arc<ShuffleOutput<P>>,
    reduce: usize,
    blocks: VecDeque<(Head, Place<P>)>,
    task: Rc<TaskContext>,
    bytes: Vec<u8>,
    _p: PhantomData<P>,
}

impl<P: Payload> ShuffleReader<P> {
    /// Records in all blocks that are left.
    pub fn records(&self) -> usize {
        self.blocks.iter().map(|(h, _)| h.records as usize).sum()
    }
    /// The next block. A damaged one makes the partition lost, so that the job recomputes it.
    pub fn next(&mut self) -> Result<Option<BlockRef<P>>, Stop> {
        self.task.check()?;
        let Some((head, place)) = self.blocks.pop_front() else { return Ok(None) };
        self.task.count_in(head.records as usize);
        let (file, frame) = match place {
            Place::Memory(block) => return Ok(Some(BlockRef::Shared(block))),
            Place::Disk(file, frame) => (file, frame),
        };
        let read = file
            .read(&frame, &mut self.bytes)
            .map_err(|e| e.to_string())
            .and_then(|()| P::decode(&mut &self.bytes[..], head.records as usize));
        match read {
            Ok(payload) => Ok(Some(BlockRef::Owned(payload))),
            Err(cause) => {
                self.output.lose(self.reduce, &file, &cause);
                Err(Stop::Missing(cause))
            }
        }
    }
}
