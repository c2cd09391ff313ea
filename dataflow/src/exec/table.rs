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
    front: Front,
}

/// Leads straight to the entries of a small table, without tags to compare: half the instructions of a look-up. The
/// first two keys that come to a slot have it; for others the table itself is asked. Of [`FRONT_KEYS_MAX`] keys that is
/// one in ten, of a quarter as many one in a hundred.
enum Front {
    /// Not made yet: most tables see few records.
    Unmade,
    /// Two entries a slot; 0 is also said of none.
    Made(Box<[[u16; 2]; FRONT_SLOTS]>),
    /// There are too many keys.
    Outgrown,
}

/// 16 KiB: half of a first-level cache.
const FRONT_SLOTS: usize = 4096;
const FRONT_KEYS_MAX: usize = 4096;
/// Records of a batch for which a front is made.
const FRONT_RECORDS_MIN: usize = 512;

impl Front {
    /// The slot of a hash: its low bits, which the choice of a partition does not use.
    #[inline(always)]
    fn slot(hash: u64) -> usize {
        hash as usize % FRONT_SLOTS
    }
    #[inline(always)]
    fn set(&mut self, hash: u64, at: usize) {
        if let Front::Made(slots) = self {
            if at >= FRONT_KEYS_MAX {
                *self = Front::Outgrown;
            } else if let Some(free) = slots[Front::slot(hash)].iter_mut().find(|s| **s == 0) {
                *free = at as u16;
            }
        }
    }
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
        Table { index: HashTable::new(), entries: Vec::new(), front: Front::Unmade }
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
        self.front.set(hash, entries.len());
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
    /// Makes a front for a table that is about to see `records` records, if it is small.
    fn make_front(&mut self, records: usize) {
        if self.len() > FRONT_KEYS_MAX {
            self.front = Front::Outgrown;
        } else if matches!(self.front, Front::Unmade) && records >= FRONT_RECORDS_MIN {
            self.front = Front::Made(Box::new([[0; 2]; FRONT_SLOTS]));
            for (at, (key, _)) in self.entries.iter().enumerate() {
                self.front.set(hash_of(key), at);
            }
        }
    }
    /// The entry that the front has for a key, which may be that of another key. Which of the two it is cannot be foreseen,
    /// so there is no branch for it.
    #[inline(always)]
    fn in_front(&mut self, hash: u64, key: &K) -> Option<&mut (K, C)> {
        match &self.front {
            Front::Made(slots) => {
                let [a, b] = slots[Front::slot(hash)].map(|at| at as usize);
                let first = self.entries.get(a)?.0 == *key;
                self.entries.get_mut(std::hint::select_unpredictable(first, a, b))
            }
            _ => None,
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
        self.make_front(records.len());
        if matches!(self.front, Front::Made(_)) {
            return records.drain(..).for_each(|(k, v)| {
                let hash = hash_of(&k);
                match self.in_front(hash, &k) {
                    Some(entry) if entry.0 == k => merge(&mut entry.1, v),
                    _ => self.add_hashed(hash, k, v, &create, &merge),
                }
            });
        }
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
        self.make_front(records.len());
        if matches!(self.front, Front::Made(_)) {
            return records.for_each(|(k, v)| {
                let hash = hash_of(k);
                match self.in_front(hash, k) {
                    Some(entry) if entry.0 == *k => merge(&mut entry.1, v.clone()),
                    _ => self.add_ref(hash, k, v.clone(), &create, &merge),
                }
            });
        }
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
        self.front = Front::Unmade;
        std::mem::take(&mut self.entries)
    }
    /// Bytes of the table without the heap of its entries.
    pub fn flat_bytes(&self) -> u64 {
        (self.index.capacity() * 5 + self.entries.capacity() * size_of::<(K, C)>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Sums by key in batches, and checks sums and order against a plain map; key 0 comes often and is the first entry.
    fn check<K: Hash + Eq + Clone + std::fmt::Debug>(keys: u64, owned: bool, key: impl Fn(u64) -> K) {
        let mut table = Table::<K, u64>::default();
        let (mut order, mut sums) = (vec![], HashMap::<K, u64>::new());
        for batch in 0..20u64 {
            let mut records: Vec<(K, u64)> = (0..1000)
                .map(|i| {
                    let x = crate::hash::hash_u64(batch * 1000 + i);
                    (key(if x & 7 == 0 { 0 } else { (x >> 8) % keys }), i)
                })
                .collect();
            for (k, v) in &records {
                *sums.entry(k.clone()).or_insert_with(|| {
                    order.push(k.clone());
                    0
                }) += v;
            }
            if owned {
                table.add_all(&mut records, |v| v, |c, v| *c += v);
                assert!(records.is_empty());
            } else {
                table.add_all_ref(records.iter().map(|(k, v)| (k, v)), |v| v, |c, v| *c += v);
            }
        }
        assert_eq!(table.len(), sums.len());
        for ((k, sum), first) in table.take().iter().zip(&order) {
            assert_eq!((k, *sum), (first, sums[k]));
        }
        // It can be used again.
        let mut one = vec![(key(5), 1); 600];
        table.add_all(&mut one, |v| v, |c, v| *c += v);
        assert_eq!(table.take(), [(key(5), 600)]);
    }

    #[test]
    fn sums_and_order_are_those_of_a_plain_map() {
        // One key, few, as many as a front holds, and more than that, which it outgrows in the middle of a batch.
        for keys in [1, 100, 2000, 4096, 5000, 1 << 40] {
            for owned in [false, true] {
                check(keys, owned, |k| k);
                check(keys, owned, |k| format!("key {k}"));
            }
        }
    }
}
