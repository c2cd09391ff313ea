//! A thread's place in a simulation: where it hands the baton on.
//!
//! All that waits in the engine waits by a function of this file. Outside of a simulation they wait as threads do; inside, they
//! let another thread run.

use super::baton::{Baton, Ready};
use crate::exec::turns::turn;
use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timely::worker::Worker;

/// Simulations that run: a look at this is what everybody else pays.
pub(super) static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A thread's place.
#[derive(Clone)]
pub(super) struct Seat {
    pub baton: Arc<Baton>,
    pub number: usize,
    pub process: usize,
}

thread_local! {
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
}

/// What a thread of a killed process unwinds with.
pub(super) struct Killed;

/// Goes on unwinding if a panic is the end of a killed process, which is not the panic of anything in it.
pub(crate) fn pass_on(panic: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    if is_killed(&*panic) {
        resume_unwind(panic);
    }
    panic
}

/// True if a panic is the end of a killed process.
pub(crate) fn is_killed(panic: &(dyn Any + Send)) -> bool {
    panic.is::<Killed>()
}

pub(super) fn set(seat: Option<Seat>) {
    SEAT.set(seat);
}

#[inline]
pub(super) fn seat() -> Option<Seat> {
    if RUNNING.load(Ordering::Relaxed) == 0 {
        return None;
    }
    // A thread that ends has none any more.
    SEAT.try_with(|seat| seat.borrow().clone()).ok().flatten()
}

/// True on a thread of a simulation.
#[inline]
pub(crate) fn is_on() -> bool {
    seat().is_some()
}

/// The time of the simulation, if this thread is in one.
#[inline]
pub(crate) fn now() -> Option<Instant> {
    seat().map(|seat| seat.baton.now())
}

/// A point of some meaning at which another thread may go on, and at which this process may be killed.
#[inline]
pub(crate) fn reach(at: &'static str) {
    if let Some(seat) = seat() {
        seat.baton.hand_on(&seat, at, true, None);
    }
}

/// One step of a worker that waits for others; it may sleep for `patience`.
#[inline]
pub(crate) fn step(worker: &mut Worker, patience: Duration, at: &'static str) {
    match seat() {
        None => {
            turn();
            worker.step_or_park(Some(patience))
        }
        Some(seat) => {
            seat.baton.hand_on(&seat, at, false, None);
            worker.step()
        }
    };
}

/// In a simulation, lets others go on until `ready`, or until this process is killed; no lock may be held. False elsewhere.
pub(crate) fn wait(at: &'static str, ready: impl Fn() -> bool + Send + 'static) -> bool {
    wait_until(at, None, ready)
}

/// As [`wait`], but no longer than until then.
pub(crate) fn wait_until(
    at: &'static str,
    until: Option<crate::time::Instant>,
    ready: impl Fn() -> bool + Send + 'static,
) -> bool {
    let Some(seat) = seat() else { return false };
    seat.baton.hand_on(&seat, at, true, Some(Ready { ready: Box::new(ready), until }));
    true
}

/// As [`wait`], but a thread of a killed process goes on, to find by itself that it is: for who holds what must not be dropped
/// while it unwinds.
pub(crate) fn wait_calmly(at: &'static str, ready: impl Fn() -> bool + Send + 'static) {
    if let Some(seat) = seat() {
        let ready = Ready { ready: Box::new(ready), until: None };
        seat.baton.hand_on_calmly(&seat, at, true, Some(ready));
    }
}

/// Waits for a condition variable for `patience`; in a simulation, until `ready`.
pub(crate) fn wait_for<'a, T>(
    mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    changed: &Condvar,
    patience: Duration,
    at: &'static str,
    ready: impl Fn() -> bool + Send + 'static,
) -> MutexGuard<'a, T> {
    wait_for_until((mutex, guard, changed), patience, at, None, ready)
}

/// As [`wait_for`], in a simulation no longer than until then.
pub(crate) fn wait_for_until<'a, T>(
    (mutex, guard, changed): (&'a Mutex<T>, MutexGuard<'a, T>, &Condvar),
    patience: Duration,
    at: &'static str,
    until: Option<crate::time::Instant>,
    ready: impl Fn() -> bool + Send + 'static,
) -> MutexGuard<'a, T> {
    if !is_on() {
        return changed.wait_timeout(guard, patience).unwrap_or_else(|e| e.into_inner()).0;
    }
    drop(guard);
    wait_until(at, until, ready);
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// A thread of the engine.
pub(crate) struct Task {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Says at its end that a thread has ended.
pub(super) struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Task {
    /// Starts a thread; in a simulation, one of it.
    pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Task> {
        Task::spawn_when(name, || true, || (), move |()| run())
    }
    /// Starts a thread that in a simulation runs when it is `ready`, but for `first`, which it does at once, beside others:
    /// it may wait for what they do first, and for nothing else.
    pub fn spawn_when<T>(
        name: &str,
        ready: impl Fn() -> bool + Send + 'static,
        first: impl FnOnce() -> T + Send + 'static,
        run: impl FnOnce(T) + Send + 'static,
    ) -> io::Result<Task> {
        let ended = Arc::<AtomicBool>::default();
        let ends = Ends(ended.clone());
        let thread = match seat() {
            Some(seat) => {
                let ready = Ready { ready: Box::new(ready), until: None };
                seat.baton.spawn(seat.process, name, ready, first, move |first| {
                    let _ends = ends;
                    run(first);
                })?
            }
            None => std::thread::Builder::new().name(name.to_string()).spawn(move || {
                let _ends = ends;
                run(first());
            })?,
        };
        Ok(Task { ended, thread })
    }
    /// True if it runs no longer.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
    /// Tells whether it has ended, without it.
    pub fn watch(&self) -> impl Fn() -> bool + Send + 'static {
        let ended = self.ended.clone();
        move || ended.load(Ordering::Acquire)
    }
    /// Waits for its end, but no longer than that.
    pub fn wait_ended(&self, time: Duration) {
        let until = crate::time::Instant::now() + time;
        if wait_until("waits for a thread to end", Some(until), self.watch()) {
            return;
        }
        while !self.is_ended() && crate::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    /// Waits for its end.
    pub fn join(self) {
        wait("waits for a thread to end", self.watch());
        // How it ended it has said already.
        let _ = self.thread.join();
    }
}
