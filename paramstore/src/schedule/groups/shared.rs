//! What variables have in common, as a partition sees it in a clock.
//!
//! # Guarantees
//! A partition goes on from its own numbers, unless the table says that somebody else has changed them. An increment travels as a
//! difference, and the table's sum with it may round to something else than the partition has: so what the table will have is
//! worked out as well, and only what is different from that is news. Where nobody else writes, a partition therefore computes
//! the bits of a program without any tables, and the table is as near as one rounding.
//!
//! # Cost
//! For each row that was touched 20 bytes and 16 for each column, and 4 for each row of the table.

use crate::view::TableView;
use serde::{Deserialize, Serialize};

/// No place.
const NONE: u32 = u32::MAX;

/// The rows that a partition has touched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Touched {
    /// By place: the number of the row.
    rows: Vec<u32>,
    /// By place and column, as the partition has them.
    values: Vec<f64>,
    /// As the table has them if nobody else changes them.
    expected: Vec<f64>,
    #[serde(skip)]
    scratch: Scratch,
}

/// What can be made again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// By row.
    places: Vec<u32>,
    /// By place: whether the table was read in this clock, and whether the row was added to.
    marks: Vec<Mark>,
    /// Places with a mark.
    marked: Vec<u32>,
    row: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Read,
    Added,
}

/// A table of which a partition sees its own increments at once, as if nobody else worked on it; those of others from the next
/// clock on at which the table's consistency lets them be seen.
pub struct Shared<'s, 'v> {
    touched: &'s mut Touched,
    view: &'s mut TableView<'v, f64>,
}

impl<'s, 'v> Shared<'s, 'v> {
    /// Of a clock that begins.
    pub(super) fn new(touched: &'s mut Touched, view: &'s mut TableView<'v, f64>) -> Self {
        let Touched { rows, scratch, .. } = touched;
        if scratch.places.len() != view.rows() {
            scratch.places = vec![NONE; view.rows()];
            rows.iter().enumerate().for_each(|(place, row)| scratch.places[*row as usize] = place as u32);
            scratch.marks = vec![Mark::None; rows.len()];
            scratch.row = vec![0.0; view.columns()];
        }
        Shared { touched, view }
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.view.rows()
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.view.columns()
    }
    /// The place of a row, which is as fresh as it may be.
    #[inline]
    fn place(&mut self, row: usize) -> usize {
        let place = match self.touched.scratch.places.get(row) {
            Some(place) => *place,
            None => panic!("the table has no row {row}"),
        };
        if place == NONE || self.touched.scratch.marks[place as usize] == Mark::None {
            return self.read(row, place);
        }
        place as usize
    }
    /// Reads a row for the first time in a clock.
    #[inline(never)]
    fn read(&mut self, row: usize, place: u32) -> usize {
        let columns = self.view.columns();
        let Touched { rows, values, expected, scratch } = &mut *self.touched;
        self.view.read_row(row, &mut scratch.row);
        let place = match place {
            NONE => {
                scratch.places[row] = rows.len() as u32;
                scratch.marks.push(Mark::None);
                rows.push(row as u32);
                values.extend_from_slice(&scratch.row);
                expected.extend_from_slice(&scratch.row);
                rows.len() - 1
            }
            place => place as usize,
        };
        let range = place * columns..(place + 1) * columns;
        for ((now, value), expected) in
            scratch.row.iter().zip(&mut values[range.clone()]).zip(&mut expected[range])
        {
            // Not a number is always news.
            if *now != *expected {
                (*value, *expected) = (*now, *now);
            }
        }
        scratch.marks[place] = Mark::Read;
        scratch.marked.push(place as u32);
        place
    }
    /// One value.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[inline]
    pub fn get(&mut self, row: usize, column: usize) -> f64 {
        let columns = self.columns();
        assert!(column < columns, "the table has no column {column}");
        let place = self.place(row);
        self.touched.values[place * columns + column]
    }
    /// A row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&mut self, row: usize) -> &[f64] {
        let (columns, place) = (self.columns(), self.place(row));
        &self.touched.values[place * columns..][..columns]
    }
    /// Adds to one value.
    ///
    /// # Panics
    /// If there is no such row or column.
    #[inline]
    pub fn add(&mut self, row: usize, column: usize, delta: f64) {
        let columns = self.columns();
        assert!(column < columns, "the table has no column {column}");
        let place = self.place(row);
        self.touched.scratch.marks[place] = Mark::Added;
        self.touched.values[place * columns + column] += delta;
    }
    /// Adds to the values of a row.
    ///
    /// # Panics
    /// If there is no such row, or `deltas` has another length.
    #[inline]
    pub fn add_row(&mut self, row: usize, deltas: &[f64]) {
        let (columns, place) = (self.columns(), self.place(row));
        assert_eq!(deltas.len(), columns, "a row has {columns} values");
        self.touched.scratch.marks[place] = Mark::Added;
        let values = &mut self.touched.values[place * columns..][..columns];
        values.iter_mut().zip(deltas).for_each(|(value, delta)| *value += delta);
    }
    /// Writes into the table what was added in this clock.
    pub(super) fn write(self) {
        let columns = self.view.columns();
        let Touched { rows, values, expected, scratch } = self.touched;
        for place in scratch.marked.drain(..) {
            let place = place as usize;
            if std::mem::replace(&mut scratch.marks[place], Mark::None) != Mark::Added {
                continue;
            }
            let range = place * columns..(place + 1) * columns;
            let (values, expected) = (&values[range.clone()], &mut expected[range]);
            for (delta, (value, expected)) in scratch.row.iter_mut().zip(values.iter().zip(expected)) {
                *delta = value - *expected;
                *expected += *delta;
            }
            self.view.inc_dense(rows[place] as usize, 0, &scratch.row);
        }
    }
}
