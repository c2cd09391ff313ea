//! What a partition does in a clock: a round of a sweep, or a look at the objective.

use super::dispatch::Dispatch;
use super::program::GroupProgram;
use super::shared::{Shared, Touched};
use super::{ConflictGraph, Groups};
use crate::view::{Clock, TableView};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a sweep is cut in rounds.
#[derive(Debug, Clone)]
pub(super) enum Rounds {
    /// Each partition cuts its groups in as many shares of about the same weight.
    Even(u64),
    /// Groups that an edge joins are never in the same round.
    Apart(ConflictGraph),
}

/// Which partition updates which variable, and when.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// By variable: its partition, and its place among the variables of that.
    pub of: Vec<(u32, u32)>,
    /// By partition and round: the place where it begins; at the end, where the last round ends.
    pub starts: Vec<Vec<usize>>,
    /// Clocks of a sweep.
    pub rounds: u64,
    pub dispatch: Dispatch,
}

impl Places {
    /// `weights` are by variable.
    pub fn new(groups: &Groups, weights: &[u64], rounds: &Rounds, partitions: usize) -> Self {
        let sum =
            |group: &[u32]| group.iter().fold(0, |sum: u64, v| sum.saturating_add(weights[*v as usize]));
        let weights: Vec<u64> = groups.iter().map(sum).collect();
        let mut round_of = match rounds {
            Rounds::Even(_) => vec![0; groups.len()],
            Rounds::Apart(graph) => groups.colours(graph),
        };
        let dispatch = Dispatch::in_turns(&weights, &round_of, partitions);
        let rounds = match rounds {
            Rounds::Even(rounds) => (*rounds).max(1),
            Rounds::Apart(_) => round_of.iter().max().map_or(1, |last| u64::from(*last) + 1),
        };
        let is_apart = round_of.iter().any(|r| *r > 0);
        let mut groups_of: Vec<Vec<usize>> = vec![vec![]; dispatch.loads().len()];
        (0..groups.len()).for_each(|g| groups_of[dispatch.partition_of(g)].push(g));
        let (mut of, mut starts) = (vec![(0, 0); groups.variables()], vec![]);
        for (p, mut own) in groups_of.into_iter().enumerate() {
            let total = u128::from(dispatch.loads()[p]).max(1);
            let mut before = 0;
            for g in own.iter().filter(|_| !is_apart) {
                // The round that the middle of the group falls in, as far as its weight goes.
                let middle = 2 * before + u128::from(weights[*g]);
                round_of[*g] = (middle * u128::from(rounds) / (2 * total)).min(u128::from(rounds) - 1) as u32;
                before += u128::from(weights[*g]);
            }
            own.sort_by_key(|g| (round_of[*g], *g));
            let (mut begins, mut next) = (vec![], 0u32);
            for g in own {
                begins.resize(round_of[g] as usize + 1, next as usize);
                for variable in groups.group(g) {
                    of[*variable as usize] = (p as u32, next);
                    next += 1;
                }
            }
            begins.resize(rounds as usize + 1, next as usize);
            starts.push(begins);
        }
        Places { of, starts, rounds, dispatch }
    }
}

/// What all partitions know.
pub(super) struct Plan<P> {
    pub program: Arc<P>,
    pub places: Places,
    /// Sweeps from one look at the objective to the next.
    pub every: u64,
    /// Changes that count for nothing.
    pub tolerance: f64,
}

impl<P> Plan<P> {
    /// Clocks from one look at the objective to the next: those of the sweeps, and the look itself.
    pub fn period(&self) -> u64 {
        self.every.saturating_mul(self.places.rounds).saturating_add(1)
    }
}

/// The state of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Lane {
    /// Of its variables, in the order of updates.
    pub values: Vec<f64>,
    touched: Touched,
    #[serde(skip)]
    before: Vec<f64>,
}

impl Lane {
    pub fn new<P: GroupProgram>(program: &P, records: &[(u32, P::Record)]) -> Self {
        let width = program.width();
        let mut values = vec![0.0; records.len() * width];
        for ((variable, record), values) in records.iter().zip(values.chunks_exact_mut(width.max(1))) {
            program.first(*variable as usize, record, values);
        }
        Lane { values, touched: Touched::default(), before: vec![] }
    }
    /// One clock.
    pub fn clock<P: GroupProgram>(
        &mut self,
        plan: &Plan<P>,
        records: &[(u32, P::Record)],
        view: &mut TableView<'_, f64>,
        clock: &mut Clock,
    ) {
        let at = clock.number() % plan.period();
        if at + 1 == plan.period() {
            return self.look(plan, records, view, clock);
        }
        let round = (at % plan.places.rounds) as usize;
        let starts = &plan.places.starts[clock.partition()];
        let width = plan.program.width();
        let mut shared = Shared::new(&mut self.touched, view);
        let places = starts[round]..starts[round + 1];
        for (place, (variable, record)) in places.clone().zip(&records[places]) {
            let values = &mut self.values[place * width..][..width];
            self.before.clear();
            self.before.extend_from_slice(values);
            plan.program.update(*variable as usize, record, values, &mut shared);
            let squared: f64 =
                values.iter().zip(&self.before).map(|(now, was)| (now - was) * (now - was)).sum();
            // What is no number has changed.
            if !squared.sqrt().le(&plan.tolerance) {
                clock.loss(1.0);
            }
        }
        shared.write();
    }
    /// Tells the partition's part of the objective.
    fn look<P: GroupProgram>(
        &self,
        plan: &Plan<P>,
        records: &[(u32, P::Record)],
        view: &TableView<'_, f64>,
        clock: &mut Clock,
    ) {
        let own = records.iter().zip(self.values.chunks_exact(plan.program.width().max(1)));
        let penalty: f64 = own
            .map(|((variable, record), values)| plan.program.penalty(*variable as usize, record, values))
            .sum();
        let (p, partitions) = (clock.partition(), clock.partitions());
        let mut row = vec![0.0; view.columns()];
        let share = view.rows() * p / partitions..view.rows() * (p + 1) / partitions;
        let objective: f64 = share
            .map(|i| {
                view.read_row(i, &mut row);
                plan.program.objective(i, &row)
            })
            .sum();
        clock.loss(objective + penalty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of 3, 1, 2, 1, 3 and 1 variables.
    fn groups() -> Groups {
        let sizes = [3, 1, 2, 1, 3, 1];
        let mut next = 0..;
        Groups::new(sizes.iter().map(|n| next.by_ref().take(*n).collect()).collect()).unwrap()
    }

    #[test]
    fn a_partition_updates_its_groups_in_their_order() {
        let groups = groups();
        for rounds in 1..5 {
            let places = Places::new(&groups, &[1; 11], &Rounds::Even(rounds), 1);
            assert_eq!(places.of, (0..11).map(|v| (0, v)).collect::<Vec<_>>());
            let starts = &places.starts[0];
            assert_eq!((starts[0], starts[rounds as usize], starts.len()), (0, 11, rounds as usize + 1));
        }
        assert_eq!(Places::new(&groups, &[1; 11], &Rounds::Even(3), 1).starts, [[0, 4, 7, 11]]);
        let two = Places::new(&groups, &[1; 11], &Rounds::Even(1), 2);
        // By weight: groups 0, 4, 2, 1, 3, 5 go to 0, 1, 0, 1, 1, 0.
        assert_eq!(two.dispatch.loads(), [6, 5]);
        let order = |p: u32| {
            let mut own: Vec<(u32, usize)> =
                (0..11).filter(|v| two.of[*v].0 == p).map(|v| (two.of[v].1, v)).collect();
            own.sort_unstable();
            own.into_iter().map(|(_, v)| v).collect::<Vec<_>>()
        };
        assert_eq!((order(0), order(1)), (vec![0, 1, 2, 4, 5, 10], vec![3, 6, 7, 8, 9]));
        assert_eq!(two.starts, [[0, 6], [0, 5]]);
    }

    #[test]
    fn a_partition_may_have_nothing_to_do() {
        let one = Groups::new(vec![vec![1, 0]]).unwrap();
        let places = Places::new(&one, &[0; 2], &Rounds::Even(2), 3);
        assert_eq!(places.of, [(0, 1), (0, 0)]);
        assert_eq!(places.starts, [[0, 2, 2], [0, 0, 0], [0, 0, 0]]);
    }

    #[test]
    fn dependent_groups_are_in_different_rounds() {
        // Groups 0 and 1 depend on each other, 2 and 5 as well.
        let graph = ConflictGraph::new(11, [(0, 3), (5, 10)]);
        let places = Places::new(&groups(), &[1; 11], &Rounds::Apart(graph), 2);
        assert_eq!(places.rounds, 2);
        let round_of = |v: usize| {
            let (p, place) = places.of[v];
            places.starts[p as usize].iter().rposition(|start| *start <= place as usize).unwrap()
        };
        assert_eq!((0..11).map(round_of).collect::<Vec<_>>(), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    }
}
