//! The help, word by word. With `SLACKWATER_BLESS=1` the files are written again.

use crate::common::Place;
use std::path::Path;

fn check(name: &str, arguments: &[&str]) {
    let text = Place::new().ok(arguments);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help").join(format!("{name}.txt"));
    if std::env::var_os("SLACKWATER_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{} differs; SLACKWATER_BLESS=1 writes it again\n{text}", path.display());
}

#[test]
fn help_texts() {
    check("slackwater", &["--help"]);
    check("train", &["help", "train"]);
    check("train-svm", &["train", "svm", "--help"]);
    check("train-logistic-regression", &["help", "train", "logistic-regression"]);
    check("train-linear-regression", &["train", "linear-regression", "--help"]);
    check("train-lasso", &["help", "train", "lasso"]);
    check("train-elastic-net", &["train", "elastic-net", "--help"]);
    check("train-group-lasso", &["train", "group-lasso", "--help"]);
    check("train-tree-lasso", &["help", "train", "tree-lasso"]);
    check("train-fused-lasso", &["help", "train", "fused-lasso"]);
    check("train-sparse-logistic", &["help", "train", "sparse-logistic"]);
    check("train-neural-network", &["help", "train", "neural-network"]);
    check("generate-classification", &["help", "generate", "classification"]);
    check("generate-regression", &["help", "generate", "regression"]);
    check("generate-sparse", &["help", "generate", "sparse"]);
    check("generate-table", &["help", "generate", "table"]);
    check("train-k-means", &["help", "train", "k-means"]);
    check("train-mf", &["help", "train", "mf"]);
    check("train-lda", &["help", "train", "lda"]);
    check("train-medlda", &["help", "train", "medlda"]);
    check("train-distance-metric", &["help", "train", "distance-metric"]);
    check("train-sparse-coding", &["help", "train", "sparse-coding"]);
    check("train-nmf", &["help", "train", "nmf"]);
    check("train-dictionary", &["train", "dictionary", "--help"]);
    check("predict", &["help", "predict"]);
    check("evaluate", &["help", "evaluate"]);
    check("inspect", &["help", "inspect"]);
    check("convert", &["help", "convert"]);
    check("explain", &["help", "explain"]);
    check("events", &["help", "events"]);
    check("cluster-run", &["help", "cluster", "run"]);
    check("cluster-status", &["help", "cluster", "status"]);
    check("cluster-scale", &["help", "cluster", "scale"]);
    check("cluster-secret", &["help", "cluster", "secret"]);
    check("worker", &["help", "worker"]);
    check("config-show", &["help", "config", "show"]);
}
