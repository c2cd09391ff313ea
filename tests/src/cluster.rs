//! Tests in several processes: a test binary starts itself again, and its test `child` does what [`task`] says.

mod child;
pub mod ports;
mod supervised;

pub use supervised::{Cluster, End, Setup, TaskNote};

use slackwater_dataflow::cluster::Supervisor;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable that says what a child does.
pub const TASK: &str = "SLACKWATER_TEST_CHILD";
/// Environment variable with points at which a child fails, see [`slackwater_dataflow::fault::arm`].
pub const FAULT: &str = "SLACKWATER_TEST_FAULT";
/// Environment variable with a folder that all children of a cluster see.
pub const DIR: &str = "SLACKWATER_TEST_DIR";
const ANSWER: &str = "ANSWER";
const NOTE: &str = "NOTE";
/// Stands for a line break in an answer.
const BREAK: char = '\u{1}';

/// What this process is to do, if it is a child.
pub fn task() -> Option<String> {
    let task = std::env::var(TASK).ok()?;
    if let Ok(spec) = std::env::var(FAULT) {
        slackwater_dataflow::fault::arm(&spec).unwrap();
    }
    Some(task)
}

/// True in a child.
pub fn is_child() -> bool {
    std::env::var_os(TASK).is_some()
}

/// The folder that all children of the cluster see.
pub fn shared_dir() -> PathBuf {
    std::env::var_os(DIR).map(PathBuf::from).expect("a child of a cluster")
}

/// Tells the test how far a child is.
pub fn note(text: &str) {
    println!("{NOTE} {text}");
}

/// A child's task and its context; nothing if this process is no child, or may not take part, which it then says.
pub fn join() -> Option<(String, slackwater_dataflow::Context)> {
    let task = task()?;
    match slackwater_dataflow::Context::from_env() {
        Ok(cx) => Some((task, cx)),
        Err(e) => {
            note(&format!("no context: {e}"));
            None
        }
    }
}

/// What a child has found out.
pub fn answer(text: &str) {
    println!("{ANSWER} {}", text.replace('\n', &BREAK.to_string()));
}

/// Runs `task` in `processes` processes of this test binary; the answer of each.
pub fn run(task: &str, processes: usize, workers: usize) -> Vec<String> {
    let supervisor = Supervisor::start(processes).unwrap();
    let children: Vec<_> = (0..processes)
        .map(|i| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--nocapture"])
                .envs(supervisor.membership(i).variables())
                .env("SLACKWATER_WORKERS", workers.to_string())
                .env(TASK, task)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut outputs = vec![];
    for mut child in children {
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let out = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        outputs.push((text(&out.stdout), text(&out.stderr)));
    }
    let answer =
        |text: &str| text.lines().find_map(|l| l.split_once("ANSWER ").map(|(_, a)| a.replace(BREAK, "\n")));
    // What went wrong may be told by any of them.
    let answers: Option<Vec<_>> = outputs.iter().map(|(out, _)| answer(out)).collect();
    answers.unwrap_or_else(|| panic!("{task}: {outputs:#?}"))
}
