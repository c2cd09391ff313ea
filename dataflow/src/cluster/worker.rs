//! What the launcher of a run and the workers say to each other. A worker is a process on some machine that starts
//! members there when it is told to.
//!
//! # What
//! A worker connects to the supervisor and makes an [`Offer`]; the launcher finds it among the supervisor's
//! [candidates](super::Supervisor::candidates). From then on orders go one way and reports the other. What the worker's
//! processes print is part of the reports. This module carries messages; what they mean is done by who uses it.
//!
//! # Guarantees
//! Both sides have proved that they have the secret, and are the same build. All is encrypted, also on one machine. A
//! side that has said nothing for [`SILENCE`] is taken to be gone: [`Receiver::receive`] fails. So both must send a beat
//! every [`BEAT`].
//!
//! # Costs
//! A message is a few hundred bytes. What processes print is sent in pieces, and no more than [`WINDOW`] bytes of one
//! stream are on their way: the other side says what it has taken, so a reader that is slow holds up the process that
//! prints, and nothing else.
//!
//! # How it fails
//! [`crate::ErrorKind::Cluster`], with both builds if they differ.

use super::build::build;
use super::channel::Channel;
use super::control::{Inbox, send};
use super::handshake::{Introduction, Purpose};
use super::link;
use super::member::{BEAT, SILENCE, is_final};
use super::secret::Secret;
use super::terms::Terms;
use crate::error::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::net::{IpAddr, Shutdown};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes of one stream that are sent and not taken yet, at most.
pub const WINDOW: usize = 256 << 10;
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);
/// A reader looks up this often.
const TICK: Duration = Duration::from_millis(5);

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name, by which people know its machine.
    pub name: String,
    /// How many processes it would run.
    pub slots: usize,
    /// Worker threads that each of them should have.
    pub workers: usize,
}

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// A number that no other task of the run has.
    pub id: u64,
    /// The slot that it takes.
    pub slot: usize,
    /// Slots of the run.
    pub processes: usize,
    /// The run's name.
    pub run: String,
    /// Members encrypt what they say to each other.
    pub encrypt: bool,
    /// Path of the program, in bytes; the worker's own if there is none.
    pub program: Option<Vec<u8>>,
    /// Its arguments, in bytes.
    pub arguments: Vec<Vec<u8>>,
    /// Variables of its environment, besides its membership.
    pub variables: Vec<(String, String)>,
    /// Where it is started, in bytes, if there is such a folder.
    pub directory: Vec<u8>,
    /// What it prints on standard output is wanted.
    pub speaks: bool,
}

/// To a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerOrder {
    /// The launcher is alive.
    Beat,
    /// Start a process.
    Start(Box<Task>),
    /// Send a signal to the process of a task, by the signal's number.
    Signal {
        /// The task.
        task: u64,
        /// The signal.
        signal: i32,
    },
    /// So many bytes that it has printed are out.
    Taken {
        /// The task.
        task: u64,
        /// Which stream.
        voice: Voice,
        /// How many.
        bytes: usize,
    },
    /// Nobody reads a stream any more: whoever prints there finds it closed.
    Unheard {
        /// The task.
        task: u64,
        /// Which stream.
        voice: Voice,
    },
    /// Remove the spill files of a process that was killed on this machine.
    Tidy {
        /// Its number.
        pid: u32,
        /// Where they are, if not in the temporary folder.
        spill_dir: Option<String>,
    },
    /// The run has ended: end all processes and then yourself, with this exit code.
    End {
        /// The code.
        code: u8,
    },
}

/// A stream that a process prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Voice {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// From a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerReport {
    /// It is alive.
    Beat,
    /// The process of a task runs.
    Started {
        /// The task.
        task: u64,
        /// Number of the process on its machine.
        pid: u32,
    },
    /// The process of a task could not be started.
    NotStarted {
        /// The task.
        task: u64,
        /// Why.
        why: String,
    },
    /// The process of a task has printed something; nothing means that it will print no more there.
    Said {
        /// The task.
        task: u64,
        /// Where.
        voice: Voice,
        /// What.
        bytes: Vec<u8>,
    },
    /// The process of a task has ended: by itself, or by a signal.
    Ended {
        /// The task.
        task: u64,
        /// Its exit code.
        code: Option<i32>,
        /// The signal's number.
        signal: Option<i32>,
    },
}

/// The half of a connection that sends. Any thread may use a clone of it.
pub struct Sender<M> {
    channel: Arc<Mutex<Channel>>,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Sender { channel: self.channel.clone(), messages: PhantomData }
    }
}

impl<M: Serialize> Sender<M> {
    /// Sends a message. It waits at most some seconds for a peer that does not read.
    ///
    /// # Errors
    /// Cluster, if the peer is gone. The connection is closed then.
    pub fn send(&self, message: &M) -> Result<()> {
        let mut channel = self.channel.lock().unwrap_or_else(|e| e.into_inner());
        send(&mut channel, message).map_err(|e| {
            // Half a message may have gone out.
            let _ = channel.shutdown(Shutdown::Both);
            lost(format!("the connection has ended ({e})"))
        })
    }
    /// Ends the connection.
    pub fn close(&self) {
        let channel = self.channel.lock().unwrap_or_else(|e| e.into_inner());
        let _ = channel.shutdown(Shutdown::Both);
    }
}

/// The half of a connection that receives.
pub struct Receiver<M> {
    channel: Channel,
    inbox: Inbox,
    heard: Instant,
    messages: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Receiver<M> {
    /// The next message, or none if there was none within some milliseconds.
    ///
    /// # Errors
    /// Cluster, if the peer is gone or has been silent for too long.
    pub fn receive(&mut self) -> Result<Option<M>> {
        match self.inbox.receive(&mut self.channel) {
            Ok(Some(message)) => {
                self.heard = Instant::now();
                Ok(Some(message))
            }
            Ok(None) if self.heard.elapsed() > SILENCE => {
                Err(lost(format!("the other side has been silent for {SILENCE:?}")))
            }
            Ok(None) => Ok(None),
            Err(e) => Err(lost(format!("the connection has ended ({e})"))),
        }
    }
    /// The address of this end.
    pub fn local_address(&self) -> Option<IpAddr> {
        self.channel.raw().local_addr().ok().map(|a| a.ip())
    }
}

impl<M> Sender<M> {
    /// Between two beats.
    pub const BEAT: Duration = BEAT;
}

/// A worker that offers itself, with the way to it.
pub struct Candidate {
    /// What it offers.
    pub offer: Offer,
    /// Where it has come from.
    pub address: String,
    /// To it.
    pub orders: Sender<WorkerOrder>,
    /// From it.
    pub reports: Receiver<WorkerReport>,
}

impl Candidate {
    /// The worker at the other end of a connection; none if what it says has no meaning.
    pub(super) fn new(introduction: &Introduction, link: Channel) -> Option<Candidate> {
        let offer = postcard::from_bytes(&introduction.note).ok()?;
        let address = link.raw().peer_addr().ok()?.ip().to_string();
        let (orders, reports) = halves(link).ok()?;
        Some(Candidate { offer, address, orders, reports })
    }
}

fn lost(what: String) -> Error {
    Error::new(ErrorKind::Cluster(what))
}

/// What a worker and the launcher must agree on.
pub(super) fn terms() -> Terms {
    Terms::new().with("build", build())
}

fn halves<A, B>(link: Channel) -> std::io::Result<(Sender<A>, Receiver<B>)> {
    link.set_read_timeout(Some(TICK))?;
    link.set_write_timeout(Some(SILENCE))?;
    let channel = Arc::new(Mutex::new(link.try_clone()?));
    let sender = Sender { channel, messages: PhantomData };
    Ok((
        sender,
        Receiver { channel: link, inbox: Inbox::default(), heard: Instant::now(), messages: PhantomData },
    ))
}

/// Finds the supervisor at an address and makes it an offer. Nobody there is tried again for as long as `patience`.
///
/// # Errors
/// Cluster, if it is not there in time or does not want this worker: the secrets differ, or the builds do.
pub fn offer(
    address: &str,
    secret: &Secret,
    offer: &Offer,
    patience: Duration,
    is_over: impl Fn() -> bool,
) -> Result<(Sender<WorkerReport>, Receiver<WorkerOrder>)> {
    let failed = |what: String| lost(format!("offering a worker to {address}: {what}"));
    let note = postcard::to_stdvec(offer).map_err(|e| failed(e.to_string()))?;
    let until = Instant::now() + patience;
    loop {
        match link::visit(address, secret, Purpose::Worker, terms(), note.clone()) {
            Ok(link) => return halves(link).map_err(|e| failed(e.to_string())),
            Err(e) if is_final(&e) || Instant::now() > until || is_over() => {
                return Err(failed(e.to_string()));
            }
            Err(_) => std::thread::sleep(RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{SlotState, Status};
    use super::super::supervisor::{Happening, Supervisor};
    use super::super::testing::{PATIENCE, secret};
    use super::*;

    fn supervisor() -> (Supervisor, String) {
        let supervisor = Supervisor::listen("127.0.0.1:0", 2, secret(7)).unwrap();
        let address = supervisor.membership(0).rendezvous;
        (supervisor, address)
    }
    fn next<M: DeserializeOwned>(from: &mut Receiver<M>) -> Result<M> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(message) = from.receive()? {
                return Ok(message);
            }
        }
        panic!("no message within {PATIENCE:?}");
    }

    #[test]
    fn orders_go_one_way_and_reports_the_other() {
        let (supervisor, address) = supervisor();
        let offered = Offer { name: "one".to_string(), slots: 2, workers: 3 };
        let (reports, mut orders) = offer(&address, &secret(7), &offered, PATIENCE, || false).unwrap();
        assert!(orders.local_address().unwrap().is_loopback());
        let until = Instant::now() + PATIENCE;
        let mut candidate = loop {
            if let Some(candidate) = supervisor.candidates().pop() {
                break candidate;
            }
            assert!(Instant::now() < until);
        };
        assert_eq!((&candidate.offer, candidate.address.as_str()), (&offered, "127.0.0.1"));
        let tidy = WorkerOrder::Tidy { pid: 3, spill_dir: None };
        candidate.orders.send(&tidy).unwrap();
        assert_eq!(next(&mut orders).unwrap(), tidy);
        let said = WorkerReport::Said { task: 1, voice: Voice::Errors, bytes: vec![7; 100_000] };
        reports.send(&said).unwrap();
        assert_eq!(next(&mut candidate.reports).unwrap(), said);
        // The end of one side is heard by the other, and so is silence.
        candidate.orders.close();
        assert!(next(&mut orders).unwrap_err().to_string().contains("has ended"));
        let (_reports, mut orders) = offer(&address, &secret(7), &offered, PATIENCE, || false).unwrap();
        let e = next(&mut orders).unwrap_err();
        assert!(e.to_string().contains("silent"), "{e}");
    }

    #[test]
    fn the_secret_is_needed_to_offer_and_to_ask() {
        let (supervisor, address) = supervisor();
        let offered = Offer { name: "one".to_string(), slots: 1, workers: 1 };
        let start = Instant::now();
        let refused = offer(&address, &secret(8), &offered, PATIENCE, || false).err().unwrap();
        assert!(refused.to_string().contains("secret"), "{refused}");
        assert!(Status::ask(&address, &secret(8)).unwrap_err().to_string().contains("secret"));
        assert!(start.elapsed() < PATIENCE);
        assert!(supervisor.candidates().is_empty());
        assert!(supervisor.poll().iter().all(|h| matches!(h, Happening::Refused { .. })));
        supervisor.note_host(1, "there");
        let status = Status::ask(&address, &secret(7)).unwrap();
        assert_eq!((status.generation, status.slots.len()), (0, 2));
        assert_eq!((status.slots[1].state, status.slots[1].host.as_str()), (SlotState::Joining, "there"));
        // Nobody there is tried for some time, and no longer.
        drop(supervisor);
        let short = Duration::from_millis(200);
        let e = offer(&address, &secret(7), &offered, short, || false).err().unwrap();
        assert!(e.to_string().contains("offering a worker"), "{e}");
    }
}
