//! What programs read: documents, events, explanations, completions.

use crate::common::Place;

#[test]
fn events_are_lines_of_json() {
    let place = Place::new();
    place.ok(&["train", "svm", "--events", "events.jsonl"]);
    let events: Vec<serde_json::Value> =
        place.read("events.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let kinds = |kind: &str| events.iter().filter(|e| e["event"] == kind).count();
    assert!(kinds("job_start") > 2 && kinds("task_end") > 2, "{events:?}");
    assert!(kinds("iteration") > 2);
    assert!(events.iter().all(|e| e["sequence"].is_u64() && e["time_us"].is_u64()));
    let last = events.iter().rfind(|e| e["event"] == "iteration").unwrap();
    assert!(last["values"]["objective"].as_f64().unwrap() > 0.0, "{last}");
}

#[test]
fn results_and_notes_are_apart() {
    let place = Place::new();
    let ran = place.run(&["train", "svm", "--json", "--progress", "always"]);
    serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
    assert!(ran.stderr.contains("records") && ran.stderr.contains("sample"), "{}", ran.stderr);
    let ran = place.run(&["train", "svm", "--overwrite", "--quiet", "--progress", "always"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let ran = place.run(&["train", "svm"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "there is a model already");
    assert!(ran.stderr.contains("--overwrite"), "{}", ran.stderr);
}

#[test]
fn lineages_are_explained() {
    let place = Place::new();
    let text = place.ok(&["explain", "--split", "0.6,0.4", "--analyze"]);
    assert!(text.contains("\"parsed rows\"") && text.contains("200 -> "), "{text}");
    assert!(place.ok(&["explain", "--format", "dot"]).starts_with("digraph"));
    let document = place.json(&["explain"]);
    assert!(document["stages"].as_array().is_some_and(|s| !s.is_empty()), "{document}");
}

#[test]
fn completions_for_shells() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.ok(&["completions", shell]).contains("logistic-regression"), "{shell}");
    }
    assert!(place.ok(&["--version"]).contains("compiler rustc"));
}

/// A reader that has seen enough, such as `head`, is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    use std::process::Stdio;
    let place = Place::new();
    place.with_sample("rows.svm").ok(&["train", "svm", "--model", "m"]);
    let mut command = place.command(&["predict", "--model", "m", "--data", "rows.svm"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = crate::common::ran(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}
