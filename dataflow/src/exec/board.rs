//! The job board of a process: worker threads follow it in order, so that all of them (and all processes) build the
//! same dataflows in the same order, which timely relies on and does not check.
//!
//! # Generations
//! What is on the board belongs to one generation of workers. When a peer is lost the generation is [interrupted
//! ](Board::interrupt): its workers end, the board is wiped, and whoever waits for a job posts it again for the workers of
//! the next one.

use super::turns::turn;
use crate::simulation;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use timely::worker::Worker;

/// Something that every worker does once.
pub(crate) trait Job: Send + Sync {
    fn run(&self, worker: &mut Worker);
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Arc<dyn Job>>,
    /// Number of the first job in `jobs`.
    first: usize,
    /// How many workers have taken each job of `jobs`.
    taken: VecDeque<usize>,
    /// The generation whose workers follow the board, and whether they do yet.
    generation: u64,
    open: bool,
    closed: bool,
    dead: Option<String>,
}

#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    posted: Condvar,
    /// Workers should end what they do; to be looked at often.
    interrupted: AtomicBool,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Posts a job, as soon as there are workers; returns their generation. Fails if there will be none any more.
    pub fn post(self: &Arc<Self>, job: Arc<dyn Job>) -> Result<u64, String> {
        let mut state = self.wait_open(self.lock())?;
        state.jobs.push_back(job);
        state.taken.push_back(0);
        self.posted.notify_all();
        Ok(state.generation)
    }
    /// Posts a job for the workers of one generation; false if they have been told to end.
    pub fn post_in(self: &Arc<Self>, generation: u64, job: Arc<dyn Job>) -> Result<bool, String> {
        let mut state = self.wait_open(self.lock())?;
        if state.generation != generation {
            return Ok(false);
        }
        state.jobs.push_back(job);
        state.taken.push_back(0);
        self.posted.notify_all();
        Ok(true)
    }
    /// Waits until there are workers; their generation.
    pub fn await_open(self: &Arc<Self>) -> Result<u64, String> {
        self.wait_open(self.lock()).map(|state| state.generation)
    }
    fn wait_open<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, String> {
        loop {
            if let Some(why) = &state.dead {
                return Err(why.clone());
            }
            if state.closed {
                return Err("the context is closed".to_string());
            }
            if state.open {
                return Ok(state);
            }
            // Whoever forms generations has deadlines, and says so here when they have passed.
            let (tick, board) = (Duration::from_secs(1), self.clone());
            let ready = move || {
                let state = board.lock();
                state.dead.is_some() || state.closed || state.open
            };
            state = simulation::wait_for(&self.state, state, &self.posted, tick, "waits for workers", ready);
        }
    }
    /// True if the workers of this generation, or all, have been told to end: what was posted for them is not finished.
    pub fn is_over(&self, generation: u64) -> bool {
        let state = self.lock();
        state.dead.is_some() || state.generation != generation || !state.open
    }
    /// The `n`th job of this generation, or `None` when its workers should end. The caller is one of `workers`.
    pub fn take(self: &Arc<Self>, n: usize, workers: usize) -> Option<Arc<dyn Job>> {
        // Jobs of an iterative program follow within microseconds: waiting a moment beats two context switches.
        let spin_until = Instant::now() + Duration::from_micros(if workers > 1 { 20 } else { 5 });
        loop {
            turn();
            if self.is_interrupted() {
                return None;
            }
            let mut state = self.lock();
            if let Some(job) = state.jobs.get(n.wrapping_sub(state.first)).cloned() {
                let i = n - state.first;
                state.taken[i] += 1;
                while state.taken.front() == Some(&workers) {
                    state.jobs.pop_front();
                    state.taken.pop_front();
                    state.first += 1;
                }
                return Some(job);
            }
            if state.closed || state.dead.is_some() {
                return None;
            }
            if simulation::is_on() {
                drop(state);
                let board = self.clone();
                simulation::wait_calmly("waits for a job", move || {
                    let state = board.lock();
                    let is_there = state.jobs.len() > n.wrapping_sub(state.first);
                    is_there || state.closed || state.dead.is_some() || board.is_interrupted()
                });
                continue;
            }
            if Instant::now() < spin_until {
                drop(state);
                std::hint::spin_loop();
                continue;
            }
            let _unused = self.posted.wait_timeout(state, Duration::from_secs(1));
        }
    }
    /// Wipes the board for the workers of a new generation. Those of the last one have ended.
    pub fn begin(&self, generation: u64) {
        let mut state = self.lock();
        state.jobs.clear();
        state.taken.clear();
        (state.first, state.generation, state.open) = (0, generation, false);
        self.interrupted.store(false, Ordering::Release);
    }
    /// Says that the workers of a generation are there.
    pub fn open(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation && !self.is_interrupted() {
            state.open = true;
        }
        self.posted.notify_all();
    }
    /// Tells the workers of this generation to end.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.lock().open = false;
        self.posted.notify_all();
    }
    /// True if workers should end.
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
    pub fn close(&self) {
        self.lock().closed = true;
        self.posted.notify_all();
    }
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
    /// Says that there will be no workers any more.
    pub fn die(&self, why: String) {
        self.interrupted.store(true, Ordering::Release);
        let mut state = self.lock();
        state.dead.get_or_insert(why);
        state.jobs.clear();
        state.taken.clear();
        self.posted.notify_all();
    }
    pub fn dead(&self) -> Option<String> {
        self.lock().dead.clone()
    }
}
