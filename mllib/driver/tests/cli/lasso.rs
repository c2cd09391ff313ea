//! The lasso and the elastic net from the command line: train, predict, evaluate and inspect, paths, several processes.

use crate::common::{Place, data, files};
use serde_json::Value;

/// Rows of which the label is made of few columns, in four files.
fn with_data() -> Place {
    let place = Place::new();
    let made = ["generate", "regression", "--samples=120", "--features=300", "--informative=5", "--out=data"];
    let more = ["--groups=30", "--correlation=0.6", "--partitions=4", "--seed=5"];
    let said = place.ok(&[&made[..], &more].concat());
    assert!(said.contains("120 rows of 300 columns, 5 informative, in 4 files"), "{said}");
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn train_predict_evaluate_inspect() {
    let place = with_data();
    let train = ["train", "lasso", "--data=data", "--reg-ratio=0.02", "--model=m"];
    let done = place.json(&train);
    assert_eq!(done["solver"], "working-set");
    assert_eq!((&done["rows"], &done["columns"]), (&120.into(), &300.into()));
    assert!(done["converged"] == true && number(&done["gap"]) >= 0.0, "{done}");
    let ratio = number(&done["regularization"]) / number(&done["regularization_max"]);
    assert!((ratio - 0.02).abs() < 1e-12, "{done}");
    assert!(number(&done["metrics"]["r2"]) > 0.95, "{done}");
    let evaluated = place.json(&["evaluate", "--model=m", "--data=data"]);
    assert_eq!(done["metrics"], evaluated["metrics"]);
    let predicted = place.ok(&["predict", "--model=m", "--data=data"]);
    assert_eq!((predicted.lines().count(), predicted.lines().next()), (121, Some("prediction")));
    let inspected = place.json(&["inspect", "m"]);
    assert_eq!(inspected["algorithm"], "linear-regression");
    let text = place.ok(&[&train[..], &["--overwrite"]].concat());
    for word in ["penalty ", "there are no weights", "working-set", "gap", "optimality"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // The gap bounds the objective: asking for less changes it by no more.
    let tight = place.json(&[&train[..], &["--overwrite", "--tolerance=1e-12"]].concat());
    let fall = number(&done["objective"]) - number(&tight["objective"]);
    assert!((-1e-15..=number(&done["gap"]) + 1e-15).contains(&fall), "{fall} {done}");
}

/// Where both have the same problem, the solver by rows finds the same model.
#[test]
fn the_solver_by_rows_finds_the_same() {
    let place = with_data();
    let options = ["--data=data", "--reg=0.05", "--standardize=false", "--tolerance=1e-12", "--l1-ratio=0.7"];
    let columns = place.json(&[&["train", "elastic-net", "--model=c"], &options[..]].concat());
    let rows = ["train", "linear-regression", "--model=r", "--solver=lbfgs", "--iterations=2000"];
    let rows = place.json(&[&rows[..], &options].concat());
    let (a, b) = (number(&columns["objective"]), number(&rows["objective"]));
    assert!((a - b).abs() < 1e-7 * b && a <= b * (1.0 + 1e-12), "{a} {b}");
    let error = |done: &Value| number(&done["metrics"]["rmse"]);
    assert!((error(&columns) - error(&rows)).abs() < 1e-4 * error(&rows), "{columns} {rows}");
}

#[test]
fn paths_and_cross_validation() {
    let place = with_data();
    let train =
        ["train", "lasso", "--data=data", "--path=15", "--path-ratio=0.005", "--overwrite", "--model=m"];
    let path = place.json(&train);
    let points = path["path"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["nonzeros"]), (15, &0.into()));
    assert!(points.iter().all(|p| p["converged"] == true), "{path}");
    assert_eq!(points[14]["objective"], path["objective"]);
    let text = place.ok(&train);
    assert!(text.contains("15 penalties") && text.contains("weights"), "{text}");
    let with = |more: &[&str]| place.json(&[&train[..], &["--folds=4"], more].concat());
    let least = with(&[]);
    let search = &least["cross_validation"];
    let scored = search["penalties"].as_array().unwrap();
    let mean = |i: usize| number(&scored[i]["mean"]);
    let minimum = search["minimum"].as_u64().unwrap() as usize;
    assert!((0..15).all(|i| mean(i) >= mean(minimum)), "{search}");
    assert_eq!(least["regularization"], scored[minimum]["regularization"]);
    let simple = with(&["--select=1se"]);
    let chosen = simple["cross_validation"]["chosen"].as_u64().unwrap() as usize;
    assert_eq!(simple["regularization"], scored[chosen]["regularization"]);
    assert!(chosen <= minimum && mean(chosen) <= mean(minimum) + number(&scored[minimum]["standard_error"]));
    assert!(number(&simple["metrics"]["r2"]) > 0.9, "{simple}");
    assert!(place.ok(&[&train[..], &["--folds=4"]].concat()).contains("chosen"));
}

/// Weights that change many at a time come to the same optimum, with the same bytes for any number of processes.
#[test]
fn schedules() {
    let place = with_data();
    let best =
        place.json(&["train", "lasso", "--data=data", "--reg-ratio=0.05", "--tolerance=1e-9", "--model=b"]);
    let options =
        ["--data=data", "--reg-ratio=0.05", "--tolerance=1e-7", "--partitions=3", "--model=m", "--overwrite"];
    let options =
        [&["train", "lasso", "--scheduler=sap", "--parallelism=16", "--json"], &options[..]].concat();
    let train = |launcher: &[&str]| {
        let text = place.ok(&[launcher, &options].concat());
        let mut done: Value = serde_json::from_str(&text).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let one = train(&["--workers=1"]);
    let (done, schedule) = (&one.0, &one.0["schedule"]);
    assert_eq!((&done["solver"], &done["converged"]), (&"scheduled".into(), &true.into()), "{done}");
    let (a, b) = (number(&done["objective"]), number(&best["objective"]));
    assert!(a >= b * (1.0 - 1e-9) && a - b <= number(&done["gap"]) + 1e-9 * b, "{a} {b} {done}");
    assert!(number(&schedule["certificate"]) < 0.3 && number(&schedule["updates"]) > 100.0, "{schedule}");
    for launcher in [&["--workers=3"][..], &["cluster", "run", "-n", "3", "--"]] {
        assert!(train(launcher) == one, "{launcher:?}");
    }
    assert_eq!(
        place.json(&["evaluate", "--model=m", "--data=data", "--partitions=3"])["metrics"],
        done["metrics"]
    );
    place.fails(2, &["train", "lasso", "--data=data", "--scheduler=sap", "--path=3", "--model=n"]);
    place.fails(2, &["train", "lasso", "--data=data", "--parallelism=3", "--model=n"]);
}

/// Groups by size and by file, the chain, and the same bytes for any number of processes.
#[test]
fn groups() {
    let place = with_data();
    let numbers: String = (1..=300).map(|j| format!("{j},{}\n", (j - 1) / 10)).collect();
    place.write("groups.csv", format!("column,group\n{numbers}"));
    let train = |launcher: &[&str], groups: &str, more: &[&str]| {
        let options = ["--data=data", "--model=m", "--overwrite", "--json", "--groups", groups];
        let text = place.ok(&[launcher, &["train", "group-lasso"], &options, more].concat());
        let mut done: Value = serde_json::from_str(&text).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let one = train(&["--workers=1"], "10", &["--reg-ratio=0.1"]);
    let done = &one.0;
    assert!(done["converged"] == true && number(&done["metrics"]["r2"]) > 0.5, "{done}");
    let active = done["groups"]["with_weights"][0].as_u64().unwrap();
    assert_eq!(done["groups"]["all"], 30);
    // Whole groups have weights, or none of a group has.
    assert_eq!(done["nonzeros"].as_u64().unwrap(), 10 * active);
    assert!(active < 30, "{done}");
    for launcher in [&["--workers=3"][..], &["cluster", "run", "-n", "3", "--"]] {
        assert!(train(launcher, "groups.csv", &["--reg-ratio=0.1"]) == one, "{launcher:?}");
    }
    let sparse = train(&[], "10", &["--l1-ratio=0.5", "--path=4"]).0;
    let active = sparse["groups"]["with_weights"][3].as_u64().unwrap();
    assert!(sparse["nonzeros"].as_u64().unwrap() < 10 * active, "{sparse}");
    assert_eq!(place.json(&["evaluate", "--model=m", "--data=data"])["metrics"]["rows"], 120);
    place.write("bad.csv", "1,a\n301,a\n");
    let fails = |code, groups: &str| {
        place.fails(code, &["train", "group-lasso", "--data=data", "--model=n", "--groups", groups])
    };
    assert!(fails(3, "bad.csv").contains("bad.csv:2:1: there is no column `301`"));
    fails(2, "0");
    fails(3, "nowhere.csv");
    assert!(!place.path("n").exists());
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_data();
    let fails = |code, options: &[&str]| {
        place.fails(code, &[&["train", "elastic-net", "--data=data", "--model=m"], options].concat())
    };
    assert!(fails(2, &["--reg=0"]).contains("linear regression"));
    assert!(fails(2, &["--l1-ratio=0"]).contains("l1_ratio"));
    fails(2, &["--folds=3"]);
    fails(2, &["--reg=1", "--path=3"]);
    assert!(fails(2, &["--path=5", "--folds=1"]).contains("folds"));
    assert!(!place.path("m").exists());
    place.write("nan.svm", "1 1:1\n2 1:nan\n");
    place.fails(3, &["train", "lasso", "--data=nan.svm", "--model=n"]);
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_data();
    let options =
        ["--data=data", "--path=12", "--path-ratio=0.01", "--folds=3", "--model=m", "--overwrite", "--json"];
    let train = |launcher: &[&str]| {
        let text = place.ok(&[launcher, &["train", "elastic-net", "--l1-ratio=0.8"], &options].concat());
        let mut done: Value = serde_json::from_str(&text).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let one = train(&["--workers=1"]);
    for launcher in [
        &["--workers=3"][..],
        &["cluster", "run", "-n", "3", "--"],
        &["cluster", "run", "--workers=2", "-n2", "--"],
    ] {
        assert!(train(launcher) == one, "{launcher:?}");
    }
    let cluster = ["cluster", "run", "-n", "3", "--"];
    for command in
        [&["predict", "--model=m", "--data=data"][..], &["evaluate", "--model=m", "--data=data", "--json"]]
    {
        assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
    }
}

/// Columns named, in CSV: the colon tissues of Alon et al. The objective is that of scikit-learn.
#[test]
fn colon_tissues() {
    let Some(path) = data("alon_colon/alon_colon.csv.gz") else { return };
    let place = Place::new();
    let label = ["--label", "class(1=n/2=t)", "--tolerance=1e-10", "--model=m"];
    let done = place.json(&[&["train", "lasso", "--data", &path], &label[..]].concat());
    assert!((number(&done["objective"]) - 0.0466722424058789).abs() < 1e-10, "{done}");
    assert_eq!(done["nonzeros"], 29);
}
