//! `cluster run`: the same command in several processes of this machine.
//!
//! The processes find each other through a supervisor that this one keeps. A process that is lost is replaced: the others
//! keep what they have computed, and the new one comes to where they are. Only process 0 has the standard output, and what
//! its replacement says again comes out once; what they say on standard error comes out line by line, each with the
//! process it is from. Nothing is left behind: when one fails the others are ended, when this process is dropped or killed
//! they end too (their standard input is a pipe from here, and they watch it).

mod member;
mod relay;

use crate::args::RunArgs;
use crate::config::{Origin, Refusal, Resolved, resolve, settings};
use crate::session::FOLLOW_LAUNCHER;
use member::Member;
use nix::sys::signal::Signal;
use relay::Printed;
use slackwater_dataflow::cluster::{Happening, Leave, Supervisor, remove_spill_files};
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Exit code of a run that lost a process.
const LOST: u8 = 5;
/// Between two looks at the processes.
const POLL: Duration = Duration::from_millis(2);
/// After one has failed the others have this long to say why they fail too.
const GRACE: Duration = Duration::from_secs(2);
/// What the others have finished is known this long after one was lost.
const NEWS: Duration = Duration::from_millis(30);

/// Runs `cluster run`.
pub fn run(resolved: &Resolved, args: &RunArgs) -> Result<u8> {
    let mut arguments = args.command.clone();
    let program = match &args.program {
        Some(program) => program.clone(),
        None => match own_program(resolved, &mut arguments)? {
            Ok(program) => program,
            Err(code) => return Ok(code),
        },
    };
    let processes = usize::from(args.processes);
    let interrupts = Arc::new(AtomicUsize::new(0));
    let counter = interrupts.clone();
    let pressed = move || {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    ctrlc::set_handler(pressed).map_err(|e| Error::usage(format!("signals cannot be caught: {e}")))?;
    let globals = &resolved.cli.globals;
    let mut run = Run {
        supervisor: Supervisor::start(processes)?,
        program,
        again: again(args, &arguments),
        arguments,
        variables: variables(resolved, processes),
        follows: args.program.is_none(),
        spill_dir: globals.spill_dir.clone().unwrap_or_else(std::env::temp_dir),
        quiet: globals.quiet,
        printed: Arc::default(),
        members: vec![],
        restarts: args.restarts,
        futile: 0,
        jobs: 0,
        answer: 0,
        deadline: None,
    };
    for slot in 0..processes {
        let member = run.start(slot)?;
        run.members.push(member);
    }
    Ok(run.wait(&interrupts))
}

/// A cluster that runs. Its processes are ended when this is dropped.
struct Run {
    supervisor: Supervisor,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The same for a process that takes the place of another.
    again: Vec<OsString>,
    variables: Vec<(String, String)>,
    /// The program ends when this one does.
    follows: bool,
    spill_dir: PathBuf,
    quiet: bool,
    /// What process 0 has printed.
    printed: Arc<Printed>,
    members: Vec<Member>,
    /// Replacements in a row without a job being finished.
    restarts: u32,
    futile: u32,
    jobs: u64,
    answer: u8,
    /// When the others are ended, after one has failed.
    deadline: Option<Instant>,
}

impl Run {
    fn start(&self, slot: usize) -> Result<Member> {
        let mut command = Command::new(&self.program);
        let is_first = self.supervisor.generation() == 0;
        command
            .args(if is_first { &self.arguments } else { &self.again })
            .envs(self.supervisor.membership(slot).variables());
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        if self.follows {
            command.env(FOLLOW_LAUNCHER, "1");
        }
        Member::start(command, slot, &self.program, &self.printed)
    }
    fn note(&self, what: &str) {
        if !self.quiet {
            eprintln!("[cluster] {what}");
        }
    }
    /// Waits until all have ended; the exit code of the run.
    fn wait(mut self, interrupts: &AtomicUsize) -> u8 {
        let mut passed_on = 0;
        while self.members.iter().any(|m| m.runs()) {
            let pressed = interrupts.load(Ordering::Relaxed);
            if pressed > passed_on {
                passed_on = pressed;
                self.members.iter().for_each(|m| m.signal(Signal::SIGINT));
            }
            for happening in self.supervisor.poll() {
                self.hear(happening);
            }
            for slot in 0..self.members.len() {
                if self.members[slot].has_ended_now() {
                    self.ended(slot, pressed > 0);
                }
            }
            if self.deadline.is_some_and(|d| Instant::now() > d) {
                break;
            }
            std::thread::sleep(POLL);
        }
        self.answer
    }
    fn hear(&mut self, happening: Happening) {
        match happening {
            Happening::Formed { generation: 1, .. } => {}
            Happening::Formed { generation, took } => {
                self.note(&format!("generation {generation} works, after {} ms", took.as_millis()));
            }
            // It still runs, but nobody hears it: whatever it does must not count any more.
            Happening::Lost { slot, pid, why } => {
                let member = &self.members[slot];
                if member.pid() == pid && member.runs() {
                    self.note(&format!("process {slot} is given up: {why}"));
                    member.signal(Signal::SIGKILL);
                }
            }
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
    /// A process has ended: in order, by a failure of its program, or because it was lost, and then it is replaced.
    fn ended(&mut self, slot: usize, interrupted: bool) {
        let member = &self.members[slot];
        let (code, how, pid) = (member.code(), member.how(), member.pid());
        let leave = self.supervisor.leave(slot);
        let is_loss = match leave {
            Leave::Done | Leave::Failed => false,
            Leave::NeverCame => code.is_none(),
            // Who has heard that all leave may go: then this one has, too, or had nothing left to do.
            Leave::Lost => {
                (0..self.members.len()).all(|s| s == slot || self.supervisor.left(s) != Leave::Done)
            }
        };
        if !is_loss {
            let failure = if leave == Leave::Lost { 0 } else { code.unwrap_or(LOST) };
            if failure != 0 {
                self.fail(failure);
            }
            return;
        }
        remove_spill_files(&self.spill_dir, pid);
        if interrupted || self.deadline.is_some() {
            return self.fail(LOST);
        }
        std::thread::sleep(NEWS);
        let jobs = self.supervisor.jobs();
        self.futile = if jobs > self.jobs { 1 } else { self.futile + 1 };
        self.jobs = jobs;
        if self.futile > self.restarts {
            eprintln!(
                "error: process {slot} {how}; processes were lost {} times in a row in job {}",
                self.futile,
                jobs + 1
            );
            self.supervisor.end("the run was given up: it has lost a process too often");
            return self.fail(LOST);
        }
        self.note(&format!("process {slot} {how}; another takes its place"));
        match self.start(slot) {
            Ok(member) => self.members[slot].replace(member),
            Err(e) => {
                eprintln!("error: {e}");
                self.fail(LOST);
            }
        }
    }
}

/// This program, with the options that were given to the launcher put before the command. The inner result is an exit
/// code, if the command line is not one.
fn own_program(resolved: &Resolved, arguments: &mut Vec<OsString>) -> Result<Result<PathBuf, u8>> {
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
        Ok(inner) if matches!(inner.cli.command, crate::args::Command::Cluster(_)) => {
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
    let program = std::env::current_exe().map_err(|e| Error::io("<this program>", "find", &e))?;
    Ok(Ok(program))
}

/// The arguments of a process that takes the place of another: what the other has written already is its own.
fn again(args: &RunArgs, arguments: &[OsString]) -> Vec<OsString> {
    let mut again = arguments.to_vec();
    again.push("--overwrite".into());
    let program = [OsString::from("slackwater")];
    let is_understood = resolve(&[&program[..], &again].concat()).is_ok();
    if args.program.is_none() && is_understood { again } else { arguments.to_vec() }
}

/// Settings for the processes: those of the launcher, and their share of the cores if nobody says how many workers.
fn variables(resolved: &Resolved, processes: usize) -> Vec<(String, String)> {
    let variable = |name: &str| {
        let arg = resolved.command.get_arguments().find(|a| a.get_long() == Some(name))?;
        Some(arg.get_env()?.to_string_lossy().into_owned())
    };
    let given = settings(resolved, true).into_iter().filter(|s| s.origin != Origin::Default);
    let mut variables: Vec<(String, String)> =
        given.filter_map(|s| Some((variable(&s.name)?, s.value?))).collect();
    if resolved.cli.globals.workers.is_none() {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        variables.push(("SLACKWATER_WORKERS".to_string(), (cores / processes).max(1).to_string()));
    }
    variables
}
