//! Keeping partitions: `cache`, `persist`, `unpersist`.

use super::Dataset;
use super::lineage::{Chunk, Cursor, Lineage, Node, NodeId, NodeInfo, Record, Stop};
use super::node::{NewNode, narrow, no_inputs, one_to_one};
use super::source::SharedCursor;
use crate::context::Engine;
use crate::error::Error;
use crate::exec::codec::{Fingerprint, decode, encode, estimate_bytes, heap_bytes_mean};
use crate::exec::task::TaskContext;
use crate::safety;
use crate::store::spill::{Frame, SpillFile};
use crate::store::{DiskBlock, Stored, ToDisk};
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the partitions of a dataset are kept once they have been computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageLevel {
    /// As records in memory; what does not fit is computed again.
    MemoryOnly,
    /// As records in memory; what does not fit goes to disk.
    MemoryAndDisk,
    /// Encoded in memory: smaller, slower to read; what does not fit is computed again.
    MemoryOnlySerialized,
    /// Encoded in memory; what does not fit goes to disk.
    MemoryAndDiskSerialized,
    /// On disk.
    DiskOnly,
}

impl StorageLevel {
    fn uses_disk(self) -> bool {
        matches!(self, Self::MemoryAndDisk | Self::MemoryAndDiskSerialized | Self::DiskOnly)
    }
    fn is_serialized(self) -> bool {
        matches!(self, Self::MemoryOnlySerialized | Self::MemoryAndDiskSerialized | Self::DiskOnly)
    }
}

/// Records a frame of an encoded partition holds.
const FRAME_RECORDS: usize = 4096;

pub(crate) struct Persist<T: Record> {
    info: NodeInfo,
    up: Arc<dyn Lineage<T>>,
    level: StorageLevel,
    active: AtomicBool,
    engine: Arc<Engine>,
    /// Set when a local checkpoint has taken the blocks over.
    handed_over: AtomicBool,
}

impl<T: Record> Drop for Persist<T> {
    fn drop(&mut self) {
        if !self.handed_over.load(Ordering::Acquire) {
            self.engine.store.remove(self.info.id);
        }
    }
}

impl<T: Record> Node for Persist<T> {
    one_to_one!();
    fn release(&self) {
        self.active.store(false, Ordering::Release);
        self.engine.store.remove(self.info.id);
    }
    fn is_available(&self, partition: usize) -> bool {
        self.active.load(Ordering::Acquire) && self.engine.store.contains(self.info.id, partition)
    }
    fn storage(&self) -> Option<String> {
        let active = self.active.load(Ordering::Acquire);
        active
            .then(|| format!("{:?}: {}", self.level, kept(&self.engine, self.info.id, self.info.partitions)))
    }
}

/// For `explain`: how many partitions are kept, and how large they are.
fn kept(engine: &Engine, id: NodeId, partitions: usize) -> String {
    let blocks = engine.store.blocks(id);
    let (memory, disk) = blocks.iter().fold((0, 0), |(m, d), b| (m + b.1, d + b.2));
    format!("{} of {partitions} partitions, {memory} bytes in memory, {disk} on disk", blocks.len())
}

/// Reads a kept block.
fn open_stored<T: Record>(
    engine: &Arc<Engine>,
    id: NodeId,
    partition: usize,
    stored: Stored,
    task: &Rc<TaskContext>,
) -> Box<dyn Cursor<T>> {
    if let Stored::Memory(block) = stored {
        let data = block.downcast::<Vec<T>>().expect("a node's blocks have its type");
        let range = 0..data.len();
        return Box::new(SharedCursor::new(data, range, task));
    }
    let (engine, task) = (engine.clone(), task.clone());
    Box::new(FrameCursor { engine, id, partition, stored, at: 0, bytes: vec![], buffer: vec![], task })
}

impl<T: Record> Lineage<T> for Persist<T> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        if !self.active.load(Ordering::Acquire) {
            return self.up.clone().open(partition, task);
        }
        match self.engine.store.get(self.info.id, partition) {
            Some(stored) => Ok(open_stored(&self.engine, self.info.id, partition, stored, task)),
            None => {
                let up = self.up.clone().open(partition, task)?;
                Ok(Box::new(CachingCursor::new(self, partition, up, task)))
            }
        }
    }
}

/// Encodes records as frames.
pub(crate) fn frames<T: Record>(
    records: &[T],
    mut put: impl FnMut(&[u8], usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut bytes = vec![];
    for chunk in records.chunks(FRAME_RECORDS) {
        bytes.clear();
        frame(chunk, &mut bytes)?;
        put(&bytes, chunk.len())?;
    }
    Ok(())
}

/// Appends records, encoded. Their room is taken at once: a record may be as large as a partition, and memory is short when
/// it goes to disk.
fn frame<T: Record>(records: &[T], bytes: &mut Vec<u8>) -> Result<(), Error> {
    let expected = (heap_bytes_mean(records) * records.len() as f64) as usize;
    bytes.reserve_exact(expected.max(size_of_val(records)));
    encode(&records.to_vec(), bytes).map_err(Error::usage)
}

fn to_disk<T: Record>() -> ToDisk {
    Arc::new(|stored, dir| {
        let file = dir.create()?;
        let mut index = vec![];
        match stored {
            Stored::Memory(block) => {
                let data = block.downcast_ref::<Vec<T>>().expect("a node's blocks have its type");
                frames(data, |bytes, n| {
                    index.push((file.append(bytes)?, n));
                    Ok(())
                })?;
            }
            Stored::Encoded(frames) => {
                for (bytes, n) in frames.iter() {
                    index.push((file.append(bytes)?, *n));
                }
            }
            Stored::Disk(_) => {}
        }
        Ok(DiskBlock { file, frames: index })
    })
}

/// Reads a partition that is kept encoded.
struct FrameCursor<T: Record> {
    engine: Arc<Engine>,
    id: NodeId,
    partition: usize,
    stored: Stored,
    at: usize,
    bytes: Vec<u8>,
    buffer: Vec<T>,
    task: Rc<TaskContext>,
}

impl<T: Record> Cursor<T> for FrameCursor<T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.task.check()?;
        let read = match &self.stored {
            Stored::Encoded(frames) => match frames.get(self.at) {
                None => return Ok(None),
                Some((bytes, n)) => decode(&mut &bytes[..], *n),
            },
            Stored::Disk(block) => match block.frames.get(self.at) {
                None => return Ok(None),
                Some((frame, n)) => block
                    .file
                    .read(frame, &mut self.bytes)
                    .map_err(|e| e.to_string())
                    .and_then(|()| decode(&mut &self.bytes[..], *n)),
            },
            Stored::Memory(_) => unreachable!("records in memory are read by another cursor"),
        };
        self.at += 1;
        if let Stored::Disk(block) = &self.stored
            && self.at == block.frames.len()
        {
            // Not kept as long as the last records are.
            self.bytes = vec![];
        }
        match read {
            Ok(records) => {
                self.buffer = records;
                self.task.count_in(self.buffer.len());
                Ok(Some(Chunk::Owned(&mut self.buffer)))
            }
            Err(cause) => {
                // The next attempt finds no block and computes the partition again.
                self.engine.store.lose(self.id, self.partition, &cause);
                Err(Stop::Failed(Error::new(crate::ErrorKind::Lost(cause))))
            }
        }
    }
}

/// Where a partition that is being computed is collected.
enum Collect<T> {
    Records(Vec<T>),
    Encoded(Vec<(Vec<u8>, usize)>),
    Disk(SpillFile, Vec<(Frame, usize)>),
    /// There is no room: the partition passes through uncached.
    Nothing,
}

/// Computes a partition, passes it on, and keeps it when it is complete. A partition that is left half-way is not kept.
struct CachingCursor<T: Record> {
    node: Arc<Persist<T>>,
    partition: usize,
    up: Box<dyn Cursor<T>>,
    collect: Collect<T>,
    /// Taken from the memory budget so far.
    reserved: u64,
    /// The last chunk, when it is not lent from `collect`.
    last: Vec<T>,
    finished: bool,
    /// In a cluster.
    fingerprint: Option<Fingerprint>,
    task: Rc<TaskContext>,
}

impl<T: Record> Drop for CachingCursor<T> {
    fn drop(&mut self) {
        self.node.engine.memory.give_back(self.reserved);
    }
}

impl<T: Record> CachingCursor<T> {
    fn new(node: Arc<Persist<T>>, partition: usize, up: Box<dyn Cursor<T>>, task: &Rc<TaskContext>) -> Self {
        let collect = match node.level {
            StorageLevel::DiskOnly => match node.engine.store.dir.create() {
                Ok(file) => Collect::Disk(file, vec![]),
                Err(_) => Collect::Nothing,
            },
            level if level.is_serialized() => Collect::Encoded(vec![]),
            _ => Collect::Records(vec![]),
        };
        CachingCursor {
            up,
            collect,
            reserved: 0,
            last: vec![],
            finished: false,
            fingerprint: (node.engine.config.membership.is_some() && safety::CHECKSUMS.is_on())
                .then(Default::default),
            task: task.clone(),
            node,
            partition,
        }
    }
    fn reserve(&mut self, bytes: u64) -> bool {
        let ok = self.node.engine.store.make_room(self.node.info.id, bytes);
        if ok {
            self.reserved += bytes;
        }
        ok
    }
    /// Called when memory has run out: goes on on disk, or gives up keeping the partition.
    fn overflow(&mut self) -> Result<(), Error> {
        let collected = std::mem::replace(&mut self.collect, Collect::Nothing);
        if self.node.level.uses_disk() {
            let file = self.node.engine.store.dir.create()?;
            let mut index = vec![];
            match collected {
                Collect::Records(records) => frames(&records, |bytes, n| {
                    index.push((file.append(bytes)?, n));
                    Ok(())
                })?,
                Collect::Encoded(frames) => {
                    for (bytes, n) in frames {
                        index.push((file.append(&bytes)?, n));
                    }
                }
                _ => {}
            }
            self.collect = Collect::Disk(file, index);
        }
        self.node.engine.memory.give_back(self.reserved);
        self.reserved = 0;
        Ok(())
    }
    /// Adds a chunk that the cursor hands on by itself.
    fn add_encoded(&mut self, chunk: &[T]) -> Result<(), Error> {
        let mut bytes = vec![];
        frame(chunk, &mut bytes)?;
        if matches!(self.collect, Collect::Encoded(_)) && !self.reserve(bytes.len() as u64) {
            self.overflow()?;
        }
        match &mut self.collect {
            Collect::Encoded(frames) => frames.push((bytes, chunk.len())),
            Collect::Disk(file, index) => index.push((file.append(&bytes)?, chunk.len())),
            Collect::Records(_) | Collect::Nothing => {}
        }
        Ok(())
    }
    fn finish(&mut self) -> Result<(), Stop> {
        self.finished = true;
        if let Some(fingerprint) = self.fingerprint.take() {
            let (node, engine, checksum) = (self.node.info.id, &self.node.engine, fingerprint.finish());
            let of = self.node.up.info();
            engine.checksums.check(node, of, self.partition, checksum).map_err(Stop::Fatal)?;
            self.task.note_checksum(node, self.partition, checksum);
        }
        let stored = match std::mem::replace(&mut self.collect, Collect::Nothing) {
            Collect::Records(records) => Stored::Memory(Arc::new(records)),
            Collect::Encoded(frames) => Stored::Encoded(Arc::new(frames)),
            Collect::Disk(file, frames) => Stored::Disk(Arc::new(DiskBlock { file, frames })),
            Collect::Nothing => return Ok(()),
        };
        let bytes = std::mem::take(&mut self.reserved);
        self.node.engine.store.put(self.node.info.id, self.partition, stored, bytes);
        Ok(())
    }
}

impl<T: Record> Cursor<T> for CachingCursor<T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.last.clear();
        match self.up.next()? {
            None => {
                self.finish()?;
                return Ok(None);
            }
            Some(chunk) => chunk.append_to(&mut self.last),
        }
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.add(&self.last).map_err(|e| Stop::Fatal(Error::usage(e)))?;
        }
        if matches!(self.collect, Collect::Records(_)) {
            if self.reserve(estimate_bytes(&self.last)) {
                let Collect::Records(records) = &mut self.collect else { unreachable!("checked above") };
                let from = records.len();
                records.append(&mut self.last);
                return Ok(Some(Chunk::Shared(&records[from..])));
            }
            self.overflow()?;
        }
        if !matches!(self.collect, Collect::Nothing) {
            let chunk = std::mem::take(&mut self.last);
            self.add_encoded(&chunk)?;
            self.last = chunk;
        }
        Ok(Some(Chunk::Owned(&mut self.last)))
    }
}

impl<T: Record> Dataset<T> {
    /// Keeps the partitions in memory once they have been computed: [`StorageLevel::MemoryOnly`].
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let slow = cx.counter();
    /// let ds = cx.range(0..4, 2).map({ let slow = slow.clone(); move |x| { slow.add(1); x } }).cache();
    /// assert_eq!((ds.count()?, ds.count()?), (4, 4));
    /// assert_eq!(slow.value(), 4);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn cache(&self) -> Dataset<T> {
        self.persist_at(StorageLevel::MemoryOnly, Location::caller())
    }
    /// Keeps the partitions as `level` says once they have been computed. They are forgotten when the returned dataset
    /// and everything made from it are dropped, or by [`Dataset::unpersist`].
    #[track_caller]
    pub fn persist(&self, level: StorageLevel) -> Dataset<T> {
        self.persist_at(level, Location::caller())
    }
    fn persist_at(&self, level: StorageLevel, site: &'static Location<'static>) -> Dataset<T> {
        let node = self.persist_node(level, site, "persist");
        Dataset::from_node(self.context(), node)
    }
    fn persist_node(
        &self,
        level: StorageLevel,
        site: &'static Location<'static>,
        operation: &'static str,
    ) -> Arc<Persist<T>> {
        let engine = self.engine();
        let info = narrow::<()>(engine, operation, self.lineage().info(), site, true);
        engine.store.declare(info.id, level.uses_disk().then(to_disk::<T>));
        Arc::new(Persist {
            info,
            up: self.lineage().clone(),
            level,
            active: AtomicBool::new(true),
            engine: engine.clone(),
            handed_over: AtomicBool::new(false),
        })
    }
    /// Computes all partitions now, keeps them in memory and on disk, and forgets how they were made. For iterative
    /// programs whose lineage would grow without end. A block that is lost afterwards (with its process) is an error;
    /// see [`Dataset::checkpoint`] for one that survives.
    #[track_caller]
    pub fn local_checkpoint(&self) -> crate::Result<Dataset<T>> {
        let node = self.persist_node(StorageLevel::MemoryAndDisk, Location::caller(), "local_checkpoint");
        Dataset::from_node(self.context(), node.clone() as Arc<dyn Lineage<T>>).count()?;
        node.handed_over.store(true, Ordering::Release);
        let info = NewNode {
            partitioner: node.info.partitioner.clone(),
            ..NewNode::of("checkpointed", node.info.partitions, node.info.site)
        }
        .finish(self.engine());
        let cut =
            LocalCheckpoint { info, blocks: node.info.id, engine: self.engine().clone(), _p: PhantomData };
        Ok(Dataset::from_node(self.context(), Arc::new(cut)))
    }
    /// Forgets the kept partitions of a dataset that was made by [`Dataset::cache`] or [`Dataset::persist`], and keeps
    /// none from now on: they are computed when they are needed. Other datasets are left alone.
    pub fn unpersist(&self) {
        self.lineage().release();
    }
    /// How and where the partitions are kept, if they are.
    pub fn storage(&self) -> Option<String> {
        self.lineage().storage()
    }
}

/// What is left of a dataset after `local_checkpoint`: its blocks, without a parent.
struct LocalCheckpoint<T> {
    info: NodeInfo,
    /// The node that the blocks are kept under.
    blocks: NodeId,
    engine: Arc<Engine>,
    _p: PhantomData<fn() -> T>,
}

impl<T> Drop for LocalCheckpoint<T> {
    fn drop(&mut self) {
        self.engine.store.remove(self.blocks);
    }
}

impl<T: Record> Node for LocalCheckpoint<T> {
    no_inputs!();
    fn is_available(&self, partition: usize) -> bool {
        self.engine.store.contains(self.blocks, partition)
    }
    fn storage(&self) -> Option<String> {
        Some(format!("local checkpoint: {}", kept(&self.engine, self.blocks, self.info.partitions)))
    }
}

impl<T: Record> Lineage<T> for LocalCheckpoint<T> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        match self.engine.store.get(self.blocks, partition) {
            Some(stored) => Ok(open_stored(&self.engine, self.blocks, partition, stored, task)),
            None => Err(Stop::Fatal(Error::new(crate::ErrorKind::Lost(format!(
                "checkpoint block {partition} of dataset {} not found: local_checkpoint() cut its lineage\n  \
                 hint: use checkpoint(dir) for blocks that must survive",
                self.info.id
            ))))),
        }
    }
}
