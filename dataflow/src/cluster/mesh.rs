//! How a process finds the others of its generation: by a supervisor and sockets ([`Member`](super::Member)), or in a
//! [simulation](crate::simulation).

use super::channel::Channel;
use super::generation::Generation;
use crate::error::Result;
use crate::exec::turns::Turns;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use timely::communication::allocator::ProcessBuilder;

/// What the workers of a process have done, for the supervisor.
#[derive(Default)]
pub(crate) struct Progress {
    jobs: AtomicU64,
    pub turns: Turns,
}

impl Progress {
    /// Jobs that have ended.
    pub fn jobs(&self) -> u64 {
        self.jobs.load(Ordering::Relaxed)
    }
    pub fn set_jobs(&self, jobs: u64) {
        self.jobs.store(jobs, Ordering::Relaxed);
    }
}

/// The members of a new generation, and the way to each.
pub(crate) struct Formation {
    pub generation: Arc<Generation>,
    /// Their slots, ascending.
    pub members: Vec<usize>,
    pub links: Links,
}

/// The ways to the members of a generation.
pub(crate) enum Links {
    /// By member; `None` for this process.
    Sockets(Vec<Option<Channel>>),
    /// All are in this process of the operating system.
    Simulated {
        /// For the workers of this one.
        builders: Vec<ProcessBuilder>,
        /// How many members have started their workers, which wait for each other, and whether all have.
        started: Arc<AtomicUsize>,
        all_started: Arc<dyn Fn() -> bool + Send + Sync>,
    },
}

/// The others, as a process knows them.
pub(crate) trait Mesh: Send + Sync {
    /// Waits for the next generation and connects its members. An error says that there will be none.
    fn next_formation(&self) -> Result<Formation>;
    /// Says that a generation works.
    fn say_formed(&self);
    /// Says that the program of this process has ended.
    fn say_left(&self, failed: bool);
    /// Takes part no longer.
    fn close(&self);
    /// Takes part no longer, and does not wait for what the others may have to say.
    fn cut_off(&self, why: &str);
}
