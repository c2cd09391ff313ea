//! Scheduling of model updates: which variables change next, which may change together, and who computes what.
//!
//! # What
//! A [`Program`] has variables, and says how one of them is updated. It runs in steps, each of which is, in this order:
//!
//! 1. [`schedule`](Schedule): a set of variables is chosen. A partition of the dataset is the scheduler of its own share of
//!    the variables; the partitions take turns, step by step.
//! 2. [`push`](Program::push): every partition computes its part of the update of each variable of the set, from its records.
//! 3. [`pull`](Program::pull): the parts, summed up over partitions in their order, become new values.
//! 4. [`sync`](Program::sync): every partition learns what has changed. Nobody calls anything for it.
//!
//! All of it is a training on tables under BSP, in the same graph: what recovers trainings recovers scheduled ones, and
//! the bits are the same for any number of workers.
//!
//! # Structure-aware parallelism
//! Two variables that depend on each other must not change in the same step: each would correct what the other corrects.
//! [`Schedule::sap`] draws variables by how much they have changed last (the *prioritiser*), leaves out those that
//! depend too much on one drawn before (the *dependency checker*), and hands on the rest. Each step has a certificate:
//! a bound on the dependency of any two of its variables. Where no change is expected a variable is only probed: it is found
//! out whether it would change. So dependencies need to be measured between variables that do change, and no others.
//!
//! # Pipelining
//! A set is chosen [`depth`](Schedule::depth) steps before its turn, so its priorities are as old as that. Updates are not:
//! a push sees all changes of the steps before.
//!
//! # Groups
//! A [`Program`] has its data by rows, and all partitions have a part in each update. Where data lie by variables, whole
//! groups of variables are handed to partitions ([`GroupsExt::update_groups`]), and what variables have in common, such as
//! residuals, is a table. [`Groups`] are the user's own, the components of a graph, or the trees of a forest. A group is updated
//! in its order, each variable seeing what the one before has changed, and so are the groups of a partition; partitions work at the
//! same time. The [dispatcher](Dispatch) chooses where a group goes, by how much work it is. What partitions see of each other is
//! the table's [`Consistency`](crate::Consistency):
//!
//! | policy | consistency of the table | what an update sees |
//! |---|---|---|
//! | synchronous | BSP | all of its own partition; of others all rounds before: the same bits for any number of workers |
//! | asynchronous | SSP, ESSP | all of its own partition; of others all rounds but the last `s`, and maybe more |
//! | asynchronous | async | all of its own partition; of others what has arrived; all of it after each look |
//!
//! **With one partition, and where groups of different ones have no row of the table in common, this is sequential
//! descent to the bit.** Else two partitions may both correct what they have in common. What bounds it: let a sum of squares
//! (or any quadratic) with penalties by variable be minimised exactly in each variable, under BSP. The objective falls in a round if no
//! variable correlates by 1 or more, in sum, with those that *other partitions update in the same round*. For an update that moves a
//! variable by `d` takes `h d²/2` off at least, `h` being its curvature, and two of different partitions add at most `c (h d² + h' d'²)/2`
//! together if they correlate by `c`. So [`rounds`](GroupScheduling::rounds) cut a sweep: with `k` of them the sums have about one
//! `k`th of the terms. And [`apart`](GroupScheduling::apart) takes the user's graph for it: what an edge joins is never
//! updated in the same round. Staleness adds the rounds that were not seen to the sums.
//!
//! It costs a clock for each round and look, about 40 bytes for each variable in every process, a sort of records, and of the
//! table what a partition touches, once more. A round runs without interruption: keep it below some milliseconds where
//! others wait for what this worker has. Parents and children in a tree depend on each other in one direction only if the
//! program's updates are so: the order is all that a forest says.
//!
//! ```
//! use slackwater_dataflow::Context;
//! use slackwater_paramstore::schedule::{GroupProgram, Groups, GroupsExt, Shared};
//! use slackwater_paramstore::{TableExt, TableSpec};
//!
//! /// Least squares: records are columns of (row, number), the table has the residuals.
//! struct LeastSquares;
//!
//! impl GroupProgram for LeastSquares {
//!     type Record = Vec<(u32, f64)>;
//!     fn weight(&self, column: &Self::Record) -> u64 {
//!         1 + column.len() as u64
//!     }
//!     fn update(&self, _: usize, column: &Self::Record, weight: &mut [f64], residuals: &mut Shared<'_, '_>) {
//!         let square: f64 = column.iter().map(|(_, x)| x * x).sum();
//!         let product: f64 = column.iter().map(|(i, x)| x * residuals.get(*i as usize, 0)).sum();
//!         weight[0] += product / square;
//!         column.iter().for_each(|(i, x)| residuals.add(*i as usize, 0, -x * product / square));
//!     }
//!     fn objective(&self, _: usize, residual: &[f64]) -> f64 {
//!         residual[0] * residual[0]
//!     }
//! }
//!
//! let cx = Context::local(2)?;
//! let columns = vec![(0, vec![(0, 1.0), (1, 1.0)]), (1, vec![(1, 2.0)]), (2, vec![(2, 4.0)])];
//! let targets = [1.0, 3.0, 8.0];
//! let residuals = cx.table("residuals", TableSpec::dense(3, 1).init(move |row, _| targets[row]))?;
//! let groups = Groups::new(vec![vec![0, 1], vec![2]])?;
//! let columns = cx.parallelize(columns, 2);
//! let outcome = columns.update_groups(LeastSquares, groups, &residuals).tolerance(1e-9).run()?;
//! assert!(outcome.has_converged && outcome.trace.last().is_some_and(|look| look.objective < 1e-12));
//! assert!(outcome.values.iter().zip([1.0, 1.0, 2.0]).all(|(value, want)| (value - want).abs() < 1e-6));
//! # Ok::<(), slackwater_dataflow::Error>(())
//! ```
//!
//! # References
//! Lee, Kim, Zheng, Ho, Gibson and Xing, On model parallelization and scheduling strategies for distributed machine learning,
//! NIPS 2014. Kim et al., STRADS, EuroSys 2016. Pan et al., CYCLADES, NIPS 2016 (colours). Graham, SIAM J. Appl. Math.
//! 17 (1969) (the dispatcher). Bradley et al., Parallel coordinate descent for L1-regularized loss minimization, ICML 2011
//! (what changes together overshoots).

mod dependency;
mod groups;
mod lane;
mod pool;
mod program;
mod run;

pub use dependency::{ConflictGraph, Dependencies};
pub use groups::{
    Dispatch, GroupOutcome, GroupProgram, GroupScheduling, Groups, GroupsExt, Shared, SweepPoint,
};
pub use pool::Priority;
pub use program::{Change, Program};
pub use run::{Outcome, ScheduleExt, Scheduling, StepRecord, TracePoint};

/// How sets of variables are chosen.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub(crate) parallelism: usize,
    pub(crate) priority: Priority,
    pub(crate) dependencies: Dependencies,
    pub(crate) selection: Selection,
    pub(crate) depth: u64,
}

/// What becomes of variables that depend on one of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// They wait for another draw.
    Independent,
    /// They are the sets of the steps that follow: the graph of dependencies of what was drawn is coloured, and each colour is a set.
    Colours,
    /// They are the first of the next set, and what depends on them waits for them. What is computed in parallel is then what
    /// would be computed one after another in the order of the draws; with variables that share no record, the same bits.
    InOrder,
}

impl Schedule {
    /// Structure-aware: up to `parallelism` variables a step, by priority, with no two that depend on each other by
    /// `at_most` or more (as the program [measures](Program::dependency) it).
    pub fn sap(parallelism: usize, at_most: f64) -> Self {
        Schedule {
            parallelism: parallelism.max(1),
            priority: Priority::Change { uniform: 0.5 },
            dependencies: Dependencies::Measured { at_most },
            selection: Selection::Independent,
            depth: 1,
        }
    }
    /// Up to `parallelism` variables a step, uniformly at random, whatever depends on whatever (Shotgun, Bradley et al. 2011).
    pub fn random(parallelism: usize) -> Self {
        Schedule {
            priority: Priority::Uniform,
            dependencies: Dependencies::None,
            ..Schedule::sap(parallelism, 0.0)
        }
    }
    /// Up to `parallelism` variables a step, in their order, again and again.
    pub fn cyclic(parallelism: usize) -> Self {
        Schedule { priority: Priority::Cyclic, ..Schedule::random(parallelism) }
    }
    /// Who comes first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
    /// Which variables must not change in the same step.
    pub fn dependencies(mut self, dependencies: Dependencies) -> Self {
        self.dependencies = dependencies;
        self
    }
    /// What becomes of variables that are left out.
    pub fn selection(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }
    /// Steps by which a set is chosen before its turn; 1 unless said, and at least.
    pub fn depth(mut self, steps: u64) -> Self {
        self.depth = steps.max(1);
        self
    }
}
