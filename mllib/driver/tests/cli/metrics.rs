//! Distance metrics from the command line: train, predict, evaluate and inspect, pairs in files, bad input, several processes.

use crate::common::{Place, data, files};
use std::fmt::Write;

/// A number from -1 to 1 that looks random.
fn noise(i: u32, j: u32) -> f64 {
    let mut x = (i * 31 + j + 1).wrapping_mul(2_654_435_761);
    x ^= x >> 15;
    x = x.wrapping_mul(2_246_822_519);
    x ^= x >> 13;
    f64::from(x) / f64::from(u32::MAX) * 2.0 - 1.0
}

/// Three classes that are told by their first two columns; four more are noise, much wider.
fn rows(from: u32, to: u32) -> String {
    let mut text = String::new();
    for i in from..to {
        let (x, y) = [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0)][i as usize % 3];
        write!(text, "{} 1:{} 2:{}", i % 3 + 1, x + 0.4 * noise(i, 0), y + 0.4 * noise(i, 1)).unwrap();
        (2..6).for_each(|j| write!(text, " {}:{}", j + 1, 9.0 * noise(i, j)).unwrap());
        text.push('\n');
    }
    text
}

/// In three partitions.
fn with_rows() -> Place {
    let place = Place::new();
    place.write_parts("rows", [rows(0, 100), rows(100, 180), rows(180, 300)]);
    place.write("others.svm", rows(300, 420));
    place
}

const TRAIN: [&str; 4] = ["train", "distance-metric", "--data=rows", "--batch=50"];

#[test]
fn the_whole_chain() {
    let place = with_rows();
    let text = place.ok(&[&TRAIN[..], &["--split=0.7,0.3", "--metrics"]].concat());
    for word in [
        "3 partitions",
        "6 columns to 6",
        "30 epochs of 50 pairs",
        "held-out rows",
        "accuracy of Euclidean distances",
        "distance-metric.model",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!((&trained["similar"], &trained["dissimilar"]), (&1500.into(), &1500.into()));
    assert_eq!((&trained["rank"], &trained["columns"]), (&6.into(), &6.into()));
    assert_eq!(trained["loss_history"].as_array().unwrap().len(), 30);
    let figure = |done: &serde_json::Value, name: &str| done["metrics"][name].as_f64().unwrap();
    assert!(figure(&trained, "accuracy") > 0.97 && figure(&trained, "euclidean_accuracy") < 0.8, "{trained}");
    assert!(figure(&trained, "area_under_roc") > 0.97, "{trained}");
    assert!(figure(&trained, "euclidean_area_under_roc") < 0.7, "{trained}");
    // The other rows of the data tell the labels, of pairs that are drawn as those learnt from.
    let evaluated = place.json(&["evaluate", "--model=m", "--data=rows"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    let evaluate = ["evaluate", "--model=m", "--data=others.svm", "--reference=rows", "--neighbors=5"];
    let others = place.json(&evaluate);
    assert!(figure(&others, "accuracy") > 0.97 && others["metrics"]["rows"] == 120, "{others}");
    place.ok(&[&evaluate[..], &["--require=accuracy=0.97", "--require=area-under-roc=0.97"]].concat());
    place.fails(1, &[&evaluate[..], &["--require=euclidean-accuracy=0.9"]].concat());
    let tested = place.json(&[&TRAIN[..], &["--model=t", "--test=others.svm", "--neighbours=5"]].concat());
    assert_eq!((&tested["metrics"], &tested["measured_on"]), (&others["metrics"], &"test rows".into()));
    let csv = place.ok(&["predict", "--model=m", "--data=others.svm"]);
    assert_eq!(
        csv.lines().next().unwrap(),
        "component_0,component_1,component_2,component_3,component_4,component_5"
    );
    let mapped: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    let square =
        |i: usize, j: usize| -> f64 { mapped[i].iter().zip(&mapped[j]).map(|(a, b)| (a - b).powi(2)).sum() };
    let means = [0, 1].map(|step| (0..100).map(|i| square(i, i + 3 - step)).sum::<f64>() / 100.0);
    assert!(mapped.len() == 120 && means[0] < 0.3 * means[1], "{means:?}");
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&["predict", "--model=m", "--data=others.svm", "--out", out]);
        assert!(said.contains("120 rows predicted"), "{said}");
    }
    assert_eq!(place.read("p.csv"), csv);
    let inspected = place.json(&["inspect", "m", "--top=2"]);
    assert_eq!((&inspected["algorithm"], &inspected["rank"]), (&"distance-metric".into(), &6.into()));
    let mut top: Vec<u64> =
        inspected["top"].as_array().unwrap().iter().map(|t| t["index"].as_u64().unwrap()).collect();
    top.sort_unstable();
    assert_eq!(top, [1, 2], "the columns that tell classes weigh most: {inspected}");
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("1500 similar and 1500 dissimilar pairs") && text.contains("6 by 6"), "{text}");
}

/// Pairs of neighbouring numbers in files, for rows whose labels say nothing.
fn with_pairs() -> Place {
    let place = with_rows();
    let unlabelled = |text: String| text.lines().map(|l| format!("0{}\n", &l[1..])).collect::<String>();
    let pairs = |step: u32| (0..300 - step).map(|i| format!("{i} {}\n", i + step)).collect::<String>();
    place.write_parts("rows", [rows(0, 100), rows(100, 180), rows(180, 300)].map(unlabelled));
    place.write("alike.txt", format!("first second\n{}", pairs(3)));
    place.write("unlike-1.txt", pairs(1)).write("unlike-2.txt", pairs(2).replace(' ', ","));
    place
}

const PAIRS: [&str; 4] = ["--similar=alike.txt", "--dissimilar", "unlike-1.txt", "unlike-2.txt"];

#[test]
fn pairs_from_files() {
    let place = with_pairs();
    let train =
        |more: &[&str]| place.json(&[&TRAIN[..], &PAIRS, &["--overwrite", "--model=m"], more].concat());
    let trained = train(&["--epochs=40"]);
    assert_eq!((&trained["similar"], &trained["dissimilar"]), (&297.into(), &597.into()));
    assert_eq!(
        (&trained["measured_on"], &trained["metrics"]["rows"]),
        (&"training pairs".into(), &894.into())
    );
    assert!(trained["metrics"]["area_under_roc"].as_f64().unwrap() > 0.95, "{trained}");
    assert!(trained["metrics"]["accuracy"].is_null());
    // Rows with labels tell how good it is.
    let tested = place.json(&["evaluate", "--model=m", "--data=others.svm"]);
    assert!(tested["metrics"]["accuracy"].as_f64().unwrap() > 0.95, "{tested}");
    for (wrong, code, says) in [
        (&["--similar=alike.txt"][..], 2, "--dissimilar"),
        (&[&PAIRS[..], &["--split=0.5,0.5"]].concat(), 2, "cannot be used with"),
        (&[&PAIRS[..], &["--pairs=5"]].concat(), 2, "cannot be used with"),
        (&["--similar=none.txt", "--dissimilar=unlike-1.txt"], 3, "none.txt"),
    ] {
        let said = place.fails(code, &[&TRAIN[..], wrong, &["--model=n"]].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    for (content, says) in [
        ("0 1\n2\n", "bad.txt:2:2: the second row is missing"),
        ("0 1\nx 1\n5 5 1\n", "bad.txt:2:1: the first row is not a whole number"),
        ("0 1\n7 7\n", "pair (7, 7) is of one row"),
        ("0 300\n", "there are only 300 rows"),
        ("i j\n", "no dissimilar pairs"),
    ] {
        place.write("bad.txt", content);
        let wrong = ["--similar=alike.txt", "--dissimilar=bad.txt", "--model=n"];
        let said = place.fails(3, &[&TRAIN[..], &wrong].concat());
        assert!(said.contains(says), "{content:?}: {said}");
    }
    assert!(!place.path("n").exists());
}

#[test]
fn every_option_arrives() {
    let place = with_rows();
    for consistency in ["bsp", "ssp:3", "essp:1", "async"] {
        let options = ["--workers=2", "--overwrite", "--model=m", "--consistency", consistency];
        let done = place.json(&[&TRAIN[..], &options].concat());
        assert_eq!(done["parameters"]["consistency"], consistency);
        assert!(done["metrics"]["accuracy"].as_f64().unwrap() > 0.95, "{done}");
    }
    let options = [
        "train",
        "dml",
        "--data=rows",
        "--dst_feat_dim=2",
        "--pairs=400",
        "--thre=2.5",
        "--lambda=3",
        "--max_iter=4",
        "--tol=0.9",
        "--learn_rate=0.25",
        "--decay=0.5",
        "--momentum=0.5",
        "--mini_batch_size=7",
        "--standardize",
        "--seed=9",
        "--model=n",
    ];
    let done = place.json(&options);
    let expected = serde_json::json!({
        "rank": 2, "pairs": 400, "margin": 2.5, "dissimilar_weight": 3.0, "epochs": 4, "step_size": 0.25, "decay": 0.5,
        "momentum": 0.5, "batch": 7, "standardize": true, "consistency": "bsp", "tolerance": 0.9, "seed": 9,
    });
    assert_eq!(done["parameters"], expected);
    assert_eq!(
        (&done["similar"], &done["converged"], &done["epochs"]),
        (&400.into(), &true.into(), &2.into())
    );
    // Pairs are drawn by the model's seed unless another is given.
    let evaluate = |more: &[&str]| {
        place.json(&[&["evaluate", "--model=n", "--data=rows"], more].concat())["metrics"].clone()
    };
    assert_eq!(evaluate(&[]), done["metrics"]);
    let area = |metrics: &serde_json::Value| metrics["euclidean_area_under_roc"].as_f64().unwrap();
    assert!(area(&evaluate(&["--seed=10"])) != area(&done["metrics"]));
    // All the others: those of other labels are one more.
    assert_eq!(evaluate(&["--neighbours=299"])["accuracy"], 0.0);
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_rows();
    for (wrong, says) in [
        (&["--rank=0"][..], "at least 1"),
        (&["--rank=7"], "number of columns, 6, not 7"),
        (&["--margin=0"], "margin"),
        (&["--lambda=-1"], "dissimilar"),
        (&["--momentum=1"], "momentum"),
        (&["--consistency=ssp"], "essp:S"),
        (&["--split=1"], "split"),
    ] {
        let said = place.fails(2, &[&TRAIN[..], wrong, &["--model=m"]].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    assert!(place.fails(4, &[&TRAIN[..], &["--model=m", "--step-size=1e7"]].concat()).contains("step"));
    place.write("labels.svm", "1 1:1\n2 1:2\n2.5 1:3\n1 1:2\n").write("one.svm", "1 1:1\n1 1:2\n");
    let said = place.fails(3, &["train", "dml", "--data=labels.svm", "--model=m"]);
    assert!(said.contains("labels.svm:3:1: label 2.5"), "{said}");
    assert!(
        place.fails(3, &["train", "dml", "--data=one.svm", "--model=m"]).contains("nothing to tell apart")
    );
    assert!(!place.path("m").exists());
    place.ok(&[&TRAIN[..], &["--model=m"]].concat());
    assert!(place.fails(2, &[&TRAIN[..], &["--model=m"]].concat()).contains("--overwrite"));
    place.write("wide.svm", "1 1:1 7:1\n1 1:2\n2 2:1\n2 2:2\n1 1:3\n");
    for command in ["predict", "evaluate"] {
        let said = place.fails(3, &[command, "--model=m", "--data=wide.svm"]);
        assert!(said.contains("index 7 was not there"), "{said}");
        place.ok(&[command, "--model=m", "--data=wide.svm", "--ignore-extra-columns"]);
    }
    let said = place.fails(3, &["evaluate", "--model=m", "--data=labels.svm"]);
    assert!(said.contains("labels.svm:3:1"), "{said}");
    for (command, option) in [
        ("predict", "--proba"),
        ("predict", "--raw"),
        ("predict", "--binarize=1"),
        ("evaluate", "--thresholds=3"),
        ("evaluate", "--curve=roc"),
    ] {
        let said = place.fails(2, &[command, "--model=m", "--data=rows", option]);
        assert!(said.contains("this one is a distance metric"), "{option}: {said}");
    }
    let said = place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]);
    assert!(said.contains("a distance metric"), "{said}");
    // What is for metrics is not for others.
    place.ok(&["train", "neural-network", "--data=rows", "--epochs=1", "--model=other"]);
    for option in ["--neighbours=3", "--reference=rows"] {
        let said = place.fails(2, &["evaluate", "--model=other", "--data=rows", option]);
        assert!(said.contains("is for distance metrics"), "{option}: {said}");
    }
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_pairs();
    place.write_parts("labelled", [rows(0, 90), rows(90, 200)]);
    let train = |launcher: &[&str], more: &[&str]| {
        let options =
            ["--epochs=3", "--momentum=0.5", "--standardize", "--rank=4", "--model=m", "--overwrite"];
        let all = [launcher, &["train", "dml", "--batch=40", "--json"], &options, more].concat();
        let mut done: serde_json::Value = serde_json::from_str(&place.ok(&all)).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    let drawn = ["--data=labelled", "--split=0.8,0.2"];
    let listed = [&["--data=rows"], &PAIRS[..]].concat();
    for more in [&drawn[..], &listed] {
        let one = train(&["--workers=1"], more);
        for launcher in [
            &["--workers=2"][..],
            &["--workers=4"],
            &["cluster", "run", "-n", "2", "--"],
            &["cluster", "run", "--workers=2", "-n2", "--"],
        ] {
            assert!(train(launcher, more) == one, "{launcher:?} {more:?}");
        }
    }
    let cluster = ["cluster", "run", "-n", "2", "--"];
    for command in [
        &["predict", "--model=m", "--data=others.svm"][..],
        &["evaluate", "--model=m", "--data=others.svm", "--reference=labelled", "--json"],
    ] {
        assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
    }
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = with_rows();
    let train = |more: &[&str]| {
        place.ok(&[&TRAIN[..], &["--model=m", "--overwrite", "--momentum=0.9"], more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8"]);
    train(&["--epochs=3", "--snapshots=kept", "--workers=1"]);
    assert!(train(&["--epochs=8", "--snapshots=kept", "--resume", "--workers=2"]) == whole);
}

/// Letters, half of them learnt from: classes of all pairs are told apart far better than by Euclid's distances.
#[test]
fn letters() {
    let Some(file) = data("letter_scale/letter.scale.gz") else { return };
    let place = Place::new();
    let done = place.json(&["train", "dml", "--data", &file, "--split=0.5,0.5", "--model=m", "--epochs=10"]);
    assert_eq!(done["measured_on"], "held-out rows");
    let figure = |name: &str| done["metrics"][name].as_f64().unwrap();
    assert!(figure("area_under_roc") > 0.82 && figure("euclidean_area_under_roc") < 0.7, "{done}");
}
