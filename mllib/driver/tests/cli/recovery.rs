//! A process of a cluster is killed, any of them, in any command: the run ends as if nothing had happened.

use crate::cluster::{children, rows, runs};
use crate::common::{Place, files, ran};
use crate::documents::triples;
use crate::interrupt::until;
use crate::ratings::ratings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;

/// What a run has come to: its output but for times, and the files of its model.
type Result = (serde_json::Value, Vec<(std::path::PathBuf, Vec<u8>)>);

/// Runs `command` in three processes and kills the process of a slot when it has done some iterations.
fn disturbed(place: &Place, command: &[&str], slot: usize, after: usize) -> Result {
    // The processes are started in the order of their slots, so the pids of the first ones are, too.
    let _ = std::fs::remove_file(place.path("events"));
    let all = [&["cluster", "run", "-n", "3", "--"], command, &["--events=events"]].concat();
    let launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it iterates", || {
        let events = std::fs::read_to_string(place.path("events")).unwrap_or_default();
        events.matches("\"iteration\"").count() > after
    });
    let members = children(launcher.id());
    assert_eq!(members.len(), 3);
    kill(Pid::from_raw(members[slot]), Signal::SIGKILL).unwrap();
    let done = ran(launcher.wait_with_output().unwrap());
    assert_eq!(done.code, Some(0), "{command:?} {slot}: {}", done.stderr);
    assert!(done.stderr.contains("another takes its place"), "it was over too early: {}", done.stderr);
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    assert!(members.iter().all(|m| !runs(*m)));
    told(place, &done.stdout)
}

fn told(place: &Place, stdout: &str) -> Result {
    let mut told: serde_json::Value = serde_json::from_str(stdout).unwrap();
    told.as_object_mut().unwrap().retain(|name, _| !name.contains("second"));
    (told, files(&place.path("m")))
}

/// Kills each of three processes in turn, and compares with the command in one process.
fn survives(place: &Place, command: &[&str], after: usize) {
    let command = [command, &["--partitions=6", "--model=m", "--overwrite", "--json"]].concat();
    let alone = told(place, &place.ok(&command));
    for slot in 0..3 {
        assert!(
            disturbed(place, &command, slot, after) == alone,
            "{command:?}: another model without {slot}"
        );
    }
}

#[test]
fn linear_models() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train = ["train", "svm", "--data=rows.svm", "--solver=sgd", "--iterations=300", "--tolerance=0"];
    survives(&place, &train, 20);
}

#[test]
fn linear_models_on_tables() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train = ["train", "logistic-regression", "--data=rows.svm", "--solver=minibatch", "--iterations=60"];
    survives(&place, &[&train[..], &["--batch=500", "--tolerance=0"]].concat(), 5);
}

#[test]
fn factorisations() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    survives(&place, &["train", "mf", "--data=ratings.csv", "--rank=4", "--epochs=150", "--tolerance=0"], 10);
}

#[test]
fn topics() {
    let place = Place::new();
    place.write("docs.tsv", triples());
    survives(&place, &["train", "lda", "--data=docs.tsv", "--topics=4", "--epochs=150"], 10);
}

/// With `--recovery partial` the others do not go back: not the same bytes, but about the same objective.
#[test]
fn what_is_left_is_gone_on_with() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train = ["train", "logistic-regression", "--data=rows.svm", "--solver=minibatch", "--iterations=60"];
    let options = ["--batch=500", "--tolerance=0", "--partitions=6", "--model=m", "--overwrite", "--json"];
    let train = [&train[..], &options, &["--recovery=partial"]].concat();
    let objective = |told: &Result| told.0["objective"].as_f64().unwrap();
    let alone = objective(&told(&place, &place.ok(&train)));
    for slot in 0..3 {
        let with = objective(&disturbed(&place, &train, slot, 5));
        assert!((with - alone).abs() <= 0.01 * alone, "{with} without {slot}, {alone} alone");
    }
    assert!(place.fails(2, &["config", "show", "--recovery=half"]).contains("exact, partial"));
}

/// What was printed before is not printed again.
#[test]
fn words_are_counted_once() {
    let place = Place::new();
    place.write("rows.svm", rows()).ok(&["train", "svm", "--data", "rows.svm", "--model", "m"]);
    let predict = ["predict", "--model=m", "--data=rows.svm", "--partitions=40", "--raw"];
    let alone = place.ok(&predict);
    for slot in 0..3 {
        let all = [&["cluster", "run", "-n", "3", "--"], &predict[..]].concat();
        let launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("they are there", || children(launcher.id()).len() == 3);
        std::thread::sleep(std::time::Duration::from_millis(10 + 20 * slot as u64));
        if let Some(member) = children(launcher.id()).get(slot) {
            // It may have ended already.
            let _ = kill(Pid::from_raw(*member), Signal::SIGKILL);
        }
        let done = ran(launcher.wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stdout == alone, "{slot}: {}", done.stderr);
    }
}

/// A task that ends its process every time ends the run, after some attempts.
#[test]
fn it_does_not_go_on_for_ever() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train =
        ["train", "svm", "--data=rows.svm", "--solver=sgd", "--iterations=1000000000", "--tolerance=0"];
    let all = [&["cluster", "run", "-n", "2", "--restarts=2", "--"], &train[..], &["--model=x"]].concat();
    let mut launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // As fast as they come up: no job is finished in between.
    let start = std::time::Instant::now();
    while children(launcher.id()).len() < 2 && start.elapsed().as_secs() < 30 {}
    let mut killed = std::collections::BTreeSet::new();
    while launcher.try_wait().unwrap().is_none() && start.elapsed().as_secs() < 60 {
        if let Some(member) = children(launcher.id()).into_iter().find(|m| !killed.contains(m)) {
            killed.insert(member);
            let _ = kill(Pid::from_raw(member), Signal::SIGKILL);
        }
    }
    let done = ran(launcher.wait_with_output().unwrap());
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    assert!(done.stderr.contains("times in a row"), "{}", done.stderr);
}
