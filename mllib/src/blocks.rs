//! Rows of a model (items, words) in as many blocks as there are partitions, for models that rotate.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Which block an item is in.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// By item: block, and place in it.
    pub places: Vec<(u32, u32)>,
    /// By block: its items, in the order of their places.
    pub items: Vec<Vec<u32>>,
}

impl Blocks {
    /// Of items that cost so much: the dearest first, each goes to the block that costs least so far, so that blocks take about the
    /// same time.
    pub fn new(costs: &[u64], blocks: usize) -> Self {
        let mut order: Vec<u32> = (0..costs.len() as u32).collect();
        order.sort_by_key(|item| (Reverse(costs[*item as usize]), *item));
        let mut least: BinaryHeap<Reverse<(u64, usize)>> = (0..blocks).map(|b| Reverse((0, b))).collect();
        let mut all = Blocks { places: vec![(0, 0); costs.len()], items: vec![vec![]; blocks] };
        for item in order {
            let Some(Reverse((cost, block))) = least.pop() else { break };
            all.places[item as usize] = (block as u32, all.items[block].len() as u32);
            all.items[block].push(item);
            least.push(Reverse((cost + costs[item as usize], block)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cost_about_the_same() {
        let costs: Vec<u64> = (0..200).map(|i| 1 + 3000 / (i + 1)).collect();
        let blocks = Blocks::new(&costs, 4);
        let of_block = |items: &Vec<u32>| items.iter().map(|i| costs[*i as usize]).sum::<u64>();
        let sums: Vec<u64> = blocks.items.iter().map(of_block).collect();
        assert!(sums.iter().max().unwrap() - sums.iter().min().unwrap() <= 20, "{sums:?}");
        for (block, items) in blocks.items.iter().enumerate() {
            for (place, item) in items.iter().enumerate() {
                assert_eq!(blocks.places[*item as usize], (block as u32, place as u32));
            }
        }
        assert_eq!(blocks.items.iter().map(Vec::len).sum::<usize>(), costs.len());
    }
}
