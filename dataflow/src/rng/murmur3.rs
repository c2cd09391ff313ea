//! MurmurHash3, x86, 32 bits (Appleby 2008, public domain): what Spark seeds its generators and hashes features with.

/// Hash of a byte string.
pub fn hash32(bytes: &[u8], seed: u32) -> u32 {
    let mix = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut h = seed;
    let mut words = bytes.chunks_exact(4);
    for w in &mut words {
        h = (h ^ mix(u32::from_le_bytes(w.try_into().expect("four bytes")))).rotate_left(13);
        h = h.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let k = tail.iter().rev().fold(0u32, |k, b| k << 8 | *b as u32);
        h ^= mix(k);
    }
    h ^= bytes.len() as u32;
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

#[cfg(test)]
mod tests {
    /// Vectors of the reference implementation's test suite.
    #[test]
    fn reference_vectors() {
        assert_eq!(super::hash32(b"", 0), 0);
        assert_eq!(super::hash32(b"", 1), 0x514e_28b7);
        assert_eq!(super::hash32(b"test", 0x9747_b28c), 0x704b_81dc);
        assert_eq!(super::hash32(b"Hello, world!", 0x9747_b28c), 0x2488_4cba);
    }
}
