//! Hash tables that keep their entries in the order in which keys are first seen: the order of the output is that of
//! the input, not that of a hash function.

use crate::hash::hash_of;
use hashbrown::HashTable;
use std::hash::Hash;

/// Entries lie densely in a `Vec`, the table holds `u32` indices: five bytes a slot to probe, growing moves indices
/// only, and the result needs no copy. Fewer than 2^32 keys.
pub(crate) struct Table<K, C> {
    index: HashTable<u32>,
    entries: Vec<(K, C)>,
}

/// Records that are looked up together. A look-up is two or three loads that depend on one another and miss the cache in
/// a large table; step by step over a batch, the loads of different records overlap. Both figures of a batch stay in
/// the first-level cache.
const BATCH: usize = 32;

/// Keys from which batches pay.
const BATCH_KEYS_MIN: usize = 4096;

/// Where the records of a batch belong.
struct Batch {
    hashes: [u64; BATCH],
    /// The entry of the key; `usize::MAX` where it must be looked for again, or is new.
    at: [usize; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Batch { hashes: [0; BATCH], at: [usize::MAX; BATCH] }
    }
}

impl<K, C> Default for Table<K, C> {
    fn default() -> Self {
        Table { index: HashTable::new(), entries: Vec::new() }
    }
}

impl<K: Hash + Eq, C> Table<K, C> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn entries(&self) -> &[(K, C)] {
        &self.entries
    }
    /// Place of the entry of a key, if there is one. A plain look-up: making room for an entry that most records do not
    /// need (as `HashTable::entry` does) costs a third of the time where keys are few.
    #[inline(always)]
    fn find(&self, hash: u64, key: &K) -> Option<usize> {
        self.index.find(hash, |i| self.entries[*i as usize].0 == *key).map(|i| *i as usize)
    }
    #[inline]
    fn insert(&mut self, hash: u64, key: K, value: C) {
        let entries = &self.entries;
        self.index.insert_unique(hash, entries.len() as u32, |i| hash_of(&entries[*i as usize].0));
        self.entries.push((key, value));
    }
    /// Combines `value` into the entry of `key`.
    #[inline]
    pub fn add<V>(&mut self, key: K, value: V, create: impl FnOnce(V) -> C, merge: impl FnOnce(&mut C, V)) {
        self.add_hashed(hash_of(&key), key, value, create, merge)
    }
    #[inline]
    fn add_hashed<V>(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        create: impl FnOnce(V) -> C,
        merge: impl FnOnce(&mut C, V),
    ) {
        match self.find(hash, &key) {
            Some(at) => merge(&mut self.entries[at].1, value),
            None => self.insert(hash, key, create(value)),
        }
    }
    #[inline(always)]
    fn add_ref<V>(
        &mut self,
        hash: u64,
        key: &K,
        value: V,
        create: impl FnOnce(V) -> C,
        merge: impl FnOnce(&mut C, V),
    ) where
        K: Clone,
    {
        match self.find(hash, key) {
            Some(at) => merge(&mut self.entries[at].1, value),
            None => self.insert(hash, key.clone(), create(value)),
        }
    }
    /// True if batches pay: keys have a heap (a third load), and the table is not in the first-level cache.
    fn wants_batches(&self) -> bool {
        std::mem::needs_drop::<K>() && self.len() >= BATCH_KEYS_MIN
    }
    /// Looks the keys of a batch up, all of them at every step.
    #[inline(always)]
    fn find_batch<'k>(&self, keys: impl ExactSizeIterator<Item = &'k K> + Clone, batch: &mut Batch)
    where
        K: 'k,
    {
        for (hash, key) in batch.hashes.iter_mut().zip(keys.clone()) {
            *hash = hash_of(key);
        }
        // The first slot with the right tag: nearly always the right one, and no entry is touched to find it.
        for (at, hash) in batch.at.iter_mut().zip(&batch.hashes).take(keys.len()) {
            *at = self.index.find(*hash, |_| true).map_or(usize::MAX, |i| *i as usize);
        }
        for (at, key) in batch.at.iter_mut().zip(keys) {
            let hit = self.entries.get(*at).is_some_and(|e| e.0 == *key);
            *at = if hit { *at } else { usize::MAX };
        }
    }
    /// As [`Table::add`] for many records, which are drained.
    pub fn add_all<V>(
        &mut self,
        records: &mut Vec<(K, V)>,
        create: impl Fn(V) -> C,
        merge: impl Fn(&mut C, V),
    ) {
        if !self.wants_batches() {
            return records.drain(..).for_each(|(k, v)| self.add(k, v, &create, &merge));
        }
        let (mut batch, mut records) = (Batch::default(), records.drain(..));
        while records.len() > 0 {
            let now = &records.as_slice()[..records.len().min(BATCH)];
            self.find_batch(now.iter().map(|(k, _)| k), &mut batch);
            for (at, (hash, (key, value))) in batch.at.iter().zip(batch.hashes.iter().zip(&mut records)) {
                match self.entries.get_mut(*at) {
                    Some(entry) => merge(&mut entry.1, value),
                    None => self.add_hashed(*hash, key, value, &create, &merge),
                }
            }
        }
    }
    /// As [`Table::add`] for many records whose keys are lent; a key is cloned only when it is new.
    pub fn add_all_ref<'r, V: Clone + 'r>(
        &mut self,
        mut records: impl ExactSizeIterator<Item = (&'r K, &'r V)> + Clone,
        create: impl Fn(V) -> C,
        merge: impl Fn(&mut C, V),
    ) where
        K: Clone + 'r,
    {
        if !self.wants_batches() {
            return records.for_each(|(k, v)| {
                self.add_ref(hash_of(k), k, v.clone(), &create, &merge);
            });
        }
        let mut batch = Batch::default();
        while records.len() > 0 {
            self.find_batch(records.clone().take(BATCH).map(|(k, _)| k), &mut batch);
            for (at, (hash, (key, value))) in batch.at.iter().zip(batch.hashes.iter().zip(&mut records)) {
                match self.entries.get_mut(*at) {
                    Some(entry) => merge(&mut entry.1, value.clone()),
                    None => self.add_ref(*hash, key, value.clone(), &create, &merge),
                }
            }
        }
    }
    /// Takes all entries out; the table can be used again.
    pub fn take(&mut self) -> Vec<(K, C)> {
        self.index.clear();
        std::mem::take(&mut self.entries)
    }
    /// Bytes of the table without the heap of its entries.
    pub fn flat_bytes(&self) -> u64 {
        (self.index.capacity() * 5 + self.entries.capacity() * size_of::<(K, C)>()) as u64
    }
}
