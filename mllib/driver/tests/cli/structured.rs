//! The tree lasso and the fused lasso from the command line: the chain, files of structures, several processes.

use crate::common::{Place, files};
use serde_json::Value;

/// Rows of which the label is made of few columns, in four files; a tree of tens under halves, and a graph.
fn with_data() -> Place {
    let place = Place::new();
    let made = ["generate", "regression", "--samples=120", "--features=90", "--informative=5", "--out=data"];
    place.ok(&[&made[..], &["--groups=30", "--correlation=0.6", "--partitions=4", "--seed=5"]].concat());
    let columns: String = (1..=90).map(|j| format!("{j},t{}\n", (j - 1) / 10)).collect();
    let tens: String = (0..9).map(|t| format!("t{t},{}\n", if t < 5 { "low" } else { "high" })).collect();
    place.write("tree.csv", format!("node,parent,weight\n{columns}{tens}low,\nhigh,,2.5\n"));
    let edges: String =
        (1..90).map(|j| format!("{j} {} {}\n", j + 1, if j % 7 == 0 { "-0.5" } else { "1" })).collect();
    place.write("graph.txt", format!("{edges}1 3\n2 4 2\n"));
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const TREE: [&str; 3] = ["train", "tree-lasso", "--tree=tree.csv"];
const GRAPH: [&str; 4] = ["train", "fused-lasso", "--graph=graph.txt", "--fusion=0.5"];

#[test]
fn train_predict_evaluate_inspect() {
    let place = with_data();
    for (train, solver, key) in [(&TREE[..], "working-set", "nodes"), (&GRAPH, "working-set", "edges")] {
        let train = [train, &["--data=data", "--reg-ratio=0.02", "--model=m", "--overwrite"]].concat();
        let done = place.json(&train);
        assert_eq!(
            (&done["solver"], &done["rows"], &done["columns"]),
            (&solver.into(), &120.into(), &90.into())
        );
        assert!(done["converged"] == true && number(&done["gap"]) >= 0.0, "{done}");
        let ratio = number(&done["regularization"]) / number(&done["regularization_max"]);
        assert!((ratio - 0.02).abs() < 1e-12, "{done}");
        assert!(number(&done["metrics"]["r2"]) > 0.9, "{done}");
        assert_eq!(done[key]["all"], if key == "nodes" { 11 } else { 91 });
        assert!(number(&done[key]["with_weights"][0]) >= 1.0, "{done}");
        assert_eq!(done["metrics"], place.json(&["evaluate", "--model=m", "--data=data"])["metrics"]);
        let predicted = place.ok(&["predict", "--model=m", "--data=data"]);
        assert_eq!((predicted.lines().count(), predicted.lines().next()), (121, Some("prediction")));
        assert_eq!(place.json(&["inspect", "m"])["algorithm"], "linear-regression");
        let text = place.ok(&train);
        for word in ["there are no weights", "gap", "optimality", key] {
            assert!(text.contains(word), "{word}: {text}");
        }
        // The gap bounds the objective: asking for less changes it by no more.
        let tight = place.json(&[&train[..], &["--tolerance=1e-10"]].concat());
        let fall = number(&done["objective"]) - number(&tight["objective"]);
        assert!((-1e-15..=number(&done["gap"]) + 1e-15).contains(&fall), "{fall} {done}");
        assert_eq!(tight["converged"], true, "{tight}");
    }
}

/// Whole branches have weights or none; the fused lasso's neighbours have the same ones, and without fusion it is the lasso.
#[test]
fn structures_show() {
    let place = with_data();
    let options = ["--data=data", "--reg-ratio=0.3", "--model=m", "--overwrite", "--tolerance=1e-9"];
    let tree = place.json(&[&TREE[..], &options].concat());
    assert_eq!(number(&tree["nonzeros"]) % 10.0, 0.0, "{tree}");
    assert!(number(&tree["nonzeros"]) < 90.0, "{tree}");
    let chain = ["train", "fused-lasso", "--graph=chain", "--standardize=false"];
    let fused = place.json(&[&chain[..], &options, &["--fusion=20"]].concat());
    let sets = number(&fused["edges"]["with_weights"][0]);
    assert!(sets >= 1.0 && 3.0 * sets < number(&fused["nonzeros"]), "{fused}");
    let plain = place.json(&[&chain[..], &options, &["--fusion=0"]].concat());
    let lasso = ["train", "lasso", "--standardize=false"];
    let lasso = place.json(&[&lasso[..], &options].concat());
    let (a, b) = (number(&plain["objective"]), number(&lasso["objective"]));
    assert!((a - b).abs() < 1e-8 * b, "{a} {b}");
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = with_data();
    for train in [&TREE[..], &GRAPH] {
        let run = |launcher: &[&str]| {
            let options =
                ["--data=data", "--path=4", "--path-ratio=0.05", "--model=m", "--overwrite", "--json"];
            let text = place.ok(&[launcher, train, &options].concat());
            let mut done: Value = serde_json::from_str(&text).unwrap();
            done.as_object_mut().unwrap().remove("seconds");
            (done, files(&place.path("m")))
        };
        let one = run(&["--workers=1"]);
        assert!(one.0["path"].as_array().unwrap().iter().all(|p| p["converged"] == true), "{}", one.0);
        for launcher in [&["--workers=3"][..], &["cluster", "run", "-n", "3", "--"]] {
            assert!(run(launcher) == one, "{launcher:?}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = with_data();
    let fails = |code, command: &str, options: &[&str]| {
        place.fails(code, &[&["train", command, "--data=data", "--model=n"], options].concat())
    };
    place.write("circle.csv", "1,a\na,b\nb,a\n");
    let said = fails(3, "tree-lasso", &["--tree=circle.csv"]);
    assert!(said.contains("circle.csv:2:3: node `a` is below itself") && said.contains("root"), "{said}");
    place.write("beyond.csv", "a,\n91,a\n");
    assert!(
        fails(3, "tree-lasso", &["--tree=beyond.csv"]).contains("beyond.csv:2:1: there is no column `91`")
    );
    place.write("edges.csv", "1,2\n2,91\n");
    let said = fails(3, "fused-lasso", &["--graph=edges.csv"]);
    assert!(
        said.contains("edges.csv:2:3: there is no column `91`") && said.contains("from 1 to 90"),
        "{said}"
    );
    fails(3, "tree-lasso", &["--tree=nowhere.csv"]);
    fails(3, "fused-lasso", &["--graph=nowhere.csv"]);
    assert!(fails(2, "fused-lasso", &["--graph=chain", "--fusion=-1"]).contains("fusion"));
    fails(2, "tree-lasso", &["--tree=tree.csv", "--reg=0"]);
    fails(2, "tree-lasso", &[]);
    assert!(!place.path("n").exists());
}
