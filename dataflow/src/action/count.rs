//! `count`, `is_empty`, `count_by_key`, `count_by_value`, `count_approx_distinct`.

use crate::dataset::Dataset;
use crate::dataset::lineage::{Cursor, Data, Record, Stop};
use crate::error::Result;
use crate::hash::hash_of;
use std::collections::BTreeMap;
use std::hash::Hash;

/// Records of a cursor.
pub(crate) fn count_records<T>(cursor: &mut dyn Cursor<T>) -> Result<u64, Stop> {
    let mut n = 0u64;
    while let Some(chunk) = cursor.next()? {
        n += chunk.len() as u64;
    }
    Ok(n)
}

impl<T: Data> Dataset<T> {
    /// Number of records.
    pub fn count(&self) -> Result<u64> {
        Ok(self.run_action("count", |cursor, _| count_records(cursor))?.iter().sum())
    }
    /// Number of records of each partition.
    pub fn count_partitions(&self) -> Result<Vec<u64>> {
        self.run_action("count", |cursor, _| count_records(cursor))
    }
}

impl<T: Record> Dataset<T> {
    /// True if there are no records. Computes as little as it can.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.take(1)?.is_empty())
    }
}

impl<K: Record + Hash + Eq + Ord, V: Record> Dataset<(K, V)> {
    /// Number of pairs of each key. All keys must fit in memory.
    pub fn count_by_key(&self) -> Result<BTreeMap<K, u64>> {
        let counts = self.map_ref(|(k, _)| (k.clone(), 1u64)).reduce_by_key(|a, b| *a += b).collect()?;
        Ok(counts.into_iter().collect())
    }
}

impl<T: Record + Hash + Eq + Ord> Dataset<T> {
    /// How often each record occurs. All distinct records must fit in memory.
    pub fn count_by_value(&self) -> Result<BTreeMap<T, u64>> {
        self.map(|x| (x, ())).count_by_key()
    }
}

impl<T: Data + Hash> Dataset<T> {
    /// About how many distinct records there are, with a relative error of about `relative_error` (HyperLogLog, Flajolet
    /// et al. 2007, with linear counting below 2.5 registers). Memory: (1.04 / error)^2 bytes a partition.
    ///
    /// # Panics
    /// If the error is not between 0.002 and 0.5.
    pub fn count_approx_distinct(&self, relative_error: f64) -> Result<u64> {
        assert!((0.002..=0.5).contains(&relative_error), "the relative error must be between 0.002 and 0.5");
        let precision = (2.0 * (1.04 / relative_error).log2()).ceil().clamp(4.0, 18.0) as u32;
        let registers = self.aggregate(
            vec![0u8; 1 << precision],
            move |registers, record| {
                // The stable hash, mixed once more: its top bits choose a register, the rest counts zeros.
                let hash = crate::hash::hash_u64(hash_of(record));
                let (i, rest) = ((hash >> (64 - precision)) as usize, hash << precision);
                registers[i] = registers[i].max((rest.leading_zeros() + 1).min(64 - precision + 1) as u8);
            },
            |a, b| a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(b)),
        )?;
        let m = registers.len() as f64;
        let sum: f64 = registers.iter().map(|r| (-(*r as f64)).exp2()).sum();
        let estimate = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let zeros = registers.iter().filter(|r| **r == 0).count() as f64;
        let corrected = if estimate <= 2.5 * m && zeros > 0.0 { m * (m / zeros).ln() } else { estimate };
        Ok(corrected.round() as u64)
    }
}
