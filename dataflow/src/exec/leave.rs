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
use serde::{Deserialize, Serialize};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
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
    /// From each worker: do all processes leave?
    all_leave: Mutex<Sender<bool>>,
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
        // Nobody listens any more if it took too long.
        let _ = self.all_leave.lock().unwrap_or_else(|e| e.into_inner()).send(all);
    }
}

/// Leaves the cluster, and closes the board. True if every process has left: the threads end by themselves then.
pub(crate) fn leave(engine: &Arc<Engine>, why: &str) -> bool {
    let all = loop {
        let (all_leave, answers) = channel();
        let job = Leaving { engine: engine.clone(), why: why.to_string(), all_leave: Mutex::new(all_leave) };
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
fn wait(engine: &Engine, generation: u64, answers: &Receiver<bool>) -> Option<bool> {
    let until = Instant::now() + PATIENCE;
    let mut heard = 0;
    while heard < engine.config.workers {
        match answers.recv_timeout(TICK) {
            Ok(true) => heard += 1,
            Ok(false) => return Some(false),
            Err(_) if engine.board.is_over(generation) => return None,
            Err(_) if Instant::now() > until => return Some(false),
            Err(_) => {}
        }
    }
    Some(true)
}
