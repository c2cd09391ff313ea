//! A run gets more processes and fewer while it goes on, by `cluster scale` and by `--lost shrink`.

use crate::cluster::{children, rows, runs};
use crate::common::{Place, Ran, files, ran};
use crate::documents::triples;
use crate::interrupt::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::{Child, Stdio};

/// Starts a command in a cluster and waits until it iterates.
fn start(place: &Place, options: &[&str], command: &[&str]) -> Child {
    let _ = std::fs::remove_file(place.path("events"));
    let all = [&["cluster", "run"], options, &["--"], command, &["--events=events"]].concat();
    let launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it iterates", || {
        let events = std::fs::read_to_string(place.path("events")).unwrap_or_default();
        events.matches("\"iteration\"").count() > 5
    });
    launcher
}

fn end(launcher: Child) -> Ran {
    let done = ran(launcher.wait_with_output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!done.stderr.contains("error"), "{}", done.stderr);
    done
}

/// States of the slots that are not retired.
fn states(status: &Value) -> Vec<&str> {
    let slots = status["slots"].as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap());
    slots.filter(|s| *s != "retired").collect()
}

fn told(stdout: &str) -> Value {
    let mut told: Value = serde_json::from_str(stdout).unwrap();
    told.as_object_mut().unwrap().retain(|name, _| !name.contains("second"));
    told
}

#[test]
fn a_training_on_jobs_gets_more_processes_and_fewer() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train = ["train", "svm", "--data=rows.svm", "--solver=sgd", "--iterations=2500", "--tolerance=0"];
    let train = [&train[..], &["--partitions=6", "--overwrite", "--json"]].concat();
    let alone = told(&place.ok(&[&train[..], &["--model=m"]].concat()));
    let want = files(&place.path("m"));
    let launcher = start(&place, &["-n", "2"], &[&train[..], &["--model=m"]].concat());
    let grown = place.json(&["cluster", "scale", "4"]);
    assert_eq!(states(&grown), ["works"; 4], "{grown}");
    assert_eq!(grown["launcher"].as_u64(), Some(u64::from(launcher.id())));
    let members = children(launcher.id());
    assert_eq!(members.len(), 4);
    let shrunk = place.json(&["cluster", "scale", "1"]);
    assert_eq!(states(&shrunk), ["works"]);
    assert_eq!(place.json(&["cluster", "scale", "1"])["generation"], shrunk["generation"], "as it was");
    let text = place.ok(&["cluster", "scale", "2"]);
    assert_eq!(text.matches(" works ").count(), 2, "{text}");
    let done = end(launcher);
    assert!(told(&done.stdout) == alone && files(&place.path("m")) == want, "{}", done.stderr);
    assert!(done.stderr.contains("process 3 goes"), "{}", done.stderr);
    assert!(members.iter().all(|m| !runs(*m)));
}

/// Tables, states of partitions and snapshots: those are written by whatever shards there are.
#[test]
fn a_training_on_tables_gets_more_processes_and_fewer() {
    let place = Place::new();
    place.write("docs.tsv", triples());
    let train =
        ["train", "lda", "--data=docs.tsv", "--topics=4", "--partitions=6", "--model=m", "--overwrite"];
    let train = [&train[..], &["--json", "--snapshot-every=200"]].concat();
    place.ok(&[&train[..], &["--epochs=3000", "--snapshots=alone"]].concat());
    let longer = [&train[..], &["--epochs=3020", "--snapshots=alone", "--resume"]].concat();
    place.ok(&longer);
    let want = files(&place.path("m"));
    let launcher =
        start(&place, &["-n", "2"], &[&train[..], &["--epochs=3000", "--snapshots=many"]].concat());
    assert_eq!(states(&place.json(&["cluster", "scale", "4"])), ["works"; 4]);
    assert_eq!(states(&place.json(&["cluster", "scale", "3"])), ["works"; 3]);
    end(launcher);
    // Another number of shards again.
    place.ok(&[&train[..], &["--epochs=3020", "--snapshots=many", "--resume", "--workers=3"]].concat());
    assert!(files(&place.path("m")) == want);
}

#[test]
fn nobody_takes_the_place_of_a_lost_process_if_none_is_to() {
    let place = Place::new();
    place.write("rows.svm", rows());
    let train = ["train", "svm", "--data=rows.svm", "--solver=sgd", "--iterations=2000", "--tolerance=0"];
    let train = [&train[..], &["--partitions=6", "--overwrite", "--json", "--model=m"]].concat();
    let alone = told(&place.ok(&train));
    let launcher = start(&place, &["-n", "3", "--lost", "shrink"], &train);
    let members = children(launcher.id());
    kill(Pid::from_raw(members[2]), Signal::SIGKILL).unwrap();
    until("two are left", || {
        let status = place.json(&["cluster", "status"]);
        states(&status["runs"][0]) == ["works"; 2]
    });
    assert_eq!(children(launcher.id()).len(), 2);
    kill(Pid::from_raw(members[0]), Signal::SIGKILL).unwrap();
    let done = end(launcher);
    assert!(told(&done.stdout) == alone);
    assert!(
        done.stderr.contains("process 2 was killed (signal 9); the others go on without it"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("process 0 was killed (signal 9); another takes its place"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_cannot_be_scaled_is_said() {
    let place = Place::new();
    let none = place.fails(3, &["cluster", "scale", "4"]);
    assert!(none.contains("no such run"), "{none}");
    assert!(place.fails(2, &["cluster", "scale", "0"]).contains("1..=64"));
    place.write("rows.svm", rows());
    let endless =
        ["train", "svm", "--data=rows.svm", "--solver=sgd", "--iterations=1000000000", "--tolerance=0"];
    let train = [&endless[..], &["--model=m", "--overwrite"]].concat();
    let one = start(&place, &["-n", "1"], &train);
    let other = start(&place, &["-n", "1"], &train);
    let several = place.fails(3, &["cluster", "scale", "2"]);
    let both = [one.id(), other.id()].map(|id| several.contains(&id.to_string()));
    assert!(several.contains("--launcher") && both == [true; 2], "{several}");
    let launcher = other.id().to_string();
    assert_eq!(states(&place.json(&["cluster", "scale", "2", "--launcher", &launcher])), ["works"; 2]);
    for launcher in [one, other] {
        kill(Pid::from_raw(launcher.id() as i32), Signal::SIGINT).unwrap();
        launcher.wait_with_output().unwrap();
    }
}
