//! Non-negative matrix factorisation, and dictionaries that are learnt by turns, from the command line.

use crate::common::{Place, data, files};
use std::fmt::Write;

/// Rows that are sums of three patterns over neighbouring columns, in different sizes; some are empty.
fn rows(from: u32, to: u32) -> String {
    let mut text = String::new();
    for i in from..to {
        let sizes = [i % 5, i * i % 4, i % 7 / 2].map(|size| if i % 11 == 0 { 0 } else { size });
        write!(text, "{}", i % 2).unwrap();
        for j in 0..9u32 {
            let x = f64::from(sizes[(j / 3) as usize] * (j % 3 + 1))
                + f64::from(sizes[0] * u32::from(j == 4)) / 2.0;
            if x > 0.0 {
                write!(text, " {}:{x}", j + 1).unwrap();
            }
        }
        text.push('\n');
    }
    text
}

/// In three partitions.
fn with_rows() -> Place {
    let place = Place::new();
    place.write_parts("rows", [rows(0, 100), rows(100, 180), rows(180, 300)]);
    place.write("others.svm", rows(1000, 1100));
    place
}

const TRAIN: [&str; 4] = ["train", "nmf", "--data=rows", "--rank=4"];

#[test]
fn the_whole_chain() {
    let place = with_rows();
    let text = place.ok(&[&TRAIN[..], &["--split=0.7,0.3", "--metrics"]].concat());
    for word in [
        "9 columns, 3 partitions",
        "4 components, 0 unused",
        "the objective hardly changes",
        "held-out rows",
        "relative frobenius",
        "nmf.model",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!(
        (&trained["rows"], &trained["rank"], &trained["columns"]),
        (&300.into(), &4.into(), &9.into())
    );
    let history: Vec<f64> =
        trained["objective_history"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(history.len() > 2 && history.windows(2).all(|w| w[1] <= w[0] + 1e-10), "{history:?}");
    assert_eq!(history.last(), trained["objective"].as_f64().as_ref());
    let figure = |done: &serde_json::Value, name: &str| done["metrics"][name].as_f64().unwrap();
    let explained = figure(&trained, "explained");
    assert!(
        explained > 0.99 && (1.0 - explained - figure(&trained, "relative_frobenius").powi(2)).abs() < 1e-12
    );
    let evaluated = place.json(&["evaluate", "--model=m", "--data=rows"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    let evaluate = ["evaluate", "--model=m", "--data=others.svm"];
    place.ok(&[&evaluate[..], &["--require=relative-frobenius=0.1", "--require=explained=0.99"]].concat());
    place.fails(1, &[&evaluate[..], &["--require=relative-frobenius=1e-12"]].concat());
    let tested = place.json(&[&TRAIN[..], &["--model=t", "--test=others.svm"]].concat());
    assert_eq!(
        (&tested["metrics"], &tested["measured_on"]),
        (&place.json(&evaluate)["metrics"], &"test rows".into())
    );
    let csv = place.ok(&["predict", "--model=m", "--data=others.svm"]);
    assert_eq!(csv.lines().next().unwrap(), "component_0,component_1,component_2,component_3");
    let codes: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    assert!(codes.len() == 100 && codes.iter().flatten().all(|u| *u >= 0.0));
    let used = codes.iter().flatten().filter(|u| **u > 0.0).count();
    assert!((used as f64 / 100.0 - figure(&tested, "codes_per_row")).abs() < 1e-9, "{used}");
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&["predict", "--model=m", "--data=others.svm", "--out", out]);
        assert!(said.contains("100 rows predicted"), "{said}");
    }
    assert_eq!(place.read("p.csv"), csv);
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    assert_eq!((&inspected["algorithm"], &inspected["rank"]), (&"nmf".into(), &4.into()));
    let top = inspected["top"].as_array().unwrap();
    assert!(top.len() == 3 && top.iter().all(|t| t["length"].as_f64().unwrap() > 0.0), "{inspected}");
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("300 rows of 9 columns") && text.contains("largest values"), "{text}");
}

#[test]
fn every_option_arrives() {
    let place = with_rows();
    let done = place.json(&[
        "train",
        "nmf",
        "--data=rows",
        "--n_components=3",
        "--l1-codes=0.1",
        "--l2-codes=0.2",
        "--l1-components=0.3",
        "--l2-components=0.4",
        "--passes=2",
        "--max-iterations=40",
        "--tol=0.5",
        "--seed=9",
        "--model=n",
    ]);
    let expected = serde_json::json!({
        "rank": 3, "l1_codes": 0.1, "l2_codes": 0.2, "l1_components": 0.3, "l2_components": 0.4, "passes": 2,
        "epochs": 40, "tolerance": 0.5, "seed": 9,
    });
    assert_eq!(done["parameters"], expected);
    assert!(done["converged"] == true && done["epochs"].as_u64().unwrap() < 40, "{done}");
    let inspected = place.json(&["inspect", "n"]);
    for component in inspected["top"].as_array().unwrap() {
        let largest = component["largest"].as_array().unwrap();
        assert!(largest.iter().all(|pair| pair[1].as_f64().unwrap() > 0.0), "{component}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_rows();
    for (wrong, says) in [
        (&["--rank=0"][..], "at least 1"),
        (&["--l1-codes=-1"], "l1_codes"),
        (&["--tolerance=-1"], "tolerance"),
        (&["--passes=0"], "at least 1"),
        (&["--split=1"], "split"),
        (&["--binarize=1"], "labels"),
    ] {
        let said = place.fails(2, &[&["train", "nmf", "--data=rows", "--model=m"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    place.write("bad.svm", "0 1:1\n1 1:x\n").write("negative.svm", "0 1:1 # 2:-3\n\n-1 1:2  3:-0.5 4:-1\n");
    place.write("negative.csv", "a,b,label\n1,2,0\n3,-4,1\n");
    for (file, says) in [
        ("bad.svm", "bad.svm:2:5"),
        ("none.svm", "none.svm"),
        ("negative.svm", "negative.svm:3:11: value -0.5: it must be at least 0"),
        ("negative.csv", "value -4 of row 2 in column 2"),
    ] {
        let said = place.fails(3, &["train", "nmf", "--data", file, "--model=m"]);
        assert!(said.contains(says), "{file}: {said}");
    }
    assert!(!place.path("m").exists());
    place.ok(&[&TRAIN[..], &["--model=m", "--epochs=1"]].concat());
    assert!(place.fails(2, &[&TRAIN[..], &["--model=m"]].concat()).contains("--overwrite"));
    place.write("wide.svm", "1 1:1 10:1\n");
    for command in ["predict", "evaluate"] {
        let said = place.fails(3, &[command, "--model=m", "--data=wide.svm"]);
        assert!(said.contains("index 10 was not there"), "{said}");
        place.ok(&[command, "--model=m", "--data=wide.svm", "--ignore-extra-columns"]);
    }
    for (command, option) in [("predict", "--proba"), ("predict", "--raw"), ("evaluate", "--thresholds=3")] {
        let said = place.fails(2, &[command, "--model=m", "--data=rows", option]);
        assert!(said.contains("this one is a non-negative factorisation"), "{option}: {said}");
    }
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_rows();
    let train = |launcher: &[&str]| {
        let options = ["--split=0.8,0.2", "--epochs=6", "--model=m", "--overwrite", "--json"];
        let mut done: serde_json::Value =
            serde_json::from_str(&place.ok(&[launcher, &TRAIN, &options].concat())).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        let shares = done.as_object_mut().unwrap().remove("model_bytes").unwrap();
        let shares: Vec<u64> = serde_json::from_value(shares).unwrap();
        (done, files(&place.path("m")), shares.iter().sum::<u64>())
    };
    let one = train(&["--workers=1"]);
    assert!(one.2 > 0);
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
        &["predict", "--model=m", "--data=others.svm"][..],
        &["evaluate", "--model=m", "--data=others.svm", "--json"],
    ] {
        assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
    }
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = with_rows();
    let train = |more: &[&str]| {
        place.ok(&[&TRAIN[..], &["--model=m", "--overwrite", "--tolerance=0"], more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8"]);
    train(&["--epochs=3", "--snapshots=kept", "--workers=1"]);
    assert!(
        train(&["--epochs=8", "--snapshots=kept", "--resume", "--workers=2"]) == whole,
        "codes and letters are kept, too"
    );
}

/// Digits: 64 columns of a table, of which nine tenths of the squares are explained by 16 parts.
#[test]
fn digits() {
    let Some(file) = data("sklearn_bundled/digits.csv.gz") else { return };
    let place = Place::new();
    let options = ["--header=no", "--split=0.5,0.5", "--model=m", "--rank=16"];
    let done = place.json(&[&["train", "nmf", "--data", &file], &options[..]].concat());
    assert_eq!((&done["measured_on"], &done["unused"]), (&"held-out rows".into(), &0.into()));
    assert!(done["metrics"]["explained"].as_f64().unwrap() > 0.88, "{done}");
}

const LEARN: [&str; 5] = ["train", "dictionary", "--data=rows", "--atoms=6", "--lambda=0.2"];

#[test]
fn a_dictionary_and_what_is_done_with_it() {
    let place = with_rows();
    let text = place.ok(&[&LEARN[..], &["--split=0.7,0.3", "--metrics"]].concat());
    for word in ["9 columns, 3 partitions", "6 atoms", "held-out rows", "unused atoms", "dictionary.model"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&LEARN[..], &["--model=m"]].concat());
    let history: Vec<f64> =
        trained["objective_history"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(history.len() > 2 && history.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{history:?}");
    // Exact codes cost a little less than those of the training.
    let figure = |done: &serde_json::Value, name: &str| done["metrics"][name].as_f64().unwrap();
    let exact = figure(&trained, "objective") / trained["objective"].as_f64().unwrap();
    assert!(exact > 0.999 && exact < 1.0 + 1e-12, "{exact}");
    let evaluated = place.json(&["evaluate", "--model=m", "--data=rows"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    let csv = place.ok(&["predict", "--model=m", "--data=others.svm"]);
    assert_eq!(csv.lines().next().unwrap(), "code_0,code_1,code_2,code_3,code_4,code_5");
    assert_eq!(csv.lines().count(), 101);
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    let top = inspected["top"].as_array().unwrap();
    assert!(top.len() == 3 && top.iter().all(|t| t["length"].as_f64().unwrap() < 1.0 + 1e-12), "{inspected}");
    let options = [
        "--n_components=5",
        "--alpha=0.3",
        "--positive-code",
        "--positive-dictionary",
        "--first-atoms=random",
        "--code-tolerance=1e-4",
        "--max-iterations=40",
        "--tol=0.1",
        "--seed=9",
        "--model=n",
    ];
    let done = place.json(&[&["train", "dictionary", "--data=rows"], &options[..]].concat());
    let expected = serde_json::json!({
        "atoms": 5, "lambda": 0.3, "non_negative_codes": true, "non_negative_atoms": true, "first_atoms": "random",
        "code_tolerance": 1e-4, "epochs": 40, "tolerance": 0.1, "seed": 9,
    });
    assert_eq!(done["parameters"], expected);
    assert!(!place.ok(&["predict", "--model=n", "--data=rows"]).contains('-'), "no code is negative");
    for (wrong, says) in
        [("--lambda=0", "lambda"), ("--code-tolerance=0", "code_tolerance"), ("--first-atoms=svd", "random")]
    {
        let said = place.fails(2, &["train", "dictionary", "--data=rows", "--model=w", wrong]);
        assert!(said.contains(says), "{wrong}: {said}");
    }
}

#[test]
fn a_dictionary_has_the_same_bytes_by_workers_and_processes() {
    let place = with_rows();
    let train = |launcher: &[&str], more: &[&str]| {
        let options = ["--tolerance=0", "--model=m", "--overwrite"];
        place.ok(&[launcher, &LEARN, &options, more].concat());
        files(&place.path("m"))
    };
    let one = train(&["--workers=1"], &["--epochs=5"]);
    for launcher in [&["--workers=2"][..], &["cluster", "run", "-n", "2", "--"]] {
        assert!(train(launcher, &["--epochs=5"]) == one, "{launcher:?}");
    }
    train(&[], &["--epochs=3", "--snapshots=kept"]);
    assert!(train(&[], &["--epochs=5", "--snapshots=kept", "--resume"]) == one, "it goes on from snapshots");
}
