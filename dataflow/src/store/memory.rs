//! The memory budget of a process.
//!
//! One number of bytes is shared by *storage* (cached partitions, retained shuffle blocks) and *execution* (tables,
//! sort buffers, incoming shuffle blocks of running tasks). Execution may push storage out; storage may only use what
//! execution leaves. A [`Lease`] gives back what it holds when it is dropped, also when a task panics.

use super::spare::Spare;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Called when execution needs bytes that are not free: frees what it can and returns how many bytes that was.
type Reclaim = Box<dyn Fn(u64) -> u64 + Send + Sync>;

/// The budget: how much there is and how much is taken.
pub struct Memory {
    budget: u64,
    used: AtomicU64,
    peak: AtomicU64,
    /// Lies in what is free.
    pub(crate) spare: Spare,
    reclaim: std::sync::OnceLock<Reclaim>,
}

impl Memory {
    pub(crate) fn new(budget: u64) -> Arc<Self> {
        Arc::new(Memory {
            budget,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            spare: Spare::default(),
            reclaim: Default::default(),
        })
    }
    pub(crate) fn set_reclaim(&self, reclaim: Reclaim) {
        let _ = self.reclaim.set(reclaim);
    }
    /// The budget in bytes.
    pub fn budget(&self) -> u64 {
        self.budget
    }
    /// Bytes taken now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
    /// The most that was ever taken at once, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
    /// Takes bytes if they are free.
    pub(crate) fn try_take(&self, bytes: u64) -> bool {
        let taken = self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.budget)
        });
        match taken {
            Ok(before) => {
                let used = before + bytes;
                self.peak.fetch_max(used, Ordering::Relaxed);
                if used + self.spare.bytes() > self.budget {
                    self.spare.shrink(self.budget - used);
                }
                true
            }
            Err(_) => false,
        }
    }
    /// Takes bytes, pushing storage out if need be.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        if self.try_take(bytes) {
            return true;
        }
        if bytes > self.budget {
            return false;
        }
        let Some(reclaim) = self.reclaim.get() else { return false };
        reclaim(bytes) > 0 && self.try_take(bytes)
    }
    /// Bytes that spare blocks may have.
    pub(crate) fn spare_limit(&self) -> u64 {
        self.budget.saturating_sub(self.used()).min(self.budget / 4)
    }
    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Bytes held by a running task.
pub struct Lease {
    memory: Arc<Memory>,
    held: u64,
    /// One task may not take everything: with W workers it gets 1/W of the budget at most.
    limit: u64,
}

/// Leases grow by steps, so that a table does not ask for every record.
const STEP: u64 = 256 << 10;

impl Lease {
    pub(crate) fn new(memory: &Arc<Memory>, limit: u64) -> Self {
        Lease { memory: memory.clone(), held: 0, limit }
    }
    /// Makes the lease cover `bytes`. False if that is more than there is: spill, then ask for less.
    pub fn cover(&mut self, bytes: u64) -> bool {
        if bytes <= self.held {
            return true;
        }
        if bytes > self.limit {
            return false;
        }
        let want = (bytes - self.held).next_multiple_of(STEP).min(self.limit - self.held);
        if self.memory.take(want) {
            self.held += want;
            return true;
        }
        false
    }
    /// Gives back everything.
    pub fn release(&mut self) {
        self.memory.give_back(self.held);
        self.held = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_blocks_give_way() {
        let memory = Memory::new(100);
        memory.spare.give(1, 1u8, 20, memory.spare_limit());
        memory.spare.give(1, 2u8, 20, memory.spare_limit());
        assert_eq!((memory.spare.bytes(), memory.used()), (20, 0), "a quarter of the budget");
        assert!(memory.try_take(80));
        assert_eq!(memory.spare.bytes(), 20, "there is room for both");
        assert!(memory.try_take(1));
        assert_eq!((memory.spare.bytes(), memory.used()), (0, 81));
        memory.spare.give(1, 3u8, 20, memory.spare_limit());
        assert_eq!(memory.spare.bytes(), 0, "no room");
    }
}
