//! Which process a partition or shard is at home in.
//!
//! # What
//! A run begins with some slots, and partition `p` is at home in slot `p` modulo their number. A slot that is added later
//! takes its share of all others; the partitions of a slot that is missing go to those that are there, each to the one
//! whose hash with the partition is the highest (rendezvous hashing).
//!
//! # Guarantees
//! Only what must move does: when a slot is lost its own partitions, when it is back these again, when one is added one in
//! as many as there are then. All processes that know the same members find the same places.
//!
//! # Cost
//! One division where nobody is missing; else a hash a member.

use crate::hash::hash_of;

/// Slots that a run can have.
pub(crate) const SLOTS_MAX: usize = 256;

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Slots at the beginning of the run.
    base: u16,
    /// Slots now, those that are missing included.
    slots: u16,
    missing: u16,
    present: [u64; SLOTS_MAX / 64],
}

impl Placement {
    /// `members` are slots, ascending.
    pub fn new(base: usize, members: &[usize]) -> Self {
        let mut present = [0; SLOTS_MAX / 64];
        members.iter().for_each(|slot| present[slot / 64] |= 1 << (slot % 64));
        let slots = members.last().map_or(0, |last| last + 1).max(base);
        let missing = (slots - members.len()) as u16;
        Placement { base: base.max(1) as u16, slots: slots as u16, missing, present }
    }
    fn is_present(&self, slot: usize) -> bool {
        self.present[slot / 64] >> (slot % 64) & 1 == 1
    }
    /// The slot of a partition if all are there.
    fn home(&self, partition: usize) -> usize {
        let added = (usize::from(self.base)..usize::from(self.slots)).rev();
        added
            .into_iter()
            .find(|slot| partition % (slot + 1) == *slot)
            .unwrap_or(partition % usize::from(self.base))
    }
    /// The slot that has a partition.
    pub fn slot_of(&self, partition: usize) -> usize {
        let home = self.home(partition);
        if self.missing == 0 || self.is_present(home) {
            return home;
        }
        let present = (0..usize::from(self.slots)).filter(|slot| self.is_present(*slot));
        present.max_by_key(|slot| hash_of(&(partition as u64, *slot as u64))).unwrap_or(home)
    }
    /// How many members have a lower slot.
    pub fn rank(&self, slot: usize) -> usize {
        if self.missing == 0 {
            return slot;
        }
        (0..slot).filter(|s| self.is_present(*s)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: usize, members: &[usize]) -> Vec<usize> {
        let placement = Placement::new(base, members);
        (0..1200).map(|p| placement.slot_of(p)).collect()
    }
    fn loads(places: &[usize], slots: usize) -> Vec<usize> {
        (0..slots).map(|s| places.iter().filter(|p| **p == s).count()).collect()
    }

    #[test]
    fn all_there_is_round_robin() {
        assert_eq!(places(3, &[0, 1, 2]), (0..1200).map(|p| p % 3).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_was_lost_moves() {
        let (before, after) = (places(4, &[0, 1, 2, 3]), places(4, &[0, 1, 3]));
        for (b, a) in before.iter().zip(&after) {
            assert!(if *b == 2 { *a != 2 } else { a == b });
        }
        let loads = loads(&after, 4);
        assert!([0, 1, 3].iter().all(|s| loads[*s] > 350), "{loads:?}");
    }

    #[test]
    fn a_slot_that_is_added_takes_its_share_and_nothing_else_moves() {
        let (before, after) = (places(3, &[0, 1, 2]), places(3, &[0, 1, 2, 3, 4]));
        assert!(before.iter().zip(&after).all(|(b, a)| a == b || *a >= 3));
        let loads = loads(&after, 5);
        assert!(loads.iter().all(|n| (180..=320).contains(n)), "{loads:?}");
    }

    #[test]
    fn ranks_are_dense() {
        let placement = Placement::new(4, &[0, 2, 3]);
        assert_eq!([0, 2, 3].map(|s| placement.rank(s)), [0, 1, 2]);
    }
}
