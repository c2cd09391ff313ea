//! Processes of a cluster are lost, and its answers are those of a run in which nothing happened.

use slackwater_dataflow::Context;
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{program, undisturbed, watch};
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

#[test]
fn nothing_happens() {
    let want = undisturbed(ROWS);
    let mut c = Cluster::start("program", 3, 2);
    let answers = c.finish();
    for a in &answers {
        assert_eq!(*a, want, "{}", c.logs());
    }
    println!("{want} {:?}\n{}", c.age(), c.logs());
}
