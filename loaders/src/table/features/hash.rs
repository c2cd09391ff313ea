//! Places of texts among features that all texts share.
//!
//! From: Spark 3, `org.apache.spark.ml.feature.FeatureHasher`.

use crate::murmur::murmur3;

/// Spark's seed.
const SEED: u32 = 42;

/// The place of a text in one of `buckets` features: a hash with a sign, and a remainder without one.
pub(super) fn bucket(column: &str, text: &str, buckets: u32) -> u32 {
    let hash = murmur3(format!("{column}={text}").as_bytes(), SEED) as i32;
    i64::from(hash).rem_euclid(i64::from(buckets)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in Spark's documentation, 2^18 features: of `stringNum` 1 and `string` foo.
    #[test]
    fn places_are_those_of_spark() {
        assert_eq!(bucket("stringNum", "1", 1 << 18), 262_126);
        assert_eq!(bucket("string", "foo", 1 << 18), 257_907);
    }
}
