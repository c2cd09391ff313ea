//! The job board of a process: worker threads follow it in order, so that all of them (and all processes) build the
//! same dataflows in the same order, which timely relies on and does not check.

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
    closed: bool,
    dead: Option<String>,
}

#[derive(Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    posted: Condvar,
    /// The same as `state.dead`, to be looked at often.
    is_dead: AtomicBool,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Posts a job. Fails if the workers are gone.
    pub fn post(&self, job: Arc<dyn Job>) -> Result<(), String> {
        let mut state = self.lock();
        if let Some(why) = &state.dead {
            return Err(why.clone());
        }
        if state.closed {
            return Err("the context is closed".to_string());
        }
        state.jobs.push_back(job);
        state.taken.push_back(0);
        self.posted.notify_all();
        Ok(())
    }
    /// The `n`th job, or `None` when the board is closed. The caller is one of `workers`.
    pub fn take(&self, n: usize, workers: usize) -> Option<Arc<dyn Job>> {
        // Jobs of an iterative program follow within microseconds: waiting a moment beats two context switches.
        let spin_until = Instant::now() + Duration::from_micros(if workers > 1 { 20 } else { 5 });
        loop {
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
            if Instant::now() < spin_until {
                drop(state);
                std::hint::spin_loop();
                continue;
            }
            let _unused = self.posted.wait_timeout(state, Duration::from_secs(1));
        }
    }
    pub fn close(&self) {
        self.lock().closed = true;
        self.posted.notify_all();
    }
    /// Says that the workers cannot go on (a peer process is gone).
    pub fn die(&self, why: String) {
        self.is_dead.store(true, Ordering::Release);
        let mut state = self.lock();
        state.dead.get_or_insert(why);
        state.jobs.clear();
        state.taken.clear();
        self.posted.notify_all();
    }
    pub fn dead(&self) -> Option<String> {
        self.lock().dead.clone()
    }
    /// True if some worker of this process cannot go on.
    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }
}
