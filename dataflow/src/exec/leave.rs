//! How a process of a cluster leaves it, so that no other is left waiting and none loses what it has not heard yet.
//!
//! # Guarantees
//! The first thing that a job does is to exchange a [`Call`]; leaving exchanges one too. So a process that leaves is
//! heard by the others in the next thing they do: where they leave as well, all have had everything that was sent to
//! them; where they begin a job, that job fails with the reason.

use super::board::Job;
use super::gather::all_gather;
use super::job::Proposal;
use crate::context::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::simulation;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use timely::worker::Worker;

/// How long a process that leaves waits for the others; they may be busy outside any job.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the generation.
const TICK: Duration = Duration::from_millis(20);

/// What a process means to do next.
#[derive(Serialize, Deserialize)]
pub(crate) enum Call {
    /// Run this job.
    Job(Proposal),
    /// Leave, for this reason.
    Leave(String),
}

impl Call {
    /// The calls of all processes, by process. Collective.
    pub fn exchange(&self, worker: &mut Worker, engine: &Engine) -> Result<Vec<Call>> {
        let bytes = postcard::to_stdvec(self).map_err(|e| Error::usage(e.to_string()))?;
        let open =
            |b: &Vec<u8>| postcard::from_bytes(b).map_err(|e| Error::new(ErrorKind::Cluster(e.to_string())));
        all_gather(worker, engine, bytes)?.iter().map(open).collect()
    }
}

/// The last job of a process.
struct Leaving {
    engine: Arc<Engine>,
    why: String,
    answers: Arc<Answers>,
}

/// From each worker: do all processes leave?
#[derive(Default)]
struct Answers {
    all_leave: Mutex<Vec<bool>>,
    more: Condvar,
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Vec<bool>> {
        self.all_leave.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Job for Leaving {
    fn run(&self, worker: &mut Worker) {
        fault::reach("in-leave", self.engine.log.jobs());
        let calls = Call::Leave(self.why.clone()).exchange(worker, &self.engine);
        if self.engine.board.is_interrupted() {
            return;
        }
        fault::reach("after-leave", self.engine.log.jobs());
        let all = calls.is_ok_and(|calls| calls.iter().all(|c| matches!(c, Call::Leave(_))));
        self.answers.lock().push(all);
        self.answers.more.notify_all();
    }
}

/// Leaves the cluster, and closes the board. True if every process has left: the threads end by themselves then.
pub(crate) fn leave(engine: &Arc<Engine>, why: &str) -> bool {
    let all = loop {
        let answers = Arc::<Answers>::default();
        let job = Leaving { engine: engine.clone(), why: why.to_string(), answers: answers.clone() };
        let Ok(generation) = engine.board.post(Arc::new(job)) else { break false };
        if let Some(all) = wait(engine, generation, &answers) {
            break all;
        }
        // A process was lost meanwhile: the one in its place must hear it, too.
    };
    engine.board.close();
    all
}

/// Whether all leave; nothing if the generation has ended before that was known.
fn wait(engine: &Arc<Engine>, generation: u64, answers: &Arc<Answers>) -> Option<bool> {
    let (until, workers) = (Instant::now() + PATIENCE, engine.config.workers);
    let mut heard = answers.lock();
    loop {
        if heard.iter().any(|all| !all) {
            return Some(false);
        }
        if heard.len() == workers {
            return Some(true);
        }
        if engine.board.is_over(generation) {
            return None;
        }
        if Instant::now() > until {
            return Some(false);
        }
        let (answered, board, n) = (answers.clone(), engine.board.clone(), heard.len());
        let ready = move || answered.lock().len() > n || board.is_over(generation);
        heard = simulation::wait_for_until(
            (&answers.all_leave, heard, &answers.more),
            TICK,
            "waits for all to leave",
            Some(until),
            ready,
        );
    }
}
