//! Several processes: the same bytes, one voice, and nobody left behind.

use crate::common::{Place, files, ran};
use crate::interrupt::{ENDLESS, signal, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};

/// Rows enough for several partitions.
pub fn rows() -> String {
    let mut text = String::new();
    for i in 0u32..30_000 {
        let x = |k: u32| f64::from(i.wrapping_mul(2_654_435_761).rotate_left(k) % 2000) / 1000.0 - 1.0;
        let label = if x(3) + x(11) * 0.5 + x(19) > 0.0 { "+1" } else { "-1" };
        text += &format!("{label} 1:{} 2:{} {}:{}\n", x(3), x(11), 3 + i % 40, x(23));
    }
    text
}

#[test]
fn the_same_bytes_by_workers_and_processes() {
    let place = Place::new();
    place.write("rows.svm", rows());
    for (algorithm, more) in [
        ("svm", &["--loss=hinge"][..]),
        ("svm", &["--solver=sgd", "--split=0.6,0.4", "--seed=3", "--iterations=20"]),
        ("logistic-regression", &["--intercept", "--grid=C=0.1,1", "--folds=2"]),
        ("logistic-regression", &["--solver=minibatch", "--intercept", "--iterations=3", "--batch=200"]),
        ("linear-regression", &["--reg=0.01"]),
        ("linear-regression", &["--reg=0.01", "--l1-ratio=0.5"]),
    ] {
        let train = |launcher: &[&str], model: &str| {
            let arguments = ["train", algorithm, "--data", "rows.svm", "--partitions=5", "--model", model];
            let mut all = [launcher, &arguments, more].concat();
            all.extend(["--overwrite", "--json"]);
            let mut done: serde_json::Value = serde_json::from_str(&place.ok(&all)).unwrap();
            assert!(done["partitions"].as_u64().unwrap() > 4);
            done.as_object_mut().unwrap().retain(|k, _| k != "seconds" && k != "model");
            (done, files(&place.path(model)))
        };
        let one = train(&["--workers=1"], "one");
        for workers in ["--workers=2", "--workers=4"] {
            assert!(train(&[workers], "other") == one, "{algorithm} {more:?} {workers}");
        }
        for launcher in
            [&["cluster", "run", "-n", "2", "--"][..], &["cluster", "run", "--workers=2", "-n2", "--"]]
        {
            assert!(train(launcher, "other") == one, "{algorithm} {more:?} {launcher:?}");
        }
    }
}

#[test]
fn predictions_and_metrics_too() {
    let place = Place::new();
    place.write("rows.svm", rows()).ok(&["train", "svm", "--data", "rows.svm", "--model", "m"]);
    let cluster = ["cluster", "run", "-n", "3", "--"];
    let predict = ["predict", "--model", "m", "--data", "rows.svm", "--raw"];
    let alone = place.ok(&predict);
    assert_eq!(place.ok(&[&cluster[..], &predict].concat()), alone);
    place.ok(&[&cluster[..], &predict, &["--out", "p.csv"]].concat());
    assert_eq!(place.read("p.csv"), alone);
    let evaluate = ["evaluate", "--model", "m", "--data", "rows.svm", "--json"];
    assert_eq!(place.ok(&[&cluster[..], &evaluate].concat()), place.ok(&evaluate));
}

#[test]
fn one_voice_and_the_first_reason() {
    let place = Place::new();
    let ran = place.run(&["cluster", "run", "-n", "2", "--", "train", "svm"]);
    assert_eq!((ran.code, ran.stdout.matches("svm.model").count()), (Some(0), 1), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("[p0] no --data"), "{}", ran.stderr);
    place.write("bad.svm", "1 1:1\n-1 0:1\n");
    let said = place
        .fails(3, &["cluster", "run", "-n", "2", "--", "train", "svm", "--data", "bad.svm", "--model", "x"]);
    assert!(said.contains("[p0] error: bad.svm:2:4"), "{said}");
    assert!(!place.path("x").exists());
    // What each process finds by itself, in a result that all of them have, each of them gets to say.
    place.write("labels.svm", "1 1:1\n2 1:1\n3 2:1\n");
    let train = ["train", "svm", "--data", "labels.svm", "--model", "x"];
    let said = place.fails(3, &[&["cluster", "run", "-n", "3", "--"], &train[..]].concat());
    assert_eq!(said.matches("error: labels.svm").count(), 3, "{said}");
    let wrong = place.fails(2, &["cluster", "run", "-n", "2", "--", "train", "svx"]);
    assert_eq!(wrong.matches("svx").count(), 1, "said once: {wrong}");
    assert!(
        place
            .fails(2, &["cluster", "run", "-n", "2", "--", "cluster", "run", "-n2"])
            .contains("by a cluster")
    );
    let stdin =
        place.fails(3, &["cluster", "run", "-n2", "--", "train", "svm", "--data", "-", "--model", "x"]);
    assert!(stdin.contains("standard input"), "{stdin}");
}

/// Starts an endless training in two processes that are not replaced, and waits until both are there.
fn start(place: &Place) -> (Child, Vec<i32>) {
    let launcher = ["cluster", "run", "-n", "2", "--restarts", "0", "--"];
    let mut command = place.command(&[&launcher[..], &ENDLESS[..], &["--events", "events"]].concat());
    let launcher = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it iterates", || std::fs::metadata(place.path("events")).is_ok_and(|m| m.len() > 0));
    let members = children(launcher.id());
    assert_eq!(members.len(), 2);
    (launcher, members)
}

/// Numbers of the processes that this one has started.
pub fn children(parent: u32) -> Vec<i32> {
    let is_child = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|l| l.strip_prefix("PPid:").is_some_and(|p| p.trim() == parent.to_string()))
    };
    let names = std::fs::read_dir("/proc").unwrap().flatten().map(|e| e.file_name());
    let mut all: Vec<i32> = names.filter_map(|n| n.to_str()?.parse().ok()).filter(is_child).collect();
    all.sort_unstable();
    all
}

/// True if the process runs; one that has ended and that nobody has asked for does not.
pub fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_killed_process_ends_the_others() {
    let place = Place::new();
    let (launcher, members) = start(&place);
    kill(Pid::from_raw(members[1]), Signal::SIGKILL).unwrap();
    let done = ran(launcher.wait_with_output().unwrap());
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("was killed") && !done.stderr.contains("panicked"), "{}", done.stderr);
    assert!(members.iter().all(|m| !runs(*m)));
    assert_eq!(place.names(), ["events"]);
}

#[test]
fn a_killed_launcher_leaves_nobody() {
    let place = Place::new();
    let (mut launcher, members) = start(&place);
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    until("the members end", || members.iter().all(|m| !runs(*m)));
}

#[test]
fn an_interrupt_is_passed_on() {
    let place = Place::new();
    let (launcher, members) = start(&place);
    signal(&launcher, Signal::SIGINT);
    let done = ran(launcher.wait_with_output().unwrap());
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(members.iter().all(|m| !runs(*m)));
    assert_eq!(place.names(), ["events"]);
}
