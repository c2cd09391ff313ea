//! Sparse logistic regression from the command line: train, predict, evaluate and inspect, paths, schedules, several processes.

use crate::common::{Place, files};
use serde_json::Value;

/// Rows of which the label is made of few columns, in four files; positive where it is above 0.
fn with_data() -> Place {
    let place = Place::new();
    let made = ["generate", "regression", "--samples=120", "--features=300", "--informative=5", "--out=data"];
    place.ok(&[&made[..], &["--groups=30", "--correlation=0.6", "--partitions=4", "--seed=5"]].concat());
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const DATA: [&str; 2] = ["--data=data", "--binarize=0"];

#[test]
fn train_predict_evaluate_inspect() {
    let place = with_data();
    let train =
        [&["train", "sparse-logistic", "--reg-ratio=0.1", "--model=m", "--metrics"], &DATA[..]].concat();
    let done = place.json(&train);
    assert_eq!((&done["solver"], &done["algorithm"]), (&"working-set".into(), &"sparse-logistic".into()));
    assert!(done["converged"] == true && number(&done["gap"]) >= 0.0, "{done}");
    let ratio = number(&done["regularization"]) / number(&done["regularization_max"]);
    assert!((ratio - 0.1).abs() < 1e-12, "{done}");
    assert!(number(&done["metrics"]["accuracy"]) > 0.9, "{done}");
    let nonzeros = done["nonzeros"].as_u64().unwrap();
    assert!((1..100).contains(&nonzeros), "{done}");
    let evaluated = place.json(&[&["evaluate", "--model=m"], &DATA[..]].concat());
    assert_eq!(done["metrics"], evaluated["metrics"]);
    let predicted = place.ok(&["predict", "--model=m", "--data=data", "--proba"]);
    let lines: Vec<&str> = predicted.lines().collect();
    assert_eq!(lines.len(), 121, "{predicted}");
    for line in &lines[1..] {
        let words: Vec<f64> = line.split(',').map(|w| w.parse().unwrap()).collect();
        let [label, negative, positive] = words[..] else { panic!("{line}") };
        assert!((negative + positive - 1.0).abs() < 1e-12 && label == f64::from(positive > 0.5), "{line}");
    }
    let inspected = place.json(&["inspect", "m"]);
    assert_eq!(inspected["algorithm"], "logistic-regression");
    assert_eq!(inspected["nonzero_weights"].as_u64().unwrap(), nonzeros);
    let text = place.ok(&[&train[..], &["--overwrite"]].concat());
    for word in ["penalty ", "there are no weights", "working-set", "gap", "optimality"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // The gap bounds the objective: asking for less changes it by no more.
    let tight = place.json(&[&train[..], &["--overwrite", "--tolerance=1e-12"]].concat());
    let fall = number(&done["objective"]) - number(&tight["objective"]);
    assert!((-1e-15..=number(&done["gap"]) + 1e-15).contains(&fall), "{fall} {done}");
    // Rows to measure on may be others.
    let split = place.json(&[&train[..], &["--overwrite", "--split=0.7,0.3"]].concat());
    assert_eq!(split["measured_on"], "held-out rows");
}

/// Where both have the same problem, the solver by rows finds the same model.
#[test]
fn the_solver_by_rows_finds_the_same() {
    let place = with_data();
    let options = ["--reg=0.02", "--standardize=false", "--tolerance=1e-12", "--l1-ratio=0.7"];
    let options = [&DATA[..], &options].concat();
    let columns = place.json(&[&["train", "sparse-logistic", "--model=c"], &options[..]].concat());
    let rows =
        ["train", "logistic-regression", "--model=r", "--solver=lbfgs", "--iterations=5000", "--intercept"];
    let rows = place.json(&[&rows[..], &options].concat());
    let (a, b) = (number(&columns["objective"]), number(&rows["objective"]));
    assert!((a - b).abs() < 1e-6 * b && a <= b * (1.0 + 1e-12), "{a} {b}");
}

#[test]
fn paths_and_cross_validation() {
    let place = with_data();
    let train = ["train", "sparse-logistic", "--path=12", "--path-ratio=0.02", "--overwrite", "--model=m"];
    let train = [&train[..], &DATA].concat();
    let path = place.json(&train);
    let points = path["path"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["nonzeros"]), (12, &0.into()));
    assert!(points.iter().all(|p| p["converged"] == true), "{path}");
    assert_eq!(points[11]["objective"], path["objective"]);
    assert_eq!(place.json(&["inspect", "m"])["summary"]["path"], path["path"]);
    let text = place.ok(&train);
    assert!(text.contains("12 penalties") && text.contains("weights"), "{text}");
    let least = place.json(&[&train[..], &["--folds=4"]].concat());
    let search = &least["cross_validation"];
    let scored = search["penalties"].as_array().unwrap();
    let mean = |i: usize| number(&scored[i]["mean"]);
    let minimum = search["minimum"].as_u64().unwrap() as usize;
    assert!((0..12).all(|i| mean(i) >= mean(minimum)), "{search}");
    assert_eq!(least["regularization"], scored[minimum]["regularization"]);
    let text = place.ok(&[&train[..], &["--folds=4", "--select=1se"]].concat());
    assert!(text.contains("chosen") && text.contains("by mean log loss"), "{text}");
}

/// Weights that change many at a time come to the same optimum, with the same bytes for any number of processes.
#[test]
fn schedules() {
    let place = with_data();
    let reg = ["--reg-ratio=0.2", "--overwrite"];
    let best = [&["train", "sparse-logistic", "--tolerance=1e-9", "--model=b"], &reg[..], &DATA].concat();
    let best = place.json(&best);
    let options = ["--tolerance=1e-6", "--partitions=3", "--model=m", "--scheduler=sap", "--parallelism=16"];
    let options = [&["train", "sparse-logistic", "--json"], &options[..], &reg, &DATA].concat();
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
    assert!(a >= b * (1.0 - 1e-9) && a - b <= number(&done["gap"]) + 1e-9, "{a} {b} {done}");
    assert!(number(&schedule["certificate"]) < 0.3 && number(&schedule["updates"]) > 100.0, "{schedule}");
    for launcher in [&["--workers=3"][..], &["cluster", "run", "-n", "2", "--"]] {
        assert!(train(launcher) == one, "{launcher:?}");
    }
    place.fails(2, &["train", "sparse-logistic", "--data=data", "--scheduler=sap", "--path=3", "--model=n"]);
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_data();
    let options = ["--path=8", "--path-ratio=0.05", "--folds=3", "--model=m", "--overwrite", "--json"];
    let options = [&["train", "sparse-logistic", "--l1-ratio=0.8"], &options[..], &DATA].concat();
    let train = |launcher: &[&str]| {
        let text = place.ok(&[launcher, &options].concat());
        let mut done: Value = serde_json::from_str(&text).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let one = train(&["--workers=1"]);
    for launcher in [
        &["--workers=3"][..],
        &["cluster", "run", "-n", "2", "--"],
        &["cluster", "run", "--workers=2", "-n3", "--"],
    ] {
        assert!(train(launcher) == one, "{launcher:?}");
    }
    let cluster = ["cluster", "run", "-n", "2", "--"];
    let predict = ["predict", "--model=m", "--data=data", "--proba"];
    assert_eq!(place.ok(&[&cluster[..], &predict].concat()), place.ok(&predict));
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_data();
    let fails = |code, options: &[&str]| {
        place.fails(code, &[&["train", "sparse-logistic", "--model=m"], &DATA[..], options].concat())
    };
    assert!(fails(2, &["--reg=0"]).contains("logistic regression"));
    assert!(fails(2, &["--l1-ratio=0"]).contains("l1_ratio"));
    fails(2, &["--folds=3"]);
    fails(2, &["--reg=1", "--path=3"]);
    let train = |code, file: &str| {
        let data = format!("--data={file}");
        place.fails(code, &["train", "sparse-logistic", &data, "--model=m"])
    };
    assert!(train(3, "data").contains("whole numbers"));
    place.write("three.svm", "1 1:1\n2 1:3\n3 1:2\n").write("one.svm", "1 1:1\n1 1:3\n");
    assert!(train(3, "three.svm").contains("`logistic-regression` takes more"));
    assert!(train(3, "one.svm").contains("nothing to tell apart"));
    place.write("half.svm", "1 1:1\n0 1:3\n0.5 1:2\n");
    assert!(train(3, "half.svm").contains("half.svm:3:1"), "{}", train(3, "half.svm"));
    assert!(!place.path("m").exists());
}
