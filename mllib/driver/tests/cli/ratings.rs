//! Matrix factorisation from the command line: train, predict, evaluate and inspect, bad input, several processes.

use crate::common::{Place, data, files};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Half of the ratings of 60 items by 200 users; each likes every third item.
pub fn ratings() -> String {
    let mut text = "userId,movieId,rating,timestamp\n".to_string();
    for user in 1u32..=200 {
        for item in (0..60).filter(|item| user.wrapping_mul(2_654_435_761).rotate_left(*item) % 2 == 0) {
            let liked = if item % 3 == user % 3 { 4.5 } else { 2.0 };
            text += &format!("{user},{item},{},{}\n", liked + f64::from(item % 2) / 2.0, 1_000_000 + user);
        }
    }
    text
}

const TRAIN: [&str; 4] = ["train", "mf", "--data=ratings.csv", "--rank=4"];

#[test]
fn the_whole_chain() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let rows = ratings().lines().count() as u64 - 1;
    let text = place.ok(&[&TRAIN[..], &["--split=0.8,0.2", "--metrics"]].concat());
    for word in ["60 items by 200 users", "50 epochs", "held-out rows", "RMSE", "mf.model"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let trained = place.json(&[&TRAIN[..], &["--model=m"]].concat());
    assert_eq!((&trained["rows"], &trained["users"]), (&rows.into(), &200.into()));
    let error = trained["rmse"].as_f64().unwrap();
    assert!(error < 0.4 && trained["rmse_history"].as_array().unwrap().len() == 50, "{trained}");
    let evaluated = place.json(&["evaluate", "--model=m", "--data=ratings.csv"]);
    assert_eq!(evaluated["metrics"], trained["metrics"]);
    assert!((evaluated["metrics"]["rmse"].as_f64().unwrap() - error).abs() < 1e-9, "{evaluated}");
    place.ok(&["evaluate", "--model=m", "--data=ratings.csv", "--require=rmse=0.4", "--require=mae=0.4"]);
    place.fails(1, &["evaluate", "--model=m", "--data=ratings.csv", "--require=rmse=0.001"]);
    place.write("pairs.csv", "user,item\n1,1\n1,2\n9999,1\n9999,7777\n");
    let csv = place.ok(&["predict", "--model=m", "--data=pairs.csv"]);
    let lines: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!((lines[0].join(","), lines.len()), ("user,item,prediction".to_string(), 5));
    let prediction = |line: usize| lines[line][2].parse::<f64>().unwrap();
    assert_eq!((lines[3][0], lines[3][1]), ("9999", "1"));
    assert!(prediction(1) > 4.0 && prediction(2) < 3.0, "{csv}");
    let inspected = place.json(&["inspect", "m", "--top=3"]);
    assert_eq!(inspected["mean"].as_f64(), Some(prediction(4)));
    assert_eq!((&inspected["rank"], inspected["top"].as_array().unwrap().len()), (&4.into(), 3));
    let text = place.ok(&["inspect", "m"]);
    assert!(text.contains("matrix-factorization") && text.contains("of 60 items by 200 users"), "{text}");
}

#[test]
fn predictions_in_every_format() {
    let place = Place::new();
    place.write("ratings.csv", ratings()).ok(&[&TRAIN[..], &["--model=m", "--epochs=2"]].concat());
    // Lines with a rating are pairs too.
    let predict = ["predict", "--model=m", "--data=ratings.csv"];
    for out in ["p.csv", "p.jsonl", "p.parquet"] {
        place.ok(&[&predict[..], &["--out", out]].concat());
    }
    let csv = place.read("p.csv");
    assert_eq!(csv, place.ok(&predict));
    let of_csv: Vec<f64> =
        csv.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(of_csv.len(), ratings().lines().count() - 1);
    let first: serde_json::Value =
        serde_json::from_str(place.read("p.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((first["user"].as_u64(), first["prediction"].as_f64()), (Some(1), Some(of_csv[0])));
    let file = std::fs::File::open(place.path("p.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let of_parquet: Vec<f64> = batches
        .flat_map(|b| {
            let b = b.unwrap();
            b.column_by_name("prediction").unwrap().as_primitive::<Float64Type>().values().to_vec()
        })
        .collect();
    assert_eq!(of_parquet, of_csv);
}

#[test]
fn every_option_arrives() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    for consistency in ["bsp", "ssp:3", "essp:1", "async"] {
        let options =
            ["--epochs=20", "--workers=2", "--partitions=3", "--batch=64", "--overwrite", "--model=m"];
        let done = place.json(&[&TRAIN[..], &options, &["--consistency", consistency]].concat());
        assert_eq!(
            (&done["parameters"]["consistency"], &done["partitions"]),
            (&consistency.into(), &3.into())
        );
        assert_eq!((&done["batch"], &done["epochs"]), (&64.into(), &20.into()));
        assert!(done["rmse"].as_f64().unwrap() < 0.6, "{done}");
    }
    let plain =
        place.json(&[&TRAIN[..], &["--model=n", "--non-negative", "--tolerance=0.05", "--seed=7"]].concat());
    let parameters = &plain["parameters"];
    assert_eq!((&parameters["non_negative"], &parameters["biases"]), (&true.into(), &false.into()));
    assert_eq!((&parameters["seed"], &plain["converged"]), (&7.into(), &true.into()));
    let factors = place.json(&[&TRAIN[..], &["--model=o", "--no-biases", "--epochs=1"]].concat());
    assert_eq!(factors["parameters"]["biases"], false);
    // By its long name, with the names of others, and with a test file.
    let alias = ["train", "matrix-factorization", "--data=ratings.csv", "--test=ratings.csv", "--model=p"];
    let alias = place.json(&[&alias[..], &["--n_factors=2", "--iterations=3", "--reg=0.2"]].concat());
    assert_eq!((&alias["measured_on"], &alias["parameters"]["rank"]), (&"test rows".into(), &2.into()));
    assert_eq!((&alias["epochs"], &alias["parameters"]["regularization"]), (&3.into(), &0.2.into()));
}

/// A process has its part of all factors, of five parts.
fn assert_shares(one: &[u64], many: &[u64]) {
    let share = one[0] as f64 / 5.0 * 5usize.div_ceil(many.len()) as f64;
    assert!(one.len() == 1 && many.iter().all(|b| *b > 0 && (*b as f64) < 1.4 * share), "{one:?} {many:?}");
}

/// Blocks of items that rotate: the same chain, the same bytes wherever it runs, and from snapshots.
#[test]
fn blocks_rotate() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let train_for = |epochs: &str, launcher: &[&str], more: &[&str]| {
        let options = ["--solver=dsgd", epochs, "--partitions=5", "--model=m", "--overwrite", "--json"];
        let all = [launcher, &TRAIN, &options, more].concat();
        let mut done: serde_json::Value = serde_json::from_str(&place.ok(&all)).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        let shares = done.as_object_mut().unwrap().remove("model_bytes").unwrap();
        let shares: Vec<u64> = serde_json::from_value(shares).unwrap();
        (done, files(&place.path("m")), shares)
    };
    let train = |launcher: &[&str], more: &[&str]| train_for("--epochs=30", launcher, more);
    for more in [&[][..], &["--non-negative"]] {
        let one = train(&["--workers=1"], more);
        assert_eq!((&one.0["parameters"]["solver"], &one.0["partitions"]), (&"dsgd".into(), &5.into()));
        assert!(one.0["rmse"].as_f64().unwrap() < 0.4, "{}", one.0);
        for launcher in [&["--workers=3"][..], &["cluster", "run", "--workers=2", "-n2", "--"]] {
            let other = train(launcher, more);
            assert!((&other.0, &other.1) == (&one.0, &one.1), "{launcher:?} {more:?}");
            assert_shares(&one.2, &other.2);
        }
    }
    let whole = train(&[], &[]);
    train_for("--epochs=3", &[], &["--snapshots=kept", "--workers=1"]);
    assert!(train(&[], &["--snapshots=kept", "--resume", "--workers=2"]) == whole);
    let evaluated = place.json(&["evaluate", "--model=m", "--data=ratings.csv"]);
    assert_eq!(evaluated["metrics"]["rmse"], whole.0["metrics"]["rmse"]);
    // What others do while one is slow depends on how slow it is, but it comes to the same.
    let text = place.ok(&[&TRAIN[..], &["--solver=dsgd", "--epochs=1", "--model=t"]].concat());
    assert!(text.contains("factors    1 process with at most"), "{text}");
    for launcher in [&["--workers=2"][..], &["cluster", "run", "-n2", "--"]] {
        let (done, ..) = train(launcher, &["--fugue=2"]);
        assert_eq!(done["parameters"]["fugue"], 2);
        assert!(done["rmse"].as_f64().unwrap() < 0.4, "{done}");
    }
}

/// Coordinate descent: the same chain, the same bytes wherever it runs, and from snapshots.
#[test]
fn features_one_by_one() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let train_for = |epochs: &str, launcher: &[&str], more: &[&str]| {
        let options = ["--solver=ccd", epochs, "--partitions=5", "--model=m", "--overwrite", "--json"];
        let all = [launcher, &TRAIN, &options, more].concat();
        let mut done: serde_json::Value = serde_json::from_str(&place.ok(&all)).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        let shares = done.as_object_mut().unwrap().remove("model_bytes").unwrap();
        let shares: Vec<u64> = serde_json::from_value(shares).unwrap();
        (done, files(&place.path("m")), shares)
    };
    let train = |launcher: &[&str], more: &[&str]| train_for("--epochs=8", launcher, more);
    for more in [&[][..], &["--non-negative", "--inner-iterations=3"]] {
        let one = train(&["--workers=1"], more);
        assert_eq!((&one.0["parameters"]["solver"], &one.0["partitions"]), (&"ccd".into(), &5.into()));
        assert!(one.0["rmse"].as_f64().unwrap() < 0.4, "{}", one.0);
        for launcher in [&["--workers=3"][..], &["cluster", "run", "--workers=2", "-n2", "--"]] {
            let other = train(launcher, more);
            assert!((&other.0, &other.1) == (&one.0, &one.1), "{launcher:?} {more:?}");
            assert_shares(&one.2, &other.2);
        }
    }
    let whole = train(&[], &[]);
    train_for("--epochs=3", &[], &["--snapshots=kept", "--workers=1"]);
    assert!(train(&[], &["--snapshots=kept", "--resume", "--workers=2"]) == whole);
    let evaluated = place.json(&["evaluate", "--model=m", "--data=ratings.csv"]);
    assert_eq!(evaluated["metrics"]["rmse"], whole.0["metrics"]["rmse"]);
    place.write("pairs.csv", "1,1\n1,2\n9999,7777\n");
    assert_eq!(place.ok(&["predict", "--model=m", "--data=pairs.csv"]).lines().count(), 4);
    // An epoch after which little changes ends it.
    let (done, ..) = train(&[], &["--tolerance=0.2", "--inner-iterations=2"]);
    assert!(done["stop"] != whole.0["stop"] && done["epochs"].as_u64() < Some(8), "{done}");
    assert_eq!(done["parameters"]["inner_iterations"], 2);
}

#[test]
fn settings_from_a_file_and_the_environment() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    place.write(
        "job.toml",
        "seed = 5\n[train.mf]\nrank = 3\nepochs = 2\nconsistency = \"ssp:1\"\nnon-negative = true\n",
    );
    let mut command =
        place.command(&["train", "mf", "--data=ratings.csv", "--config=job.toml", "--epochs=1", "--json"]);
    let ran = crate::common::ran(command.env("SLACKWATER_SEED", "6").output().unwrap());
    let done: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
    let parameters = &done["parameters"];
    assert_eq!((&parameters["rank"], &parameters["epochs"]), (&3.into(), &1.into()));
    assert_eq!((&parameters["seed"], &parameters["consistency"]), (&6.into(), &"ssp:1".into()));
    assert_eq!(parameters["non_negative"], true);
    place.write("bad.toml", "[train.mf]\nrang = 3\n");
    assert!(place.fails(2, &[&TRAIN[..], &["--config=bad.toml"]].concat()).contains("bad.toml:2"));
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let place = Place::new();
    for (content, says) in [
        ("1,2,3\n1,x,3\n", "in.csv:2:3: the item is not a whole number"),
        ("u,i,r\n1,2,nan\n", "in.csv:2:5: the rating is NaN"),
        ("1 2 3\n-4 2 3\n", "in.csv:2:1: the user is not"),
        ("1\t2147483648\t3\n", "in.csv:1:3: the item is larger"),
        ("1,2\n", "in.csv:1:4: the rating is missing"),
        ("", "is empty"),
        ("user,item,rating\n\n", "no ratings"),
    ] {
        place.write("in.csv", content);
        let said = place.fails(3, &["train", "mf", "--data=in.csv", "--model=m"]);
        assert!(said.contains(says) && said.contains("error: "), "{content:?}: {said}");
        assert_eq!(place.names(), ["in.csv"], "{said}");
    }
    assert!(place.fails(3, &["train", "mf", "--data=none.csv"]).contains("none.csv"));
    place.write("in.csv", "1,1,5\n1,2,1\n2,1,4\nx,1,1\n2,2,2\n");
    let done = place.json(&["train", "mf", "--data=in.csv", "--model=m", "--on-bad=skip"]);
    assert_eq!((&done["rows"], &done["bad_rows"]), (&4.into(), &1.into()));
    let said = place.fails(3, &["predict", "--model=m", "--data=in.csv", "--out=p.csv"]);
    assert!(said.contains("in.csv:4:1: the user is not"), "{said}");
    assert!(place.fails(3, &["evaluate", "--model=m", "--data=in.csv"]).contains("in.csv:4:1"));
    assert_eq!(place.names(), ["in.csv", "m"]);
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let place = Place::new();
    place.write("ratings.csv", ratings()).ok(&[&TRAIN[..], &["--model=m", "--epochs=1"]].concat());
    for (wrong, says) in [
        (&["--rank=0"][..], "at least 1"),
        (&["--model=m"], "--overwrite"),
        (&["--model=n", "--decay=2"], "decay"),
        (&["--model=n", "--step-size=20"], "must be below 10"),
        (&["--model=n", "--split=1"], "split"),
        (&["--model=n", "--consistency=ssp"], "essp:S"),
        (&["--model=n", "--solver=als"], "sgd, dsgd, ccd"),
        (&["--model=n", "--fugue=1"], "is for the solver dsgd"),
        (&["--model=n", "--solver=dsgd", "--batch=3"], "is for the solver sgd"),
        (&["--model=n", "--solver=dsgd", "--consistency=async"], "is for the solver sgd"),
        (&["--model=n", "--solver=ccd", "--consistency=async"], "is for the solver sgd"),
        (&["--model=n", "--solver=ccd", "--batch=9"], "is for the solver sgd"),
        (&["--model=n", "--solver=ccd", "--fugue=1"], "is for the solver dsgd"),
        (&["--model=n", "--solver=ccd", "--step-size=0.1"], "is for the solvers sgd and dsgd"),
        (&["--model=n", "--solver=ccd", "--decay=0.5"], "is for the solvers sgd and dsgd"),
        (&["--model=n", "--inner-iterations=2"], "is for the solver ccd"),
    ] {
        let said = place.fails(2, &[&TRAIN[..2], &["--data=ratings.csv"], wrong].concat());
        assert!(said.contains(says), "{wrong:?}: {said}");
    }
    assert!(place.fails(2, &["train", "mf"]).contains("--data"));
    let with_model = |command: &str, option: &str| {
        let said = place.fails(2, &[command, "--model=m", "--data=ratings.csv", option]);
        assert!(said.contains("is not for ratings"), "{command} {option}: {said}");
    };
    for option in ["--proba", "--raw", "--num-features=3", "--binarize=1", "--index-base=0"] {
        with_model("predict", option);
    }
    for option in ["--thresholds=3", "--curve=roc", "--max-features=3", "--ignore-extra-columns"] {
        with_model("evaluate", option);
    }
    let said = place.fails(2, &["inspect", "m", "--export=liblinear", "--out=x"]);
    assert!(said.contains("matrix factorisation"), "{said}");
    let wild = [&TRAIN[..], &["--model=n", "--step-size=90", "--regularization=0"]].concat();
    assert!(place.fails(4, &wild).contains("a smaller step size than 90"));
    assert!(!place.path("n").exists());
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let train = |launcher: &[&str], more: &[&str]| {
        let options = ["--split=0.8,0.2", "--epochs=4", "--batch=32", "--model=m", "--overwrite", "--json"];
        let all = [launcher, &TRAIN, &options, more].concat();
        let mut done: serde_json::Value = serde_json::from_str(&place.ok(&all)).unwrap();
        done.as_object_mut().unwrap().remove("seconds");
        (done, files(&place.path("m")))
    };
    for more in [&[][..], &["--non-negative"]] {
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
    let predict = ["predict", "--model=m", "--data=ratings.csv"];
    assert_eq!(place.ok(&[&cluster[..], &predict].concat()), place.ok(&predict));
    let evaluate = ["evaluate", "--model=m", "--data=ratings.csv", "--json"];
    assert_eq!(place.ok(&[&cluster[..], &evaluate].concat()), place.ok(&evaluate));
    let ssp = [&cluster[..], &TRAIN, &["--consistency=ssp:2", "--epochs=30", "--model=s", "--json"]].concat();
    let done: serde_json::Value = serde_json::from_str(&place.ok(&ssp)).unwrap();
    assert!(done["rmse"].as_f64().unwrap() < 0.5, "{done}");
}

#[test]
fn a_training_goes_on_from_its_snapshots() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let train = |more: &[&str]| {
        let options = ["--batch=32", "--model=m", "--overwrite"];
        place.ok(&[&TRAIN[..], &options, more].concat());
        files(&place.path("m"))
    };
    let whole = train(&["--epochs=8"]);
    train(&["--epochs=3", "--snapshots=kept", "--workers=1"]);
    assert!(train(&["--epochs=8", "--snapshots=kept", "--resume", "--workers=2"]) == whole);
}

#[test]
fn movielens() {
    let Some(file) = data("ml-latest-small/ratings.csv.gz") else { return };
    let place = Place::new();
    let done = place.json(&["train", "mf", "--data", &file, "--split=0.8,0.2", "--model=m"]);
    assert_eq!((&done["users"], &done["measured_on"]), (&610.into(), &"held-out rows".into()));
    assert!(done["metrics"]["rmse"].as_f64().unwrap() < 0.88, "{done}");
    assert!(done["metrics"]["mae"].as_f64().unwrap() < 0.68, "{done}");
}
