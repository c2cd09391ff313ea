//! A process of a cluster is killed, any of them, in any command: the run ends as if nothing had happened.

use crate::cluster::{children, rows, runs};
use crate::common::{Place, files, ran};
use crate::documents::triples;
use crate::interrupt::until;
use crate::ratings::ratings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;

/// What a run has come to: its output but for times and what each process had, and the files of its model.
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
    let may_differ = |name: &str| name.contains("second") || name == "model_bytes";
    told.as_object_mut().unwrap().retain(|name, _| !may_differ(name));
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

/// Partitions have all of the model and of the residual, and letters are always under way.
#[test]
fn factorisations_feature_by_feature() {
    let place = Place::new();
    place.write("ratings.csv", ratings());
    let train = ["train", "mf", "--data=ratings.csv", "--rank=4", "--solver=ccd", "--epochs=150"];
    survives(&place, &train, 10);
}

#[test]
fn topics() {
    let place = Place::new();
    place.write("docs.tsv", triples());
    survives(&place, &["train", "lda", "--data=docs.tsv", "--topics=4", "--epochs=150"], 10);
}

/// Another program, which is told of nothing: the first example, killed in its first job and in its second. Each of the
/// two takes about a second.
#[test]
fn word_counts() {
    let place = Place::new();
    place.write("words.txt", words());
    let program = example("word_count");
    let alone = std::process::Command::new(&program).arg(place.path("words.txt")).output().unwrap();
    let alone = ran(alone);
    assert_eq!((alone.code, alone.stdout.lines().count()), (Some(0), 10), "{}", alone.stderr);
    for (slot, job) in (0..3).flat_map(|slot| [(slot, 0), (slot, 1)]) {
        let program = program.to_str().unwrap();
        let all = ["cluster", "run", "-n3", "--workers=1", "--program", program, "--", "words.txt"];
        let launcher = place.command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut status = serde_json::Value::Null;
        until("it works", || {
            let asked = place.run(&["cluster", "status", "--json"]);
            status = serde_json::from_str(&asked.stdout).unwrap_or_default();
            let slots = status["runs"][0]["slots"].as_array();
            slots.is_some_and(|s| s.iter().all(|s| s["state"] == "works" && s["jobs"].as_u64() >= Some(job)))
        });
        // Not in the first moment of the job.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let members = children(launcher.id());
        assert_eq!(status["runs"][0]["slots"][slot]["pid"], members[slot], "{status}");
        kill(Pid::from_raw(members[slot]), Signal::SIGKILL).unwrap();
        let done = ran(launcher.wait_with_output().unwrap());
        assert_eq!(done.code, Some(0), "{slot} {job}: {}", done.stderr);
        assert!(done.stderr.contains("another takes its place"), "it was over too early: {}", done.stderr);
        assert!(done.stdout == alone.stdout, "{slot} {job}: {} {}", done.stdout, done.stderr);
        assert!(members.iter().all(|m| !runs(*m)));
    }
}

/// Text of 11 million words, of which there are 40 000.
fn words() -> String {
    let mut block = String::new();
    for i in 0u32..200_000 {
        let random = f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        // Few words are most of the text.
        let end = if i % 12 == 11 { '\n' } else { ' ' };
        block += &format!("word{}{end}", (40_000.0 * random * random * random) as u32);
    }
    block.repeat(55)
}

/// A program of `examples/`. Whoever runs all tests has built it.
fn example(name: &str) -> std::path::PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_slackwater")).with_file_name("examples").join(name);
    if !program.exists() {
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "slackwater", "-p", "slackwater-examples", "--example", name]);
        // The command is built beside it, as the other tests have it.
        build.args(["--features", "slackwater/cloud"]);
        assert!(build.status().unwrap().success(), "{name} cannot be built");
    }
    assert!(program.exists(), "{} is not there", program.display());
    program
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

/// All are gone, the launcher included: another run, of another number of processes, goes on from the last snapshot.
#[test]
fn a_cluster_goes_on_when_all_were_lost() {
    let place = Place::new();
    place.write("docs.tsv", triples());
    let train = ["train", "lda", "--data=docs.tsv", "--topics=4", "--partitions=6", "--epochs=1500"];
    let train = [&train[..], &["--json", "--overwrite", "--model=m"]].concat();
    let kept = ["--snapshots=kept", "--snapshot-every=20"];
    let alone = told(&place, &place.ok(&train));
    let run = [&["cluster", "run", "-n", "3", "--"], &train[..], &kept].concat();
    let mut launcher = place.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let snapshots = || std::fs::read_dir(place.path("kept")).map_or(0, |entries| entries.count());
    until("there are snapshots", || snapshots() > 2);
    let members = children(launcher.id());
    launcher.kill().unwrap();
    assert_eq!(launcher.wait().unwrap().code(), None, "it had ended already");
    until("all end", || members.iter().all(|m| !runs(*m)));
    let again = [&["cluster", "run", "-n", "2", "--"], &train[..], &kept, &["--resume"]].concat();
    let again = told(&place, &place.ok(&again));
    let differ = again.1.iter().zip(&alone.1).filter(|(a, b)| a != b).map(|(a, _)| a.0.display().to_string());
    // The history of a run begins where it does.
    let differ: Vec<String> = differ.filter(|name| name != "metadata.json").collect();
    assert!(differ.is_empty() && again.1.len() == alone.1.len(), "{differ:?} {} {}", again.0, alone.0);
    for figure in ["log_likelihood", "epochs"] {
        assert!(again.0[figure].is_number() && again.0[figure] == alone.0[figure], "{figure}");
    }
}

/// What was printed before is not printed again.
#[test]
fn predictions_are_printed_once() {
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
