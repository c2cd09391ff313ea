//! Files of each kind, what is refused, and that pieces are the whole.

use super::super::testing::{cut, file, read, read_table};
use super::*;
use crate::table::{Scan, TableSource};
use proptest::prelude::*;

fn open(text: &str) -> Result<MatrixMarket> {
    MatrixMarket::open(&file(text), ReadLimits::default(), 1)
}

fn entries(text: &str) -> Result<Vec<(u64, u64, f64)>> {
    let (entries, bad) = read(&open(text)?)?;
    assert_eq!(bad, [""; 0], "{text}");
    Ok(entries.into_iter().map(|e| (e.row, e.column, e.value)).collect())
}

#[test]
fn the_kinds_of_matrices() {
    let first = "%%MatrixMarket matrix ";
    for (text, want) in [
        (
            "coordinate real general\n% a comment\n\n2 3 2\n1 1 .5\r\n\n% another\n2 3 -1e3\n",
            vec![(0, 0, 0.5), (1, 2, -1e3)],
        ),
        ("coordinate pattern general\n2 2 1\n2 1", vec![(1, 0, 1.0)]),
        (
            "COORDINATE Integer Symmetric\n3 3 2\n2 1 7\n3\t3 -8\n",
            vec![(1, 0, 7.0), (0, 1, 7.0), (2, 2, -8.0)],
        ),
        ("coordinate real skew-symmetric\n2 2 1\n2 1 7.5\n", vec![(1, 0, 7.5), (0, 1, -7.5)]),
        ("array real general\n2 2\n1\n2\n3\n4\n", vec![(0, 0, 1.0), (1, 0, 2.0), (0, 1, 3.0), (1, 1, 4.0)]),
        ("array real symmetric\n2 2\n1\n2\n3", vec![(0, 0, 1.0), (1, 0, 2.0), (0, 1, 2.0), (1, 1, 3.0)]),
        ("array real skew-symmetric\n2 2\n5\n", vec![(1, 0, 5.0), (0, 1, -5.0)]),
        ("coordinate real general\n0 0 0\n", vec![]),
        ("array real general\n0 5\n", vec![]),
    ] {
        assert_eq!(entries(&format!("{first}{text}")).unwrap(), want, "{text}");
    }
    assert_eq!(entries("1 2 1\n1 2 4\n").unwrap(), [(0, 1, 4.0)], "no first line");
    assert_eq!(entries("1 2\n3\n4\n").unwrap(), [(0, 0, 3.0), (0, 1, 4.0)], "no first line");
    let (complex, _) =
        read(&open(&format!("{first}coordinate complex hermitian\n2 2 1\n2 1 3 4\n")).unwrap()).unwrap();
    assert_eq!(
        complex.iter().map(|e| (e.row, e.value, e.imaginary)).collect::<Vec<_>>(),
        [(1, 3.0, 4.0), (0, 3.0, -4.0)]
    );
}

#[test]
fn heads_that_make_no_sense() {
    for (text, part) in [
        (
            "%%MatrixMarket vector coordinate real general\n1 1 1\n",
            "t:1:16: the object is not one that is known",
        ),
        ("%%MatrixMarket matrix coordinate real\n1 1 1\n", "t:1:38: the symmetry is missing"),
        (
            "%%MatrixMarket matrix array pattern general\n1 1\n",
            "t:1:1: an array has values, and a pattern has none",
        ),
        ("%%MatrixMarket matrix coordinate real hermitian\n1 1 1\n", "t:1:1: a hermitian matrix is complex"),
        (
            "%%MatrixMarket matrix coordinate real symmetric\n3 4 1\n",
            "t:2:1: a symmetric matrix has as many rows",
        ),
        (
            "%%MatrixMarket matrix coordinate real general\n%%GraphBLAS type gunk\n1 1 1\n",
            "t:2:18: no such type",
        ),
        ("%%MatrixMarket matrix coordinate real general\n3\n", "t:2:2: the number of columns is missing"),
        ("%%MatrixMarket matrix coordinate real general\n3 3\n", "t:2:1: the number of entries is missing"),
        (
            "%%MatrixMarket matrix coordinate real general\n3 3 x\n",
            "t:2:5: the number of entries is not a whole",
        ),
        (
            "%%MatrixMarket matrix coordinate real general\n% only\n",
            "t: the file ends before its line of sizes",
        ),
        ("", "t: the file ends before its line of sizes"),
        (
            "%%MatrixMarket matrix coordinate integer skew-symmetric\n%%GraphBLAS type uint8_t\n1 1 0\n",
            "t:3:1: values of this type have no sign",
        ),
        (
            "%%MatrixMarket matrix array real general\n18446744073709551615 18446744073709551615\n",
            "t:2:1: the array has more than 2^64",
        ),
    ] {
        let e = open(text).map(|_| ()).expect_err(text).to_string();
        assert!(e.starts_with(part), "{text}: {e}");
    }
}

#[test]
fn entries_that_are_bad() {
    let head = "%%MatrixMarket matrix coordinate integer general\n%%GraphBLAS type int8_t\n2 3 1\n";
    for (line, part) in [
        ("0 1 1", "t:4:1: the row 0 is not one of 1 to 2"),
        ("1 4 1", "t:4:3: the column 4 is not one of 1 to 3"),
        ("1 1", "t:4:4: the value is missing"),
        ("1 1 1 1", "t:4:7: the line has something after its end"),
        ("1 1 128", "t:4:5: the value is not one of -128 to 127"),
        ("1 1 1.5", "t:4:5: the value is not a whole number"),
        ("1 1 x", "t:4:5: the value is not a whole number"),
        ("1 1 \u{e9}", "t:4:5: byte 0xc3 is not text"),
        ("99999999999999999999 1 1", "t:4:1: the row is beyond 2^64"),
    ] {
        let (good, bad) = read(&open(&format!("{head}{line}\n")).unwrap()).unwrap();
        assert!(good.is_empty() && bad.len() == 1 && bad[0].starts_with(part), "{line}: {bad:?}");
    }
    let skew = "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 2 1\n";
    assert!(read(&open(skew).unwrap()).unwrap().1[0].contains("the diagonal of a skew-symmetric"));
}

#[test]
fn the_number_of_entries_is_checked() {
    let first = "%%MatrixMarket matrix ";
    for (text, part) in [
        (
            "coordinate real general\n2 2 3\n1 1 1\n2 2 2\n",
            "t: the head says that 3 entries follow, and there are 2",
        ),
        (
            "coordinate real general\n2 2 1\n1 1 1\n2 2 2\n",
            "t: the head says that 1 entries follow, and there are 2",
        ),
        (
            "coordinate real general\n9 9 9223372036854775807\n1 1 1\n",
            "t: the head says that 9223372036854775807",
        ),
        ("array real general\n2 2\n1\n2\n3\n", "t: the head says that 4 entries follow, and there are 3"),
    ] {
        let e = read(&open(&format!("{first}{text}")).unwrap()).map(|_| ()).unwrap_err();
        assert!(e.to_string().starts_with(part), "{e}");
    }
}

#[test]
fn tables_have_the_columns_asked_for() {
    let text = "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n2 1 7\n3 3 8\n";
    let table = open(text).unwrap().into_table();
    assert_eq!((table.pieces(), table.describe().as_str()), (1, "MatrixMarket t, 66 bytes"));
    let (batches, _) = read_table(&table, &Scan { columns: Some(vec![2, 0]), ..Scan::default() }).unwrap();
    let want: [(&str, ArrayRef); 2] = [
        ("value", Arc::new(Float64Array::from(vec![7.0, 7.0, 8.0]))),
        ("row", Arc::new(UInt64Array::from(vec![1, 0, 2]))),
    ];
    assert_eq!(batches, [arrow_array::RecordBatch::try_from_iter(want).unwrap()]);
    let (batches, _) = read_table(&table, &Scan { columns: Some(vec![]), ..Scan::default() }).unwrap();
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 3, "rows without columns count");
}

fn a_matrix() -> impl Strategy<Value = String> {
    let symmetry = prop_oneof![Just("general"), Just("symmetric"), Just("skew-symmetric")];
    let line = prop_oneof![
        8 => (1u64..6, 1u64..6, any::<i16>()).prop_map(|(i, j, x)| format!("{i} {j} {}", f64::from(x) / 8.0)),
        1 => Just("% no entry".to_string()),
        1 => Just("".to_string()),
        1 => Just("1 x".to_string()),
    ];
    let array = prop_oneof![
        any::<i16>().prop_map(|x| x.to_string()),
        Just("% no value".to_string()),
        Just("?".to_string())
    ];
    let coordinate =
        (symmetry.clone(), proptest::collection::vec(line, 0..20), 0u64..8).prop_map(|(s, lines, n)| {
            format!("%%MatrixMarket matrix coordinate real {s}\n%c\n5 5 {n}\n{}", lines.join("\n"))
        });
    let array =
        (symmetry, proptest::collection::vec(array, 0..30), 0u64..6, 0u64..6).prop_map(|(s, lines, n, m)| {
            let m = if s == "general" { m } else { n };
            format!("%%MatrixMarket matrix array real {s}\n{n} {m}\n{}", lines.join("\n"))
        });
    prop_oneof![coordinate, array]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn pieces_are_the_whole(text in a_matrix(), cuts: [prop::sample::Index; 3]) {
        let whole = open(&text).unwrap();
        let mut pieces = open(&text).unwrap();
        pieces.splits = cut(&file(text), &cuts);
        let show = |r: Result<(Vec<Entry>, Vec<String>)>| r.map_err(|e| e.to_string());
        prop_assert_eq!(show(read(&pieces)), show(read(&whole)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, head in "(%%MatrixMarket matrix (array|coordinate) (real|complex|pattern) [a-z]{0,9}\n)?[0-9]{0,22} [0-9]{0,22}( [0-9]{0,22})?\n") {
        let bytes = [head.into_bytes(), bytes].concat();
        if let Ok(source) = MatrixMarket::open(&file(bytes), ReadLimits::default(), 1) {
            let _ = read(&source);
        }
    }

    #[test]
    fn what_is_written_reads_back(values: Vec<(u8, u8, f64)>) {
        let entries: Vec<_> = values
            .iter()
            .map(|(i, j, x)| Entry { row: u64::from(*i), column: u64::from(*j), value: *x, imaginary: 0.0 })
            .collect();
        let mut text = vec![];
        write_coordinate(&mut text, 256, 256, entries.iter().copied()).unwrap();
        let (back, bad) = read(&MatrixMarket::open(&file(text), ReadLimits::default(), 1).unwrap()).unwrap();
        prop_assert_eq!(bad, Vec::<String>::new());
        let bits = |e: &Entry| (e.row, e.column, if e.value.is_nan() { 0 } else { e.value.to_bits() });
        prop_assert_eq!(back.iter().map(bits).collect::<Vec<_>>(), entries.iter().map(bits).collect::<Vec<_>>());
    }
}

#[test]
fn cells_of_arrays_are_found() {
    for symmetry in [Symmetry::General, Symmetry::Symmetric, Symmetry::SkewSymmetric] {
        let header = Header {
            layout: Layout::Array,
            values: Values::Real,
            symmetry,
            rows: 5,
            columns: 5,
            entries: 0,
            range: None,
        };
        let mut n = 0;
        for column in 0..5 {
            for row in Cell::first_row(column, symmetry)..5 {
                let cell = Cell::at(n, &header);
                assert_eq!((cell.row, cell.column), (row, column), "{symmetry:?} {n}");
                n += 1;
            }
        }
    }
}
