//! A whole cluster in one process of the operating system, run step by step as a seed says, with faults.
//!
//! # What
//! A [`Simulation`] runs a program as some processes of a cluster would: each has a thread for its main program, its workers, its
//! own blocks, results and recovery points, and they form generations and exchange messages, encoded, as over sockets. But only one
//! thread runs at a time. At every point at which the engine waits, steps, or does something of which the loss of a process must
//! not make a difference, the seed says which thread goes on: so threads meet in orders that real clusters hardly ever show.
//! There, too, processes are killed and replaced, put to sleep, and given up and woken later ([`Faults`]).
//!
//! # Guarantees
//! The same program, settings and seed give the same schedule and the same faults ([`Simulated::schedule`] is a hash of all of it).
//! That all processes end with the same, and have the same results of every job, is checked. A program that does not end is
//! an error that says where each of its threads is, as is one whose processes differ; its seed shows it again.
//!
//! # What it does not show
//! Time is the simulation's: it says nothing about speed. Messages are neither lost nor damaged, and arrive when they are sent;
//! that they are late shows as a thread that is late. A killed process unwinds, so its destructors run. What processes share by other
//! ways, such as files or `static`s, is shared here, too. A thread that the program starts itself is not simulated.
//!
//! # Cost
//! 5-10 us a step, and no more than one core.
//!
//! ```
//! use slackwater_dataflow::simulation::Simulation;
//! let program = |cx: &slackwater_dataflow::Context| {
//!     let words = cx.parallelize(vec!["in", "the", "slack", "in", "the", "water"], 3);
//!     words.map(|w| (w.to_string(), 1)).reduce_by_key(|a: &mut i32, b| *a += b).collect_as_map()
//! };
//! for seed in 0..10 {
//!     let simulated = Simulation::new(seed).processes(3).kills(2).run(program)?;
//!     assert_eq!(simulated.result["in"], 2, "{:?}", simulated.faults);
//! }
//! # Ok::<(), slackwater_dataflow::Error>(())
//! ```

mod baton;
mod faults;
mod seat;
mod slabs;
mod world;

pub use faults::{Fault, Faults, Injected};
pub(crate) use seat::{
    Task, is_killed, is_on, now, pass_on, reach, step, wait_calmly, wait_for, wait_for_until,
};
pub(crate) use world::saw;

use crate::cluster::{Membership, Secret};
use crate::context::{Config, Context};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::task::text_of;
use baton::{Baton, Dice, Limits};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use world::{SLOTS, World};

/// Steps after which a program is taken not to end.
const STEPS_MAX: u64 = 20_000_000;
/// As many steps without anything having happened are a hang.
const QUIET_MAX: u64 = 300_000;
/// Memory of a simulated process, unless the settings say otherwise.
const MEMORY_BYTES: u64 = 64 << 20;

/// A cluster that is simulated; see the [module](self).
#[derive(Debug, Clone)]
#[must_use = "it does nothing before `run`"]
pub struct Simulation {
    seed: u64,
    processes: usize,
    config: Config,
    faults: Faults,
    limits: Limits,
}

/// What a simulation has come to.
#[derive(Debug, Clone)]
pub struct Simulated<R> {
    /// What the program has returned, in all processes alike.
    pub result: R,
    /// Steps from thread to thread.
    pub steps: u64,
    /// Generations that were formed.
    pub generations: u64,
    /// What has gone wrong.
    pub faults: Vec<Injected>,
    /// A hash of every step: which thread, where.
    pub schedule: u64,
}

impl Simulation {
    /// Of two processes with one worker each, in which nothing goes wrong. Everything that is random follows from the seed.
    pub fn new(seed: u64) -> Self {
        Simulation {
            seed,
            processes: 2,
            config: Config { memory_budget_bytes: MEMORY_BYTES, ..Config::local(1) },
            faults: Faults::default(),
            limits: Limits { steps: STEPS_MAX, quiet: QUIET_MAX },
        }
    }
    /// How many processes there are.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = processes;
        self
    }
    /// Worker threads of each process.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }
    /// The settings of each process. Who it is, is the simulation's.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
    /// Kills as many processes, if the program runs for long enough. Other faults stay as they were.
    pub fn kills(mut self, kills: usize) -> Self {
        self.faults.kills = kills;
        self
    }
    /// What goes wrong.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
    /// Ends a program that has not ended after as many steps, with an error. Default: 20 million.
    pub fn steps_max(mut self, steps: u64) -> Self {
        self.limits.steps = steps;
        self
    }
    /// Ends a program of which nothing was seen for as many steps, but threads that wait for messages. Default: 300 000.
    pub fn patience(mut self, steps: u64) -> Self {
        self.limits.quiet = steps;
        self
    }
    /// Runs the program in every process, and again in each that takes the place of a lost one.
    ///
    /// # Errors
    /// The program's, if it fails in all processes. [`ErrorKind::Simulation`] if it does not end, or if the processes differ in how
    /// they end, what they return or what their jobs have given.
    pub fn run<R, F>(self, program: F) -> Result<Simulated<R>>
    where
        R: PartialEq + Debug + Send + 'static,
        F: Fn(&Context) -> Result<R> + Send + Sync + 'static,
    {
        let Simulated { result, steps, generations, faults, schedule } = self.observe(program)?;
        Ok(Simulated { result: result?, steps, generations, faults, schedule })
    }
    /// As [`run`](Self::run), for a program that may fail: its error is a result, too.
    ///
    /// # Errors
    /// [`ErrorKind::Simulation`], as `run`.
    pub fn observe<R, F>(self, program: F) -> Result<Simulated<Result<R>>>
    where
        R: PartialEq + Debug + Send + 'static,
        F: Fn(&Context) -> Result<R> + Send + Sync + 'static,
    {
        if is_on() {
            return Err(Error::usage("a simulation inside of a simulation"));
        }
        self.config.check()?;
        if !(1..=SLOTS).contains(&self.processes) {
            let message = format!("{} is not between 1 and {SLOTS}", self.processes);
            return Err(Error::config("processes", message));
        }
        let running = Running::begin();
        let mut dice = Dice::new(!self.seed);
        let world = World::new(self.processes, self.config.workers, self.faults, &mut dice);
        let baton = Baton::new(self.seed, self.limits, world);
        let ends = Arc::new(Mutex::new(vec![]));
        let (config, seed, slots) = (self.config, self.seed, self.processes);
        let (program, told) = (Arc::new(program), ends.clone());
        let secret = Secret::random()?;
        let launch = move |baton: &Arc<Baton>, process: usize| {
            let membership = Membership {
                process: baton.lock().world.slot(process),
                processes: slots,
                rendezvous: "simulated".to_string(),
                secret: secret.clone(),
                run: format!("simulated-{seed:x}"),
                encrypt: false,
                host: "simulated".to_string(),
            };
            let config = Config { membership: Some(membership), ..config.clone() };
            let (program, told, in_it) = (program.clone(), told.clone(), baton.clone());
            baton.spawn_main(process, move || {
                run_program(&in_it, process, config, &*program, &|end| {
                    let era = in_it.lock().world.era();
                    told.lock().unwrap_or_else(|e| e.into_inner()).push((process, era, end));
                });
            });
        };
        let ended = baton.run(Box::new(launch));
        if !baton.is_over() {
            // Threads that could not be ended are simulated for ever.
            std::mem::forget(running);
        }
        ended?;
        let (steps, schedule) = baton.schedule();
        let mut state = baton.lock();
        let faults = std::mem::take(&mut state.world.injected);
        let generations = state.world.generations();
        let ends = std::mem::take(&mut *ends.lock().unwrap_or_else(|e| e.into_inner()));
        let ends = ends.into_iter().map(|(process, era, end)| End {
            slot: state.world.slot(process),
            counts: state.world.is_current(process) && !state.world.is_ending(process),
            is_known: era == state.world.era(),
            result: end,
        });
        let result = agree(ends.collect(), &state.world.members())
            .map_err(|message| Error::new(ErrorKind::Simulation { seed, step: steps, message }))?;
        Ok(Simulated { result, steps, generations, faults, schedule })
    }
}

/// True on a thread of a simulation, which must start no others.
#[doc(hidden)]
pub fn is_simulated() -> bool {
    is_on()
}

/// How a process has ended.
struct End<R> {
    slot: usize,
    /// It was not lost, nor told that others had ended.
    counts: bool,
    /// What it knew was not lost afterwards, with all that knew it.
    is_known: bool,
    result: Result<R>,
}

/// What all processes have come to; what is wrong if they differ.
fn agree<R: PartialEq + Debug>(ends: Vec<End<R>>, members: &BTreeSet<usize>) -> Result<Result<R>, String> {
    let (mut errors, mut results): (Vec<(usize, Error)>, Vec<(usize, bool, R)>) = (vec![], vec![]);
    for end in ends {
        match end.result {
            // Also of a process that was lost when it had come to its end.
            Ok(result) if end.counts || end.is_known => results.push((end.slot, end.counts, result)),
            Ok(_) => {}
            Err(e) if end.counts => errors.push((end.slot, e)),
            Err(_) => {}
        }
    }
    if let [(first, _, a), rest @ ..] = &results[..]
        && let Some((other, _, b)) = rest.iter().find(|(_, _, b)| a != b)
    {
        return Err(format!("process {first} has returned {}, process {other} {}", short(a), short(b)));
    }
    // What a process says of another is less than what that one says itself.
    errors.sort_by_key(|(slot, e)| (matches!(e.kind(), ErrorKind::Cluster(_)), *slot));
    if let Some((slot, error)) = errors.into_iter().next() {
        return match results.iter().find(|(_, counts, _)| *counts) {
            Some((other, ..)) => {
                Err(format!("process {slot} has failed, and process {other} has not: {error}"))
            }
            None => Ok(Err(error)),
        };
    }
    let missing = members.iter().find(|slot| results.iter().all(|(s, ..)| s != *slot));
    match (results.pop(), missing) {
        (Some((_, _, result)), None) => Ok(Ok(result)),
        (_, missing) => Err(format!("process {} has come to no end", missing.unwrap_or(&0))),
    }
}

fn short(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

/// Runs the program of one process.
fn run_program<R, F: Fn(&Context) -> Result<R>>(
    baton: &Arc<Baton>,
    process: usize,
    config: Config,
    program: &F,
    end: &dyn Fn(Result<R>),
) {
    let (board, progress, mesh) = baton.lock().world.mesh(baton, process);
    let cx = match Context::with_mesh(config, board, progress, Some(mesh)) {
        Ok(cx) => cx,
        Err(e) => return end(Err(e)),
    };
    let result = match catch_unwind(AssertUnwindSafe(|| program(&cx))) {
        Ok(result) => result,
        Err(panic) => {
            let panic = pass_on(panic);
            Err(Error::usage(format!("the program has panicked: {}", text_of(&*panic))))
        }
    };
    let failure = result.as_ref().err().map(|e| e.to_string());
    end(result);
    cx.leave(failure.as_deref());
}

/// While this lives, threads look whether they are in a simulation.
struct Running;

impl Running {
    fn begin() -> Self {
        seat::RUNNING.fetch_add(1, Ordering::Relaxed);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        seat::RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[test]
    fn threads_that_all_wait_are_a_hang() {
        let hangs = Simulation::new(3).kills(1).run(|cx| {
            let n = cx.range(0..4, 2).count()?;
            seat::wait("waits for what never comes", || false);
            Ok(n)
        });
        let error = hangs.unwrap_err().to_string();
        assert!(error.contains("seed 3") && error.contains("all threads wait for each other"), "{error}");
        assert_eq!(error.matches("main program: waits for what never comes").count(), 2, "{error}");
    }

    #[test]
    fn time_passes_where_all_wait_for_it() {
        let start = std::time::Instant::now();
        let waited = Simulation::new(4).run(|_| {
            let until = Instant::now() + Duration::from_secs(3600);
            seat::wait_until("waits for an hour", Some(until), || false);
            Ok(Instant::now() >= until)
        });
        assert!(waited.unwrap().result && start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_thread_of_a_killed_process_unwinds_and_lets_go() {
        struct Counts(Arc<AtomicUsize>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (begun, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (begins, ends) = (begun.clone(), ended.clone());
        let faults = Faults { kills: 3, apart_steps: 100, ..Faults::default() };
        let simulated = Simulation::new(5).faults(faults).run(move |cx| {
            begins.fetch_add(1, Ordering::Relaxed);
            let _counts = Counts(ends.clone());
            (0..6).try_for_each(|_| cx.range(0..9, 3).count().map(drop))
        });
        assert_eq!(simulated.unwrap().faults.len(), 3);
        // Some may have been killed before their programs began.
        assert!(begun.load(Ordering::Relaxed) > 2);
        assert_eq!(begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
    }
}
