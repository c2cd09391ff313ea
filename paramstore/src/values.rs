//! The values of a table between runs.

use crate::sparse::{Order, SparseRow, SparseRows};
use crate::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// All values of a table. Cloning clones a handle.
pub(crate) enum Values<V> {
    /// Row by row.
    Dense(Arc<Vec<V>>),
    Sparse(Arc<SparseRows<V>>),
}

impl<V> Clone for Values<V> {
    fn clone(&self) -> Self {
        match self {
            Values::Dense(values) => Values::Dense(values.clone()),
            Values::Sparse(rows) => Values::Sparse(rows.clone()),
        }
    }
}

impl<V: Value> Values<V> {
    /// Rows that are all [`Default`], sparse if they have an order.
    pub fn empty(order: Option<Order<V>>, rows: usize, columns: usize) -> Self {
        match order {
            None => Values::Dense(Arc::new(vec![V::default(); rows * columns])),
            Some(order) => Values::Sparse(Arc::new(SparseRows::new(order, rows, columns))),
        }
    }
    /// As this one in shape, with the values of all elements.
    pub fn with(&self, values: Vec<V>) -> Self {
        match self {
            Values::Dense(_) => Values::Dense(Arc::new(values)),
            Values::Sparse(before) => {
                let mut rows = SparseRows::new(before.order, before.rows.len(), before.columns);
                let of_rows = values.chunks_exact(before.columns.max(1)).enumerate();
                of_rows.for_each(|(row, values)| rows.set_row(row, values));
                Values::Sparse(Arc::new(rows))
            }
        }
    }
    /// The order of sparse rows.
    pub fn order(&self) -> Option<Order<V>> {
        match self {
            Values::Dense(_) => None,
            Values::Sparse(rows) => Some(rows.order),
        }
    }
    pub fn get(&self, element: usize) -> V {
        match self {
            Values::Dense(values) => values[element],
            Values::Sparse(rows) => rows.get(element),
        }
    }
    /// Overwrites one value.
    pub fn set(&mut self, element: usize, value: V) {
        match self {
            Values::Dense(values) => Arc::make_mut(values)[element] = value,
            Values::Sparse(rows) => Arc::make_mut(rows).set(element, value),
        }
    }
    /// Overwrites a row of `columns` values.
    pub fn set_row(&mut self, columns: usize, row: usize, values: &[V]) {
        match self {
            Values::Dense(all) => {
                Arc::make_mut(all)[row * columns..][..columns].copy_from_slice(values);
            }
            Values::Sparse(rows) => Arc::make_mut(rows).set_row(row, values),
        }
    }
    /// A row of `columns` values.
    pub fn row(&self, columns: usize, row: usize) -> Cow<'_, [V]> {
        match self {
            Values::Dense(values) => Cow::Borrowed(&values[row * columns..][..columns]),
            Values::Sparse(rows) => Cow::Owned(rows.dense_row(row)),
        }
    }
    /// The values of a row other than [`Default`], with their columns.
    pub fn entries(&self, columns: usize, row: usize) -> Cow<'_, [(u32, V)]> {
        match self {
            Values::Dense(values) => {
                Cow::Owned(entries(values[row * columns..][..columns].iter().copied()).collect())
            }
            Values::Sparse(rows) => Cow::Borrowed(rows.rows[row].entries()),
        }
    }
    /// All values, row by row.
    pub fn to_dense(&self) -> Arc<Vec<V>> {
        match self {
            Values::Dense(values) => values.clone(),
            Values::Sparse(rows) => {
                Arc::new((0..rows.rows.len()).flat_map(|row| rows.dense_row(row)).collect())
            }
        }
    }
}

/// The values other than [`Default`], with their columns.
pub(crate) fn entries<V: Value>(values: impl Iterator<Item = V>) -> impl Iterator<Item = (u32, V)> {
    let numbered = values.enumerate().map(|(column, value)| (column as u32, value));
    numbered.filter(|(_, value)| *value != V::default())
}

/// Some rows of a table, which one worker owns: values by place.
pub(crate) enum Owned<V> {
    Dense(Vec<V>),
    Sparse(SparseRows<V>),
}

impl<V: Value> Owned<V> {
    /// `rows` rows that are all [`Default`], sparse if they have an order.
    pub fn empty(order: Option<Order<V>>, rows: usize, columns: usize) -> Self {
        match order {
            None => Owned::Dense(vec![V::default(); rows * columns]),
            Some(order) => Owned::Sparse(SparseRows::new(order, rows, columns)),
        }
    }
    /// Some rows of a table.
    pub fn of(values: &Values<V>, columns: usize, rows: &[u32]) -> Self {
        match values {
            Values::Dense(all) => {
                let row = |row: &u32| all[*row as usize * columns..][..columns].iter().copied();
                Owned::Dense(rows.iter().flat_map(row).collect())
            }
            Values::Sparse(all) => {
                let row = |row: &u32| all.rows[*row as usize].clone();
                Owned::Sparse(SparseRows {
                    rows: rows.iter().map(row).collect(),
                    ..SparseRows::new(all.order, 0, columns)
                })
            }
        }
    }
    pub fn get(&self, place: usize) -> V {
        match self {
            Owned::Dense(values) => values[place],
            Owned::Sparse(rows) => rows.get(place),
        }
    }
    /// Adds to values of many places.
    pub fn add_all(&mut self, deltas: impl Iterator<Item = (usize, V)>) {
        match self {
            Owned::Dense(values) => {
                deltas.for_each(|(place, delta)| values[place] = values[place].plus(delta))
            }
            Owned::Sparse(rows) => deltas.for_each(|(place, delta)| rows.add(place, delta)),
        }
    }
    /// A value, of which nothing stays.
    pub fn take(&mut self, place: usize) -> V {
        match self {
            Owned::Dense(values) => std::mem::take(&mut values[place]),
            Owned::Sparse(rows) => {
                let value = rows.get(place);
                rows.set(place, V::default());
                value
            }
        }
    }
    /// The values of rows that are not sparse; only those travel as whole rows, and have rules.
    pub fn dense(&mut self) -> &mut [V] {
        match self {
            Owned::Dense(values) => values,
            Owned::Sparse(_) => unreachable!("whole rows of a sparse table travel value by value"),
        }
    }
}

/// The entries of a sparse row, for reading; see [`SparseRow::entries`].
pub(crate) fn merged<V: Value>(
    order: Order<V>,
    shared: &SparseRow<V>,
    own: Option<&SparseRow<V>>,
    to: &mut Vec<(u32, V)>,
) {
    to.clear();
    match own {
        None => to.extend_from_slice(shared.entries()),
        Some(own) => {
            let mut sum = shared.clone();
            sum.add_all(order, own);
            to.extend_from_slice(sum.entries());
        }
    }
}
