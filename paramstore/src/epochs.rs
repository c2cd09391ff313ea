//! The iterative scope: training on a dataset, epoch by epoch, in one long-lived dataflow.

use crate::local::{LocalKind, Locals};
use crate::mail::{Body, MailKind, Mailbox};
use crate::report::{Progress, Report};
use crate::run::{Meanwhile, RuleStates, Update};
use crate::snapshot::Snapshots;
use crate::table::Table;
use crate::value::Value;
use crate::view::{Clock, TableView};
use slackwater_dataflow::{Data, Dataset, Record, Recovery, Result};
use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

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
        Epochs { dataset: self.clone(), epochs, batch: BATCH, seed: None, mail: None, clocks: None }
    }
}

/// How to pass over a dataset.
pub struct Epochs<T: Data> {
    pub(crate) dataset: Dataset<T>,
    pub(crate) epochs: u64,
    pub(crate) batch: usize,
    pub(crate) seed: Option<u64>,
    /// Of a training with mail.
    pub(crate) mail: Option<MailKind>,
    /// Clocks of an epoch, each of which gets all records of its partitions; else minibatches say how many there are.
    pub(crate) clocks: Option<u64>,
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
    /// Cuts no minibatches: an epoch has so many clocks, and each gets all records of its partitions.
    pub fn clocks(mut self, clocks: u64) -> Self {
        self.clocks = Some(clocks.max(1));
        self
    }
    /// Partitions may send each other letters of this type: [`Clock::send`], [`Clock::mail`]. Every clock then begins when all
    /// clocks before it are applied, whatever the consistency of the tables; there need not be any.
    pub fn mail<M: Record>(mut self) -> Self {
        self.mail = Some(MailKind::new::<M>());
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
            mailbox: self.epochs.mail.map(|kind| Arc::new(Mailbox::new(kind))),
            epochs: self.epochs,
            tables: tables.iter().map(|t| (*t).clone()).collect(),
            update: Arc::new(update),
            meanwhile: None,
            at_end: None,
            local: self.local,
            locals: Locals::default(),
            rule_states: RuleStates::default(),
            until: None,
            every: 1,
            snapshots: None,
            points: None,
            recovery: None,
            _state: PhantomData,
        }
    }
}

/// Gives the state of a partition, when the training has ended, the letters that were under way to it: (sender, letter).
pub(crate) type AtEnd = dyn Fn(&mut dyn Any, Vec<(usize, Body)>) + Send + Sync;

/// What is asked of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What is in the tables.
    Tables,
    /// The states of partitions as well, in all processes.
    States,
    /// They are in the processes that have them.
    StatesInPlace,
}

type Until<'u> = Box<dyn FnMut(&Progress<'_>) -> bool + 'u>;

/// A training, ready to run.
#[must_use = "nothing happens before `run`"]
pub struct Training<'u, T: Data, V: Value, S = ()> {
    pub(crate) epochs: Epochs<T>,
    pub(crate) tables: Vec<Table<V>>,
    pub(crate) update: Arc<Update<T, V>>,
    pub(crate) meanwhile: Option<Arc<Meanwhile<T>>>,
    /// Letters that wait in this process; nothing if there is no mail.
    pub(crate) mailbox: Option<Arc<Mailbox>>,
    pub(crate) at_end: Option<Arc<AtEnd>>,
    pub(crate) local: LocalKind<T>,
    pub(crate) locals: Locals,
    pub(crate) rule_states: RuleStates<V>,
    pub(crate) until: Option<Until<'u>>,
    /// Epochs from one call of `until` to the next.
    pub(crate) every: u64,
    pub(crate) snapshots: Option<Snapshots>,
    /// Epochs from one recovery point to the next, if that is said.
    pub(crate) points: Option<u64>,
    /// What happens when a process is lost, if that is said.
    pub(crate) recovery: Option<Recovery>,
    _state: PhantomData<fn() -> S>,
}

impl<T: Data, V: Value, S: Record> Training<'_, T, V, S> {
    /// Ends the training after an epoch for which `until` is true. It is called after every epoch (or fewer: see
    /// [`every`](Training::every)), in every process with the same figures; workers wait for each other at that point.
    pub fn until<'n>(self, until: impl FnMut(&Progress<'_>) -> bool + 'n) -> Training<'n, T, V, S> {
        let Training {
            epochs,
            tables,
            update,
            meanwhile,
            mailbox,
            at_end,
            local,
            locals,
            rule_states,
            every,
            snapshots,
            points,
            recovery,
            ..
        } = self;
        let until: Option<Until<'n>> = Some(Box::new(until));
        let _state = PhantomData;
        Training {
            epochs,
            tables,
            update,
            meanwhile,
            mailbox,
            at_end,
            local,
            locals,
            rule_states,
            until,
            every,
            snapshots,
            points,
            recovery,
            _state,
        }
    }
    /// While a worker waits for others before a clock, it calls `work` for its partitions, one after the other, with the state,
    /// all records and the clock that it waits for, as long as that returns true (there is more to do). Nothing is held up:
    /// between two calls the worker looks whether the clock may begin. How often `work` is called depends on how fast others
    /// are, and so does what comes of it.
    pub fn meanwhile(
        mut self,
        work: impl Fn(&mut S, &[T], &mut Clock) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.meanwhile = Some(Arc::new(move |local: &mut dyn Any, records: &[T], clock: &mut Clock| {
            work(local.downcast_mut().expect("states of a training have one type"), records, clock)
        }));
        self
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
    /// In a cluster: keeps a recovery point in memory after every so many epochs, from which the training goes on when a
    /// process is lost. Without this one is kept about every half second, if that takes little of it.
    pub fn recovery_every(mut self, epochs: u64) -> Self {
        self.points = Some(epochs.max(1));
        self
    }
    /// In a cluster: how the training goes on when a process is lost; as the [`Config`](slackwater_dataflow::Config) says
    /// unless this does.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }
    /// Trains. Collective: every process calls it. A process of a cluster that is lost meanwhile is waited for, or its
    /// replacement, and the training goes on from the last recovery point.
    ///
    /// # Errors
    /// Input, if there are no records; usage, if a table is given twice, or if partial recovery is asked for and partitions
    /// have states or a table is sparse; numerical, if a loss is not finite; whatever
    /// computing the dataset fails with; the message of a panic of `update`. Tables then keep the values that they had
    /// before the run, or with [`until`](Training::until) those at the end of the last epoch that went well.
    pub fn run(mut self) -> Result<Report> {
        Ok(self.train(Outcome::Tables)?.0)
    }
    /// As [`Training::run`]; also returns the states of the partitions, one record a partition.
    ///
    /// # Errors
    /// As [`Training::run`].
    #[track_caller]
    pub fn run_with_locals(mut self) -> Result<(Report, Dataset<S>)> {
        let (report, _) = self.train(Outcome::States)?;
        let states = self.take_locals(report.clocks);
        Ok((report, states))
    }
    /// As [`run_with_locals`](Training::run_with_locals), but states stay where they are: each process of a cluster has those of
    /// its partitions, and a copy of those of the process before it, as bytes, until the dataset is dropped. So no process needs
    /// memory for all of them. A partition is decoded each time it is computed, in the process that computes it: operations in
    /// which a partition reads another partition of this dataset (`union`, `coalesce`) fail in a cluster.
    ///
    /// # Errors
    /// As [`Training::run`]. Jobs on the dataset fail if two neighbouring processes are lost at once.
    #[track_caller]
    pub fn run_with_locals_in_place(mut self) -> Result<(Report, Dataset<S>)> {
        let (report, key) = self.train(Outcome::StatesInPlace)?;
        let states = self.locals_in_place(report.clocks, key);
        Ok((report, states))
    }
}
