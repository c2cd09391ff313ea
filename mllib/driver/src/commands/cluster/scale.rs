//! `cluster scale`: another number of processes for a run that goes on.
//!
//! The supervisor is asked, and then asked again how the run is, until it has as many. If that takes longer than `--wait`
//! the command fails; the run goes on with those that it has.

use super::LOST;
use super::run_file::{Known, known};
use super::status::{Answer, document, text};
use crate::args::{Globals, ScaleArgs};
use crate::output::Output;
use slackwater_dataflow::cluster::{Secret, SlotState, Status};
use slackwater_dataflow::{Error, Result};
use std::time::{Duration, Instant};

/// Between two looks at the run.
const POLL: Duration = Duration::from_millis(50);

/// Runs `cluster scale`.
pub fn scale(globals: &Globals, args: &ScaleArgs) -> Result<u8> {
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let wait = Duration::try_from_secs_f64(args.wait).map_err(|e| Error::config("wait", e.to_string()))?;
    let (launcher, supervisor, secret) = find(args)?;
    let (until, wanted) = (Instant::now() + wait, usize::from(args.processes));
    let mut status = Status::scale(&supervisor, &secret, wanted)?;
    while works(&status) != Some(wanted) {
        if Instant::now() > until {
            eprintln!("error: the run has not come to {wanted} processes within {wait:?}");
            output.result(
                || document(&answer(launcher, &supervisor, &status)),
                || text(&answer(launcher, &supervisor, &status)),
            )?;
            return Ok(LOST);
        }
        std::thread::sleep(POLL);
        status = Status::ask(&supervisor, &secret)?;
    }
    let answer = answer(launcher, &supervisor, &status);
    output.result(|| document(&answer), || text(&answer))?;
    Ok(0)
}

fn answer(launcher: Option<u32>, supervisor: &str, status: &Status) -> Answer {
    Answer(launcher, supervisor.to_string(), status.clone())
}

/// How many processes a run has, if all work.
fn works(status: &Status) -> Option<usize> {
    let mut there = status.slots.iter().filter(|s| s.state != SlotState::Retired).peekable();
    there.peek()?;
    let states: Vec<SlotState> = there.map(|s| s.state).collect();
    states.iter().all(|s| *s == SlotState::Works).then_some(states.len())
}

/// The run that is meant: its launcher, its supervisor, its secret.
fn find(args: &ScaleArgs) -> Result<(Option<u32>, String, Secret)> {
    if let (Some(supervisor), Some(file)) = (&args.run.supervisor, &args.run.secret_file) {
        return Ok((None, supervisor.clone(), Secret::read(file)?));
    }
    let mut runs: Vec<Known> = known()?;
    runs.retain(|run| args.launcher.is_none_or(|pid| pid == run.pid));
    match runs.pop() {
        Some(run) if runs.is_empty() => Ok((Some(run.pid), run.supervisor, run.secret)),
        Some(run) => {
            let pids: Vec<String> = runs.iter().chain([&run]).map(|r| r.pid.to_string()).collect();
            let what = format!("there are {} runs of this user on this machine", pids.len());
            Err(Error::input(what, format!("say which, by --launcher {}", pids.join(" or "))))
        }
        None => {
            Err(Error::input("there is no such run of this user on this machine", "see `cluster status`"))
        }
    }
}
