//! Train, predict, evaluate and inspect, for every algorithm.

use crate::common::Place;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn three_classes() -> String {
    let rows = (0..90).map(|i| {
        let (class, x) = (i % 3, f64::from(i / 3) / 30.0);
        format!("{class} 1:{} 2:{} 3:{x}\n", f64::from(class) + x, f64::from(class * class) - x)
    });
    rows.collect()
}

fn line(slope: f64) -> String {
    (0..50).map(|i| format!("{} 1:{i} 2:{}\n", slope * f64::from(i) + 3.0, i % 7)).collect()
}

#[test]
fn svm_on_the_sample() {
    let place = Place::new();
    place.with_sample("rows.svm");
    let ran = place.run(&["train", "svm"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for word in ["200 rows", "11 columns", "newton", "objective", "area under ROC", "svm.model"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("sample"), "{}", ran.stderr);
    let trained = place.json(&["train", "svm", "--model", "again.model"]);
    let evaluated = place.json(&["evaluate", "--model", "svm.model", "--data", "rows.svm"]);
    assert_eq!(trained["metrics"], evaluated["metrics"], "the sample is the file");
    let csv = place.ok(&["predict", "--model", "svm.model", "--data", "rows.svm", "--raw"]);
    assert_eq!(csv.lines().count(), 201);
    assert_eq!(csv.lines().next(), Some("prediction,score"));
    let rows = place.read("rows.svm");
    let right = csv.lines().skip(1).zip(rows.lines().skip(1)).filter(|(p, row)| {
        p.split(',').next().unwrap() == row.split(' ').next().unwrap().trim_start_matches('+')
    });
    assert_eq!(right.count() as f64 / 200.0, evaluated["metrics"]["accuracy"].as_f64().unwrap());
}

#[test]
fn logistic_regression_in_every_format() {
    let place = Place::new();
    place.with_sample("rows.svm");
    place.ok(&[
        "train",
        "logistic-regression",
        "--data",
        "rows.svm",
        "--model",
        "m",
        "--intercept",
        "--C",
        "2",
    ]);
    let common = ["predict", "--model", "m", "--data", "rows.svm", "--proba", "--raw"];
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&[&common[..], &["--out", out]].concat());
        assert!(said.contains("200 rows predicted"), "{said}");
    }
    let csv = place.read("p.csv");
    assert_eq!(csv.lines().next(), Some("prediction,score,probability_-1,probability_1"));
    let of_csv: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    for (line, row) in place.read("p.jsonl").lines().zip(&of_csv) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((object["prediction"].as_f64(), object["score"].as_f64()), (Some(row[0]), Some(row[1])));
        assert!((row[2] + row[3] - 1.0).abs() < 1e-12);
    }
    let file = std::fs::File::open(place.path("p.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let scores: Vec<f64> = batches
        .flat_map(|b| {
            b.unwrap().column_by_name("score").unwrap().as_primitive::<Float64Type>().values().to_vec()
        })
        .collect();
    assert_eq!(scores, of_csv.iter().map(|r| r[1]).collect::<Vec<_>>());
    let refused = place.fails(2, &[&common[..], &["--out", "p.csv"]].concat());
    assert!(refused.contains("--overwrite"), "{refused}");
    place.ok(&[&common[..], &["--out", "p.csv", "--overwrite"]].concat());
}

#[test]
fn several_classes() {
    let place = Place::new();
    place.write("rows.svm", three_classes());
    let trained =
        place.json(&["train", "logistic-regression", "--data", "rows.svm", "--model", "m", "--intercept"]);
    assert_eq!(trained["solver"], "lbfgs");
    assert!(trained["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    let evaluated = place.ok(&["evaluate", "--model", "m", "--data", "rows.svm"]);
    assert!(evaluated.contains("macro F1") && evaluated.contains("as 2"), "{evaluated}");
    let csv = place.ok(&["predict", "--model", "m", "--data", "rows.svm", "--proba", "--raw"]);
    assert!(csv.starts_with("prediction,score_0,score_1,score_2,probability_0,"), "{csv}");
    let refused = place.fails(2, &["evaluate", "--model", "m", "--data", "rows.svm", "--thresholds"]);
    assert!(refused.contains("two classes"), "{refused}");
    place.fails(3, &["train", "svm", "--data", "rows.svm", "--model", "s"]);
}

#[test]
fn linear_regression() {
    let place = Place::new();
    place.write("rows.svm", line(2.0));
    let trained = place.json(&["train", "linear-regression", "--data", "rows.svm", "--model", "m"]);
    assert!(trained["metrics"]["r2"].as_f64().unwrap() > 0.999_999, "{trained}");
    assert_eq!(trained["solver"], "normal");
    let inspected = place.json(&["inspect", "m"]);
    assert!((inspected["intercepts"][0].as_f64().unwrap() - 3.0).abs() < 1e-6, "{inspected}");
    assert!(place.fails(2, &["predict", "--model", "m", "--data", "rows.svm", "--proba"]).contains("--raw"));
    assert!(place.fails(2, &["inspect", "m", "--export", "liblinear", "--out", "x"]).contains("classifiers"));
    // A requirement on an error is an upper bound.
    place.ok(&["evaluate", "--model", "m", "--data", "rows.svm", "--require", "rmse=0.1"]);
}

#[test]
fn every_solver_that_is_offered_runs() {
    let place = Place::new();
    let runs: [(&str, &[&str]); 4] = [
        ("svm", &["newton", "lbfgs", "dual", "sgd"]),
        ("logistic-regression", &["newton", "lbfgs", "dual", "sgd"]),
        ("linear-regression", &["normal", "lbfgs", "newton", "sgd"]),
        ("svm", &["auto"]),
    ];
    for (algorithm, solvers) in runs {
        for solver in solvers {
            let done = place.json(&["train", algorithm, "--solver", solver, "--model", "m", "--overwrite"]);
            assert!(*solver == "auto" || done["solver"] == **solver, "{done}");
        }
    }
    let refused = place.fails(2, &["train", "svm", "--solver", "normal", "--model", "n"]);
    assert!(refused.contains("dual, newton, lbfgs, sgd"), "{refused}");
    assert!(!place.path("n").exists());
}

#[test]
fn held_out_rows_and_test_files() {
    let place = Place::new();
    place.with_sample("rows.svm");
    let split = place.json(&["train", "svm", "--split", "0.7,0.3", "--model", "a", "--metrics"]);
    let (trained, held_out) = (split["rows"].as_u64().unwrap(), split["metrics"]["rows"].as_u64().unwrap());
    assert_eq!((trained + held_out, &split["measured_on"]), (200, &"held-out rows".into()));
    let tested = place.json(&["train", "svm", "--data", "rows.svm", "--test", "rows.svm", "--model", "b"]);
    assert_eq!((&tested["measured_on"], &tested["metrics"]["rows"]), (&"test rows".into(), &200.into()));
    place.write("wide.svm", "1 1:1 14:2\n-1 2:1\n");
    let refused = place.fails(3, &["train", "svm", "--test", "wide.svm", "--model", "c"]);
    assert!(refused.contains("index 12..14") && !place.path("c").exists(), "{refused}");
}

#[test]
fn a_grid_is_searched() {
    let place = Place::new();
    let text = place.ok(&[
        "train",
        "logistic-regression",
        "--grid",
        "C=0.00001,0.1,1",
        "--folds",
        "4",
        "--model",
        "m",
    ]);
    assert!(text.contains("4 folds, by area under roc") && text.contains("best"), "{text}");
    let found = place.json(&[
        "train",
        "svm",
        "--grid",
        "C=0.1,1",
        "--grid",
        "l1-ratio=0,1",
        "--select-by",
        "accuracy",
        "--model",
        "n",
    ]);
    assert_eq!(found["cross_validation"]["candidates"].as_array().unwrap().len(), 4);
    assert_eq!(found["cross_validation"]["folds"], 3);
    assert_eq!(found["cross_validation"]["candidates"][0]["candidate"], "C=0.1 l1-ratio=0");
    assert!(place.fails(2, &["train", "svm", "--grid", "D=1", "--model", "o"]).contains("`D` is not one of"));
    assert!(place.fails(2, &["train", "svm", "--grid", "C=-1", "--model", "o"]).contains("positive"));
    let refused = place.fails(2, &["train", "svm", "--folds", "3", "--select-by", "beauty", "--model", "o"]);
    assert!(refused.contains("area-under-roc"), "{refused}");
    assert!(!place.path("o").exists());
}

#[test]
fn evaluation_in_detail() {
    let place = Place::new();
    place.with_sample("rows.svm").ok(&["train", "svm", "--data", "rows.svm", "--model", "m"]);
    let common = ["evaluate", "--model", "m", "--data", "rows.svm"];
    let all = place.json(&[&common[..], &["--thresholds", "5", "--curve", "roc", "--curve", "pr"]].concat());
    assert_eq!(all["thresholds"].as_array().unwrap().len(), 5);
    let roc = all["curves"]["roc"].as_array().unwrap();
    assert_eq!(
        (&roc[0], &roc[roc.len() - 1]),
        (&serde_json::json!([0.0, 0.0]), &serde_json::json!([1.0, 1.0]))
    );
    assert!(place.ok(&[&common[..], &["--thresholds"]].concat()).contains("threshold"));
    place.ok(&[&common[..], &["--require", "accuracy=0.5", "--require", "area-under-roc=0.5"]].concat());
    let no = place.fails(1, &[&common[..], &["--require", "accuracy=0.99"]].concat());
    assert!(no.contains("not at least 0.99"), "{no}");
    assert!(place.fails(2, &[&common[..], &["--require", "beauty=1"]].concat()).contains("accuracy"));
    // Labels 0 and 1 are not the model's -1 and +1, but they can be made so.
    place.write("zeros.svm", place.read("rows.svm").replace("\n-1 ", "\n0 "));
    let zeros = ["evaluate", "--model", "m", "--data", "zeros.svm"];
    assert!(place.fails(3, &zeros).contains("zeros.svm:2:1: label 0: the classes of the model are -1, 1"));
    let same = place.json(&[&zeros[..], &["--binarize", "0.5"]].concat());
    assert_eq!(same["metrics"], all["metrics"]);
}

#[test]
fn inspection() {
    let place = Place::new();
    place.with_sample("rows.svm").ok(&["train", "svm", "--data", "rows.svm", "--model", "m"]);
    let rows = place.json(&["inspect", "rows.svm"]);
    assert_eq!((&rows["rows"], &rows["columns"]), (&200.into(), &11.into()));
    assert_eq!(rows["labels"], serde_json::json!([[-1.0, 101], [1.0, 99]]));
    assert!(place.ok(&["inspect", "rows.svm", "--top", "1"]).contains("1 more labels"));
    let model = place.ok(&["inspect", "m", "--top", "2"]);
    assert!(model.contains("linear-svm") && model.contains("squared-hinge"), "{model}");
    assert_eq!(place.json(&["inspect", "m", "--top", "2"])["top"].as_array().unwrap().len(), 2);
    place.ok(&["inspect", "m", "--export", "liblinear", "--out", "m.txt"]);
    assert!(place.read("m.txt").starts_with("solver_type L2R_L2LOSS_SVC\nnr_class 2\nlabel 1 -1\n"));
    assert!(
        place.fails(2, &["inspect", "m", "--export", "liblinear", "--out", "m.txt"]).contains("--overwrite")
    );
    std::fs::create_dir(place.path("empty")).unwrap();
    assert!(place.fails(3, &["inspect", "empty"]).contains("no model"));
}

#[test]
fn input_of_every_kind() {
    use std::io::Write;
    let place = Place::new();
    place.with_sample("a.svm").with_sample("b.svm");
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(place.read("a.svm").as_bytes()).unwrap();
    place.write("c.svm.gz", packed.finish().unwrap());
    let rows = |data: &[&str]| place.json(&[&["inspect"], data].concat())["rows"].as_u64().unwrap();
    assert_eq!(rows(&["a.svm", "b.svm", "c.svm.gz"]), 600);
    assert_eq!(rows(&["*.svm"]), 400);
    let mut command = place.command(&["train", "svm", "--data", "-", "--model", "m", "--json"]);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(place.read("a.svm").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["rows"], 200);
    place.write("zero.svm", "1 0:1 4:2\n-1 0:-1\n");
    assert_eq!(place.json(&["inspect", "zero.svm", "--index-base", "0"])["columns"], 5);
}

#[test]
fn minibatches_on_a_table() {
    let place = Place::new();
    place.write("rows.svm", three_classes());
    for consistency in ["bsp", "ssp:2", "essp:0", "async"] {
        let trained = place.json(&[
            "train",
            "logistic-regression",
            "--data=rows.svm",
            "--solver=minibatch",
            "--batch=5",
            "--partitions=3",
            "--workers=2",
            "--iterations=60",
            "--intercept",
            "--model=m",
            "--overwrite",
            "--consistency",
            consistency,
        ]);
        assert_eq!(trained["parameters"]["training"]["table"]["consistency"], consistency);
        assert_eq!(trained["iterations"], 60);
        assert!(trained["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
        let evaluated = place.json(&["evaluate", "--model=m", "--data=rows.svm"]);
        assert_eq!(evaluated["metrics"], trained["metrics"]);
        let csv = place.ok(&["predict", "--model=m", "--data=rows.svm", "--proba"]);
        assert_eq!(csv.lines().count(), 91);
        assert!(place.ok(&["inspect", "m"]).contains("minibatch"));
    }
    let train = ["train", "logistic-regression", "--data=rows.svm", "--model=n"];
    for (wrong, says) in [
        (&["--consistency=ssp"][..], "essp:S"),
        (&["--consistency=ssp:1"], "`--solver minibatch` only"),
        (&["--solver=minibatch", "--batch=0"], "at least 1"),
        (&["--solver=minibatch", "--decay=1.5"], "decay"),
        (&["--solver=minibatch", "--l1-ratio=1"], "no L1 penalty"),
        (&["--solver=minibatch", "--step-size=100"], "must be below 90"),
    ] {
        let ran = place.run(&[&train[..], wrong].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(says), "{wrong:?}: {}", ran.stderr);
    }
    let ran = place.run(&[&train[..], &["--solver=minibatch", "--reg=0", "--step-size=1e200"]].concat());
    assert!(ran.code == Some(4) && ran.stderr.contains("a smaller step size"), "{}", ran.stderr);
    assert!(!place.path("n").exists(), "nothing is stored of a run that failed");
}

#[test]
fn minibatches_go_on_from_snapshots() {
    let place = Place::new();
    place.write("rows.svm", three_classes());
    let train = |more: &[&str]| {
        let common = ["train", "logistic-regression", "--data=rows.svm", "--solver=minibatch", "--batch=5"];
        let rest = ["--partitions=3", "--iterations=20", "--model=m", "--overwrite", "--snapshots=kept"];
        place.run(&[&common[..], &rest, more].concat())
    };
    let first = train(&["--workers=1"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let weights = std::fs::read(place.path("m/data/part-00000.parquet")).unwrap();
    let again = train(&["--workers=2"]);
    assert!(again.code == Some(3) && again.stderr.contains("has snapshots already"), "{}", again.stderr);
    // The newest is damaged: it is named, the last epoch is done again, and the model has the same bytes.
    let newest = std::fs::read_dir(place.path("kept")).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    std::fs::write(newest.join("part-00000-of-00001.table"), "nothing").unwrap();
    let resumed = train(&["--workers=2", "--resume", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("part-00000-of-00001.table"), "{}", resumed.stderr);
    let done: serde_json::Value = serde_json::from_str(&resumed.stdout).unwrap();
    assert_eq!(done["iterations"], 20);
    assert_eq!(std::fs::read(place.path("m/data/part-00000.parquet")).unwrap(), weights);
    let ran = place.run(&["train", "logistic-regression", "--data=rows.svm", "--snapshots=other"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("minibatch"), "{}", ran.stderr);
}
