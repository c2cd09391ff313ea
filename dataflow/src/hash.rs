//! Our own versioned hash. Which partition a key belongs to must never change with a dependency's release, so the
//! partitioners, the placement and the plan fingerprints use this and nothing else.
//!
//! Folded multiplication (as in wyhash and foldhash): one 64 x 64 -> 128 bit product a word. 0.5-1 ns for an integer
//! key, about 2 bytes a cycle for text. Not keyed: a hostile user can make collisions, so it is not for servers that
//! hash strangers' keys.

use std::hash::{BuildHasher, Hash, Hasher};

/// Version of the hash. It is part of every plan fingerprint and checkpoint; it changes when a value changes.
pub const HASH_VERSION: u32 = 1;

const START: u64 = 0x243f_6a88_85a3_08d3; // fraction of pi
const FOLD: u64 = 0x9e37_79b9_7f4a_7c15; // golden ratio
const TEXT: u64 = 0x1319_8a2e_0370_7345; // fraction of pi, words 2 and 3

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let m = a as u128 * b as u128;
    (m as u64) ^ (m >> 64) as u64
}

/// Hash of one 64-bit word.
#[inline(always)]
pub fn hash_u64(x: u64) -> u64 {
    fold(x ^ START, FOLD)
}

/// Hash of a byte string.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = StableHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Hash of any value that can be hashed, through [`StableHasher`].
#[inline(always)]
pub fn hash_of<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = StableHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Maps a hash to one of `partitions` partitions.
///
/// Bits 20..52 choose: hash tables take their tag from the top seven bits and their bucket from the low ones, and bits
/// that are constant inside one partition would make those useless.
#[inline(always)]
pub fn partition_of(hash: u64, partitions: usize) -> usize {
    ((((hash >> 20) & 0xffff_ffff) * partitions as u64) >> 32) as usize
}

/// A `std` hasher whose values are ours for ever (see [`HASH_VERSION`]).
#[derive(Debug, Clone)]
pub struct StableHasher(u64);

impl Default for StableHasher {
    #[inline(always)]
    fn default() -> Self {
        StableHasher(START)
    }
}

impl Hasher for StableHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().expect("eight bytes"));
        let mut h = self.0 ^ (bytes.len() as u64).wrapping_mul(TEXT);
        if bytes.len() < 8 {
            // Overlapping reads instead of a loop over bytes.
            let n = bytes.len();
            let x = match n {
                0 => 0,
                1..=3 => bytes[0] as u64 | (bytes[n / 2] as u64) << 8 | (bytes[n - 1] as u64) << 16,
                _ => {
                    let low = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as u64;
                    let high = u32::from_le_bytes(bytes[n - 4..].try_into().expect("four bytes")) as u64;
                    low | high << 32
                }
            };
            h = fold(h ^ x, FOLD);
        } else {
            let mut rest = bytes;
            while rest.len() > 16 {
                h = fold(h ^ word(&rest[..8]), FOLD ^ word(&rest[8..16]));
                rest = &rest[16..];
            }
            let n = bytes.len();
            let first = if rest.len() > 8 { word(&rest[..8]) } else { 0 };
            h = fold(h ^ first, FOLD ^ word(&bytes[n - 8..]));
        }
        self.0 = h;
    }
    #[inline(always)]
    fn write_u8(&mut self, x: u8) {
        self.write_u64(x as u64)
    }
    #[inline(always)]
    fn write_u16(&mut self, x: u16) {
        self.write_u64(x as u64)
    }
    #[inline(always)]
    fn write_u32(&mut self, x: u32) {
        self.write_u64(x as u64)
    }
    #[inline(always)]
    fn write_u64(&mut self, x: u64) {
        self.0 = fold(self.0 ^ x, FOLD);
    }
    #[inline(always)]
    fn write_u128(&mut self, x: u128) {
        self.write_u64(x as u64);
        self.write_u64((x >> 64) as u64);
    }
    #[inline(always)]
    fn write_usize(&mut self, x: usize) {
        self.write_u64(x as u64)
    }
    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Builds [`StableHasher`]s, for `HashMap`s whose layout must be the same in every run.
#[derive(Debug, Clone, Copy, Default)]
pub struct StableState;

impl BuildHasher for StableState {
    type Hasher = StableHasher;
    #[inline(always)]
    fn build_hasher(&self) -> StableHasher {
        StableHasher::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, stored data would be looked for in the wrong partition: raise `HASH_VERSION` instead.
    #[test]
    fn values_are_frozen() {
        assert_eq!(hash_u64(0), hash_of(&0u64));
        assert_eq!(
            [hash_u64(1), hash_of("spark"), hash_of(&(3u32, "x")), hash_bytes(b"a longer text of 29 bytes")],
            [5750530118281505329, 6520014315781263850, 3408842494121453413, 4460626960573197806],
        );
    }

    #[test]
    fn spreads_over_partitions() {
        for parts in [2, 7, 64] {
            let mut seen = vec![0usize; parts];
            (0..10_000u64).for_each(|i| seen[partition_of(hash_u64(i), parts)] += 1);
            let mean = 10_000 / parts;
            assert!(seen.iter().all(|n| *n > mean / 2 && *n < mean * 2), "{parts}: {seen:?}");
        }
    }

    #[test]
    fn short_texts_differ() {
        let mut seen = std::collections::HashSet::new();
        for n in 0..40usize {
            for b in 0..=255u8 {
                assert!(seen.insert(hash_bytes(&vec![b; n])) || n == 0, "{n} x {b}");
            }
        }
    }
}
