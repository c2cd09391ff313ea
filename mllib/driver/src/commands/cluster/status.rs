//! `cluster status`: how the processes of a run are.
//!
//! The answer is the supervisor's. Without an address it is that of every run of this user on this machine; a run that
//! does not answer is said to be so, and fails the command if no other answers. No run at all is exit code 1.

use super::run_file::{Known, known};
use crate::args::{Globals, StatusArgs};
use crate::output::{Output, table};
use serde_json::{Value, json};
use slackwater_dataflow::cluster::{Secret, SlotState, SlotStatus, Status};
use slackwater_dataflow::{Error, Result};

/// Exit code if there is no run.
const NONE: u8 = 1;

/// A run that has answered; the number of its launcher if that is known.
pub(super) struct Answer(pub Option<u32>, pub String, pub Status);

/// Runs `cluster status`.
pub fn status(globals: &Globals, args: &StatusArgs) -> Result<u8> {
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let (mut answers, mut failure) = (vec![], None);
    match (&args.run.supervisor, &args.run.secret_file) {
        (Some(supervisor), Some(file)) => {
            let status = Status::ask(supervisor, &Secret::read(file)?)?;
            answers.push(Answer(None, supervisor.clone(), status));
        }
        _ => {
            for Known { pid, supervisor, secret } in known()? {
                match Status::ask(&supervisor, &secret) {
                    Ok(status) => answers.push(Answer(Some(pid), supervisor, status)),
                    Err(e) => {
                        let message = format!("the run of process {pid}: {e}");
                        output.note(&format!("warning: {message}"));
                        failure = Some(Error::new(slackwater_dataflow::ErrorKind::Cluster(message)));
                    }
                }
            }
        }
    }
    if let Some(e) = failure.filter(|_| answers.is_empty()) {
        return Err(e);
    }
    let document = || json!({"runs": answers.iter().map(document).collect::<Vec<_>>()});
    output.result(document, || match answers.is_empty() {
        true => "no run of this user on this machine".to_string(),
        false => answers.iter().map(text).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(if answers.is_empty() { NONE } else { 0 })
}

fn word(state: SlotState) -> &'static str {
    match state {
        SlotState::Joining => "joining",
        SlotState::Works => "works",
        SlotState::Lost => "lost",
        SlotState::Left => "left",
        SlotState::Retired => "retired",
    }
}

pub(super) fn document(Answer(launcher, supervisor, status): &Answer) -> Value {
    let slot = |s: &SlotStatus| {
        json!({
            "slot": s.slot,
            "host": s.host,
            "address": s.address,
            "pid": s.pid,
            "state": word(s.state),
            "jobs": s.jobs,
            "heard_seconds": s.heard_seconds,
            "still_seconds": s.still_seconds,
            "restarts": s.restarts,
        })
    };
    json!({
        "run": status.run,
        "launcher": launcher,
        "supervisor": supervisor,
        "generation": status.generation,
        "generation_seconds": status.generation_seconds,
        "slots": status.slots.iter().map(slot).collect::<Vec<_>>(),
    })
}

pub(super) fn text(Answer(launcher, supervisor, status): &Answer) -> String {
    let launcher = launcher.map_or(String::new(), |pid| format!(" (process {pid})"));
    let since = status.generation_seconds;
    let generation = match status.generation {
        0 => format!("its processes are waited for, since {since:.1} s"),
        n => format!("generation {n}, since {since:.1} s"),
    };
    let rows = status.slots.iter().map(|s| {
        let or_none = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
        vec![
            format!("p{}", s.slot),
            word(s.state).to_string(),
            or_none(&s.host),
            or_none(&s.address),
            s.pid.to_string(),
            s.jobs.to_string(),
            s.heard_seconds.map_or("-".to_string(), |h| format!("{h:.1}")),
            format!("{:.1}", s.still_seconds),
            s.restarts.to_string(),
        ]
    });
    let heading =
        ["process", "state", "host", "address", "pid", "jobs", "heard, s ago", "in a step, s", "restarts"];
    format!("run {} at {supervisor}{launcher}: {generation}\n{}", status.run, table(&heading, rows))
}
