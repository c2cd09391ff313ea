//! The ratings of a partition in one order: those of its users, or those of its items.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;

/// A rating, seen from one of its two ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Place among the rows of this partition.
    pub row: u32,
    /// The other end: its partition, and its place there.
    pub other: (u32, u32),
    pub rating: f32,
}

/// Ratings row by row. A row is a user or an item that lives in this partition; the other ends of its ratings live in any, and
/// have a *slot* here, by partition and by place there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Side {
    /// By row, and one more: the first of its ratings.
    #[serde(with = "pod")]
    starts: Vec<u64>,
    /// By rating: the slot of its other end. Ascending in each row.
    #[serde(with = "pod")]
    slots: Vec<u32>,
    #[serde(with = "pod")]
    ratings: Vec<f32>,
    /// By partition, and one more: the first of the slots of what lives there.
    #[serde(with = "pod")]
    firsts: Vec<u64>,
    /// By slot: place in the partition where it lives.
    #[serde(with = "pod")]
    places: Vec<u32>,
    /// By partition: rows of this one that have a slot there, in the order of these slots.
    wanted: Vec<Vec<u32>>,
}

impl Side {
    /// Of the ratings of `rows` rows, which may come in any order that is always the same.
    pub fn new(rows: usize, partitions: usize, entries: &[Entry]) -> Self {
        // By partition and place: one more than the slot.
        let mut slot_of: Vec<Vec<u32>> = vec![vec![]; partitions];
        let mut starts = vec![0u64; rows + 1];
        for e in entries {
            let (of_partition, place) = (&mut slot_of[e.other.0 as usize], e.other.1 as usize);
            if of_partition.len() <= place {
                of_partition.resize(place + 1, 0);
            }
            of_partition[place] = 1;
            starts[e.row as usize + 1] += 1;
        }
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let (mut firsts, mut places) = (vec![0], vec![]);
        for of_partition in &mut slot_of {
            for (place, slot) in of_partition.iter_mut().enumerate().filter(|(_, slot)| **slot != 0) {
                places.push(place as u32);
                *slot = places.len() as u32;
            }
            firsts.push(places.len() as u64);
        }
        let (mut next, mut ordered) = (starts.clone(), vec![(0, 0.0); entries.len()]);
        for e in entries {
            let at = &mut next[e.row as usize];
            ordered[*at as usize] = (slot_of[e.other.0 as usize][e.other.1 as usize] - 1, e.rating);
            *at += 1;
        }
        let mut wanted = vec![vec![]; partitions];
        for row in 0..rows {
            let of_row = &mut ordered[starts[row] as usize..starts[row + 1] as usize];
            of_row.sort_by_key(|(slot, _)| *slot);
            let mut from = 0;
            for (partition, wanted) in wanted.iter_mut().enumerate() {
                let end = of_row.partition_point(|(slot, _)| u64::from(*slot) < firsts[partition + 1]);
                if end > from {
                    wanted.push(row as u32);
                }
                from = end;
            }
        }
        let (slots, ratings) = ordered.into_iter().unzip();
        Side { starts, slots, ratings, firsts, places, wanted }
    }
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }
    pub fn ratings(&self) -> &[f32] {
        &self.ratings
    }
    pub fn slots(&self) -> usize {
        self.places.len()
    }
    /// The ratings of a row.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row] as usize..self.starts[row + 1] as usize
    }
    /// The slots of ratings.
    pub fn slots_of(&self, ratings: std::ops::Range<usize>) -> &[u32] {
        &self.slots[ratings]
    }
    /// The slots of what lives in a partition.
    pub fn slots_from(&self, partition: usize) -> std::ops::Range<usize> {
        self.firsts[partition] as usize..self.firsts[partition + 1] as usize
    }
    /// By slot: (partition, place).
    pub fn homes(&self) -> impl Iterator<Item = (usize, usize)> {
        let partitions = 0..self.wanted.len();
        partitions.flat_map(|p| self.places[self.slots_from(p)].iter().map(move |place| (p, *place as usize)))
    }
    /// By partition: the rows that it needs.
    pub fn wanted(&self) -> &[Vec<u32>] {
        &self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_find_each_other() {
        // (place of the user in partition 1, place of the item in partition 0 or 2)
        let entry = |row, other, rating| Entry { row, other, rating };
        let users = Side::new(
            3,
            3,
            &[entry(2, (2, 4), 1.0), entry(0, (2, 4), 2.0), entry(2, (0, 7), 3.0), entry(0, (2, 1), 4.0)],
        );
        assert_eq!((users.rows(), users.slots(), users.ratings()), (3, 3, &[4.0, 2.0, 3.0, 1.0][..]));
        assert_eq!([0, 1, 2].map(|row| users.range(row)), [0..2, 2..2, 2..4]);
        assert_eq!(users.slots_of(0..4), [1, 2, 0, 2]);
        assert_eq!([0, 1, 2].map(|p| users.slots_from(p)), [0..1, 1..1, 1..3]);
        assert_eq!(users.homes().collect::<Vec<_>>(), [(0, 7), (2, 1), (2, 4)]);
        assert_eq!(users.wanted(), [vec![2], vec![], vec![0, 2]]);
        // The items of partition 2, seen from there: they send in the order of the slots above.
        let items = Side::new(5, 3, &[entry(4, (1, 2), 1.0), entry(4, (1, 0), 2.0), entry(1, (1, 0), 4.0)]);
        assert_eq!(items.wanted(), [vec![], vec![1, 4], vec![]]);
    }
}
