//! IDX: arrays of numbers in bytes, as of MNIST's images and labels.
//!
//! # Grammar
//!
//! ```text
//! file    = 0 0 type n size{n} element{size1 * size2 * ...}
//! type    = 0x08 | 0x09 | 0x0b | 0x0c | 0x0d | 0x0e     u8, i8, i16, i32, f32, f64
//! n       = 1 to 4, one byte;  size = 32 bits
//! ```
//!
//! All big endian. The first size counts records; the others are the shape of one, whose elements are given row by row as one list.
//! A file of labels, which has one size, can be zipped with one of images.
//!
//! **Table.** `values`, a list of fixed size of the element type, a record a row; of a file with one size `value`, a number; with labels
//! `label` before it.
//!
//! # Guarantees
//!
//! A plain file must have as many bytes as its head says, which is checked before anything is made of its sizes; of a packed one
//! memory grows with what is there, and what is missing or too much is an error at its end. Elements keep their bits.
//!
//! # Cost
//!
//! One pass, and a batch of at most about 4 MiB, or one record. Plain files are divided by records; packed ones are one piece.
//!
//! # Failure
//!
//! Data errors only: there are no bad records in a file of numbers.
//!
//! # References
//!
//! LeCun, Cortes and Burges, The MNIST database, section "File formats".

use super::records::{batch, field, wanted};
use crate::OnBadRecord;
use crate::codec::Decoder;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{SPLIT_BYTES_MAX, SPLIT_BYTES_MIN};
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    RecordBatch, UInt8Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use slackwater_dataflow::{BadRecord, Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 8 bits without a sign.
    U8,
    /// 8 bits.
    I8,
    /// 16 bits.
    I16,
    /// 32 bits.
    I32,
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
}

impl Element {
    fn from_code(code: u8) -> Option<Element> {
        Some(match code {
            0x08 => Element::U8,
            0x09 => Element::I8,
            0x0b => Element::I16,
            0x0c => Element::I32,
            0x0d => Element::F32,
            0x0e => Element::F64,
            _ => return None,
        })
    }
    fn bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::I16 => 2,
            Element::I32 | Element::F32 => 4,
            Element::F64 => 8,
        }
    }
    fn data_type(self) -> DataType {
        match self {
            Element::U8 => DataType::UInt8,
            Element::I8 => DataType::Int8,
            Element::I16 => DataType::Int16,
            Element::I32 => DataType::Int32,
            Element::F32 => DataType::Float32,
            Element::F64 => DataType::Float64,
        }
    }
    fn array(self, bytes: &[u8]) -> ArrayRef {
        fn all<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|b| from(*b)).collect()
        }
        match self {
            Element::U8 => Arc::new(UInt8Array::from(bytes.to_vec())),
            Element::I8 => Arc::new(Int8Array::from(all(bytes, i8::from_be_bytes))),
            Element::I16 => Arc::new(Int16Array::from(all(bytes, i16::from_be_bytes))),
            Element::I32 => Arc::new(Int32Array::from(all(bytes, i32::from_be_bytes))),
            Element::F32 => Arc::new(Float32Array::from(all(bytes, f32::from_be_bytes))),
            Element::F64 => Arc::new(Float64Array::from(all(bytes, f64::from_be_bytes))),
        }
    }
}

/// A file and what its head says.
#[derive(Debug, Clone)]
struct IdxFile {
    file: InputFile,
    element: Element,
    sizes: Vec<u32>,
    /// Elements of a record, which a list of fixed size can have.
    width: i32,
    limits: ReadLimits,
}

const SIZES_MAX: usize = 4;

impl IdxFile {
    fn open(file: &InputFile, limits: ReadLimits) -> Result<IdxFile> {
        let refuse = |message: String, hint: &str| -> Error {
            BadRecord::at(file.name(), 0, 0, message).hint(hint).into()
        };
        const FORM: &str = "an IDX file begins with two zeros, a type, and the number of its sizes, 1 to 4";
        let mut decoder = Decoder::open(file, limits.expansion)?;
        let mut head = vec![];
        decoder.read_up_to(&mut head, 4)?;
        let &[0, 0, code, count @ 1..=4] = &head[..] else {
            let message = format!("`{}` is not the start of an IDX file", head.escape_ascii());
            return Err(refuse(message, FORM));
        };
        let Some(element) = Element::from_code(code) else {
            return Err(refuse(
                format!("there is no type 0x{code:02x} of elements"),
                "types are 8, 9, 11, 12, 13, 14",
            ));
        };
        debug_assert!(usize::from(count) <= SIZES_MAX);
        let count = usize::from(count);
        decoder.read_up_to(&mut head, 4 * count)?;
        let sizes: Vec<u32> = head[4..].as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b)).collect();
        if sizes.len() < count {
            return Err(refuse("the file ends within its head".to_string(), FORM));
        }
        // Four factors below 2^32.
        let width: u128 = sizes[1..].iter().map(|s| u128::from(*s)).product();
        let width = i32::try_from(width).ok().filter(|w| *w > 0).ok_or_else(|| {
            refuse(format!("a record of {width} elements"), "a record has at least one, and fewer than 2^31")
        })?;
        let array = IdxFile { file: file.clone(), element, sizes, width, limits };
        // Beyond 64 bits for sizes that make no sense.
        let body = u128::from(array.records()) * array.record_bytes() as u128;
        let want = u128::from(array.head_bytes()) + body;
        if file.is_splittable() && u128::from(file.bytes()) != want {
            let message = format!(
                "the head says that the file has {want} bytes ({} records of {} bytes), and it has {}",
                array.records(),
                array.record_bytes(),
                file.bytes()
            );
            return Err(refuse(message, "the file was probably not copied or downloaded to its end"));
        }
        Ok(array)
    }
    fn records(&self) -> u32 {
        self.sizes[0]
    }
    fn head_bytes(&self) -> u64 {
        4 + 4 * self.sizes.len() as u64
    }
    /// At most 2^31 times 8.
    fn record_bytes(&self) -> usize {
        self.width as usize * self.element.bytes()
    }
    /// A reader that stands at the first of some records, which is that of the file if it is packed.
    fn at(&self, records: Range<u32>) -> Result<Decoder> {
        if self.file.is_splittable() {
            let at = |record: u32| self.head_bytes() + u64::from(record) * self.record_bytes() as u64;
            return Decoder::open_at(&self.file, at(records.start)..at(records.end), self.limits.expansion);
        }
        let mut decoder = Decoder::open(&self.file, self.limits.expansion)?;
        decoder.read_up_to(&mut vec![], self.head_bytes() as usize)?;
        Ok(decoder)
    }
    /// The bytes of `records` records.
    fn read(&self, decoder: &mut Decoder, records: usize) -> Result<Vec<u8>> {
        let (mut bytes, want) = (vec![], records * self.record_bytes());
        decoder.read_up_to(&mut bytes, want)?;
        if bytes.len() < want {
            let message =
                format!("the head says that there are {} records, and the file ends before", self.records());
            let hint = "the file was probably not copied or downloaded to its end";
            return Err(BadRecord::at(self.file.name(), 0, 0, message).hint(hint).into());
        }
        Ok(bytes)
    }
    fn check_end(&self, decoder: &mut Decoder) -> Result<()> {
        match decoder.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => {
                let message = format!("the file goes on after its {} records", self.records());
                let hint = "the head is wrong, or two files were joined";
                Err(BadRecord::at(self.file.name(), 0, 0, message).hint(hint).into())
            }
        }
    }
    /// A column of records.
    fn column(&self, bytes: &[u8]) -> Result<ArrayRef> {
        let values = self.element.array(bytes);
        if self.sizes.len() == 1 {
            return Ok(values);
        }
        let list = FixedSizeListArray::try_new(self.item(), self.width, values, None);
        list.map(|list| Arc::new(list) as ArrayRef)
            .map_err(|e| Error::usage(format!("a list of {} elements: {e}", self.width)))
    }
    fn item(&self) -> Arc<Field> {
        Arc::new(Field::new_list_field(self.element.data_type(), false))
    }
    fn field(&self) -> Field {
        match self.sizes.len() {
            1 => field("value", self.element.data_type()),
            _ => field("values", DataType::FixedSizeList(self.item(), self.width)),
        }
    }
}

/// IDX files as a table. See the [module](self).
pub struct IdxTable {
    schema: SchemaRef,
    values: IdxFile,
    labels: Option<IdxFile>,
    pieces: u32,
}

impl IdxTable {
    /// Reads the heads, and divides plain files into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that does not fit the file, or labels that do not fit the records.
    pub fn open(
        values: &InputFile,
        labels: Option<&InputFile>,
        limits: ReadLimits,
        min_splits: usize,
    ) -> Result<Self> {
        let values = IdxFile::open(values, limits)?;
        let labels = labels.map(|file| IdxFile::open(file, limits)).transpose()?;
        let mut columns = vec![];
        if let Some(labels) = &labels {
            let name = labels.file.name();
            if labels.sizes.len() != 1 {
                let message = format!("labels have one size, and this file has {}", labels.sizes.len());
                return Err(BadRecord::at(name, 0, 0, message)
                    .hint("the files of images and labels were given in the wrong order?")
                    .into());
            }
            if labels.records() != values.records() {
                let message =
                    format!("there are {} labels, and {} records", labels.records(), values.records());
                return Err(BadRecord::at(name, 0, 0, message)
                    .hint("do the two files belong together?")
                    .into());
            }
            columns.push(field("label", labels.element.data_type()));
        }
        columns.push(values.field());
        let splittable =
            values.file.is_splittable() && labels.as_ref().is_none_or(|l| l.file.is_splittable());
        let bytes = values.file.bytes();
        let target = bytes.div_ceil(min_splits.max(1) as u64).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES_MAX);
        let pieces =
            if splittable { bytes.div_ceil(target).clamp(1, u64::from(values.records()).max(1)) } else { 1 };
        // No more than there are records.
        let pieces = pieces as u32;
        Ok(IdxTable { schema: Arc::new(Schema::new(columns)), values, labels, pieces })
    }
    /// How many records there are.
    pub fn records(&self) -> u32 {
        self.values.records()
    }
    /// The shape of a record: no size, or one to three.
    pub fn shape(&self) -> &[u32] {
        &self.values.sizes[1..]
    }
    /// What an element of a record is.
    pub fn element(&self) -> Element {
        self.values.element
    }
    fn cut(&self, piece: u32) -> u32 {
        (u64::from(self.records()) * u64::from(piece) / u64::from(self.pieces)) as u32
    }
}

impl TableSource for IdxTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.pieces as usize
    }
    fn describe(&self) -> String {
        let labels =
            self.labels.as_ref().map_or(String::new(), |l| format!(" with labels {}", l.file.name()));
        format!("IDX {}{labels}, {} bytes", self.values.file.name(), self.values.file.bytes())
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let (at, end) = (self.cut(piece as u32), self.cut(piece as u32 + 1));
        let columns = wanted(scan, &self.schema);
        // What no column asks for is not read.
        let values_column = usize::from(self.labels.is_some());
        let mut parts = vec![];
        for (array, column) in self.labels.iter().map(|l| (l, 0)).chain([(&self.values, values_column)]) {
            if columns.contains(&column) {
                parts.push((array.clone(), array.at(at..end)?, column));
            }
        }
        Ok(Box::new(IdxReader { parts, at, end, schema: scan.schema(&self.schema), columns }))
    }
}

struct IdxReader {
    /// Each file that is read, and the column of the table that it is.
    parts: Vec<(IdxFile, Decoder, usize)>,
    at: u32,
    end: u32,
    schema: SchemaRef,
    columns: Vec<usize>,
}

const BATCH_BYTES: usize = 4 << 20;

impl BatchReader for IdxReader {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        if self.at == self.end {
            for (array, decoder, _) in &mut self.parts {
                if self.end == array.records() {
                    array.check_end(decoder)?;
                }
            }
            return Ok(None);
        }
        let largest = self.parts.iter().map(|(array, ..)| array.record_bytes()).max().unwrap_or(1);
        let rows = (BATCH_BYTES / largest).clamp(1, BATCH_ROWS).min((self.end - self.at) as usize);
        let mut read = vec![];
        for (array, decoder, column) in &mut self.parts {
            let bytes = array.read(decoder, rows)?;
            read.push((*column, array.column(&bytes)?));
        }
        self.at += rows as u32;
        let column = |wanted: &usize| {
            let found = read.iter().find(|(column, _)| column == wanted);
            found.map(|(_, array)| array.clone()).expect("what is asked for was read")
        };
        let columns: Vec<ArrayRef> = self.columns.iter().map(column).collect();
        debug_assert!(columns.iter().all(|c| c.len() == rows));
        batch(&self.schema, columns, rows).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read_table;
    use super::*;
    use proptest::prelude::*;

    fn bytes(code: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut all = vec![0, 0, code, sizes.len() as u8];
        sizes.iter().for_each(|s| all.extend(s.to_be_bytes()));
        all.extend(elements);
        all
    }
    fn open(bytes: Vec<u8>) -> Result<IdxTable> {
        IdxTable::open(&InputFile::from_bytes("t", bytes), None, ReadLimits::default(), 1)
    }
    fn refused(bytes: Vec<u8>) -> String {
        match open(bytes) {
            Err(e) => e.to_string(),
            Ok(table) => read_table(&table, &Scan::default()).map(|_| ()).unwrap_err().to_string(),
        }
    }

    #[test]
    fn every_type_of_elements() {
        for (code, one, want) in [
            (8, vec![255], "255"),
            (9, vec![255], "-1"),
            (11, vec![1, 2], "258"),
            (12, vec![255, 255, 255, 254], "-2"),
            (13, 1.5f32.to_be_bytes().to_vec(), "1.5"),
            (14, (-2.25f64).to_be_bytes().to_vec(), "-2.25"),
        ] {
            let table = open(bytes(code, &[1], &one)).unwrap();
            let (batches, _) = read_table(&table, &Scan::default()).unwrap();
            let text = format!("{:?}", batches[0].column(0));
            assert!(text.contains(&format!("\n  {want},\n")), "{text}");
            let table = open(bytes(code, &[2, 1, 3], &one.repeat(6))).unwrap();
            let (batches, _) = read_table(&table, &Scan::default()).unwrap();
            assert_eq!(
                (batches[0].num_rows(), table.shape(), table.schema().field(0).name().as_str()),
                (2, &[1, 3][..], "values")
            );
        }
    }

    #[test]
    fn labels_are_zipped() {
        let images = InputFile::from_bytes("images", bytes(8, &[3, 2], &[1, 2, 3, 4, 5, 6]));
        let labels = InputFile::from_bytes("labels", bytes(8, &[3], &[7, 8, 9]));
        let table = IdxTable::open(&images, Some(&labels), ReadLimits::default(), 1).unwrap();
        let (batches, _) = read_table(&table, &Scan::default()).unwrap();
        assert_eq!(batches[0].column(0).as_ref(), &UInt8Array::from(vec![7, 8, 9]) as &dyn Array);
        let (batches, _) = read_table(&table, &Scan { columns: Some(vec![1]), ..Scan::default() }).unwrap();
        assert_eq!((batches[0].num_columns(), batches[0].num_rows()), (1, 3));
        let (batches, _) = read_table(&table, &Scan { columns: Some(vec![]), ..Scan::default() }).unwrap();
        assert_eq!(batches[0].num_rows(), 3);
        let few = InputFile::from_bytes("few", bytes(8, &[2], &[7, 8]));
        let e = |labels| {
            IdxTable::open(&images, Some(labels), ReadLimits::default(), 1)
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(e(&few).starts_with("few: there are 2 labels, and 3 records"), "{}", e(&few));
        assert!(e(&images).starts_with("images: labels have one size"), "{}", e(&images));
    }

    #[test]
    fn sizes_that_the_file_does_not_have_are_refused() {
        for (bytes, part) in [
            (b"".to_vec(), "t: `` is not the start of an IDX file"),
            (b"\0\0\x08\x05".to_vec(), "t: `\\x00\\x00\\x08\\x05` is not the start"),
            (b"\0\0\x08\x00".to_vec(), "t: `\\x00\\x00\\x08\\x00` is not the start"),
            (b"\0\0\x0a\x01\0\0\0\x01x".to_vec(), "t: there is no type 0x0a"),
            (b"\0\0\x08\x02\0\0\0\x01".to_vec(), "t: the file ends within its head"),
            (bytes(8, &[u32::MAX; 4], &[]), "t: a record of 79228162458924105385300197375 elements"),
            (bytes(8, &[5, 0], &[]), "t: a record of 0 elements"),
            (
                bytes(14, &[u32::MAX, 1 << 30], &[]),
                "t: the head says that the file has 36893488138829168652 bytes",
            ),
            (
                bytes(8, &[3], &[1, 2]),
                "t: the head says that the file has 11 bytes (3 records of 1 bytes), and it has 10",
            ),
            (bytes(8, &[1], &[1, 2]), "t: the head says that the file has 9 bytes"),
        ] {
            // 2^64 and more is said as it is.
            let e = refused(bytes);
            assert!(e.starts_with(part), "{part}: {e}");
        }
    }

    #[test]
    fn packed_files_are_checked_at_their_end() {
        let pack = |bytes: Vec<u8>| zstd::encode_all(&bytes[..], 3).unwrap();
        assert_eq!(
            read_table(&open(pack(bytes(8, &[2], &[1, 2]))).unwrap(), &Scan::default()).unwrap().0[0]
                .num_rows(),
            2
        );
        let e = refused(pack(bytes(8, &[u32::MAX, 1 << 30], &[1; 100])));
        assert!(
            e.starts_with("t: the head says that there are 4294967295 records, and the file ends before"),
            "{e}"
        );
        let e = refused(pack(bytes(8, &[2], &[1; 3])));
        assert!(e.starts_with("t: the file goes on after its 2 records"), "{e}");
    }

    #[test]
    fn pieces_are_the_whole() {
        let elements: Vec<u8> = (0..300_000u32).map(|i| (i * 7) as u8).collect();
        let file = InputFile::from_bytes("t", bytes(8, &[100_000, 3], &elements));
        let all = |splits| {
            let table = IdxTable::open(&file, None, ReadLimits::default(), splits).unwrap();
            let (batches, _) = read_table(&table, &Scan::default()).unwrap();
            let bytes: Vec<u8> = batches
                .iter()
                .flat_map(|b| {
                    let list = b.column(0).as_any().downcast_ref::<FixedSizeListArray>().unwrap().clone();
                    list.values().as_any().downcast_ref::<UInt8Array>().unwrap().values().to_vec()
                })
                .collect();
            (table.pieces(), bytes)
        };
        assert_eq!(all(1), (1, elements.clone()));
        assert_eq!(all(4), (4, elements));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(code in 7u8..16, n in 0u8..6, rest: Vec<u8>, packed: bool) {
            let mut all = vec![0, 0, code, n];
            all.extend(rest);
            let all = if packed { zstd::encode_all(&all[..], 1).unwrap() } else { all };
            if let Ok(table) = open(all) {
                let _ = read_table(&table, &Scan::default());
            }
        }
    }
}
