//! Which columns are in which block, and which of them the rows of a partition have values in.

use super::census::Census;
use crate::blocks::Blocks;
use std::ops::Range;
use std::sync::OnceLock;

/// What a partition's rows need to know of columns. A column in which they have values has a *slot* there; slots are by block, and by place
/// in it.
pub(super) struct Slots {
    /// By block, and one more: the first of the slots of its columns.
    firsts: Vec<usize>,
    /// By slot: place in its block.
    places: Vec<u32>,
    /// By slot: number of the column.
    pub columns: Vec<u32>,
    /// By column: its slot, where it has one. Made in the process that has the rows.
    by_column: OnceLock<Vec<u32>>,
}

impl Slots {
    fn new(present: &[u32], blocks: &Blocks) -> Self {
        let mut places: Vec<(u32, u32, u32)> = present
            .iter()
            .map(|j| (blocks.places[*j as usize].0, blocks.places[*j as usize].1, *j))
            .collect();
        places.sort_unstable();
        let first = |block: usize| places.partition_point(|(b, ..)| (*b as usize) < block);
        Slots {
            firsts: (0..=blocks.items.len()).map(first).collect(),
            places: places.iter().map(|(_, place, _)| *place).collect(),
            columns: places.iter().map(|(.., column)| *column).collect(),
            by_column: OnceLock::new(),
        }
    }
    /// The slots of the columns of a block.
    pub fn of_block(&self, block: usize) -> Range<usize> {
        self.firsts[block]..self.firsts[block + 1]
    }
    /// The places of the columns of a block that have slots, in their order.
    pub fn places_in(&self, block: usize) -> &[u32] {
        &self.places[self.of_block(block)]
    }
    /// By column: its slot; of columns without one it says nothing.
    pub fn by_column(&self) -> &[u32] {
        self.by_column.get_or_init(|| {
            let width = self.columns.iter().max().map_or(0, |last| *last as usize + 1);
            let mut slots = vec![0; width];
            (0..).zip(&self.columns).for_each(|(slot, column)| slots[*column as usize] = slot);
            slots
        })
    }
}

/// Columns in blocks, and slots in partitions: the same in every process.
pub(super) struct Layout {
    pub blocks: Blocks,
    /// By partition.
    pub slots: Vec<Slots>,
    /// By partition: half the sum of the squares of its values.
    pub half_squares: Vec<f64>,
    /// By partition, and one more: the number of its first row.
    pub first_rows: Vec<u64>,
}

impl Layout {
    /// Blocks in which columns cost about the same: as many numbers a component as there are partitions with values in it, and a pass
    /// over its components.
    pub fn new(census: &Census, rank: usize) -> Self {
        let mut costs = vec![rank as u64; census.columns];
        census.present.iter().flatten().for_each(|j| costs[*j as usize] += 1);
        let blocks = Blocks::new(&costs, census.sizes.len());
        let mut first_rows = vec![0];
        census.sizes.iter().for_each(|rows| first_rows.push(first_rows[first_rows.len() - 1] + rows));
        Layout {
            slots: census.present.iter().map(|present| Slots::new(present, &blocks)).collect(),
            half_squares: census.squares.iter().map(|square| 0.5 * square).collect(),
            first_rows,
            blocks,
        }
    }
    /// Rows of a partition.
    pub fn rows(&self, partition: usize) -> usize {
        (self.first_rows[partition + 1] - self.first_rows[partition]) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_by_block_and_place() {
        // Columns 0, 2, 4 are in block 0, at these places, and 1 and 3 in block 1.
        let blocks = Blocks {
            places: vec![(0, 2), (1, 1), (0, 0), (1, 0), (0, 1)],
            items: vec![vec![2, 4, 0], vec![3, 1]],
        };
        let slots = Slots::new(&[0, 1, 2, 3], &blocks);
        assert_eq!(slots.columns, [2, 0, 3, 1]);
        assert_eq!([0, 1].map(|b| slots.of_block(b)), [0..2, 2..4]);
        assert_eq!([0, 1].map(|b| slots.places_in(b).to_vec()), [vec![0, 2], vec![0, 1]]);
        assert_eq!(slots.by_column(), [1, 3, 0, 2]);
        assert!(Slots::new(&[], &blocks).by_column().is_empty());
    }
}
