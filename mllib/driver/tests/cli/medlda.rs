//! Max-margin topics from the command line: train, predict, evaluate and inspect, formats, bad input, several processes, resuming.

use crate::common::{Place, data, files};

/// 90 documents of three classes, most of whose words are about one of four things that have nothing to do with the class:
/// `label word:count`, words from 1.
fn rows(from: u32, to: u32) -> String {
    let row = |d: u32| {
        let (class, thing) = (d % 3, d / 3 % 4);
        let mut words: Vec<u32> = (0..24)
            .map(|i| {
                let x = (d * 24 + i).wrapping_mul(2_654_435_761) >> 7;
                match i % 6 {
                    0 => 41 + class * 3 + x % 3,
                    1 => 1 + x % 40,
                    _ => 1 + thing * 10 + x % 10,
                }
            })
            .collect();
        words.sort_unstable();
        let words = words.chunk_by(|a, b| a == b).map(|same| format!(" {}:{}", same[0], same.len()));
        format!("{}{}\n", class + 1, words.collect::<String>())
    };
    (from..to).map(row).collect()
}

fn words() -> String {
    let thing = (0..40).map(|w| format!("{}{}\n", ["sea", "sky", "ore", "oak"][w / 10], w % 10));
    let class = (0..9).map(|w| format!("{}{}\n", ["red", "tan", "jet"][w / 3], w % 3));
    thing.chain(class).collect()
}

const TRAIN: [&str; 6] =
    ["train", "medlda", "--data=docs.svm", "--topics=8", "--epochs=40", "--evaluate-every=10"];

#[test]
fn the_whole_chain() {
    let place = Place::new();
    place.write("docs.svm", rows(0, 240)).write("new.svm", rows(240, 300)).write("words.txt", words());
    let options = ["--vocabulary=words.txt", "--test=new.svm", "--metrics", "--watch=2"];
    let ran = place.run(&[&TRAIN[..], &options].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for word in ["8 topics", "40 epochs", "3 classes", "test rows", "accuracy", "medlda.model"] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("topic 7: ") && ran.stderr.contains("epoch 40: loss"), "{}", ran.stderr);
    let trained = place.json(&[&TRAIN[..], &options[..2], &["--model=m"]].concat());
    assert_eq!(
        (&trained["rows"], &trained["tokens"], &trained["words"]),
        (&240.into(), &5760.into(), &49.into())
    );
    assert_eq!(trained["classes"], serde_json::json!([1.0, 2.0, 3.0]));
    assert_eq!(trained["loss_history"].as_array().unwrap().len(), 40);
    assert!(trained["training_accuracy"].as_f64().unwrap() > 0.95, "{trained}");
    let evaluated = place.json(&["evaluate", "--model=m", "--data=new.svm"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    assert!(evaluated["metrics"]["accuracy"].as_f64().unwrap() > 0.8, "{evaluated}");
    place.ok(&["evaluate", "--model=m", "--data=new.svm", "--require=accuracy=0.8"]);
    place.fails(1, &["evaluate", "--model=m", "--data=new.svm", "--require=accuracy=1.1"]);
    // Words of classes are in topics of their own.
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    let topics = inspected["topics"].as_array().unwrap();
    assert_eq!((topics.len(), topics[0]["weights"].as_array().unwrap().len()), (8, 3));
    for (name, class) in [("red", 1.0), ("tan", 2.0), ("jet", 3.0)] {
        let of_class = |t: &&serde_json::Value| t["words"][0]["name"].as_str().unwrap().starts_with(name);
        let topic = topics.iter().find(of_class).unwrap_or_else(|| panic!("{name}: {inspected}"));
        assert_eq!(topic["class"], class, "{topic}");
    }
    let text = place.ok(&["inspect", "m"]);
    assert!(
        text.contains("240 documents") && text.contains("classes     1, 2, 3") && text.contains("tan"),
        "{text}"
    );
    // Of classes alone; the last has no word that is known, and there are more columns than the model has words.
    place.write("some.svm", "1 41:3 42:2\n2 44:4\n3 47:2 48:2 49:1 90:2\n1 99:5\n");
    let csv = place.ok(&["predict", "--model=m", "--data=some.svm", "--raw"]);
    let lines: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    assert_eq!(csv.lines().next(), Some("prediction,score_1,score_2,score_3"));
    assert_eq!(lines.iter().take(3).map(|l| l[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0], "{csv}");
    for line in &lines {
        let best = (1..4).fold(1, |best, l| if line[l] > line[best] { l } else { best });
        assert_eq!(line[0], best as f64);
    }
}

#[test]
fn classes_of_tables_have_names() {
    let place = Place::new();
    let mut csv = "mood,good,bad,the,film\n".to_string();
    for i in 0..60 {
        let (mood, good, bad) = if i % 2 == 0 { ("glad", 2 + i % 3, 0) } else { ("sad", 0, 1 + i % 4) };
        csv += &format!("{mood},{good},{bad},{},{}\n", 3 + i % 2, 1 + i % 3);
    }
    place.write("docs.csv", csv);
    let train = ["train", "medlda", "--data=docs.csv", "--label=mood", "--topics=4", "--epochs=40"];
    let trained = place.json(&[&train[..], &["--model=m"]].concat());
    assert_eq!(trained["metrics"]["accuracy"], 1.0, "{trained}");
    place.write("new.csv", "film,the,bad,good\n1,3,0,4\n2,3,5,0\n");
    let told = place.ok(&["predict", "--model=m", "--data=new.csv", "--raw"]);
    let first = |line: usize| told.lines().nth(line).unwrap().split(',').next().unwrap().to_string();
    assert_eq!(
        (told.lines().next(), first(1), first(2)),
        (Some("prediction,score"), "glad".into(), "sad".into())
    );
}

#[test]
fn every_option_arrives() {
    let place = Place::new();
    place.write("docs.svm", rows(0, 120));
    for consistency in ["bsp", "ssp:2", "essp:1", "async"] {
        let options = ["--consistency", consistency, "--batch=5", "--workers=2", "--partitions=3"];
        let done = place.json(&[&TRAIN[..], &options, &["--model=m", "--overwrite"]].concat());
        assert_eq!((&done["parameters"]["consistency"], &done["batch"]), (&consistency.into(), &5.into()));
        assert!(done["metrics"]["accuracy"].as_f64().unwrap() > 0.85, "{done}");
    }
    let options =
        ["--alpha=0.3", "--beta=0.2", "--cost=3", "--margin=8", "--variance=2", "--burn-in=20", "--seed=9"];
    let done = place.json(&[&TRAIN[..], &options, &["--count-rows=sparse", "--model=n"]].concat());
    let parameters = &done["parameters"];
    for (name, value) in [("alpha", 0.3), ("beta", 0.2), ("cost", 3.0), ("margin", 8.0), ("variance", 2.0)] {
        assert_eq!(parameters[name], value, "{parameters}");
    }
    assert_eq!((&parameters["burn_in"], &parameters["seed"]), (&20.into(), &9.into()));
    assert_eq!((&parameters["rows"], &done["samples"]), (&"sparse".into(), &2.into()));
    let dense = place.json(&[&TRAIN[..], &options, &["--count-rows=dense", "--model=o"]].concat());
    // It is a matter of memory alone.
    assert_eq!(dense["metrics"], done["metrics"]);
    assert_eq!(dense["loss_history"], done["loss_history"]);
    let alias = [
        "train",
        "max-margin-topics",
        "--corpus=docs.svm",
        "--num_topic=3",
        "--C=2",
        "--ell=16",
        "--n_iter=4",
    ];
    let alias =
        place.json(&[&alias[..], &["--burnin=1", "--eval_interval=1", "--tol=0.9", "--model=p"]].concat());
    let parameters = &alias["parameters"];
    assert_eq!(
        (&parameters["topics"], &parameters["cost"], &parameters["margin"]),
        (&3.into(), &2.0.into(), &16.0.into())
    );
    assert_eq!(alias["converged"], true);
}

#[test]
fn bad_input_is_told() {
    let place = Place::new();
    place.write("docs.svm", rows(0, 60));
    for (bad, place_of, said) in [
        // A document without a label.
        ("1 1:2\n2:1 3:1\n", "bad.svm:2:2", "the row has no label"),
        ("1 1:2\n2 2:1 3:0.5\n", "bad.svm:2:9", "a word occurs a whole number of times"),
        ("1 1:2\n2 2:-1\n", "bad.svm:2:5", "value -1"),
        ("1 1:2\n1.5 2:1\n", "bad.svm:2:1", "label 1.5"),
        // Triples have no classes.
        ("0 1 2\n0 2 1\n", "bad.svm:1:3", "no colon"),
    ] {
        place.write("bad.svm", bad);
        let told = place.fails(3, &["train", "medlda", "--data=bad.svm"]);
        assert!(told.contains(place_of) && told.contains(said), "{bad}: {told}");
    }
    place.write("one.svm", "1 1:2\n1 2:1\n");
    let told = place.fails(3, &["train", "medlda", "--data=one.svm"]);
    assert!(told.contains("every row has label 1"), "{told}");
    place.write("few.txt", "one\ntwo\n");
    let told = place.fails(3, &[&TRAIN[..], &["--vocabulary=few.txt"]].concat());
    assert!(told.contains("word 49 has no name") && told.contains("has 2"), "{told}");
    for wrong in ["--topics=5000", "--alpha=0", "--cost=0", "--burn-in=60", "--margin=0", "--split=0.5"] {
        place.fails(2, &[&TRAIN[..], &[wrong]].concat());
    }
    place.fails(2, &["train", "medlda"]);
    assert!(!place.path("medlda.model").exists());
    place.ok(&[&TRAIN[..4], &["--model=m", "--epochs=2"]].concat());
    place.write("bad.svm", "1 1:2\n2 2:0.25\n");
    for command in ["predict", "evaluate"] {
        let told = place.fails(3, &[command, "--model=m", "--data=bad.svm"]);
        assert!(told.contains("bad.svm:2:5") && told.contains("value 0.25"), "{told}");
    }
    place.write("bad.svm", "1 1:2\n7 2:1\n");
    let told = place.fails(3, &["evaluate", "--model=m", "--data=bad.svm"]);
    assert!(told.contains("bad.svm:2:1") && told.contains("classes of the model are 1, 2, 3"), "{told}");
    let told = place.fails(2, &["predict", "--model=m", "--data=docs.svm", "--proba"]);
    assert!(told.contains("no probabilities"), "{told}");
    place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]);
}

/// The same bytes wherever it runs, and in one piece or resumed.
#[test]
fn a_model_has_the_same_bytes_wherever_it_is_made() {
    let place = Place::new();
    place.write("docs.svm", rows(0, 150));
    let train =
        [&TRAIN[..4], &["--evaluate-every=5", "--burn-in=12", "--partitions=4", "--overwrite"]].concat();
    let whole = |launcher: &[&str], more: &[&str]| {
        place.ok(&[launcher, &train, &["--epochs=30", "--model=m"], more].concat());
        files(&place.path("m"))
    };
    let alone = whole(&[], &["--workers=1"]);
    assert!(whole(&[], &["--workers=3"]) == alone);
    assert!(whole(&["cluster", "run", "-n", "2", "--"], &[]) == alone);
    let snapshots = ["--snapshots=s", "--snapshot-every=5"];
    place.ok(&[&train[..], &["--epochs=20", "--model=half"], &snapshots].concat());
    assert!(whole(&[], &[&snapshots[..], &["--resume"]].concat()) == alone);
}

/// What PMLS' manual trains, on fewer epochs: 20 newsgroups by date.
#[test]
fn the_demo_of_the_manual() {
    let Some(train) = data("20news_bydate_bow/20news.train.libsvm.gz") else { return };
    let Some(test) = data("20news_bydate_bow/20news.test.libsvm.gz") else { return };
    let place = Place::new();
    let command = [
        "train",
        "medlda",
        "--data",
        &train,
        "--test",
        &test,
        "--topics=20",
        "--epochs=4",
        "--evaluate-every=4",
    ];
    let done = place.json(&[&command[..], &["--partitions=2", "--workers=2"]].concat());
    assert_eq!(
        (&done["rows"], &done["tokens"], &done["words"]),
        (&11_269.into(), &2_765_300.into(), &53_975.into())
    );
    assert_eq!(done["metrics"]["rows"], 7505);
    assert!(done["loss"].as_f64().unwrap() < 0.9 * 64.0 * 20.0, "{done}");
}
