//! `reduce_by_borrowed_key`: combining by text keys without an allocation a record.

use super::exchange::{Site, reading_info, reads_shuffle};
use super::partitioner::{HashPartitioner, Partitioner};
use crate::dataset::Dataset;
use crate::dataset::lineage::{
    AnyPartitioner, Chunk, Cursor, Data, Dependency, Input, Lineage, Node, NodeInfo, Record, Stop,
};
use crate::dataset::node::NewNode;
use crate::exec::codec;
use crate::exec::parcel::{Head, Parcel, Payload};
use crate::exec::shuffle::{MapTarget, MapTask, Shuffle, ShuffleStage};
use crate::exec::task::TaskContext;
use crate::hash::{hash_of, partition_of};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Texts in one arena with end offsets, and a value each: three allocations a block, however many texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextPairs<V> {
    ends: Vec<u32>,
    arena: Vec<u8>,
    values: Vec<V>,
}

impl<V> TextPairs<V> {
    fn text(&self, i: usize) -> &str {
        let from = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        // Checked where blocks come from outside (`decode`); made of `str`s otherwise.
        std::str::from_utf8(&self.arena[from..self.ends[i] as usize]).expect("made of texts")
    }
}

impl<V: Record> Payload for TextPairs<V> {
    fn records(&self) -> usize {
        self.ends.len()
    }
    fn bytes(&self) -> u64 {
        let heap = codec::heap_bytes_mean(&self.values) * self.values.len() as f64;
        (4 * self.ends.capacity() + self.arena.capacity() + size_of::<V>() * self.values.capacity()) as u64
            + heap as u64
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        codec::encode(&self.ends, out)?;
        out.extend_from_slice(&self.arena);
        codec::encode(&self.values, out)
    }
    fn decode(bytes: &mut &[u8], records: usize) -> Result<Self, String> {
        let ends: Vec<u32> = codec::decode(bytes, records)?;
        let length = ends.last().map_or(0, |e| *e as usize);
        let (arena, rest) =
            bytes.split_at_checked(length).ok_or("a frame is shorter than its header says")?;
        *bytes = rest;
        let mut from = 0;
        for end in &ends {
            let text = arena.get(from as usize..*end as usize).ok_or("a frame is damaged: ends descend")?;
            std::str::from_utf8(text).map_err(|e| e.to_string())?;
            from = *end;
        }
        Ok(TextPairs { arena: arena.to_vec(), values: codec::decode(bytes, records)?, ends })
    }
}

struct TextEntry<V> {
    hash: u64,
    from: u32,
    length: u32,
    value: V,
}

/// A table of texts in an arena. The hash is kept, so growing and choosing a partition never touch the text again.
pub struct TextTable<V> {
    index: HashTable<u32>,
    entries: Vec<TextEntry<V>>,
    arena: Vec<u8>,
}

impl<V> Default for TextTable<V> {
    fn default() -> Self {
        TextTable { index: HashTable::new(), entries: vec![], arena: vec![] }
    }
}

impl<V> TextTable<V> {
    #[inline]
    fn add(&mut self, key: &str, value: V, merge: impl FnOnce(&mut V, V)) {
        let (entries, arena, bytes) = (&mut self.entries, &mut self.arena, key.as_bytes());
        let hash = hash_of(key);
        let same = |i: &u32| {
            let e = &entries[*i as usize];
            e.hash == hash && arena[e.from as usize..][..e.length as usize] == *bytes
        };
        match self.index.entry(hash, same, |i| entries[*i as usize].hash) {
            Entry::Occupied(slot) => merge(&mut entries[*slot.get() as usize].value, value),
            Entry::Vacant(slot) => {
                slot.insert(entries.len() as u32);
                entries.push(TextEntry { hash, from: arena.len() as u32, length: bytes.len() as u32, value });
                arena.extend_from_slice(bytes);
            }
        }
    }
    fn text(&self, e: &TextEntry<V>) -> &[u8] {
        &self.arena[e.from as usize..][..e.length as usize]
    }
}

/// Where a closure of `reduce_by_borrowed_key` hands its pairs.
pub struct Emit<'a, V, G> {
    table: &'a mut TextTable<V>,
    merge: &'a G,
}

impl<V, G: Fn(&mut V, V)> Emit<'_, V, G> {
    /// Combines `value` into the value of `key`. The key is copied only when it is new.
    #[inline]
    pub fn emit(&mut self, key: &str, value: V) {
        self.table.add(key, value, self.merge)
    }
}

/// Texts that the table of a map task holds at most before it is emptied, in bytes.
const ARENA_MAX: usize = 256 << 20;

struct TextMap<T, V, F, G> {
    up: Box<dyn Cursor<T>>,
    functions: Arc<(F, G)>,
    table: TextTable<V>,
    missing: Arc<Vec<bool>>,
    head: Head,
    capacity: usize,
    task: Rc<TaskContext>,
}

impl<T, V: Record, F, G> TextMap<T, V, F, G> {
    fn empty(&mut self, out: &mut Vec<Parcel<TextPairs<V>>>) {
        let parts = self.missing.len();
        let mut open: Vec<TextPairs<V>> =
            (0..parts).map(|_| TextPairs { ends: vec![], arena: vec![], values: vec![] }).collect();
        let TextTable { entries, arena, .. } = std::mem::take(&mut self.table);
        let mut metrics = self.task.metrics.borrow_mut();
        let mut ship = |part: usize, block: TextPairs<V>, head: &mut Head| {
            metrics.records_out += block.ends.len() as u64;
            metrics.bytes_out += block.bytes();
            out.push(Parcel::data(Head { part: part as u32, ..*head }, block));
            head.seq += 1;
        };
        for e in entries {
            let part = partition_of(e.hash, parts);
            if !self.missing[part] {
                continue;
            }
            let block = &mut open[part];
            block.arena.extend_from_slice(&arena[e.from as usize..][..e.length as usize]);
            block.ends.push(block.arena.len() as u32);
            block.values.push(e.value);
            if block.ends.len() == self.capacity {
                let full =
                    std::mem::replace(block, TextPairs { ends: vec![], arena: vec![], values: vec![] });
                ship(part, full, &mut self.head);
            }
        }
        for (part, block) in open.into_iter().enumerate().filter(|(_, b)| !b.ends.is_empty()) {
            ship(part, block, &mut self.head);
        }
    }
}

impl<T, V, F, G> MapTask<TextPairs<V>> for TextMap<T, V, F, G>
where
    T: Data,
    V: Record,
    F: Fn(&T, &mut Emit<'_, V, G>) + Send + Sync + 'static,
    G: Fn(&mut V, V) + Send + Sync + 'static,
{
    fn step(&mut self, out: &mut Vec<Parcel<TextPairs<V>>>) -> Result<bool, Stop> {
        let Some(chunk) = self.up.next()? else {
            self.empty(out);
            return Ok(true);
        };
        let (emit, merge) = &*self.functions;
        let mut into = Emit { table: &mut self.table, merge };
        chunk.as_slice().iter().for_each(|record| emit(record, &mut into));
        if self.table.arena.len() > ARENA_MAX {
            self.empty(out);
        }
        Ok(false)
    }
}

struct TextNode<V: Record, G> {
    info: NodeInfo,
    shuffle: Arc<Shuffle<TextPairs<V>>>,
    merge: Arc<G>,
}

impl<V: Record, G: Send + Sync + 'static> Node for TextNode<V, G> {
    reads_shuffle!();
}

impl<V: Record, G> Lineage<(String, V)> for TextNode<V, G>
where
    G: Fn(&mut V, V) + Send + Sync + 'static,
{
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(String, V)>>, Stop> {
        let mut reader = self.shuffle.read(partition, task)?;
        task.enter(self.info.id);
        let mut table = TextTable::default();
        while let Some(block) = reader.next()? {
            let block = block.get();
            for (i, value) in block.values.iter().enumerate() {
                table.add(block.text(i), value.clone(), &*self.merge);
            }
        }
        Ok(Box::new(TextCursor { table, at: 0, buffer: vec![], task: task.clone() }))
    }
}

struct TextCursor<V> {
    table: TextTable<V>,
    at: usize,
    buffer: Vec<(String, V)>,
    task: Rc<TaskContext>,
}

impl<V: Record> Cursor<(String, V)> for TextCursor<V> {
    fn next(&mut self) -> Result<Option<Chunk<'_, (String, V)>>, Stop> {
        self.task.check()?;
        let table = &self.table;
        let to = table.entries.len().min(self.at + TaskContext::chunk_records::<(String, V)>());
        self.buffer.clear();
        self.buffer.extend(table.entries[self.at..to].iter().map(|e| {
            let text = String::from_utf8(table.text(e).to_vec()).expect("made of texts");
            (text, e.value.clone())
        }));
        self.at = to;
        Ok((!self.buffer.is_empty()).then_some(Chunk::Owned(&mut self.buffer)))
    }
}

impl<T: Data> Dataset<T> {
    /// Combines values by text keys that `emit` lends: the fastest way to count words. A key is copied once a map task,
    /// not once a record. All keys of a map task, and of a reduce partition, must fit in memory.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(2)?;
    /// let lines = cx.parallelize(["to be or".to_string(), "not to be".to_string()], 2);
    /// let counts = lines.reduce_by_borrowed_key(
    ///     4,
    ///     |line, out| line.split(' ').for_each(|word| out.emit(word, 1u64)),
    ///     |a, b| *a += b,
    /// );
    /// assert_eq!(counts.collect_as_map()?["to"], 2);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_by_borrowed_key<V, F, G>(
        &self,
        partitions: usize,
        emit: F,
        merge: G,
    ) -> Dataset<(String, V)>
    where
        V: Record,
        F: Fn(&T, &mut Emit<'_, V, G>) + Send + Sync + 'static,
        G: Fn(&mut V, V) + Send + Sync + Clone + 'static,
    {
        let partitions = partitions.max(1);
        let closure = std::any::type_name::<(F, G)>();
        let site = Site { operation: "reduce_by_borrowed_key", location: Location::caller(), closure };
        let engine = self.engine();
        let own = NewNode {
            closure,
            parents: &[self.lineage().info().digest],
            ..NewNode::of(site.operation, partitions, site.location)
        };
        let (from, functions) = (self.lineage().clone(), Arc::new((emit, merge.clone())));
        let start = move |map: usize, task: &Rc<TaskContext>, target: MapTarget| {
            let up = from.clone().open(map, task)?;
            Ok(Box::new(TextMap {
                up,
                functions: functions.clone(),
                table: TextTable::default(),
                capacity: (target.block_bytes as usize / (size_of::<V>() + 12)).max(16),
                missing: target.missing,
                head: Head { map: target.map as u32, attempt: target.attempt, ..Head::default() },
                task: task.clone(),
            }) as Box<dyn MapTask<_>>)
        };
        let shuffle = Shuffle::new(own.finish(engine), self.lineage().clone(), engine, Box::new(start));
        // `str` and `String` hash alike, so the result is partitioned as any dataset hashed by text.
        let partitioner: Arc<dyn Partitioner<String>> = Arc::new(HashPartitioner::new(partitions));
        let info = reading_info(engine, site, shuffle.info(), Some(AnyPartitioner::new(partitioner)));
        Dataset::from_node(self.context(), Arc::new(TextNode { info, shuffle, merge: Arc::new(merge) }))
    }
}
