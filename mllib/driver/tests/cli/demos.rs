//! The tutorial's three demos on two machines, for which namespaces stand: undisturbed, and with the cable between them out
//! for ten seconds in the midst. One side wins, the other ends by itself, and the answer is what it was.
//!
//! Here they are small. `SLACKWATER_DEMOS`, beside `SLACKWATER_DATA`, makes them what the tutorial has.

use crate::cluster::{rows, runs};
use crate::common::{Place, Ran, data, files};
use crate::documents::triples;
use crate::hosts::Net;
use crate::networks;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the cable is out.
const CUT: Duration = Duration::from_secs(10);
/// Who is cut off has ended after this time.
const ENDED: Duration = Duration::from_secs(6);

/// The large ones take minutes on two cores.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a run has come to: its document but for times, and its files.
type Result = (Value, Vec<(std::path::PathBuf, Vec<u8>)>);

fn told(place: &Place, stdout: &str) -> Result {
    let mut told: Value = serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"));
    told.as_object_mut().unwrap().retain(|name, _| !name.contains("second"));
    (told, files(&place.path("m")))
}

/// The result of a run that went well. Who is cut off says why it ends; nobody else has anything to complain of.
fn well(done: Ran, place: &Place, net: &Net, start: Instant) -> Result {
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let far = format!("[{}]", net.0[1]);
    let complains = |line: &str| line.contains("error") && !line.starts_with(&far);
    assert!(!done.stderr.lines().any(complains), "{}", done.stderr);
    println!("  ended after {:.1} s\n{}", start.elapsed().as_secs_f64(), done.stderr);
    told(place, &done.stdout)
}

/// A demo: three processes on two machines, `slots` of them at most on each. Cuts the cable after some iterations.
fn demo(place: &Place, train: &[&str], slots: [usize; 2], after: usize, same: impl Fn(&Result, &Result)) {
    let Some(net) = Net::new() else { return };
    let train = [train, &["--model=m", "--overwrite", "--json", "--quiet"]].concat();
    let start = Instant::now();
    let alone = told(place, &place.ok(&train));
    println!("{}: alone {:.1} s", train[1], start.elapsed().as_secs_f64());

    let (start, rsh) = (Instant::now(), "ip netns exec");
    let undisturbed = well(net.start(place, rsh, slots, &train).end_within(PATIENCE), place, &net, start);
    same(&alone, &undisturbed);
    net.assert_empty();

    let _ = std::fs::remove_file(place.path("events"));
    let train: Vec<&str> =
        train.iter().copied().filter(|w| *w != "--quiet").chain(["--events=events"]).collect();
    let start = Instant::now();
    let run = net.start(place, rsh, slots, &train);
    let iterations = || {
        let events = std::fs::read_to_string(place.path("events")).unwrap_or_default();
        events.matches("\"iteration\"").count()
    };
    while iterations() <= after {
        assert!(start.elapsed() < PATIENCE, "it does not iterate");
        std::thread::sleep(Duration::from_millis(10));
    }
    let cut_off = net.pids_in(1);
    assert!(cut_off.len() >= 2, "a worker and a process: {cut_off:?}");
    println!("  cut after {:.1} s", start.elapsed().as_secs_f64());
    net.connect(false);
    let cut = Instant::now();
    let mut ended = Duration::ZERO;
    while cut.elapsed() < CUT {
        if ended.is_zero() && cut_off.iter().all(|pid| !runs(*pid)) {
            ended = cut.elapsed();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!ended.is_zero() && ended < ENDED, "who was cut off has ended after {ended:?}");
    println!("  who was cut off had ended after {:.1} s", ended.as_secs_f64());
    net.connect(true);
    let done = run.end_within(PATIENCE);
    assert!(done.stderr.contains("another takes its place"), "it was over too early: {}", done.stderr);
    assert_eq!(done.stdout.lines().filter(|l| l.starts_with('{')).count(), 1, "said once: {}", done.stdout);
    same(&alone, &well(done, place, &net, start));
    net.assert_empty();
    let left: Vec<String> =
        place.names().into_iter().filter(|n| n.contains("tmp") || n.starts_with("m.")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn bits(a: &Result, b: &Result) {
    assert!(a == b, "{} instead of {}", b.0, a.0);
}

fn number(result: &Result, path: &str) -> f64 {
    let value = result.0.pointer(path).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("{path}: {}", result.0))
}

/// The data of a demo, if it is to be as large as the tutorial's.
fn large(path: &str) -> Option<String> {
    std::env::var_os("SLACKWATER_DEMOS").and_then(|_| data(path))
}

/// Spark's demo: a support vector machine by gradient descent on 60 % of the rows, tested on the others.
#[test]
fn spark() {
    let place = Place::new();
    let train =
        ["train", "svm", "--solver=sgd", "--split=0.6,0.4", "--seed=11", "--tolerance=0", "--metrics"];
    match large("a9a/a9a.gz") {
        Some(path) => {
            let more = ["--partitions=6", "--iterations=2000", "--data", &path];
            demo(&place, &[&train[..], &more].concat(), [3, 1], 100, bits);
        }
        None => {
            place.write("rows.svm", rows());
            let more = ["--partitions=6", "--iterations=700", "--data=rows.svm"];
            demo(&place, &[&train[..], &more].concat(), [3, 1], 50, bits);
        }
    }
}

/// GraphLab's: topics. There is room on the side that was cut off only, so the run waits for it.
#[test]
fn graphlab() {
    let place = Place::new();
    match large("daily_kos/tokens").zip(large("daily_kos/dictionary.txt")) {
        Some((corpus, dictionary)) => {
            let train = ["train", "lda", "--corpus", &corpus, "--dictionary", &dictionary, "--ntopics=50"];
            let more = ["--alpha=1", "--beta=0.1", "--partitions=3", "--epochs=150"];
            let bsp = [&train[..], &more].concat();
            demo(&place, &bsp, [2, 2], 2, bits);
            let free = [&train[..], &more, &["--consistency=async"]].concat();
            demo(&place, &free, [2, 2], 2, |a, b| {
                let likelihood = |r| number(r, "/log_likelihood");
                let (a, b) = (likelihood(a), likelihood(b));
                println!("  log likelihood {b}, alone {a}");
                assert!((a / b - 1.0).abs() < 0.005, "{b} instead of {a}");
            });
        }
        None => {
            place.write("docs.tsv", triples());
            let train = ["train", "lda", "--data=docs.tsv", "--topics=4", "--epochs=150", "--partitions=6"];
            demo(&place, &train, [2, 2], 5, bits);
        }
    }
}

/// Petuum's: a network.
#[test]
fn petuum() {
    let place = Place::new();
    if std::env::var_os("SLACKWATER_DEMOS").is_some() {
        let rows = ["generate", "classification", "--samples=10000", "--features=440", "--classes=1993"];
        place.ok(&[&rows[..], &["--partitions=3", "--out=data"]].concat());
        let train = ["train", "neural-network", "--data=data", "--hidden=512,512,512,512", "--partitions=3"];
        let more = ["--batch=16", "--epochs=2", "--consistency=ssp:5", "--metrics"];
        return demo(&place, &[&train[..], &more].concat(), [3, 1], 0, |a, b| {
            let loss = |r: &Result| {
                let all = r.0["loss_history"].as_array().unwrap();
                all.last().unwrap().as_f64().unwrap()
            };
            println!("  loss {}, alone {}", loss(b), loss(a));
            assert!((loss(b) / loss(a) - 1.0).abs() < 0.1, "{} instead of {}", loss(b), loss(a));
        });
    }
    place.ok(&networks::GENERATE);
    let train = [&networks::TRAIN[..], &["--consistency=bsp", "--epochs=300", "--tolerance=0"]].concat();
    demo(&place, &train, [3, 1], 10, bits);
}
