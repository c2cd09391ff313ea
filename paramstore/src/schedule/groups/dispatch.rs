//! The dispatcher: which group goes to which partition, by how much work it is.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Groups in partitions.
///
/// The heaviest group comes first, and goes to the partition that has least so far (longest processing time first; ties go to
/// the lower number). With `m` partitions the largest load is at most `4/3 - 1/(3m)` times the least that is possible.
///
/// Costs: `n log n + n log m` for `n` groups.
///
/// Source: Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17 (1969), theorem 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    partition_of: Vec<u32>,
    loads: Vec<u64>,
}

impl Dispatch {
    /// Groups of these weights, in `partitions` partitions (one at least).
    pub fn balanced(weights: &[u64], partitions: usize) -> Self {
        Self::in_turns(weights, &vec![0; weights.len()], partitions)
    }
    /// The same for groups that have their turn at different times: each turn is balanced by itself, since it lasts as long
    /// as its largest load. `turns` are by group.
    pub(super) fn in_turns(weights: &[u64], turns: &[u32], partitions: usize) -> Self {
        let mut dispatch =
            Dispatch { partition_of: vec![0; weights.len()], loads: vec![0; partitions.max(1)] };
        let mut order: Vec<usize> = (0..weights.len()).collect();
        order.sort_by_key(|g| (turns[*g], Reverse(weights[*g]), *g));
        for turn in order.chunk_by(|a, b| turns[*a] == turns[*b]) {
            // (load of this turn, load, partition)
            let loads = dispatch.loads.iter().enumerate();
            let mut free: BTreeSet<(u64, u64, usize)> = loads.map(|(p, load)| (0, *load, p)).collect();
            for group in turn {
                let Some((in_turn, load, p)) = free.pop_first() else { break };
                let weight = weights[*group];
                dispatch.partition_of[*group] = p as u32;
                dispatch.loads[p] = load.saturating_add(weight);
                free.insert((in_turn.saturating_add(weight), dispatch.loads[p], p));
            }
        }
        dispatch
    }
    /// The partition of a group.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn partition_of(&self, group: usize) -> usize {
        self.partition_of[group] as usize
    }
    /// By partition: the sum of the weights of its groups.
    pub fn loads(&self) -> &[u64] {
        &self.loads
    }
    /// The largest load over the mean load, 1 if all are the same: with a core for each partition a sweep takes as much longer
    /// than it had to. 1 if there is no load at all.
    pub fn imbalance(&self) -> f64 {
        let largest = self.loads.iter().copied().max().unwrap_or(0) as f64;
        let mean = self.loads.iter().map(|l| *l as f64).sum::<f64>() / self.loads.len() as f64;
        if mean > 0.0 { largest / mean } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    /// The least possible largest load: all ways are tried.
    fn best(weights: &[u64], loads: &mut Vec<u64>) -> u64 {
        let Some((first, rest)) = weights.split_first() else {
            return loads.iter().copied().max().unwrap_or(0);
        };
        let partitions = loads.len();
        let with = |p: usize| {
            loads[p] += first;
            let best = best(rest, loads);
            loads[p] -= first;
            best
        };
        (0..partitions).map(with).min().unwrap_or(0)
    }

    #[test]
    fn loads_are_within_the_bound_of_the_best() {
        let mut random = rng::stream(1, 0);
        let mut draw = |below: u64| (rng::unit_f64(&mut random) * below as f64) as u64;
        let mut worst: f64 = 0.0;
        for case in 0..150 {
            let partitions = 2 + case % 2;
            let weights: Vec<u64> = (0..4 + draw(5)).map(|_| 1 + draw(12)).collect();
            let dispatch = Dispatch::balanced(&weights, partitions);
            let mut loads = vec![0; partitions];
            (0..weights.len()).for_each(|g| loads[dispatch.partition_of(g)] += weights[g]);
            assert_eq!(loads, dispatch.loads());
            let best = best(&weights, &mut vec![0; partitions]) as f64;
            let ratio = loads.iter().copied().max().unwrap() as f64 / best;
            assert!(ratio <= 4.0 / 3.0 - 1.0 / (3.0 * partitions as f64) + 1e-12, "{weights:?}: {ratio}");
            worst = worst.max(ratio);
        }
        assert!(worst > 1.0, "all cases were too easy");
    }

    #[test]
    fn the_bound_is_met() {
        // Graham's example for three partitions: 5 5 4 4 3 3 3, of which the best is 9.
        let dispatch = Dispatch::balanced(&[3, 5, 4, 3, 5, 4, 3], 3);
        assert_eq!(dispatch.loads().iter().max(), Some(&11));
        assert_eq!(best(&[3, 5, 4, 3, 5, 4, 3], &mut vec![0; 3]), 9);
        assert_eq!(dispatch.imbalance(), 11.0 / 9.0);
    }

    #[test]
    fn ties_go_by_number() {
        let dispatch = Dispatch::balanced(&[2; 5], 2);
        assert_eq!((0..5).map(|g| dispatch.partition_of(g)).collect::<Vec<_>>(), [0, 1, 0, 1, 0]);
        assert_eq!((dispatch.loads(), dispatch.imbalance()), (&[6, 4][..], 1.2));
        assert_eq!(Dispatch::balanced(&[], 0).imbalance(), 1.0);
    }

    #[test]
    fn each_turn_is_balanced() {
        let dispatch = Dispatch::in_turns(&[9, 1, 5, 5], &[0, 0, 1, 1], 2);
        let of: Vec<usize> = (0..4).map(|g| dispatch.partition_of(g)).collect();
        assert_eq!(of, [0, 1, 1, 0]);
        assert_eq!(dispatch.loads(), [14, 6]);
    }
}
