//! Real matrices, when `SLACKWATER_DATA` says where they are: those of LAGraph, of cuGraph, and of STRADS.

mod common;

use common::data;
use slackwater_loaders::format::matrix_market::{Layout, MatrixMarket};
use slackwater_loaders::format::records::RecordSource;
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};
use std::path::Path;

/// Entries with both halves, and the sum of values that are numbers.
fn read(path: &Path, min_splits: usize) -> slackwater_dataflow::Result<(MatrixMarket, usize, f64)> {
    let matrix = MatrixMarket::open(&InputFile::from_path(path)?, ReadLimits::default(), min_splits)?;
    let (mut entries, mut sum) = (0, 0.0);
    for piece in 0..matrix.pieces() {
        let mut reader = matrix.open(piece)?;
        while let Some(entry) = reader.next_record(&mut |bad| Err(bad.into()))? {
            entries += 1;
            sum += if entry.value.is_finite() { entry.value } else { 0.0 };
        }
    }
    Ok((matrix, entries, sum))
}

/// `mangled*` must be refused, for one reason or another; of the others the index knows the sizes, but for those that scipy
/// does not read and we do (no first line, infinite integers, comments between entries).
#[test]
fn matrices_of_lagraph() {
    let Some(data) = data() else { return };
    let index = std::fs::read_to_string(data.join("FILES.tsv")).expect("the index");
    let (mut refused, mut good) = (0, 0);
    for line in index.lines().filter(|l| l.starts_with("lagraph_mtx/") && l.contains(".mtx")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let result = read(&data.join(fields[0]), 1);
        if fields[0].contains("mangled") {
            let e = result.map(|_| ()).expect_err(fields[0]);
            assert_eq!(e.exit_code(), 3, "{}: {e}", fields[0]);
            refused += 1;
            continue;
        }
        let (matrix, entries, _) = result.unwrap_or_else(|e| panic!("{}: {e}", fields[0]));
        let header = matrix.header();
        if let [Ok(rows), Ok(columns)] = [fields[3].parse::<u64>(), fields[4].parse::<u64>()] {
            assert_eq!((header.rows, header.columns), (rows, columns), "{line}");
        }
        match fields[5].parse::<usize>() {
            Ok(nnz) => assert_eq!(entries, nnz, "{line}"),
            Err(_) if header.layout == Layout::Array => {
                assert_eq!(entries as u64, header.rows * header.columns, "{line}");
            }
            Err(_) => assert_eq!(entries as u64, header.entries, "{line}"),
        }
        good += 1;
    }
    assert_eq!((refused, good), (14, 63), "mangled ones are refused, all others read");
}

#[test]
fn the_same_matrix_written_in_other_ways_is_the_same() {
    let Some(data) = data() else { return };
    let sum = |name: &str| read(&data.join("lagraph_mtx").join(name), 1).expect(name).2;
    assert!((sum("west0067.mtx") - sum("west0067_jumbled.mtx")).abs() < 1e-9);
    assert_eq!(sum("west0067.mtx"), sum("west0067_noheader.mtx"));
    assert_eq!(sum("full.mtx"), sum("full_noheader.mtx"));
    assert_eq!(sum("skew_int16.mtx"), 0.0);
}

#[test]
fn matrices_of_strads_and_cugraph() {
    let Some(data) = data() else { return };
    for (name, rows, columns, entries) in [
        ("strads_lasso500by1K/lasso500by1K.X.mmt.gz", 500, 1000, 20_000),
        ("strads_lasso500by1K/lasso500by1K.Y.mmt", 500, 1, 500),
        ("cugraph_small/dolphins.mtx", 62, 62, 318),
        ("cugraph_small/karate.mtx", 34, 34, 156),
        ("cugraph_small/netscience.mtx", 1589, 1589, 5484),
        ("cugraph_small/polbooks.mtx", 105, 105, 882),
    ] {
        let (matrix, n, _) = read(&data.join(name), 4).expect(name);
        assert_eq!((matrix.header().rows, matrix.header().columns, n), (rows, columns, entries), "{name}");
    }
}

/// As a table, in pieces.
#[test]
fn a_matrix_is_a_table() {
    let Some(data) = data() else { return };
    let file = InputFile::from_path(data.join("lagraph_mtx/test_FW_1000.mtx")).expect("the file");
    let table = MatrixMarket::open(&file, ReadLimits::default(), 1).expect("a matrix").into_table();
    let scan = Scan { columns: Some(vec![2]), ..Scan::default() };
    let mut reader = table.open(0, &scan).expect("a piece");
    let mut rows = 0;
    while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into())).expect("good rows") {
        assert_eq!(batch.num_columns(), 1);
        rows += batch.num_rows();
    }
    assert_eq!(rows, 3996);
}
