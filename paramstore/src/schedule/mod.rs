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
//! # References
//! Lee, Kim, Zheng, Ho, Gibson and Xing, On model parallelization and scheduling strategies for distributed machine learning,
//! NIPS 2014. Kim et al., STRADS, EuroSys 2016. Pan et al., CYCLADES, NIPS 2016 (colours).

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
