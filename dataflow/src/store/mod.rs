//! The block store of a process: cached partitions and retained shuffle blocks, outside timely.
//!
//! It outlives every dataflow. Blocks are found by (node, partition); what does not fit the [`memory::Memory`] budget
//! is pushed out, a whole dataset at a time in the order of last use, and never blocks of the dataset that is being
//! stored: that would only evict what the same pass is about to need. A block is dropped (and recomputed from lineage
//! when it is needed) or moved to disk, as its dataset's storage level says.

pub(crate) mod memory;
pub(crate) mod spare;
pub(crate) mod spill;

use crate::dataset::lineage::NodeId;
use crate::error::Result;
use crate::event::{Event, EventBus};
use memory::Memory;
use spill::{Frame, SpillDir, SpillFile};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// A partition on disk: frames of records.
#[derive(Debug)]
pub(crate) struct DiskBlock {
    pub file: SpillFile,
    /// Frames and the records in each.
    pub frames: Vec<(Frame, usize)>,
}

/// A kept partition.
#[derive(Clone)]
pub(crate) enum Stored {
    /// An `Arc<Vec<T>>` behind `Any`.
    Memory(Arc<dyn Any + Send + Sync>),
    /// Encoded records in memory: (bytes, records) a frame.
    Encoded(Arc<Vec<(Vec<u8>, usize)>>),
    Disk(Arc<DiskBlock>),
}

struct Entry {
    stored: Stored,
    /// Bytes of the memory budget that it holds; 0 on disk.
    bytes: u64,
}

/// Moves a block to disk; knows its type.
pub(crate) type ToDisk = Arc<dyn Fn(&Stored, &SpillDir) -> Result<DiskBlock> + Send + Sync>;

#[derive(Default)]
struct Shelf {
    blocks: HashMap<usize, Entry>,
    used_at: u64,
    to_disk: Option<ToDisk>,
}

/// Retained output of a shuffle.
pub(crate) trait Retained: Send + Sync {
    /// Moves blocks from memory to disk; returns the bytes freed.
    fn spill(&self) -> u64;
}

#[derive(Default)]
struct Inner {
    shelves: HashMap<NodeId, Shelf>,
    shuffles: Vec<(NodeId, Weak<dyn Retained>)>,
    clock: u64,
}

/// The block store; see the module.
pub(crate) struct BlockStore {
    inner: Mutex<Inner>,
    memory: Arc<Memory>,
    pub dir: SpillDir,
    events: Arc<EventBus>,
}

impl BlockStore {
    pub fn new(memory: &Arc<Memory>, dir: SpillDir, events: &Arc<EventBus>) -> Arc<Self> {
        let store = Arc::new(BlockStore {
            inner: Mutex::default(),
            memory: memory.clone(),
            dir,
            events: events.clone(),
        });
        let weak = Arc::downgrade(&store);
        memory.set_reclaim(Box::new(move |bytes| weak.upgrade().map_or(0, |s| s.reclaim(bytes))));
        store
    }
    /// Where it tells what it does.
    pub fn events(&self) -> &EventBus {
        &self.events
    }
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Declares how blocks of `node` move to disk; without it they are dropped instead.
    pub fn declare(&self, node: NodeId, to_disk: Option<ToDisk>) {
        self.lock().shelves.entry(node).or_default().to_disk = to_disk;
    }
    pub fn contains(&self, node: NodeId, partition: usize) -> bool {
        self.lock().shelves.get(&node).is_some_and(|s| s.blocks.contains_key(&partition))
    }
    pub fn get(&self, node: NodeId, partition: usize) -> Option<Stored> {
        let mut inner = self.lock();
        inner.clock += 1;
        let clock = inner.clock;
        let shelf = inner.shelves.get_mut(&node)?;
        shelf.used_at = clock;
        shelf.blocks.get(&partition).map(|e| e.stored.clone())
    }
    /// Keeps a block whose `bytes` have been taken from the budget by [`BlockStore::make_room`] (0 on disk).
    pub fn put(&self, node: NodeId, partition: usize, stored: Stored, bytes: u64) {
        let disk = matches!(stored, Stored::Disk(_));
        let size = match &stored {
            Stored::Disk(d) => d.file.length(),
            _ => bytes,
        };
        self.events.emit(|| Event::BlockStored { node, partition, bytes: size, disk });
        let old = {
            let mut inner = self.lock();
            inner.clock += 1;
            let clock = inner.clock;
            let shelf = inner.shelves.entry(node).or_default();
            shelf.used_at = clock;
            shelf.blocks.insert(partition, Entry { stored, bytes })
        };
        if let Some(old) = old {
            self.memory.give_back(old.bytes);
        }
    }
    /// Takes `bytes` from the budget for a block of `node`, evicting other datasets if need be.
    pub fn make_room(&self, node: NodeId, bytes: u64) -> bool {
        if self.memory.try_take(bytes) {
            return true;
        }
        if bytes > self.memory.budget() {
            return false;
        }
        self.evict(bytes, Some(node));
        self.memory.try_take(bytes)
    }
    /// Frees memory for running tasks: cached datasets first, then retained shuffle blocks.
    fn reclaim(&self, bytes: u64) -> u64 {
        let mut freed = self.evict(bytes, None);
        let shuffles: Vec<Arc<dyn Retained>> = {
            let mut inner = self.lock();
            inner.shuffles.retain(|(_, s)| s.strong_count() > 0);
            inner.shuffles.iter().filter_map(|(_, s)| s.upgrade()).collect()
        };
        for shuffle in shuffles {
            if freed >= bytes {
                break;
            }
            freed += shuffle.spill();
        }
        freed
    }
    /// Pushes blocks out until `bytes` are free, least recently used dataset first, but none of `keep`.
    fn evict(&self, bytes: u64, keep: Option<NodeId>) -> u64 {
        let mut freed = 0;
        while freed < bytes {
            let victim = {
                let mut inner = self.lock();
                let in_memory = |s: &Shelf| s.blocks.values().any(|e| e.bytes > 0);
                let oldest = inner
                    .shelves
                    .iter()
                    .filter(|(id, shelf)| Some(**id) != keep && in_memory(shelf))
                    .min_by_key(|(id, shelf)| (shelf.used_at, **id))
                    .map(|(id, _)| *id);
                let Some(node) = oldest else { break };
                let shelf = inner.shelves.get_mut(&node).expect("just found");
                // The highest partition first: passes go upwards, so it is the one needed last.
                let partition = *shelf
                    .blocks
                    .iter()
                    .filter(|(_, e)| e.bytes > 0)
                    .map(|(p, _)| p)
                    .max()
                    .expect("just seen");
                let entry = shelf.blocks.remove(&partition).expect("just found");
                (node, partition, entry, shelf.to_disk.clone())
            };
            let (node, partition, entry, to_disk) = victim;
            // Outside the lock: writing takes its time, and readers that come meanwhile recompute.
            let moved = to_disk.and_then(|f| f(&entry.stored, &self.dir).ok());
            let disk = moved.is_some();
            if let Some(block) = moved {
                let mut inner = self.lock();
                let shelf = inner.shelves.entry(node).or_default();
                shelf
                    .blocks
                    .entry(partition)
                    .or_insert(Entry { stored: Stored::Disk(Arc::new(block)), bytes: 0 });
            }
            self.events.emit(|| Event::BlockEvicted { node, partition, bytes: entry.bytes, disk });
            self.memory.give_back(entry.bytes);
            freed += entry.bytes;
        }
        freed
    }
    /// Forgets one block, because it could not be read.
    pub fn lose(&self, node: NodeId, partition: usize, cause: &str) {
        self.events.emit(|| Event::BlockLost { node, partition, cause: cause.to_string() });
        let entry = self.lock().shelves.get_mut(&node).and_then(|s| s.blocks.remove(&partition));
        if let Some(entry) = entry {
            self.memory.give_back(entry.bytes);
        }
    }
    /// Forgets all blocks of a dataset.
    pub fn remove(&self, node: NodeId) {
        let shelf = self.lock().shelves.remove(&node);
        if let Some(shelf) = shelf {
            self.memory.give_back(shelf.blocks.values().map(|e| e.bytes).sum());
        }
    }
    /// Partitions of `node` that are kept: (partition, bytes in memory, bytes on disk).
    pub fn blocks(&self, node: NodeId) -> Vec<(usize, u64, u64)> {
        let inner = self.lock();
        let Some(shelf) = inner.shelves.get(&node) else { return vec![] };
        let mut all: Vec<_> = shelf
            .blocks
            .iter()
            .map(|(p, e)| match &e.stored {
                Stored::Disk(d) => (*p, 0, d.file.length()),
                _ => (*p, e.bytes, 0),
            })
            .collect();
        all.sort_unstable();
        all
    }
    pub fn retain_shuffle(&self, id: NodeId, shuffle: Weak<dyn Retained>) {
        self.lock().shuffles.push((id, shuffle));
    }
}

/// Memory of one block, given back when the block is dropped.
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Held {
    /// Takes bytes for a block that arrives from a running stage.
    pub fn take(memory: &Arc<Memory>, bytes: u64) -> Option<Held> {
        memory.take(bytes).then(|| Held { memory: memory.clone(), bytes })
    }
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Gives the bytes back, but keeps the emptied block, which has room for `room` records, as a spare one.
    pub fn keep_spare<P: Send + 'static>(self, room: usize, block: P) {
        let (memory, bytes) = (self.memory.clone(), self.bytes);
        drop(self);
        memory.spare.give(room, block, bytes, memory.spare_limit());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}
