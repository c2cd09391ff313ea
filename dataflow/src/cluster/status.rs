//! How a run is doing, for whoever has its secret and asks.
//!
//! One connection, one answer of a few hundred bytes, always encrypted. Asking changes nothing. It fails with
//! [`crate::ErrorKind::Cluster`] if nobody answers within some seconds, if the secrets differ, or if the supervisor is
//! another build of the program.

use super::build::build;
use super::channel::Channel;
use super::control::{Inbox, send};
use super::handshake::{DEADLINE, Introduction, Purpose};
use super::link;
use super::secret::Secret;
use super::terms::Terms;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What the process of a slot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// It is waited for, or waits for the others.
    Joining,
    /// It works in the newest generation.
    Works,
    /// It was lost, and no other has come yet.
    Lost,
    /// Its program has ended.
    Left,
    /// It is not a member any more, and nobody takes its place.
    Retired,
}

/// One process of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotStatus {
    /// Its number.
    pub slot: usize,
    /// Name of the machine that it was started on; empty if that is the launcher's.
    pub host: String,
    /// Where the others reach it; empty before it has come.
    pub address: String,
    /// Number of the process on its machine; 0 before it has come.
    pub pid: u32,
    /// What it does.
    pub state: SlotState,
    /// Jobs that it has finished.
    pub jobs: u64,
    /// Time since it was last heard, in seconds.
    pub heard_seconds: Option<f64>,
    /// For how long one of its workers has been in one step, in seconds, as of what was heard last: much more than one is
    /// a function of the program that takes its time, or is stuck.
    pub still_seconds: f64,
    /// How often it was replaced.
    pub restarts: u64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub run: String,
    /// The newest generation; 0 before the first.
    pub generation: u64,
    /// Time since it was ordered, in seconds; before the first, since the run began.
    pub generation_seconds: f64,
    /// Its processes.
    pub slots: Vec<SlotStatus>,
}

impl Status {
    /// Asks the supervisor at an address.
    ///
    /// # Errors
    /// Cluster, if it does not answer or must not.
    pub fn ask(address: &str, secret: &Secret) -> Result<Status> {
        visit(address, secret, Purpose::Status, vec![])
    }
    /// Asks the supervisor at an address for another number of processes; how the run is as yet. Whether it comes to
    /// that depends on the launcher, and on whether there is room.
    ///
    /// # Errors
    /// Cluster, if it does not answer or must not.
    pub fn scale(address: &str, secret: &Secret, processes: usize) -> Result<Status> {
        visit(address, secret, Purpose::Scale, (processes as u64).to_le_bytes().to_vec())
    }
}

fn visit(address: &str, secret: &Secret, purpose: Purpose, note: Vec<u8>) -> Result<Status> {
    let failed = |what: String| Error::new(ErrorKind::Cluster(format!("asking {address}: {what}")));
    let mut link = link::visit(address, secret, purpose, terms(), note).map_err(|e| failed(e.to_string()))?;
    let until = Instant::now() + DEADLINE;
    link.set_read_timeout(Some(DEADLINE)).map_err(|e| failed(e.to_string()))?;
    let mut inbox = Inbox::default();
    while Instant::now() < until {
        if let Some(status) = inbox.receive(&mut link).map_err(|e| failed(e.to_string()))? {
            return Ok(status);
        }
    }
    Err(failed(format!("no answer within {DEADLINE:?}")))
}

/// How many processes somebody wants.
pub(super) fn asked(introduction: &Introduction) -> Option<usize> {
    let bytes: [u8; 8] = introduction.note.as_slice().try_into().ok()?;
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

/// What who asks and who answers must agree on: the answer's shape is that of the build.
pub(super) fn terms() -> Terms {
    Terms::new().with("build", build())
}

/// Answers.
pub(super) fn answer(mut link: Channel, status: &Status) {
    // Who asks and does not read gets no answer.
    let _ = link.set_write_timeout(Some(DEADLINE)).and_then(|()| send(&mut link, status));
}
