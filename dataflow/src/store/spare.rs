//! Emptied shuffle blocks that wait for the next shuffle.
//!
//! A block is large enough that allocators give its pages back to the system, which must clear them before it lends
//! them again: a quarter of the time of a shuffle of integers. Spare blocks are not part of what the budget counts as
//! used. They only lie in what is free of it, a quarter of the budget at most, and are dropped as soon as somebody
//! takes that.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Smaller blocks are left to the allocator, which keeps them itself.
pub(crate) const SPARE_BYTES_MIN: u64 = 32 << 10;

/// A block and its bytes.
type Block = (Box<dyn Any + Send>, u64);

/// Empty blocks by their type and the records they have room for.
#[derive(Default)]
pub(crate) struct Spare {
    shelves: Mutex<HashMap<(TypeId, usize), Vec<Block>>>,
    bytes: AtomicU64,
}

impl Spare {
    fn lock(&self) -> MutexGuard<'_, HashMap<(TypeId, usize), Vec<Block>>> {
        self.shelves.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Bytes of all spare blocks.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// An empty block with room for `room` records, if there is one.
    pub fn take<P: Send + 'static>(&self, room: usize) -> Option<P> {
        if self.bytes() == 0 {
            return None;
        }
        let (block, bytes) = self.lock().get_mut(&(TypeId::of::<P>(), room))?.pop()?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        block.downcast().ok().map(|block| *block)
    }
    /// Keeps an empty block, if all spare blocks are then at most `limit` bytes.
    pub fn give<P: Send + 'static>(&self, room: usize, block: P, bytes: u64, limit: u64) {
        let mut shelves = self.lock();
        if self.bytes() + bytes <= limit {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            shelves.entry((TypeId::of::<P>(), room)).or_default().push((Box::new(block), bytes));
        }
    }
    /// Drops blocks until those that are left are at most `limit` bytes.
    #[cold]
    pub fn shrink(&self, limit: u64) {
        let mut dropped = vec![];
        let mut shelves = self.lock();
        shelves.retain(|_, blocks| {
            while self.bytes() > limit
                && let Some((block, bytes)) = blocks.pop()
            {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                dropped.push(block);
            }
            !blocks.is_empty()
        });
        // Unlocked first: freeing takes its time.
        drop(shelves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_by_type_and_room() {
        let spare = Spare::default();
        spare.give(3, vec![0u64; 3], 24, 100);
        assert_eq!(spare.take::<Vec<u64>>(4), None);
        assert_eq!(spare.take::<Vec<u32>>(3), None);
        assert_eq!(spare.take::<Vec<u64>>(3), Some(vec![0; 3]));
        assert_eq!((spare.take::<Vec<u64>>(3), spare.bytes()), (None, 0));
    }

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let spare = Spare::default();
        (0..10).for_each(|_| spare.give(1, 7u8, 30, 100));
        assert_eq!(spare.bytes(), 90);
        spare.shrink(50);
        assert_eq!(spare.bytes(), 30);
        spare.shrink(0);
        assert_eq!((spare.bytes(), spare.take::<u8>(1)), (0, None));
    }
}
