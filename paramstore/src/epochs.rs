//! The iterative scope: training on a dataset, epoch by epoch, in one long-lived dataflow.

use crate::local::{LocalKind, Locals};
use crate::report::{EpochLoss, Progress, Report, WorkerReport};
use crate::run::{RuleStates, Run, RunSnapshots, TableRun, Update};
use crate::snapshot::{Manifest, Snapshots, TableShape, restore, write_manifest};
use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use crate::view::{Clock, TableView};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::event::Event;
use slackwater_dataflow::{Context, Data, Dataset, Error, ErrorKind, Record, Result};
use std::any::Any;
use std::iter::once_with;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Records of a partition in a minibatch unless said.
const BATCH: usize = 1024;

/// Training on a dataset.
pub trait EpochsExt<T: Data> {
    /// Passes over the dataset, `epochs` at most.
    ///
    /// The records are held in memory while training runs: persist the dataset in memory, and they are shared with it.
    fn epochs(&self, epochs: u64) -> Epochs<T>;
}

impl<T: Data> EpochsExt<T> for Dataset<T> {
    fn epochs(&self, epochs: u64) -> Epochs<T> {
        Epochs { dataset: self.clone(), epochs, batch: BATCH, seed: None }
    }
}

/// How to pass over a dataset.
pub struct Epochs<T: Data> {
    dataset: Dataset<T>,
    epochs: u64,
    batch: usize,
    seed: Option<u64>,
}

impl<T: Data> Epochs<T> {
    /// Records of each partition in a clock, at most. A partition is cut into equal minibatches, as many as the largest
    /// partition needs, so that all partitions take part in every clock.
    pub fn batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }
    /// Seed of [`Clock::rng`]; that of the context unless said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
    /// Gives every partition a state of its own, which `init` makes of its number and records. It stays with the
    /// partition, is not sent, and is kept in snapshots.
    pub fn local<S: Record>(
        self,
        init: impl Fn(usize, &[T]) -> S + Send + Sync + 'static,
    ) -> LocalEpochs<T, S> {
        LocalEpochs { epochs: self, local: LocalKind::new(init), _state: PhantomData }
    }
    /// Calls `update` for each partition in each clock, with a minibatch (in the order of the partition), the table,
    /// and the clock.
    ///
    /// What `update` does must depend on nothing else. It runs for one minibatch without interruption, and during that
    /// time its worker serves nobody: keep a minibatch below some milliseconds.
    pub fn update<V: Value>(
        self,
        table: &Table<V>,
        update: impl Fn(&[T], &mut TableView<'_, V>, &mut Clock) + Send + Sync + 'static,
    ) -> Training<'static, T, V> {
        self.update_all(&[table], move |batch, views, clock| update(batch, &mut views[0], clock))
    }
    /// As [`Epochs::update`], for several tables, each with its own consistency.
    pub fn update_all<V: Value>(
        self,
        tables: &[&Table<V>],
        update: impl Fn(&[T], &mut [TableView<'_, V>], &mut Clock) + Send + Sync + 'static,
    ) -> Training<'static, T, V> {
        let stateless = self.local(|_, _| ());
        stateless.update_all(tables, move |_, batch, views, clock| update(batch, views, clock))
    }
}

/// How to pass over a dataset whose partitions have states; see [`Epochs::local`].
pub struct LocalEpochs<T: Data, S> {
    epochs: Epochs<T>,
    local: LocalKind<T>,
    _state: PhantomData<fn() -> S>,
}

impl<T: Data, S: Record> LocalEpochs<T, S> {
    /// As [`Epochs::update_all`]; `update` is also given the state of the partition.
    pub fn update_all<V: Value>(
        self,
        tables: &[&Table<V>],
        update: impl Fn(&mut S, &[T], &mut [TableView<'_, V>], &mut Clock) + Send + Sync + 'static,
    ) -> Training<'static, T, V, S> {
        let update =
            move |local: &mut dyn Any, batch: &[T], views: &mut [TableView<'_, V>], clock: &mut Clock| {
                update(local.downcast_mut().expect("states of a training have one type"), batch, views, clock)
            };
        Training {
            epochs: self.epochs,
            tables: tables.iter().map(|t| (*t).clone()).collect(),
            update: Arc::new(update),
            local: self.local,
            locals: Locals::default(),
            rule_states: RuleStates::default(),
            until: None,
            every: 1,
            snapshots: None,
            _state: PhantomData,
        }
    }
}

type Until<'u> = Box<dyn FnMut(&Progress<'_>) -> bool + 'u>;

/// A training, ready to run.
#[must_use = "nothing happens before `run`"]
pub struct Training<'u, T: Data, V: Value, S = ()> {
    epochs: Epochs<T>,
    tables: Vec<Table<V>>,
    update: Arc<Update<T, V>>,
    local: LocalKind<T>,
    locals: Locals,
    rule_states: RuleStates<V>,
    until: Option<Until<'u>>,
    /// Epochs from one call of `until` to the next.
    every: u64,
    snapshots: Option<Snapshots>,
    _state: PhantomData<fn() -> S>,
}

/// What a process tells the others about a partition and a worker.
#[derive(Clone, Serialize, Deserialize)]
struct Told {
    worker: Option<WorkerReport>,
    losses: Vec<EpochLoss>,
}

impl<T: Data, V: Value, S: Record> Training<'_, T, V, S> {
    /// Ends the training after an epoch for which `until` is true. It is called after every epoch (or fewer: see
    /// [`every`](Training::every)), in every process with the same figures; workers wait for each other at that point.
    pub fn until<'n>(self, until: impl FnMut(&Progress<'_>) -> bool + 'n) -> Training<'n, T, V, S> {
        let Training { epochs, tables, update, local, locals, rule_states, every, snapshots, .. } = self;
        let until: Option<Until<'n>> = Some(Box::new(until));
        let _state = PhantomData;
        Training { epochs, tables, update, local, locals, rule_states, until, every, snapshots, _state }
    }
    /// Calls the function of [`until`](Training::until) after every `epochs`th epoch and the last one only: between the
    /// calls nobody waits, and tables are not copied.
    pub fn every(mut self, epochs: u64) -> Self {
        self.every = epochs.max(1);
        self
    }
    /// Takes snapshots while training goes on, and may resume from one.
    pub fn snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = Some(snapshots);
        self
    }
    /// Trains. Collective: every process calls it.
    ///
    /// # Errors
    /// Input, if there are no records; usage, if a table is given twice; numerical, if a loss is not finite; whatever
    /// computing the dataset fails with; the message of a panic of `update`. Tables then keep the values that they had
    /// before the run, or with [`until`](Training::until) those at the end of the last epoch that went well.
    pub fn run(mut self) -> Result<Report> {
        self.train()
    }
    /// As [`Training::run`]; also returns the states of the partitions, one record a partition.
    ///
    /// # Errors
    /// As [`Training::run`].
    #[track_caller]
    pub fn run_with_locals(mut self) -> Result<(Report, Dataset<S>)> {
        let (report, cx) = (self.train()?, self.epochs.dataset.context().clone());
        let mut locals = self.locals.lock().unwrap_or_else(|e| e.into_inner());
        // Each process has those of its own partitions, and reads no others.
        let state = |p| locals.remove(&p).and_then(|local| local.downcast::<S>().ok()).map(|s| *s);
        let states = (0..self.epochs.dataset.num_partitions()).map(state);
        let states = cx.from_partitions(states.map(|s| s.into_iter().collect()).collect());
        Ok((report, states))
    }
    fn train(&mut self) -> Result<Report> {
        let (start, cx) = (Instant::now(), self.epochs.dataset.context().clone());
        self.check()?;
        let sizes = self.epochs.dataset.map_partitions(|records| once_with(move || records.count() as u64));
        let sizes = sizes.collect()?;
        let largest = sizes.iter().copied().max().unwrap_or(0);
        if largest == 0 {
            return Err(Error::input("there is nothing to train on: the dataset has no records", ""));
        }
        let clocks_per_epoch = largest.div_ceil(self.epochs.batch as u64);
        let mut report = Report::default();
        let shape = self.shape(&cx, clocks_per_epoch);
        self.restore(&cx, &shape, &mut report)?;
        while report.epochs < self.epochs.epochs && !report.stopped {
            let left = self.epochs.epochs - report.epochs;
            // A training that was resumed calls at the same epochs as one that was not disturbed.
            let epochs = if self.until.is_some() { self.every - report.epochs % self.every } else { left };
            let epochs = epochs.min(left);
            self.segment(&cx, epochs, &shape, &mut report)?;
            if let Some(until) = &mut self.until {
                let progress = Progress {
                    epochs: report.epochs,
                    epochs_max: self.epochs.epochs,
                    losses: &report.losses,
                };
                report.stopped = until(&progress);
            }
        }
        report.wall_us = start.elapsed().as_micros() as u64;
        Ok(report)
    }
    fn check(&self) -> Result<()> {
        for (i, table) in self.tables.iter().enumerate() {
            if self.tables[..i].iter().any(|t| t.name() == table.name()) {
                return Err(Error::usage(format!("{} is given twice", table.name())));
            }
        }
        if self.tables.is_empty() {
            return Err(Error::usage("a training needs a table"));
        }
        Ok(())
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
    /// Goes back to the newest snapshot, if that is asked for and there is one.
    fn restore(&self, cx: &Context, shape: &Manifest, report: &mut Report) -> Result<()> {
        let Some(snapshots) = &self.snapshots else { return Ok(()) };
        let empty = self.tables.iter().map(|t| Values::empty(t.current().order(), t.rows(), t.columns()));
        let is_first = cx.topology().process == 0;
        let Some(restored) = restore(&snapshots.dir, shape, empty.collect(), is_first)? else {
            return Ok(());
        };
        if !snapshots.resume {
            let message = format!("{} has snapshots already", snapshots.dir.display());
            return Err(Error::input(message, "resume from them, or choose another folder"));
        }
        for refused in restored.refused {
            let message = format!("{refused}: this snapshot is not used, but the one before");
            cx.emit(|| Event::Warning { message });
        }
        (report.clocks, report.epochs) = (restored.clock, restored.epoch);
        report.losses = restored.losses;
        let mut locals = self.locals.lock().unwrap_or_else(|e| e.into_inner());
        for (partition, bytes) in restored.locals.iter().filter(|(p, _)| cx.topology().owns(**p)) {
            let state = (self.local.decode)(bytes);
            let state =
                state.map_err(|e| Error::input(format!("state of partition {partition}: {e}"), ""))?;
            locals.insert(*partition, state);
        }
        self.tables.iter().zip(restored.values).for_each(|(table, values)| table.set(values));
        *self.rule_states.lock().unwrap_or_else(|e| e.into_inner()) = restored.states;
        Ok(())
    }
    fn run_snapshots(&self, shape: &Manifest, epochs: u64, report: &Report) -> Option<RunSnapshots> {
        let snapshots = self.snapshots.as_ref()?;
        let due = (1..=epochs).filter(|e| (report.epochs + e).is_multiple_of(snapshots.every_epochs));
        Some(RunSnapshots {
            dir: snapshots.dir.clone(),
            keep: snapshots.keep,
            clocks: due.map(|e| e * shape.clocks_per_epoch).collect(),
            shape: Manifest { losses_before: report.losses.clone(), ..shape.clone() },
        })
    }
    /// Some epochs in one dataflow.
    fn segment(&self, cx: &Context, epochs: u64, shape: &Manifest, report: &mut Report) -> Result<()> {
        let (dataset, topology) = (&self.epochs.dataset, cx.topology());
        let partitions = dataset.num_partitions();
        let table = |t: &Table<V>| TableRun::new(t, partitions, topology);
        let clocks_per_epoch = shape.clocks_per_epoch;
        let run = Arc::new(Run {
            dataset: dataset.to_ref(),
            topology,
            tables: self.tables.iter().map(table).collect(),
            update: self.update.clone(),
            local: self.local.clone(),
            locals: self.locals.clone(),
            rule_states: self.rule_states.clone(),
            written: Mutex::default(),
            clocks: epochs * clocks_per_epoch,
            clocks_per_epoch,
            clocks_before: report.clocks,
            epochs_before: report.epochs,
            seed: self.seed(cx),
            snapshots: self.run_snapshots(shape, epochs, report),
            reports: Mutex::default(),
            losses: Mutex::default(),
        });
        let build = run.clone();
        cx.timely(&[dataset], move |worker, bridge| build.build(worker, bridge))?;
        // The last manifest, if the dataflow ended before it was written.
        if let Some(snapshots) = run.snapshots.as_ref().filter(|_| topology.process == 0)
            && let Some(clock) = snapshots.clocks.last()
        {
            write_manifest(&snapshots.dir, &run.manifest(snapshots, *clock), snapshots.keep)?;
        }
        // Each process knows what its own workers did.
        let (told, workers) = (run.clone(), topology.workers_in_all());
        let slots = partitions.max(workers);
        let told = cx.range(0..slots as u64, slots).map(move |slot| {
            let slot = slot as usize;
            let lock = |e: std::sync::PoisonError<_>| e.into_inner();
            let worker = (slot < workers).then(|| topology.worker_of(slot));
            let reports = told.reports.lock().unwrap_or_else(lock);
            let worker = worker.and_then(|w| reports.get(&w).cloned());
            let losses = told.losses.lock().unwrap_or_else(|e| e.into_inner()).get(&slot).cloned();
            Told { worker, losses: losses.unwrap_or_default() }
        });
        let told = told.collect()?;
        let mut losses = vec![0.0; epochs as usize];
        for loss in told.iter().flat_map(|t| &t.losses) {
            losses[(loss.epoch - report.epochs) as usize] += loss.loss;
        }
        if let Some(epoch) = losses.iter().position(|l| !l.is_finite()) {
            let (epoch, loss) = (report.epochs + epoch as u64 + 1, losses[epoch]);
            let message = format!(
                "the loss of epoch {epoch} is {loss}: the step may be too large, or the data not scaled"
            );
            return Err(Error::new(ErrorKind::Numerical(message)));
        }
        report.losses.extend(losses);
        told.iter().filter_map(|t| t.worker.as_ref()).for_each(|w| report.add_worker(w));
        report.epochs += epochs;
        report.clocks += run.clocks;
        for (table, run) in self.tables.iter().zip(&run.tables) {
            table.set(run.values());
        }
        Ok(())
    }
}
