//! The result log of a process: what the jobs of the program have given, for a process that takes a lost one's place.
//!
//! # What
//! Every process runs the same program, and every process has the result of every job. A process that is started later
//! runs the program from its beginning, but takes the results of jobs that are finished from the logs of the others
//! ([`catch_up`]) instead of running them. So it comes to where the others are without their help, but for the first
//! message, and its datasets, accumulators and tables are what theirs are.
//!
//! # Guarantees
//! A result is written down by the workers before the job ends for anybody, so when a generation has ended, a job either
//! is in the log or nobody in this process has seen it end. Entries carry the fingerprint of their job: a program that
//! takes another way the second time is told so.
//!
//! # Cost
//! Nothing in a process that is alone. Else the encoded results of all jobs; beyond [`MEMORY_BYTES`] they go to a file.

use super::gather::all_gather;
use crate::context::{Engine, accumulator::Contribution};
use crate::error::{Error, ErrorKind, Result};
use crate::fault;
use crate::simulation;
use crate::store::spill::{Frame, SpillDir, SpillFile};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard};
use timely::worker::Worker;

/// Results that are kept in memory.
const MEMORY_BYTES: usize = 64 << 20;
/// Results that are sent at once.
const MESSAGE_BYTES: usize = 4 << 20;

/// What a job has come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Encoded results, by partition.
    Done(Vec<Vec<u8>>),
    Failed(ErrorKind),
}

/// A finished job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Fingerprint of the job.
    pub digest: u64,
    /// The job in words.
    pub what: String,
    pub outcome: Outcome,
    /// What tasks of all processes have added to accumulators.
    pub contributions: Vec<Contribution>,
    /// What the job wants to be known later besides; it need not be the same in all logs.
    pub remembered: Vec<u8>,
}

enum Place {
    Memory(Vec<u8>),
    Disk(Frame),
}

#[derive(Default)]
struct State {
    /// By job, from the first; numbers of jobs begin at 1.
    entries: Vec<Place>,
    bytes: usize,
    file: Option<SpillFile>,
}

/// The results of all jobs so far.
#[derive(Default)]
pub(crate) struct ResultLog {
    state: Mutex<State>,
}

impl ResultLog {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// How many jobs have ended.
    pub fn jobs(&self) -> u64 {
        self.lock().entries.len() as u64
    }
    /// Writes the result of the job after the last one down.
    pub fn append(&self, entry: &Entry, dir: &SpillDir) -> Result<()> {
        let bytes = postcard::to_stdvec(entry).map_err(|e| Error::usage(e.to_string()))?;
        if simulation::is_on() {
            let outcome = postcard::to_stdvec(&entry.outcome).map_err(|e| Error::usage(e.to_string()))?;
            simulation::saw(self.jobs() + 1, &outcome);
        }
        self.append_encoded(bytes, dir)
    }
    fn append_encoded(&self, bytes: Vec<u8>, dir: &SpillDir) -> Result<()> {
        let mut state = self.lock();
        let place = if state.bytes + bytes.len() <= MEMORY_BYTES {
            state.bytes += bytes.len();
            Place::Memory(bytes)
        } else {
            if state.file.is_none() {
                state.file = Some(dir.create()?);
            }
            Place::Disk(state.file.as_ref().expect("just made").append(&bytes)?)
        };
        state.entries.push(place);
        Ok(())
    }
    fn encoded(&self, job: u64) -> Result<Option<Vec<u8>>> {
        let state = self.lock();
        let place = job.checked_sub(1).and_then(|i| state.entries.get(i as usize));
        match (place, &state.file) {
            (Some(Place::Memory(bytes)), _) => Ok(Some(bytes.clone())),
            (Some(Place::Disk(frame)), Some(file)) => {
                let mut bytes = vec![];
                file.read(frame, &mut bytes)?;
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }
    /// The result of a job, if it has ended.
    pub fn get(&self, job: u64) -> Result<Option<Entry>> {
        let Some(bytes) = self.encoded(job)? else { return Ok(None) };
        let entry = postcard::from_bytes(&bytes);
        entry.map(Some).map_err(|e| Error::new(ErrorKind::Lost(format!("the result of job {job}: {e}"))))
    }
    /// Results of the jobs from `from` on, about as many as go into one message.
    fn pack(&self, from: u64) -> Result<Vec<Vec<u8>>> {
        let (mut packed, mut bytes, mut job) = (vec![], 0, from);
        while bytes < MESSAGE_BYTES
            && let Some(entry) = self.encoded(job)?
        {
            bytes += entry.len();
            job += 1;
            packed.push(entry);
        }
        Ok(packed)
    }
}

/// Gives all processes the results that one of them has. Collective, the first thing in a generation.
pub(crate) fn catch_up(worker: &mut Worker, engine: &Engine) -> Result<()> {
    let topology = engine.topology();
    if topology.processes == 1 {
        return Ok(());
    }
    let damaged = |e: postcard::Error| Error::new(ErrorKind::Cluster(format!("catching up: {e}")));
    let mine = postcard::to_stdvec(&engine.log.jobs()).map_err(damaged)?;
    fault::reach("in-catch-up", engine.log.jobs());
    let jobs = all_gather(worker, engine, mine)?;
    let jobs: Vec<u64> =
        jobs.iter().map(|b| postcard::from_bytes(b)).collect::<Result<_, _>>().map_err(damaged)?;
    let (least, most) = (jobs.iter().copied().min().unwrap_or(0), jobs.iter().copied().max().unwrap_or(0));
    let sender = jobs.iter().position(|n| *n == most).unwrap_or(0);
    let speaks = worker.index().is_multiple_of(topology.workers);
    let mut have = least;
    while have < most {
        let packed = if speaks && topology.process == sender { engine.log.pack(have + 1)? } else { vec![] };
        let bytes = postcard::to_stdvec(&packed).map_err(damaged)?;
        let all = all_gather(worker, engine, bytes)?;
        let packed: Vec<Vec<u8>> = postcard::from_bytes(&all[sender]).map_err(damaged)?;
        if packed.is_empty() {
            return Err(Error::new(ErrorKind::Cluster("catching up: nothing was sent".to_string())));
        }
        for entry in packed {
            have += 1;
            if speaks && engine.log.jobs() + 1 == have {
                engine.log.append_encoded(entry, &engine.store.dir)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_results_go_to_disk_and_come_back() {
        let (log, dir) = (ResultLog::default(), SpillDir::new(&std::env::temp_dir()));
        let entry = |i: u64| Entry {
            digest: i,
            what: "test".to_string(),
            outcome: Outcome::Done(vec![vec![i as u8; 24 << 20]]),
            contributions: vec![],
            remembered: vec![],
        };
        (1..=4).for_each(|i| log.append(&entry(i), &dir).unwrap());
        assert!(dir.path().exists(), "the third one did not fit");
        for i in 1..=4 {
            let got = log.get(i).unwrap().unwrap();
            assert_eq!(got.digest, i);
            let Outcome::Done(parts) = got.outcome else { panic!("it went well") };
            assert!(parts[0].len() == 24 << 20 && parts[0].iter().all(|b| *b == i as u8));
        }
        assert!(log.get(5).unwrap().is_none() && log.get(0).unwrap().is_none());
        assert_eq!(log.pack(2).unwrap().len(), 1, "one is more than a message");
    }
}
