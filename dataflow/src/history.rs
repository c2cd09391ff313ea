//! What a run has done, from its events: as they come, or from the file that they were written to.
//!
//! # What
//! [`History::apply`] is a function of the events alone, so a file that is [read](History::read) gives what a listener had
//! when its last line was written.
//!
//! # Guarantees
//! A file whose run was killed, or still goes on, is read up to its last whole line, and its state is
//! [`State::InProgress`]. A file to which several processes wrote, each in the place of the one before, counts a job once,
//! with what it took when it was run. Kinds of events that are not known here are counted and left out.
//!
//! # Cost
//! One pass; memory by jobs and stages, not by tasks.

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Metrics, Stamped};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Texts of warnings that are kept.
const WARNINGS_MAX: usize = 100;

/// How a run or a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Its end was not seen: it goes on, or it was killed.
    #[default]
    InProgress,
    /// It went well.
    Ended,
    /// It did not.
    Failed {
        /// Why.
        error: String,
    },
}

impl State {
    fn of(error: &Option<String>) -> Self {
        error.clone().map_or(State::Ended, |error| State::Failed { error })
    }
}

/// A generation of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Formed {
    /// Its number, from 1.
    pub generation: u64,
    /// How many processes it has.
    pub processes: usize,
    /// Why the one before has ended: who was lost.
    pub why: String,
}

/// A stage, as the process that wrote the events has seen it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stage {
    /// The operation at its end.
    pub operation: String,
    /// Tasks of the process.
    pub tasks: usize,
    /// Tasks that have ended well.
    pub ended: usize,
    /// Attempts that have failed.
    pub failed: usize,
    /// Wall time in microseconds, if it has ended.
    pub wall_us: Option<u64>,
    /// Sums of its tasks.
    pub metrics: Metrics,
}

/// A job.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Job {
    /// Name of the action.
    pub action: String,
    /// Partitions to compute.
    pub partitions: usize,
    /// How it stands.
    #[serde(flatten)]
    pub state: State,
    /// How often it was begun again, since a process was lost.
    pub interrupted: u64,
    /// Wall time in microseconds, if it has ended.
    pub wall_us: Option<u64>,
    /// Stages of its last attempt, by number.
    pub stages: BTreeMap<u32, Stage>,
}

/// How far an iterative algorithm is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Steps {
    /// Steps done.
    pub iteration: u64,
    /// Steps at most; 0 if there is no limit.
    pub iterations_max: u64,
    /// Figures of the last step.
    pub values: BTreeMap<String, f64>,
}

/// Counts of blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blocks {
    /// Computed and kept.
    pub stored: u64,
    /// Dropped or moved to disk to make room.
    pub evicted: u64,
    /// Could not be read, and were computed again.
    pub lost: u64,
}

/// What a run has done so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct History {
    /// Name of the run; empty if one process was alone.
    pub run: String,
    /// Processes that it began with.
    pub processes: usize,
    /// Milliseconds from 1970 to its beginning; 0 if that is not known.
    pub began_ms: u64,
    /// How it stands.
    #[serde(flatten)]
    pub state: State,
    /// Processes that wrote, one in the place of the other.
    pub writers: u64,
    /// Time of all of them, in microseconds.
    pub time_us: u64,
    /// Events.
    pub events: u64,
    /// Events of kinds that are not known here.
    pub unknown: u64,
    /// Generations, but for the first.
    pub generations: Vec<Formed>,
    /// Jobs by number.
    pub jobs: BTreeMap<u64, Job>,
    /// Iterative algorithms by name.
    pub algorithms: BTreeMap<String, Steps>,
    /// Blocks of the processes that wrote.
    pub blocks: Blocks,
    /// Records that were refused.
    pub records_bad: u64,
    /// The first warnings.
    pub warnings: Vec<String>,
    /// The time of the last event of the present writer.
    #[serde(skip)]
    last_us: u64,
}

impl History {
    /// Takes the next event.
    pub fn apply(&mut self, stamped: &Stamped) {
        self.events += 1;
        if let Event::RunStart { run, processes, began_ms } = &stamped.event {
            if self.writers == 0 {
                (self.run, self.processes, self.began_ms) = (run.clone(), *processes, *began_ms);
            }
            self.writers += 1;
            (self.state, self.last_us) = (State::InProgress, 0);
        }
        self.time_us = self.time_us.saturating_add(stamped.time_us.saturating_sub(self.last_us));
        self.last_us = self.last_us.max(stamped.time_us);
        match &stamped.event {
            Event::RunEnd { error } => self.state = State::of(error),
            Event::GenerationFormed { generation, processes, why } => {
                let formed = Formed { generation: *generation, processes: *processes, why: why.clone() };
                self.generations.push(formed);
            }
            Event::Iteration { algorithm, iteration, iterations_max, values } => {
                let steps =
                    Steps { iteration: *iteration, iterations_max: *iterations_max, values: values.clone() };
                self.algorithms.insert(algorithm.clone(), steps);
            }
            Event::BlockStored { .. } => self.blocks.stored += 1,
            Event::BlockEvicted { .. } => self.blocks.evicted += 1,
            Event::BlockLost { .. } => self.blocks.lost += 1,
            Event::BadRecord { .. } => self.records_bad += 1,
            Event::Warning { message } if self.warnings.len() < WARNINGS_MAX => {
                self.warnings.push(message.clone());
            }
            event => self.apply_to_job(event),
        }
    }
    fn apply_to_job(&mut self, event: &Event) {
        let number = match event {
            Event::JobStart { job, .. }
            | Event::JobInterrupted { job, .. }
            | Event::JobEnd { job, .. }
            | Event::StageStart { job, .. }
            | Event::StageEnd { job, .. }
            | Event::TaskEnd { job, .. } => *job,
            _ => return,
        };
        let is_new = !self.jobs.contains_key(&number);
        let job = self.jobs.entry(number).or_default();
        if job.state != State::InProgress {
            // A process that takes another's place comes by what is past.
            return;
        }
        match event {
            Event::JobStart { action, partitions, .. } => {
                (job.action, job.partitions) = (action.clone(), *partitions);
                if !is_new {
                    // Its process was lost with it.
                    job.interrupted += 1;
                    job.stages.clear();
                }
            }
            Event::JobInterrupted { .. } => {
                job.interrupted += 1;
                job.stages.clear();
            }
            Event::JobEnd { error, wall_us, .. } => {
                (job.state, job.wall_us) = (State::of(error), Some(*wall_us));
            }
            Event::StageStart { stage, operation, tasks, .. } => {
                let new = Stage { operation: operation.clone(), tasks: *tasks, ..Stage::default() };
                job.stages.insert(*stage, new);
            }
            Event::StageEnd { stage, wall_us, .. } => {
                job.stages.entry(*stage).or_default().wall_us = Some(*wall_us);
            }
            Event::TaskEnd { stage, error, metrics, .. } => {
                let stage = job.stages.entry(*stage).or_default();
                stage.metrics.add(metrics);
                *(if error.is_none() { &mut stage.ended } else { &mut stage.failed }) += 1;
            }
            _ => {}
        }
    }
    /// Reads events, one a line. True if the last line was not whole, and was left out.
    ///
    /// # Errors
    /// Data, with the line, if one of the others is no event; I/O.
    pub fn read(name: &str, mut from: impl BufRead) -> Result<(History, bool)> {
        let (mut history, mut line, mut number) = (History::default(), vec![], 0);
        loop {
            line.clear();
            number += 1;
            if from.read_until(b'\n', &mut line).map_err(|e| Error::io(name, "read", &e))? == 0 {
                return Ok((history, false));
            }
            match serde_json::from_slice::<Stamped>(&line) {
                Ok(stamped) => history.apply(&stamped),
                Err(_) if !line.ends_with(b"\n") => return Ok((history, true)),
                Err(_) if is_event(&line) => history.unknown += 1,
                Err(e) => {
                    let column = e.column() as u64;
                    let record = crate::BadRecord::at(name, number, column, format!("no event: {e}"));
                    let hint = "a file of events is what `--events` writes: a JSON object a line";
                    return Err(Error::new(ErrorKind::Data(record.bytes(&line).hint(hint))));
                }
            }
        }
    }
}

/// True for an object that says which kind of event it is.
fn is_event(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|value| value["event"].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
    use std::sync::{Arc, Mutex};

    /// The events of some jobs, as they would be written.
    fn events() -> (History, String) {
        let live = Arc::new(Mutex::new((History::default(), String::new())));
        let heard = live.clone();
        let cx = Context::local(2).unwrap();
        let subscription = cx.events().subscribe(move |stamped| {
            let mut heard = heard.lock().unwrap();
            heard.0.apply(stamped);
            let line = serde_json::to_string(stamped).unwrap();
            heard.1.push_str(&(line + "\n"));
        });
        cx.emit(|| Event::RunStart { run: "one".into(), processes: 1, began_ms: 1 });
        let pairs = cx.range(0..1000, 4).map(|x| (x % 10, x)).cache();
        pairs.reduce_by_key(|a, b| *a += b).count().unwrap();
        pairs.map(|(_, x)| if x < 999 { x } else { panic!("on purpose") }).count().unwrap_err();
        let values = BTreeMap::from([("objective".to_string(), 0.1 + 0.2)]);
        cx.emit(|| Event::Iteration { algorithm: "x".into(), iteration: 3, iterations_max: 0, values });
        cx.emit(|| Event::Warning { message: "\u{e4}".into() });
        cx.emit(|| Event::RunEnd { error: None });
        drop(subscription);
        drop(cx);
        let live = live.lock().unwrap();
        (live.0.clone(), live.1.clone())
    }

    #[test]
    fn a_file_gives_what_a_listener_had() {
        let (live, text) = events();
        assert_eq!((live.jobs.len(), live.writers, &live.state), (2, 1, &State::Ended));
        assert!(matches!(live.jobs[&2].state, State::Failed { .. }));
        let tasks: usize = live.jobs[&2].stages.values().map(|s| s.failed).sum();
        assert!(tasks >= 4, "four attempts: {tasks}");
        let read = |text: &str| {
            let (history, cut) = History::read("x", text.as_bytes()).unwrap();
            (History { last_us: live.last_us, ..history }, cut)
        };
        assert_eq!(read(&text), (live.clone(), false));
        // However it ends, what is whole counts.
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for n in 0..lines.len() {
            let whole = lines[..n].concat();
            let (want, cut) = read(&whole);
            assert!(!cut && want.events == n as u64 && (n == 0 || want.state == State::InProgress));
            for part in [1, lines[n].len() / 2, lines[n].len() - 2] {
                assert_eq!(read(&(whole.clone() + &lines[n][..part])), (want.clone(), true), "{n} {part}");
            }
        }
    }

    #[test]
    fn what_is_no_event_is_named() {
        let (live, text) = events();
        let wrong = text.replacen('\n', "\n{\"sequence\": oh}\n", 1);
        let said = History::read("x", wrong.as_bytes()).unwrap_err().to_string();
        assert!(said.contains("x:2:14"), "{said}");
        let newer = text.replacen('\n', "\n{\"sequence\":1,\"event\":\"of_tomorrow\"}\n", 1);
        let (history, _) = History::read("x", newer.as_bytes()).unwrap();
        assert_eq!((history.unknown, history.jobs), (1, live.jobs));
    }

    #[test]
    fn counts_that_are_too_large_stay_the_largest() {
        let line = |job: u64, busy_us: u64, time_us: u64| {
            let metrics = Metrics { busy_us, ..Metrics::default() };
            let (stage, partition, attempt, worker) = (1, 0, 0, 0);
            let event = Event::TaskEnd { job, stage, partition, attempt, worker, error: None, metrics };
            serde_json::to_string(&Stamped { sequence: 0, time_us, process: 0, event }).unwrap() + "\n"
        };
        let begin = Event::RunStart { run: "one".into(), processes: 1, began_ms: 0 };
        let begin = Stamped { sequence: 0, time_us: 1, process: 0, event: begin };
        let begin = serde_json::to_string(&begin).unwrap() + "\n";
        let text = [line(1, u64::MAX, u64::MAX), begin, line(1, 2, 5)].concat();
        let (history, _) = History::read("x", text.as_bytes()).unwrap();
        assert_eq!((history.jobs[&1].stages[&1].metrics.busy_us, history.time_us), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_job_whose_process_was_lost_counts_once() {
        let mut history = History::default();
        let mut time_us = 0;
        let mut tell = |event: Event| {
            time_us = if matches!(event, Event::RunStart { .. }) { 5 } else { time_us + 10 };
            history.apply(&Stamped { sequence: 0, time_us, process: 0, event });
        };
        let begin = || Event::RunStart { run: "one".into(), processes: 3, began_ms: 7 };
        let start = |job| Event::JobStart { job, action: "count".into(), dataset: 1, partitions: 3 };
        let end = |job, wall_us| Event::JobEnd { job, error: None, wall_us };
        [begin(), start(1), end(1, 100), start(2)].into_iter().for_each(&mut tell);
        // Another process begins from the beginning.
        [begin(), start(1), end(1, 1), start(2), end(2, 50)].into_iter().for_each(&mut tell);
        let jobs: Vec<_> = history.jobs.values().map(|j| (j.wall_us, j.interrupted)).collect();
        assert_eq!(jobs, [(Some(100), 0), (Some(50), 1)]);
        assert_eq!((history.writers, history.time_us), (2, 35 + 45));
    }
}
