//! What a user writes to have variables scheduled.

use slackwater_dataflow::{Data, Record};

/// A variable that has changed.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its number.
    pub variable: usize,
    /// Its values before.
    pub before: &'a [f64],
    /// Its values now.
    pub now: &'a [f64],
}

/// The variables whose scheduler a partition is: every so many-th one, since neighbours often depend on each other and those of
/// different schedulers never meet in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub first: usize,
    pub step: usize,
    pub end: usize,
}

impl Share {
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.first).div_ceil(self.step)
    }
    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        (self.first..self.end.max(self.first)).step_by(self.step)
    }
    pub fn place(&self, variable: usize) -> u32 {
        ((variable - self.first) / self.step) as u32
    }
    pub fn at(&self, place: u32) -> usize {
        self.first + self.step * place as usize
    }
}

/// A model of variables that are updated one by one, or several at the same time.
///
/// A variable is one number or several ([`width`](Program::width)). Data lie by rows: every partition has some records, and
/// a part in every update. All functions must depend on nothing but what they are given.
pub trait Program: Send + Sync + 'static {
    /// Records of the dataset.
    type Record: Data;
    /// What a partition keeps while the program runs, such as the residuals of its records.
    type State: Record;

    /// How many variables there are, numbered from 0.
    fn variables(&self) -> usize;
    /// Numbers of a variable.
    fn width(&self) -> usize {
        1
    }
    /// Numbers that a partition contributes to an update of a variable.
    fn partial_width(&self) -> usize {
        self.width()
    }
    /// The first values of a variable; 0 unless said.
    fn first(&self, variable: usize, values: &mut [f64]) {
        let _ = variable;
        values.fill(0.0);
    }
    /// The first state of a partition, as of the first values.
    fn state(&self, partition: usize, records: &[Self::Record]) -> Self::State;
    /// A partition's part of the updates of `variables`: adds [`partial_width`](Program::partial_width) numbers for each to
    /// `partials`, which are 0 before.
    fn push(&self, state: &Self::State, records: &[Self::Record], variables: &[u32], partials: &mut [f64]);
    /// Replaces the values of a variable, given the sum of all parts. Every partition calls it; only the result counts.
    fn pull(&self, variable: usize, partials: &[f64], values: &mut [f64]);
    /// What follows from changes for a partition. All changes of a step come together, in the order of the set.
    fn sync(&self, state: &mut Self::State, records: &[Self::Record], changes: &[Change<'_>]);
    /// A partition's part of the objective, without what variables add by themselves.
    fn objective(&self, state: &Self::State, records: &[Self::Record]) -> f64;
    /// What a variable adds to the objective by itself.
    fn penalty(&self, variable: usize, values: &[f64]) -> f64 {
        let _ = (variable, values);
        0.0
    }
    /// How much two variables depend on each other, from 0 to 1: by which part of a change of one the best value of the other
    /// moves.
    ///
    /// It is asked of the partition that is the scheduler of both, and what it says is kept. Without it, the user's own
    /// [graph](super::ConflictGraph) or none can be used.
    fn dependency(&self, state: &Self::State, records: &[Self::Record], a: usize, b: usize) -> f64 {
        let _ = (state, records, a, b);
        0.0
    }
    /// [`dependency`](Program::dependency) of a variable on each of `others`: a program that finds out many at once faster than one by
    /// one says so here. Only this one is called.
    fn dependencies(
        &self,
        state: &Self::State,
        records: &[Self::Record],
        variable: usize,
        others: &[usize],
        to: &mut [f64],
    ) {
        to.iter_mut().zip(others).for_each(|(to, b)| *to = self.dependency(state, records, variable, *b));
    }
}
