//! Rows of which only the values other than [`Default`] are kept.

use crate::value::Value;
use std::cmp::Ordering;

/// How a sparse row is ordered.
pub(crate) struct Order<V>(Option<fn(&V, &V) -> Ordering>);

impl<V> Clone for Order<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Order<V> {}

impl<V> Order<V> {
    /// Columns ascending: a value is found by bisection.
    pub fn by_column() -> Self {
        Order(None)
    }
    /// The largest value first, equal ones by column: a value is found by looking through the row.
    pub fn by_value() -> Self
    where
        V: PartialOrd,
    {
        Order(Some(|a, b| b.partial_cmp(a).unwrap_or(Ordering::Equal)))
    }
}

/// One row: column and value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparseRow<V>(Vec<(u32, V)>);

impl<V> Default for SparseRow<V> {
    fn default() -> Self {
        SparseRow(vec![])
    }
}

impl<V: Value> SparseRow<V> {
    /// A row of the values of some columns. A column that comes twice has the sum.
    pub fn new(order: Order<V>, entries: impl IntoIterator<Item = (u32, V)>) -> Self {
        let mut row = SparseRow::default();
        entries.into_iter().for_each(|(column, value)| row.add(order, column, value));
        row
    }
    /// The columns that have a value, in the row's order.
    pub fn entries(&self) -> &[(u32, V)] {
        &self.0
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
    fn find(&self, order: Order<V>, column: u32) -> Result<usize, usize> {
        match order.0 {
            None => self.0.binary_search_by_key(&column, |entry| entry.0),
            Some(_) => self.0.iter().position(|entry| entry.0 == column).ok_or(self.0.len()),
        }
    }
    pub fn get(&self, order: Order<V>, column: u32) -> V {
        self.find(order, column).map_or(V::default(), |at| self.0[at].1)
    }
    pub fn add(&mut self, order: Order<V>, column: u32, delta: V) {
        self.change(order, column, |value| value.plus(delta));
    }
    pub fn set(&mut self, order: Order<V>, column: u32, value: V) {
        self.change(order, column, |_| value);
    }
    fn change(&mut self, order: Order<V>, column: u32, change: impl FnOnce(V) -> V) {
        match self.find(order, column) {
            Ok(at) => {
                self.0[at].1 = change(self.0[at].1);
                match self.0[at].1 == V::default() {
                    true => drop(self.0.remove(at)),
                    false => self.restore(order, at),
                }
            }
            Err(at) => {
                let value = change(V::default());
                if value != V::default() {
                    self.0.insert(at, (column, value));
                    self.restore(order, at);
                }
            }
        }
    }
    /// Moves an entry whose value has changed to its place.
    fn restore(&mut self, order: Order<V>, mut at: usize) {
        let Some(compare) = order.0 else { return };
        let is_before = |a: &(u32, V), b: &(u32, V)| compare(&a.1, &b.1).then_with(|| a.0.cmp(&b.0)).is_lt();
        while at > 0 && is_before(&self.0[at], &self.0[at - 1]) {
            self.0.swap(at, at - 1);
            at -= 1;
        }
        while at + 1 < self.0.len() && is_before(&self.0[at + 1], &self.0[at]) {
            self.0.swap(at, at + 1);
            at += 1;
        }
    }
    /// Adds another row to this one.
    pub fn add_all(&mut self, order: Order<V>, other: &SparseRow<V>) {
        other.0.iter().for_each(|(column, delta)| self.add(order, *column, *delta));
    }
    /// Adds the values to those of a row that has all.
    pub fn add_to(&self, dense: &mut [V]) {
        for (column, value) in &self.0 {
            let to = &mut dense[*column as usize];
            *to = to.plus(*value);
        }
    }
}

/// Sparse rows of equal length, and numbers for their elements.
#[derive(Clone)]
pub(crate) struct SparseRows<V> {
    pub order: Order<V>,
    pub columns: usize,
    pub rows: Vec<SparseRow<V>>,
}

impl<V: Value> SparseRows<V> {
    /// Empty rows.
    pub fn new(order: Order<V>, rows: usize, columns: usize) -> Self {
        SparseRows { order, columns, rows: vec![SparseRow::default(); rows] }
    }
    fn place(&self, element: usize) -> (usize, u32) {
        // There are columns, since there is an element.
        (element / self.columns, (element % self.columns) as u32)
    }
    pub fn get(&self, element: usize) -> V {
        let (row, column) = self.place(element);
        self.rows[row].get(self.order, column)
    }
    pub fn add(&mut self, element: usize, delta: V) {
        let (row, column) = self.place(element);
        self.rows[row].add(self.order, column, delta);
    }
    pub fn set(&mut self, element: usize, value: V) {
        let (row, column) = self.place(element);
        self.rows[row].set(self.order, column, value);
    }
    /// Overwrites a row by one that has all values.
    pub fn set_row(&mut self, row: usize, values: &[V]) {
        let entries = values.iter().enumerate().map(|(column, value)| (column as u32, *value));
        self.rows[row] = SparseRow::new(self.order, entries);
    }
    /// Elements and values, where the rows are those with these numbers.
    pub fn elements(&self, numbers: &[u32]) -> (Vec<u32>, Vec<V>) {
        let of_row = |(row, number): (&SparseRow<V>, &u32)| {
            let first = number * self.columns as u32;
            row.0.iter().map(move |(column, value)| (first + column, *value)).collect::<Vec<_>>()
        };
        self.rows.iter().zip(numbers).flat_map(of_row).unzip()
    }
    /// A row with all values.
    pub fn dense_row(&self, row: usize) -> Vec<V> {
        let mut values = vec![V::default(); self.columns];
        self.rows[row].add_to(&mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;
    use std::collections::BTreeMap;

    #[test]
    fn rows_are_as_maps() {
        for (order, by_value) in [(Order::<i32>::by_column(), false), (Order::by_value(), true)] {
            let (mut row, mut map) = (SparseRow::default(), BTreeMap::new());
            let mut random = rng::stream(1, 0);
            for step in 0..4000 {
                let column = rng::below(&mut random, 40) as u32;
                let by = rng::below(&mut random, 5) as i32 - 2;
                match step % 7 {
                    0 => {
                        row.set(order, column, by);
                        map.insert(column, by);
                    }
                    _ => {
                        row.add(order, column, by);
                        *map.entry(column).or_default() += by;
                    }
                }
                assert_eq!(row.get(order, column), map[&column]);
                let mut wanted: Vec<(u32, i32)> =
                    map.iter().map(|(c, v)| (*c, *v)).filter(|(_, v)| *v != 0).collect();
                if by_value {
                    wanted.sort_by_key(|(c, v)| (-v, *c));
                }
                assert_eq!(row.entries(), wanted);
            }
            let mut dense = vec![1; 40];
            row.add_to(&mut dense);
            (0..40).for_each(|c| assert_eq!(dense[c], 1 + map.get(&(c as u32)).unwrap_or(&0)));
            assert_eq!(SparseRow::new(order, map), row);
        }
    }
}
