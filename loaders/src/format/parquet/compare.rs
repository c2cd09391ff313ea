//! Columns that are decoded here beside the same of the Parquet library, value by value.

use super::reader::{Opened, Reader};
use super::{Columns, ParquetTable, Piece};
use crate::InputFile;
use crate::table::{BatchReader, Scan, TableSource};
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, PrimitiveArray, RecordBatch, StringArray, Time32MillisecondArray, Time64MicrosecondArray,
    UInt32Array, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{WriterProperties, WriterVersion};
use slackwater_dataflow::Result;
use slackwater_dataflow::hash::hash_of;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

type Batches = Vec<RecordBatch>;

fn all(mut reader: Reader) -> Result<Batches> {
    let mut batches = vec![];
    while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
        batches.push(batch);
    }
    Ok(batches)
}

/// A piece as it is read, and as the library alone reads it; and how many columns the library did not read.
fn both(
    table: &ParquetTable,
    piece: usize,
    columns: Option<Vec<usize>>,
) -> (Result<Batches>, Result<Batches>, usize) {
    let (inner, scan) = (&table.0, Scan { columns, condition: None });
    let order = scan.columns.as_ref().map(|columns| {
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        columns.iter().map(|c| sorted.binary_search(c).expect("it is one of them")).collect()
    });
    let reader = |opened: Opened| Reader {
        table: inner.clone(),
        piece,
        name: "a".to_string(),
        opened: Some(opened),
        order: order.clone(),
        schema: scan.schema(&inner.schema),
        scan: scan.clone(),
    };
    let library = || {
        let (library, chunks) = inner.with_library(&inner.pieces[piece], &scan)?;
        all(reader(Opened { foreign: Some(library), own: None, are_own: vec![], chunks }))
    };
    let guarded = |read: &dyn Fn() -> Result<Batches>| crate::guard::guarded("a", read);
    let mut own = 0;
    let opened = inner.reader(&inner.pieces[piece], &scan);
    let ours = opened.and_then(|opened| {
        own = opened.are_own.iter().filter(|is_own| **is_own).count();
        all(reader(opened))
    });
    (ours, guarded(&library), own)
}

#[test]
fn files_of_other_programs_are_read_as_the_library_reads_them() {
    let Some(data) = std::env::var_os("SLACKWATER_DATA").map(PathBuf::from) else {
        eprintln!("not run: SLACKWATER_DATA does not say where the data sets are");
        return;
    };
    let folders =
        ["parquet-testing", "arrow-testing/data/parquet", "parquet_userdata_lineitem", "nycflights13"];
    let mut todo: Vec<PathBuf> = folders.map(|folder| data.join(folder)).into();
    let (mut files, mut columns, mut failures) = (0, 0, vec![]);
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.display().to_string();
        // Two texts of 1 GiB.
        if name.ends_with("large_string_map.brotli.parquet") {
            continue;
        }
        let file = InputFile::from_path(&path).unwrap();
        let Ok(table) = ParquetTable::open(&[file], 3) else { continue };
        files += 1;
        let width = table.schema().fields().len();
        for piece in 0..table.pieces() {
            for order in [None, Some((0..width).rev().collect::<Vec<_>>())] {
                let (ours, library, own) = both(&table, piece, order);
                columns += own;
                match (&ours, &library) {
                    (Ok(ours), Ok(library)) if ours == library => {}
                    (Err(_), Err(_)) => {}
                    // What is not a number is not equal to itself in structures.
                    (Ok(ours), Ok(library)) if format!("{ours:?}") == format!("{library:?}") => {}
                    (Ok(_), Ok(_)) => failures.push(format!("{name}: other values")),
                    (Ok(_), Err(e)) => failures.push(format!("{name}: the library refuses it: {e}")),
                    (Err(e), Ok(_)) => failures.push(format!("{name}: the library reads it: {e}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(files >= 60 && columns >= 400, "{files} files, {columns} columns");
}

/// What share of values is missing, and how they lie.
#[derive(Debug, Clone, Copy)]
enum Gaps {
    None,
    /// A twentieth.
    Few,
    Half,
    /// Some rows each.
    Runs,
    All,
}

fn of_draw<T>(value: impl Fn(u64) -> T) -> impl Fn(u64) -> T {
    value
}

/// `rows` rows of all types that are decoded here.
fn batch(rows: usize, gaps: Gaps, seed: u64) -> RecordBatch {
    let draw = |column: &str, row: usize| hash_of(&(seed, column, row as u64));
    let is_there = |column: &str, row: usize| match gaps {
        Gaps::None => true,
        Gaps::Few => draw(column, row) % 20 != 0,
        Gaps::Half => draw(column, row).is_multiple_of(2),
        Gaps::Runs => draw(column, row / 77).is_multiple_of(2),
        Gaps::All => false,
    };
    macro_rules! column {
        ($array:ty, $name:literal, $value:expr) => {{
            let value = of_draw($value);
            let array: $array =
                (0..rows).map(|row| is_there($name, row).then(|| value(draw($name, row) >> 8))).collect();
            ($name, Arc::new(array) as ArrayRef)
        }};
    }
    let text = |n: u64, most: u64| "aé漢xyz".chars().cycle().take((n % most) as usize).collect::<String>();
    let micros: PrimitiveArray<TimestampMicrosecondType> =
        (0..rows).map(|row| is_there("t", row).then(|| draw("t", row) as i64)).collect();
    let required = Int64Array::from_iter_values((0..rows).map(|row| row as i64 * 3));
    let columns = [
        column!(Int32Array, "i32", |n| n as i32),
        column!(Int64Array, "i64", |n| n as i64),
        column!(Int64Array, "i64 of few", |n| (n % 7) as i64),
        column!(Int32Array, "i32 of one", |_| -5),
        column!(UInt32Array, "u32", |n| n as u32),
        column!(UInt64Array, "u64", |n| u64::MAX - n % 300),
        column!(Float32Array, "f32", |n| n as f32),
        column!(Float64Array, "f64", |n| if n % 9 == 0 { f64::NAN } else { n as f64 }),
        column!(Date32Array, "date", |n| (n % 9000) as i32),
        column!(Time32MillisecondArray, "t32", |n| (n % 86_400_000) as i32),
        column!(Time64MicrosecondArray, "t64", |n| (n % 86_400_000_000) as i64),
        ("t", Arc::new(micros.with_timezone("UTC")) as ArrayRef),
        column!(StringArray, "text", |n| format!("{n}{}", text(n, 9))),
        column!(StringArray, "text of few", |n| text(n, 60)),
        column!(BinaryArray, "bytes", |n: u64| n.to_be_bytes()[..(n % 9) as usize].to_vec()),
        column!(BooleanArray, "flag", |n| n % 3 == 0),
        column!(BooleanArray, "flag in runs", |n| n % 200 == 0),
        ("required", Arc::new(required)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn file(batch: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Rows of the column from `from` on, in batches of so many.
fn read_own(table: &ParquetTable, piece: &Piece, batch_rows: usize) -> Result<Batches> {
    let file = &table.0.files[piece.file];
    let groups: Vec<usize> = piece.groups.clone().collect();
    let roots: Vec<usize> = (0..table.schema().fields().len()).collect();
    let mut columns = Columns::open(
        &file.chunks.file,
        &table.0.rooms,
        &file.metadata,
        &groups,
        piece.rows.as_ref(),
        &roots,
        batch_rows,
    )?;
    let mut batches = vec![];
    while let Some((rows, arrays)) = columns.next()? {
        let batch = RecordBatch::try_new(table.schema().clone(), arrays).unwrap();
        assert_eq!(batch.num_rows(), rows);
        batches.push(batch);
    }
    Ok(batches)
}

fn read_library(table: &ParquetTable, piece: &Piece, batch_rows: usize) -> Result<Batches> {
    crate::guard::guarded("a", || {
        let (reader, _) = table.0.with_library_of(piece, &Scan::default(), batch_rows)?;
        let batch = |batch: std::result::Result<RecordBatch, arrow_schema::ArrowError>| {
            let batch = batch.map_err(|e| super::unreadable("a", &e.to_string()))?;
            crate::table::schema::conform(batch, table.schema())
                .map_err(|e| super::unreadable("a", &e.to_string()))
        };
        reader.map(batch).collect()
    })
}

#[test]
fn whatever_is_written_is_read() {
    const ROWS: usize = 1200;
    const GROUP_ROWS: usize = 700;
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
    ];
    let pieces: [(Range<usize>, Option<Range<usize>>); 6] = [
        (0..2, None),
        (0..1, Some(0..1)),
        (0..1, Some(699..700)),
        (0..1, Some(133..534)),
        (1..2, Some(64..400)),
        (1..2, Some(300..300)),
    ];
    let mut seed = 0;
    for gaps in [Gaps::None, Gaps::Few, Gaps::Half, Gaps::Runs, Gaps::All] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            // Without a dictionary, with one, and with one that becomes too large.
            for dictionary in [None, Some(1 << 20), Some(400)] {
                for page_rows in [1, 90, 1 << 20] {
                    seed += 1;
                    if page_rows == 1 && seed % 5 > 0 {
                        continue;
                    }
                    let batch = batch(ROWS, gaps, seed);
                    let mut properties = WriterProperties::builder()
                        .set_compression(codecs[seed as usize % codecs.len()])
                        .set_writer_version(version)
                        .set_encoding(Encoding::PLAIN)
                        .set_dictionary_enabled(dictionary.is_some())
                        .set_max_row_group_row_count(Some(GROUP_ROWS))
                        .set_write_batch_size(page_rows.min(50))
                        .set_data_page_row_count_limit(page_rows);
                    if version == WriterVersion::PARQUET_2_0 {
                        properties = properties.set_column_encoding("flag in runs".into(), Encoding::RLE);
                    }
                    if let Some(bytes) = dictionary {
                        properties = properties.set_dictionary_page_size_limit(bytes);
                    }
                    let bytes = file(&batch, properties.build());
                    let table = ParquetTable::open(&[InputFile::from_bytes("a", bytes)], 1).unwrap();
                    let opened = &table.0.files[0];
                    let is_own =
                        |root| Columns::are_for(&opened.chunks.file, &opened.metadata, &[0, 1], root);
                    assert!((0..batch.num_columns()).all(is_own), "columns that are decoded here");
                    for (groups, rows) in &pieces {
                        let piece = Piece { file: 0, groups: groups.clone(), rows: rows.clone() };
                        let batch_rows = [8192, 64, 333, 9][(seed as usize + groups.start) % 4];
                        let what =
                            format!("{gaps:?} {version:?} {dictionary:?} {page_rows} {piece:?} {batch_rows}");
                        let ours = read_own(&table, &piece, batch_rows).expect(&what);
                        let want = read_library(&table, &piece, batch_rows).expect(&what);
                        assert_eq!(ours.len(), want.len(), "{what}");
                        for (ours, want) in ours.iter().zip(&want) {
                            for (field, (a, b)) in
                                batch.schema().fields().iter().zip(ours.columns().iter().zip(want.columns()))
                            {
                                assert!(a == b, "{}, {what}:\n{a:?}\n{b:?}", field.name());
                            }
                        }
                        let mut at = groups.start * GROUP_ROWS + rows.as_ref().map_or(0, |rows| rows.start);
                        for ours in &ours {
                            let written = batch.slice(at, ours.num_rows());
                            assert!(ours.columns() == written.columns(), "{what}: as written");
                            at += ours.num_rows();
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn columns_of_the_library_stand_beside() {
    let rows = 20_000;
    let plain = batch(rows, Gaps::Few, 1);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| (row % 5 > 0).then(|| (0..row % 4).map(|n| Some(n as i32)))),
    );
    let mut columns: Vec<(String, ArrayRef)> =
        plain.schema().fields().iter().map(|f| f.name().clone()).zip(plain.columns().to_vec()).collect();
    columns.insert(1, ("lists".to_string(), Arc::new(lists)));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7000)).build();
    let table = ParquetTable::open(&[InputFile::from_bytes("a", file(&batch, properties))], 3).unwrap();
    for columns in [None, Some(vec![3, 1, 0]), Some(vec![1]), Some(vec![14, 2])] {
        for piece in 0..table.pieces() {
            let (ours, library, own) = both(&table, piece, columns.clone());
            assert_eq!(own, columns.as_ref().map_or(18, |c| c.iter().filter(|c| **c != 1).count()));
            let ours = ours.unwrap();
            assert!(ours.len() > 1 || table.pieces() > 1);
            assert!(ours == library.unwrap(), "{columns:?} {piece}");
        }
    }
}

/// A byte of a file is changed, or it is cut: never a panic, and where the library reads all rows, the same values.
#[test]
fn damage_is_an_error_or_other_values() {
    let (mut same, mut errors) = (0, 0);
    for (seed, codec) in [Compression::UNCOMPRESSED, Compression::SNAPPY].into_iter().enumerate() {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let rows = 23;
            let columns = batch(rows, Gaps::Few, seed as u64).project(&[2, 7, 12, 13, 16]).unwrap();
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_writer_version(version)
                .set_encoding(Encoding::PLAIN)
                .set_column_dictionary_enabled("f64".into(), false)
                .set_column_dictionary_enabled("text".into(), false)
                .set_write_batch_size(10)
                .set_data_page_row_count_limit(10)
                .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
                .build();
            let good = file(&columns, properties);
            let table = ParquetTable::open(&[InputFile::from_bytes("a", good.clone())], 1).unwrap();
            let metadata = table.0.files[0].metadata.metadata();
            let pages = metadata
                .row_group(0)
                .columns()
                .iter()
                .map(|c| c.byte_range())
                .fold(0, |end, (at, n)| end.max(at + n));
            // The footer is the library's to read: it stays, and pages change.
            for at in 4..pages as usize {
                for flip in [0x01, 0x80, 0xff] {
                    let mut bytes = good.clone();
                    bytes[at] ^= flip;
                    let table = ParquetTable::open(&[InputFile::from_bytes("a", bytes)], 1).unwrap();
                    let piece = &table.0.pieces[0];
                    let ours = read_own(&table, piece, 8);
                    let library = read_library(&table, piece, 8);
                    match (ours, library) {
                        (Ok(ours), Ok(library))
                            if library.iter().map(RecordBatch::num_rows).sum::<usize>() == rows =>
                        {
                            assert!(
                                ours == library || format!("{ours:?}") == format!("{library:?}"),
                                "{codec} {version:?} byte {at} {flip}"
                            );
                            same += 1;
                        }
                        (Err(_), _) => errors += 1,
                        _ => {}
                    }
                }
            }
            for end in 4..good.len() {
                // The footer of the whole file, over pages that end before.
                let mut bytes = good[..end].to_vec();
                bytes.extend(&good[pages as usize..]);
                if let Ok(table) = ParquetTable::open(&[InputFile::from_bytes("a", bytes)], 1) {
                    errors += usize::from(read_own(&table, &table.0.pieces[0], 8).is_err());
                }
            }
        }
    }
    assert!(same > 1000 && errors > 1000, "{same} the same, {errors} errors");
}

#[test]
fn damage_is_placed() {
    let columns = batch(2000, Gaps::Few, 3);
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(1000)).set_dictionary_enabled(false);
    let mut bytes = file(&columns, properties.build());
    let table = ParquetTable::open(&[InputFile::from_bytes("a.parquet", bytes.clone())], 1).unwrap();
    let group = table.0.files[0].metadata.metadata().row_group(1);
    let start = group.column(12).byte_range().0 as usize;
    bytes[start..start + 4].fill(0xff);
    let table = ParquetTable::open(&[InputFile::from_bytes("a.parquet", bytes)], 1).unwrap();
    let read = || -> Result<()> {
        let mut reader = table.open(0, &Scan::default())?;
        while reader.next_batch(&mut |bad| Err(bad.into()))?.is_some() {}
        Ok(())
    };
    let e = read().unwrap_err();
    assert!(e.to_string().starts_with("a.parquet: row group 1, column `text`: "), "{e}");
    assert_eq!(e.exit_code(), 3);
}
