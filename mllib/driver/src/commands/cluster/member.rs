//! One process of a cluster, as its launcher sees it.

use super::relay::{Printed, relay_lines, relay_output};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::{Error, Result};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

/// One process. It is ended when this is dropped.
pub(super) struct Member {
    child: Child,
    status: Option<ExitStatus>,
    relays: Vec<JoinHandle<()>>,
}

impl Member {
    /// Starts the process of a slot. What it prints counts if its slot is 0.
    pub fn start(mut command: Command, slot: usize, program: &Path, printed: &Arc<Printed>) -> Result<Self> {
        // A group of its own: Ctrl-C on the terminal reaches this process alone, which passes it on once.
        command.process_group(0).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(if slot == 0 { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|e| Error::io(program, "start", &e))?;
        let mut relays = vec![];
        if let Some(stderr) = child.stderr.take() {
            relays.push(std::thread::spawn(move || relay_lines(slot, stderr)));
        }
        if let Some(stdout) = child.stdout.take() {
            let printed = printed.clone();
            relays.push(std::thread::spawn(move || relay_output(stdout, &printed)));
        }
        Ok(Member { child, status: None, relays })
    }
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// True if it is not known to have ended.
    pub fn runs(&self) -> bool {
        self.status.is_none()
    }
    /// Asks whether it has ended; true the first time that it has.
    pub fn has_ended_now(&mut self) -> bool {
        if self.status.is_some() {
            return false;
        }
        self.status = self.child.try_wait().ok().flatten();
        self.status.is_some()
    }
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // It may have ended in between, which is what is wanted.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
    /// The exit code, if it has ended by itself.
    pub fn code(&self) -> Option<u8> {
        self.status.and_then(|s| s.code()).map(|c| u8::try_from(c).unwrap_or(u8::MAX))
    }
    /// How it has ended, in words.
    pub fn how(&self) -> String {
        match self.status.map(|s| (s.code(), s.signal())) {
            Some((Some(code), _)) => format!("has ended without a word (exit code {code})"),
            Some((None, Some(signal))) => format!("was killed (signal {signal})"),
            _ => "is gone".to_string(),
        }
    }
    /// Puts another in the place of this one, which has ended, when all that it had said is out.
    pub fn replace(&mut self, other: Member) {
        *self = other;
    }
}

impl Drop for Member {
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
