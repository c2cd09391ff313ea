//! Bad input: a clear error with file, line and column, exit code 3, and nothing left behind.

use crate::common::Place;

/// Trains on a file; returns what is said. Nothing but the file may be there after it.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, more: &[&str]) -> String {
    let place = Place::new();
    place.write("in.svm", content);
    let said = place.fails(3, &[&["train", "svm", "--data", "in.svm", "--model", "out"], more].concat());
    assert_eq!(place.names(), ["in.svm"], "{said}");
    said
}

#[test]
fn what_a_line_can_have() {
    for (content, expected) in [
        ("1 1:nan\n", "in.svm:1:5"),
        ("1 1:1\n-1 2:inf\n", "in.svm:2:6"),
        ("1 1:1\n-1 0:1\n", "in.svm:2:4"),
        ("1 -1:1\n", "in.svm:1:3"),
        ("1 3:1 2:1\n", "in.svm:1:7"),
        ("1 3:1 3:1\n", "in.svm:1:7"),
        ("1 2147483648:1\n", "in.svm:1:3"),
        ("1 9223372036854775808:1\n", "in.svm:1:3"),
        ("1 1:x\n", "in.svm:1:5"),
        ("yes 1:1\n", "in.svm:1:1"),
    ] {
        let said = refused(content, &[]);
        assert!(said.contains(expected), "{content:?}: {said}");
        assert!(said.contains("\n  | ") && said.contains("hint: "), "bytes and hint: {said}");
    }
}

#[test]
fn what_a_file_can_be() {
    assert!(refused("", &[]).contains("empty"));
    assert!(refused("# nothing\n\n", &[]).contains("no rows"));
    assert!(refused("1 1:1\n1 2:1\n", &[]).contains("nothing to tell apart"));
    assert!(refused(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00".as_slice(), &[]).contains("in.svm"));
    assert!(refused("1 200:1\n-1 1:1\n", &["--max-features", "100"]).contains("in.svm:1:3"));
    let place = Place::new();
    assert!(place.fails(3, &["train", "svm", "--data", "none.svm"]).contains("none.svm"));
    assert!(place.fails(3, &["train", "svm", "--data", "*.none"]).contains("no file matches"));
    std::fs::create_dir(place.path("dir")).unwrap();
    assert!(place.fails(3, &["train", "svm", "--data", "dir"]).contains("folder"));
    assert_eq!(place.names(), ["dir"]);
}

#[test]
fn what_is_odd_but_right() {
    let place = Place::new();
    for (name, content) in [
        ("crlf.svm", "1 1:1\r\n-1 2:1\r\n"),
        ("bom.svm", "\u{feff}1 1:1\n-1 2:1\n"),
        ("open.svm", "1 1:1\n-1 2:1"),
    ] {
        place.write(name, content);
        place.ok(&["train", "svm", "--data", name, "--model", "m", "--overwrite"]);
    }
}

#[test]
fn labels_that_an_algorithm_cannot_take() {
    let said = refused("1 1:1\n# 7\n\n-1 2:1\n 7.5 1:1\n", &[]);
    assert!(said.contains("in.svm:5:2: label 7.5: "), "{said}");
    assert!(said.contains("--binarize") && said.contains("7.5 1:1"), "{said}");
    // Each of these is a label of some binary problem, but not of one.
    assert!(refused("1 1:1\n-1 2:1\n0 1:1\n", &[]).contains("in.svm:3:1: label 0: "));
    let place = Place::new();
    place.write("in.svm", "1 1:1\n2 1:2\n2.5 1:1\n");
    let said = place.fails(3, &["train", "logistic-regression", "--data", "in.svm"]);
    assert!(said.contains("in.svm:3:1: label 2.5: classes are labelled by whole numbers"), "{said}");
    place.ok(&["train", "logistic-regression", "--data", "in.svm", "--binarize", "1.5"]);
}

#[test]
fn bad_rows_can_be_left_out() {
    let place = Place::new();
    place.write("in.svm", "1 1:1\n1 0:1\n-1 2:1\nx\n");
    let ran = place.run(&["train", "svm", "--data", "in.svm", "--model", "m", "--on-bad", "skip"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 rows left out") && ran.stderr.contains("in.svm:2:3"), "{}", ran.stderr);
    let done =
        place.json(&["train", "svm", "--data", "in.svm", "--model", "n", "--on-bad", "quarantine=bad"]);
    assert_eq!((&done["rows"], &done["bad_rows"]), (&2.into(), &2.into()));
    assert_eq!(std::fs::read_dir(place.path("bad")).unwrap().count(), 1);
}

#[test]
fn models_and_outputs() {
    let place = Place::new();
    place.with_sample("rows.svm").ok(&["train", "svm", "--data", "rows.svm", "--model", "m"]);
    place.write("wide.svm", "1 1:1 15:2\n").write("bad.svm", "1 1:1\n1 0:1\n");
    let wide = place.fails(3, &["predict", "--model", "m", "--data", "wide.svm", "--out", "p.csv"]);
    assert!(wide.contains("wide.svm has 15 columns and the model knows 11: index 12..15"), "{wide}");
    place.fails(3, &["predict", "--model", "m", "--data", "bad.svm", "--out", "p.parquet"]);
    place.fails(2, &["predict", "--model", "m", "--data", "rows.svm", "--out", "p.xls"]);
    place.fails(2, &["predict", "--model", "m", "--data", "rows.svm", "--format", "parquet"]);
    assert_eq!(place.names(), ["bad.svm", "m", "rows.svm", "wide.svm"], "no output, no temporary file");
    place.ok(&["predict", "--model", "m", "--data", "wide.svm", "--ignore-extra-columns"]);
    assert!(place.fails(3, &["predict", "--model", "none", "--data", "rows.svm"]).contains("none"));
    place.write("m/data/part-00000.parquet", "damaged");
    assert!(place.fails(3, &["predict", "--model", "m", "--data", "rows.svm"]).contains("checksum"));
    let there = place.fails(2, &["train", "svm", "--model", "rows.svm", "--overwrite"]);
    assert!(there.contains("no model"), "{there}");
}
