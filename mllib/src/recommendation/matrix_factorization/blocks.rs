//! Items in as many blocks as there are partitions.

use slackwater_dataflow::block::Rating;
use slackwater_dataflow::{Dataset, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::once_with;
use std::sync::Arc;

/// Which block an item is in.
pub(super) struct Blocks {
    /// By item, as it is numbered in rows: block, and place in it.
    pub places: Vec<(u32, u32)>,
    /// By block: its items, in the order of their places.
    pub items: Vec<Vec<u32>>,
}

impl Blocks {
    /// Of items with (id, ratings): the most rated first, each goes to the block that has the fewest ratings, so that blocks take
    /// about the same time.
    pub fn new(counts: &[(u32, u64)], blocks: usize) -> Self {
        let mut order: Vec<u32> = (0..counts.len() as u32).collect();
        order.sort_by_key(|item| (Reverse(counts[*item as usize].1), *item));
        let mut least: BinaryHeap<Reverse<(u64, usize)>> = (0..blocks).map(|b| Reverse((0, b))).collect();
        let mut all = Blocks { places: vec![(0, 0); counts.len()], items: vec![vec![]; blocks] };
        for item in order {
            let Some(Reverse((ratings, block))) = least.pop() else { break };
            all.places[item as usize] = (block as u32, all.items[block].len() as u32);
            all.items[block].push(item);
            least.push(Reverse((ratings + counts[item as usize].1, block)));
        }
        all
    }
    /// The most ratings that a partition has of a block.
    pub fn largest(self: &Arc<Self>, rows: &Dataset<Rating>) -> Result<usize> {
        let blocks = self.clone();
        let largest = rows.map_partitions(move |rows| {
            let blocks = blocks.clone();
            once_with(move || {
                let mut counts = vec![0u64; blocks.items.len()];
                rows.for_each(|r| counts[blocks.places[r.item as usize].0 as usize] += 1);
                counts.into_iter().max().unwrap_or(0)
            })
        });
        Ok(largest.reduce(|a, b| a.max(b))?.unwrap_or(0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_about_the_same_ratings() {
        let counts: Vec<(u32, u64)> = (0..200).map(|i| (3 * i, 1 + 3000 / (u64::from(i) + 1))).collect();
        let blocks = Blocks::new(&counts, 4);
        let of_block = |items: &Vec<u32>| items.iter().map(|i| counts[*i as usize].1).sum::<u64>();
        let sums: Vec<u64> = blocks.items.iter().map(of_block).collect();
        assert!(sums.iter().max().unwrap() - sums.iter().min().unwrap() <= 20, "{sums:?}");
        for (block, items) in blocks.items.iter().enumerate() {
            for (place, item) in items.iter().enumerate() {
                assert_eq!(blocks.places[*item as usize], (block as u32, place as u32));
            }
        }
        assert_eq!(blocks.items.iter().map(Vec::len).sum::<usize>(), counts.len());
    }
}
