//! What a partition does in a clock.
//!
//! In clock `t` a partition learns what the set of step `t - 1` has come to, computes its part of step `t`, and chooses the set of
//! step `t + depth`, if it is the scheduler then. Sets and parts are in two tables. A row of theirs is set to 0 by what was in
//! it one clock after it was read, so that the next who writes it finds 0 and the values that are read are exact.

use super::dependency::{Chosen, Dependencies, Measured, choose};
use super::pool::Pool;
use super::program::{Change, Program, Share};
use super::run::StepRecord;
use super::{Schedule, Selection};
use crate::view::{Clock, TableView};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Numbers at the front of a row of the table of sets: how many variables, and the certificate.
const HEAD: usize = 2;
/// Rows of the table of parts.
pub(super) const PARTS: u64 = 2;

/// What all partitions know.
pub(super) struct Plan<P> {
    pub program: Arc<P>,
    pub schedule: Schedule,
    /// Clocks from one look at the objective to the next.
    pub every: u64,
    /// Changes that count for nothing, squared.
    pub quiet: f64,
    pub seed: u64,
    pub records_steps: bool,
}

impl<P: Program> Plan<P> {
    /// Rows of the table of sets.
    pub fn slots(&self) -> u64 {
        self.schedule.depth + 2
    }
    pub fn set_columns(&self) -> usize {
        HEAD + self.schedule.parallelism * (1 + self.program.width())
    }
    pub fn part_columns(&self) -> usize {
        self.schedule.parallelism * self.program.partial_width()
    }
    /// The variables whose scheduler a partition is.
    pub fn share(&self, partition: usize, partitions: usize) -> Share {
        Share { first: partition, step: partitions, end: self.program.variables() }
    }
}

/// The state of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Lane<S> {
    pub state: S,
    /// Of the variables whose scheduler it is.
    pub values: Vec<f64>,
    pub steps: Vec<StepRecord>,
    pub updates: u64,
    pub probes: u64,
    /// The largest of all its sets.
    pub certificate: f64,
    pool: Pool,
    /// By variable, by place: those that it was found to depend on too much, and how much, squared.
    around: BTreeMap<u32, Vec<(u32, f64)>>,
    /// Sets that were chosen with another, and follow it.
    queue: VecDeque<Chosen>,
    /// All variables are being visited once more, to see whether any still changes.
    is_sweeping: bool,
    #[serde(skip)]
    scratch: Scratch,
}

/// What can be made again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    measured: Measured,
    row: Vec<f64>,
    parts: Vec<f64>,
    now: Vec<f64>,
    variables: Vec<u32>,
}

impl<S> Lane<S> {
    pub fn new<P: Program<State = S>>(
        plan: &Plan<P>,
        partition: usize,
        partitions: usize,
        records: &[P::Record],
    ) -> Self {
        let (share, width) = (plan.share(partition, partitions), plan.program.width());
        let mut values = vec![0.0; share.len() * width];
        for (variable, values) in share.iter().zip(values.chunks_exact_mut(width.max(1))) {
            plan.program.first(variable, values);
        }
        Lane {
            state: plan.program.state(partition, records),
            values,
            steps: vec![],
            updates: 0,
            probes: 0,
            certificate: 0.0,
            pool: Pool::new(
                share.len(),
                plan.schedule.priority,
                &mut rng::stream(plan.seed, partition as u64),
            ),
            around: BTreeMap::new(),
            queue: VecDeque::new(),
            is_sweeping: false,
            scratch: Scratch::default(),
        }
    }
    /// One clock.
    pub fn clock<P: Program<State = S>>(
        &mut self,
        plan: &Plan<P>,
        records: &[P::Record],
        tables: &mut [TableView<'_, f64>],
        clock: &mut Clock,
    ) {
        let [sets, parts] = tables else { unreachable!("a schedule has two tables") };
        let (t, partitions) = (clock.number(), clock.partitions());
        let share = plan.share(clock.partition(), partitions);
        let scheduler = |step: u64| (step % partitions as u64) as usize;
        if let Some(step) = t.checked_sub(1) {
            let owns = scheduler(step) == clock.partition();
            self.take(plan, records, (sets, parts), step, owns.then_some(share));
        }
        self.report(plan, records, share, clock);
        self.push(plan, records, (sets, parts), t);
        if scheduler(t + plan.schedule.depth) == clock.partition() {
            self.propose(plan, records, sets, t + plan.schedule.depth, share, clock);
        }
    }
    /// Takes in what a step has come to.
    fn take<'v, P: Program<State = S>>(
        &mut self,
        plan: &Plan<P>,
        records: &[P::Record],
        (sets, parts): (&mut TableView<'v, f64>, &mut TableView<'v, f64>),
        step: u64,
        owned: Option<Share>,
    ) {
        let Lane { state, scratch, pool, around, .. } = self;
        let Scratch { row, parts: sums, now, .. } = scratch;
        let (width, partial) = (plan.program.width(), plan.program.partial_width());
        let slot = (step % plan.slots()) as usize;
        row.resize(plan.set_columns(), 0.0);
        sets.read_row(slot, row);
        let n = row[0] as usize;
        if n == 0 {
            return;
        }
        sums.resize(plan.part_columns(), 0.0);
        parts.read_row((step % PARTS) as usize, sums);
        let (ids, before) = row[HEAD..].split_at(plan.schedule.parallelism);
        let (ids, before) = (&ids[..n], &before[..n * width]);
        now.clear();
        now.extend_from_slice(before);
        for (i, id) in ids.iter().enumerate() {
            let part = &sums[i * partial..][..partial];
            plan.program.pull(variable(*id), part, &mut now[i * width..][..width]);
        }
        let all = ids.iter().enumerate().map(|(i, id)| Change {
            variable: variable(*id),
            before: &before[i * width..][..width],
            now: &now[i * width..][..width],
        });
        // Those that change come first.
        let changing = ids.iter().position(|id| *id < 0.0).unwrap_or(n);
        let all: Vec<Change<'_>> = all.collect();
        let changes = &all[..changing];
        plan.program.sync(state, records, changes);
        let Some(share) = owned else { return };
        self.updates += changing as u64;
        self.probes += (n - changing) as u64;
        self.certificate = self.certificate.max(row[1]);
        for (i, change) in all.iter().enumerate() {
            let place = share.place(change.variable);
            let squared = change.now.iter().zip(change.before).map(|(a, b)| (a - b) * (a - b)).sum();
            pool.settle(place, squared);
            if i >= changing {
                continue;
            }
            self.values[place as usize * width..][..width].copy_from_slice(change.now);
            if squared > 0.0 && pool.expects() {
                for (other, strength) in around.get(&place).into_iter().flatten() {
                    pool.expect(*other, squared * strength);
                }
            }
        }
        if plan.records_steps {
            let variables = changes.iter().map(|c| c.variable as u32).collect();
            self.steps.push(StepRecord { step, variables, certificate: row[1] });
        }
        for (table, at, values) in [(sets, slot, row), (parts, (step % PARTS) as usize, sums)] {
            values.iter_mut().for_each(|v| *v = -*v);
            table.inc_dense(at, 0, values);
        }
    }
    fn push<'v, P: Program<State = S>>(
        &mut self,
        plan: &Plan<P>,
        records: &[P::Record],
        (sets, parts): (&mut TableView<'v, f64>, &mut TableView<'v, f64>),
        step: u64,
    ) {
        let Scratch { variables, parts: sums, .. } = &mut self.scratch;
        let slot = (step % plan.slots()) as usize;
        let n = sets.get(slot, 0) as usize;
        if n == 0 {
            return;
        }
        variables.clear();
        variables.extend((0..n).map(|i| variable(sets.get(slot, HEAD + i)) as u32));
        sums.clear();
        sums.resize(plan.part_columns(), 0.0);
        let used = n * plan.program.partial_width();
        plan.program.push(&self.state, records, variables, &mut sums[..used]);
        parts.inc_dense((step % PARTS) as usize, 0, sums);
    }
    /// Chooses the set of a step to come.
    fn propose<P: Program<State = S>>(
        &mut self,
        plan: &Plan<P>,
        records: &[P::Record],
        sets: &mut TableView<'_, f64>,
        step: u64,
        share: Share,
        clock: &Clock,
    ) {
        let (width, want) = (plan.program.width(), plan.schedule.parallelism);
        if self.queue.is_empty() {
            let Lane { state, pool, scratch, .. } = self;
            let (selection, at_most) = match plan.schedule.dependencies {
                Dependencies::None => (Selection::Independent, f64::INFINITY),
                Dependencies::Measured { at_most } => (plan.schedule.selection, at_most),
                _ => (plan.schedule.selection, 1.0),
            };
            let one_if = |joined: bool| f64::from(u8::from(joined));
            let of = |a: u32, others: &[u32], to: &mut Vec<f64>| match &plan.schedule.dependencies {
                Dependencies::None => to.resize(to.len() + others.len(), 0.0),
                Dependencies::Measured { .. } => scratch.measured.get(a, others, to, |others, to| {
                    let others: Vec<usize> = others.iter().map(|b| share.at(*b)).collect();
                    plan.program.dependencies(state, records, share.at(a), &others, to);
                }),
                Dependencies::Graph(graph) => {
                    let near = graph.neighbours(share.at(a));
                    to.extend(
                        others.iter().map(|b| one_if(near.binary_search(&(share.at(*b) as u32)).is_ok())),
                    );
                }
                Dependencies::Groups(groups) => {
                    let group = groups.get(share.at(a));
                    to.extend(others.iter().map(|b| one_if(groups.get(share.at(*b)) == group)));
                }
            };
            let mut conflicts = vec![];
            let chosen = choose(pool, &mut clock.rng(), want, selection, at_most, of, &mut conflicts);
            self.queue.extend(chosen);
            for (a, b, depends) in conflicts {
                self.note(a, b, depends * depends);
                self.note(b, a, depends * depends);
            }
        }
        let Some(chosen) = self.queue.pop_front().filter(|c| c.variables.len() + c.probes.len() > 0) else {
            return;
        };
        let row = &mut self.scratch.row;
        row.clear();
        row.resize(plan.set_columns(), 0.0);
        let changing = chosen.variables.len();
        (row[0], row[1]) = ((changing + chosen.probes.len()) as f64, chosen.certificate);
        for (i, v) in chosen.variables.iter().chain(&chosen.probes).enumerate() {
            let place = *v as usize;
            let id = share.at(*v) as f64;
            row[HEAD + i] = if i < changing { id } else { -1.0 - id };
            let values = &self.values[place * width..][..width];
            row[HEAD + want + i * width..][..width].copy_from_slice(values);
        }
        sets.inc_dense((step % plan.slots()) as usize, 0, row);
    }
    /// Two variables depend on each other.
    fn note(&mut self, a: u32, b: u32, squared: f64) {
        let around = self.around.entry(a).or_default();
        if around.len() < AROUND_MAX && around.iter().all(|(other, _)| *other != b) {
            around.push((b, squared));
        }
    }
    /// What the last clocks before a look tell: the last whether something still changes, the one before it the objective.
    fn report<P: Program<State = S>>(
        &mut self,
        plan: &Plan<P>,
        records: &[P::Record],
        share: Share,
        clock: &mut Clock,
    ) {
        match plan.every - 1 - clock.number() % plan.every {
            0 => {
                let changes = self.pool.largest_change() > plan.quiet;
                if !self.pool.has_first() {
                    if !changes && self.is_sweeping {
                        return;
                    }
                    self.is_sweeping = !changes;
                    if !changes {
                        self.pool.sweep(&mut clock.rng());
                    }
                }
                clock.loss(1.0);
            }
            1 => {
                let width = plan.program.width().max(1);
                let own = share.iter().zip(self.values.chunks_exact(width));
                let penalty: f64 = own.map(|(variable, values)| plan.program.penalty(variable, values)).sum();
                clock.loss(plan.program.objective(&self.state, records) + penalty);
            }
            _ => {}
        }
    }
}

/// Variables that one is known to depend on too much, at most.
const AROUND_MAX: usize = 64;

/// The variable of a number in a set; numbers below 0 are of probes.
fn variable(id: f64) -> usize {
    if id < 0.0 { (-1.0 - id) as usize } else { id as usize }
}
