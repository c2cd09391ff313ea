//! Folders and patterns in an object store stand for the files that they would stand for on disk.

use crate::{Place, table};
use slackwater_dataflow::Context;

#[test]
fn folders_and_patterns_are_those_of_a_disk() {
    let place = Place::new();
    for name in [
        "b.svm",
        "a.svm",
        ".hidden.svm",
        "_mark.svm",
        "out/part-00001",
        "out/part-00000.gz",
        "out/part-100000",
        "out/part-99999",
        "out/_SUCCESS",
        "out/.part-00000.crc",
        "out/notes.txt",
        "empty/_SUCCESS",
        "deep/x/1.svm",
        "deep/y/z/2.svm",
        "deep/y/.z/3.svm",
        "a&b c/1.svm",
    ] {
        place.write(name, if name.ends_with(".gz") { "" } else { "1 1:1\n" });
    }
    let disk = place.folder.path().display().to_string();
    for (input, want) in [
        ("*.svm", &["a.svm", "b.svm"][..]),
        ("?.svm", &["a.svm", "b.svm"]),
        ("[b-c].*", &["b.svm"]),
        ("_*.svm", &["_mark.svm"]),
        ("out", &["part-00000.gz", "part-00001", "part-99999", "part-100000"]),
        ("out/", &["part-00000.gz", "part-00001", "part-99999", "part-100000"]),
        ("o*t", &["part-00000.gz", "part-00001", "part-99999", "part-100000"]),
        ("out/part-0*", &["part-00000.gz", "part-00001"]),
        ("empty", &[]),
        ("deep/*/1.svm", &["1.svm"]),
        ("deep/**/*.svm", &["1.svm", "2.svm"]),
        ("**/2.svm", &["2.svm"]),
        ("a&b c/*", &["1.svm"]),
    ] {
        assert_eq!(place.names(&format!("s3://bucket/{input}")), want, "{input}");
        assert_eq!(place.names(&format!("{disk}/{input}")), want, "{input} on disk");
    }
    for input in ["deep", "no-such", "no-such/", "*.csv", "out/no"] {
        let e = place.resolve(&format!("s3://bucket/{input}")).unwrap_err();
        assert_eq!((e.exit_code(), e.is_retryable()), (3, false), "{input}: {e}");
        assert!(e.to_string().contains(&format!("s3://bucket/{input}")), "{e}");
    }
    // Pages of a listing have three names.
    let pages = place.server.asked().iter().filter(|a| a.query.contains("continuation-token")).count();
    assert!(pages > 0);
}

#[test]
fn divided_tables_have_their_columns() {
    let place = Place::new();
    let cx = Context::local(2).unwrap();
    for (city, year) in [("Oslo", 1), ("Oslo", 2), ("Rome", 1), ("a%20b", 3)] {
        place.write(&format!("t/city={city}/year={year}/part-0.csv"), format!("x\n{year}\n"));
    }
    place.write("t/_SUCCESS", "");
    let disk = place.path("t");
    let want = table(&cx, &place.resolve(disk.to_str().unwrap()).unwrap()).collect().unwrap();
    assert_eq!(want.num_rows(), 4);
    let got = table(&cx, &place.resolve("s3://bucket/t").unwrap()).collect().unwrap();
    assert!(got == want, "{got:?}\n{want:?}");
    place.write("t/stray.csv", "x\n1\n");
    let e = place.resolve("s3://bucket/t").unwrap_err();
    assert!(e.to_string().contains("`s3://bucket/t/stray.csv` is beside folders such as"), "{e}");
}

#[test]
fn the_web_is_not_listed() {
    let place = Place::new();
    place.write("a.svm", "1 1:1\n");
    for input in ["", "out/", "*.svm"] {
        let e = place.resolve(&place.server.web(input)).unwrap_err();
        assert_eq!(e.exit_code(), 3);
        assert!(
            e.to_string().contains("cannot be asked what it has\n  hint: name the files one by one"),
            "{e}"
        );
    }
    assert_eq!(place.names(&place.server.web("a.svm?a=*")), ["a.svm"], "a question mark begins a query");
    let queries: Vec<_> = place.server.asked().into_iter().map(|a| a.query).collect();
    assert_eq!(queries, ["a=*"], "it is sent");
}
