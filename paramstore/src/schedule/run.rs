//! Running a scheduled program.

use super::Schedule;
use super::lane::{Lane, PARTS, Plan};
use super::program::Program;
use crate::epochs::EpochsExt;
use crate::report::Report;
use crate::snapshot::Snapshots;
use crate::table::{TableExt, TableSpec};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::time::Instant;
use slackwater_dataflow::{Data, Dataset, Error, ErrorKind, Result};
use std::sync::Arc;

/// Steps between two looks at the objective unless said.
const EVERY: u64 = 1000;

/// Scheduling on a dataset.
pub trait ScheduleExt<T: Data> {
    /// Runs a program whose data are the records of the dataset.
    ///
    /// Its partitions are the units of work, and the schedulers of a range of variables each: the values depend on how many there
    /// are, not on who computes them. They are held in memory while the program runs.
    fn schedule<P: Program<Record = T>>(&self, program: P, schedule: Schedule) -> Scheduling<'static, P>;
}

impl<T: Data> ScheduleExt<T> for Dataset<T> {
    fn schedule<P: Program<Record = T>>(&self, program: P, schedule: Schedule) -> Scheduling<'static, P> {
        Scheduling {
            dataset: self.clone(),
            program: Arc::new(program),
            schedule,
            steps: u64::MAX,
            every: EVERY,
            tolerance: 0.0,
            observer: None,
            snapshots: None,
            seed: None,
            records_steps: false,
        }
    }
}

/// The state at a look at the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TracePoint {
    /// Steps done.
    pub step: u64,
    /// The objective at the end of the last step but one.
    pub objective: f64,
    /// Seconds since the program began.
    pub seconds: f64,
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 0.
    pub step: u64,
    /// The variables that were updated, in the order of the draws.
    pub variables: Vec<u32>,
    /// No two of them depend on each other more than this, as the program measures it.
    pub certificate: f64,
}

/// What a program has come to.
pub struct Outcome<P: Program> {
    /// Values of the variables, [`width`](Program::width) each.
    pub values: Vec<f64>,
    /// States of the partitions, one record each.
    pub states: Dataset<P::State>,
    /// The objective as it has gone down.
    pub trace: Vec<TracePoint>,
    /// The steps, if they were [recorded](Scheduling::record_steps).
    pub steps: Vec<StepRecord>,
    /// Updates of variables, of all steps.
    pub updates: u64,
    /// How often it was only found out whether a variable would change.
    pub probes: u64,
    /// No two variables of a set depend on each other more than this, of all steps.
    pub certificate: f64,
    /// True if no variable changed by more than the tolerance any more.
    pub has_converged: bool,
    /// What the workers did.
    pub report: Report,
}

type Observer<'u> = Box<dyn FnMut(&TracePoint) -> bool + 'u>;

/// A program, ready to run.
#[must_use = "nothing happens before `run`"]
pub struct Scheduling<'u, P: Program> {
    dataset: Dataset<P::Record>,
    program: Arc<P>,
    schedule: Schedule,
    steps: u64,
    every: u64,
    tolerance: f64,
    observer: Option<Observer<'u>>,
    snapshots: Option<Snapshots>,
    seed: Option<u64>,
    records_steps: bool,
}

impl<P: Program> Scheduling<'_, P> {
    /// Steps at most, rounded up to a whole number of looks at the objective.
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }
    /// Steps from one look at the objective to the next, at least 2; workers wait for each other then.
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps.max(2);
        self
    }
    /// Ends when no variable has changed by more than this (Euclidean) in its last update, all having been visited since that
    /// was so for the first time.
    pub fn tolerance(mut self, change: f64) -> Self {
        self.tolerance = change;
        self
    }
    /// Calls a function at every look at the objective, in every process; true ends the run.
    pub fn until<'n>(self, observer: impl FnMut(&TracePoint) -> bool + 'n) -> Scheduling<'n, P> {
        let Scheduling {
            dataset,
            program,
            schedule,
            steps,
            every,
            tolerance,
            snapshots,
            seed,
            records_steps,
            ..
        } = self;
        let observer: Option<Observer<'n>> = Some(Box::new(observer));
        Scheduling {
            dataset,
            program,
            schedule,
            steps,
            every,
            tolerance,
            observer,
            snapshots,
            seed,
            records_steps,
        }
    }
    /// Takes snapshots while the program runs, and may resume from one.
    pub fn snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = Some(snapshots);
        self
    }
    /// Seed of the draws; that of the context unless said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
    /// Keeps the sets of all steps, with their certificates: some memory for each.
    pub fn record_steps(mut self) -> Self {
        self.records_steps = true;
        self
    }
    /// Runs the program. Collective: every process calls it.
    ///
    /// # Errors
    /// Usage, if a set is larger than tables may be; numerical, if the objective is not finite; whatever
    /// computing the dataset fails with; the message of a panic of the program.
    #[track_caller]
    pub fn run(mut self) -> Result<Outcome<P>> {
        let start = Instant::now();
        let cx = self.dataset.context().clone();
        let (variables, partitions) = (self.program.variables(), self.dataset.num_partitions());
        // Ids travel as numbers of 64 bits, and are 32 bits in a set.
        if variables > u32::MAX as usize {
            return Err(Error::usage(format!(
                "{variables} variables: no more than {} can be scheduled",
                u32::MAX
            )));
        }
        let plan = Arc::new(Plan {
            program: self.program.clone(),
            schedule: self.schedule.clone(),
            every: self.every,
            quiet: self.tolerance * self.tolerance,
            seed: self.seed.unwrap_or(cx.config().seed),
            records_steps: self.records_steps,
        });
        let sets = cx.table("sets", TableSpec::<f64>::dense(plan.slots() as usize, plan.set_columns()))?;
        let parts = cx.table("parts", TableSpec::<f64>::dense(PARTS as usize, plan.part_columns()))?;
        let steps = self.steps.div_ceil(self.every).saturating_mul(self.every);
        let (first, update) = (plan.clone(), plan.clone());
        let (mut trace, mut has_converged) = (vec![], false);
        let (every, tolerance) = (self.every as usize, self.tolerance);
        let mut observer = self.observer.take();
        let mut training = self
            .dataset
            .epochs(steps)
            .batch(usize::MAX)
            .seed(plan.seed)
            .local(move |partition, records| Lane::new(&first, partition, partitions, records))
            .update_all(&[&sets, &parts], move |lane, records, tables, clock| {
                lane.clock(&update, records, tables, clock)
            })
            .every(self.every)
            .until(|progress| {
                let n = progress.losses.len();
                if n < every {
                    return false;
                }
                let point = TracePoint {
                    step: progress.epochs,
                    objective: progress.losses[n - 2],
                    seconds: start.elapsed().as_secs_f64(),
                };
                trace.push(point);
                has_converged = tolerance > 0.0 && progress.losses[n - 1] == 0.0;
                observer.as_mut().is_some_and(|observe| observe(&point)) || has_converged
            });
        if let Some(snapshots) = self.snapshots.take() {
            training = training.snapshots(snapshots);
        }
        let result = training.run_with_locals().map_err(|e| match e.kind() {
            ErrorKind::Numerical(_) => Error::new(ErrorKind::Numerical(format!(
                "the objective is no number any more: variables that depend on each other have changed together\n  \
                 hint: a bound on dependencies, or fewer than {} variables a step",
                self.schedule.parallelism
            ))),
            _ => e,
        });
        let (report, lanes) = result?;
        let ends = lanes
            .map(|lane| (lane.values, lane.steps, (lane.updates, lane.probes), lane.certificate))
            .collect()?;
        let mut outcome = Outcome {
            values: vec![],
            states: lanes.map(|lane| lane.state),
            trace,
            steps: vec![],
            updates: 0,
            probes: 0,
            certificate: 0.0,
            has_converged,
            report,
        };
        let width = plan.program.width();
        outcome.values = vec![0.0; variables * width];
        for (partition, (values, steps, (updates, probes), certificate)) in ends.into_iter().enumerate() {
            let own = plan.share(partition, partitions).iter();
            for (variable, values) in own.zip(values.chunks_exact(width.max(1))) {
                outcome.values[variable * width..][..width].copy_from_slice(values);
            }
            outcome.steps.extend(steps);
            outcome.updates += updates;
            outcome.probes += probes;
            outcome.certificate = outcome.certificate.max(certificate);
        }
        outcome.steps.sort_by_key(|s| s.step);
        Ok(outcome)
    }
}
