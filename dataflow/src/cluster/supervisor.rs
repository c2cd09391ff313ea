//! The supervisor of a run: who is a member, which generation they form, who is given up.
//!
//! # What
//! Members connect and say that they are there. When all that are expected have come, the supervisor numbers a generation
//! and tells each of them who the others are. When one is lost (its connection ends without a word, or it has been silent
//! for too long) its slot becomes free; when a replacement has come, the next generation is formed.
//!
//! Slots can be [added](Supervisor::add) and [retired](Supervisor::retire) while the run goes on; the next generation is
//! formed with what there is then.
//!
//! The supervisor starts and ends no process: whoever runs it (the launcher) asks for [what has happened](Supervisor::poll).
//!
//! # Guarantees
//! Numbers of generations only grow. A member that is given up is told nothing any more; it finds its connection closed,
//! and the number of its generation is one that nobody answers to.

use super::channel::Channel;
use super::control::{Inbox, Order, Report, Standing, send};
use super::handshake::{Introduction, Purpose, Refused};
use super::link::{self, SUPERVISOR};
use super::member::{BEAT, Membership, SILENCE};
use super::placement::SLOTS_MAX;
use super::secret::Secret;
use super::status::{self, SlotState, SlotStatus, Status};
use super::terms::Terms;
use super::worker::{self, Candidate};
use crate::error::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(10);
/// From a change of the members to a generation that works it takes no longer than this, or the run is ended.
const FORMING: Duration = Duration::from_secs(30);
/// After a process has failed the others have this long to hear of it in what they do.
const PARTING: Duration = Duration::from_millis(1000);
/// As many generations may fail in a row without a job being finished.
const FUTILE_MAX: u32 = 16;
/// So many refusals that nobody has heard of yet are kept.
const REFUSED_MAX: usize = 64;
/// A broken generation of which nobody is lost is formed again after this time: the loss of a process is usually noticed
/// by its peers first.
const GRACE: Duration = Duration::from_millis(200);

/// What has happened in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// All members of a generation work in it.
    Formed {
        /// Its number, from 1.
        generation: u64,
        /// How long that took since the order was given.
        took: Duration,
    },
    /// A process is given up: end it if it still runs, and start another for its slot.
    Lost {
        /// Its slot.
        slot: usize,
        /// What it had said of itself.
        pid: u32,
        /// How it was noticed.
        why: String,
    },
    /// Somebody who has the secret wants the run to have so many processes.
    Asked {
        /// How many.
        processes: usize,
    },
    /// A process wanted to be a member and may not.
    Refused {
        /// Why.
        why: String,
    },
    /// The run cannot go on; its members have been told.
    Ended {
        /// The reason.
        why: String,
    },
}

/// How a process that has ended took its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It has not: it was lost.
    Lost,
    /// It never was a member.
    NeverCame,
    /// Its program has ended.
    Done,
    /// Its program has failed, and it has said so.
    Failed,
}

/// What a slot is to the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    /// No generation is formed without it.
    #[default]
    Member,
    /// It becomes a member when its process comes.
    Added,
    /// It is none any more.
    Retired,
}

#[derive(Default)]
struct Slot {
    role: Role,
    link: Option<Channel>,
    address: String,
    pid: u32,
    /// Counts connections, so that what an old one says is not taken for the new one's.
    incarnation: u64,
    /// Processes that have come.
    came: u64,
    heard: Option<Instant>,
    standing: Standing,
    formed: u64,
    left: Option<bool>,
    /// Where the launcher has started it.
    host: String,
}

struct State {
    slots: Vec<Slot>,
    generation: u64,
    /// When the generation was ordered.
    ordered: Instant,
    announced: bool,
    /// A member has come or gone since the generation was ordered.
    stale: bool,
    /// Since when the generation is known to be broken.
    broken: Option<Instant>,
    /// Since when there has been no generation that works.
    unsettled: Option<Instant>,
    /// Generations since a job was finished, and how many jobs were finished then.
    futile: (u32, u64),
    /// Since when the run cannot go on, and why.
    ending: Option<(Instant, String)>,
    /// What the first member has said that all must agree on.
    terms: Option<Terms>,
    happenings: VecDeque<Happening>,
    /// A worker that has been in one step for longer is stuck, if that is said.
    stuck: Option<Duration>,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    /// What a member needs to know, but for its number.
    membership: Membership,
    /// Workers that have offered themselves and that nobody has asked for.
    candidates: Mutex<Vec<Candidate>>,
}

fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cluster(what.into()))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// What to agree on with a process that wants to be a member.
    fn decide(&self, introduction: &Introduction) -> Result<Terms, String> {
        match introduction.purpose {
            Purpose::Worker if introduction.to == SUPERVISOR => return Ok(worker::terms()),
            Purpose::Status if introduction.to == SUPERVISOR => return Ok(status::terms()),
            Purpose::Scale if introduction.to == SUPERVISOR => return Ok(status::terms()),
            _ => {}
        }
        let state = self.lock();
        if introduction.purpose != Purpose::Control || introduction.to != SUPERVISOR {
            return Err("this is the supervisor of the run".to_string());
        }
        match state.slots.get(introduction.from as usize).map(|s| s.role) {
            None => {
                return Err(format!("there is no process {} among {}", introduction.from, state.slots.len()));
            }
            Some(Role::Retired) => {
                return Err(format!("process {} is not wanted any more", introduction.from));
            }
            Some(Role::Member | Role::Added) => {}
        }
        // The first one says what the others must be like.
        let (run, processes) = (&self.membership.run, self.membership.processes);
        let theirs = || introduction.terms.clone().with("run", run).with("processes", processes);
        Ok(state.terms.clone().unwrap_or_else(theirs))
    }
    /// Strangers are nobody's concern; a process with the secret that may not come in is.
    fn note_refused(&self, refused: Refused) {
        if matches!(refused, Refused::Differs(_) | Refused::Declined(_) | Refused::Secret) {
            let mut state = self.lock();
            let unheard = state.happenings.iter().filter(|h| matches!(h, Happening::Refused { .. })).count();
            // Whoever makes noise does not fill this process's memory.
            if unheard < REFUSED_MAX {
                state.happenings.push_back(Happening::Refused { why: refused.to_string() });
            }
        }
    }
}

impl State {
    fn tell(&mut self, slot: usize, order: &Order) {
        let Some(link) = &mut self.slots[slot].link else { return };
        if send(link, order).is_err() {
            // Its reader notices, too, and gives it up.
            let _ = link.shutdown(Shutdown::Both);
        }
    }
    fn give_up(&mut self, slot: usize, why: String) {
        let place = &mut self.slots[slot];
        let Some(link) = place.link.take() else { return };
        let _ = link.shutdown(Shutdown::Both);
        self.stale = true;
        self.unsettled.get_or_insert(Instant::now());
        if place.left.is_none() {
            self.happenings.push_back(Happening::Lost { slot, pid: place.pid, why });
        }
    }
    /// Orders a generation if there is need for one and all are there; tells when one works.
    fn advance(&mut self) {
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            let silent = self.slots[slot].heard.is_some_and(|h| now.duration_since(h) > SILENCE);
            if silent && self.slots[slot].link.is_some() {
                self.give_up(slot, format!("it has been silent for {SILENCE:?}"));
            }
            let still = Duration::from_millis(self.slots[slot].standing.still_ms);
            if self.stuck.is_some_and(|limit| still > limit) && self.slots[slot].link.is_some() {
                self.give_up(slot, format!("one of its workers has been in one step for {still:?}"));
            }
        }
        let all_here = self.members().all(|(_, s)| s.link.is_some() && !s.address.is_empty());
        let none_left = self.members().all(|(_, s)| s.left.is_none());
        let is_broken = self.broken.is_some_and(|since| now.duration_since(since) > GRACE);
        if all_here && none_left && (self.stale || is_broken) {
            self.generation += 1;
            let jobs = self.jobs();
            self.futile = if jobs > self.futile.1 { (0, jobs) } else { (self.futile.0 + 1, jobs) };
            if self.futile.0 > FUTILE_MAX {
                return self
                    .end(&format!("{FUTILE_MAX} generations have failed in a row, in job {}", jobs + 1));
            }
            (self.stale, self.broken, self.ordered, self.announced) = (false, None, now, false);
            let members: Vec<(u32, String)> =
                self.members().map(|(i, s)| (i as u32, s.address.clone())).collect();
            let order = Order::Form { generation: self.generation, members };
            (0..self.slots.len()).for_each(|slot| self.tell(slot, &order));
        }
        let works = self.generation > 0 && self.members().all(|(_, s)| s.formed == self.generation);
        if works && !self.announced {
            (self.announced, self.unsettled) = (true, None);
            let happening = Happening::Formed { generation: self.generation, took: self.ordered.elapsed() };
            self.happenings.push_back(happening);
        }
        // Until then the others hear the reason from the process itself.
        if self.ending.as_ref().is_some_and(|(since, _)| now.duration_since(*since) > PARTING)
            && let Some((_, why)) = self.ending.take()
        {
            self.end(&why);
        }
        // Who has left comes to no generation any more, so who was about to leave need not wait for one.
        let waits = self.members().any(|(_, s)| s.link.is_some() && s.left.is_none());
        let is_late = self.unsettled.is_some_and(|since| now.duration_since(since) > PARTING);
        if waits && is_late && self.members().any(|(_, s)| s.left == Some(false)) {
            self.unsettled = None;
            let why = "a process was lost when another had left already".to_string();
            (0..self.slots.len()).for_each(|slot| self.tell(slot, &Order::End { why: why.clone() }));
        }
        if none_left && self.unsettled.is_some_and(|since| now.duration_since(since) > FORMING) {
            self.end(&format!("the processes have not come together within {FORMING:?}"));
        }
    }
    /// The slots that a generation must have.
    fn members(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(|(_, s)| s.role == Role::Member)
    }
    /// Jobs that the program has finished, as far as is known.
    fn jobs(&self) -> u64 {
        self.slots.iter().map(|s| s.standing.jobs).max().unwrap_or(0)
    }
    /// Tells all members that the run has ended.
    fn end(&mut self, why: &str) {
        (self.stale, self.broken, self.unsettled) = (false, None, None);
        let order = Order::End { why: why.to_string() };
        (0..self.slots.len()).for_each(|slot| self.tell(slot, &order));
        self.happenings.push_back(Happening::Ended { why: why.to_string() });
    }
    fn status(&self, run: &str) -> Status {
        let slot = |(slot, place): (usize, &Slot)| SlotStatus {
            slot,
            host: place.host.clone(),
            address: place.address.clone(),
            pid: place.pid,
            state: match (&place.link, place.left) {
                _ if place.role == Role::Retired => SlotState::Retired,
                _ if place.role == Role::Added => SlotState::Joining,
                (_, Some(_)) => SlotState::Left,
                (None, _) if place.came > 0 => SlotState::Lost,
                (Some(_), _) if self.generation > 0 && place.formed == self.generation => SlotState::Works,
                _ => SlotState::Joining,
            },
            jobs: place.standing.jobs,
            still_seconds: place.standing.still_ms as f64 / 1e3,
            heard_seconds: place.heard.map(|h| h.elapsed().as_secs_f64()),
            restarts: place.came.saturating_sub(1),
        };
        Status {
            run: run.to_string(),
            generation: self.generation,
            generation_seconds: self.ordered.elapsed().as_secs_f64(),
            slots: self.slots.iter().enumerate().map(slot).collect(),
        }
    }
    fn hear(&mut self, slot: usize, report: Report) {
        let (generation, has_left) = (self.generation, self.members().any(|(_, s)| s.left.is_some()));
        let place = &mut self.slots[slot];
        place.heard = Some(Instant::now());
        match report {
            Report::Join { .. } if place.role == Role::Added && has_left => {
                let why = "it has come too late: others have left already".to_string();
                self.tell(slot, &Order::End { why });
            }
            Report::Join { address, pid } => {
                place.role = Role::Member;
                (place.address, place.pid, place.left, place.formed) = (address, pid, None, 0);
                place.standing.still_ms = 0;
                self.stale = true;
                self.unsettled.get_or_insert(Instant::now());
            }
            Report::Beat(standing) => place.standing = standing,
            Report::Formed(standing) => (place.formed, place.standing) = (standing.generation, standing),
            Report::Broken { generation: which, standing, .. } => {
                place.standing = standing;
                if which == generation {
                    self.broken.get_or_insert(Instant::now());
                    self.unsettled.get_or_insert(Instant::now());
                }
            }
            Report::Left { failed } => {
                place.left = Some(failed);
                if failed {
                    self.ending.get_or_insert((Instant::now(), format!("process {slot} has failed")));
                }
            }
        }
        self.advance();
    }
}

/// The supervisor of one run.
pub struct Supervisor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Supervisor {
    /// Waits on a loopback port for `processes` members, in threads of its own.
    ///
    /// # Errors
    /// Cluster, if there is no port or no thread to be had.
    pub fn start(processes: usize) -> Result<Self> {
        Self::listen("127.0.0.1:0", processes, Secret::random()?)
    }
    /// Waits on an address for `processes` members that have the secret. What they say is encrypted unless the address
    /// is a loopback address.
    ///
    /// # Errors
    /// Config, for more processes than there can be; cluster, if there is no such address or no thread to be had.
    pub fn listen(address: impl ToSocketAddrs, processes: usize, secret: Secret) -> Result<Self> {
        if !(1..=SLOTS_MAX).contains(&processes) {
            let message = format!("{processes} is not between 1 and {SLOTS_MAX}");
            return Err(Error::config("processes", message));
        }
        let io = |e: std::io::Error| lost(format!("supervisor: {e}"));
        let listener = TcpListener::bind(address).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        // Distinct for runs with one secret.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let run = crate::hash::hash_of(&(std::process::id(), now.as_nanos(), address.to_string()));
        let membership = Membership {
            process: SUPERVISOR as usize,
            processes,
            rendezvous: address.to_string(),
            secret,
            run: format!("{run:016x}"),
            encrypt: !address.ip().is_loopback(),
            host: address.ip().to_string(),
        };
        let state = State {
            slots: (0..processes).map(|_| Slot::default()).collect(),
            generation: 0,
            ordered: Instant::now(),
            announced: false,
            stale: false,
            broken: None,
            unsettled: Some(Instant::now()),
            futile: (0, 0),
            ending: None,
            terms: None,
            happenings: VecDeque::new(),
            stuck: None,
            stopped: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), membership, candidates: Mutex::default() });
        let spawn = |name: &str, f: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_string()).spawn(f).map_err(io)
        };
        let (acceptor, ticker) = (shared.clone(), shared.clone());
        let threads = vec![
            spawn("supervisor", Box::new(move || accept(&listener, &acceptor)))?,
            spawn("heartbeat", Box::new(move || tick(&ticker)))?,
        ];
        Ok(Supervisor { shared, threads })
    }
    /// What member number `process` needs to know.
    pub fn membership(&self, process: usize) -> Membership {
        Membership { process, ..self.shared.membership.clone() }
    }
    /// What has happened since the last call.
    pub fn poll(&self) -> Vec<Happening> {
        self.shared.lock().happenings.drain(..).collect()
    }
    /// How the process of a slot has taken its leave; to be asked when it has ended. Waits a moment for what it has said
    /// last.
    pub fn leave(&self, slot: usize) -> Leave {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            let state = self.shared.lock();
            let place = &state.slots[slot];
            match place.left {
                Some(true) => return Leave::Failed,
                Some(false) => return Leave::Done,
                None if place.link.is_none() || Instant::now() > until => {
                    return if place.came == 0 { Leave::NeverCame } else { Leave::Lost };
                }
                None => {}
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    /// As [`leave`](Self::leave), of a process that may still run: then it is not lost but has not left.
    pub fn left(&self, slot: usize) -> Leave {
        match self.shared.lock().slots[slot].left {
            Some(true) => Leave::Failed,
            Some(false) => Leave::Done,
            None => Leave::Lost,
        }
    }
    /// Jobs that the program has finished, as far as is known.
    pub fn jobs(&self) -> u64 {
        self.shared.lock().jobs()
    }
    /// The newest generation.
    pub fn generation(&self) -> u64 {
        self.shared.lock().generation
    }
    /// Workers that have offered themselves since the last call.
    pub fn candidates(&self) -> Vec<Candidate> {
        std::mem::take(&mut *self.shared.candidates.lock().unwrap_or_else(|e| e.into_inner()))
    }
    /// Not all processes are started yet: the time in which they must come together begins again.
    pub fn postpone(&self) {
        let mut state = self.shared.lock();
        state.unsettled = state.unsettled.map(|_| Instant::now());
    }
    /// Notes where the process of a slot was started, for whoever asks.
    pub fn note_host(&self, slot: usize, host: &str) {
        self.shared.lock().slots[slot].host = host.to_string();
    }
    /// Adds a slot, with the number of one that was retired or with a new one, which becomes a member when its process
    /// comes. Returns its number, or nothing if there are as many as there can be.
    pub fn add(&self) -> Option<usize> {
        let mut state = self.shared.lock();
        let free = state.slots.iter().position(|s| s.role == Role::Retired);
        let slot = free.or_else(|| (state.slots.len() < SLOTS_MAX).then_some(state.slots.len()))?;
        if slot == state.slots.len() {
            state.slots.push(Slot::default());
        }
        let place = &mut state.slots[slot];
        (place.role, place.left, place.formed, place.came) = (Role::Added, None, 0, 0);
        Some(slot)
    }
    /// The process of a slot is a member no longer, and nobody takes its place: the others go on without it. To be ended
    /// by the caller, if it runs. Slot 0 stays, since it speaks for the run.
    pub fn retire(&self, slot: usize) {
        let mut state = self.shared.lock();
        let Some(place) = state.slots.get_mut(slot).filter(|_| slot > 0) else { return };
        let was_member = place.role == Role::Member;
        (place.role, place.left) = (Role::Retired, None);
        place.address.clear();
        if let Some(link) = place.link.take() {
            let _ = link.shutdown(Shutdown::Both);
        }
        // Its connection may end now: what it says does not count any more.
        place.incarnation += 1;
        if was_member {
            state.stale = true;
            state.unsettled.get_or_insert(Instant::now());
        }
        state.advance();
    }
    /// Gives processes up one of whose workers is in one step, that is in one call of a function of the program or a few,
    /// for longer than this. Without it they are waited for.
    pub fn give_up_stuck(&self, limit: Duration) {
        self.shared.lock().stuck = Some(limit);
    }
    /// True when the newest generation works and nobody is missing.
    pub fn is_settled(&self) -> bool {
        let state = self.shared.lock();
        state.announced && !state.stale && state.broken.is_none()
    }
    /// True if the process of a slot has taken part in a generation.
    pub fn has_worked(&self, slot: usize) -> bool {
        self.shared.lock().slots[slot].formed > 0
    }
    /// How the run is doing.
    pub fn status(&self) -> Status {
        self.shared.lock().status(&self.shared.membership.run)
    }
    /// Ends the run: all members are told why.
    pub fn end(&self, why: &str) {
        self.shared.lock().end(why);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopped = true;
            for slot in &mut state.slots {
                if let Some(link) = slot.link.take() {
                    let _ = link.shutdown(Shutdown::Both);
                }
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.lock().stopped {
        let Ok((socket, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let shared = shared.clone();
        // Each apart, so that a silent stranger holds up nobody.
        let _ = std::thread::Builder::new().name("member".to_string()).spawn(move || listen(socket, &shared));
    }
}

/// Greets one member and hears it until it is gone.
fn listen(socket: TcpStream, shared: &Shared) {
    let (introduction, mut link) = match link::accept(socket, &shared.membership, |i| shared.decide(i)) {
        Ok(member) => member,
        Err(refused) => return shared.note_refused(refused),
    };
    match introduction.purpose {
        Purpose::Worker => {
            let mut candidates = shared.candidates.lock().unwrap_or_else(|e| e.into_inner());
            if candidates.len() < SLOTS_MAX {
                candidates.extend(Candidate::new(&introduction, link));
            }
            return;
        }
        Purpose::Status => {
            let status = shared.lock().status(&shared.membership.run);
            return status::answer(link, &status);
        }
        Purpose::Scale => {
            let mut state = shared.lock();
            let processes = status::asked(&introduction).filter(|n| (1..=SLOTS_MAX).contains(n));
            state.happenings.extend(processes.map(|processes| Happening::Asked { processes }));
            let status = state.status(&shared.membership.run);
            drop(state);
            return status::answer(link, &status);
        }
        Purpose::Control | Purpose::Mesh => {}
    }
    let slot = introduction.from as usize;
    let incarnation = {
        let mut state = shared.lock();
        let Ok(writer) = link.try_clone() else { return };
        // A member that does not read must not hold up the others.
        let is_retired = state.slots[slot].role == Role::Retired;
        if writer.set_write_timeout(Some(BEAT)).is_err() || state.stopped || is_retired {
            return;
        }
        state.terms.get_or_insert(introduction.terms);
        state.give_up(slot, "another process has come in its place".to_string());
        let place = &mut state.slots[slot];
        (place.incarnation, place.came) = (place.incarnation + 1, place.came + 1);
        (place.link, place.heard) = (Some(writer), Some(Instant::now()));
        // It can be a member when it has said where it is.
        place.address.clear();
        place.incarnation
    };
    let mut inbox = Inbox::default();
    let end = loop {
        match inbox.receive::<Report>(&mut link) {
            Ok(Some(report)) => {
                let mut state = shared.lock();
                if state.slots[slot].incarnation != incarnation {
                    return;
                }
                state.hear(slot, report);
            }
            Ok(None) => {}
            Err(e) => break e,
        }
    };
    let mut state = shared.lock();
    if state.slots[slot].incarnation == incarnation {
        state.give_up(slot, format!("its connection has ended ({end})"));
        state.advance();
    }
}

fn tick(shared: &Shared) {
    let mut beaten = Instant::now();
    loop {
        std::thread::sleep(TICK);
        let mut state = shared.lock();
        if state.stopped {
            return;
        }
        if beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            (0..state.slots.len()).for_each(|slot| state.tell(slot, &Order::Beat));
        }
        state.advance();
    }
}
