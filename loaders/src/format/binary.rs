//! Binary records: so many bytes each, with nothing before, between or after them.
//!
//! **Table.** A column `record` of fixed size. What is in the bytes is for the program to say.
//!
//! # Guarantees
//!
//! The length of a plain file must be a multiple of that of a record, which is checked at once; of a packed one it is an error at its
//! end. Records keep their order; plain files are divided by records.
//!
//! # Cost
//!
//! One pass; a record, or a batch of at most about 4 MiB, in memory.
//!
//! # Failure
//!
//! Data errors only.
//!
//! # References
//!
//! Spark, `SparkContext.binaryRecords`.

use super::records::{RecordReader, RecordSource, batch, describe, field, wanted};
use crate::OnBadRecord;
use crate::codec::Decoder;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{SPLIT_BYTES_MAX, SPLIT_BYTES_MIN, Split};
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use slackwater_dataflow::{BadRecord, Error, Result};
use std::sync::Arc;

/// Files of binary records. See the [module](self).
pub struct BinaryRecords {
    length: usize,
    /// Pieces that begin and end with records.
    splits: Vec<Split>,
    limits: ReadLimits,
}

/// Longest record.
pub const RECORD_BYTES_MAX: usize = 1 << 28;

impl BinaryRecords {
    /// Divides files of records of `length` bytes into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// Config, for a length of 0 or beyond [`RECORD_BYTES_MAX`]; data, for a plain file whose length does not fit.
    pub fn open(files: &[InputFile], length: usize, limits: ReadLimits, min_splits: usize) -> Result<Self> {
        if !(1..=RECORD_BYTES_MAX).contains(&length) {
            return Err(Error::config("length", format!("must be 1 to {RECORD_BYTES_MAX} bytes")));
        }
        let total: u64 = files.iter().map(InputFile::bytes).sum();
        let target = total.div_ceil(min_splits.max(1) as u64).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES_MAX);
        let mut splits = vec![];
        for file in files {
            if !file.is_splittable() {
                splits.push(Split::whole(file.clone()));
                continue;
            }
            let records = file.bytes() / length as u64;
            if file.bytes() % length as u64 != 0 {
                return Err(odd(file, file.bytes(), length));
            }
            let pieces = file.bytes().div_ceil(target).min(records);
            let cut =
                |k: u64| (u128::from(records) * u128::from(k) / u128::from(pieces)) as u64 * length as u64;
            splits.extend((0..pieces).map(|k| Split::new(file.clone(), cut(k), cut(k + 1))));
        }
        if splits.is_empty() {
            splits.extend(files.first().cloned().map(Split::whole));
        }
        Ok(BinaryRecords { length, splits, limits })
    }
    /// As a table with a column `record`.
    pub fn into_table(self) -> BinaryTable {
        let record = field("record", DataType::FixedSizeBinary(self.length as i32));
        BinaryTable { schema: Arc::new(Schema::new(vec![record])), records: self }
    }
    fn reader(&self, piece: usize) -> Result<BinaryReader> {
        let split = &self.splits[piece];
        Ok(BinaryReader {
            decoder: Decoder::open_at(split.file(), split.start()..split.end(), self.limits.expansion)?,
            split: split.clone(),
            length: self.length,
            read: 0,
        })
    }
}

/// Binary records as a table. See the [module](self).
pub struct BinaryTable {
    schema: SchemaRef,
    records: BinaryRecords,
}

impl TableSource for BinaryTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.records.pieces()
    }
    fn describe(&self) -> String {
        self.records.describe()
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(Batches {
            reader: self.records.reader(piece)?,
            schema: scan.schema(&self.schema),
            columns: wanted(scan, &self.schema).len(),
        }))
    }
}

const BATCH_BYTES: usize = 4 << 20;

struct Batches {
    reader: BinaryReader,
    schema: SchemaRef,
    /// How often the one column is wanted.
    columns: usize,
}

impl BatchReader for Batches {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        let length = self.reader.length;
        let bytes = self.reader.take((BATCH_BYTES / length).clamp(1, BATCH_ROWS))?;
        let rows = bytes.len() / length;
        if rows == 0 {
            return Ok(None);
        }
        let column = FixedSizeBinaryArray::try_new(length as i32, bytes.into(), None)
            .map_err(|e| Error::usage(format!("records of {length} bytes: {e}")))?;
        let column: ArrayRef = Arc::new(column);
        batch(&self.schema, vec![column; self.columns], rows).map(Some)
    }
}

fn odd(file: &InputFile, bytes: u64, length: usize) -> Error {
    let message = format!("{bytes} bytes are not a multiple of {length}, the length of a record");
    BadRecord::at(file.name(), 0, 0, message)
        .hint("the length is wrong, or the file was not copied or downloaded to its end")
        .into()
}

impl RecordSource for BinaryRecords {
    type Record = Vec<u8>;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("binary records", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Vec<u8>>>> {
        Ok(Box::new(self.reader(piece)?))
    }
}

struct BinaryReader {
    decoder: Decoder,
    split: Split,
    length: usize,
    /// Bytes read of the piece.
    read: u64,
}

impl BinaryReader {
    /// The bytes of up to `records` records; none at the end.
    fn take(&mut self, records: usize) -> Result<Vec<u8>> {
        let file = self.split.file();
        let mut want = records * self.length;
        if file.is_splittable() {
            want = want.min(usize::try_from(self.split.bytes() - self.read).unwrap_or(usize::MAX));
        }
        let mut bytes = vec![];
        self.decoder.read_up_to(&mut bytes, want)?;
        self.read += bytes.len() as u64;
        match bytes.len() % self.length {
            0 => Ok(bytes),
            _ => Err(odd(file, self.read, self.length)),
        }
    }
}

impl RecordReader for BinaryReader {
    type Record = Vec<u8>;
    fn next_record(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.take(1)?).filter(|record| !record.is_empty()))
    }
    /// A batch has fewer of long records.
    fn read_into(
        &mut self,
        into: &mut Vec<Vec<u8>>,
        rows_max: usize,
        _: &mut OnBadRecord<'_>,
    ) -> Result<usize> {
        let bytes = self.take((BATCH_BYTES / self.length).clamp(1, rows_max.max(1)))?;
        into.extend(bytes.chunks_exact(self.length).map(<[u8]>::to_vec));
        Ok(bytes.len() / self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{read, read_table};
    use super::*;
    use arrow_array::cast::AsArray;

    #[test]
    fn records_have_their_length() {
        let open = |bytes: &[u8], length| {
            BinaryRecords::open(&[InputFile::from_bytes("t", bytes)], length, ReadLimits::default(), 4)
        };
        assert_eq!(read(&open(b"abcdef", 2).unwrap()).unwrap().0, [b"ab", b"cd", b"ef"]);
        assert_eq!(read(&open(b"", 2).unwrap()).unwrap().0, [b""; 0]);
        let (batches, _) = read_table(&open(b"abcdef", 3).unwrap().into_table(), &Scan::default()).unwrap();
        assert_eq!(batches[0].column(0).as_fixed_size_binary().value(1), b"def");
        let e = |result: Result<BinaryRecords>| result.map(|_| ()).unwrap_err().to_string();
        assert!(e(open(b"abc", 2)).starts_with("t: 3 bytes are not a multiple of 2"));
        assert!(e(open(b"abc", 0)).contains("must be 1 to"));
        let packed = open(&zstd::encode_all(&b"abc"[..], 1).unwrap(), 2).unwrap();
        assert!(read(&packed).unwrap_err().to_string().starts_with("t: 3 bytes are not a multiple of 2"));
        let large: Vec<u8> = (0..700_000u32).map(|i| i as u8).collect();
        let pieces = open(&large, 7).unwrap();
        let (records, _) = read(&pieces).unwrap();
        assert_eq!((pieces.pieces() > 1, records.concat()), (true, large.clone()));
        let (batches, _) = read_table(&pieces.into_table(), &Scan::default()).unwrap();
        let columns = batches.iter().map(|b| b.column(0).as_fixed_size_binary());
        assert_eq!(
            columns.flat_map(|c| c.iter().flatten().collect::<Vec<_>>().concat()).collect::<Vec<_>>(),
            large
        );
    }
}
