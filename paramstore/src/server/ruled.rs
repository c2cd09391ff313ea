//! Values that change by a [`Rule`]: increments of a clock are summed up first, and the rule is applied to the sums.

use super::marks::Marks;
use crate::rule::Rule;
use crate::value::Value;

/// The sums of a clock, and what the rule keeps for each value.
pub(super) struct Ruled<V> {
    rule: Rule,
    columns: usize,
    sums: Vec<V>,
    elements: Marks,
    rows: Marks,
    /// By state.
    pub states: Vec<Vec<V>>,
}

impl<V: Value> Ruled<V> {
    /// For a shard of `rows` rows whose states are given.
    pub fn new(rule: Rule, rows: usize, columns: usize, states: Vec<Vec<V>>) -> Self {
        let n = rows * columns;
        let (elements, rows) = (Marks::new(n), Marks::new(rows));
        Ruled { rule, columns, sums: vec![V::default(); n], elements, rows, states }
    }
    pub fn add(&mut self, place: usize, delta: V) {
        self.sums[place] = self.sums[place].plus(delta);
        self.elements.mark(place);
    }
    /// Adds to a row, by its number in the shard.
    pub fn add_row(&mut self, row: usize, deltas: &[V]) {
        let sums = &mut self.sums[row * self.columns..][..self.columns];
        sums.iter_mut().zip(deltas).for_each(|(sum, delta)| *sum = sum.plus(*delta));
        self.rows.mark(row);
    }
    /// Ends a clock.
    pub fn apply(&mut self, values: &mut [V]) {
        for row in self.rows.list() {
            let from = *row as usize * self.columns;
            apply(self.rule, values, &mut self.sums, &mut self.states, from..from + self.columns);
        }
        for place in self.elements.list() {
            let place = *place as usize;
            // Once a value, also if it was touched by itself and with its row.
            if !self.rows.has(place / self.columns) {
                apply(self.rule, values, &mut self.sums, &mut self.states, place..place + 1);
            }
        }
        self.rows.clear();
        self.elements.clear();
    }
}

fn apply<V: Value>(
    rule: Rule,
    values: &mut [V],
    sums: &mut [V],
    states: &mut [Vec<V>],
    places: std::ops::Range<usize>,
) {
    let (values, sums) = (&mut values[places.clone()], &mut sums[places.clone()]);
    match states {
        [] => rule.apply(values, sums, &mut []),
        [only] => rule.apply(values, sums, &mut [&mut only[places]]),
        [first, second, ..] => {
            rule.apply(values, sums, &mut [&mut first[places.clone()], &mut second[places]])
        }
    }
    sums.fill(V::default());
}
