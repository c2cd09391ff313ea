//! Conditions on real Parquet files: the rows are those of filtering what was read, and what a condition rules out is not read,
//! which is shown by destroying it. With real data when `SLACKWATER_DATA` says where it is.

#[path = "common/canonical.rs"]
mod canonical;
mod common;

use arrow_array::RecordBatch;
use common::data;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use slackwater_dataflow::Result;
use slackwater_loaders::InputFile;
use slackwater_loaders::format::parquet::ParquetTable;
use slackwater_loaders::table::{Expr, Scan, TableSource};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

fn text(batch: &RecordBatch, row: usize) -> String {
    let mut text = String::new();
    for column in batch.columns() {
        canonical::write(&mut text, column, row);
        text.push('\t');
    }
    text
}

/// What a scan gives, and the rows of it that fulfil the condition: all columns, or those of `columns`.
fn read(bytes: &[u8], pieces: usize, scan: &Scan, filter: Option<&Expr>) -> Result<Vec<String>> {
    let file = InputFile::from_bytes("a.parquet", bytes);
    let table = ParquetTable::open(&[file], pieces)?;
    let mut rows = vec![];
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, scan)?;
        while let Some(mut batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            if let Some(filter) = filter {
                batch = filter.filter(&batch)?;
            }
            rows.extend((0..batch.num_rows()).map(|row| text(&batch, row)));
        }
    }
    Ok(rows)
}

fn scan(condition: &Expr) -> Scan {
    Scan { columns: None, condition: Some(condition.clone()) }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn parsed(condition: &str) -> Expr {
    Expr::parse(condition).unwrap_or_else(|e| panic!("{condition}: {e}"))
}

/// The rows of a file, without a condition, and which of them fulfil one.
fn matching(bytes: &[u8], condition: &Expr) -> (Vec<String>, BTreeSet<usize>) {
    let file = InputFile::from_bytes("a.parquet", bytes);
    let table = ParquetTable::open(&[file], 1).unwrap_or_else(|e| panic!("{e}"));
    let (mut rows, mut matches) = (vec![], BTreeSet::new());
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default()).unwrap_or_else(|e| panic!("{e}"));
        while let Some(batch) =
            reader.next_batch(&mut |bad| Err(bad.into())).unwrap_or_else(|e| panic!("{e}"))
        {
            let holds = condition.condition(&batch).unwrap_or_else(|e| panic!("{e}"));
            for row in 0..batch.num_rows() {
                if holds.value(row) {
                    matches.insert(rows.len());
                }
                rows.push(text(&batch, row));
            }
        }
    }
    (rows, matches)
}

/// Rows and bytes of every page that the index of the file has.
fn pages(bytes: &[u8]) -> Vec<(Range<usize>, Range<usize>)> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata =
        ArrowReaderMetadata::load(&bytes::Bytes::copy_from_slice(bytes), options).expect("an index");
    let metadata = metadata.metadata();
    let index = metadata.page_index().expect("an index");
    let mut pages = vec![];
    let mut first_row = 0;
    for (g, group) in metadata.row_groups().iter().enumerate() {
        let rows = group.num_rows() as usize;
        for c in 0..group.num_columns() {
            let offsets = index.offset_index(g, c).expect("an index of offsets");
            let locations = offsets.page_locations();
            let starts = locations.iter().map(|p| p.first_row_index as usize);
            let ends = starts.clone().skip(1).chain([rows]);
            pages.extend(locations.iter().zip(starts.zip(ends)).map(|(page, (start, end))| {
                let at = page.offset as usize;
                (first_row + start..first_row + end, at..at + page.compressed_page_size as usize)
            }));
        }
        first_row += rows;
    }
    pages
}

/// Conditions that bounds decide: a page whose least or largest value fulfils them has a row that does.
#[test]
fn pages_without_rows_are_not_read() {
    let Some(data) = data() else { return };
    for (name, condition, least) in [
        ("alltypes_tiny_pages.parquet", "id < 100", 0.9),
        ("alltypes_tiny_pages.parquet", "id >= 7290", 0.9),
        ("alltypes_tiny_pages.parquet", "month > 11", 0.5),
        ("alltypes_tiny_pages_plain.parquet", "id < 100", 0.9),
        ("alltypes_tiny_pages_plain.parquet", "month < 2", 0.5),
        ("alltypes_tiny_pages_plain.parquet", "year > 2009", 0.3),
    ] {
        let what = format!("{name}: {condition}");
        let condition = parsed(condition);
        let whole = bytes(&data.join("parquet-testing/data").join(name));
        let (rows, matches) = matching(&whole, &condition);
        let want: Vec<&String> = matches.iter().map(|row| &rows[*row]).collect();
        assert!(!want.is_empty(), "{what}");

        let pages = pages(&whole);
        let useless: Vec<_> =
            pages.iter().filter(|(rows, _)| matches.range(rows.clone()).next().is_none()).collect();
        let share = useless.len() as f64 / pages.len() as f64;
        eprintln!("{what}: {} rows, {} of {} pages not read", want.len(), useless.len(), pages.len());
        assert!(share > least, "{what}: {share}");
        let mut destroyed = whole.clone();
        for (_, at) in useless {
            destroyed[at.clone()].fill(0xff);
        }
        let have = read(&destroyed, 1, &scan(&condition), Some(&condition))
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(have.iter().eq(want), "{what}");
        // Without the condition it is seen that they are gone.
        assert!(read(&destroyed, 1, &Scan::default(), None).is_err(), "{what}");
    }
}

#[test]
fn row_groups_without_rows_are_not_read() {
    let Some(data) = data() else { return };
    let whole = bytes(&data.join("nycflights13/flights.snappy.parquet"));
    let metadata = ArrowReaderMetadata::load(&bytes::Bytes::from(whole.clone()), ArrowReaderOptions::new());
    let metadata = metadata.expect("a footer").metadata().clone();
    // Months are together, in the order of their digits.
    for (condition, most) in [("month = 1 and day = 1", 3), ("month > 11", 1), ("carrier = 'ZZ'", 0)] {
        let expr = parsed(condition);
        let (rows, matches) = matching(&whole, &expr);
        let want: Vec<&String> = matches.iter().map(|row| &rows[*row]).collect();
        for pieces in [1, 7] {
            let have = read(&whole, pieces, &scan(&expr), Some(&expr)).unwrap_or_else(|e| panic!("{e}"));
            assert!(have.iter().eq(want.iter().copied()), "{condition}: {} rows", have.len());
        }
        let (mut first, mut needed, mut destroyed) = (0, 0, whole.clone());
        for group in metadata.row_groups() {
            let range = first..first + group.num_rows() as usize;
            first = range.end;
            if matches.range(range).next().is_some() {
                needed += 1;
                continue;
            }
            for column in group.columns() {
                let (at, length) = column.byte_range();
                destroyed[at as usize..(at + length) as usize].fill(0xff);
            }
        }
        eprintln!("{condition}: {} rows in {needed} of {} row groups", want.len(), metadata.num_row_groups());
        assert!(needed <= most, "{condition}: {needed} row groups");
        let have =
            read(&destroyed, 1, &scan(&expr), Some(&expr)).unwrap_or_else(|e| panic!("{condition}: {e}"));
        assert!(have.iter().eq(want), "{condition}");
    }
}

/// Whatever the statistics say: no row that fulfils the condition is left out.
#[test]
fn conditions_give_the_rows_of_filtering() {
    let Some(data) = data() else { return };
    for (name, conditions) in [
        (
            "parquet-testing/data/alltypes_tiny_pages.parquet",
            &[
                "id % 1000 = 7",
                "bool_col",
                "not bool_col and tinyint_col = 3",
                "float_col > 5.5 or id < 3",
                "double_col <= 10.1",
                "string_col = '7'",
                "date_string_col < '01/03/09'",
                "string_col like '1%'",
                "id in (1, 5000, 7299, 9999)",
                "int_col is null",
                "month = 2 and year = 2009",
                "id >= 7000 and id < 7010",
            ][..],
        ),
        (
            "parquet-testing/data/int32_with_null_pages.parquet",
            &["int32_field is null", "int32_field is not null", "int32_field > 0", "int32_field = 0"],
        ),
        ("parquet-testing/data/nan_in_stats.parquet", &["x > 0", "x = x", "x < 2", "x >= 1"]),
        (
            "parquet-testing/data/floating_orders_nan_count.parquet",
            &[
                "float_ieee754 > 1",
                "float_ieee754 <= 0",
                "double_ieee754 = 0",
                "double_typedef < 0",
                "double_typedef >= 0",
            ],
        ),
        ("parquet-testing/data/sort_columns.parquet", &["a > 1", "a is null", "b = 'a'", "b > 'a'"]),
        (
            "parquet-testing/data/binary_truncated_min_max.parquet",
            &[
                "utf8_full_truncation > 'Ke'",
                "utf8_full_truncation = 'Kevin Bacon'",
                "utf8_no_truncation = 'Ke'",
                "utf8_partial_truncation > 'Z'",
            ],
        ),
        (
            "parquet_userdata_lineitem/lineitem-top10000.gzip.parquet",
            &["l_quantity > 49", "l_returnflag = 'R' and l_discount < 0.05", "l_comment like '%carefully%'"],
        ),
        (
            "parquet_userdata_lineitem/userdata1.parquet",
            &["salary > 250000", "country = 'China' and gender = 'Female'", "salary is null"],
        ),
        (
            "nycflights13/flights.snappy.parquet",
            &[
                "dep_delay > 500",
                "dest = 'SFO' and month = 7",
                "air_time is null",
                "dep_delay > arr_delay + 60",
            ],
        ),
    ] {
        let whole = bytes(&data.join(name));
        for condition in conditions {
            let expr = parsed(condition);
            let (rows, matches) = matching(&whole, &expr);
            let want: Vec<&String> = matches.iter().map(|row| &rows[*row]).collect();
            let have = read(&whole, 3, &scan(&expr), Some(&expr))
                .unwrap_or_else(|e| panic!("{name}, {condition}: {e}"));
            assert!(
                have.iter().eq(want.iter().copied()),
                "{name}, {condition}: {} and not {}",
                have.len(),
                want.len()
            );
        }
    }
}
