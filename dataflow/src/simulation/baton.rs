//! The baton: of all threads of a simulation only the one that has it runs, and who gets it next follows from the seed.
//!
//! # Guarantees
//! Same program, settings and seed: the same threads at the same points in the same order. The [hash](Baton::schedule) is of all
//! of them.
//!
//! # Cost
//! A step costs a switch from thread to thread, about 5-10 us, or nothing if the same one goes on. Threads that wait for
//! something are looked at, not woken.

use super::seat::{self, Killed, Seat, is_killed};
use super::world::{Action, World};
use crate::error::{Error, ErrorKind};
use crate::hash::hash_bytes;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Steps after which the manner changes in which threads are chosen.
const MANNER_STEPS: u64 = 500;
/// Who has the baton and does not hand it on for this long, of real time, is stuck.
const STUCK: Duration = Duration::from_secs(120);
/// Nobody.
const NOBODY: usize = usize::MAX;

/// Spreads a number over all bits. (SplitMix64: Steele, Lea and Flood 2014.)
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Numbers that follow from a seed.
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(mix(seed))
    }
    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(mix(self.0)) * u128::from(n)) >> 64) as u64
    }
    /// A number from 1 to `most` of which small ones are as likely as large ones: its logarithm is uniform.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let bits = self.below(u64::from(most.max(1).ilog2()) + 1);
        (1 + self.below(2 << bits)).min(most.max(1))
    }
}

/// What a thread waits for.
pub(super) struct Ready {
    pub ready: Box<dyn Fn() -> bool + Send>,
    pub until: Option<crate::time::Instant>,
}

/// A thread, as others see it.
struct Place {
    process: usize,
    name: String,
    at: &'static str,
    waits: Option<Ready>,
    /// It has had the baton: before that it may wait for others by itself.
    has_begun: bool,
    turn: Arc<Condvar>,
}

/// How threads are chosen for a while.
#[derive(Default)]
struct Manner {
    until: u64,
    /// In how many of eight steps the same thread goes on.
    stays: u64,
    /// A process that is hardly ever chosen.
    slow: Option<usize>,
}

/// What ends a simulation that does not end by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub steps: u64,
    /// Without anything having happened.
    pub quiet: u64,
}

pub(super) struct State {
    turn: usize,
    places: BTreeMap<usize, Place>,
    next: usize,
    steps: u64,
    hash: u64,
    /// Steps since something has happened.
    quiet: u64,
    manner: Manner,
    dice: Dice,
    pub world: World,
    /// Why the simulation has ended before its time.
    verdict: Option<Error>,
    is_over: bool,
}

/// Starts the program of a process.
type Launch = Box<dyn Fn(&Arc<Baton>, usize) + Send + Sync>;

pub(super) struct Baton {
    pub seed: u64,
    limits: Limits,
    state: Mutex<State>,
    over: Condvar,
    start: Instant,
    clock_us: AtomicU64,
    looks: AtomicU64,
    launch: OnceLock<Launch>,
    mains: Mutex<Vec<JoinHandle<()>>>,
}

impl Baton {
    pub fn new(seed: u64, limits: Limits, world: World) -> Arc<Self> {
        let state = State {
            turn: NOBODY,
            places: BTreeMap::new(),
            next: 0,
            steps: 0,
            hash: 0,
            quiet: 0,
            manner: Manner::default(),
            dice: Dice::new(seed),
            world,
            verdict: None,
            is_over: false,
        };
        Arc::new(Baton {
            seed,
            limits,
            state: Mutex::new(state),
            over: Condvar::new(),
            start: Instant::now(),
            clock_us: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            launch: OnceLock::new(),
            mains: Mutex::default(),
        })
    }
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// The time of the simulation. Every look at it takes some, now and then much.
    pub fn now(&self) -> Instant {
        let look = mix(self.seed ^ mix(self.looks.fetch_add(1, Ordering::Relaxed)));
        let took = look % 40 + if look >> 32 & 63 == 0 { 1500 } else { 0 };
        let now = self.clock_us.fetch_add(took, Ordering::Relaxed) + took;
        self.start + Duration::from_micros(now)
    }
    fn glance(&self) -> Instant {
        self.start + Duration::from_micros(self.clock_us.load(Ordering::Relaxed))
    }

    /// Runs the simulation to its end; `launch` starts the program of a process, in a thread that it [spawns](Self::spawn_main).
    pub fn run(self: &Arc<Self>, launch: Launch) -> Result<(), Error> {
        let _ = self.launch.set(launch);
        let state = self.turn_over(self.lock(), NOBODY);
        let mut state = state;
        let (mut seen, mut since) = (state.steps, Instant::now());
        while !state.is_over {
            state =
                self.over.wait_timeout(state, Duration::from_secs(1)).unwrap_or_else(|e| e.into_inner()).0;
            if state.steps != seen {
                (seen, since) = (state.steps, Instant::now());
            } else if since.elapsed() > STUCK && !state.is_over {
                // Its threads cannot be ended; they stay.
                return Err(self.error(&state, &format!("a thread has not come back for {STUCK:?}")));
            }
        }
        let verdict = state.verdict.take();
        drop(state);
        for main in self.mains.lock().unwrap_or_else(|e| e.into_inner()).drain(..) {
            // What it had to say it has said.
            let _ = main.join();
        }
        verdict.map_or(Ok(()), Err)
    }
    /// True if all threads have ended.
    pub fn is_over(&self) -> bool {
        self.lock().is_over
    }
    /// Steps, and the hash of all of them.
    pub fn schedule(&self) -> (u64, u64) {
        let state = self.lock();
        (state.steps, state.hash)
    }
    /// The thread has come to a point; it goes on when it has the baton again. `counts`: that it has come here says that something
    /// happens.
    pub fn hand_on(self: &Arc<Self>, seat: &Seat, at: &'static str, counts: bool, waits: Option<Ready>) {
        // What unwinds already ends by itself: all that it waits for is gone.
        if self.hand_on_calmly(seat, at, counts, waits) && !std::thread::panicking() {
            resume_unwind(Box::new(Killed));
        }
    }
    /// As [`hand_on`](Self::hand_on); the thread of a killed process does not unwind. Says whether it is one.
    pub fn hand_on_calmly(
        self: &Arc<Self>,
        seat: &Seat,
        at: &'static str,
        counts: bool,
        waits: Option<Ready>,
    ) -> bool {
        let mut state = self.lock();
        self.note(&mut state, seat.number, at, counts);
        if counts && waits.is_none() {
            state.world.reached(seat.process, hash_bytes(at.as_bytes()) >> 32);
        }
        if let Some(place) = state.places.get_mut(&seat.number) {
            (place.at, place.waits) = (at, waits);
        }
        let state = self.turn_over(state, seat.number);
        let mut state = self.await_turn(state, seat.number);
        let waited = state.places.get_mut(&seat.number).and_then(|place| place.waits.take());
        let is_killed = state.is_lost(seat.process);
        drop(state);
        drop(waited);
        is_killed
    }
    fn note(&self, state: &mut State, number: usize, at: &str, counts: bool) {
        state.steps += 1;
        state.quiet = if counts { 0 } else { state.quiet + 1 };
        state.hash = mix(state.hash ^ hash_bytes(at.as_bytes()) ^ (number as u64) << 40);
        self.clock_us.fetch_add(5, Ordering::Relaxed);
    }
    fn await_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, number: usize) -> MutexGuard<'a, State> {
        let Some(turn) = state.places.get(&number).map(|place| place.turn.clone()) else { return state };
        while state.turn != number {
            state = turn.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        state
    }
    /// Lets happen what is due, and gives the baton to the next thread.
    fn turn_over<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        me: usize,
    ) -> MutexGuard<'a, State> {
        loop {
            let State { world, dice, steps, places, .. } = &mut *state;
            let doing = |process: usize| {
                let of_process = places.values().filter(|place| place.process == process);
                of_process.map(|place| format!("{}: {}", place.name, place.at)).collect::<Vec<_>>().join("; ")
            };
            let actions = world.advance(self, *steps, dice, &doing);
            if !actions.is_empty() {
                for action in &actions {
                    state.hash = mix(state.hash ^ action.mark());
                }
                state.quiet = 0;
                drop(state);
                actions.into_iter().for_each(|action| self.perform(action));
                state = self.lock();
                continue;
            }
            if state.places.is_empty() {
                if state.verdict.is_none() && state.world.hurry() {
                    continue;
                }
                state.is_over = true;
                self.over.notify_all();
                return state;
            }
            if state.verdict.is_none() && state.world.verdict.is_some() {
                let what = state.world.verdict.take().unwrap_or_default();
                state = self.end(state, &what);
                continue;
            }
            let Limits { steps, quiet } = self.limits;
            if state.verdict.is_none() && (state.steps > steps || state.quiet > quiet) {
                let what = if state.quiet > quiet {
                    format!("it hangs: nothing has happened for {quiet} steps")
                } else {
                    format!("it has not ended after {steps} steps")
                };
                state = self.end(state, &what);
                continue;
            }
            if let Some(next) = self.choose(&mut state, me) {
                state.turn = next;
                if next != me
                    && let Some(place) = state.places.get(&next)
                {
                    place.turn.notify_all();
                }
                return state;
            }
            if state.world.hurry() || self.skip_time(&state) {
                continue;
            }
            state = self.end(state, "it hangs: all threads wait for each other");
        }
    }
    /// The next thread that can go on.
    fn choose(&self, state: &mut State, me: usize) -> Option<usize> {
        let glance = crate::time::Instant::from_machine(self.glance());
        let State { places, dice, manner, steps, world, verdict, .. } = state;
        if *steps >= manner.until {
            let slow = (dice.below(3) == 0).then(|| dice.below(world.processes() as u64) as usize);
            let stays = [0, 0, 4, 7][dice.below(4) as usize];
            *manner = Manner { until: *steps + 1 + dice.below(2 * MANNER_STEPS), stays, slow };
        }
        let can = |number: &usize| {
            let place = &places[number];
            if place.has_begun && (verdict.is_some() || world.is_killed(place.process)) {
                return true;
            }
            let is_ready = |r: &Ready| r.until.is_some_and(|until| glance >= until) || (r.ready)();
            let is_frozen = world.is_frozen(place.process) && verdict.is_none();
            !is_frozen && place.waits.as_ref().is_none_or(is_ready)
        };
        if places.contains_key(&me) && dice.below(8) < manner.stays && can(&me) {
            return Some(me);
        }
        let mut left: Vec<usize> = places.keys().copied().collect();
        let mut slow = None;
        while !left.is_empty() {
            let number = left.swap_remove(dice.below(left.len() as u64) as usize);
            if !can(&number) {
                continue;
            }
            if manner.slow != Some(places[&number].process) || dice.below(16) == 0 {
                return Some(number);
            }
            slow = Some(number);
        }
        slow
    }
    /// If all wait and some for a time only, makes it that time.
    fn skip_time(&self, state: &State) -> bool {
        let until = state.places.values().filter(|place| !state.world.is_frozen(place.process));
        let until = until.filter_map(|place| place.waits.as_ref()?.until).min();
        let Some(until) = until else { return false };
        let now = crate::time::Instant::from_machine(self.start);
        self.clock_us.fetch_max(until.duration_since(now).as_micros() as u64 + 1, Ordering::Relaxed);
        true
    }
    fn perform(self: &Arc<Self>, action: Action) {
        match action {
            Action::Kill(board, generation) => {
                board.die("this process was killed".to_string());
                if let Some(generation) = generation {
                    generation.abort("this process was killed");
                }
            }
            Action::Abort(generation, why) => generation.abort(&why),
            Action::End(desk, generation, why) => {
                if let Some(generation) = generation {
                    generation.abort(&why);
                }
                desk.end(&why);
            }
            Action::Launch(process) => {
                if let Some(launch) = self.launch.get() {
                    launch(self, process);
                }
            }
            Action::Form => {}
        }
    }
    /// Ends the simulation: all processes are killed.
    fn end<'a>(&'a self, mut state: MutexGuard<'a, State>, what: &str) -> MutexGuard<'a, State> {
        let error = self.error(&state, what);
        state.verdict.get_or_insert(error);
        let boards = state.world.end();
        drop(state);
        boards.into_iter().for_each(|board| board.die("the simulation has ended".to_string()));
        self.lock()
    }
    fn error(&self, state: &State, what: &str) -> Error {
        let mut message = what.to_string();
        for place in state.places.values() {
            let process = state.world.describe(place.process);
            message.push_str(&format!("\n  {process}, {}: {}", place.name, place.at));
        }
        Error::new(ErrorKind::Simulation { seed: self.seed, step: state.steps, message })
    }
    /// Notes that a thread of the engine has failed.
    fn blame(&self, number: usize, what: &str) {
        let mut state = self.lock();
        let name = state.places.get(&number).map(|place| place.name.clone()).unwrap_or_default();
        state.world.verdict.get_or_insert(format!("a thread of the engine panicked, {name}: {what}"));
    }
    /// Starts a thread of a process: `first` at once, beside others, and `run` when it has the baton, not before `ready`.
    pub fn spawn<T>(
        self: &Arc<Self>,
        process: usize,
        name: &str,
        ready: Ready,
        first: impl FnOnce() -> T + Send + 'static,
        run: impl FnOnce(T) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let number = {
            let mut state = self.lock();
            let number = state.next;
            state.next += 1;
            let turn = Arc::<Condvar>::default();
            let (name, waits) = (name.to_string(), Some(ready));
            let place = Place { process, name, at: "begins", waits, has_begun: false, turn };
            state.places.insert(number, place);
            state.world.came(process);
            number
        };
        let seat = Seat { baton: self.clone(), number, process };
        let thread = std::thread::Builder::new().name(name.to_string()).spawn(move || {
            let first = first();
            seat::set(Some(seat.clone()));
            let mut state = seat.baton.await_turn(seat.baton.lock(), number);
            let waited = state.places.get_mut(&number).and_then(|place| {
                place.has_begun = true;
                place.waits.take()
            });
            drop(state);
            drop(waited);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(first)))
                && !is_killed(&*panic)
            {
                seat.baton.blame(number, crate::exec::task::text_of(&*panic));
            }
            seat.baton.leave(&seat);
            seat::set(None);
        });
        if thread.is_err() {
            self.lock().places.remove(&number);
        }
        thread
    }
    /// Starts the thread of a program.
    pub fn spawn_main(self: &Arc<Self>, process: usize, run: impl FnOnce() + Send + 'static) {
        let ready = Ready { ready: Box::new(|| true), until: None };
        match self.spawn(process, "main program", ready, || (), move |()| run()) {
            Ok(thread) => self.mains.lock().unwrap_or_else(|e| e.into_inner()).push(thread),
            Err(e) => {
                self.lock().world.verdict.get_or_insert(format!("threads: {e}"));
            }
        }
    }
    fn leave(self: &Arc<Self>, seat: &Seat) {
        let mut state = self.lock();
        self.note(&mut state, seat.number, "ends", true);
        state.places.remove(&seat.number);
        state.world.went(seat.process);
        drop(self.turn_over(state, NOBODY));
    }
}

impl State {
    /// A member has found that its generation is broken.
    pub fn generation_broken(&mut self, number: u64, why: &str) {
        self.world.broken(number, why, &mut self.dice);
    }
    fn is_lost(&self, process: usize) -> bool {
        self.verdict.is_some() || self.world.is_killed(process)
    }
}
