//! Tables, as the main program sees them.

use crate::consistency::Consistency;
use crate::recovery::{read_values, write_values};
use crate::rule::Rule;
use crate::sending::Sending;
use crate::sparse::Order;
use crate::value::Value;
use crate::values::Values;
use slackwater_dataflow::{Context, Error, Name, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

/// Elements that a table can have: an element has a number of 32 bits, and a few are the engine's own.
const ELEMENTS_MAX: u64 = (1 << 32) - (1 << 20);

/// What a new table is like.
pub struct TableSpec<V> {
    rows: usize,
    columns: usize,
    consistency: Consistency,
    rule: Rule,
    sending: Sending,
    /// Of sparse rows.
    order: Option<Order<V>>,
    init: Option<Box<dyn Fn(usize, usize) -> V>>,
}

impl<V: Value> TableSpec<V> {
    /// Rows of equal length, all [`Default`]: zero, for numbers. `rows` x `columns` must be below 2^32 - 2^20.
    pub fn dense(rows: usize, columns: usize) -> Self {
        let (consistency, rule) = (Consistency::Bsp, Rule::Increment);
        TableSpec { rows, columns, consistency, rule, sending: Sending::at_once(), order: None, init: None }
    }
    /// Rows of equal length of which only the values other than [`Default`] take memory: about eight bytes and the size
    /// of a value each, in a few copies. Reading a value is a bisection. For tables most of whose values stay zero, as
    /// the topics of words; other [rules](Self::rule) than addition are for dense rows only.
    ///
    /// `rows` x `columns` must be below 2^32 - 2^20.
    pub fn sparse(rows: usize, columns: usize) -> Self {
        TableSpec { order: Some(Order::by_column()), ..Self::dense(rows, columns) }
    }
    /// As [`sparse`](Self::sparse), but a row's largest values come first: what draws from a row by its counts rarely has to
    /// look far. Reading or adding to one value looks through the row.
    pub fn sparse_by_count(rows: usize, columns: usize) -> Self
    where
        V: PartialOrd,
    {
        TableSpec { order: Some(Order::by_value()), ..Self::dense(rows, columns) }
    }
    /// How old a read may be; BSP unless said.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }
    /// What shards make of increments; they are added unless said. Other rules are for `f32` and `f64`.
    ///
    /// Under a rule a partition sees its own increments of the clock it is in as if they were added, those of earlier
    /// clocks when the shards have applied the rule, not later than the table's staleness allows. What a rule keeps
    /// for every value lasts as long as the training, and is part of its snapshots.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }
    /// When increments leave a worker; at the end of their clock unless said.
    pub fn sending(mut self, sending: Sending) -> Self {
        self.sending = sending;
        self
    }
    /// First values, by row and column. Must give the same in every process. Every value is asked for, also of sparse rows.
    pub fn init(mut self, init: impl Fn(usize, usize) -> V + 'static) -> Self {
        self.init = Some(Box::new(init));
        self
    }
}

struct Inner<V> {
    name: Name,
    rows: usize,
    columns: usize,
    consistency: Consistency,
    rule: Rule,
    sending: Sending,
    /// As of the end of the last run that went well; the same bits in every process.
    values: RwLock<Values<V>>,
    /// In a process that has come in the place of a lost one: the table changes in a training that this process has not
    /// come to take part in yet, and nobody has its values between that training's segments any more.
    is_missing: AtomicBool,
    in_until: AtomicBool,
    is_read: AtomicBool,
    is_remembered: AtomicBool,
}

/// A matrix of numbers that training reads and adds to. Cloning clones a handle.
///
/// Between runs every process has all values, and they have the same bits. A run that fails leaves them as they were.
pub struct Table<V>(Arc<Inner<V>>);

impl<V> Clone for Table<V> {
    fn clone(&self) -> Self {
        Table(self.0.clone())
    }
}

impl<V: Value> Table<V> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.0.rows
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.0.columns
    }
    /// How old a read may be.
    pub fn consistency(&self) -> Consistency {
        self.0.consistency
    }
    /// What shards make of increments.
    pub fn rule(&self) -> Rule {
        self.0.rule
    }
    /// When increments leave a worker.
    pub fn sending(&self) -> Sending {
        self.0.sending
    }
    /// True if the rows are sparse.
    pub fn is_sparse(&self) -> bool {
        self.lock().order().is_some()
    }
    fn lock(&self) -> RwLockReadGuard<'_, Values<V>> {
        self.0.values.read().unwrap_or_else(|e| e.into_inner())
    }
    pub(crate) fn current(&self) -> Values<V> {
        self.lock().clone()
    }
    /// The values, if this process has them.
    pub(crate) fn known(&self) -> Option<Values<V>> {
        (!self.0.is_missing.load(Ordering::Acquire)).then(|| self.current())
    }
    fn read(&self) -> RwLockReadGuard<'_, Values<V>> {
        self.note_read();
        let is_missing = self.0.is_missing.load(Ordering::Acquire);
        assert!(
            !is_missing,
            "{} is read, whose values of that time are gone with a process that was lost",
            self.name()
        );
        self.lock()
    }
    /// Says that the main program reads the values.
    pub(crate) fn note_read(&self) {
        if self.0.in_until.load(Ordering::Acquire) {
            self.remember();
        }
    }
    /// Between segments of a training the main program may go by what it reads: whoever comes later must read the same.
    fn remember(&self) {
        self.0.is_read.store(true, Ordering::Release);
        if self.0.is_remembered.swap(true, Ordering::AcqRel) {
            return;
        }
        let known = self.known();
        let write = move || known.as_ref().map(|values| write_values(std::slice::from_ref(values)));
        match self.0.name.remember(write) {
            Ok(None) => {}
            Ok(Some(bytes)) => match read_values(&bytes, std::slice::from_ref(self)) {
                Ok(mut values) => self.set(values.remove(0)),
                Err(e) => panic!("{}: {e}", self.name()),
            },
            // Reading a table cannot fail but in this one case.
            Err(e) => panic!("{}: {e}", self.name()),
        }
    }
    /// True if the table was read in the function that a training calls between segments.
    pub(crate) fn is_read(&self) -> bool {
        self.0.is_read.load(Ordering::Acquire)
    }
    /// Says whether the main program is in that function, and whether the values are in the log already.
    pub(crate) fn set_in_until(&self, in_until: bool, is_remembered: bool) {
        self.0.is_remembered.store(is_remembered, Ordering::Release);
        self.0.in_until.store(in_until, Ordering::Release);
    }
    /// Says that this process does not have the values.
    pub(crate) fn set_missing(&self) {
        self.0.is_missing.store(true, Ordering::Release);
    }
    /// All values, row by row, as of the end of the last run. Of sparse rows this makes a copy that is not sparse.
    pub fn values(&self) -> Arc<Vec<V>> {
        self.read().to_dense()
    }
    /// One value, as of the end of the last run.
    ///
    /// # Panics
    /// If there is no such row or column.
    pub fn get(&self, row: usize, column: usize) -> V {
        assert!(row < self.0.rows && column < self.0.columns, "{}: no ({row}, {column})", self.name());
        self.read().get(row * self.0.columns + column)
    }
    /// One row, as of the end of the last run.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Vec<V> {
        self.read().row(self.0.columns, row).into_owned()
    }
    /// The values of a row other than [`Default`] with their columns, as of the end of the last run: ascending, or the
    /// largest first if the table is so.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn entries(&self, row: usize) -> Vec<(u32, V)> {
        self.read().entries(self.0.columns, row).into_owned()
    }
    /// Overwrites all values, between runs. Must be given the same in every process.
    ///
    /// # Errors
    /// Usage, if the number of values is wrong.
    pub fn put(&self, values: Vec<V>) -> Result<()> {
        if values.len() != self.0.rows * self.0.columns {
            let (rows, columns) = (self.0.rows, self.0.columns);
            let message =
                format!("table `{}` has {rows} x {columns} values, not {}", self.name(), values.len());
            return Err(Error::usage(message));
        }
        let values = self.lock().with(values);
        self.set(values);
        Ok(())
    }
    pub(crate) fn set(&self, values: Values<V>) {
        *self.0.values.write().unwrap_or_else(|e| e.into_inner()) = values;
        self.0.is_missing.store(false, Ordering::Release);
    }
}

/// Makes tables.
pub trait TableExt {
    /// A table with a name that no other living table of this context has.
    ///
    /// # Errors
    /// Config, if the name is taken, the table has too many elements, or its rule or
    /// what is said of sending does not fit.
    fn table<V: Value>(&self, name: &str, spec: TableSpec<V>) -> Result<Table<V>>;
}

impl TableExt for Context {
    fn table<V: Value>(&self, name: &str, spec: TableSpec<V>) -> Result<Table<V>> {
        let (rows, columns) = (spec.rows, spec.columns);
        if (rows as u64).checked_mul(columns as u64).is_none_or(|n| n > ELEMENTS_MAX) {
            let message = format!("{rows} x {columns} is more than {ELEMENTS_MAX} elements");
            return Err(Error::config(format!("table {name}"), message));
        }
        spec.rule.check()?;
        spec.sending.check(spec.consistency, spec.rule != Rule::Increment)?;
        if spec.rule != Rule::Increment && V::default().to_real().is_none() {
            let message = "update rules work on tables of f32 and f64, others are only incremented";
            return Err(Error::config(format!("table {name}"), message));
        }
        if spec.rule != Rule::Increment && spec.order.is_some() {
            let message = "update rules keep something for every value: they need dense rows";
            return Err(Error::config(format!("table {name}"), message));
        }
        let mut values = Values::empty(spec.order, rows, columns);
        if let Some(init) = &spec.init {
            (0..rows).for_each(|row| {
                let of_row: Vec<V> = (0..columns).map(|column| init(row, column)).collect();
                values.set_row(columns, row, &of_row);
            });
        }
        let name = self.claim_name(&format!("table {name}"))?;
        Ok(Table(Arc::new(Inner {
            name,
            rows,
            columns,
            consistency: spec.consistency,
            rule: spec.rule,
            sending: spec.sending,
            values: RwLock::new(values),
            is_missing: AtomicBool::new(false),
            in_until: AtomicBool::new(false),
            is_read: AtomicBool::new(false),
            is_remembered: AtomicBool::new(false),
        })))
    }
}
