//! Tables and datasets in one program: tables read inside dataset operations, filled from datasets, and as datasets.
//!
//! What is read outside a training is the table as of the end of the last one, the same bits in every process. A dataset
//! that reads a table keeps the values that the table had when the dataset was made: training does not change it, so it
//! may be computed again after a fault like any other.

use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use slackwater_dataflow::{Context, Data, Dataset, Error, Result};
use std::borrow::Cow;

/// All values of a table at one moment. Cloning clones a handle.
pub struct TableValues<V> {
    /// Nothing in a process that has come too late to have them; whoever has computed with them there has the result.
    values: Option<Values<V>>,
    rows: usize,
    columns: usize,
}

impl<V> std::fmt::Debug for TableValues<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TableValues({} x {})", self.rows, self.columns)
    }
}

impl<V> Clone for TableValues<V> {
    fn clone(&self) -> Self {
        TableValues { values: self.values.clone(), rows: self.rows, columns: self.columns }
    }
}

impl<V: Value> TableValues<V> {
    fn values(&self) -> &Values<V> {
        self.values.as_ref().expect(
            "values of a table between segments of a training are gone with the processes that had them",
        )
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// One row: lent, or made if the table is sparse.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Cow<'_, [V]> {
        assert!(row < self.rows, "the table has no row {row}");
        self.values().row(self.columns, row)
    }
    /// The values of a row other than [`Default`] with their columns: ascending, or the largest first if the table is so.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn entries(&self, row: usize) -> Cow<'_, [(u32, V)]> {
        assert!(row < self.rows, "the table has no row {row}");
        self.values().entries(self.columns, row)
    }
    /// One value.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn get(&self, row: usize, column: usize) -> V {
        assert!(row < self.rows && column < self.columns, "the table has no ({row}, {column})");
        self.values().get(row * self.columns + column)
    }
}

impl<V: Value> Table<V> {
    /// All values, as of the end of the last run.
    pub fn snapshot(&self) -> TableValues<V> {
        self.note_read();
        self.for_tasks()
    }
    /// As [`snapshot`](Self::snapshot), for dataset operations only: where they have been computed already, nobody asks for
    /// the values.
    fn for_tasks(&self) -> TableValues<V> {
        TableValues { values: self.known(), rows: self.rows(), columns: self.columns() }
    }
    /// The rows as a dataset of (number, values), as of the end of the last run.
    #[track_caller]
    pub fn to_dataset(&self, cx: &Context, partitions: usize) -> Dataset<(u64, Vec<V>)> {
        let values = self.for_tasks();
        let rows = cx.range(0..self.rows() as u64, partitions);
        rows.map(move |row| (row, values.row(row as usize).to_vec()))
    }
    /// Overwrites rows with those of a dataset of (number, values); rows that it does not have stay. Of a row that comes
    /// twice the last one counts, in the order of partitions. Collective.
    ///
    /// # Errors
    /// Input, for a row that the table does not have, or of another length: then nothing is overwritten; whatever
    /// computing the dataset fails with.
    pub fn fill(&self, rows: &Dataset<(u64, Vec<V>)>) -> Result<()> {
        let mut values = self.current();
        for (row, new) in rows.collect()? {
            let place = usize::try_from(row).ok().filter(|r| *r < self.rows());
            let Some(place) = place.filter(|_| new.len() == self.columns()) else {
                let (name, rows, columns) = (self.name(), self.rows(), self.columns());
                let message =
                    format!("row {row} of {} values does not fit {name} of {rows} x {columns}", new.len());
                return Err(Error::input(message, ""));
            };
            values.set_row(self.columns(), place, &new);
        }
        self.set(values);
        Ok(())
    }
}

/// Dataset operations that read a table.
pub trait MapWithExt<T: Data> {
    /// Applies `f` to every record and the table's values.
    fn map_with<V: Value, U: Data>(
        &self,
        table: &Table<V>,
        f: impl Fn(T, &TableValues<V>) -> U + Send + Sync + 'static,
    ) -> Dataset<U>;
}

impl<T: Data> MapWithExt<T> for Dataset<T> {
    #[track_caller]
    fn map_with<V: Value, U: Data>(
        &self,
        table: &Table<V>,
        f: impl Fn(T, &TableValues<V>) -> U + Send + Sync + 'static,
    ) -> Dataset<U> {
        let values = table.for_tasks();
        self.map(move |record| f(record, &values))
    }
}
