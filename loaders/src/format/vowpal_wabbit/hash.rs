//! The hash by which Vowpal Wabbit numbers features: MurmurHash3 of 32 bits, and numbers as they are.
//!
//! From: Appleby, MurmurHash3 (`MurmurHash3_x86_32`, public domain); Vowpal Wabbit 9, `--hash strings`, its default.

use crate::murmur::murmur3;

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
}
