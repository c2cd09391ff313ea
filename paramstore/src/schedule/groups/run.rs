//! Running a program on groups of variables.

use super::lane::{Lane, Places, Plan, Rounds};
use super::program::GroupProgram;
use super::{ConflictGraph, Dispatch, Groups};
use crate::epochs::EpochsExt;
use crate::report::{Progress, Report};
use crate::rule::Rule;
use crate::snapshot::Snapshots;
use crate::table::Table;
use slackwater_dataflow::time::Instant;
use slackwater_dataflow::{
    Dataset, Error, ErrorKind, Partitioner, PartitionerId, Record, Result, StorageLevel,
};
use std::sync::Arc;

/// Sweeps between two looks at the objective unless said.
const EVERY: u64 = 10;

/// Updates of groups of variables, whose records are a dataset of (variable, record).
pub trait GroupsExt<R: Record> {
    /// Runs a program whose data are the records of the dataset, one a variable.
    ///
    /// `shared` is what variables have in common, as of their first values; its consistency is how partitions see each other's
    /// changes. Records go to the partitions that the [dispatcher](Dispatch) chooses, as many as the dataset has, and are
    /// held in memory while the program runs.
    fn update_groups<P: GroupProgram<Record = R>>(
        &self,
        program: P,
        groups: Groups,
        shared: &Table<f64>,
    ) -> GroupScheduling<'static, P>;
}

impl<R: Record> GroupsExt<R> for Dataset<(u32, R)> {
    fn update_groups<P: GroupProgram<Record = R>>(
        &self,
        program: P,
        groups: Groups,
        shared: &Table<f64>,
    ) -> GroupScheduling<'static, P> {
        GroupScheduling {
            dataset: self.clone(),
            program: Arc::new(program),
            groups,
            shared: shared.clone(),
            rounds: Rounds::Even(1),
            sweeps: u64::MAX,
            every: EVERY,
            tolerance: 0.0,
            observer: None,
            snapshots: None,
        }
    }
}

/// The state at a look at the objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepPoint {
    /// Sweeps done.
    pub sweep: u64,
    /// The objective at their end. Under other consistencies than BSP what partitions have not seen yet is not in it.
    pub objective: f64,
    /// Variables that changed by more than the tolerance in the last sweep.
    pub changed: u64,
    /// Seconds since the program began.
    pub seconds: f64,
}

/// What a program has come to. What variables have in common is in the table that it was given.
#[derive(Debug, Clone)]
pub struct GroupOutcome {
    /// Values of the variables, [`width`](GroupProgram::width) each.
    pub values: Vec<f64>,
    /// The objective as it has gone down.
    pub trace: Vec<SweepPoint>,
    /// Sweeps done.
    pub sweeps: u64,
    /// Clocks of a sweep.
    pub rounds: u64,
    /// Which partition had which group, and how well that is balanced.
    pub dispatch: Dispatch,
    /// True if no variable changed by more than the tolerance in any sweep since the look before the last.
    pub has_converged: bool,
    /// What the workers did.
    pub report: Report,
}

type Observer<'u> = Box<dyn FnMut(&SweepPoint) -> bool + 'u>;

/// A program on groups, ready to run.
#[must_use = "nothing happens before `run`"]
pub struct GroupScheduling<'u, P: GroupProgram> {
    dataset: Dataset<(u32, P::Record)>,
    program: Arc<P>,
    groups: Groups,
    shared: Table<f64>,
    rounds: Rounds,
    sweeps: u64,
    every: u64,
    tolerance: f64,
    observer: Option<Observer<'u>>,
    snapshots: Option<Snapshots>,
}

/// The key of a record: its partition, and its place there.
struct Placed(usize);

impl Partitioner<(u32, u32)> for Placed {
    fn partitions(&self) -> usize {
        self.0
    }
    fn partition(&self, key: &(u32, u32)) -> usize {
        key.0 as usize
    }
    fn id(&self) -> PartitionerId {
        // The key says all.
        PartitionerId { kind: "placed".to_string(), partitions: self.0, digest: 0 }
    }
}

impl<P: GroupProgram> GroupScheduling<'_, P> {
    /// Cuts a sweep in so many clocks, in each of which a partition updates a share of its groups, of about the same weight: what
    /// others do is known the sooner; 1 unless said, and at least. Costs a wait for all others for each under BSP.
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = Rounds::Even(rounds.clamp(1, u64::from(u32::MAX)));
        self
    }
    /// Cuts a sweep in clocks such that no two groups which an edge of the graph joins are updated in the same one, in as few as
    /// a greedy colouring finds: at most one more than a group has such neighbours. If all groups that depend on each
    /// other are joined, then under BSP a sweep does what a sequential one does, clock by clock, but for rounding.
    pub fn apart(mut self, graph: ConflictGraph) -> Self {
        self.rounds = Rounds::Apart(graph);
        self
    }
    /// Sweeps at most, rounded up to a whole number of looks at the objective.
    pub fn sweeps(mut self, sweeps: u64) -> Self {
        self.sweeps = sweeps;
        self
    }
    /// Sweeps from one look at the objective to the next, 10 unless said; workers wait for each other then, and whatever the
    /// consistency all see everything after it. A look is a clock by itself.
    pub fn every(mut self, sweeps: u64) -> Self {
        self.every = sweeps.max(1);
        self
    }
    /// Ends when no variable has changed by more than this (Euclidean) since the last look; 0 unless said, so that it ends
    /// where nothing changes at all.
    pub fn tolerance(mut self, change: f64) -> Self {
        self.tolerance = change;
        self
    }
    /// Calls a function at every look at the objective, in every process; true ends the run.
    pub fn until<'n>(self, observer: impl FnMut(&SweepPoint) -> bool + 'n) -> GroupScheduling<'n, P> {
        let GroupScheduling {
            dataset,
            program,
            groups,
            shared,
            rounds,
            sweeps,
            every,
            tolerance,
            snapshots,
            ..
        } = self;
        let observer: Option<Observer<'n>> = Some(Box::new(observer));
        GroupScheduling {
            dataset,
            program,
            groups,
            shared,
            rounds,
            sweeps,
            every,
            tolerance,
            observer,
            snapshots,
        }
    }
    /// Takes snapshots while the program runs, and may resume from one. An epoch of theirs is a clock.
    pub fn snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = Some(snapshots);
        self
    }
    /// By variable: how much work it is.
    fn weights(&self) -> Result<Vec<u64>> {
        let program = self.program.clone();
        let known =
            self.dataset.map(move |(variable, record)| (variable, program.weight(&record))).collect()?;
        let n = self.groups.variables();
        let mut weights = vec![None; n];
        for (variable, weight) in known {
            let Some(place) = weights.get_mut(variable as usize) else {
                let message =
                    format!("a record is of variable {variable}, but the groups have {n} variables");
                return Err(Error::input(message, "variables are numbered from 0, and each is in a group"));
            };
            if place.replace(weight).is_some() {
                let message = format!("variable {variable} has two records");
                return Err(Error::input(
                    message,
                    "group the data by variable first: one record has all of it",
                ));
            }
        }
        if let Some(missing) = weights.iter().position(Option::is_none) {
            let message = format!("variable {missing} is in a group, but has no record");
            return Err(Error::input(
                message,
                "give it an empty record, if there is nothing to know of it, or leave it out",
            ));
        }
        Ok(weights.into_iter().flatten().collect())
    }
    /// Runs the program. Collective: every process calls it.
    ///
    /// # Errors
    /// Input, unless the records are of the variables of the groups, one each; usage, if the table has a rule other than addition;
    /// numerical, if the objective is not finite; whatever computing the dataset fails with; the message of a panic of
    /// the program.
    #[track_caller]
    pub fn run(mut self) -> Result<GroupOutcome> {
        let start = Instant::now();
        if self.shared.rule() != Rule::Increment {
            let message =
                format!("{}: what variables have in common is added to, without a rule", self.shared.name());
            return Err(Error::usage(message));
        }
        let weights = self.weights()?;
        let partitions = self.dataset.num_partitions();
        let plan = Arc::new(Plan {
            program: self.program.clone(),
            places: Places::new(&self.groups, &weights, &self.rounds, partitions),
            every: self.every.min(self.sweeps.max(1)),
            tolerance: self.tolerance,
        });
        let placing = plan.clone();
        let keyed = self.dataset.map(move |(variable, record): (u32, P::Record)| {
            (placing.places.of[variable as usize], (variable, record))
        });
        let placed = keyed.repartition_and_sort_within_partitions(Arc::new(Placed(partitions)));
        let records = placed.map(|(_, record)| record).persist(StorageLevel::MemoryOnly);
        let result = self.train(&records, &plan, start);
        records.unpersist();
        result
    }
    fn train(
        &mut self,
        records: &Dataset<(u32, P::Record)>,
        plan: &Arc<Plan<P>>,
        start: Instant,
    ) -> Result<GroupOutcome> {
        let (first, update, period) = (plan.clone(), plan.clone(), plan.period());
        let looks = self.sweeps.div_ceil(plan.every);
        let (mut trace, mut has_converged) = (vec![], false);
        let mut observer = self.observer.take();
        let look = |progress: &Progress<'_>| {
            // Clocks since the look before, and this one.
            let since = progress.losses.len().saturating_sub(period as usize);
            let Some((objective, changes)) = progress.losses[since..].split_last() else { return false };
            let last = changes.len().saturating_sub(plan.places.rounds as usize);
            let point = SweepPoint {
                sweep: progress.epochs / period * plan.every,
                objective: *objective,
                changed: changes[last..].iter().sum::<f64>() as u64,
                seconds: start.elapsed().as_secs_f64(),
            };
            trace.push(point);
            has_converged = changes.iter().all(|changes| *changes == 0.0);
            observer.as_mut().is_some_and(|observe| observe(&point)) || has_converged
        };
        let mut training = records
            .epochs(looks.saturating_mul(period))
            .clocks(1)
            .local(move |_, records: &[(u32, P::Record)]| Lane::new(&*first.program, records))
            .update_all(&[&self.shared], move |lane, records, views, clock| {
                lane.clock(&update, records, &mut views[0], clock)
            })
            .every(period)
            .until(look);
        if let Some(snapshots) = self.snapshots.take() {
            training = training.snapshots(snapshots);
        }
        let result = training.run_with_locals().map_err(|e| match e.kind() {
            ErrorKind::Numerical(_) => Error::new(ErrorKind::Numerical(
                "the objective is no number any more: groups that depend on each other have changed together\n  \
                 hint: more rounds, groups that are kept apart, fewer partitions, or less staleness"
                    .to_string(),
            )),
            _ => e,
        });
        let (report, lanes) = result?;
        let lanes = lanes.map(|lane| lane.values).collect()?;
        let width = plan.program.width();
        let mut values = vec![0.0; self.groups.variables() * width];
        for ((partition, place), values) in plan.places.of.iter().zip(values.chunks_exact_mut(width.max(1))) {
            values.copy_from_slice(&lanes[*partition as usize][*place as usize * width..][..width]);
        }
        Ok(GroupOutcome {
            values,
            trace,
            sweeps: report.epochs / period * plan.every,
            rounds: plan.places.rounds,
            dispatch: plan.places.dispatch.clone(),
            has_converged,
            report,
        })
    }
}
