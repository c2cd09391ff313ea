//! One process of a cluster, as its launcher sees it: a child of the launcher, or one that a worker elsewhere has started.

use super::agent::{End, Remote};
use super::relay::{Printed, relay_lines, relay_output};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::cluster::remove_spill_files;
use slackwater_dataflow::{Error, Result};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Exit code of a program that cannot be started.
const NOT_STARTED: u8 = 3;

/// One process. It is ended when this is dropped.
pub(super) enum Member {
    /// On this machine.
    Local(Local),
    /// On another.
    Remote(Remote),
}

impl Member {
    /// Its number on its machine.
    pub fn pid(&self) -> u32 {
        match self {
            Member::Local(local) => local.child.id(),
            Member::Remote(remote) => remote.pid(),
        }
    }
    /// True if it is not known to have ended.
    pub fn runs(&self) -> bool {
        match self {
            Member::Local(local) => local.status.is_none(),
            Member::Remote(remote) => remote.runs(),
        }
    }
    /// Asks whether it has ended; true the first time that it has.
    pub fn has_ended_now(&mut self) -> bool {
        match self {
            Member::Local(local) => local.has_ended_now(),
            Member::Remote(remote) => remote.has_ended_now(),
        }
    }
    pub fn signal(&self, signal: Signal) {
        match self {
            Member::Local(local) => local.signal(signal),
            Member::Remote(remote) => remote.signal(signal as i32),
        }
    }
    /// How it has ended, if it is known.
    fn end(&self) -> Option<End> {
        match self {
            Member::Local(local) => {
                let status = local.status?;
                status.code().map(End::Code).or(status.signal().map(End::Signal))
            }
            Member::Remote(remote) => remote.end(),
        }
    }
    /// The exit code, if it has ended by itself.
    pub fn code(&self) -> Option<u8> {
        match self.end()? {
            End::Code(code) => Some(u8::try_from(code).unwrap_or(u8::MAX)),
            End::NotStarted => Some(NOT_STARTED),
            End::Signal(_) | End::Gone => None,
        }
    }
    /// How it has ended, in words.
    pub fn how(&self) -> String {
        let place = match self {
            Member::Local(_) => String::new(),
            Member::Remote(remote) => format!(" on {}", remote.host()),
        };
        match self.end() {
            Some(End::Code(code)) => format!("{place} has ended without a word (exit code {code})"),
            Some(End::Signal(signal)) => format!("{place} was killed (signal {signal})"),
            Some(End::NotStarted) => format!("{place} could not be started"),
            Some(End::Gone) => format!("{place} was lost with its worker"),
            None => format!("{place} is gone"),
        }
    }
    /// The machine that it is on, unless it is this one.
    pub fn host(&self) -> Option<&str> {
        match self {
            Member::Local(_) => None,
            Member::Remote(remote) => Some(remote.host()),
        }
    }
    /// What it has left on this machine is removed. What is on others, their workers remove.
    pub fn tidy(&self, spill_dir: &Path) {
        if let Member::Local(local) = self {
            remove_spill_files(spill_dir, local.child.id());
        }
    }
}

/// A process of this machine.
pub(super) struct Local {
    child: Child,
    status: Option<ExitStatus>,
    relays: Vec<JoinHandle<()>>,
}

impl Local {
    /// Starts the process of a slot. What it prints counts if its slot is 0.
    pub fn start(mut command: Command, slot: usize, printed: &Arc<Printed>) -> Result<Self> {
        // A group of its own: Ctrl-C on the terminal reaches this process alone, which passes it on once.
        command.process_group(0).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(if slot == 0 { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|e| Error::io(command.get_program(), "start", &e))?;
        let mut relays = vec![];
        if let Some(stderr) = child.stderr.take() {
            relays.push(std::thread::spawn(move || relay_lines(&format!("p{slot}"), stderr)));
        }
        if let Some(stdout) = child.stdout.take() {
            let printed = printed.clone();
            relays.push(std::thread::spawn(move || relay_output(stdout, &printed)));
        }
        Ok(Local { child, status: None, relays })
    }
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
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        drop(self.child.stdin.take());
        for relay in self.relays.drain(..) {
            let _ = relay.join();
        }
    }
}
