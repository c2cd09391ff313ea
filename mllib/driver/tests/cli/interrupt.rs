//! Ctrl-C.

use crate::common::{Place, ran};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Arguments of a training that takes for ever.
pub const ENDLESS: [&str; 8] =
    ["train", "svm", "--solver", "sgd", "--iterations", "1000000000", "--tolerance=0", "--model=m"];

/// Nothing here takes longer than this unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts an endless training, and waits until it iterates.
fn start(place: &Place) -> Child {
    let mut command = place.command(&[&ENDLESS[..], &["--events", "events"]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it iterates", || std::fs::metadata(place.path("events")).is_ok_and(|m| m.len() > 0));
    child
}

#[test]
fn once_stops_in_order() {
    let place = Place::new();
    let child = start(&place);
    signal(&child, Signal::SIGINT);
    let done = ran(child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(done.stderr.contains("interrupted"), "{}", done.stderr);
    assert_eq!((done.stdout.as_str(), place.names()), ("", vec!["events".to_string()]));
}

#[test]
fn twice_aborts() {
    let place = Place::new();
    let child = start(&place);
    signal(&child, Signal::SIGINT);
    signal(&child, Signal::SIGINT);
    assert_eq!(ran(child.wait_with_output().unwrap()).code, Some(130));
}

#[test]
fn so_does_being_asked_to_end() {
    let place = Place::new();
    let child = start(&place);
    signal(&child, Signal::SIGTERM);
    assert_eq!(ran(child.wait_with_output().unwrap()).code, Some(130));
}

#[test]
fn a_job_may_take_only_so_long() {
    let place = Place::new();
    let mut rows = String::new();
    (0..20_000).for_each(|i| rows += &format!("{} 1:{i} 2:1 3:4 4:{}\n", i % 2, i % 5));
    place.write("rows.svm", rows);
    let said = place.fails(4, &["train", "svm", "--data", "rows.svm", "--job-timeout", "0.000001"]);
    assert!(said.contains("took longer"), "{said}");
    assert_eq!(place.names(), ["rows.svm"]);
}
