//! One generation of a cluster: the connections that live and end together, and how they end without a panic.
//!
//! # What
//! timely's answer to a lost peer is a panic in every communication thread, and from there in every worker; some of these
//! cannot be caught. So the sockets that timely gets are [`QuietStream`]s. When one breaks, the generation is aborted: all of its sockets are shut
//! down, which makes the peers abort theirs, and the workers are woken, see that they are interrupted, and drop their
//! dataflows. Only then the stream goes on, with bytes that complete timely's framing and end it in order.
//!
//! # Guarantees
//! An aborted generation delivers nothing any more: what a worker has received is dropped with its dataflows. Nothing
//! blocks for ever but user code that does not return; [`Generation::wait_gone`] has a deadline for that.
//!
//! # Cost
//! Following the framing reads 48 bytes a message; payloads are not looked at.

use super::channel::Channel;
use super::frames::{Frames, Limits};
use crate::safety;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::Thread;
use std::time::{Duration, Instant};
use timely::communication::allocator::zero_copy::stream::Stream;

/// User code that runs when its generation ends has this long to return.
pub(crate) const TEARDOWN: Duration = Duration::from_secs(30);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What is told when a generation ends before its time.
type OnAbort = Box<dyn Fn(&str) + Send + Sync>;

/// One generation, in one process.
pub(crate) struct Generation {
    number: u64,
    aborted: AtomicBool,
    why: Mutex<Option<String>>,
    on_abort: OnAbort,
    workers: Mutex<Vec<Thread>>,
    /// Worker threads that still hold what timely has given them.
    live: Mutex<usize>,
    gone: Condvar,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Generation {
    pub fn new(number: u64, workers: usize, on_abort: OnAbort) -> Arc<Self> {
        Arc::new(Generation {
            number,
            aborted: AtomicBool::new(false),
            why: Mutex::default(),
            on_abort,
            workers: Mutex::default(),
            live: Mutex::new(workers),
            gone: Condvar::new(),
            sockets: Mutex::default(),
        })
    }
    pub fn number(&self) -> u64 {
        self.number
    }
    /// Ends the generation, once: shuts its sockets down, so that all peers notice at once, and wakes the workers.
    pub fn abort(&self, why: &str) {
        {
            // Under the lock of the sockets, so that none is missed that is being added.
            let sockets = lock(&self.sockets);
            if self.aborted.swap(true, Ordering::AcqRel) {
                return;
            }
            *lock(&self.why) = Some(why.to_string());
            for socket in sockets.iter() {
                // A socket that is closed already is what is wanted.
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        (self.on_abort)(why);
        lock(&self.workers).iter().for_each(Thread::unpark);
    }
    #[inline]
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }
    /// Why it was aborted, if it was.
    pub fn why(&self) -> Option<String> {
        lock(&self.why).clone()
    }
    /// Makes a socket one of this generation's.
    fn track(&self, socket: TcpStream) {
        let mut sockets = lock(&self.sockets);
        if self.is_aborted() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        sockets.push(socket);
    }
    /// The calling thread is one of the workers: it is woken when the generation ends.
    pub fn enter(&self) {
        lock(&self.workers).push(std::thread::current());
        if self.is_aborted() {
            std::thread::current().unpark();
        }
    }
    /// True on the threads of the workers.
    pub fn is_worker(&self) -> bool {
        lock(&self.workers).iter().any(|worker| worker.id() == std::thread::current().id())
    }
    /// A worker has dropped all that timely has given it.
    pub fn leave(&self) {
        let mut live = lock(&self.live);
        *live = live.saturating_sub(1);
        if *live == 0 {
            self.gone.notify_all();
        }
    }
    /// Waits until all workers have left; false if they have not after [`TEARDOWN`].
    pub fn wait_gone(&self) -> bool {
        let until = Instant::now() + TEARDOWN;
        let mut live = lock(&self.live);
        while *live > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            live = self.gone.wait_timeout(live, left).unwrap_or_else(|e| e.into_inner()).0;
        }
        true
    }
}

/// A connection to a peer that never tells timely of a fault.
pub(crate) struct QuietStream {
    link: Channel,
    generation: Arc<Generation>,
    peer: String,
    /// Of the reading side.
    frames: Frames,
    /// Frames are checked, as always but in a benchmark.
    is_guarded: bool,
    /// The peer is gone: what is read is made up.
    ended: bool,
}

impl QuietStream {
    pub fn new(
        link: Channel,
        generation: &Arc<Generation>,
        peer: String,
        limits: Limits,
    ) -> io::Result<Self> {
        generation.track(link.raw().try_clone()?);
        let (generation, frames) = (generation.clone(), Frames::new(limits));
        Ok(QuietStream {
            link,
            generation,
            peer,
            frames,
            is_guarded: safety::FRAME_GUARD.is_on(),
            ended: false,
        })
    }
    /// Reads from the peer; `None` when the generation has ended.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match self.link.read(buffer) {
                Ok(n) if !self.is_guarded => return Some(n),
                Ok(0) if self.frames.has_ended() => return Some(0),
                Ok(0) => self.generation.abort(&format!("the connection to {} was closed", self.peer)),
                Ok(n) => {
                    let (safe, refusal) = self.frames.advance(&buffer[..n]);
                    if let Err(refusal) = refusal {
                        self.generation.abort(&format!("{} sent what it may not: {refusal}", self.peer));
                    }
                    // What was refused is not handed out; if nothing is left, the made up bytes follow.
                    if safe > 0 {
                        return Some(safe);
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => self.generation.abort(&format!("the connection to {}: {e}", self.peer)),
            }
            return None;
        }
    }
}

impl Read for QuietStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ended
            && !self.generation.is_aborted()
            && let Some(n) = self.receive(buffer)
        {
            return Ok(n);
        }
        if !self.ended {
            // Nobody may decode what is made up: the workers drop what they hold first. If one never does, the process
            // is ended from outside.
            while !self.generation.wait_gone() {}
            self.ended = true;
        }
        Ok(self.frames.fill(buffer))
    }
}

impl Write for QuietStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.generation.is_aborted() {
            return Ok(bytes.len());
        }
        if let Some(frame) = crate::fault::frame(&self.peer) {
            // A test makes this process one that sends what it may not.
            let _ = self.link.write(&frame);
        }
        match self.link.write(bytes) {
            Ok(n) if n > 0 => Ok(n),
            Ok(_) => {
                self.generation.abort(&format!("the connection to {} was closed", self.peer));
                Ok(bytes.len())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
            Err(e) => {
                self.generation.abort(&format!("the connection to {}: {e}", self.peer));
                Ok(bytes.len())
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        if !self.generation.is_aborted()
            && let Err(e) = self.link.flush()
        {
            self.generation.abort(&format!("the connection to {}: {e}", self.peer));
        }
        Ok(())
    }
}

impl Stream for QuietStream {
    fn try_clone(&self) -> io::Result<Self> {
        // timely clones before it reads, once for the thread that reads and once for the one that writes.
        let (generation, frames) = (self.generation.clone(), self.frames.clone());
        Ok(QuietStream {
            link: self.link.try_clone()?,
            generation,
            peer: self.peer.clone(),
            frames,
            is_guarded: self.is_guarded,
            ended: self.ended,
        })
    }
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.link.set_nonblocking(nonblocking)
    }
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // It was shut down already, or it will be by the peer.
        let _ = self.link.shutdown(how);
        Ok(())
    }
}
