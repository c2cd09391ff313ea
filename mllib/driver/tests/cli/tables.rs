//! Tables: training, predicting, converting and looking at CSV, Parquet, Arrow and JSON lines.

use crate::common::Place;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Rows that two classes can nearly be told apart by.
pub fn sparse(rows: u64) -> String {
    let mut text = String::new();
    let mut state = 7u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for _ in 0..rows {
        let (a, b) = (next(20), 20 + next(20));
        let label = if (a + b + next(7)) % 40 > 19 { 1 } else { -1 };
        writeln!(text, "{label} {}:1 {}:{}", a + 1, b + 1, (next(1000) + 1) as f64 / 8.0).unwrap();
    }
    text
}

pub fn same_model(place: &Place, a: &str, b: &str) {
    for file in ["metadata.json", "data/part-00000.parquet"] {
        let read = |model: &str| std::fs::read(place.path(model).join(file)).unwrap();
        assert!(read(a) == read(b), "{file} of {a} and {b}");
    }
}

#[test]
fn the_same_rows_in_any_format_give_the_same_model() {
    let place = Place::new();
    place.write("rows.svm", sparse(20_000));
    let train = |data: &str, model: &str| {
        place.ok(&["train", "logistic-regression", "--data", data, "--partitions", "1", "--model", model]);
    };
    train("rows.svm", "svm.model");
    for (i, name) in
        ["rows.parquet", "rows.csv", "rows.tsv.gz", "rows.arrow", "rows.arrows", "rows.jsonl.zst"]
            .iter()
            .enumerate()
    {
        place.ok(&["convert", "rows.svm", name]);
        let model = format!("{i}.model");
        train(name, &model);
        same_model(&place, "svm.model", &model);
        // And back: as the text was.
        let back = format!("{i}.svm");
        place.ok(&["convert", name, &back]);
        assert!(place.read(&back) == place.read("rows.svm"), "{name}");
    }
    // Several processes read the same.
    let data = ["--data", "rows.parquet", "--partitions", "3"];
    place.ok(&[&["train", "logistic-regression"][..], &data, &["--model", "one.model"]].concat());
    let cluster = ["cluster", "run", "-n", "2", "--", "train", "logistic-regression"];
    place.ok(&[&cluster[..], &data, &["--model", "two.model"]].concat());
    same_model(&place, "one.model", "two.model");
    // A model of plain rows takes them from any format.
    let of = |data: &str| place.ok(&["predict", "--model", "svm.model", "--data", data, "--proba"]);
    assert_eq!(of("rows.svm"), of("rows.csv"));
    assert_eq!(of("rows.svm"), of("rows.parquet"));
}

/// The class in the second line of predictions.
fn predicted_second(text: &str) -> String {
    text.lines().nth(2).unwrap().split(',').next().unwrap().to_string()
}

const PEOPLE: &str = "\
age,city,vip,income
31,Rome,true,high
20,Oslo,false,low
45,Rome,true,high
,Bonn,false,low
52,\"Halle, Saale\",true,high
19,Oslo,true,low
38,Bonn,false,high
22,Rome,false,low
";

#[test]
fn columns_are_found_by_name() {
    let place = Place::new();
    place.write("people.csv", PEOPLE);
    let train = ["train", "logistic-regression", "--data", "people.csv", "--label", "income", "--model", "m"];
    let refused = place.fails(3, &train);
    assert!(refused.contains("`age` is missing") && refused.contains("age= city=Bonn"), "{refused}");
    assert_eq!(place.names(), ["people.csv"]);
    let trained = place.json(&[&train[..], &["--missing", "mean"]].concat());
    assert_eq!((trained["rows"].as_u64(), trained["columns"].as_u64()), (Some(8), Some(6)));
    // Other columns, in another order, with a city that was not there, and without labels.
    place.write("new.jsonl", "{\"id\": 1, \"vip\": true, \"city\": \"Rome\", \"age\": 44}\n{\"id\": 2, \"city\": \"Lima\", \"vip\": false, \"age\": 20}\n");
    let predicted = place.ok(&["predict", "--model", "m", "--data", "new.jsonl", "--proba"]);
    let lines: Vec<&str> = predicted.lines().collect();
    assert_eq!(lines[0], "prediction,probability_high,probability_low");
    let is_class = |line: &str| line.starts_with("high,0.") || line.starts_with("low,0.");
    assert!(lines.len() == 3 && is_class(lines[1]) && is_class(lines[2]), "{predicted}");
    let lines = place.ok(&["predict", "--model", "m", "--data", "new.jsonl", "--format", "jsonl"]);
    assert_eq!(lines.lines().next(), Some("{\"prediction\":\"high\"}"));
    place.ok(&["predict", "--model", "m", "--data", "new.jsonl", "--out", "p.parquet"]);
    let shown = place.json(&["inspect", "p.parquet"]);
    assert_eq!(shown["columns"][0]["type"], "Utf8");
    assert_eq!(shown["first_rows"], serde_json::json!([["high"], [predicted_second(&predicted)]]));
    // What is needed must be there.
    place.write("short.csv", "city,vip\nRome,true\nOslo,false\n");
    let said = place.fails(3, &["predict", "--model", "m", "--data", "short.csv"]);
    assert!(said.contains("does not have the columns that are needed\n  - age Float64"), "{said}");
    let said = place.fails(3, &["evaluate", "--model", "m", "--data", "new.jsonl"]);
    assert!(said.contains("  - income"), "{said}");
    let measured = place.json(&["evaluate", "--model", "m", "--data", "people.csv"]);
    assert!(measured["metrics"]["area_under_roc"].as_f64().unwrap() > 0.9, "{measured}");
    let said = place.fails(2, &["predict", "--model", "m", "--data", "new.jsonl", "--missing", "zero"]);
    assert!(said.contains("is said when a model is trained"), "{said}");
    // Other kinds of models keep their columns as well.
    let options = ["--data", "people.csv", "--features", "age,vip", "--missing", "zero"];
    place.ok(&[&["train", "k-means", "--k", "2", "--model", "k"][..], &options].concat());
    let predicted = place.ok(&["predict", "--model", "k", "--data", "new.jsonl"]);
    assert_eq!(predicted.lines().count(), 3);
}

#[test]
fn texts_become_features_in_three_ways() {
    let place = Place::new();
    place.write("people.csv", PEOPLE);
    for (how, columns) in [("one-hot", 6), ("ordinal", 3), ("hash=16", 18)] {
        let trained = place.json(&[
            "train",
            "svm",
            "--data",
            "people.csv",
            "--label",
            "income",
            "--categorical",
            how,
            "--missing",
            "zero",
            "--model",
            how,
        ]);
        assert_eq!(trained["columns"].as_u64(), Some(columns), "{how}");
        place.ok(&["evaluate", "--model", how, "--data", "people.csv"]);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Place::new();
    place
        .write("people.csv", PEOPLE)
        .write("rows.svm", "1 1:1\n-1 2:1\n")
        .write("bad.csv", "x,y\n1,0\n2,1,3\nq,0\n4,1\n");
    place.write("words", "hello world\n");
    for (code, arguments, parts) in [
        (
            2,
            &["train", "svm", "--data", "people.csv", "--label", "incme"][..],
            &["no column `incme`", "there are age"][..],
        ),
        (
            2,
            &["train", "svm", "--data", "people.csv", "--label", "income", "--where", "age >"],
            &["it ends here"],
        ),
        (
            2,
            &["train", "svm", "--data", "people.csv", "--label", "income", "--where", "town = 'x'"],
            &["no column `town`"],
        ),
        (3, &["train", "svm", "--data", "people.csv"], &["no column of labels", "--label"]),
        (2, &["train", "svm", "--data", "rows.svm", "--label", "y"], &["label", "is for tables"]),
        (
            2,
            &["train", "svm", "--data", "people.csv", "--num-features", "9"],
            &["num-features", "is for LIBSVM text"],
        ),
        (2, &["train", "svm", "--data", "people.csv", "--delimiter", "ab"], &["one character"]),
        (3, &["train", "svm", "--data", "people.csv", "--input-format", "parquet"], &["not a Parquet file"]),
        (3, &["train", "svm", "--data", "bad.csv", "--header", "yes"], &["bad.csv:3:5", "3 fields"]),
        (2, &["convert", "people.csv", "out"], &["--to"]),
        (2, &["convert", "people.csv", "out.gr"], &["is read, and not written"]),
        (3, &["convert", "words", "out.csv"], &["cannot be told", "--input-format"]),
        (2, &["convert", "people.csv", "people.csv"], &["there already"]),
        (2, &["convert", "people.csv", "out.parquet", "--out-delimiter", ";"], &["is for CSV"]),
        (2, &["convert", "people.csv", "out.parquet", "--compression", "bzip2"], &["compression"]),
        (3, &["convert", "bad.csv", "out.parquet"], &["bad.csv:"]),
        (2, &["convert", "people.csv", "out.mtx"], &["`row`, `column` and `value`"]),
        (2, &["inspect", "people.csv", "--where", "city = 3"], &["compares"]),
    ] {
        let said = place.fails(code, arguments);
        assert!(parts.iter().all(|p| said.contains(p)), "{arguments:?}: {said}");
    }
    assert_eq!(place.names(), ["bad.csv", "people.csv", "rows.svm", "words"]);
}

#[test]
fn bad_lines_are_left_out_if_that_is_asked_for() {
    let place = Place::new();
    let mut text = String::from("x,y\n");
    for i in 0..2000 {
        text += if i % 100 == 7 { "1,2,3\n" } else { "0.5,1\n" };
    }
    place.write("in.csv", text);
    let done = place.json(&["convert", "in.csv", "out.parquet", "--on-bad", "quarantine=bad"]);
    assert_eq!((done["rows"].as_u64(), done["bad_rows"].as_u64()), (Some(1980), Some(20)));
    let kept: String = std::fs::read_dir(place.path("bad"))
        .unwrap()
        .map(|e| std::fs::read_to_string(e.unwrap().path()).unwrap())
        .collect();
    assert_eq!(kept.lines().count(), 20);
    assert!(kept.contains("\"line\":9"), "{kept}");
    let done = place.json(&["convert", "in.csv", "out.jsonl", "--on-bad", "skip", "--where", "x > 1"]);
    assert_eq!(done["rows"].as_u64(), Some(0));
}

#[test]
fn tables_are_converted_and_shown() {
    let place = Place::new();
    place.write("people.csv", PEOPLE);
    place.ok(&[
        "convert",
        "people.csv",
        "old.tsv",
        "--where",
        "age > 30 or age is null",
        "--select",
        "city,age",
    ]);
    assert_eq!(place.read("old.tsv"), "city\tage\nRome\t31\nRome\t45\nBonn\t\nHalle, Saale\t52\nBonn\t38\n");
    place.ok(&["convert", "people.csv", "parts/", "--to", "csv", "--out-delimiter", ";", "--no-header"]);
    assert!(place.path("parts/_SUCCESS").exists());
    assert!(place.read("parts/part-00000.csv").starts_with("31;Rome;true;high\n"));
    let said = place.fails(3, &["convert", "people.csv", "parts/", "--to", "csv"]);
    assert!(said.contains("not empty"), "{said}");
    place.ok(&["convert", "people.csv", "parts/", "--to", "parquet", "--compression", "zstd", "--overwrite"]);
    assert!(!place.path("parts/part-00000.csv").exists());
    let shown = place.json(&["inspect", "parts", "--top", "1"]);
    assert_eq!(shown["rows"].as_u64(), Some(8));
    assert_eq!(
        shown["columns"][0],
        serde_json::json!({
            "name": "age", "type": "Int64", "missing": 1, "nonzeros": 7, "min": "19", "max": "52", "mean": 227.0 / 7.0, "width": null,
        })
    );
    assert_eq!(shown["first_rows"], serde_json::json!([["31", "Rome", "true", "high"]]));
    let text = place.ok(&["inspect", "people.csv", "--top", "2"]);
    assert!(text.contains("rows     8 in 1 partition") && text.contains("city"), "{text}");
    // Matrices, edges and the like are tables, too.
    place.write("m.mtx", "%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n2 1 0.5\n3 3 2\n");
    place.ok(&["convert", "m.mtx", "m.csv"]);
    assert_eq!(place.read("m.csv"), "row,column,value\n1,0,0.5\n0,1,0.5\n2,2,2.0\n");
    place.ok(&["convert", "m.csv", "n.mtx"]);
    assert_eq!(
        place.read("n.mtx"),
        "%%MatrixMarket matrix coordinate real general\n3 3 3\n2 1 0.5\n1 2 0.5\n3 3 2\n"
    );
    place.write("g.edges", "# a graph\n1 2\n2 3\n");
    place.ok(&["convert", "g.edges", "g.jsonl"]);
    assert_eq!(place.read("g.jsonl"), "{\"source\":1,\"target\":2}\n{\"source\":2,\"target\":3}\n");
    let mut child = place
        .command(&["convert", "-", "in.parquet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), PEOPLE.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.json(&["inspect", "in.parquet"])["rows"].as_u64(), Some(8));
}

#[test]
fn ratings_and_documents_come_from_tables_too() {
    let place = Place::new();
    let (mut ratings, mut cells) =
        (String::from("userId,movieId,rating\n"), String::from("document,word,count\n"));
    for i in 0..600u32 {
        writeln!(ratings, "{},{},{}", i % 30, i * 7 % 20, (i * i % 9) as f64 / 2.0 + 0.5).unwrap();
        writeln!(cells, "{},{},{}", i / 20, i * 13 % 40, i % 3 + 1).unwrap();
    }
    place.write("r.csv", ratings).write("d.csv", cells);
    place.ok(&["convert", "r.csv", "r.parquet"]);
    place.ok(&["convert", "d.csv", "d.jsonl"]);
    let mf = |data: &str, model: &str| {
        place.ok(&[
            "train",
            "mf",
            "--data",
            data,
            "--rank",
            "3",
            "--epochs",
            "3",
            "--partitions",
            "1",
            "--model",
            model,
        ])
    };
    mf("r.csv", "a.model");
    mf("r.parquet", "b.model");
    same_model(&place, "a.model", "b.model");
    let of = |data: &str| place.ok(&["predict", "--model", "a.model", "--data", data]);
    assert_eq!(of("r.csv"), of("r.parquet"));
    let lda = |data: &str, model: &str| {
        place.ok(&[
            "train",
            "lda",
            "--data",
            data,
            "--topics",
            "3",
            "--epochs",
            "3",
            "--partitions",
            "1",
            "--model",
            model,
        ])
    };
    lda("d.csv", "c.model");
    lda("d.jsonl", "d.model");
    same_model(&place, "c.model", "d.model");
    place.ok(&["convert", "r.csv", "short.parquet", "--select", "userId,rating"]);
    let said = place.fails(2, &["train", "mf", "--data", "short.parquet"]);
    assert!(said.contains("no column `item`"), "{said}");
    let said = place.fails(2, &["predict", "--model", "a.model", "--data", "r.csv", "--label", "x"]);
    assert!(said.contains("label"), "{said}");
}

#[test]
fn folders_may_be_divided_by_columns() {
    let place = Place::new();
    for (year, city, rows) in [
        ("2023", "Rome", "a,1\n"),
        ("2023", "Halle%20%28Saale%29", "b,2\nc,3\n"),
        ("2024", "__HIVE_DEFAULT_PARTITION__", "d,4\n"),
    ] {
        let folder = format!("trips/year={year}/city={city}");
        std::fs::create_dir_all(place.path(&folder)).unwrap();
        place.write(&format!("{folder}/x.csv"), format!("name,km\n{rows}"));
    }
    place.ok(&["convert", "trips", "all.csv"]);
    assert_eq!(
        place.read("all.csv"),
        "name,km,year,city\nb,2,2023,Halle (Saale)\nc,3,2023,Halle (Saale)\na,1,2023,Rome\nd,4,2024,\n"
    );
    place.ok(&[
        "convert",
        "trips",
        "some.jsonl",
        "--where",
        "year = 2023 and km > 1 and city != 'Rome'",
        "--select",
        "city,km",
    ]);
    assert_eq!(
        place.read("some.jsonl"),
        "{\"city\":\"Halle (Saale)\",\"km\":2}\n{\"city\":\"Halle (Saale)\",\"km\":3}\n"
    );
    place.write("trips/year=2024/city=__HIVE_DEFAULT_PARTITION__/y.csv", "name\nx\n");
    let said = place.fails(3, &["inspect", "trips"]);
    assert!(said.contains("y.csv"), "{said}");
}

/// Waits until something in `folder` has a name that is wanted.
fn wait_for(folder: &Path, wanted: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        if names.into_iter().any(|e| wanted(&e.file_name().to_string_lossy())) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_killed_write_leaves_nothing_that_looks_whole() {
    let place = Place::new();
    let line = "0.125,17,\"some text that is not short\",-2.5e-3\n";
    place.write("in.csv", format!("a,b,c,d\n{}", line.repeat(600_000)));
    for (out, folder, mark) in [("out.parquet", ".", ".out.parquet.tmp-"), ("parts/", "parts", "_temporary-")]
    {
        let arguments = ["convert", "in.csv", out, "--to", "parquet", "--partitions", "8"];
        let mut child =
            place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for(&place.path(folder), |name| name.starts_with(mark));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("out.parquet").exists() || out == "parts/", "{out} looks whole");
        assert!(!place.path("parts/_SUCCESS").exists());
        if out == "parts/" {
            let said = place.fails(3, &["convert", "parts", "again.parquet"]);
            assert!(said.contains("no files named part-*"), "{said}");
        }
        let done = place.json(&arguments);
        assert_eq!(done["rows"].as_u64(), Some(600_000));
        assert_eq!(place.json(&["inspect", out.trim_end_matches('/')])["rows"].as_u64(), Some(600_000));
    }
}

#[test]
fn tables_and_sparse_rows_are_made_up() {
    let place = Place::new();
    let table =
        ["generate", "table", "--samples=3000", "--missing=0.1", "--columns=id=1,float=2,text=1,date=1"];
    for (partitions, out) in [("1", "one.csv"), ("5", "five.csv"), ("4", "four.parquet")] {
        place.ok(&[&table[..], &["--partitions", partitions, "--out", out]].concat());
    }
    assert!(place.read("one.csv") == place.read("five.csv"));
    place.ok(&["convert", "four.parquet", "four.csv"]);
    assert!(place.read("one.csv") == place.read("four.csv"));
    let head = place.read("one.csv");
    assert!(head.starts_with("id1,float1,float2,text1,date1\n0,"), "{}", &head[..80]);
    let folder =
        place.ok(&[&table[..], &["--partitions=3", "--to=jsonl", "--out=parts/", "--json"]].concat());
    assert!(folder.contains("\"rows\": 3000") && folder.contains("\"to\": \"jsonl\""), "{folder}");
    let back = place.ok(&["inspect", "parts", "--json"]);
    assert!(back.contains("\"rows\": 3000"), "{back}");
    assert!(place.fails(2, &["generate", "table", "--columns=word=1", "--out=x.csv"]).contains("no kind"));
    assert!(place.fails(2, &["generate", "table", "--out=x"]).contains("--to"));
    assert!(place.fails(2, &["generate", "table", "--out=one.csv"]).contains("--overwrite"));

    let sparse = ["generate", "sparse", "--samples=4000", "--features=500", "--nonzeros=20", "--flip=0"];
    place.ok(&[&sparse[..], &["--partitions=2", "--out=rows"]].concat());
    let seen = place.ok(&["inspect", "rows", "--json"]);
    assert!(seen.contains("\"rows\": 4000"), "{seen}");
    place.ok(&["train", "svm", "--data", "rows", "--C=10", "--model=m"]);
    let measured = place.ok(&["evaluate", "--model=m", "--data=rows", "--json"]);
    let accuracy = measured.split("\"accuracy\": ").nth(1).and_then(|s| s.split(['}', ',', '\n']).next());
    let accuracy: f64 = accuracy.and_then(|a| a.parse().ok()).unwrap_or_else(|| panic!("{measured}"));
    assert!(accuracy > 0.97, "hidden weights decide: {accuracy}");
    assert!(place.fails(2, &["generate", "sparse", "--flip=0.7", "--out=x"]).contains("flip"));
}
