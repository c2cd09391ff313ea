//! `cluster run`: the same command in several processes of this machine.
//!
//! The processes find each other through a rendezvous that this one keeps. Only process 0 has the standard output; what
//! they say on standard error comes out line by line, each with the process it is from. Nothing is left behind: when one
//! fails the others are ended, when this process is dropped or killed they end too (their standard input is a pipe from
//! here, and they watch it).

use crate::args::RunArgs;
use crate::config::{Origin, Refusal, Resolved, resolve, settings};
use crate::session::FOLLOW_LAUNCHER;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::cluster::Rendezvous;
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Exit code of a run that lost a process.
const LOST: u8 = 5;
/// Between two looks at the processes.
const POLL: Duration = Duration::from_millis(5);
/// After one has failed the others have this long to say why they fail too.
const GRACE: Duration = Duration::from_secs(2);

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
    let rendezvous = Rendezvous::start(processes)?;
    let mut members = Members(vec![]);
    for number in 0..processes {
        let mut command = Command::new(&program);
        command.args(&arguments).envs(rendezvous.membership(number, processes).variables());
        command.envs(variables(resolved, processes));
        if args.program.is_none() {
            command.env(FOLLOW_LAUNCHER, "1");
        }
        members.0.push(Member::start(command, number, &program)?);
    }
    Ok(members.wait(&interrupts))
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

/// One process.
struct Member {
    number: usize,
    child: Child,
    status: Option<ExitStatus>,
    said: Option<JoinHandle<()>>,
}

impl Member {
    fn start(mut command: Command, number: usize, program: &std::path::Path) -> Result<Self> {
        // A group of its own: Ctrl-C on the terminal reaches this process alone, which passes it on once.
        command.process_group(0).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(if number == 0 { Stdio::inherit() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|e| Error::io(program, "start", &e))?;
        let said = child.stderr.take().map(|stderr| std::thread::spawn(move || relay(number, stderr)));
        Ok(Member { number, child, status: None, said })
    }
    /// Asks whether it has ended; true the first time that it has.
    fn has_ended_now(&mut self) -> bool {
        if self.status.is_some() {
            return false;
        }
        self.status = self.child.try_wait().ok().flatten();
        self.status.is_some()
    }
    fn signal(&self, signal: Signal) {
        if self.status.is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // It may have ended in between, which is what is wanted.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
    /// Nothing while it runs, or if it went well; a process that was killed has lost the cluster.
    fn failure(&self) -> Option<u8> {
        let status = self.status?;
        let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(LOST);
        (!status.success()).then_some(code)
    }
}

fn relay(number: usize, stderr: impl std::io::Read) {
    let mut lines = BufReader::new(stderr);
    let mut line = vec![];
    while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        let text = [format!("[p{number}] ").as_bytes(), &line].concat();
        let _ = std::io::stderr().lock().write_all(&text);
        line.clear();
    }
}

/// All processes; they are ended when this is dropped.
struct Members(Vec<Member>);

impl Members {
    /// Waits until all have ended; the exit code of the run.
    fn wait(mut self, interrupts: &AtomicUsize) -> u8 {
        let (mut passed_on, mut answer, mut deadline) = (0, 0, None);
        while self.0.iter().any(|m| m.status.is_none()) {
            let pressed = interrupts.load(Ordering::Relaxed);
            if pressed > passed_on {
                passed_on = pressed;
                self.0.iter().for_each(|m| m.signal(Signal::SIGINT));
            }
            for member in &mut self.0 {
                if !member.has_ended_now() {
                    continue;
                }
                let Some(code) = member.failure() else { continue };
                if member.status.is_some_and(|s| s.code().is_none()) {
                    eprintln!("error: process {} was killed", member.number);
                }
                deadline.get_or_insert(Instant::now() + GRACE);
                // That a peer is gone is the consequence of another's failure, which says more.
                if answer == 0 || answer == LOST {
                    answer = code;
                }
            }
            if deadline.is_some_and(|d| Instant::now() > d) {
                break;
            }
            std::thread::sleep(POLL);
        }
        answer
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in &mut self.0 {
            if member.status.is_none() {
                let _ = member.child.kill();
                let _ = member.child.wait();
            }
            drop(member.child.stdin.take());
        }
        for member in &mut self.0 {
            if let Some(said) = member.said.take() {
                let _ = said.join();
            }
        }
    }
}
