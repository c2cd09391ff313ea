//! Arrays of plain numbers as bytes, for `serde` and for frames: a copy, not a conversion per element.
//!
//! The format is little endian; the crate does not build for big endian machines.

use bytemuck::Pod;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use std::marker::PhantomData;

#[cfg(target_endian = "big")]
compile_error!("frames are little endian");

/// `#[serde(with = "pod")]`: writes a `Vec` of numbers as one byte string.
pub fn serialize<S: Serializer, T: Pod>(v: &[T], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_bytes(bytemuck::cast_slice(v))
}

/// `#[serde(with = "pod")]`: reads what [`serialize`] wrote, at any alignment.
pub fn deserialize<'de, D: Deserializer<'de>, T: Pod>(d: D) -> Result<Vec<T>, D::Error> {
    struct Bytes<T>(PhantomData<T>);
    impl<'de, T: Pod> Visitor<'de> for Bytes<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the bytes of an array of numbers")
        }
        fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
            from_bytes(bytes).ok_or_else(|| E::custom("length is not a multiple of the element size"))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1 << 20));
            while let Some(b) = seq.next_element::<u8>()? {
                bytes.push(b);
            }
            from_bytes(&bytes).ok_or_else(|| A::Error::custom("length is not a multiple of the element size"))
        }
    }
    d.deserialize_bytes(Bytes(PhantomData))
}

/// Copies bytes at any alignment into an array. `None` if the length does not fit.
pub fn from_bytes<T: Pod>(bytes: &[u8]) -> Option<Vec<T>> {
    if size_of::<T>() == 0 || !bytes.len().is_multiple_of(size_of::<T>()) {
        return None;
    }
    let mut v = vec![T::zeroed(); bytes.len() / size_of::<T>()];
    bytemuck::cast_slice_mut::<T, u8>(&mut v).copy_from_slice(bytes);
    Some(v)
}
