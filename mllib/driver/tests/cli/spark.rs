//! The tutorial's demo: the numbers of Spark. Needs `SLACKWATER_DATA`.

use crate::common::{Place, data};

/// Norm of the weights that Spark's `SVMWithSGD` gives on the first 60 % of `randomSplit(0.6, 0.4, seed = 11)`.
const SPARK_NORM: f64 = 758.209_319_289_217_1;

#[test]
fn svm_with_sgd() {
    let Some(path) = data("spark_data/mllib/sample_libsvm_data.txt") else { return };
    let place = Place::new();
    let done = place.json(&[
        "train",
        "svm",
        "--data",
        &path,
        "--solver=sgd",
        "--split=0.6,0.4",
        "--seed=11",
        "--partitions=2",
        "--spark-splits",
        "--model=m",
    ]);
    assert_eq!((&done["rows"], &done["metrics"]["rows"]), (&61.into(), &39.into()));
    assert_eq!(done["metrics"]["area_under_roc"], 1.0);
    let norm = place.json(&["inspect", "m"])["weights_l2_norm"].as_f64().unwrap();
    assert!((norm / SPARK_NORM - 1.0).abs() < 1e-9, "{norm}");
}

#[test]
fn labels_of_a_regression() {
    let Some(path) = data("spark_data/mllib/sample_linear_regression_data.txt") else { return };
    let place = Place::new();
    let said = place.fails(3, &["train", "svm", "--data", &path, "--model", "m"]);
    assert!(said.contains(&format!("{path}:1:1: label -9.490009878824548: ")), "{said}");
    assert!(said.contains("--binarize") && place.names().is_empty(), "{said}");
    place.ok(&["train", "svm", "--data", &path, "--model", "m", "--binarize", "0"]);
}

#[test]
fn real_data_of_two_classes() {
    let (Some(train), Some(test)) = (data("a9a/a9a.gz"), data("a9a/a9a.t.gz")) else { return };
    let place = Place::new();
    let done =
        place.json(&["train", "logistic-regression", "--data", &train, "--test", &test, "--model", "m"]);
    assert_eq!((&done["rows"], &done["columns"]), (&32_561.into(), &123.into()));
    let accuracy = done["metrics"]["accuracy"].as_f64().unwrap();
    assert!((accuracy - 0.85).abs() < 0.002, "{accuracy}");
}
