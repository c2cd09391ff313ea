//! The file of events, and what is read from it: of runs that ended, failed, were killed, or lost the process that wrote.

use crate::cluster::{children, rows};
use crate::common::{Place, ran};
use crate::interrupt::{ENDLESS, signal, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Stdio;

const TRAIN: [&str; 7] =
    ["train", "svm", "--data=rows.svm", "--solver=sgd", "--tolerance=0", "--partitions=6", "--overwrite"];

fn place() -> Place {
    let place = Place::new();
    place.write("rows.svm", rows());
    place
}

/// Number, action and state of each job.
fn jobs(history: &Value) -> Vec<(u64, String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_string();
    let all = history["jobs"].as_object().unwrap().iter();
    let mut all: Vec<_> =
        all.map(|(n, job)| (n.parse().unwrap(), text(&job["action"]), text(&job["state"]))).collect();
    all.sort();
    all
}

#[test]
fn of_a_run_that_has_ended() {
    let place = place();
    let train = [&TRAIN[..], &["--iterations=30", "--model=m", "--events=e"]].concat();
    place.ok(&train);
    let first = place.json(&["events", "e"]);
    let known = (&first["state"], &first["run"], &first["processes"], &first["writers"], &first["truncated"]);
    assert_eq!(known, (&"ended".into(), &"".into(), &1.into(), &1.into(), &false.into()));
    let all = jobs(&first);
    assert!(all.len() > 30 && all.iter().all(|(_, _, state)| state == "ended"), "{all:?}");
    assert_eq!(all.last().unwrap().0, all.len() as u64);
    let steps = &first["algorithms"].as_object().unwrap().values().next().unwrap();
    // They are counted from 0.
    assert_eq!((&steps["iteration"], &steps["iterations_max"]), (&29.into(), &30.into()));
    let stage = &first["jobs"]["1"]["stages"]["0"];
    assert!(stage["ended"].as_u64() > Some(0) && stage["ended"] == stage["tasks"], "{stage}");
    assert!(stage["metrics"]["records_in"].as_u64() > Some(0) && stage["wall_us"].is_u64(), "{stage}");
    let text = place.ok(&["events", "e", "--top=5"]);
    for part in
        ["1 process, ", "ended well", &format!("{} ended", all.len()), "29 of 30, gradient_norm", "seconds"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.lines().filter(|l| l.ends_with(" ended")).count(), 5 + 1, "{text}");
    // Another run begins the file anew.
    place.ok(&train);
    assert_eq!(jobs(&place.json(&["events", "e"])), all);
    // Files are lines, so they go through pipes.
    let mut piped = place.command(&["events", "-", "--json"]);
    let out = piped.stdin(std::fs::File::open(place.path("e")).unwrap()).output().unwrap();
    let piped: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(jobs(&piped), all);
}

#[test]
fn of_a_run_that_was_killed() {
    let place = place();
    let mut command = place.command(&[&ENDLESS[..], &["--events=e"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it iterates", || {
        let events = std::fs::read_to_string(place.path("e")).unwrap_or_default();
        events.matches("\"iteration\"").count() > 20
    });
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let history = place.json(&["events", "e"]);
    assert_eq!(history["state"], "in_progress");
    let steps = history["algorithms"].as_object().unwrap().values().next().unwrap()["iteration"].as_u64();
    assert!(steps > Some(10), "{history}");
    // However the last line was cut.
    let whole = place.read("e");
    let whole = &whole[..whole.rfind('\n').unwrap() + 1];
    let want = { place.write("w", whole).json(&["events", "w"]) };
    let last = whole[..whole.len() - 1].rfind('\n').unwrap() + 1;
    place.write("f", format!("{whole}{}", &whole[last..whole.len() - 5]));
    let cut = place.run(&["events", "f", "--json"]);
    let mut history: Value = serde_json::from_str(&cut.stdout).unwrap();
    assert!(cut.stderr.contains("f: the last line is not whole"), "{}", cut.stderr);
    assert_eq!(history["truncated"].take(), true);
    assert!(history["jobs"] == want["jobs"] && history["events"] == want["events"]);
    assert!(place.ok(&["events", "f"]).contains("in progress: it goes on, or was killed"));
}

#[test]
fn of_a_run_that_failed() {
    let place = place();
    place.fails(4, &[&TRAIN[..], &["--model=m", "--job-timeout=0.000001", "--events=e"]].concat());
    let history = place.json(&["events", "e"]);
    let (state, error) = (&history["state"], history["error"].as_str().unwrap());
    assert!(state == "failed" && error.contains("took longer"), "{history}");
    assert!(place.ok(&["events", "e"]).contains("failed     job 1: "));
}

/// 37: the process that writes is lost, and the one in its place goes on in the same file.
#[test]
fn of_a_run_that_lost_its_first_process() {
    let place = place();
    let train = [&TRAIN[..], &["--iterations=400", "--model=m", "--quiet"]].concat();
    place.ok(&[&train[..], &["--events=alone"]].concat());
    let all = [&["cluster", "run", "-n3", "--"], &train[..], &["--events=e"]].concat();
    for slot in [0, 1] {
        let launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let this_run = || {
            let events = std::fs::read_to_string(place.path("e")).unwrap_or_default();
            events.contains("\"processes\":3") && events.matches("\"iteration\"").count() > 40
        };
        until("it iterates", this_run);
        let members = children(launcher.id());
        kill(Pid::from_raw(members[slot]), Signal::SIGKILL).unwrap();
        let done = ran(launcher.wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stderr.contains("another takes its place"), "{}", done.stderr);
        let (history, alone) = (place.json(&["events", "e"]), place.json(&["events", "alone"]));
        assert_eq!((&history["state"], &history["processes"]), (&"ended".into(), &3.into()));
        assert_eq!(history["writers"], if slot == 0 { 2 } else { 1 }, "{}", place.ok(&["events", "e"]));
        // Beside those of one process there is the job in which all agree on who writes the model.
        let (all, of_one) = (jobs(&history), jobs(&alone));
        assert!(all.len() == of_one.len() + 1 && all.starts_with(&of_one), "{} jobs", all.len());
        assert_eq!(history["algorithms"], alone["algorithms"]);
        let text = place.ok(&["events", "e"]);
        if slot == 1 {
            let formed = history["generations"].as_array().unwrap();
            assert!(formed.len() == 1 && formed[0]["why"].as_str().unwrap().len() > 5, "{formed:?}");
            assert!(text.contains("generation 2 of 3: "), "{text}");
        } else {
            assert!(text.contains("written    by 2 processes"), "{text}");
        }
        std::fs::remove_file(place.path("e")).unwrap();
    }
}

#[test]
fn of_no_run() {
    let place = Place::new();
    place.write("x", "label,1\n").write("empty", "");
    let said = place.fails(3, &["events", "x"]);
    assert!(said.contains("x:1:1: no event") && said.contains("hint: "), "{said}");
    assert!(place.fails(3, &["events", "empty"]).contains("there are no events"));
    assert!(place.fails(3, &["events", "none"]).contains("cannot read none"));
    place.write("newer", "{\"sequence\":1,\"event\":\"of_tomorrow\"}\n{\"sequence\":1,\"time_us\":5,\"process\":0,\"event\":\"run_end\",\"error\":null}\n");
    let newer = place.run(&["events", "newer"]);
    assert!(newer.code == Some(0) && newer.stderr.contains("1 event of kinds"), "{}", newer.stderr);
}
