//! A batch of records as a record of a dataset.

use crate::format::arrow_ipc::first_batch;
use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// Records of a table: an Arrow batch that caches, shuffles and other processes take.
///
/// Cheap to clone. It travels as an Arrow IPC stream of one batch, which is a copy of its buffers; the schema travels
/// with it, some hundred bytes, so blocks should not be tiny.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordBlock(pub RecordBatch);

impl RecordBlock {
    /// The batch.
    pub fn into_inner(self) -> RecordBatch {
        self.0
    }
}

impl From<RecordBatch> for RecordBlock {
    fn from(batch: RecordBatch) -> Self {
        RecordBlock(batch)
    }
}

impl Deref for RecordBlock {
    type Target = RecordBatch;
    fn deref(&self) -> &RecordBatch {
        &self.0
    }
}

impl Serialize for RecordBlock {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.get_array_memory_size());
        let mut writer = StreamWriter::try_new(&mut bytes, &self.0.schema()).map_err(S::Error::custom)?;
        writer.write(&self.0).and_then(|()| writer.finish()).map_err(S::Error::custom)?;
        drop(writer);
        s.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for RecordBlock {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Stream;
        impl<'de> Visitor<'de> for Stream {
            type Value = RecordBlock;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an Arrow IPC stream of one batch")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<RecordBlock, E> {
                first_batch(bytes).map(RecordBlock).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RecordBlock, A::Error> {
                let mut bytes = vec![];
                while let Some(b) = seq.next_element::<u8>()? {
                    bytes.push(b);
                }
                self.visit_bytes(&bytes).map_err(|e: A::Error| A::Error::custom(e))
            }
        }
        d.deserialize_bytes(Stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn blocks_travel() {
        let columns: [(&str, ArrayRef); 2] = [
            ("x", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
            ("name", Arc::new(StringArray::from(vec!["a", "ß", ""]))),
        ];
        let block = RecordBlock(RecordBatch::try_from_iter(columns).unwrap());
        for block in [block.clone(), RecordBlock(block.slice(1, 1)), RecordBlock(block.slice(0, 0))] {
            let bytes = postcard::to_stdvec(&block).unwrap();
            let back: RecordBlock = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(format!("{back:?}"), format!("{block:?}"));
            // No byte that is wrong makes it panic, or take what is not there.
            for at in 0..bytes.len() {
                for wrong in [0, 0x7f, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                    let mut damaged = bytes.clone();
                    damaged[at] = wrong;
                    let _: Result<RecordBlock, _> = postcard::from_bytes(&damaged);
                }
            }
            for cut in [1, bytes.len() / 2, bytes.len() - 9] {
                assert!(postcard::from_bytes::<RecordBlock>(&bytes[..cut]).is_err());
            }
        }
    }
}
