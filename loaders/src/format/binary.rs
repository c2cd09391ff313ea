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

use super::records::{RecordReader, RecordSource, RecordTable, describe, field};
use crate::OnBadRecord;
use crate::codec::Decoder;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{SPLIT_BYTES_MAX, SPLIT_BYTES_MIN, Split};
use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_schema::DataType;
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
    ///
    /// # Errors
    /// None that a length in range could give.
    pub fn into_table(self) -> RecordTable<BinaryRecords> {
        let length = self.length as i32;
        let columns = vec![field("record", DataType::FixedSizeBinary(length))];
        RecordTable::new(self, columns, move |records: &[Vec<u8>], _| {
            let mut column = FixedSizeBinaryBuilder::with_capacity(records.len(), length);
            for record in records {
                column.append_value(record).expect("records have the length of the column");
            }
            Arc::new(column.finish())
        })
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
        let split = &self.splits[piece];
        Ok(Box::new(BinaryReader {
            decoder: Decoder::open_at(split.file(), split.start(), self.limits.expansion)?,
            split: split.clone(),
            length: self.length,
            read: 0,
        }))
    }
}

struct BinaryReader {
    decoder: Decoder,
    split: Split,
    length: usize,
    /// Bytes read of the piece.
    read: u64,
}

impl RecordReader for BinaryReader {
    type Record = Vec<u8>;
    fn next_record(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<Vec<u8>>> {
        let file = self.split.file();
        if file.is_splittable() && self.read >= self.split.bytes() {
            return Ok(None);
        }
        let mut record = vec![];
        self.decoder.read_up_to(&mut record, self.length)?;
        self.read += record.len() as u64;
        match record.len() {
            0 => Ok(None),
            n if n == self.length => Ok(Some(record)),
            _ => Err(odd(file, self.read, self.length)),
        }
    }
    /// A batch has fewer of long records.
    fn read_into(
        &mut self,
        into: &mut Vec<Vec<u8>>,
        rows_max: usize,
        on_bad: &mut OnBadRecord<'_>,
    ) -> Result<usize> {
        const BATCH_BYTES: usize = 4 << 20;
        let rows_max = rows_max.min((BATCH_BYTES / self.length).max(1));
        let before = into.len();
        while into.len() - before < rows_max {
            match self.next_record(on_bad)? {
                Some(record) => into.push(record),
                None => break,
            }
        }
        Ok(into.len() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{read, read_table};
    use super::*;
    use crate::table::Scan;
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
        assert_eq!((pieces.pieces() > 1, records.concat()), (true, large));
    }
}
