//! The hash by which Vowpal Wabbit numbers features: MurmurHash3 of 32 bits, and numbers as they are.
//!
//! From: Appleby, MurmurHash3 (`MurmurHash3_x86_32`, public domain); Vowpal Wabbit 9, `--hash strings`, its default.

/// MurmurHash3 for x86, 32 bits.
pub(super) fn murmur3(bytes: &[u8], seed: u32) -> u32 {
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

/// The hash of a name with that of what it is in: digits count as their number, all else is hashed.
pub(super) fn hash(name: &[u8], seed: u64) -> u64 {
    if name.iter().all(u8::is_ascii_digit) {
        let number = name.iter().fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')));
        return number.wrapping_add(seed);
    }
    u64::from(murmur3(name, seed as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Vowpal Wabbit 9.11.9 says: `hash_space` for the first two, `hash_feature` for the others.
    #[test]
    fn hashes_are_those_of_vowpal_wabbit() {
        assert_eq!((hash(b"f", 0), hash(b"hello", 0)), (728_008_763, 613_153_351));
        let mask = (1 << 18) - 1;
        for (name, seed, want) in [
            ("f", 0, 34_875),
            ("hello", 0, 260_679),
            ("price", 1234, 7058),
            ("größe", 7, 87_506),
            ("abcdefgh", 4_294_967_295, 206_439),
            ("123", 0, 123),
            ("123", 99, 222),
            ("0042", 1, 43),
            ("a b", 3, 87_716),
            ("12345678901234567890123", 5, 148_688),
        ] {
            assert_eq!(hash(name.as_bytes(), seed) & mask, want, "{name} {seed}");
        }
    }

    /// Of the test vectors of its author and others.
    #[test]
    fn murmur_has_its_published_values() {
        assert_eq!(murmur3(b"", 0), 0);
        assert_eq!(murmur3(b"", 1), 0x514e_28b7);
        assert_eq!(murmur3(b"\xff\xff\xff\xff", 0), 0x7629_3b50);
        assert_eq!(murmur3(b"!Ce\x87", 0), 0xf55b_516b);
        assert_eq!(murmur3(b"!Ce", 0), 0x7e4a_8634);
    }
}
