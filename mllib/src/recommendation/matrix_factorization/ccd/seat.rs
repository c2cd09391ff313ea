//! What a partition has, and what it does in a clock.

use super::side::Side;
use super::steps::{Step, Steps, Visit};
use crate::linalg::widest;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::pod;
use slackwater_paramstore::Clock;

/// Ratings from one look of the worker at its other duties to the next, about.
const PIECE: usize = 1 << 16;
/// Ratings whose sums are taken in `f32`; these are added up in `f64`.
const BLOCK: usize = 256;
/// Independent partial sums.
const LANES: usize = 8;
/// What users must know of an item: its last factor, and the one that is next.
const OF_ITEM: usize = 2;
/// What items must know of a user: its last factor, that of this step, and that before it.
const OF_USER: usize = 3;

/// Values of rows that another partition needs, in the order of their slots there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Letter(#[serde(with = "pod")] Vec<f32>);

/// What does not change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sides {
    pub users: Side,
    pub items: Side,
}

/// The model at one end, and the residual of the ratings there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Half {
    /// Column by column, a value a row.
    values: Vec<Vec<f32>>,
    /// By rating: what is left of it, but for the feature that is being moved.
    #[serde(with = "pod")]
    rest: Vec<f32>,
    /// By slot: what is known of the other end.
    #[serde(with = "pod")]
    seen: Vec<f32>,
    /// By row: its value before this clock.
    #[serde(skip)]
    old: Vec<f32>,
}

/// The state of a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seat {
    users: Half,
    items: Half,
    /// Rows that are done in this clock.
    #[serde(skip)]
    at: usize,
}

/// How a step moves the residual of the ratings of a row, and what it needs to know of the row.
#[derive(Clone, Copy)]
struct Row {
    /// Times what was last known of the other end: to be taken off.
    take: f32,
    /// Times what is known now: to be put back.
    add: f32,
    /// To be taken off every rating.
    shift: f32,
}

/// Sums over the ratings of a row.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Of the residual times the other end.
    product: f64,
    /// Of squares of the other end.
    square: f64,
    /// Of squares of the residual.
    rest: f64,
}

/// What all clocks need to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descent {
    pub steps: Steps,
    pub non_negative: bool,
    pub penalty: f64,
}

impl Seat {
    /// Users begin with zeros, so that ratings less the mean are the residual; items with `first`, of a partition, place, and column.
    pub fn new(
        descent: &Descent,
        sides: &Sides,
        partition: usize,
        mean: f32,
        first: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let Steps { rank, biases, .. } = descent.steps;
        let columns = rank + usize::from(biases);
        let rest = |side: &Side| side.ratings().iter().map(|r| r - mean).collect();
        let of_items = |column| (0..sides.items.rows()).map(|i| first(partition, i, column)).collect();
        let seen = |(p, i)| [0.0, if biases { 1.0 } else { first(p, i, 0) }];
        Seat {
            users: Half {
                values: vec![vec![0.0; sides.users.rows()]; columns],
                rest: rest(&sides.users),
                seen: sides.users.homes().flat_map(seen).collect(),
                old: vec![],
            },
            items: Half {
                values: (0..columns).map(of_items).collect(),
                rest: rest(&sides.items),
                seen: vec![0.0; OF_USER * sides.items.slots()],
                old: vec![],
            },
            at: 0,
        }
    }
    /// Factors and biases of the users, row by row.
    pub fn users(&self) -> Vec<f32> {
        self.users.by_row()
    }
    /// Factors and biases of the items, row by row.
    pub fn items(&self) -> Vec<f32> {
        self.items.by_row()
    }
}

impl Half {
    fn by_row(&self) -> Vec<f32> {
        let rows = self.values.first().map_or(0, Vec::len);
        (0..rows).flat_map(|row| self.values.iter().map(move |column| column[row])).collect()
    }
}

impl Descent {
    /// What a partition does in a clock, or a piece of it.
    pub fn run(&self, seat: &mut Seat, sides: &Sides, clock: &mut Clock) {
        let visit = self.steps.visit(clock.number());
        let (half, side) = match visit.of_items {
            false => (&mut seat.users, &sides.users),
            true => (&mut seat.items, &sides.items),
        };
        let column = self.column(visit.step);
        if seat.at == 0 {
            for (from, Letter(values)) in clock.mail() {
                let seen = &mut half.seen;
                match visit.of_items {
                    false => visit.see_items(&values, &mut seen.as_chunks_mut().0[side.slots_from(from)]),
                    true => visit.see_users(&values, &mut seen.as_chunks_mut().0[side.slots_from(from)]),
                }
            }
            half.old.clone_from(&half.values[column]);
        }
        let (rows, loss) = match visit.of_items {
            false => widest(
                #[inline(always)]
                || self.move_rows::<OF_ITEM>(&visit, half, side, seat.at),
            ),
            true => widest(
                #[inline(always)]
                || self.move_rows::<OF_USER>(&visit, half, side, seat.at),
            ),
        };
        if visit.ends_epoch {
            clock.loss(loss);
        }
        seat.at += rows;
        if seat.at < side.rows() {
            return clock.call_again();
        }
        seat.at = 0;
        for (to, wanted) in side.wanted().iter().enumerate().filter(|(_, wanted)| !wanted.is_empty()) {
            clock.send(to, Letter(self.tell(&visit, half, wanted)));
        }
        let values = seat.users.values.iter().chain(&seat.items.values);
        clock.model_bytes(values.map(|column| 4 * column.len() as u64).sum());
    }
    /// Where biases and factors stand.
    fn column(&self, step: Step) -> usize {
        match step {
            Step::Biases => self.steps.rank,
            Step::Feature(k) => k,
        }
    }
    /// What a letter says of the rows that are wanted.
    fn tell(&self, visit: &Visit, half: &Half, wanted: &[u32]) -> Vec<f32> {
        let (new, old) = (&half.values[self.column(visit.step)], &half.old);
        match (visit.of_items, visit.step) {
            (false, _) if visit.is_first => letter(wanted, |row| [new[row], old[row]]),
            (true, _) if visit.is_last => {
                let next = &half.values[self.column(visit.next)];
                match visit.step {
                    Step::Biases => letter(wanted, |row| [new[row] - old[row], next[row]]),
                    Step::Feature(_) => letter(wanted, |row| [new[row], next[row]]),
                }
            }
            _ => letter(wanted, |row| [new[row]]),
        }
    }
    fn row(&self, visit: &Visit, half: &Half, row: usize) -> Row {
        let biases = |half: &Half| half.values[self.steps.rank][row];
        let mut all = Row { take: 0.0, add: 0.0, shift: 0.0 };
        match visit.before {
            None => {}
            Some(Step::Feature(k)) => all.take = half.values[k][row],
            Some(Step::Biases) => {
                // Items have seen the change of users' biases before they moved their own.
                all.take = if visit.of_items { 0.0 } else { 1.0 };
                all.shift = biases(half);
            }
        }
        match (visit.step, visit.of_items) {
            (Step::Feature(k), _) => all.add = half.values[k][row],
            (Step::Biases, false) => all.add = biases(half),
            (Step::Biases, true) => (all.add, all.shift) = (-1.0, -biases(half)),
        }
        all
    }
    /// Moves rows from `first` on, some; how many, and the squared error of their ratings.
    #[inline(always)]
    fn move_rows<const N: usize>(
        &self,
        visit: &Visit,
        half: &mut Half,
        side: &Side,
        first: usize,
    ) -> (usize, f64) {
        let (column, mut done, mut loss, mut row) = (self.column(visit.step), 0, 0.0, first);
        let least = if self.non_negative { 0.0 } else { f32::NEG_INFINITY };
        while row < side.rows() && done < PIECE {
            let range = side.range(row);
            let (slots, seen) = (side.slots_of(range.clone()), half.seen.as_chunks::<N>().0);
            let sums = match visit.is_first {
                true => {
                    let by = self.row(visit, half, row);
                    sums::<N, true>(&mut half.rest[range.clone()], slots, seen, by)
                }
                false => {
                    let by = Row { take: 0.0, add: 0.0, shift: 0.0 };
                    sums::<N, false>(&mut half.rest[range.clone()], slots, seen, by)
                }
            };
            let curvature = sums.square + self.penalty * range.len() as f64;
            let value = if curvature > 0.0 { (sums.product / curvature) as f32 } else { 0.0 };
            let value = value.max(least);
            half.values[column][row] = value;
            let value = f64::from(value);
            loss += sums.rest - value * (2.0 * sums.product - value * sums.square);
            done += range.len().max(1);
            row += 1;
        }
        (row - first, loss)
    }
}

impl Visit {
    fn see_items(&self, values: &[f32], seen: &mut [[f32; OF_ITEM]]) {
        match (self.is_first, self.step) {
            (true, Step::Biases) => {
                for (seen, [last, _]) in seen.iter_mut().zip(values.as_chunks().0) {
                    *seen = [*last, 1.0];
                }
            }
            (true, Step::Feature(_)) => seen.copy_from_slice(values.as_chunks().0),
            (false, _) => seen.iter_mut().zip(values).for_each(|(seen, value)| seen[1] = *value),
        }
    }
    fn see_users(&self, values: &[f32], seen: &mut [[f32; OF_USER]]) {
        match (self.is_first, self.step) {
            (true, step) => {
                for (seen, [new, old]) in seen.iter_mut().zip(values.as_chunks().0) {
                    *seen = match step {
                        Step::Biases => [seen[1], 1.0, new - old],
                        Step::Feature(_) => [seen[1], *new, *old],
                    };
                }
            }
            (false, _) => seen.iter_mut().zip(values).for_each(|(seen, value)| seen[1] = *value),
        }
    }
}

/// So many values of each of the rows.
fn letter<const N: usize>(rows: &[u32], of: impl Fn(usize) -> [f32; N]) -> Vec<f32> {
    let mut values = vec![0.0; N * rows.len()];
    values.as_chunks_mut().0.iter_mut().zip(rows).for_each(|(values, row)| *values = of(*row as usize));
    values
}

/// Moves the residual of the ratings of a row, if it must be, and takes their sums.
#[inline(always)]
fn sums<const N: usize, const MOVES: bool>(
    rest: &mut [f32],
    slots: &[u32],
    seen: &[[f32; N]],
    by: Row,
) -> Sums {
    let mut all = Sums::default();
    for (rest, slots) in rest.chunks_mut(BLOCK).zip(slots.chunks(BLOCK)) {
        let ((rests, last_rests), (slots, last_slots)) = (rest.as_chunks_mut::<LANES>(), slots.as_chunks());
        let mut lanes = [[0.0f32; LANES]; 3];
        for (rest, slots) in rests.iter_mut().zip(slots) {
            add_lanes::<N, MOVES, LANES>(rest, slots, seen, by, &mut lanes);
        }
        let mut few = [[0.0f32]; 3];
        for (rest, slot) in last_rests.iter_mut().zip(last_slots) {
            add_lanes::<N, MOVES, 1>(std::array::from_mut(rest), &[*slot], seen, by, &mut few);
        }
        let sum = |i: usize| -> f64 {
            let s = &lanes[i];
            f64::from((s[0] + s[4]) + (s[1] + s[5]) + ((s[2] + s[6]) + (s[3] + s[7])) + few[i][0])
        };
        all.product += sum(0);
        all.square += sum(1);
        all.rest += sum(2);
    }
    all
}

#[inline(always)]
fn add_lanes<const N: usize, const MOVES: bool, const L: usize>(
    rest: &mut [f32; L],
    slots: &[u32; L],
    seen: &[[f32; N]],
    by: Row,
    sums: &mut [[f32; L]; 3],
) {
    // Loads first, and by column: what follows is done for all lanes at once.
    let [mut taken, mut other, mut added] = [[0.0; L]; 3];
    for l in 0..L {
        let seen = &seen[slots[l] as usize];
        [taken[l], other[l], added[l]] = [seen[0], seen[1], seen[N - 1]];
    }
    if MOVES {
        for l in 0..L {
            rest[l] += by.add * added[l] - by.take * taken[l] - by.shift;
        }
    }
    for l in 0..L {
        sums[0][l] += rest[l] * other[l];
        sums[1][l] += other[l] * other[l];
        sums[2][l] += rest[l] * rest[l];
    }
}
