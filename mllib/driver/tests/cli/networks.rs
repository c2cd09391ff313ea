//! Neural networks from the command line: generate, train, predict, evaluate and inspect, bad input, several processes.

use crate::common::{Place, files};

pub const GENERATE: [&str; 8] = [
    "generate",
    "classification",
    "--samples=600",
    "--features=12",
    "--classes=6",
    "--noise=0.5",
    "--partitions=3",
    "--out=data",
];
pub const TRAIN: [&str; 6] =
    ["train", "neural-network", "--data=data", "--hidden=32,16", "--batch=20", "--step-size=0.2"];

fn with_data() -> Place {
    let place = Place::new();
    place.ok(&GENERATE);
    place
}

#[test]
fn rows_are_made_up() {
    let place = Place::new();
    let said = place.ok(&GENERATE);
    assert!(said.contains("600 rows of 12 columns, 6 classes, in 3 files: data"), "{said}");
    let names: Vec<_> = files(&place.path("data")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names.iter().map(|n| n.to_str().unwrap()).collect::<Vec<_>>(),
        ["_SUCCESS", "part-00000", "part-00001", "part-00002"]
    );
    let text = place.read("data/part-00000");
    assert_eq!(text.lines().count(), 200);
    assert!(text.starts_with("0 1:") && text.lines().next().unwrap().contains(" 12:"), "{text}");
    let inspected = place.json(&["inspect", "data"]);
    assert_eq!((&inspected["rows"], &inspected["columns"]), (&600.into(), &12.into()));
    assert_eq!(
        inspected["labels"],
        serde_json::json!([[0.0, 100], [1.0, 100], [2.0, 100], [3.0, 100], [4.0, 100], [5.0, 100]])
    );
    assert!(place.fails(3, &GENERATE).contains("data"), "a folder is not replaced unasked");
    let bytes = files(&place.path("data"));
    for launcher in [&["--workers=1"][..], &["--workers=4"], &["cluster", "run", "-n", "2", "--"]] {
        place.ok(&[launcher, &GENERATE, &["--overwrite"]].concat());
        assert!(files(&place.path("data")) == bytes, "{launcher:?}");
    }
    place.ok(&[&GENERATE[..], &["--overwrite", "--seed=7"]].concat());
    assert!(files(&place.path("data")) != bytes, "the seed is used");
    let random = ["generate", "classification", "--classes=3", "--labels=random", "--out=random", "--json"];
    let done: serde_json::Value = serde_json::from_str(&place.ok(&random)).unwrap();
    assert_eq!((&done["rows"], &done["partitions"], &done["seed"]), (&1000.into(), &8.into(), &42.into()));
    assert!(place.fails(2, &["generate", "classification", "--noise=-1", "--out=x"]).contains("noise"));
    assert!(place.fails(2, &["generate", "classification"]).contains("--out"));
}

#[test]
fn the_whole_chain() {
    let place = with_data();
    let ran = place.run(&[&TRAIN[..], &["--split=0.8,0.2", "--metrics"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // 13 x 32 + 33 x 16 + 17 x 6
    assert!(ran.stderr.contains("network 12-32-16-6: 1046 parameters"), "{}", ran.stderr);
    for word in
        ["12 columns", "12-32-16-6, relu", "20 epochs", "held-out rows", "macro F1", "neural-network.model"]
    {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!((&trained["rows"], &trained["weights"]), (&600.into(), &1046.into()));
    assert_eq!(trained["layers"], serde_json::json!([[12, 32], [32, 16], [16, 6]]));
    assert_eq!(trained["loss_history"].as_array().unwrap().len(), 20);
    assert!(trained["metrics"]["accuracy"].as_f64().unwrap() > 0.98, "{trained}");
    let evaluated = place.json(&["evaluate", "--model=m", "--data=data"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    place.ok(&["evaluate", "--model=m", "--data=data", "--require=accuracy=0.98", "--require=log-loss=0.2"]);
    place.fails(1, &["evaluate", "--model=m", "--data=data", "--require=log-loss=1e-9"]);
    let csv = place.ok(&["predict", "--model=m", "--data=data", "--proba", "--raw"]);
    let names = csv.lines().next().unwrap();
    assert!(names.starts_with("prediction,score_0,") && names.ends_with(",probability_5"), "{names}");
    let mut right = 0;
    for (i, line) in csv.lines().skip(1).enumerate() {
        let row: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        assert!((row[7..].iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
        let most = (0..6).max_by(|a, b| row[7 + a].total_cmp(&row[7 + b])).unwrap();
        assert_eq!(row[0], most as f64);
        right += usize::from(most == i % 6);
    }
    assert_eq!(right as f64 / 600.0, trained["metrics"]["accuracy"].as_f64().unwrap());
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&["predict", "--model=m", "--data=data", "--out", out]);
        assert!(said.contains("600 rows predicted"), "{said}");
    }
    let inspected = place.json(&["inspect", "m"]);
    assert_eq!((&inspected["algorithm"], &inspected["columns"]), (&"neural-network".into(), &12.into()));
    assert_eq!(inspected["layers"].as_array().unwrap().len(), 3);
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("12-32-16-6") && text.contains("norm of weights"), "{text}");
}

#[test]
fn as_many_partitions_as_are_asked_for() {
    let place = with_data();
    // Three files.
    for (asked, made) in [("--partitions=2", 2), ("--partitions=1", 1)] {
        let done = place.json(&[&TRAIN[..], &[asked, "--epochs=1", "--overwrite"]].concat());
        assert_eq!(done["partitions"], made);
    }
}

#[test]
fn two_classes_of_the_sample() {
    let place = Place::new();
    place.with_sample("rows.svm");
    let trained = place.json(&["train", "dnn", "--epochs=100", "--model=m"]);
    assert!(trained["metrics"]["area_under_roc"].as_f64().unwrap() > 0.95, "{trained}");
    let evaluated =
        place.json(&["evaluate", "--model=m", "--data=rows.svm", "--curve=roc", "--thresholds=5"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    assert_eq!(evaluated["metrics"]["classes"], serde_json::json!([-1.0, 1.0]));
}

#[test]
fn every_option_arrives() {
    let place = with_data();
    for consistency in ["bsp", "ssp:3", "essp:1", "async"] {
        let options =
            ["--epochs=15", "--workers=2", "--overwrite", "--model=m", "--consistency", consistency];
        let done = place.json(&[&TRAIN[..], &options].concat());
        assert_eq!(done["parameters"]["consistency"], consistency);
        assert!(done["metrics"]["accuracy"].as_f64().unwrap() > 0.95, "{done}");
    }
    let options = [
        "train",
        "mlp",
        "--data=data",
        "--hidden_layer_sizes=5",
        "--activation=sigmoid",
        "--max_iter=3",
        "--lr=0.5",
        "--decay=0.5",
        "--momentum=0.5",
        "--weight-decay=0.01",
        "--batch_size=7",
        "--standardize",
        "--no-shuffle",
        "--seed=9",
        "--model=n",
        "--test=data",
    ];
    let done = place.json(&options);
    let expected = serde_json::json!({
        "hidden": [5], "activation": "sigmoid", "epochs": 3, "step_size": 0.5, "decay": 0.5, "momentum": 0.5, "regularization": 0.01,
        "batch": 7, "shuffle": false, "standardize": true, "consistency": "bsp", "tolerance": null, "seed": 9,
    });
    assert_eq!((&done["parameters"], &done["measured_on"]), (&expected, &"test rows".into()));
    let evaluated = place.json(&["evaluate", "--model=n", "--data=data"]);
    assert_eq!(evaluated["metrics"], done["metrics"]);
    let stopped = place.json(&["train", "mlp", "--data=data", "--model=o", "--hidden=none", "--tol=0.2"]);
    assert_eq!((&stopped["converged"], &stopped["layers"]), (&true.into(), &serde_json::json!([[12, 6]])));
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_data();
    for (wrong, says) in [
        (&["--hidden=3,0"][..], "at least 1"),
        (&["--activation=tanh"], "relu"),
        (&["--batch=0"], "at least 1"),
        (&["--decay=2"], "decay"),
        (&["--momentum=1"], "momentum"),
        (&["--step-size=3", "--reg=1"], "must be below 1"),
        (&["--consistency=ssp"], "essp:S"),
        (&["--split=1"], "split"),
    ] {
        let said =
            place.fails(2, &[&["train", "neural-network", "--data=data", "--model=m"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    let wild = ["train", "dnn", "--data=data", "--model=m", "--step-size=1e9"];
    assert!(place.fails(4, &wild).contains("step"));
    place.write("labels.svm", "1 1:1\n2 1:2\n2.5 1:3\n");
    let said = place.fails(3, &["train", "dnn", "--data=labels.svm", "--model=m"]);
    assert!(said.contains("labels.svm:3:1: label 2.5"), "{said}");
    assert!(!place.path("m").exists());
    place.ok(&[&TRAIN[..], &["--model=m", "--epochs=1"]].concat());
    place.write("wide.svm", "1 1:1 13:1\n");
    for command in ["predict", "evaluate"] {
        let said = place.fails(3, &[command, "--model=m", "--data=wide.svm"]);
        assert!(said.contains("index 13 was not there"), "{said}");
        place.ok(&[command, "--model=m", "--data=wide.svm", "--ignore-extra-columns"]);
    }
    assert!(place.fails(3, &["evaluate", "--model=m", "--data=labels.svm"]).contains("labels.svm:3:1"));
    let said = place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]);
    assert!(said.contains("neural networks"), "{said}");
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_data();
    let train = |launcher: &[&str]| {
        let options =
            ["--split=0.8,0.2", "--epochs=3", "--standardize", "--model=m", "--overwrite", "--json"];
        let mut done: serde_json::Value =
            serde_json::from_str(&place.ok(&[launcher, &TRAIN, &options].concat())).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let one = train(&["--workers=1"]);
    for launcher in [
        &["--workers=2"][..],
        &["--workers=4"],
        &["cluster", "run", "-n", "2", "--"],
        &["cluster", "run", "--workers=2", "-n2", "--"],
    ] {
        assert!(train(launcher) == one, "{launcher:?}");
    }
    let cluster = ["cluster", "run", "-n", "2", "--"];
    for command in [
        &["predict", "--model=m", "--data=data", "--proba"][..],
        &["evaluate", "--model=m", "--data=data", "--json"],
    ] {
        assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
    }
    let ssp = [&cluster[..], &TRAIN, &["--consistency=ssp:2", "--model=s", "--json"]].concat();
    let done: serde_json::Value = serde_json::from_str(&place.ok(&ssp)).unwrap();
    assert!(done["metrics"]["accuracy"].as_f64().unwrap() > 0.95, "{done}");
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = with_data();
    let train = |more: &[&str]| {
        place.ok(&[&TRAIN[..], &["--model=m", "--overwrite"], more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8", "--momentum=0.9"]);
    train(&["--epochs=3", "--momentum=0.9", "--snapshots=kept", "--workers=1"]);
    let resumed = ["--epochs=8", "--momentum=0.9", "--snapshots=kept", "--resume", "--workers=2"];
    assert!(train(&resumed) == whole, "the momentum is kept, too");
}

#[test]
fn a_table_of_very_many_classes_is_left_out() {
    let place = Place::new();
    place.ok(&["generate", "classification", "--classes=150", "--out=data"]);
    let train = ["train", "neural-network", "--data=data", "--epochs=1"];
    let done = place.json(&[&train[..], &["--model=m"]].concat());
    assert!(done["metrics"]["confusion"].is_null() && done["metrics"]["accuracy"].is_number(), "{done}");
    let text = place.ok(&[&train[..], &["--metrics"]].concat());
    assert!(text.contains("macro F1") && !text.contains("as 2"), "{text}");
}
