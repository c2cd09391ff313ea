//! MurmurHash3 of 32 bits: Vowpal Wabbit numbers features by it, and Spark hashes texts.
//!
//! From: Appleby, MurmurHash3 (`MurmurHash3_x86_32`, public domain).

/// MurmurHash3 for x86, 32 bits.
pub(crate) fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |k: u32| k.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut h = seed;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        h = (h ^ mix(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let k = tail.iter().rev().fold(0, |k, b| (k << 8) | u32::from(*b));
        h ^= mix(k);
    }
    h ^= bytes.len() as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the test vectors of its author and others.
    #[test]
    fn murmur_has_its_published_values() {
        assert_eq!(murmur3(b"", 0), 0);
        assert_eq!(murmur3(b"", 1), 0x514e_28b7);
        assert_eq!(murmur3(b"\xff\xff\xff\xff", 0), 0x7629_3b50);
        assert_eq!(murmur3(b"!Ce\x87", 0), 0xf55b_516b);
        assert_eq!(murmur3(b"!Ce", 0), 0x7e4a_8634);
    }

    /// PyPI's mmh3: `mmh3.hash(text, 42, signed=False)`.
    #[test]
    fn murmur_has_the_values_of_mmh3() {
        for (text, want) in [
            ("", 142_593_372),
            ("a", 3_001_393_763),
            ("ab", 3_610_054_215),
            ("hello", 3_806_057_185),
            ("hello, world", 2_127_021_762),
        ] {
            assert_eq!(murmur3(text.as_bytes(), 42), want, "{text}");
        }
    }
}
