//! Columns of records as bytes, for the network, for disk and for serialised caches.
//!
//! Numbers are copied as they lie in memory (5-20 GB/s), strings are one arena with end offsets, everything else goes
//! through serde in the postcard format. Which way is taken depends on the type alone, so both sides agree.

use crate::block::pod;
use crate::dataset::lineage::Record;
use std::any::Any;

/// Calls `$f!(type)` for the number types that are copied.
macro_rules! for_each_number {
    ($f:ident) => {
        $f!(u64);
        $f!(f64);
        $f!(u32);
        $f!(f32);
        $f!(i64);
        $f!(i32);
        $f!(u8);
        $f!(u16);
        $f!(i8);
        $f!(i16);
        $f!([u64; 2]);
        $f!([f64; 2]);
    };
}

/// A fingerprint of records in their order, wherever they are cut into chunks.
#[derive(Default)]
pub struct Fingerprint {
    hasher: crc32fast::Hasher,
    records: u64,
    bytes: Vec<u8>,
}

impl Fingerprint {
    /// Adds records.
    pub fn add<T: Record>(&mut self, column: &Vec<T>) -> Result<(), String> {
        self.records += column.len() as u64;
        self.bytes.clear();
        match (column as &dyn Any).downcast_ref::<Vec<String>>() {
            Some(strings) => strings.iter().for_each(|s| {
                self.bytes.extend_from_slice(&(s.len() as u64).to_le_bytes());
                self.bytes.extend_from_slice(s.as_bytes());
            }),
            None => encode(column, &mut self.bytes)?,
        }
        self.hasher.update(&self.bytes);
        Ok(())
    }
    /// The fingerprint.
    pub fn finish(self) -> u64 {
        u64::from(self.hasher.finalize()) ^ self.records.rotate_left(32)
    }
}

/// Appends the records of `column` to `out`.
pub fn encode<T: Record>(column: &Vec<T>, out: &mut Vec<u8>) -> Result<(), String> {
    if size_of::<T>() == 0 {
        return Ok(());
    }
    let any: &dyn Any = column;
    macro_rules! number {
        ($t:ty) => {
            if let Some(numbers) = any.downcast_ref::<Vec<$t>>() {
                out.extend_from_slice(bytemuck::cast_slice(numbers));
                return Ok(());
            }
        };
    }
    for_each_number!(number);
    if let Some(strings) = any.downcast_ref::<Vec<String>>() {
        let mut end = 0u64;
        for s in strings {
            end += s.len() as u64;
            out.extend_from_slice(&end.to_le_bytes());
        }
        strings.iter().for_each(|s| out.extend_from_slice(s.as_bytes()));
        return Ok(());
    }
    for record in column {
        postcard::to_io(record, &mut *out).map_err(|e| format!("a record cannot be written: {e}"))?;
    }
    Ok(())
}

/// Reads `n` records from the front of `bytes` and moves `bytes` on.
pub fn decode<T: Record>(bytes: &mut &[u8], n: usize) -> Result<Vec<T>, String> {
    let mut column: Vec<T> = Vec::new();
    if size_of::<T>() == 0 {
        // A type without a representation has one value; serde makes it from nothing.
        // Made once: a header of damaged bytes may say that there are four thousand million.
        if n > 0 {
            let one: T = postcard::from_bytes(&[]).map_err(|e| e.to_string())?;
            column.resize(n, one);
        }
        return Ok(column);
    }
    let short = || "a frame is shorter than its header says".to_string();
    {
        let any: &mut dyn Any = &mut column;
        macro_rules! number {
            ($t:ty) => {
                if let Some(numbers) = any.downcast_mut::<Vec<$t>>() {
                    let (head, rest) = bytes.split_at_checked(n * size_of::<$t>()).ok_or_else(short)?;
                    *numbers = pod::from_bytes(head).ok_or_else(short)?;
                    *bytes = rest;
                    return Ok(column);
                }
            };
        }
        for_each_number!(number);
        if let Some(strings) = any.downcast_mut::<Vec<String>>() {
            let (ends, rest) = bytes.split_at_checked(8 * n).ok_or_else(short)?;
            let mut from = 0usize;
            strings.reserve_exact(n);
            for end in ends.chunks_exact(8) {
                let end = u64::from_le_bytes(end.try_into().expect("eight bytes")) as usize;
                let text = rest.get(from..end).ok_or_else(short)?;
                strings.push(String::from_utf8(text.to_vec()).map_err(|e| e.to_string())?);
                from = end;
            }
            *bytes = &rest[from..];
            return Ok(column);
        }
    }
    column.reserve_exact(n.min(bytes.len()));
    for _ in 0..n {
        let (record, rest) =
            postcard::take_from_bytes(bytes).map_err(|e| format!("a frame is damaged: {e}"))?;
        column.push(record);
        *bytes = rest;
    }
    Ok(column)
}

/// About how many bytes the records take, heap included. Exact for types without a heap; otherwise from the encoded
/// size of up to sixteen of them, chosen evenly, so it does not depend on anything but the records.
pub fn estimate_bytes<T: Record>(records: &[T]) -> u64 {
    let flat = size_of_val(records) as u64;
    if !std::mem::needs_drop::<T>() || records.is_empty() {
        return flat;
    }
    flat + (heap_bytes_mean(records) * records.len() as f64) as u64
}

/// Mean heap bytes of a record, estimated.
pub fn heap_bytes_mean<T: Record>(records: &[T]) -> f64 {
    /// What an allocation costs beyond its content.
    const ALLOCATION: usize = 16;
    const SAMPLES: usize = 16;
    if !std::mem::needs_drop::<T>() || records.is_empty() {
        return 0.0;
    }
    let step = records.len().div_ceil(SAMPLES);
    let (mut sum, mut n) = (0usize, 0usize);
    for record in records.iter().step_by(step) {
        let encoded = postcard::serialize_with_flavor(record, postcard::ser_flavors::Size::default());
        sum += encoded.unwrap_or(64) + ALLOCATION;
        n += 1;
    }
    sum as f64 / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn round<T: Record + PartialEq + std::fmt::Debug>(column: Vec<T>) {
        let mut bytes = vec![];
        encode(&column, &mut bytes).unwrap();
        bytes.push(7);
        let mut rest = &bytes[..];
        assert_eq!(decode::<T>(&mut rest, column.len()).unwrap(), column);
        assert_eq!(rest, [7]);
        if size_of::<T>() > 0 && !column.is_empty() {
            assert!(decode::<T>(&mut &bytes[..bytes.len() - 2], column.len()).is_err());
        }
    }

    #[test]
    fn records_without_bytes_cost_none() {
        /// Counts how often it is made.
        #[derive(Clone, Serialize)]
        struct Nothing;
        static MADE: AtomicUsize = AtomicUsize::new(0);
        impl<'de> Deserialize<'de> for Nothing {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                MADE.fetch_add(1, Ordering::Relaxed);
                <()>::deserialize(d).map(|()| Nothing)
            }
        }
        // Of a type without a size, any number of records is there at once.
        assert_eq!(decode::<Nothing>(&mut &b""[..], 1 << 20).unwrap().len(), 1 << 20);
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn columns_survive() {
        round(vec![1u64, u64::MAX]);
        round(vec![1.5f32, f32::MAX]);
        round(vec![(); 3]);
        round(vec!["".to_string(), "é".into(), "word".into()]);
        round(vec![(1u32, Some("x".to_string())), (2, None)]);
        round(vec![vec![1u8], vec![]]);
        round(Vec::<String>::new());
    }
}
