//! Running a training: segment after segment of epochs, each one dataflow, and back to the last recovery point when a
//! process is lost.
//!
//! # Guarantees
//! What a training is at any moment follows from the program and from what the processes have told each other, which is in
//! the result log. So a process that has come in the place of a lost one goes the same way, without computing what is
//! past, and takes part from where the others are.
//!
//! The state in memory counts only in the generation that has made it: in any other some process does not have it, and all
//! go back to the point that they all have.

use crate::epochs::{Outcome, Training};
use crate::in_place::InPlace;
use crate::local::{Local, Locals};
use crate::partial::{Answer, Basis, Remains, agree};
use crate::recovery::{
    Place, Standing, read_states, read_values, write_all_states, write_locals, write_states, write_values,
};
use crate::report::{EpochLoss, Perturbation, Progress, Report, WorkerReport};
use crate::run::{RuleStates, Run, RunSnapshots, TableRun};
use crate::snapshot::{Manifest, Restored, TableShape, remove_manifest, restore, write_manifest};
use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::event::Event;
use slackwater_dataflow::exec::attempts::{Attempt, Ended, Others};
use slackwater_dataflow::exec::keep::Point;
use slackwater_dataflow::time::Instant;
use slackwater_dataflow::{
    Context, Data, Dataset, Error, ErrorKind, Record, Recovery, Result, Topology, fault,
};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::iter::once_with;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// A recovery point is kept when as much time as this has passed since the last, in microseconds, and at least
/// [`SHARE`] times as much as keeping it took.
const INTERVAL_US: u64 = 500_000;
/// One part in as many of the time goes into recovery points.
const SHARE: u64 = 25;

/// Stands for the generation of a process that is alone.
const ALONE: u64 = u64::MAX;

/// What a process tells the others after a segment.
#[derive(Default, Serialize, Deserialize)]
struct Told {
    workers: Vec<WorkerReport>,
    /// By partition: losses by epoch.
    losses: Vec<(usize, Vec<EpochLoss>)>,
    /// Losses of the epochs of the segment that were over before it, the same in all.
    known: Vec<f64>,
    /// The same in all.
    perturbation: Option<Perturbation>,
    wall_us: u64,
    /// What the last recovery point took.
    kept_us: u64,
}

/// How a training goes on, in one process; what it decides by is the same in all.
pub(crate) struct Course {
    /// Number of the training.
    key: u64,
    /// The generation that has made the state in memory; 0 if nobody has.
    made_in: u64,
    made_with: Option<Topology>,
    /// Where the training began in this program: clock and epoch.
    first: (u64, u64),
    /// Epochs and time since the last recovery point.
    since_epochs: u64,
    since_us: u64,
    /// What the last one took, in this process.
    kept_us: Arc<Mutex<u64>>,
    /// How long an epoch took.
    epoch_us: u64,
    clocks_per_epoch: u64,
}

/// Where the values at the end of a training are.
enum Last<T: Data, V: Value> {
    Run(Arc<Run<T, V>>),
    Values(Vec<Values<V>>),
}

impl<T: Data, V: Value> Last<T, V> {
    fn values(&self) -> Vec<Values<V>> {
        match self {
            Last::Run(run) => run.ended().to_vec(),
            Last::Values(values) => values.clone(),
        }
    }
}

/// What a run starts from.
struct Base<V> {
    place: Place,
    values: Vec<Values<V>>,
    locals: Locals,
    rule_states: RuleStates<V>,
    /// It is not the state in memory.
    is_older: bool,
    perturbation: Option<Perturbation>,
}

/// How a run begins.
struct Begin {
    place: Place,
    perturbation: Option<Perturbation>,
}

fn wrong(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Cluster(format!("what a process has told of a training: {e}")))
}

impl<T: Data, V: Value, S: Record> Training<'_, T, V, S> {
    /// Trains; also returns the number of the training, by which states are found that stay in place.
    pub(crate) fn train(&mut self, outcome: Outcome) -> Result<(Report, u64)> {
        let (start, cx) = (Instant::now(), self.epochs.dataset.context().clone());
        self.check()?;
        let sizes = self.epochs.dataset.map_partitions(|records| once_with(move || records.count() as u64));
        let sizes = sizes.collect()?;
        let largest = sizes.iter().copied().max().unwrap_or(0);
        if largest == 0 {
            return Err(Error::input("there is nothing to train on: the dataset has no records", ""));
        }
        let clocks_per_epoch = self.epochs.clocks.unwrap_or(largest.div_ceil(self.epochs.batch as u64));
        let shape = self.shape(&cx, clocks_per_epoch);
        let mut course = Course {
            key: cx.last_job(),
            made_in: 0,
            made_with: None,
            first: (0, 0),
            since_epochs: 0,
            since_us: 0,
            kept_us: Arc::default(),
            epoch_us: 0,
            clocks_per_epoch,
        };
        let result = self.follow(&cx, &mut course, &shape, outcome);
        if outcome != Outcome::StatesInPlace || result.is_err() {
            cx.stop_keeping(course.key);
        }
        let mut report = result?;
        report.wall_us = start.elapsed().as_micros() as u64;
        Ok((report, course.key))
    }
    fn follow(
        &mut self,
        cx: &Context,
        course: &mut Course,
        shape: &Manifest,
        outcome: Outcome,
    ) -> Result<Report> {
        let mut report = Report::default();
        self.begin(cx, course, shape, &mut report)?;
        while report.epochs < self.epochs.epochs && !report.stopped {
            let left = self.epochs.epochs - report.epochs;
            let epochs = match &self.until {
                // A training that was resumed calls at the same epochs as one that was not disturbed.
                Some(_) => self.every - report.epochs % self.every,
                None if cx.is_member() => course.segment(self.points),
                None => left,
            };
            let is_remembered = self.is_remembered(cx, course, &report);
            self.segment(cx, course, report.epochs + epochs.min(left), shape, &mut report)?;
            let is_member = cx.is_member();
            if let Some(until) = &mut self.until {
                self.tables.iter().for_each(|t| t.set_in_until(is_member, is_remembered));
                let progress = Progress {
                    epochs: report.epochs,
                    epochs_max: self.epochs.epochs,
                    losses: &report.losses,
                };
                report.stopped = until(&progress);
                self.tables.iter().for_each(|t| t.set_in_until(false, false));
            }
        }
        if cx.is_member() {
            self.end(cx, course, shape, &report, outcome)?;
        }
        Ok(report)
    }
    /// Whether the values at the end of the next segment go into the log, since the main program reads them then. It may
    /// after the first one.
    fn is_remembered(&self, cx: &Context, course: &Course, report: &Report) -> bool {
        let is_first = report.epochs == course.first.1;
        cx.is_member() && self.until.is_some() && (is_first || self.tables.iter().any(Table::is_read))
    }
    fn check(&self) -> Result<()> {
        for (i, table) in self.tables.iter().enumerate() {
            if self.tables[..i].iter().any(|t| t.name() == table.name()) {
                return Err(Error::usage(format!("{} is given twice", table.name())));
            }
        }
        if self.tables.is_empty() && self.mailbox.is_none() {
            return Err(Error::usage("a training needs a table, or mail"));
        }
        if self.recovery == Some(Recovery::Partial) && !self.may_go_on() {
            return Err(Error::usage(
                "partial recovery is for trainings on dense tables whose partitions have no states and no mail: what a lost \
                 process had of those nobody else has",
            ));
        }
        Ok(())
    }
    /// True if survivors have all that the training needs.
    fn may_go_on(&self) -> bool {
        let has_states = TypeId::of::<S>() != TypeId::of::<()>() || self.mailbox.is_some();
        !has_states && self.tables.iter().all(|t| !t.is_sparse())
    }
    fn goes_on(&self, cx: &Context) -> bool {
        let recovery = self.recovery.unwrap_or(cx.config().recovery);
        cx.is_member() && recovery == Recovery::Partial && self.may_go_on()
    }
    fn seed(&self, cx: &Context) -> u64 {
        self.epochs.seed.unwrap_or(cx.config().seed)
    }
    fn shape(&self, cx: &Context, clocks_per_epoch: u64) -> Manifest {
        let table = |t: &Table<V>| TableShape {
            name: t.name().to_string(),
            rows: t.rows(),
            columns: t.columns(),
            rule: t.rule(),
            is_sparse: t.is_sparse(),
            value: std::any::type_name::<V>().to_string(),
        };
        let tables = self.tables.iter().map(table).collect();
        let shards = cx.topology().workers_in_all();
        Manifest::new(clocks_per_epoch, self.epochs.dataset.num_partitions(), self.seed(cx), shards, tables)
    }
    /// Finds where the training begins: at the start, at a snapshot, or in the middle, if other processes are there.
    fn begin(&self, cx: &Context, course: &mut Course, shape: &Manifest, report: &mut Report) -> Result<()> {
        let mut restored = None;
        // Which snapshot it is goes into the log: who comes later finds others in the folder.
        let from: Option<Place> = match &self.snapshots {
            None => None,
            Some(_) => cx.once(|| {
                restored = self.restore(cx, shape, None)?;
                Ok(restored.as_ref().map(Place::of))
            })?,
        };
        let place = match (cx.kept(course.key), from) {
            (Some(point), _) => Standing::of(&point, &self.tables)?.place,
            // It is not this process that goes on from there.
            (None, Some(place)) if cx.is_past() => place,
            (None, Some(place)) if restored.is_none() => {
                let restored = self.restore(cx, shape, Some(place.clock))?;
                self.start(cx, course, restored)?
            }
            (None, _) => self.start(cx, course, restored)?,
        };
        course.first = (place.first_clock, place.first_epoch);
        (report.clocks, report.epochs) = course.first;
        report.losses = place.losses[..place.first_epoch as usize].to_vec();
        Ok(())
    }
    /// Begins at the start or at a snapshot, to which the tables are set already.
    fn start(&self, cx: &Context, course: &mut Course, restored: Option<Restored<V>>) -> Result<Place> {
        let mut place = Place::default();
        let (mut states, mut parts) = (vec![], BTreeMap::new());
        if let Some(restored) = restored {
            place = Place::of(&restored);
            (states, parts) = (restored.states, restored.locals);
        }
        if cx.is_member() {
            let values = self.tables.iter().map(Table::current).collect();
            let shared = Standing { place: place.clone(), values }.share();
            let parts = parts.into_iter().map(|(p, b)| (p, Arc::new(b))).collect();
            cx.begin_keeping(course.key, Point { shared, common: vec![write_all_states(&states)], parts });
            return Ok(place);
        }
        if let Some(mailbox) = &self.mailbox {
            mailbox.clear();
        }
        let decode = |(p, bytes): (usize, Vec<u8>)| Ok((p, self.decode_local(place.clock, p, &bytes)?));
        let locals = parts.into_iter().map(decode).collect::<Result<_>>()?;
        *self.locals.lock().unwrap_or_else(|e| e.into_inner()) = locals;
        *self.rule_states.lock().unwrap_or_else(|e| e.into_inner()) = states;
        course.made_in = ALONE;
        Ok(place)
    }
    /// The state of a partition at a clock; letters that waited for it wait again.
    fn decode_local(&self, clock: u64, partition: usize, bytes: &[u8]) -> Result<Local> {
        let state = match &self.mailbox {
            None => Ok(bytes),
            Some(mailbox) => mailbox.unpack(clock, partition, bytes),
        };
        state
            .and_then(|state| (self.local.decode)(state))
            .map_err(|e| Error::input(format!("state of partition {partition}: {e}"), ""))
    }
    /// The newest snapshot, if that is asked for and there is one, or the one of a clock; the tables are set to it.
    fn restore(&self, cx: &Context, shape: &Manifest, only: Option<u64>) -> Result<Option<Restored<V>>> {
        let Some(snapshots) = &self.snapshots else { return Ok(None) };
        let empty = self.tables.iter().map(|t| Values::empty(t.current().order(), t.rows(), t.columns()));
        let is_first = cx.topology().process == 0;
        let Some(mut restored) = restore(&snapshots.dir, shape, empty.collect(), is_first, only)? else {
            return Ok(None);
        };
        if !snapshots.resume {
            let message = format!("{} has snapshots already", snapshots.dir.display());
            return Err(Error::input(message, "resume from them, or choose another folder"));
        }
        for refused in &restored.refused {
            let message = format!("{refused}: this snapshot is not used, but the one before");
            cx.emit(|| Event::Warning { message });
        }
        let values = std::mem::take(&mut restored.values);
        self.tables.iter().zip(values).for_each(|(table, values)| table.set(values));
        Ok(Some(restored))
    }
    /// The state in memory, if this generation has made it; else what is left of it, if the training goes on from that;
    /// else the last recovery point. Nothing if the generation has ended meanwhile.
    fn base(
        &self,
        cx: &Context,
        course: &Course,
        others: &Others<'_>,
        report: &Report,
        remains: &Remains<T, V>,
    ) -> Result<Option<Base<V>>> {
        let generation = others.generation();
        if course.made_in == ALONE || course.made_in == generation {
            return Ok(Some(Base {
                place: course.place(report),
                values: self.tables.iter().map(Table::current).collect(),
                locals: self.locals.clone(),
                rule_states: self.rule_states.clone(),
                is_older: false,
                perturbation: None,
            }));
        }
        let point = cx.kept(course.key).ok_or_else(|| wrong("a recovery point is gone"))?;
        let Standing { mut place, mut values } = Standing::of(&point, &self.tables)?;
        let mut states = read_states(&point.common, &self.tables)?;
        let mut perturbation = None;
        if self.goes_on(cx) {
            let partitions = self.epochs.dataset.num_partitions();
            let known = report.epochs;
            match agree(others, remains, &self.tables, known, partitions, (&values, states.clone()))? {
                Answer::Ended => return Ok(None),
                Answer::Nothing => {}
                Answer::Basis(left) => {
                    let Basis { epoch, losses, .. } = left;
                    let clock = course.clock_of(epoch);
                    place = Place { clock, epoch, losses: report.losses.clone(), has_locals: false, ..place };
                    place.losses.truncate(epoch as usize);
                    place.losses.extend(losses);
                    (values, states, perturbation) = (left.values, left.states, left.perturbation);
                }
            }
        }
        if let Some(mailbox) = &self.mailbox {
            mailbox.clear();
        }
        let mut locals: BTreeMap<usize, Local> = BTreeMap::new();
        let own = (0..self.epochs.dataset.num_partitions()).filter(|p| cx.topology().owns(*p));
        for partition in own.filter(|_| place.has_locals) {
            let nothing = (self.local.is_empty && self.mailbox.is_none()).then_some(&[][..]);
            let bytes = point.parts.get(&partition).map(|bytes| &bytes[..]).or(nothing).ok_or_else(|| {
                let what = format!("the state of partition {partition} is lost, here and in its copy");
                Error::new(ErrorKind::Lost(what))
            })?;
            locals.insert(partition, self.decode_local(place.clock, partition, bytes)?);
        }
        *self.locals.lock().unwrap_or_else(|e| e.into_inner()) = locals;
        *self.rule_states.lock().unwrap_or_else(|e| e.into_inner()) = states;
        let (locals, rule_states) = (self.locals.clone(), self.rule_states.clone());
        Ok(Some(Base { place, values, locals, rule_states, is_older: true, perturbation }))
    }
    fn run_snapshots(
        &self,
        shape: &Manifest,
        place: &Place,
        until: u64,
        shards: usize,
    ) -> Option<RunSnapshots> {
        let snapshots = self.snapshots.as_ref()?;
        let due = (place.epoch + 1..=until).filter(|e| e.is_multiple_of(snapshots.every_epochs));
        Some(RunSnapshots {
            dir: snapshots.dir.clone(),
            keep: snapshots.keep,
            clocks: due.map(|e| (e - place.epoch) * shape.clocks_per_epoch).collect(),
            shape: Manifest { losses_before: place.losses.clone(), shards, ..shape.clone() },
        })
    }
    /// What the workers of this process share in a run from `base` up to an epoch.
    fn new_run(&self, cx: &Context, base: Base<V>, until: u64, shape: &Manifest) -> Result<Arc<Run<T, V>>> {
        let (dataset, topology) = (&self.epochs.dataset, cx.topology());
        let partitions = dataset.num_partitions();
        let tables = self.tables.iter().zip(base.values);
        let snapshots = self.run_snapshots(shape, &base.place, until, topology.workers_in_all());
        if base.is_older
            && let Some(snapshots) = snapshots.as_ref().filter(|_| topology.process == 0)
        {
            // They are taken again: until all parts of one are new it is none.
            let clocks = snapshots.clocks.iter().map(|clock| base.place.clock + clock);
            clocks.into_iter().try_for_each(|clock| remove_manifest(&snapshots.dir, clock))?;
        }
        Ok(Arc::new(Run {
            dataset: dataset.to_ref(),
            topology,
            tables: tables.map(|(t, values)| TableRun::new(t, values, partitions, topology)).collect(),
            update: self.update.clone(),
            meanwhile: self.meanwhile.clone(),
            mailbox: self.mailbox.clone(),
            takes_all: self.epochs.clocks.is_some(),
            local: self.local.clone(),
            locals: base.locals,
            rule_states: base.rule_states,
            written: Mutex::default(),
            clocks: (until - base.place.epoch) * shape.clocks_per_epoch,
            clocks_per_epoch: shape.clocks_per_epoch,
            clocks_before: base.place.clock,
            epochs_before: base.place.epoch,
            seed: self.seed(cx),
            snapshots,
            reports: Mutex::default(),
            losses: Mutex::default(),
            salvages: self.goes_on(cx),
            salvaged: Mutex::default(),
            ended: Default::default(),
        }))
    }
    /// The epochs up to `until`, in one dataflow.
    fn segment(
        &mut self,
        cx: &Context,
        course: &mut Course,
        until: u64,
        shape: &Manifest,
        report: &mut Report,
    ) -> Result<()> {
        let dataset = self.epochs.dataset.clone();
        let (mut made, is_remembered) = (course.made_in, self.is_remembered(cx, course, report));
        let last: Arc<Mutex<Option<Arc<Run<T, V>>>>> = Arc::default();
        let remembers = last.clone();
        let ended = cx.attempts::<T>(
            "training",
            &[&dataset],
            |others| {
                let run = last.lock().unwrap_or_else(|e| e.into_inner()).take().map(|run| (made, run));
                let remains = Remains { run, ..course.remains(&self.rule_states) };
                let base = self.base(cx, course, others, report, &remains)?;
                let Some(mut base) = base else {
                    // They are still what is left.
                    if let Some((_, run)) = remains.run {
                        *last.lock().unwrap_or_else(|e| e.into_inner()) = Some(run);
                    }
                    return Ok(None);
                };
                let begin = Begin { place: base.place.clone(), perturbation: base.perturbation.take() };
                let run = self.new_run(cx, base, until, shape)?;
                made = others.generation();
                *last.lock().unwrap_or_else(|e| e.into_inner()) = Some(run.clone());
                Ok(Some(self.attempt(course, run, begin, report.epochs, until)))
            },
            move || match &*remembers.lock().unwrap_or_else(|e| e.into_inner()) {
                Some(run) if is_remembered => write_values(run.ended()),
                _ => vec![],
            },
        )?;
        let last = last.lock().unwrap_or_else(|e| e.into_inner()).take();
        let told = ended.told.iter().map(|b| postcard::from_bytes(b)).collect::<Result<Vec<Told>, _>>();
        let told = told.map_err(wrong)?;
        // The last manifest, if the dataflow ended before it was written.
        if let Some(run) = last.as_ref().filter(|run| ended.took_part && run.topology.process == 0)
            && let Some(snapshots) = &run.snapshots
            && let Some(clock) = snapshots.clocks.last()
        {
            write_manifest(&snapshots.dir, &run.manifest(snapshots, *clock), snapshots.keep)?;
        }
        let before = report.epochs;
        add_losses(&told, before, until, report)?;
        if let Some(lost) = told.first().and_then(|t| t.perturbation.clone()) {
            let (epoch, values_lost) = (lost.epoch, lost.values_lost);
            let (distance, kept) = (lost.distance, lost.kept);
            cx.emit(|| Event::WentOn { epoch, values_lost, distance, kept });
            report.perturbations.push(lost);
        }
        told.iter().flat_map(|t| &t.workers).for_each(|w| report.add_worker(w));
        (report.epochs, report.clocks) = (until, report.clocks + (until - before) * shape.clocks_per_epoch);
        match last.filter(|_| ended.took_part) {
            Some(run) => {
                course.made_in = if course.made_in == ALONE { ALONE } else { made };
                course.made_with = Some(run.topology);
                self.tables.iter().zip(run.ended()).for_each(|(table, values)| table.set(values.clone()));
            }
            // It was before the time of this process.
            None => match ended.remembered.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => {
                    let values = read_values(&bytes, &self.tables)?;
                    self.tables.iter().zip(values).for_each(|(table, values)| table.set(values));
                }
                None => self.tables.iter().for_each(Table::set_missing),
            },
        }
        course.count(&told, until - before, self.points);
        Ok(())
    }
    /// What to do in one generation to come to an epoch. `known` epochs are known to all processes to have ended.
    fn attempt(&self, course: &Course, run: Arc<Run<T, V>>, begin: Begin, known: u64, until: u64) -> Attempt {
        let Begin { place, perturbation } = begin;
        let losses_known = place.losses.get(known as usize..).unwrap_or_default().to_vec();
        let start = Instant::now();
        let (build, tells, kept) = (run.clone(), run.clone(), course.kept_us.clone());
        let (points, since) = (self.points, (course.since_epochs, course.since_us));
        let (key, keeps, before) = (course.key, course.kept_us.clone(), place.epoch);
        Attempt {
            build: Box::new(move |worker, bridge| build.build(worker, bridge)),
            told: Box::new(move || {
                let lock = |e: std::sync::PoisonError<_>| e.into_inner();
                let workers = tells.reports.lock().unwrap_or_else(lock).values().cloned().collect();
                let losses = tells.losses.lock().unwrap_or_else(|e| e.into_inner());
                let told = Told {
                    workers,
                    losses: losses.iter().map(|(p, l)| (*p, l.clone())).collect(),
                    known: losses_known.clone(),
                    perturbation: perturbation.clone(),
                    wall_us: start.elapsed().as_micros() as u64,
                    kept_us: *kept.lock().unwrap_or_else(|e| e.into_inner()),
                };
                postcard::to_stdvec(&told).unwrap_or_default()
            }),
            is_due: Box::new(move |told| {
                let told: Vec<Told> = told.iter().filter_map(|b| postcard::from_bytes(b).ok()).collect();
                is_due(points, since.0 + until - before, since.1, &told)
            }),
            point: Box::new(move |told| {
                let start = Instant::now();
                fault::reach("mid-checkpoint", place.clock + run.clocks);
                let told: Vec<Told> = told.iter().filter_map(|b| postcard::from_bytes(b).ok()).collect();
                let mut place = Place {
                    clock: place.clock + run.clocks,
                    epoch: until,
                    has_locals: true,
                    ..place.clone()
                };
                place.losses.extend(sum_losses(&told, before, until));
                let shared = Standing { place, values: run.ended().to_vec() }.share();
                let point = Point { shared, common: vec![write_states(&run)], parts: write_locals(&run) };
                *keeps.lock().unwrap_or_else(|e| e.into_inner()) = start.elapsed().as_micros() as u64;
                (key, point)
            }),
        }
    }
    /// Makes the result of the training one that later processes can take: the tables go into the log, and states of
    /// partitions to all processes, or into a last recovery point.
    fn end(
        &mut self,
        cx: &Context,
        course: &mut Course,
        shape: &Manifest,
        report: &Report,
        outcome: Outcome,
    ) -> Result<()> {
        let dataset = self.epochs.dataset.clone();
        let in_place = outcome == Outcome::StatesInPlace;
        // Not the tables themselves: workers let go of this a moment after the job has ended.
        let last: Arc<Mutex<Last<T, V>>> = Arc::new(Mutex::new(Last::Values(vec![])));
        let remembers = last.clone();
        let remember = move || match &*remembers.lock().unwrap_or_else(|e| e.into_inner()) {
            Last::Run(run) => write_values(run.ended()),
            Last::Values(values) => write_values(values),
        };
        let Ended { told, remembered, took_part } = cx.attempts::<T>(
            "end of training",
            &[&dataset],
            |others| {
                let is_current = course.made_in == others.generation();
                let remains = course.remains(&self.rule_states);
                let Some(base) = self.base(cx, course, others, report, &remains)? else { return Ok(None) };
                let run = self.new_run(cx, base, report.epochs, shape)?;
                let goes_back = !is_current;
                *last.lock().unwrap_or_else(|e| e.into_inner()) = match goes_back {
                    true => Last::Run(run.clone()),
                    false => Last::Values(self.tables.iter().map(Table::current).collect()),
                };
                let (build, tells, ended) = (run.clone(), run.clone(), last.clone());
                let place = course.place(report);
                let key = course.key;
                Ok(Some(Attempt {
                    build: Box::new(move |worker, bridge| {
                        if goes_back {
                            build.build(worker, bridge);
                        }
                    }),
                    told: Box::new(move || match outcome {
                        Outcome::States => postcard::to_stdvec(&write_locals(&tells)).unwrap_or_default(),
                        _ => vec![],
                    }),
                    is_due: Box::new(move |_| in_place),
                    point: Box::new(move |_| {
                        let values = ended.lock().unwrap_or_else(|e| e.into_inner()).values();
                        let shared = Standing { place: place.clone(), values }.share();
                        let parts = write_locals(&run);
                        (key, Point { shared, common: vec![write_states(&run)], parts })
                    }),
                }))
            },
            remember,
        )?;
        let values = match took_part {
            true => last.lock().unwrap_or_else(|e| e.into_inner()).values(),
            false => read_values(&remembered.unwrap_or_default(), &self.tables)?,
        };
        self.tables.iter().zip(values).for_each(|(table, values)| table.set(values));
        let mut locals: BTreeMap<usize, Local> = BTreeMap::new();
        for bytes in told.into_iter().filter(|_| outcome == Outcome::States) {
            let of_process: BTreeMap<usize, Arc<Vec<u8>>> = postcard::from_bytes(&bytes).map_err(wrong)?;
            for (partition, bytes) in of_process {
                locals.insert(partition, self.decode_local(report.clocks, partition, &bytes)?);
            }
        }
        *self.locals.lock().unwrap_or_else(|e| e.into_inner()) = locals;
        Ok(())
    }
    /// As [`take_locals`](Self::take_locals), of a training that has left them in place.
    #[track_caller]
    pub(crate) fn locals_in_place(&mut self, clocks: u64, key: u64) -> Dataset<S> {
        let context = self.epochs.dataset.context().clone();
        if !context.is_member() {
            return self.take_locals(clocks);
        }
        context.clone().read(InPlace {
            context,
            key,
            partitions: self.epochs.dataset.num_partitions(),
            clocks,
            decode: self.local.decode,
            mail: self.mailbox.as_ref().map(|mailbox| mailbox.kind),
            at_end: self.at_end.clone(),
            state: PhantomData,
        })
    }
    /// States of the partitions after a training of so many clocks, one record a partition.
    #[track_caller]
    pub(crate) fn take_locals(&mut self, clocks: u64) -> Dataset<S> {
        let cx = self.epochs.dataset.context().clone();
        let mut locals = self.locals.lock().unwrap_or_else(|e| e.into_inner());
        if let (Some(at_end), Some(mailbox)) = (&self.at_end, &self.mailbox) {
            for (partition, local) in locals.iter_mut() {
                let letters = mailbox.open(clocks, *partition, false).into_iter();
                at_end(&mut **local, letters.map(|l| (l.from as usize, l.body)).collect());
            }
        }
        let state = |p| locals.remove(&p).and_then(|local| local.downcast::<S>().ok()).map(|s| *s);
        let states = (0..self.epochs.dataset.num_partitions()).map(state);
        cx.from_partitions(states.map(|s| s.into_iter().collect()).collect())
    }
}

/// Losses of the epochs after `before`, summed up over partitions in their order.
fn sum_losses(told: &[Told], before: u64, until: u64) -> Vec<f64> {
    let by_partition: BTreeMap<usize, &Vec<EpochLoss>> =
        told.iter().flat_map(|t| &t.losses).map(|(partition, losses)| (*partition, losses)).collect();
    let mut sums = vec![0.0; (until - before) as usize];
    for loss in by_partition.into_values().flatten() {
        // A run that went back has also told of epochs that are known.
        if let Some(sum) = loss.epoch.checked_sub(before).and_then(|i| sums.get_mut(i as usize)) {
            *sum += loss.loss;
        }
    }
    sums
}

/// Adds the losses of the epochs after `before`, summed up over partitions in their order.
fn add_losses(told: &[Told], before: u64, until: u64, report: &mut Report) -> Result<()> {
    // Those that were over before the last attempt began.
    let mut losses = told.first().map_or(vec![], |t| t.known.clone());
    losses.extend(sum_losses(told, before + losses.len() as u64, until));
    if let Some(epoch) = losses.iter().position(|l| !l.is_finite()) {
        let (epoch, loss) = (before + epoch as u64 + 1, losses[epoch]);
        let message =
            format!("the loss of epoch {epoch} is {loss}: the step may be too large, or the data not scaled");
        return Err(Error::new(ErrorKind::Numerical(message)));
    }
    report.losses.extend(losses);
    Ok(())
}

/// Whether a recovery point is kept, by what all have told.
fn is_due(points: Option<u64>, since_epochs: u64, since_us: u64, told: &[Told]) -> bool {
    if let Some(epochs) = points {
        return since_epochs >= epochs;
    }
    let wall = told.iter().map(|t| t.wall_us).max().unwrap_or(0);
    let kept = told.iter().map(|t| t.kept_us).max().unwrap_or(0);
    since_us + wall >= INTERVAL_US.max(kept * SHARE)
}

impl Course {
    /// Where the training stands by what it reports.
    fn place(&self, report: &Report) -> Place {
        Place {
            clock: report.clocks,
            epoch: report.epochs,
            losses: report.losses.clone(),
            first_clock: self.first.0,
            first_epoch: self.first.1,
            has_locals: true,
        }
    }
    /// What there is to go on from when the last segment has ended.
    fn remains<T: Data, V: Value>(&self, states: &RuleStates<V>) -> Remains<T, V> {
        Remains { whole: self.made_with, states: states.clone(), run: None }
    }
    /// Clocks at the end of an epoch.
    fn clock_of(&self, epoch: u64) -> u64 {
        self.first.0 + epoch.saturating_sub(self.first.1) * self.clocks_per_epoch
    }
    /// Epochs of a segment of a training that nobody asks after.
    fn segment(&self, points: Option<u64>) -> u64 {
        match (points, self.epoch_us) {
            (Some(epochs), _) => epochs,
            // The first one shows how long one takes.
            (None, 0) => 1,
            (None, epoch_us) => (INTERVAL_US / epoch_us).max(1),
        }
    }
    fn count(&mut self, told: &[Told], epochs: u64, points: Option<u64>) {
        let was_due = is_due(points, self.since_epochs + epochs, self.since_us, told);
        let wall = told.iter().map(|t| t.wall_us).max().unwrap_or(0);
        self.epoch_us = (wall / epochs.max(1)).max(1);
        (self.since_epochs, self.since_us) =
            if was_due { (0, 0) } else { (self.since_epochs + epochs, self.since_us + wall) };
    }
}
