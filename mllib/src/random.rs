//! What trainings draw: first values of parameters, and orders of records.

use slackwater_dataflow::rng;

/// The golden ratio's part of 2^64: from one number of a stream to the next.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// SplitMix64's output function (Steele, Lea and Flood 2014): every bit depends on every bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in [0, 1) that is the key's own, with 53 random bits: the same in every process, in whatever order keys come.
///
/// The parts of the key lead from stream to stream of SplitMix64. (Hashes would not do: those of neighbouring keys differ,
/// but are not independent, and a layer that begins with such weights learns worse.)
pub(crate) fn unit_of<const N: usize>(key: [u64; N]) -> f64 {
    let h =
        key.into_iter().fold(0u64, |h, part| mix(h.wrapping_add(STEP.wrapping_mul(part.wrapping_add(1)))));
    (h >> 11) as f64 / (1u64 << 53) as f64
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

    /// Correlations of neighbouring, and of all pairs of, rows and columns are those of independent numbers.
    #[test]
    fn numbers_of_keys_are_independent() {
        const N: usize = 64;
        let numbers: Vec<Vec<f64>> =
            (0..N).map(|i| (0..N).map(|j| unit_of([7, 0, i as u64, j as u64]) - 0.5).collect()).collect();
        let all = || numbers.iter().flatten();
        assert!(all().all(|x| (-0.5..0.5).contains(x)));
        assert!((all().sum::<f64>() / (N * N) as f64).abs() < 0.02);
        let variance = all().map(|x| x * x).sum::<f64>() / (N * N) as f64;
        assert!((variance * 12.0 - 1.0).abs() < 0.05, "{variance}");
        let product = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| {
            (0..N).map(|k| a(k) * b(k)).sum::<f64>() / (N as f64 * variance)
        };
        for i in 0..N {
            for j in 0..i {
                let rows = product(&|k| numbers[i][k], &|k| numbers[j][k]);
                let columns = product(&|k| numbers[k][i], &|k| numbers[k][j]);
                // Five deviations.
                assert!(rows.abs().max(columns.abs()) < 5.0 / (N as f64).sqrt(), "{i} {j}: {rows} {columns}");
            }
        }
        assert_ne!(unit_of([1, 2]), unit_of([2, 1]));
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
