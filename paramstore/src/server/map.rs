//! Which shard owns which row of a table.

use slackwater_dataflow::hash::{hash_u64, partition_of};

/// Which shard an element belongs to, and its place there. Rows go by our stable hash, whole.
pub(crate) struct ShardMap {
    columns: u32,
    /// By row: its shard, and the place of its first element.
    rows: Vec<(u32, u32)>,
    /// By shard: its rows in the order of their places.
    of_shards: Vec<Vec<u32>>,
}

impl ShardMap {
    pub fn new(rows: usize, columns: usize, shards: usize) -> Self {
        let mut of_shards: Vec<Vec<u32>> = vec![vec![]; shards];
        let by_row = (0..rows).map(|row| {
            let shard = partition_of(hash_u64(row as u64), shards);
            of_shards[shard].push(row as u32);
            (shard as u32, ((of_shards[shard].len() - 1) * columns) as u32)
        });
        ShardMap { columns: columns as u32, rows: by_row.collect(), of_shards }
    }
    pub fn columns(&self) -> usize {
        self.columns as usize
    }
    pub fn shards(&self) -> usize {
        self.of_shards.len()
    }
    #[inline(always)]
    pub fn shard_of(&self, row: usize) -> usize {
        self.rows[row].0 as usize
    }
    /// Place of the first element of a row in its shard.
    #[inline(always)]
    pub fn place_of_row(&self, row: u32) -> usize {
        self.rows[row as usize].1 as usize
    }
    /// Shard and place of an element.
    #[inline]
    pub fn place(&self, element: u32) -> (usize, usize) {
        // Divisions of 32 bits, and none for tables of one column: this is done for every element that is sent.
        let ((shard, base), offset) = match self.columns {
            1 => (self.rows[element as usize], 0),
            columns => (self.rows[(element / columns) as usize], element % columns),
        };
        (shard as usize, (base + offset) as usize)
    }
    /// The rows of a shard, in the order of their places.
    pub fn rows_of(&self, shard: usize) -> &[u32] {
        &self.of_shards[shard]
    }
    /// All elements of a shard, in the order of their places.
    pub fn elements_of(&self, shard: usize) -> impl Iterator<Item = u32> + '_ {
        self.rows_of(shard).iter().flat_map(|row| row * self.columns..(row + 1) * self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_place_of_its_own() {
        let map = ShardMap::new(50, 3, 4);
        let mut seen = [false; 150];
        for shard in 0..4 {
            for (place, element) in map.elements_of(shard).enumerate() {
                assert_eq!(map.place(element), (shard, place));
                assert!(!std::mem::replace(&mut seen[element as usize], true));
            }
            for (i, row) in map.rows_of(shard).iter().enumerate() {
                assert_eq!((map.shard_of(*row as usize), map.place_of_row(*row)), (shard, 3 * i));
            }
        }
        assert!(seen.iter().all(|s| *s));
    }
}
