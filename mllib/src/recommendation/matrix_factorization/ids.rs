//! Ids of users, or of items, and the place of each.

use std::ops::Deref;

/// A table by id is kept if it has at most so many entries for each id.
const ENTRIES_PER_ID: usize = 8;
/// Or so many in all.
const ENTRIES_MIN: usize = 1 << 12;
/// What a table says of an id that is not there.
const NONE: u32 = u32::MAX;

/// Ids, ascending, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ids {
    ids: Vec<u32>,
    /// By id: its place. Empty where ids are few among the possible ones: they are searched for.
    places: Vec<u32>,
}

impl Ids {
    /// Of ids that ascend.
    pub fn new(ids: Vec<u32>) -> Self {
        let entries = ids.last().map_or(0, |last| *last as usize + 1);
        let mut places = vec![];
        if entries <= (ENTRIES_PER_ID * ids.len()).max(ENTRIES_MIN) {
            places = vec![NONE; entries];
            for (id, place) in ids.iter().zip(0..) {
                places[*id as usize] = place;
            }
        }
        Ids { ids, places }
    }
    /// Where an id stands, if it is there. Constant, or a search if they are few.
    pub fn place(&self, id: u32) -> Option<usize> {
        if self.places.is_empty() {
            return self.ids.binary_search(&id).ok();
        }
        self.places.get(id as usize).filter(|place| **place != NONE).map(|place| *place as usize)
    }
}

impl Deref for Ids {
    type Target = [u32];
    fn deref(&self) -> &[u32] {
        &self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_and_no_other() {
        let dense: Vec<u32> = (0..10_000).filter(|id| id % 3 != 1).collect();
        let sparse: Vec<u32> = (0..100).map(|n| n * 40_000_000).collect();
        for ids in [vec![], vec![5], dense, sparse, vec![u32::MAX]] {
            let known = Ids::new(ids.clone());
            for (place, id) in ids.iter().enumerate() {
                assert_eq!(known.place(*id), Some(place));
                let next = id.wrapping_add(1);
                assert_eq!(known.place(next).is_some(), ids.contains(&next), "{next}");
            }
        }
        assert!(Ids::new(vec![0, u32::MAX]).places.is_empty() && !Ids::new(vec![0, 4000]).places.is_empty());
    }
}
