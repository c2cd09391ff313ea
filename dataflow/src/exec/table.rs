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
        let hash = hash_of(&key);
        match self.find(hash, &key) {
            Some(at) => merge(&mut self.entries[at].1, value),
            None => self.insert(hash, key, create(value)),
        }
    }
    /// As [`Table::add`] for a borrowed key, which is cloned only when it is new.
    #[inline]
    pub fn add_ref<V>(
        &mut self,
        key: &K,
        value: V,
        create: impl FnOnce(V) -> C,
        merge: impl FnOnce(&mut C, V),
    ) where
        K: Clone,
    {
        let hash = hash_of(key);
        match self.find(hash, key) {
            Some(at) => merge(&mut self.entries[at].1, value),
            None => self.insert(hash, key.clone(), create(value)),
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
