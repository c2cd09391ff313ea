//! Every Parquet file of apache/parquet-testing, the fuzzed ones of apache/arrow-testing, and some tables, against what pyarrow reads
//! in them, when `SLACKWATER_DATA` says where they are.

#[path = "common/canonical.rs"]
mod canonical;
mod common;

use common::data;
use peak_alloc::PeakAlloc;
use slackwater_dataflow::Result;
use slackwater_loaders::InputFile;
use slackwater_loaders::format::parquet::{ParquetKeys, ParquetTable};
use slackwater_loaders::table::{Scan, TableSource};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Held by each test that reads, so that what one allocates is not taken for what another does.
static READING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most bytes that reading any of the files may take.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Longest that any may take, on a machine that does other things, too.
const TIME_MAX: Duration = Duration::from_secs(60);

const GOLDEN: &str = include_str!("golden/parquet_testing.tsv");

/// What pyarrow refuses and we read.
const BEYOND: &[(&str, &str)] = &[(
    "parquet-testing/data/incorrect_map_schema.parquet",
    "keys of a map that might lack, as old Presto wrote them; none does",
)];
/// What pyarrow reads and we refuse.
const REFUSED: &[(&str, &str)] = &[
    (
        "arrow-testing/data/parquet/ARROW-17100.parquet",
        "writers before Arrow 3.0 said of packed pages that they were not; the library believes them",
    ),
    (
        "arrow-testing/data/parquet/fuzzing/clusterfuzz-testcase-minimized-parquet-arrow-fuzz-5665099979423744",
        "fuzzed: a list of the footer has elements of another type, and no columns",
    ),
    (
        "parquet-testing/data/dict-page-offset-zero.parquet",
        "a fork's writer has fields of its own in the footer, whose numbers the format has since given to others",
    ),
    (
        "parquet-testing/data/nation.dict-malformed.parquet",
        "parquet-mr before 1.2.9 left dictionaries out of the length of a column, so its last page is cut",
    ),
];
/// What we read otherwise than pyarrow.
const OTHERWISE: &[(&str, &str)] = &[(
    "parquet-testing/data/int96_from_spark.parquet",
    "times beyond what nanoseconds can count, which pyarrow makes others of",
)];
/// What is not read whole here.
const TOO_LARGE: &[(&str, &str)] = &[(
    "parquet-testing/data/large_string_map.brotli.parquet",
    "two strings of 1 GiB: it takes all the memory there is where tests run",
)];

/// What is found in a file: rows, then each column's name, nulls and checksum.
fn found(file: &InputFile) -> Result<String> {
    let files = std::slice::from_ref(file);
    let table = match file.name().contains("uniform_encryption") {
        true => ParquetTable::open_encrypted(files, &keys(file.name()), 3)?,
        false => ParquetTable::open(files, 3)?,
    };
    contents(&table)
}

fn contents(table: &ParquetTable) -> Result<String> {
    let fields = table.schema().fields().clone();
    let mut columns: Vec<(usize, flate2::Crc)> = fields.iter().map(|_| (0, flate2::Crc::new())).collect();
    let (mut rows, mut text) = (0, String::new());
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default())?;
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            assert_eq!(batch.schema_ref(), table.schema());
            rows += batch.num_rows();
            for (array, (nulls, crc)) in batch.columns().iter().zip(&mut columns) {
                *nulls += canonical::nulls(array);
                for row in 0..array.len() {
                    text.clear();
                    canonical::write(&mut text, array, row);
                    text.push('\n');
                    crc.update(text.as_bytes());
                }
            }
        }
    }
    assert_eq!(table.rows(), rows as u64, "the rows that the file says it has");
    let mut found = rows.to_string();
    for (field, (nulls, crc)) in fields.iter().zip(&columns) {
        let name = serde_json::to_string(field.name()).expect("text");
        let _ = write!(found, "\t{name} {nulls} {:08x}", crc.sum());
    }
    Ok(found)
}

/// Keys by the folder of the files: of the footer, and of columns.
fn keys(path: &str) -> ParquetKeys {
    // The README has them as numbers; they are digits.
    let digits = |from: usize, last: Option<char>, length: usize| -> Vec<u8> {
        let mut key: Vec<u8> = (from..from + length).map(|i| b'0' + (i % 10) as u8).collect();
        if let (Some(last), Some(end)) = (last, key.last_mut()) {
            *end = last as u8;
        }
        key
    };
    let columns: &[(&str, char)] = match path.contains("aes256") {
        true => &[
            ("double_field", '2'),
            ("float_field", '3'),
            ("boolean_field", '4'),
            ("int32_field", '5'),
            ("ba_field", '6'),
            ("flba_field", '7'),
            ("int64_field.list.element", '8'),
            ("int96_field", '9'),
        ],
        false => &[("double_field", '0'), ("float_field", '1')],
    };
    let length = if path.contains("aes256") { 32 } else { 16 };
    ParquetKeys {
        footer: digits(0, None, length),
        columns: match path.contains("uniform") {
            true => vec![],
            false => {
                columns.iter().map(|(c, last)| (c.to_string(), digits(1, Some(*last), length))).collect()
            }
        },
        prefix: path.contains("disable_aad_storage").then(|| b"tester".to_vec()),
    }
}

/// Files with what pyarrow reads in them.
fn golden() -> impl Iterator<Item = (&'static str, &'static str)> {
    GOLDEN.lines().filter(|l| !l.starts_with('#')).map(|l| l.split_once('\t').expect("a path and more"))
}

fn listed(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(p, _)| *p == path)
}

#[test]
fn every_file_is_as_pyarrow_reads_it() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let (mut same, mut refused, mut failures) = (0, 0, vec![]);
    let (mut most, mut longest) = ((0, ""), (Duration::ZERO, ""));
    for (path, want) in golden() {
        if listed(TOO_LARGE, path) {
            continue;
        }
        let file = InputFile::from_path(data.join(path)).expect(path);
        MEMORY.reset_peak_usage();
        let (before, started) = (MEMORY.current_usage(), Instant::now());
        let found = std::panic::catch_unwind(|| found(&file));
        most = most.max((MEMORY.peak_usage().saturating_sub(before), path));
        longest = longest.max((started.elapsed(), path));
        let Ok(found) = found else {
            failures.push(format!("{path}: see above"));
            continue;
        };
        match (found, want == "refused") {
            (Ok(found), false) if listed(OTHERWISE, path) => assert_ne!(found, want, "{path}"),
            (Ok(found), false) if found == want && !listed(REFUSED, path) => same += 1,
            (Ok(found), false) => failures.push(format!("{path}:\n  want {want}\n  have {found}")),
            (Ok(_), true) if listed(BEYOND, path) => {}
            (Ok(found), true) => failures.push(format!("{path}: pyarrow refuses it, and we read {found}")),
            (Err(e), refuses) => {
                assert_eq!(e.exit_code(), 3, "{path}: {e}");
                match refuses != listed(REFUSED, path) && !listed(BEYOND, path) {
                    true => refused += 1,
                    false => failures.push(format!("{path}: {e}\n  pyarrow reads {want}")),
                }
            }
        }
    }
    eprintln!("{same} the same, {refused} refused; most memory {most:?}, longest {longest:?}");
    assert!(failures.is_empty(), "{} files:\n{}", failures.len(), failures.join("\n"));
    assert!(most.0 < MEMORY_BYTES_MAX, "{most:?}");
    assert!(longest.0 < TIME_MAX, "{longest:?}");
}

/// What cannot be told by a checksum of pyarrow's, by what parquet-testing says of it.
#[test]
fn files_that_pyarrow_does_not_read_right_are_as_expected() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let column = |name: &str| -> Vec<String> {
        let file = InputFile::from_path(data.join("parquet-testing/data").join(name)).expect(name);
        let table = ParquetTable::open(&[file], 1).unwrap_or_else(|e| panic!("{e}"));
        let mut reader = table.open(0, &Scan::default()).unwrap_or_else(|e| panic!("{e}"));
        let batch = reader.next_batch(&mut |bad| Err(bad.into())).expect("good").expect("rows");
        let text = |row| {
            let mut text = String::new();
            canonical::write(&mut text, batch.column(0), row);
            text
        };
        (0..batch.num_rows()).map(text).collect()
    };
    // int96_from_spark.md: 2024-01-01T12:34:56.123456, .., 9999-12-31T03:00Z, .., nothing, 290000-12-30T23:00Z.
    let times =
        ["1704141296123456us", "1704070800000000us", "253402225200000000us", "1735599600000000us", "-"];
    assert_eq!(column("int96_from_spark.parquet")[..5], times);
    assert_eq!(column("int96_from_spark.parquet")[5..], ["9089380393200000000us"]);
    // README.md: name = report, parent = another. Maps have no order, and the file has its own.
    assert_eq!(
        column("incorrect_map_schema.parquet"),
        ["[x706172656e74=x616e6f74686572,x6e616d65=x7265706f7274]"]
    );
}

/// All files of a folder have the same values, whatever is encrypted, and however.
#[test]
fn encrypted_files_are_read_with_their_keys() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let refused = |result: Result<ParquetTable>, want: &str| {
        let text = result.and_then(|t| contents(&t)).expect_err("it is encrypted").to_string();
        assert!(text.contains(want) && text.contains("hint: it is encrypted"), "{text}");
    };
    for (folder, names) in [
        (
            "parquet-testing/data",
            &[
                "encrypt_columns_and_footer",
                "encrypt_columns_and_footer_aad",
                "encrypt_columns_and_footer_disable_aad_storage",
                "encrypt_columns_plaintext_footer",
            ][..],
        ),
        (
            "parquet-testing/data/aes256",
            &[
                "encrypt_columns_and_footer",
                "encrypt_columns_and_footer_disable_aad_storage",
                "encrypt_columns_plaintext_footer",
            ],
        ),
    ] {
        let uniform = format!("{folder}/uniform_encryption.parquet.encrypted");
        let (_, want) = golden().find(|(path, _)| *path == uniform).expect("the golden has it");
        for name in names {
            let path = format!("{folder}/{name}.parquet.encrypted");
            let file = [InputFile::from_path(data.join(&path)).expect("a file")];
            let found = ParquetTable::open_encrypted(&file, &keys(&path), 1).and_then(|t| contents(&t));
            assert_eq!(found.unwrap_or_else(|e| panic!("{e}")), want, "{path}");
            let without = ParquetKeys { columns: vec![], ..keys(&path) };
            refused(ParquetTable::open_encrypted(&file, &without, 1), "");
            refused(ParquetTable::open(&file, 1), "");
        }
    }
}

/// No file of the sets is left out of the golden ones.
#[test]
fn every_file_is_in_the_golden_list() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let listed: BTreeSet<&str> = golden().map(|(path, _)| path).collect();
    let mut todo: Vec<PathBuf> =
        ["parquet-testing", "arrow-testing/data/parquet", "parquet_userdata_lineitem", "nycflights13"]
            .map(|folder| data.join(folder))
            .into();
    let mut seen = 0;
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let name = path.strip_prefix(&data).expect("below it").display().to_string();
            let parquet = name.ends_with(".parquet") || name.ends_with(".parquet.encrypted");
            if parquet || name.starts_with("arrow-testing/") {
                assert!(listed.contains(name.as_str()), "{name} is not in the golden list");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, listed.len(), "files that are in the list");
}

/// Checksums are of pages as they are stored, that is encrypted; the library compares them with what it has decrypted.
#[test]
fn encrypted_pages_with_checksums_are_refused() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let path = "parquet-testing/data/encrypt_columns_and_footer_bloom_filter.parquet.encrypted";
    let file = [InputFile::from_path(data.join(path)).expect("a file")];
    let found = ParquetTable::open_encrypted(&file, &keys(path), 1).and_then(|t| contents(&t));
    let text = found.expect_err("the library does not read it").to_string();
    assert!(
        text.contains("row group 0, encrypted column `double_field`: ") && text.contains("CRC"),
        "{text}"
    );
}

/// Errors say where the damage is, and what is not damaged is read without it.
#[test]
fn errors_name_row_group_and_column() {
    let Some(data) = data() else { return };
    let _alone = alone();
    for (path, place, what, good) in [
        (
            "parquet-testing/data/datapage_v1-corrupt-checksum.parquet",
            "row group 0, column `a`: ",
            "CRC",
            None,
        ),
        (
            "parquet-testing/data/rle-dict-uncompressed-corrupt-checksum.parquet",
            "row group 0, column `long_field`: ",
            "CRC",
            None,
        ),
        (
            "parquet-testing/data/nation.dict-malformed.parquet",
            "row group 0, column `name`: ",
            "page",
            Some(0),
        ),
        ("arrow-testing/data/parquet/ARROW-17100.parquet", "row group 0, column `col2`: ", "fewer", Some(0)),
        ("parquet-testing/bad_data/PARQUET-1481.parquet", "not a Parquet file that can be read: ", "", None),
    ] {
        let file = InputFile::from_path(data.join(path)).expect(path);
        let text = found(&file).expect_err(path).to_string();
        assert!(text.starts_with(file.name()) && text.contains(place) && text.contains(what), "{text}");
        assert!(text.contains("hint: the file is damaged"), "{text}");
        if let Some(column) = good {
            let table = ParquetTable::open(&[file], 1).unwrap_or_else(|e| panic!("{e}"));
            let scan = Scan { columns: Some(vec![column]), condition: None };
            let mut reader = table.open(0, &scan).unwrap_or_else(|e| panic!("{e}"));
            let batch = reader.next_batch(&mut |bad| Err(bad.into())).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(batch.map(|b| b.num_rows() as u64), Some(table.rows()), "{path}");
        }
    }
}
