//! Random streams. Every stream is *derived* from (seed, dataset, partition), never shared, so a recomputed partition
//! draws the same numbers and results do not depend on the number of workers.

pub mod murmur3;
mod spark;

pub use spark::{SparkXorShift, java_random_longs};

use crate::hash::hash_of;
use rand_core::SeedableRng;

/// The generator for bulk work: xoshiro256++ (Blackman and Vigna 2021), 1.4 G numbers/s.
pub type Stream = rand_xoshiro::Xoshiro256PlusPlus;

/// The stream of one unit of work. ChaCha8 keyed by `seed` and positioned at stream `unit` makes the seed of a
/// xoshiro256++ generator: streams of different units are independent, whatever the seed.
pub fn stream(seed: u64, unit: u64) -> Stream {
    use rand_core::Rng;
    let mut key = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    key.set_stream(unit);
    let mut bytes = [0u8; 32];
    key.fill_bytes(&mut bytes);
    Stream::from_seed(bytes)
}

/// The stream of partition `partition` of operation `operation`.
pub fn partition_stream(seed: u64, operation: u64, partition: usize) -> Stream {
    stream(seed, hash_of(&(operation, partition as u64)))
}

/// A number in [0, 1) with 53 random bits.
#[inline]
pub fn unit_f64(rng: &mut impl rand_core::Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A whole number below `n`, without bias (Lemire 2019). `n` must not be 0.
#[inline]
pub fn below(rng: &mut impl rand_core::Rng, n: u64) -> u64 {
    loop {
        let m = rng.next_u64() as u128 * n as u128;
        if m as u64 >= n.wrapping_neg() % n {
            return (m >> 64) as u64;
        }
    }
}

/// A standard normal number (Box and Muller 1958; one of the pair).
pub fn normal(rng: &mut impl rand_core::Rng) -> f64 {
    let u = 1.0 - unit_f64(rng);
    let v = unit_f64(rng);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A Poisson number with the given mean (Knuth's product method below 30, else a sum of smaller ones).
pub fn poisson(rng: &mut impl rand_core::Rng, mean: f64) -> u64 {
    let mut left = mean;
    let mut count = 0;
    while left > 0.0 {
        let step = left.min(30.0);
        let (limit, mut product) = ((-step).exp(), unit_f64(rng));
        while product > limit {
            count += 1;
            product *= unit_f64(rng);
        }
        left -= step;
    }
    count
}
