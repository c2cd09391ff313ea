//! How processes find each other, on one machine.
//!
//! The launcher binds a [`Rendezvous`] on the loopback address. Each member binds a listener of its own, tells its
//! address, and gets the addresses of all. Then each connects to the members before it and is connected to by those
//! after it; a connection begins with the run's token and the member's number. Every step has a deadline. A stranger
//! without the token is disconnected and waited for by nobody.

use crate::error::{Error, ErrorKind, Result};
use std::io::{BufRead, BufReader, ErrorKind as Io, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Forming takes no longer than this, or fails.
const FORMING: Duration = Duration::from_secs(30);
/// A stranger has this long to say the token.
const GREETING: Duration = Duration::from_secs(2);
/// Pause between two looks at a socket that nobody has connected to.
const POLL: Duration = Duration::from_millis(1);
/// Begins every connection between members.
const MAGIC: [u8; 8] = *b"slackw01";

/// This process's place among several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Number of this process, from 0.
    pub process: usize,
    /// How many there are.
    pub processes: usize,
    /// Address of the launcher's [`Rendezvous`].
    pub rendezvous: String,
    /// Shared by the members of one run.
    pub token: u64,
}

fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cluster(what.into()))
}

/// Connects this process to all others. The result has a socket for each of them and `None` for itself.
pub(crate) fn connect(member: &Membership) -> Result<Vec<Option<TcpStream>>> {
    let deadline = Instant::now() + FORMING;
    let io = |what: &str| {
        let what = what.to_string();
        move |e: std::io::Error| lost(format!("forming the cluster: {what}: {e}"))
    };
    let listener = TcpListener::bind("127.0.0.1:0").map_err(io("bind"))?;
    listener.set_nonblocking(true).map_err(io("bind"))?;
    let own = listener.local_addr().map_err(io("bind"))?;
    let mut launcher = TcpStream::connect(&member.rendezvous).map_err(io("connect to the launcher"))?;
    launcher.set_read_timeout(Some(FORMING)).map_err(io("connect to the launcher"))?;
    writeln!(launcher, "{:016x} {} {own}", member.token, member.process).map_err(io("tell the launcher"))?;
    let mut line = String::new();
    BufReader::new(&launcher).read_line(&mut line).map_err(io("wait for the other processes"))?;
    let addresses: Vec<&str> = line.split_whitespace().collect();
    if addresses.len() != member.processes {
        return Err(lost("forming the cluster: the launcher has gone, or another process did not come up"));
    }
    let mut sockets: Vec<Option<TcpStream>> = (0..member.processes).map(|_| None).collect();
    for (i, address) in addresses.iter().enumerate().take(member.process) {
        let mut socket = TcpStream::connect(address).map_err(io(&format!("connect to process {i}")))?;
        let mut hello = MAGIC.to_vec();
        hello.extend_from_slice(&member.token.to_le_bytes());
        hello.extend_from_slice(&(member.process as u64).to_le_bytes());
        socket.write_all(&hello).map_err(io(&format!("greet process {i}")))?;
        sockets[i] = Some(socket);
    }
    while sockets.iter().flatten().count() + 1 < member.processes {
        if Instant::now() > deadline {
            return Err(lost("forming the cluster: another process did not connect in time"));
        }
        match listener.accept() {
            Ok((socket, _)) => {
                if let Some(i) = greet(&socket, member) {
                    sockets[i] = Some(socket);
                }
            }
            Err(e) if e.kind() == Io::WouldBlock => std::thread::sleep(POLL),
            Err(e) => return Err(io("accept")(e)),
        }
    }
    for socket in sockets.iter().flatten() {
        socket.set_nodelay(true).map_err(io("set up a connection"))?;
        socket.set_read_timeout(None).map_err(io("set up a connection"))?;
    }
    Ok(sockets)
}

/// The number of the member that has connected, or nothing if it is a stranger.
fn greet(mut socket: &TcpStream, member: &Membership) -> Option<usize> {
    socket.set_nonblocking(false).ok()?;
    socket.set_read_timeout(Some(GREETING)).ok()?;
    let mut hello = [0u8; 24];
    socket.read_exact(&mut hello).ok()?;
    let word = |i: usize| u64::from_le_bytes(hello[i..i + 8].try_into().expect("eight bytes"));
    let process = word(16) as usize;
    let known = hello[..8] == MAGIC && word(8) == member.token;
    (known && process > member.process && process < member.processes).then_some(process)
}

/// Where the members of one run meet.
pub struct Rendezvous {
    address: String,
    token: u64,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rendezvous {
    /// Waits on a loopback port for `processes` members, in a thread of its own. Each gets all addresses when the
    /// last has come, or an empty answer after 30 s.
    pub fn start(processes: usize) -> Result<Self> {
        let io = |e: std::io::Error| lost(format!("rendezvous: {e}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let address = listener.local_addr().map_err(io)?.to_string();
        // Distinct for runs on one machine; it keeps strangers apart, it does not keep attackers out.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let token = crate::hash::hash_of(&(std::process::id(), now.as_nanos(), &address));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("rendezvous".to_string())
            .spawn(move || serve(&listener, processes, token, &stopped))
            .map_err(io)?;
        Ok(Rendezvous { address, token, stop, thread: Some(thread) })
    }
    /// What member number `process` of `processes` needs to know.
    pub fn membership(&self, process: usize, processes: usize) -> Membership {
        Membership { process, processes, rendezvous: self.address.clone(), token: self.token }
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, processes: usize, token: u64, stop: &AtomicBool) {
    let members: Mutex<Vec<Option<(TcpStream, String)>>> = Mutex::new((0..processes).map(|_| None).collect());
    let lock = || members.lock().unwrap_or_else(|e| e.into_inner());
    let deadline = Instant::now() + FORMING;
    std::thread::scope(|scope| {
        while lock().iter().any(|m| m.is_none()) {
            if Instant::now() > deadline || stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok((socket, _)) = listener.accept() else {
                std::thread::sleep(POLL);
                continue;
            };
            // Each stranger apart, so that a silent one holds up nobody.
            scope.spawn(move || {
                let _ = socket.set_nonblocking(false);
                let _ = socket.set_read_timeout(Some(GREETING));
                let mut line = String::new();
                let Ok(_) = BufReader::new((&socket).take(256)).read_line(&mut line) else { return };
                let mut words = line.split_whitespace();
                let known = words.next() == Some(&format!("{token:016x}"));
                let process = words.next().and_then(|w| w.parse::<usize>().ok()).filter(|p| *p < processes);
                if let (true, Some(process), Some(address)) = (known, process, words.next()) {
                    lock()[process] = Some((socket, address.to_string()));
                }
            });
        }
        let mut members = lock();
        let all: Vec<String> = members.iter().flatten().map(|(_, a)| a.clone()).collect();
        for (socket, _) in members.iter_mut().flatten() {
            let _ = writeln!(socket, "{}", all.join(" "));
        }
    });
}
