//! What a run tells when it ends, and between its segments.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often each staleness was seen, in clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram(BTreeMap<i64, u64>);

impl Histogram {
    pub(crate) fn count(&mut self, staleness: i64, times: u64) {
        *self.0.entry(staleness).or_default() += times;
    }
    fn add(&mut self, other: &Histogram) {
        other.0.iter().for_each(|(staleness, times)| self.count(*staleness, *times));
    }
    /// (staleness, times), ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.0.iter().map(|(s, n)| (*s, *n))
    }
    /// Number of reads counted.
    pub fn reads(&self) -> u64 {
        self.0.values().sum()
    }
    /// The largest staleness; nothing was counted if there is none.
    pub fn max(&self) -> Option<i64> {
        self.0.last_key_value().map(|(s, _)| *s)
    }
    /// Mean staleness; 0 if nothing was counted.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.0.iter().map(|(s, n)| *s as f64 * *n as f64).sum();
        sum / self.reads().max(1) as f64
    }
}

/// What one worker did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its number, of all workers of all processes.
    pub worker: usize,
    /// Clocks that it has finished.
    pub clocks: u64,
    /// Time in the user's function, in microseconds.
    pub computed_us: u64,
    /// Time before gates, in microseconds, without the last, where all wait for all.
    pub waited_us: u64,
    /// Of that, time in the function of [`meanwhile`](crate::Training::meanwhile), in microseconds.
    pub meanwhile_us: u64,
    /// Bytes of the model that its partitions had at the same time, at most: of a rotating one, of its blocks as they are
    /// encoded, and of states as [`Turn::model_bytes`](crate::Turn::model_bytes) was told; of others, as [`Clock::model_bytes`](crate::Clock::model_bytes) was told.
    pub model_bytes: u64,
    /// Size of the increments and letters that it has sent to workers, of all processes; letters within a process count nothing.
    pub sent_bytes: u64,
    /// By table: clocks minus the clock up to which the updates of *all* workers were proven to be there; counted once
    /// a clock and partition computed.
    pub proven: Vec<Histogram>,
    /// By table: clocks minus the clocks of *one* partition that were there; counted once a clock and partition read
    /// from. Negative where the other is ahead.
    pub observed: Vec<Histogram>,
}

impl WorkerReport {
    fn add(&mut self, other: &WorkerReport) {
        self.clocks += other.clocks;
        self.computed_us += other.computed_us;
        self.waited_us += other.waited_us;
        self.meanwhile_us += other.meanwhile_us;
        self.model_bytes = self.model_bytes.max(other.model_bytes);
        self.sent_bytes += other.sent_bytes;
        for (mine, theirs) in [(&mut self.proven, &other.proven), (&mut self.observed, &other.observed)] {
            mine.resize(theirs.len().max(mine.len()), Histogram::default());
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.add(theirs));
        }
    }
}

/// Loss of one partition in one epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochLoss {
    pub epoch: u64,
    pub loss: f64,
}

/// The state after some epochs.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Epochs done.
    pub epochs: u64,
    /// Epochs at most.
    pub epochs_max: u64,
    /// By epoch: the sum of what [`Clock::loss`](crate::Clock::loss) was told.
    pub losses: &'a [f64],
}

impl Progress<'_> {
    /// Loss of the last epoch.
    pub fn loss(&self) -> f64 {
        self.losses.last().copied().unwrap_or(0.0)
    }
    /// By how much the loss fell in the last epoch, relative to the one before; infinite after the first.
    pub fn loss_change(&self) -> f64 {
        match self.losses {
            [.., before, last] => (before - last) / before.abs().max(f64::MIN_POSITIVE),
            _ => f64::INFINITY,
        }
    }
}

/// What a training has lost that has gone on from what was left; see [`Recovery::Partial`](slackwater_dataflow::Recovery).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Perturbation {
    /// It has gone on from this epoch.
    pub epoch: u64,
    /// Values of tables that were only the lost process's to decide on; they are those of another's copy.
    pub values_lost: u64,
    /// The largest Euclidean distance between what two processes had of these: about what was on its way. Nothing if
    /// only one had them.
    pub distance: Option<f64>,
    /// The Euclidean distance of all values to those of the last recovery point, to which the training would have gone
    /// back else. Of values that are no numbers, how many differ, under the root.
    pub kept: f64,
}

/// What a training did; the same in every process but for times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Epochs done.
    pub epochs: u64,
    /// Clocks done.
    pub clocks: u64,
    /// True if the rule given to [`until`](crate::Training::until) held.
    pub stopped: bool,
    /// By epoch: the sum of what [`Clock::loss`](crate::Clock::loss) was told, over partitions in their order.
    pub losses: Vec<f64>,
    /// One a worker.
    pub workers: Vec<WorkerReport>,
    /// Each time that a process was lost and the others have not gone back.
    pub perturbations: Vec<Perturbation>,
    /// Wall time in microseconds.
    pub wall_us: u64,
}

impl Report {
    /// By process, each of which has so many workers: bytes of the model that it had; see [`WorkerReport::model_bytes`].
    pub fn model_bytes(&self, workers: usize) -> Vec<u64> {
        self.workers.chunks(workers.max(1)).map(|of| of.iter().map(|w| w.model_bytes).sum()).collect()
    }
    pub(crate) fn add_worker(&mut self, report: &WorkerReport) {
        if self.workers.len() <= report.worker {
            self.workers.resize(report.worker + 1, WorkerReport::default());
        }
        let mine = &mut self.workers[report.worker];
        mine.worker = report.worker;
        mine.add(report);
    }
    fn sum(&self, of: impl Fn(&WorkerReport) -> &[Histogram], table: usize) -> Histogram {
        let mut sum = Histogram::default();
        self.workers.iter().filter_map(|w| of(w).get(table)).for_each(|h| sum.add(h));
        sum
    }
    /// Proven staleness of the reads of a table, over all workers; see [`WorkerReport::proven`].
    pub fn proven(&self, table: usize) -> Histogram {
        self.sum(|w| &w.proven, table)
    }
    /// Observed staleness of the reads of a table, over all workers; see [`WorkerReport::observed`].
    pub fn observed(&self, table: usize) -> Histogram {
        self.sum(|w| &w.observed, table)
    }
    /// The largest proven staleness of any read.
    pub fn staleness_max(&self) -> u64 {
        let all = self.workers.iter().flat_map(|w| &w.proven);
        all.filter_map(Histogram::max).max().unwrap_or(0).max(0) as u64
    }
    /// Time in the user's function, summed over workers.
    pub fn computed(&self) -> Duration {
        Duration::from_micros(self.workers.iter().map(|w| w.computed_us).sum())
    }
    /// Time before gates, summed over workers.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.workers.iter().map(|w| w.waited_us).sum())
    }
}
