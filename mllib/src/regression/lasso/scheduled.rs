//! The lasso and the elastic net by scheduled coordinate descent: many weights at a time, chosen so that they do not depend on
//! each other. It is how STRADS solves them, and how data are solved that are too many for one machine's columns; on one
//! machine [working sets](super::solver) are faster by far.

use super::design::Design;
use super::fit::LassoFit;
use super::params::LassoParams;
use super::problem::Problem;
use super::shards::{Shard, shards};
use super::solver::Solver;
use crate::linalg::{dense, widest};
use crate::linear::PathPoint;
use crate::objective::{Logistic, Loss as _};
use crate::optimization::{Observer, Progress, Stop};
use crate::params::require;
use crate::regression::working_sets::{Limits, Solved};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Context, Dataset, Result};
use slackwater_paramstore::schedule::{Change, Program, Schedule, ScheduleExt, TracePoint};
use std::sync::Arc;

/// How weights are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chooser {
    /// By how much they have changed last, and no two that correlate.
    Sap,
    /// At random, whatever correlates.
    Random,
    /// One after the other, whatever correlates.
    Cyclic,
}

/// Parameters of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScheduleParams {
    /// How weights are chosen.
    pub chooser: Chooser,
    /// Weights that change at the same time, at most.
    pub parallelism: usize,
    /// Of [`Chooser::Sap`]: columns whose correlation is as much as this, or more, never change at the same time.
    pub correlation: f64,
    /// Steps by which a set is chosen before its turn.
    pub depth: u64,
    /// Partitions of the rows, and schedulers.
    pub partitions: usize,
    /// Steps from one look at the objective to the next.
    pub every: u64,
    /// Steps at most.
    pub steps_max: u64,
}

impl Default for ScheduleParams {
    fn default() -> Self {
        ScheduleParams {
            chooser: Chooser::Sap,
            parallelism: 32,
            correlation: 0.3,
            depth: 1,
            partitions: 2,
            every: 200,
            steps_max: 1_000_000,
        }
    }
}

impl ScheduleParams {
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, n: u64| require(n >= 1, name, || "must be at least 1".into());
        positive("parallelism", self.parallelism as u64)?;
        positive("depth", self.depth)?;
        positive("partitions", self.partitions as u64)?;
        positive("steps", self.steps_max)?;
        require(self.every >= 2, "every", || "must be at least 2".into())?;
        require(self.correlation >= 0.0 && self.correlation <= 1.0, "correlation", || {
            format!("must be from 0 to 1, not {}", self.correlation)
        })
    }
    fn schedule(&self) -> Schedule {
        let schedule = match self.chooser {
            // Columns that do not correlate at all may change together.
            Chooser::Sap => Schedule::sap(self.parallelism, self.correlation.max(f64::MIN_POSITIVE)),
            Chooser::Random => Schedule::random(self.parallelism),
            Chooser::Cyclic => Schedule::cyclic(self.parallelism),
        };
        schedule.depth(self.depth)
    }
}

/// Weights are variables, and so is the intercept of a logistic loss, after them. States are residuals of rows; of a logistic loss
/// margins, and then residuals.
struct Descent {
    loss: RowLoss,
    rows: f64,
    /// Of the problem that is divided by the number of rows.
    l1: f64,
    l2: f64,
    squares: Arc<Vec<f64>>,
    start: Arc<Vec<f64>>,
}

/// The loss of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RowLoss {
    /// Half the square of the residual.
    Squared,
    /// The logarithm of one plus the exponential of minus the margin.
    Logistic {
        /// Targets above it are those of the positive class.
        cut: f64,
        /// The last variable is an intercept.
        intercept: bool,
    },
}

impl RowLoss {
    /// The largest curvature.
    fn curvature(self) -> f64 {
        match self {
            RowLoss::Squared => 1.0,
            RowLoss::Logistic { .. } => 0.25,
        }
    }
    fn has_intercept(self) -> bool {
        matches!(self, RowLoss::Logistic { intercept: true, .. })
    }
}

impl Descent {
    fn is_intercept(&self, variable: usize) -> bool {
        self.loss.has_intercept() && variable + 1 == self.squares.len()
    }
    /// Adds to a weight, without what follows for residuals of a logistic loss.
    fn add(&self, shard: &Shard, variable: usize, by: f64, state: &mut [f64]) {
        match self.loss {
            RowLoss::Squared => change(shard, variable, -by, state),
            RowLoss::Logistic { .. } => {
                let margins = &mut state[..shard.targets.len()];
                match self.is_intercept(variable) {
                    true => margins.iter_mut().for_each(|z| *z += by),
                    false => change(shard, variable, by, margins),
                }
            }
        }
    }
    /// What follows.
    fn settle(&self, shard: &Shard, state: &mut [f64]) {
        let RowLoss::Logistic { cut, .. } = self.loss else { return };
        let (margins, residuals) = state.split_at_mut(shard.targets.len());
        for ((z, r), y) in margins.iter().zip(residuals).zip(&shard.targets) {
            *r = -Logistic.at(*z, sign(*y, cut)).first;
        }
    }
}

impl Program for Descent {
    type Record = Shard;
    type State = Vec<f64>;

    fn variables(&self) -> usize {
        self.squares.len()
    }
    fn first(&self, variable: usize, values: &mut [f64]) {
        values[0] = self.start[variable];
    }
    fn state(&self, _: usize, shard: &[Shard]) -> Vec<f64> {
        let shard = &shard[0];
        let mut state = match self.loss {
            RowLoss::Squared => shard.targets.clone(),
            RowLoss::Logistic { .. } => vec![0.0; 2 * shard.targets.len()],
        };
        for (j, b) in self.start.iter().enumerate().filter(|(_, b)| **b != 0.0) {
            self.add(shard, j, *b, &mut state);
        }
        self.settle(shard, &mut state);
        state
    }
    fn push(&self, state: &Vec<f64>, shard: &[Shard], variables: &[u32], parts: &mut [f64]) {
        let r = &state[state.len() - shard[0].targets.len()..];
        let sum: f64 = r.iter().sum();
        widest(
            #[inline(always)]
            || {
                for (j, part) in variables.iter().zip(parts) {
                    *part += match self.is_intercept(*j as usize) {
                        true => sum,
                        false => shard[0].column(*j as usize).dot(r, sum),
                    };
                }
            },
        );
    }
    fn pull(&self, variable: usize, parts: &[f64], values: &mut [f64]) {
        let curvature = self.loss.curvature() * self.squares[variable] / self.rows;
        let z = parts[0] / self.rows + curvature * values[0];
        let (l1, l2) = if self.is_intercept(variable) { (0.0, 0.0) } else { (self.l1, self.l2) };
        let beyond = (z.abs() - l1).max(0.0);
        values[0] = if curvature == 0.0 { 0.0 } else { beyond.copysign(z) / (curvature + l2) };
    }
    fn sync(&self, state: &mut Vec<f64>, shard: &[Shard], changes: &[Change<'_>]) {
        let mut any = false;
        for c in changes.iter().filter(|c| c.now != c.before) {
            any = true;
            self.add(&shard[0], c.variable, c.now[0] - c.before[0], state);
        }
        if any {
            self.settle(&shard[0], state);
        }
    }
    fn objective(&self, state: &Vec<f64>, shard: &[Shard]) -> f64 {
        match self.loss {
            RowLoss::Squared => dense::dot(state, state) / (2.0 * self.rows),
            RowLoss::Logistic { cut, .. } => {
                let rows = state.iter().zip(&shard[0].targets);
                rows.map(|(z, y)| Logistic.at(*z, sign(*y, cut)).value).sum::<f64>() / self.rows
            }
        }
    }
    fn penalty(&self, variable: usize, values: &[f64]) -> f64 {
        match self.is_intercept(variable) {
            true => 0.0,
            false => self.l1 * values[0].abs() + 0.5 * self.l2 * values[0] * values[0],
        }
    }
    fn dependency(&self, state: &Vec<f64>, shard: &[Shard], a: usize, b: usize) -> f64 {
        let mut to = [0.0];
        self.dependencies(state, shard, a, &[b], &mut to);
        to[0]
    }
    fn dependencies(&self, _: &Vec<f64>, shard: &[Shard], variable: usize, others: &[usize], to: &mut [f64]) {
        // Columns are centred where there is an intercept, which is no column: it depends on none of them.
        shard[0].correlations(variable, others, &self.squares, to);
    }
}

fn sign(target: f64, cut: f64) -> f64 {
    if target > cut { 1.0 } else { -1.0 }
}

/// `r += a x`.
fn change(shard: &Shard, column: usize, a: f64, r: &mut [f64]) {
    widest(
        #[inline(always)]
        || {
            let shift = shard.column(column).axpy(a, r);
            if shift != 0.0 {
                r.iter_mut().for_each(|r| *r += shift);
            }
        },
    );
}

/// What a schedule has come to.
#[derive(Debug, Clone, Serialize)]
pub struct Scheduled {
    /// The objective as it has gone down.
    #[serde(skip)]
    pub trace: Vec<TracePoint>,
    /// Steps.
    pub steps: u64,
    /// Weights that were updated, counted every time.
    pub updates: u64,
    /// How often it was only found out whether a weight would change.
    pub probes: u64,
    /// No two columns that changed in the same step correlate more than this.
    pub certificate: f64,
}

/// A weight that changes by less than this part of the largest possible one counts as one that does not, at first.
pub(crate) const FIRST_QUIET: f64 = 1e-4;

impl LassoParams {
    /// Fits one penalty to columns that were made with [`scaling`](LassoParams::scaling), by scheduled coordinate descent.
    ///
    /// The descent ends when no weight changes by much any more. Then the gap is computed, and if it is larger than the tolerance, it goes
    /// on with smaller changes.
    ///
    /// # Errors
    /// As [`fit`](LassoParams::fit); numerical, if columns that depend on each other have changed together too often.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_scheduled(
        &self,
        cx: &Context,
        design: &Design,
        schedule: &ScheduleParams,
        observer: &mut Observer<'_>,
    ) -> Result<LassoFit> {
        self.check()?;
        schedule.check()?;
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        let mut solver = Solver::new(design)?;
        let largest = self.largest(&solver, design);
        let penalties = self.values(largest);
        require(penalties.len() == 1, "path", || "a schedule fits one penalty".into())?;
        let own = LassoParams { schedule: Some(*schedule), ..self.clone() };
        let problem = Problem::new(penalties[0], self.l1_ratio, design.rows());
        let plan = Plan {
            design,
            loss: RowLoss::Squared,
            problem,
            limits: self.limits(design),
            schedule,
            seed: self.seed,
            quiet: FIRST_QUIET * largest,
        };
        let gap_at = |weights: &[f64]| solver.gap_at(&problem, weights);
        let Descended { solved, scheduled, weights } = plan.descend(cx, gap_at, observer)?;
        let nonzeros = weights.iter().filter(|w| **w != 0.0).count();
        let point = PathPoint::new(penalties[0], &solved, nonzeros);
        let (weights, intercept) = design.to_raw(&weights);
        let model = own.model(design, &point, weights, intercept, solved);
        let (path, scheduled) = (vec![point], Some(scheduled));
        Ok(LassoFit { model, path, chosen: 0, regularization_max: largest, search: None, scheduled })
    }
}

/// What is to be solved, and how.
pub(crate) struct Plan<'a> {
    pub design: &'a Design,
    pub loss: RowLoss,
    pub problem: Problem,
    pub limits: Limits,
    pub schedule: &'a ScheduleParams,
    pub seed: u64,
    /// A weight that changes by less counts as one that does not, at first.
    pub quiet: f64,
}

/// What came of it.
pub(crate) struct Descended {
    pub solved: Solved,
    pub scheduled: Scheduled,
    /// Of columns as they are in the design.
    pub weights: Vec<f64>,
}

impl Plan<'_> {
    /// Descends until the gap is small enough: `gap_at` has objective and gap of weights, both times the number of rows.
    pub fn descend(
        &self,
        cx: &Context,
        mut gap_at: impl FnMut(&[f64]) -> Result<(f64, f64)>,
        observer: &mut Observer<'_>,
    ) -> Result<Descended> {
        let Plan { design, schedule, .. } = self;
        let (n, p) = (design.rows() as f64, design.columns());
        let shards = shards(design, cx, schedule.partitions);
        let mut squares: Vec<f64> = design.facts().iter().map(|f| f.square).collect();
        if self.loss.has_intercept() {
            squares.push(n);
        }
        let squares = Arc::new(squares);
        let mut run = Run {
            weights: Arc::new(vec![0.0; squares.len()]),
            seed: self.seed,
            history: vec![],
            is_stopped: false,
            so_far: Scheduled { trace: vec![], steps: 0, updates: 0, probes: 0, certificate: 0.0 },
        };
        let mut quiet = self.quiet;
        let (mut objective, mut gap) = (f64::NAN, f64::INFINITY);
        let (mut stop, mut looks) = (Stop::IterationLimit, 0);
        while run.so_far.steps < schedule.steps_max {
            let program = Descent {
                loss: self.loss,
                rows: n,
                l1: self.problem.alpha / n,
                l2: self.problem.mu / n,
                squares: squares.clone(),
                start: run.weights.clone(),
            };
            let has_converged = run.go(&shards, program, schedule, quiet, observer)?;
            (objective, gap) = gap_at(&run.weights[..p])?;
            looks += 1;
            if run.is_stopped || gap <= self.limits.gap || !has_converged {
                stop = match (run.is_stopped, gap <= self.limits.gap) {
                    (true, _) => Stop::Observer,
                    (false, true) => Stop::Optimality,
                    (false, false) => Stop::IterationLimit,
                };
                break;
            }
            // The gap is about as large as the changes.
            quiet *= (0.3 * self.limits.gap / gap).clamp(1e-4, 0.3);
        }
        shards.unpersist();
        let products = run.so_far.updates + run.so_far.probes;
        // The last look has the exact objective.
        run.history.push(objective / n);
        let solved = Solved {
            history: run.history,
            gap: gap / n,
            passes: looks,
            epochs: (products / p.max(1) as u64) as usize,
            products,
            stop,
        };
        Ok(Descended { solved, scheduled: run.so_far, weights: run.weights[..p].to_vec() })
    }
}

/// A descent, in as many runs as it takes.
struct Run {
    weights: Arc<Vec<f64>>,
    seed: u64,
    history: Vec<f64>,
    is_stopped: bool,
    so_far: Scheduled,
}

impl Run {
    /// True if weights have become quiet.
    fn go(
        &mut self,
        shards: &Dataset<Shard>,
        program: Descent,
        schedule: &ScheduleParams,
        quiet: f64,
        observer: &mut Observer<'_>,
    ) -> Result<bool> {
        let so_far = &mut self.so_far;
        let (before, seconds) = (so_far.steps, so_far.trace.last().map_or(0.0, |t| t.seconds));
        let (trace, history, is_stopped) = (&mut so_far.trace, &mut self.history, &mut self.is_stopped);
        let outcome = shards
            .schedule(program, schedule.schedule())
            .steps(schedule.steps_max - before)
            .every(schedule.every)
            .tolerance(quiet)
            .seed(self.seed)
            .until(|point| {
                let step = before + point.step;
                trace.push(TracePoint { step, seconds: seconds + point.seconds, ..*point });
                history.push(point.objective);
                let progress = Progress {
                    iteration: step as usize,
                    objective: point.objective,
                    gradient_norm: f64::NAN,
                    weights: &[],
                };
                *is_stopped = observer(&progress).is_break();
                *is_stopped
            })
            .run()?;
        so_far.steps += outcome.report.epochs;
        so_far.updates += outcome.updates;
        so_far.probes += outcome.probes;
        so_far.certificate = so_far.certificate.max(outcome.certificate);
        self.weights = Arc::new(outcome.values);
        Ok(outcome.has_converged)
    }
}
