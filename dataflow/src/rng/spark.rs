//! Spark's generator, so that `random_split` and `sample` choose the rows that Spark chooses for the same seed,
//! partitions and row order.

use super::murmur3;

/// Marsaglia's xorshift with shifts 21, 35, 4 on a 64-bit state, seeded through MurmurHash3 as Spark does.
#[derive(Debug, Clone)]
pub struct SparkXorShift(u64);

/// Seed of Scala's `MurmurHash3.arraySeed`.
const ARRAY_SEED: u32 = 0x3c07_4a61;

impl SparkXorShift {
    /// The generator that Spark makes of `seed`.
    pub fn new(seed: i64) -> Self {
        let bytes = seed.to_be_bytes();
        let low = murmur3::hash32(&bytes, ARRAY_SEED);
        let high = murmur3::hash32(&bytes, low);
        SparkXorShift((high as u64) << 32 | low as u64)
    }
    fn bits(&mut self, n: u32) -> u64 {
        let mut x = self.0;
        x ^= x << 21;
        x ^= x >> 35;
        x ^= x << 4;
        self.0 = x;
        x & ((1 << n) - 1)
    }
    /// `java.util.Random.nextDouble` on these bits: in [0, 1), 53 bits.
    pub fn next_f64(&mut self) -> f64 {
        ((self.bits(26) << 27) + self.bits(27)) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// The first `n` values of `new java.util.Random(seed).nextLong()`: Spark seeds the partitions of `sample` so.
pub fn java_random_longs(seed: i64, n: usize) -> Vec<i64> {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (seed as u64 ^ MULTIPLIER) & MASK;
    let mut next = || {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
        (state >> 16) as u32 as i32
    };
    (0..n)
        .map(|_| {
            let high = (next() as i64) << 32;
            high.wrapping_add(next() as i64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_random_is_javas() {
        // `new java.util.Random(42).nextLong()` twice.
        assert_eq!(java_random_longs(42, 2), [-5025562857975149833, -5843495416241995736]);
    }
}
