//! Hash tables that keep their entries in the order in which keys are first seen: the order of the output is that of
//! the input, not that of a hash function.

use crate::hash::hash_of;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
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
    /// Combines `value` into the entry of `key`.
    #[inline]
    pub fn add<V>(&mut self, key: K, value: V, create: impl FnOnce(V) -> C, merge: impl FnOnce(&mut C, V)) {
        let entries = &mut self.entries;
        match self.index.entry(
            hash_of(&key),
            |i| entries[*i as usize].0 == key,
            |i| hash_of(&entries[*i as usize].0),
        ) {
            Entry::Occupied(slot) => merge(&mut entries[*slot.get() as usize].1, value),
            Entry::Vacant(slot) => {
                slot.insert(entries.len() as u32);
                entries.push((key, create(value)));
            }
        }
    }
    /// As [`Table::add`] for a borrowed key, which is cloned only when it is new. Returns true if it was.
    #[inline]
    pub fn add_ref<V>(
        &mut self,
        key: &K,
        value: V,
        create: impl FnOnce(V) -> C,
        merge: impl FnOnce(&mut C, V),
    ) -> bool
    where
        K: Clone,
    {
        let entries = &mut self.entries;
        match self.index.entry(
            hash_of(key),
            |i| entries[*i as usize].0 == *key,
            |i| hash_of(&entries[*i as usize].0),
        ) {
            Entry::Occupied(slot) => {
                merge(&mut entries[*slot.get() as usize].1, value);
                false
            }
            Entry::Vacant(slot) => {
                slot.insert(entries.len() as u32);
                entries.push((key.clone(), create(value)));
                true
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
