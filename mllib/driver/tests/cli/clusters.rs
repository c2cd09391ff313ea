//! k-means from the command line: train, predict, evaluate and inspect, bad input, several processes.

use crate::common::{Place, data, files};

/// 400 rows of 6 columns around 8 places, in 2 files; labels are the places.
const GENERATE: [&str; 8] = [
    "generate",
    "classification",
    "--samples=400",
    "--features=6",
    "--classes=8",
    "--noise=0.2",
    "--partitions=2",
    "--out=data",
];
const TRAIN: [&str; 5] = ["train", "k-means", "--data=data", "--k=8", "--restarts=5"];

fn with_data() -> Place {
    let place = Place::new();
    place.ok(&GENERATE);
    place
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_whole_chain() {
    let place = with_data();
    let text = place.ok(&[&TRAIN[..], &["--split=0.8,0.2", "--metrics"]].concat());
    for word in [
        "6 columns",
        "centres    8, euclidean distance",
        "lloyd",
        "held-out rows",
        "silhouette",
        "adjusted rand index",
        "k-means.model",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!((&trained["rows"], &trained["columns"]), (&400.into(), &6.into()));
    assert_eq!(trained["sizes"].as_array().unwrap().iter().map(number).sum::<f64>(), 400.0);
    assert!(number(&trained["metrics"]["purity"]) > 0.98, "{trained}");
    assert!((number(&trained["metrics"]["cost"]) / number(&trained["cost"]) - 1.0).abs() < 1e-6, "{trained}");
    assert_eq!(
        trained["cost_history"].as_array().unwrap().len() as u64,
        trained["iterations"].as_u64().unwrap()
    );
    let evaluated = place.json(&["evaluate", "--model=m", "--data=data"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    place.ok(&["evaluate", "--model=m", "--data=data", "--require=silhouette=0.5", "--require=cost=1e6"]);
    place.fails(1, &["evaluate", "--model=m", "--data=data", "--require=cost=1"]);
    // Rows of a class have the same centre, and cost what training says.
    let csv = place.ok(&["predict", "--model=m", "--data=data"]);
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("prediction,distance"));
    let rows: Vec<(usize, f64)> = lines
        .map(|l| l.split_once(',').map(|(c, d)| (c.parse().unwrap(), d.parse().unwrap())).unwrap())
        .collect();
    let cost: f64 = rows.iter().map(|(_, d)| d * d).sum();
    assert!(rows.len() == 400 && (cost / number(&trained["cost"]) - 1.0).abs() < 1e-6, "{cost}");
    let together = (8..400).filter(|i| rows[*i].0 == rows[i % 8].0).count();
    assert!(together > 380, "{together}");
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        let said = place.ok(&["predict", "--model=m", "--data=data", "--out", out]);
        assert!(said.contains("400 rows predicted"), "{said}");
    }
    assert!(place.read("p.jsonl").starts_with("{\"prediction\":"));
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    assert_eq!((&inspected["algorithm"], &inspected["columns"]), (&"k-means".into(), &6.into()));
    let centers = inspected["centers"].as_array().unwrap();
    assert!(centers.len() == 8 && centers[0]["top"].as_array().unwrap().len() == 3, "{inspected}");
    assert!(number(&centers[0]["rows"]) >= number(&centers[7]["rows"]));
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("largest values") && text.contains("400 rows of 6 columns"), "{text}");
    // The sample, and labels that mean nothing.
    let of_sample = place.json(&["train", "kmeans", "--model=s"]);
    assert!(of_sample["metrics"]["silhouette"].is_number(), "{of_sample}");
    place.write("values.svm", "0.5 1:1\n1.5 1:2\n2.5 1:9\n");
    let no_classes = place.json(&["train", "kmeans", "--data=values.svm", "-k", "2", "--model=v"]);
    assert!(no_classes["metrics"]["purity"].is_null(), "{no_classes}");
}

#[test]
fn every_option_arrives() {
    let place = with_data();
    for consistency in ["bsp", "ssp:3", "essp:1", "async"] {
        let options = ["--solver=minibatch", "--batch=20", "--workers=2", "--model=m", "--overwrite"];
        let done = place.json(&[&TRAIN[..], &options, &["--consistency", consistency]].concat());
        assert_eq!(done["parameters"]["minibatch"]["consistency"], consistency);
        assert!(number(&done["metrics"]["purity"]) > 0.9, "{done}");
    }
    let options =
        ["--n_clusters=5", "--distanceMeasure=cosine", "--maxIter=7", "--tol=0.5", "--initMode=k-means||"];
    let more = ["--initSteps=3", "--n_init=2", "--seed=9", "--model=n", "--test=data"];
    let done = place.json(&[&["train", "kmeans", "--data=data"][..], &options, &more].concat());
    let expected = serde_json::json!({
        "k": 5, "distance": "cosine", "solver": "lloyd", "iterations_max": 7, "tolerance": 0.5, "start": "k-means||",
        "start_rounds": 3, "restarts": 2, "seed": 9,
        "minibatch": {"epochs": 10, "batch": 1024, "decay": 0.5, "consistency": "bsp"},
    });
    assert_eq!((&done["parameters"], &done["measured_on"]), (&expected, &"test rows".into()));
    let options =
        ["--algorithm=minibatch", "--num_epochs=2", "--batch_size=7", "--decayFactor=1", "--init=random"];
    let done = place.json(&[&["train", "kmeans", "--data=data", "--model=o"][..], &options].concat());
    let parameters = &done["parameters"];
    assert_eq!(
        parameters["minibatch"],
        serde_json::json!({"epochs": 2, "batch": 7, "decay": 1.0, "consistency": "bsp"})
    );
    assert_eq!((&parameters["start"], &done["iterations"]), (&"random".into(), &2.into()));
    // A model to begin at is where it ended: nothing moves.
    let start = place.json(&[&TRAIN[..], &["--tol=0", "--model=p", "--init=k-means++"]].concat());
    let again = ["train", "kmeans", "--data=data", "--start-from=p", "--model=q"];
    let done = place.json(&again);
    assert_eq!((&done["iterations"], &done["cost"]), (&1.into(), &start["cost"]));
    assert_eq!((&done["parameters"]["k"], &done["parameters"]["start"]), (&8.into(), &"given".into()));
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_data();
    for (wrong, says) in [
        (&["--k=0"][..], "at least 1"),
        (&["--distance=manhattan"], "cosine"),
        (&["--init=best"], "k-means++"),
        (&["--solver=elkan"], "minibatch"),
        (&["--tolerance=-1"], "tolerance"),
        (&["--epochs=3"], "--solver minibatch"),
        (&["--batch=3"], "--solver minibatch"),
        (&["--decay=0.1"], "--solver minibatch"),
        (&["--consistency=async"], "--solver minibatch"),
        (&["--snapshots=s"], "--solver minibatch"),
        (&["--solver=minibatch", "--iterations=3"], "--epochs"),
        (&["--solver=minibatch", "--decay=2"], "decay"),
        (&["--init=random", "--init-steps=3"], "k-means||"),
        (&["--start-from=m", "--restarts=3"], "--restarts"),
        (&["--split=1"], "split"),
    ] {
        let said = place.fails(2, &[&["train", "k-means", "--data=data", "--model=m"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    place.write("few.svm", "1 1:1 2:1\n2 1:1\n").write("zero.svm", "1 1:1\n1 2:1\n1\n1 1:1 2:2\n");
    for (wrong, says) in [
        (&["--data=few.svm", "--k=3"][..], "3 centres for 2 rows"),
        (&["--data=zero.svm", "--k=2", "--distance=cosine"], "row 3 is zero in all columns"),
        (&["--data=none.svm"], "none.svm"),
        (&["--data=few.svm", "--start-from=none"], "none"),
    ] {
        let said = place.fails(3, &[&["train", "k-means", "--model=m"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    assert!(place.fails(3, &["train", "kmeans", "--data=few.svm", "--k=3"]).contains("hint: "));
    place.write("nan.svm", "1 1:nan\n");
    assert!(place.fails(3, &["train", "kmeans", "--data=nan.svm"]).contains("nan.svm:1:5"));
    assert_eq!(place.names(), ["data", "few.svm", "nan.svm", "zero.svm"], "nothing was written");
    place.ok(&[&TRAIN[..], &["--model=m"]].concat());
    place.write("wide.svm", "1 1:1 7:1\n");
    for command in ["predict", "evaluate"] {
        let said = place.fails(3, &[command, "--model=m", "--data=wide.svm"]);
        assert!(said.contains("index 7 was not there"), "{said}");
        place.ok(&[command, "--model=m", "--data=wide.svm", "--ignore-extra-columns"]);
    }
    let said = place.fails(3, &["train", "kmeans", "--data=wide.svm", "--start-from=m", "--model=n"]);
    assert!(said.contains("7 columns"), "{said}");
    for (command, wrong) in [
        ("predict", "--proba"),
        ("predict", "--raw"),
        ("predict", "--binarize=1"),
        ("evaluate", "--curve=roc"),
        ("evaluate", "--thresholds=3"),
    ] {
        let said = place.fails(2, &[command, "--model=m", "--data=data", wrong]);
        assert!(said.contains("k-means"), "{command} {wrong}: {said}");
    }
    assert!(place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]).contains("k-means"));
    place.ok(&["train", "svm", "--model=svm"]);
    let said = place.fails(3, &["train", "kmeans", "--data=data", "--start-from=svm", "--model=n"]);
    assert!(said.contains("no centres"), "{said}");
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_data();
    for options in [&["--distance=cosine"][..], &["--solver=minibatch", "--batch=25", "--epochs=3"]] {
        let train = |launcher: &[&str]| {
            let common = ["--partitions=4", "--split=0.8,0.2", "--model=m", "--overwrite", "--json"];
            let mut done: serde_json::Value =
                serde_json::from_str(&place.ok(&[launcher, &TRAIN, options, &common].concat())).unwrap();
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
            assert!(train(launcher) == one, "{options:?} {launcher:?}");
        }
        let cluster = ["cluster", "run", "-n", "2", "--"];
        for command in [
            &["predict", "--model=m", "--data=data"][..],
            &["evaluate", "--model=m", "--data=data", "--json"],
        ] {
            assert_eq!(place.ok(&[&cluster[..], command].concat()), place.ok(command));
        }
    }
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = with_data();
    let train = |more: &[&str]| {
        let options = ["--solver=minibatch", "--batch=20", "--model=m", "--overwrite"];
        place.ok(&[&TRAIN[..], &options, more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8"]);
    train(&["--epochs=3", "--snapshots=kept", "--workers=1"]);
    assert!(train(&["--epochs=8", "--snapshots=kept", "--resume", "--workers=2"]) == whole);
}

/// Spark's sample: its guide finds two groups that cost 0.12.
#[test]
fn the_sample_of_spark() {
    let Some(path) = data("spark_data/mllib/sample_kmeans_data.txt") else { return };
    let place = Place::new();
    let done = place.json(&["train", "k-means", "--data", &path, "--k=2", "--restarts=3", "--model=m"]);
    assert!((number(&done["cost"]) - 0.12).abs() < 1e-6, "{done}");
    assert!((number(&done["metrics"]["silhouette"]) - 0.9997530305375207).abs() < 1e-9, "{done}");
}
