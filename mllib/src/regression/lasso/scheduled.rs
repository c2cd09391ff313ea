//! The lasso and the elastic net by scheduled coordinate descent: many weights at a time, chosen so that they do not depend on
//! each other. It is how STRADS solves them, and how data are solved that are too many for one machine's columns; on one
//! machine [working sets](super::solver) are faster by far.

use super::design::Design;
use super::fit::{LassoFit, PathPoint};
use super::params::LassoParams;
use super::problem::Problem;
use super::shards::{Shard, shards};
use super::solver::Solver;
use crate::linalg::{dense, widest};
use crate::optimization::{Observer, Progress, Stop};
use crate::params::require;
use crate::regression::working_sets::Solved;
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

/// Weights are variables; residuals of rows are the states.
struct Descent {
    rows: f64,
    /// Of the problem that is divided by the number of rows.
    l1: f64,
    l2: f64,
    squares: Arc<Vec<f64>>,
    start: Arc<Vec<f64>>,
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
        let mut r = shard[0].targets.clone();
        for (j, b) in self.start.iter().enumerate().filter(|(_, b)| **b != 0.0) {
            change(&shard[0], j, -b, &mut r);
        }
        r
    }
    fn push(&self, r: &Vec<f64>, shard: &[Shard], variables: &[u32], parts: &mut [f64]) {
        let sum: f64 = r.iter().sum();
        widest(|| {
            for (j, part) in variables.iter().zip(parts) {
                *part += shard[0].column(*j as usize).dot(r, sum);
            }
        });
    }
    fn pull(&self, variable: usize, parts: &[f64], values: &mut [f64]) {
        let curvature = self.squares[variable] / self.rows;
        let z = parts[0] / self.rows + curvature * values[0];
        let beyond = (z.abs() - self.l1).max(0.0);
        values[0] = if curvature == 0.0 { 0.0 } else { beyond.copysign(z) / (curvature + self.l2) };
    }
    fn sync(&self, r: &mut Vec<f64>, shard: &[Shard], changes: &[Change<'_>]) {
        for c in changes.iter().filter(|c| c.now != c.before) {
            change(&shard[0], c.variable, c.before[0] - c.now[0], r);
        }
    }
    fn objective(&self, r: &Vec<f64>, _: &[Shard]) -> f64 {
        dense::dot(r, r) / (2.0 * self.rows)
    }
    fn penalty(&self, _: usize, values: &[f64]) -> f64 {
        self.l1 * values[0].abs() + 0.5 * self.l2 * values[0] * values[0]
    }
    fn dependency(&self, _: &Vec<f64>, shard: &[Shard], a: usize, b: usize) -> f64 {
        shard[0].correlation(a, b, &self.squares)
    }
}

/// `r += a x`.
fn change(shard: &Shard, column: usize, a: f64, r: &mut [f64]) {
    widest(|| {
        let shift = shard.column(column).axpy(a, r);
        if shift != 0.0 {
            r.iter_mut().for_each(|r| *r += shift);
        }
    });
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
const FIRST_QUIET: f64 = 1e-4;

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
        let n = design.rows() as f64;
        let problem =
            Problem { alpha: n * penalties[0] * self.l1_ratio, mu: n * penalties[0] * (1.0 - self.l1_ratio) };
        let limit = self.tolerance * 0.5 * dense::dot(design.targets(), design.targets());
        let shards = shards(design, cx, schedule.partitions);
        let squares: Arc<Vec<f64>> = Arc::new(design.facts().iter().map(|f| f.square).collect());
        let mut run = Run {
            weights: Arc::new(vec![0.0; design.columns()]),
            seed: self.seed,
            history: vec![],
            is_stopped: false,
            so_far: Scheduled { trace: vec![], steps: 0, updates: 0, probes: 0, certificate: 0.0 },
        };
        let mut quiet = FIRST_QUIET * largest;
        let (mut objective, mut gap) = (f64::NAN, f64::INFINITY);
        let (mut stop, mut looks) = (Stop::IterationLimit, 0);
        while run.so_far.steps < schedule.steps_max {
            let program = Descent {
                rows: n,
                l1: problem.alpha / n,
                l2: problem.mu / n,
                squares: squares.clone(),
                start: run.weights.clone(),
            };
            let has_converged = run.go(&shards, program, schedule, quiet, observer)?;
            (objective, gap) = solver.gap_at(&problem, &run.weights)?;
            looks += 1;
            if run.is_stopped || gap <= limit || !has_converged {
                stop = match (run.is_stopped, gap <= limit) {
                    (true, _) => Stop::Observer,
                    (false, true) => Stop::Optimality,
                    (false, false) => Stop::IterationLimit,
                };
                break;
            }
            // The gap is about as large as the changes.
            quiet *= (0.3 * limit / gap).clamp(1e-4, 0.3);
        }
        shards.unpersist();
        let work = run.so_far.updates + run.so_far.probes;
        let point = PathPoint {
            regularization: penalties[0],
            objective: objective / n,
            gap: gap / n,
            nonzeros: run.weights.iter().filter(|w| **w != 0.0).count(),
            passes: looks,
            products: work,
            epochs: (work / design.columns().max(1) as u64) as usize,
            converged: stop == Stop::Optimality,
        };
        let solved = Solved {
            history: run.history,
            gap: gap / n,
            passes: looks,
            epochs: point.epochs,
            products: work,
            stop,
        };
        let (weights, intercept) = design.to_raw(&run.weights);
        let model = own.model(design, &point, weights, intercept, solved);
        let (path, scheduled) = (vec![point], Some(run.so_far));
        Ok(LassoFit { model, path, chosen: 0, regularization_max: largest, search: None, scheduled })
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
