//! Processes of a cluster are lost, and its answers are those of a run in which nothing happened.

use slackwater_dataflow::Context;
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{JOBS, program, undisturbed, watch};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROWS: u64 = 3000;

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = match Context::from_env() {
        Ok(cx) => cx,
        Err(e) => return cluster::answer(&format!("no context: {e}")),
    };
    let answer = match task.split_once(' ').unwrap_or((&task, "0")) {
        ("program", pace) => {
            let _watched = watch(&cx);
            let pace = Duration::from_millis(pace.parse().unwrap());
            program(&cx, &cluster::shared_dir(), ROWS, pace).unwrap_or_else(|e| format!("error: {e}"))
        }
        _ => panic!("unknown task {task}"),
    };
    cluster::answer(&answer);
}

/// Phases that a job reaches, by number.
const PHASES: [&str; 8] = [
    "before-agree",
    "before-stage",
    "mid-shuffle",
    "mid-sink",
    "after-commit",
    "before-result",
    "after-result-before-log",
    "after-log",
];

/// Runs the program with these faults. Nothing if they were not reached; else how its answers differ from `want`.
fn disturb(faults: &str, want: &str) -> Option<Result<Cluster, String>> {
    let mut c = Setup::new("program", 3, 2).fault(faults).start();
    let end = c.end();
    if end.replaced == 0 && end.failed.is_none() {
        return None;
    }
    let differs = end.answers.iter().any(|a| a.as_deref() != Some(want));
    if differs || end.failed.is_some() {
        let answers: Vec<_> =
            end.answers.iter().map(|a| a.as_deref().map(|a| first_difference(a, want))).collect();
        return Some(Err(format!("{faults}: {:?}, {answers:?}\n{}", end.failed, c.logs())));
    }
    Some(Ok(c))
}

fn first_difference(got: &str, want: &str) -> String {
    let pair = got.lines().zip(want.lines()).find(|(g, w)| g != w);
    pair.map_or("the same".to_string(), |(g, w)| format!("{g} instead of {w}"))
}

/// Runs with each of these faults, two at a time; how many were reached. Panics with all that went wrong.
fn disturb_all(faults: Vec<String>, check: impl Fn(&Cluster) -> Result<(), String> + Sync) -> usize {
    let want = undisturbed(ROWS);
    let (next, reached, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = match disturb(fault, &want) {
                        None => continue,
                        Some(Ok(c)) => check(&c).map_err(|e| format!("{fault}: {e}\n{}", c.logs())),
                        Some(Err(e)) => Err(e),
                    };
                    reached.fetch_add(1, Ordering::Relaxed);
                    if let Err(e) = outcome {
                        wrong.lock().unwrap().push(e)
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong:\n{}",
        wrong.len(),
        reached.into_inner(),
        wrong.join("\n\n")
    );
    reached.into_inner()
}

#[test]
fn a_kill_at_every_point_changes_nothing() {
    let jobs: Vec<u64> = match std::env::var("SLACKWATER_KILLS") {
        Ok(_) => (1..=JOBS).collect(),
        Err(_) => vec![1, 3, 5, 6, 8, 12, 16],
    };
    let points = PHASES.iter().flat_map(|phase| jobs.iter().map(move |job| (phase, job)));
    let faults: Vec<String> =
        points.flat_map(|(phase, job)| (0..3).map(move |p| format!("kill={p},1,{job},{phase}"))).collect();
    let n = faults.len();
    let reached = disturb_all(faults, |_| Ok(()));
    println!("{reached} kills of {n} points were reached and survived");
}
