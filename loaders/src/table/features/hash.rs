//! MurmurHash3, 32 bits, of bytes.
//!
//! From: Appleby, MurmurHash3 (`MurmurHash3_x86_32`, public domain); Spark hashes texts with it, seed 42.

/// Spark's seed.
const SEED: u32 = 42;

/// The hash of `bytes`.
pub(super) fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut h = SEED;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        h = (h ^ mix(u32::from_le_bytes(*word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let k = rest.iter().rev().fold(0u32, |k, b| (k << 8) | u32::from(*b));
        h ^= mix(k);
    }
    h ^= bytes.len() as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// The place of a text in one of `buckets` features, as in Spark: a hash with a sign, and a remainder without one.
pub(super) fn bucket(column: &str, text: &str, buckets: u32) -> u32 {
    let hash = murmur3(format!("{column}={text}").as_bytes()) as i32;
    (i64::from(hash)).rem_euclid(i64::from(buckets)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyPI's mmh3: `mmh3.hash(text, 42, signed=False)`.
    #[test]
    fn hashes_are_those_of_others() {
        for (text, want) in [
            ("", 142_593_372),
            ("a", 3_001_393_763),
            ("ab", 3_610_054_215),
            ("hello", 3_806_057_185),
            ("hello, world", 2_127_021_762),
        ] {
            assert_eq!(murmur3(text.as_bytes()), want, "{text}");
        }
        // The example in the documentation of Spark's FeatureHasher, 2^18 features: stringNum=1 and string=foo.
        assert_eq!(bucket("stringNum", "1", 1 << 18), 262_126);
        assert_eq!(bucket("string", "foo", 1 << 18), 257_907);
    }
}
