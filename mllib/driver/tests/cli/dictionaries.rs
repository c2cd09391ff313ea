//! Sparse coding from the command line: train, predict, evaluate and inspect, bad input, several processes.

use crate::common::{Place, data, files};
use std::fmt::Write;

const ATOMS: u32 = 6;
const COLUMNS: u32 = 9;

/// Rows with one or two of six patterns: pattern `k` is in three neighbouring columns, from `3k / 2` on.
fn rows(from: u32, to: u32) -> String {
    let mut text = String::new();
    for i in from..to {
        let mut row = [0.0; COLUMNS as usize];
        for (atom, size) in
            [(i % ATOMS, 2.0 + f64::from(i % 5) / 4.0), (i * i % ATOMS, f64::from(i % 7) / 3.0)]
        {
            (0..3)
                .for_each(|j| row[(3 * atom / 2 + j) as usize % COLUMNS as usize] += size * f64::from(j + 1));
        }
        write!(text, "{}", i % 2).unwrap();
        (1..).zip(row).filter(|(_, x)| *x != 0.0).for_each(|(j, x)| write!(text, " {j}:{x}").unwrap());
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

const TRAIN: [&str; 6] = ["train", "sparse-coding", "--data=rows", "--atoms=8", "--lambda=0.2", "--batch=25"];

#[test]
fn the_whole_chain() {
    let place = with_rows();
    let text = place.ok(&[&TRAIN[..], &["--split=0.7,0.3", "--metrics"]].concat());
    for word in [
        "9 columns, 3 partitions",
        "8 atoms",
        "30 epochs of 25 rows",
        "held-out rows",
        "codes per row",
        "sparse-coding.model",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!(
        (&trained["rows"], &trained["atoms"], &trained["columns"]),
        (&300.into(), &8.into(), &9.into())
    );
    assert_eq!(trained["objective_history"].as_array().unwrap().len(), 30);
    assert_eq!(trained["metrics"]["objective"], trained["objective"]);
    let figure = |done: &serde_json::Value, name: &str| done["metrics"][name].as_f64().unwrap();
    assert!(
        figure(&trained, "relative_error") < 0.01 && figure(&trained, "codes_per_row") < 3.0,
        "{trained}"
    );
    let evaluated = place.json(&["evaluate", "--model=m", "--data=rows"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    let evaluate = ["evaluate", "--model=m", "--data=others.svm"];
    place.ok(&[&evaluate[..], &["--require=relative-error=0.01", "--require=codes-per-row=1"]].concat());
    place.fails(1, &[&evaluate[..], &["--require=objective=0.01"]].concat());
    let tested = place.json(&[&TRAIN[..], &["--model=t", "--test=others.svm"]].concat());
    assert_eq!(
        (&tested["metrics"], &tested["measured_on"]),
        (&place.json(&evaluate)["metrics"], &"test rows".into())
    );
    let csv = place.ok(&["predict", "--model=m", "--data=others.svm"]);
    assert_eq!(csv.lines().next().unwrap(), "code_0,code_1,code_2,code_3,code_4,code_5,code_6,code_7");
    let codes: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    let used = codes.iter().flatten().filter(|s| **s != 0.0).count();
    assert_eq!(codes.len(), 100);
    assert!((used as f64 / 100.0 - figure(&tested, "codes_per_row")).abs() < 1e-9, "{used}");
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&["predict", "--model=m", "--data=others.svm", "--out", out]);
        assert!(said.contains("100 rows predicted"), "{said}");
    }
    assert_eq!(place.read("p.csv"), csv);
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    assert_eq!((&inspected["algorithm"], &inspected["atoms"]), (&"sparse-coding".into(), &8.into()));
    let top = inspected["top"].as_array().unwrap();
    assert!(top.len() == 3 && top.iter().all(|t| t["length"].as_f64().unwrap() < 1.0 + 1e-6), "{inspected}");
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("300 rows of 9 columns") && text.contains("largest values"), "{text}");
}

#[test]
fn every_option_arrives() {
    let place = with_rows();
    for consistency in ["bsp", "ssp:3", "essp:1", "async"] {
        let options = ["--workers=2", "--overwrite", "--model=m", "--consistency", consistency];
        let done = place.json(&[&TRAIN[..], &options].concat());
        assert_eq!(done["parameters"]["consistency"], consistency);
        assert!(done["metrics"]["relative_error"].as_f64().unwrap() < 0.02, "{done}");
    }
    let options = [
        "train",
        "dictionary-learning",
        "--data=rows",
        "--dictionary_size=5",
        "--alpha=0.3",
        "--c=2",
        "--positive-code",
        "--positive-dict",
        "--first-atoms=random",
        "--max_iter=40",
        "--tol=0.5",
        "--lr=0.5",
        "--decay=0.9",
        "--passes=2",
        "--mini_batch_size=40",
        "--seed=9",
        "--model=n",
    ];
    let done = place.json(&options);
    let expected = serde_json::json!({
        "atoms": 5, "lambda": 0.3, "bound": 2.0, "non_negative_codes": true, "non_negative_atoms": true,
        "first_atoms": "random", "epochs": 40, "step_size": 0.5, "decay": 0.9, "passes": 2, "batch": 40,
        "consistency": "bsp", "tolerance": 0.5, "seed": 9,
    });
    assert_eq!(done["parameters"], expected);
    assert!(done["converged"] == true && done["epochs"].as_u64().unwrap() < 40, "{done}");
    let csv = place.ok(&["predict", "--model=n", "--data=rows"]);
    assert!(!csv.contains('-'), "no code is negative");
    let inspected = place.json(&["inspect", "n"]);
    for atom in inspected["top"].as_array().unwrap() {
        let largest = atom["largest"].as_array().unwrap();
        assert!(largest.iter().all(|pair| pair[1].as_f64().unwrap() > 0.0), "{atom}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_rows();
    for (wrong, says) in [
        (&["--atoms=0"][..], "at least 1"),
        (&["--lambda=0"], "lambda"),
        (&["--bound=-1"], "bound"),
        (&["--passes=0"], "at least 1"),
        (&["--first-atoms=svd"], "random"),
        (&["--decay=2"], "decay"),
        (&["--consistency=ssp"], "essp:S"),
        (&["--split=1"], "split"),
        (&["--binarize=1"], "labels"),
    ] {
        let said = place.fails(2, &[&["train", "sparse-coding", "--data=rows", "--model=m"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    place.write("zeros.svm", "0\n1\n0\n").write("bad.svm", "0 1:1\n1 1:x\n");
    for (file, says) in [("zeros.svm", "zeros"), ("bad.svm", "bad.svm:2:5"), ("none.svm", "none.svm")] {
        let said = place.fails(3, &["train", "sparse-coding", "--data", file, "--model=m"]);
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
    for (command, option) in [
        ("predict", "--proba"),
        ("predict", "--raw"),
        ("evaluate", "--thresholds=3"),
        ("evaluate", "--curve=roc"),
        ("evaluate", "--binarize=0"),
    ] {
        let said = place.fails(2, &[command, "--model=m", "--data=rows", option]);
        assert!(said.contains("this one is a dictionary"), "{option}: {said}");
    }
    let said = place.fails(2, &["evaluate", "--model=m", "--data=rows", "--neighbours=3"]);
    assert!(said.contains("is for distance metrics"), "{said}");
    let said = place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]);
    assert!(said.contains("a dictionary"), "{said}");
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_rows();
    let train = |launcher: &[&str]| {
        let options = ["--split=0.8,0.2", "--epochs=4", "--model=m", "--overwrite", "--json"];
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
        &["predict", "--model=m", "--data=others.svm"][..],
        &["evaluate", "--model=m", "--data=others.svm", "--json"],
    ] {
        assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
    }
    let ssp = [&cluster[..], &TRAIN, &["--consistency=ssp:2", "--model=s", "--json"]].concat();
    let done: serde_json::Value = serde_json::from_str(&place.ok(&ssp)).unwrap();
    assert!(done["metrics"]["relative_error"].as_f64().unwrap() < 0.02, "{done}");
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = with_rows();
    let train = |more: &[&str]| {
        place.ok(&[&TRAIN[..], &["--model=m", "--overwrite"], more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8"]);
    train(&["--epochs=3", "--snapshots=kept", "--workers=1"]);
    assert!(
        train(&["--epochs=8", "--snapshots=kept", "--resume", "--workers=2"]) == whole,
        "codes and curvatures are kept, too"
    );
}

/// Letters: 16 columns, of which two thirds of the squares are explained by codes of a few atoms.
#[test]
fn letters() {
    let Some(file) = data("letter_scale/letter.scale.gz") else { return };
    let place = Place::new();
    let options = ["--split=0.5,0.5", "--model=m", "--epochs=5", "--atoms=40", "--lambda=0.1"];
    let done = place.json(&[&["train", "sparse-coding", "--data", &file], &options[..]].concat());
    assert_eq!(done["measured_on"], "held-out rows");
    println!("{done}");
    let figure = |name: &str| done["metrics"][name].as_f64().unwrap();
    assert!(figure("relative_error") < 0.1 && figure("codes_per_row") < 10.0, "{done}");
}
