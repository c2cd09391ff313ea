//! A process's side of its cluster: it joins, says that it is alive, and forms the generations that the supervisor orders.
//!
//! # What
//! One thread listens to the supervisor and beats, one accepts connections of other members, and each of these is greeted
//! in a thread of its own, so that a silent stranger holds up nobody. Whoever wants to compute asks for the
//! [next formation](Member::next_formation) and gets a connection to every other member.
//!
//! # Guarantees
//! A connection belongs to one generation: who comes with the number of an old one is sent away, so that a process that
//! was given up for dead and wakes again cannot disturb its successors. A process that does not hear its supervisor for
//! [`SILENCE`] stops by itself: whatever was cut off does not go on alone.

use super::channel::Channel;
use super::control::{Inbox, Order, Report, Standing, send};
use super::generation::Generation;
use super::handshake::{Introduction, Purpose, Refused};
use super::link::{self, GENERATION, SUPERVISOR};
use super::mesh::{Formation, Links, Mesh, Progress};
use super::placement::SLOTS_MAX;
use super::secret::Secret;
use super::terms::Terms;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::board::Board;
use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// Joining takes no longer than this, or fails.
const JOINING: Duration = Duration::from_secs(30);
/// Connecting the members of one generation takes no longer than this, or it is given up.
const FORMING: Duration = Duration::from_secs(10);
/// Between two signs of life.
pub(crate) const BEAT: Duration = Duration::from_millis(500);
/// Who has not been heard for this long is taken to be gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);
/// How long a thread waits before it looks whether it should end.
const TICK: Duration = Duration::from_millis(100);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(20);

/// This process's place among several.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Number of this process, from 0.
    pub process: usize,
    /// How many the run began with.
    pub processes: usize,
    /// Address of the [`Supervisor`](super::Supervisor).
    pub rendezvous: String,
    /// Shared by the members of one run and nobody else.
    pub secret: Secret,
    /// The run's name, so that members of another with the same secret are told so.
    pub run: String,
    /// Encrypt what members say to each other. That they have the secret they prove in any case.
    pub encrypt: bool,
    /// The address of this machine on which the others reach this process.
    pub host: String,
}

impl Membership {
    /// What members and supervisor must agree on.
    pub(super) fn terms(&self) -> Terms {
        Terms::new().with("run", &self.run).with("processes", self.processes)
    }
}

fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cluster(what.into()))
}

/// True if trying again cannot help.
pub(super) fn is_final(refused: &Refused) -> bool {
    matches!(refused, Refused::Differs(_) | Refused::Declined(_) | Refused::Secret)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[derive(Default)]
struct State {
    /// The newest order of the supervisor that nobody has followed yet.
    order: Option<(u64, Vec<(u32, String)>)>,
    /// Number of the newest order.
    newest: u64,
    current: Option<Arc<Generation>>,
    /// Members that have connected: by generation and slot.
    arrived: BTreeMap<(u64, u32), Channel>,
    /// Why this process takes part no longer.
    ended: Option<String>,
}

/// A member of a cluster.
pub(crate) struct Member {
    membership: Membership,
    slot: u32,
    /// What members must agree on.
    terms: Terms,
    workers: usize,
    board: Arc<Board>,
    control: Mutex<Channel>,
    state: Mutex<State>,
    changed: Condvar,
    progress: Arc<Progress>,
    closed: AtomicBool,
}

impl Member {
    /// Finds the supervisor and joins.
    ///
    /// When a generation ends before its time, the workers of `board` are interrupted.
    pub fn join(
        membership: &Membership,
        terms: Terms,
        workers: usize,
        board: &Arc<Board>,
    ) -> Result<Arc<Self>> {
        let until = Instant::now() + JOINING;
        let refused = |what: &str, e: io::Error| lost(format!("joining the cluster: {what}: {e}"));
        let host = &membership.host;
        let listener =
            TcpListener::bind((host.as_str(), 0)).map_err(|e| refused(&format!("listen on {host}"), e))?;
        let address = listener.local_addr().map_err(|e| refused("listen", e))?.to_string();
        let slot = membership.process as u32;
        let mut with_supervisor = membership.terms();
        terms.iter().for_each(|(name, value)| {
            with_supervisor = std::mem::take(&mut with_supervisor).with(name, value)
        });
        let control = loop {
            let terms = with_supervisor.clone();
            match link::connect(&membership.rendezvous, membership, Purpose::Control, SUPERVISOR, terms) {
                Ok(link) => break link,
                Err(e) if is_final(&e) || Instant::now() > until => {
                    return Err(lost(format!("joining the cluster at {}: {e}", membership.rendezvous)));
                }
                Err(_) => std::thread::sleep(RETRY),
            }
        };
        let reader = control.try_clone().map_err(|e| refused("the supervisor", e))?;
        let member = Arc::new(Member {
            membership: membership.clone(),
            slot,
            terms: with_supervisor,
            workers,
            board: board.clone(),
            control: Mutex::new(control),
            state: Mutex::default(),
            changed: Condvar::new(),
            progress: Arc::default(),
            closed: AtomicBool::new(false),
        });
        let spawn = |name: &str, f: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_string()).spawn(f).map_err(|e| refused("threads", e))
        };
        let (weak, weaker) = (Arc::downgrade(&member), Arc::downgrade(&member));
        spawn("members", Box::new(move || accept(&listener, &weak)))?;
        let report = Report::Join { address, pid: std::process::id() };
        member.tell(&report).map_err(|e| refused("the supervisor", e))?;
        spawn("control", Box::new(move || obey(reader, &weaker)))?;
        Ok(member)
    }
    /// What the workers count, for the supervisor.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
    fn tell(&self, report: &Report) -> io::Result<()> {
        send(&mut lock(&self.control), report)
    }
    fn standing(&self) -> Standing {
        Standing {
            generation: lock(&self.state).current.as_ref().map_or(0, |g| g.number()),
            jobs: self.progress.jobs(),
            still_ms: self.progress.turns.still().as_millis() as u64,
        }
    }
    /// Says that the program of this process has ended in order.
    pub fn say_left(&self, failed: bool) {
        // A supervisor that does not hear it finds the process gone.
        let _ = self.tell(&Report::Left { failed });
    }
    fn say_broken(&self, generation: u64, why: &str) {
        let (why, standing) = (why.to_string(), self.standing());
        let _ = self.tell(&Report::Broken { generation, why, standing });
    }
    /// Says that a generation works.
    pub fn say_formed(&self) {
        let _ = self.tell(&Report::Formed(self.standing()));
    }
    /// Takes part no longer.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.end("this process has left");
    }
    /// Takes part no longer, and does not wait for what the others may have to say.
    pub fn cut_off(&self, why: &str) {
        self.end(why);
    }
    /// Why this process takes part no longer, if so.
    pub fn ended(&self) -> Option<String> {
        lock(&self.state).ended.clone()
    }
    fn end(&self, why: &str) {
        let current = {
            let mut state = lock(&self.state);
            state.ended.get_or_insert(why.to_string());
            state.current.clone()
        };
        if !self.closed.load(Ordering::Acquire)
            && let Some(generation) = current
        {
            generation.abort(why);
        }
        self.changed.notify_all();
    }
    fn follow(&self, order: Order) {
        match order {
            Order::Beat => {}
            Order::End { why } => self.end(&why),
            Order::Form { generation, members } => {
                let current = {
                    let mut state = lock(&self.state);
                    state.newest = generation;
                    state.order = Some((generation, members));
                    state.arrived.retain(|(g, _), _| *g >= generation);
                    state.current.clone()
                };
                if let Some(current) = current.filter(|c| c.number() < generation) {
                    current.abort("a member was lost");
                }
                self.changed.notify_all();
            }
        }
    }
    /// Waits for the next generation and connects its members. An error says that there will be none.
    pub fn next_formation(self: &Arc<Self>) -> Result<Formation> {
        loop {
            let (number, members) = {
                let mut state = lock(&self.state);
                loop {
                    if let Some(why) = &state.ended {
                        return Err(lost(why.clone()));
                    }
                    if let Some(order) = state.order.take() {
                        break order;
                    }
                    state = self.changed.wait_timeout(state, TICK).unwrap_or_else(|e| e.into_inner()).0;
                }
            };
            match self.connect(number, &members) {
                Ok(Some(formation)) => return Ok(formation),
                Ok(None) => {}
                Err(e) => {
                    self.say_broken(number, &format!("forming: {e}"));
                }
            }
        }
    }
    /// Connects to all members of a generation; nothing if there is a newer one.
    fn connect(self: &Arc<Self>, number: u64, members: &[(u32, String)]) -> Result<Option<Formation>> {
        let until = Instant::now() + FORMING;
        let me: Weak<Member> = Arc::downgrade(self);
        let board = self.board.clone();
        let on_abort = Box::new(move |why: &str| {
            board.interrupt();
            let Some(member) = me.upgrade() else { return };
            member.say_broken(number, why);
        });
        let generation = Generation::new(number, self.workers, on_abort);
        let mut links = vec![];
        for (slot, address) in members {
            if *slot == self.slot {
                links.push(None);
                continue;
            }
            let link = if *slot < self.slot {
                self.reach(number, *slot, address, until)?
            } else {
                self.await_arrival(number, *slot, until)?
            };
            let Some(link) = link else { return Ok(None) };
            links.push(Some(link));
        }
        let mut state = lock(&self.state);
        if state.newest != number {
            return Ok(None);
        }
        state.current = Some(generation.clone());
        let members = members.iter().map(|(slot, _)| *slot as usize).collect();
        Ok(Some(Formation { generation, members, links: Links::Sockets(links) }))
    }
    /// True if the generation is the newest that was ordered.
    fn is_newest(&self, number: u64) -> bool {
        let state = lock(&self.state);
        state.newest == number && state.ended.is_none()
    }
    fn reach(&self, number: u64, slot: u32, address: &str, until: Instant) -> Result<Option<Channel>> {
        loop {
            if !self.is_newest(number) {
                return Ok(None);
            }
            let terms = self.terms.clone().with(GENERATION, number);
            match link::connect(address, &self.membership, Purpose::Mesh, slot, terms) {
                Ok(link) => return Ok(Some(link)),
                Err(e) if Instant::now() > until => {
                    return Err(lost(format!("process {slot} at {address}: {e}")));
                }
                Err(_) => std::thread::sleep(RETRY),
            }
        }
    }
    fn await_arrival(&self, number: u64, slot: u32, until: Instant) -> Result<Option<Channel>> {
        let mut state = lock(&self.state);
        loop {
            if state.newest != number || state.ended.is_some() {
                return Ok(None);
            }
            if let Some(link) = state.arrived.remove(&(number, slot)) {
                return Ok(Some(link));
            }
            if Instant::now() > until {
                return Err(lost(format!("process {slot} did not connect within {FORMING:?}")));
            }
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(|e| e.into_inner()).0;
        }
    }
    /// Takes the connection of another member, if it is not of the past.
    fn greet(&self, socket: TcpStream) {
        // A stranger is sent away without a word.
        let Ok((introduction, link)) = link::accept(socket, &self.membership, |i| self.decide(i)) else {
            return;
        };
        let (generation, slot) = (link::generation_of(&introduction), introduction.from);
        let mut state = lock(&self.state);
        if generation >= state.newest {
            // The first one counts: another can only be a recording, or a process that pretends to be the first.
            state.arrived.entry((generation, slot)).or_insert(link);
            self.changed.notify_all();
        }
    }
    /// What to agree on with who has come, if it is one that is waited for.
    fn decide(&self, introduction: &Introduction) -> Result<Terms, String> {
        let (generation, newest) = (link::generation_of(introduction), lock(&self.state).newest);
        if introduction.purpose != Purpose::Mesh || introduction.to != self.slot {
            return Err(format!("this is process {} of the run", self.slot));
        }
        if introduction.from <= self.slot || introduction.from as usize >= SLOTS_MAX {
            return Err(format!("process {} does not connect to process {}", introduction.from, self.slot));
        }
        if generation < newest {
            return Err(format!("generation {generation} is over, this is {newest}"));
        }
        Ok(self.terms.clone().with(GENERATION, generation))
    }
}

impl Mesh for Arc<Member> {
    fn next_formation(&self) -> Result<Formation> {
        Member::next_formation(self)
    }
    fn say_formed(&self) {
        Member::say_formed(self);
    }
    fn say_left(&self, failed: bool) {
        Member::say_left(self, failed);
    }
    fn close(&self) {
        Member::close(self);
    }
    fn cut_off(&self, why: &str) {
        Member::cut_off(self, why);
    }
}

/// Accepts connections until the member is gone.
fn accept(listener: &TcpListener, member: &Weak<Member>) {
    let Ok(()) = listener.set_nonblocking(true) else { return };
    loop {
        let Some(member) = member.upgrade().filter(|m| m.ended().is_none()) else { return };
        match listener.accept() {
            Ok((socket, _)) => {
                let _ = std::thread::Builder::new()
                    .name("greeting".to_string())
                    .spawn(move || member.greet(socket));
            }
            Err(_) => {
                drop(member);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Does what the supervisor says, and beats, until one of them is gone.
fn obey(mut link: Channel, member: &Weak<Member>) {
    let (mut inbox, mut heard, mut beaten) = (Inbox::default(), Instant::now(), Instant::now());
    let timeout = link.set_read_timeout(Some(TICK));
    loop {
        let Some(member) = member.upgrade().filter(|m| m.ended().is_none()) else { return };
        if timeout.is_err() {
            return member.end("the connection to the supervisor cannot be used");
        }
        match inbox.receive(&mut link) {
            Ok(Some(order)) => {
                heard = Instant::now();
                member.follow(order);
            }
            Ok(None) => {}
            Err(_) => return member.end("the supervisor has ended the run, or is gone"),
        }
        if beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            if member.tell(&Report::Beat(member.standing())).is_err() {
                return member.end("the supervisor is gone");
            }
        }
        if heard.elapsed() > SILENCE {
            return member.end(&format!("the supervisor has been silent for {SILENCE:?}"));
        }
    }
}
