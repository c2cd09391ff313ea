//! One message of an Arrow file or stream, checked before it is decoded.

use crate::codec::ExpansionLimit;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{DataType, Field, SchemaRef};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// Most rows of a batch of no bytes.
const ROWS_WITHOUT_BYTES_MAX: i64 = 1 << 24;

/// What a message held.
pub(super) enum Decoded {
    Batch(RecordBatch),
    /// A dictionary, which the decoder keeps, or nothing.
    Other,
}

/// Decodes messages in their order.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Option<Vec<usize>>,
    dictionaries: HashMap<i64, ArrayRef>,
}

/// The schema of a message.
pub(super) fn schema(found: arrow_ipc::Schema<'_>) -> Result<SchemaRef, String> {
    if found.endianness() == arrow_ipc::Endianness::Big {
        return Err("it was written on a big-endian machine".to_string());
    }
    let schema = arrow_ipc::convert::try_fb_to_schema(found).map_err(|e| e.to_string())?;
    schema.fields().iter().try_for_each(|f| depth_holds(f, 0))?;
    Ok(Arc::new(schema))
}

/// How deep types may be nested: what reads them is recursive.
const DEPTH_MAX: usize = 64;

fn depth_holds(field: &Field, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("its types are nested too deep".to_string());
    }
    match field.data_type() {
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::FixedSizeList(f, _)
        | DataType::ListView(f)
        | DataType::LargeListView(f)
        | DataType::Map(f, _) => depth_holds(f, depth + 1),
        DataType::Struct(fields) => fields.iter().try_for_each(|f| depth_holds(f, depth + 1)),
        DataType::Union(fields, _) => fields.iter().try_for_each(|(_, f)| depth_holds(f, depth + 1)),
        _ => Ok(()),
    }
}

/// What is in a frame: without the mark and the length before it.
pub(super) fn unframed(header: &[u8]) -> &[u8] {
    const MARK: [u8; 4] = [0xff; 4];
    let skipped = if header.starts_with(&MARK) { 8 } else { 4 };
    header.get(skipped..).unwrap_or_default()
}

impl Decoder {
    pub(super) fn new(schema: SchemaRef, columns: Option<Vec<usize>>) -> Self {
        Decoder { schema, columns, dictionaries: HashMap::new() }
    }

    /// Decodes a message: its header, a flatbuffer, and its body.
    pub(super) fn decode(&mut self, header: &[u8], body: Bytes) -> Result<Decoded, String> {
        let message = root_as_message(header).map_err(|e| format!("a message: {e}"))?;
        let body = Buffer::from(body);
        let failed = |e: arrow_schema::ArrowError| e.to_string();
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch().ok_or("a batch without a header")?;
                check(&batch, &body)?;
                let version = message.version();
                let columns = self.columns.as_deref();
                let batch = read_record_batch(
                    &body,
                    batch,
                    self.schema.clone(),
                    &self.dictionaries,
                    columns,
                    &version,
                );
                batch.map(Decoded::Batch).map_err(failed)
            }
            MessageHeader::DictionaryBatch => {
                let batch = message.header_as_dictionary_batch().ok_or("a dictionary without a header")?;
                check(&batch.data().ok_or("a dictionary without data")?, &body)?;
                let version = message.version();
                read_dictionary(&body, batch, &self.schema, &mut self.dictionaries, &version)
                    .map_err(failed)?;
                Ok(Decoded::Other)
            }
            other => Err(format!("a message of kind {other:?} where a batch should be")),
        }
    }
}

/// What a batch says of its sizes must be possible: nothing is allocated by a claim alone.
fn check(batch: &arrow_ipc::RecordBatch<'_>, body: &Buffer) -> Result<(), String> {
    let limit = ExpansionLimit::default();
    let mut unpacked = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let (from, length) = (buffer.offset(), buffer.length());
        let bytes = usize::try_from(from).ok().zip(usize::try_from(length).ok());
        let bytes = bytes.and_then(|(from, length)| body.get(from..from.checked_add(length)?));
        let bytes = bytes.ok_or("a buffer is outside of its message")?;
        let claimed = match (batch.compression(), bytes) {
            (Some(_), [a, b, c, d, e, f, g, h, ..]) => {
                match i64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) {
                    // Not packed, since that would have been longer.
                    -1 => bytes.len() as u64,
                    n => u64::try_from(n).map_err(|_| "a packed buffer of a negative size")?,
                }
            }
            _ => bytes.len() as u64,
        };
        let most = (bytes.len() as u64).saturating_mul(limit.ratio_max).max(limit.free_bytes);
        unpacked = unpacked.saturating_add(claimed);
        if claimed > most || unpacked > limit.bytes_max {
            return Err(format!("a buffer of {} bytes says that it unpacks to {claimed}", bytes.len()));
        }
    }
    let total = (body.len() as u64).saturating_mul(limit.ratio_max).max(limit.free_bytes);
    if unpacked > total {
        return Err(format!("a message of {} bytes says that it unpacks to {unpacked}", body.len()));
    }
    // Nulls have no buffers; all else has a bit a row at least.
    let bits = i64::try_from(unpacked).unwrap_or(i64::MAX).saturating_mul(8);
    let most = bits.max(ROWS_WITHOUT_BYTES_MAX);
    let nodes = batch.nodes();
    let lengths = nodes.iter().flatten().map(|n| n.length());
    if std::iter::once(batch.length()).chain(lengths).any(|n| !(0..=most).contains(&n)) {
        return Err("a batch has more rows than bytes for them".to_string());
    }
    Ok(())
}
