//! `cluster run`: the same command in several processes, of this machine or of others.
//!
//! The processes find each other through a supervisor that this one keeps. A process that is lost is replaced: the others
//! keep what they have computed, and the new one comes to where they are. Only process 0 has the standard output, and what
//! its replacement says again comes out once; what they say on standard error comes out line by line, each with the
//! process it is from. Nothing is left behind: when one fails the others are ended, when this process is dropped or killed
//! they end too (their standard input is a pipe from here, and they watch it; on other machines their worker does).
//!
//! What is decided here does not depend on where processes run. `member.rs` is one of them, `fleet.rs` finds places for
//! those on other machines, `agent.rs` is what starts them there.

mod agent;
mod fleet;
mod hosts;
mod member;
mod pipe;
mod place;
mod relay;
mod run_file;
mod scale;
mod size;
mod status;

pub use scale::scale;
pub use status::status;

use crate::args::{OnLoss, RunArgs, SecretArgs};
use crate::config::{Origin, Refusal, Resolved, resolve, settings};
use crate::output::print;
use member::Member;
use nix::sys::signal::Signal;
use place::Places;
use run_file::RunFile;
use size::Size;
use slackwater_dataflow::cluster::{Happening, Leave, Secret, Supervisor};
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Exit code of a run that lost a process.
const LOST: u8 = 5;
/// Exit code of a run that was interrupted before it began.
const INTERRUPTED: u8 = 130;
/// Between two looks at the processes.
const POLL: Duration = Duration::from_millis(2);
/// After one has failed the others have this long to say why they fail too.
const GRACE: Duration = Duration::from_secs(2);
/// What the others have finished is known this long after one was lost.
const NEWS: Duration = Duration::from_millis(30);

/// Runs `cluster run`.
pub fn run(resolved: &Resolved, args: &RunArgs) -> Result<u8> {
    let mut arguments = args.command.clone();
    if args.program.is_none() {
        match own_arguments(resolved, &mut arguments)? {
            Ok(()) => {}
            Err(code) => return Ok(code),
        }
    }
    let interrupts = Arc::new(AtomicUsize::new(0));
    let counter = interrupts.clone();
    let pressed = move || {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    ctrlc::set_handler(pressed).map_err(|e| Error::usage(format!("signals cannot be caught: {e}")))?;
    let (supervisor, places) = place::open(resolved, args, arguments)?;
    if let Some(seconds) = args.stuck {
        let limit =
            Duration::try_from_secs_f64(seconds).map_err(|e| Error::config("stuck", e.to_string()))?;
        supervisor.give_up_stuck(limit);
    }
    let globals = &resolved.cli.globals;
    let membership = supervisor.membership(0);
    let file = RunFile::write(&membership.rendezvous, &membership.secret);
    let run = Run {
        members: (0..args.processes).map(|_| None).collect(),
        places,
        supervisor,
        spill_dir: globals.spill_dir.clone().unwrap_or_else(std::env::temp_dir),
        quiet: globals.quiet,
        restarts: args.restarts,
        size: Size::new(args.lost == OnLoss::Shrink),
        vacant: None,
        futile: 0,
        jobs: 0,
        answer: 0,
        deadline: None,
    };
    if let Err(e) = &file {
        run.note(&format!("`cluster status` will not find this run: {e}"));
    }
    Ok(run.wait(&interrupts))
}

/// Runs `cluster secret`.
pub fn secret(args: &SecretArgs) -> Result<u8> {
    Secret::random()?.write_new(&args.file)?;
    print(&format!("{}: a new secret, which only its owner can read", args.file.display()))?;
    Ok(0)
}

/// A cluster that runs. Its processes are ended when this is dropped, and then the workers that have started them.
struct Run {
    /// By slot; none where a process is still to be started.
    members: Vec<Option<Member>>,
    places: Places,
    supervisor: Supervisor,
    spill_dir: PathBuf,
    quiet: bool,
    /// Losses in a row without a job being finished.
    restarts: u32,
    /// Which slots come and go.
    size: Size,
    /// Since when there is a slot without a process.
    vacant: Option<Instant>,
    futile: u32,
    jobs: u64,
    answer: u8,
    /// When the others are ended, after one has failed.
    deadline: Option<Instant>,
}

impl Run {
    fn note(&self, what: &str) {
        if !self.quiet {
            eprintln!("[cluster] {what}");
        }
    }
    fn running(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten().filter(|m| m.runs())
    }
    /// Waits until all have ended; the exit code of the run.
    fn wait(mut self, interrupts: &AtomicUsize) -> u8 {
        let mut passed_on = 0;
        loop {
            self.fill();
            self.resize();
            let is_vacant = self.vacant.is_some() && self.deadline.is_none() && !self.awaits_new_only();
            if self.running().next().is_none() && !is_vacant {
                break;
            }
            let pressed = interrupts.load(Ordering::Relaxed);
            if pressed > passed_on {
                passed_on = pressed;
                self.running().for_each(|m| m.signal(Signal::SIGINT));
                if is_vacant {
                    // Whoever waits for the missing one does not hear of it.
                    self.supervisor.end("interrupted");
                    self.fail(INTERRUPTED);
                }
            }
            for happening in self.supervisor.poll() {
                self.hear(happening);
            }
            let has_ended = |m: &mut Option<Member>| m.as_mut().is_some_and(|m| m.has_ended_now());
            let slots = self.members.iter_mut().enumerate();
            let ended: Vec<usize> = slots.filter_map(|(slot, m)| has_ended(m).then_some(slot)).collect();
            let (retired, ended): (Vec<usize>, Vec<usize>) =
                ended.into_iter().partition(|slot| self.size.is_retired(*slot));
            retired.into_iter().for_each(|slot| self.clear(slot));
            let lost: Vec<usize> = ended.into_iter().filter(|slot| self.is_lost(*slot)).collect();
            if !lost.is_empty() {
                self.lose(&lost, pressed > 0);
            }
            if self.deadline.is_some_and(|d| Instant::now() > d) {
                break;
            }
            std::thread::sleep(POLL);
        }
        // What they have said comes out before the workers end.
        self.members.clear();
        self.places.finish(self.answer);
        self.answer
    }
    /// Starts the processes that are missing, where there is a place.
    fn fill(&mut self) {
        for note in self.places.step(&self.supervisor) {
            self.note(&note);
        }
        let vacant = self.vacant();
        if vacant.is_empty() || self.deadline.is_some() {
            self.vacant = None;
            return;
        }
        let since = *self.vacant.get_or_insert_with(Instant::now);
        self.supervisor.postpone();
        let is_first = vacant.len() == self.members.len() && self.supervisor.generation() == 0;
        match self.places.start(&self.supervisor, &vacant, is_first) {
            Ok(started) => {
                for (slot, member) in started {
                    if let Some(host) = member.host() {
                        self.supervisor.note_host(slot, host);
                        if !is_first {
                            let again = if self.size.is_new(slot) { "" } else { " again" };
                            self.note(&format!("process {slot} begins{again} on {host}"));
                        }
                    }
                    self.members[slot] = Some(member);
                }
            }
            Err(e) => {
                eprintln!("error: {e}");
                self.fail(if is_first { e.exit_code() } else { LOST });
            }
        }
        let patience = self.places.patience;
        if let Some(slot) = self.vacant().first().copied().filter(|_| since.elapsed() > patience) {
            let why = format!("there was no place for process {slot} within {patience:?}");
            if self.awaits_new_only() {
                self.note(&why);
                return self.vacant().into_iter().for_each(|slot| self.retire(slot));
            }
            eprintln!("error: {why}");
            self.supervisor.end(&why);
            self.fail(LOST);
        }
    }
    fn hear(&mut self, happening: Happening) {
        match happening {
            Happening::Formed { generation: 1, .. } => {}
            Happening::Formed { generation, took } => {
                self.note(&format!("generation {generation} works, after {} ms", took.as_millis()));
            }
            // It still runs, but nobody hears it: whatever it does must not count any more.
            Happening::Lost { slot, pid, why } => {
                if let Some(member) = self.members[slot].as_ref().filter(|m| m.pid() == pid && m.runs()) {
                    self.note(&format!("process {slot} is given up: {why}"));
                    member.signal(Signal::SIGKILL);
                }
            }
            Happening::Asked { processes } => self.scale(processes),
            // The process itself says so, too, if it is one of ours.
            Happening::Refused { why } => self.note(&format!("a process may not come in: {why}")),
            Happening::Ended { why } => {
                eprintln!("error: {why}");
                self.fail(LOST);
            }
        }
    }
    /// The run fails; the others have a moment to say why they do.
    fn fail(&mut self, code: u8) {
        self.deadline.get_or_insert(Instant::now() + GRACE);
        // That a peer is gone is the consequence of another's failure, which says more.
        if self.answer == 0 || self.answer == LOST {
            self.answer = code;
        }
    }
    /// A process has ended: in order, by a failure of its program, or because it was lost, and then it is to be replaced.
    fn is_lost(&mut self, slot: usize) -> bool {
        let Some(member) = &self.members[slot] else { return false };
        let code = member.code();
        let leave = self.supervisor.leave(slot);
        let is_loss = match leave {
            Leave::Done | Leave::Failed => false,
            Leave::NeverCame => code.is_none(),
            // Who has heard that all leave may go: then this one has, too, or had nothing left to do.
            Leave::Lost => {
                (0..self.members.len()).all(|s| s == slot || self.supervisor.left(s) != Leave::Done)
            }
        };
        let failure = if leave == Leave::Lost { 0 } else { code.unwrap_or(LOST) };
        if !is_loss && failure != 0 {
            self.fail(failure);
        }
        is_loss
    }
    /// Makes room for others in the place of processes that were lost at once, unless that has happened too often.
    fn lose(&mut self, slots: &[usize], interrupted: bool) {
        let how = |slot: &usize| self.members[*slot].as_ref().map_or(String::new(), |m| m.how());
        let how: Vec<String> = slots.iter().map(|s| format!("process {s}{}", how(s))).collect();
        slots.iter().for_each(|slot| self.tidy(*slot));
        if interrupted || self.deadline.is_some() {
            return self.fail(LOST);
        }
        std::thread::sleep(NEWS);
        let jobs = self.supervisor.jobs();
        self.futile = if jobs > self.jobs { 1 } else { self.futile + 1 };
        self.jobs = jobs;
        if self.futile > self.restarts {
            eprintln!(
                "error: {}; processes were lost {} times in a row in job {}",
                how.join(", "),
                self.futile,
                jobs + 1
            );
            self.supervisor.end("the run was given up: it has lost a process too often");
            return self.fail(LOST);
        }
        for (slot, how) in slots.iter().zip(how) {
            // When all that it had said is out.
            self.members[*slot] = None;
            if self.size.shrinks_by(*slot) {
                self.note(&format!("{how}; the others go on without it"));
                self.retire(*slot);
            } else {
                self.note(&format!("{how}; another takes its place"));
            }
        }
    }
    /// What a process has left here is removed.
    fn tidy(&self, slot: usize) {
        self.members[slot].iter().for_each(|m| m.tidy(&self.spill_dir));
    }
}

/// Puts the options that were given to the launcher before the command. The inner result is an exit code, if the command
/// line is not one.
fn own_arguments(resolved: &Resolved, arguments: &mut Vec<OsString>) -> Result<Result<(), u8>> {
    let mut argv: Vec<OsString> = vec!["slackwater".into()];
    for setting in settings(resolved, true).into_iter().filter(|s| s.origin == Origin::Flag) {
        match setting.value.as_deref() {
            Some("true") | None => argv.push(format!("--{}", setting.name).into()),
            Some(value) => argv.push(format!("--{}={value}", setting.name).into()),
        }
    }
    argv.extend(
        resolved.cli.globals.config.iter().flat_map(|c| ["--config".into(), c.clone().into_os_string()]),
    );
    argv.append(arguments);
    // What is wrong with it is said once, not by every process.
    match resolve(&argv) {
        Ok(inner) if is_cluster(&inner.cli.command) => {
            return Err(Error::usage("a cluster cannot be run by a cluster"));
        }
        Ok(_) => {}
        Err(Refusal::File(e)) => return Err(e),
        Err(Refusal::Parser(e)) => {
            // A closed pipe is the reader's choice.
            let _ = e.print();
            return Ok(Err(e.exit_code() as u8));
        }
    }
    *arguments = argv.split_off(1);
    Ok(Ok(()))
}

/// The arguments of a process that takes the place of another: what the other has written already is its own.
fn again(args: &RunArgs, arguments: &[OsString]) -> Vec<OsString> {
    let mut again = arguments.to_vec();
    again.push("--overwrite".into());
    let program = [OsString::from("slackwater")];
    let is_understood = resolve(&[&program[..], &again].concat()).is_ok();
    if args.program.is_none() && is_understood { again } else { arguments.to_vec() }
}

fn is_cluster(command: &crate::args::Command) -> bool {
    use crate::args::Command;
    matches!(command, Command::Cluster(_) | Command::Worker(_))
}
