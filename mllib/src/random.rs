//! What trainings draw: first values of parameters, and orders of records.

use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::rng;
use std::hash::Hash;

/// A number in [0, 1) that is the key's own, with 53 random bits: the same in every process, in whatever order keys come.
pub(crate) fn unit_of<K: Hash>(key: &K) -> f64 {
    (hash_of(key) >> 11) as f64 / (1u64 << 53) as f64
}

/// Puts records into a random order (Fisher and Yates), each order as likely as any other.
pub(crate) fn shuffle<T>(records: &mut [T], rng: &mut rng::Stream) {
    for i in (1..records.len()).rev() {
        records.swap(i, rng::below(rng, i as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_keys_are_spread() {
        let n = 10_000;
        let numbers: Vec<f64> = (0..n).map(|i| unit_of(&(7u64, i as u64))).collect();
        assert!(numbers.iter().all(|x| (0.0..1.0).contains(x)));
        let mean = numbers.iter().sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_ne!(unit_of(&(1u64, 2u64)), unit_of(&(2u64, 1u64)));
    }

    #[test]
    fn all_orders_occur() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..100 {
            let mut records = [1, 2, 3];
            shuffle(&mut records, &mut rng::stream(seed, 0));
            seen.insert(records);
        }
        assert_eq!(seen.len(), 6);
    }
}
