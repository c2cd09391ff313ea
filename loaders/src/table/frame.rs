//! A [`Frame`]: a table to which things are done, lazily, and as little of which is read as that takes.

use super::eval_errors::as_bad_record;
use super::expr::{Expr, no_column};
use super::group::{Aggregate, grouped};
use super::{BatchReader, RecordBlock, Scan, TableSource, col};
use crate::OnBadRecord;
use crate::read::FileCursor;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use slackwater_dataflow::{Context, Cursor, Dataset, Error, Result, Source, Stop, TaskContext};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// A table: where its records come from, and what is done to them on the way.
///
/// Nothing is read before [`Frame::dataset`] (or what calls it) is given to an action. What is asked of a table in files, columns
/// and conditions, is asked of the reader, which leaves out what it can. Every method checks names and types at once.
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_loaders::table::{Aggregate, Frame, RecordBlock, col};
/// use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
/// use std::sync::Arc;
///
/// let columns: [(&str, ArrayRef); 2] = [
///     ("city", Arc::new(StringArray::from(vec!["Rome", "Oslo", "Rome"]))),
///     ("rain", Arc::new(Float64Array::from(vec![2.0, 5.0, 3.0]))),
/// ];
/// let block = RecordBlock(RecordBatch::try_from_iter(columns).unwrap());
/// let cx = Context::local(2)?;
/// let frame = Frame::from_dataset(cx.parallelize(vec![block.clone()], 1), block.schema());
/// let wet = frame.filter(col("rain").gt(2.5))?.group_by(&["city"], &[("rain", Aggregate::Sum)])?;
/// assert_eq!(wet.collect()?.num_rows(), 2);
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
#[derive(Clone)]
pub struct Frame {
    origin: Origin,
    steps: Vec<Step>,
    schema: SchemaRef,
}

#[derive(Clone)]
enum Origin {
    Files(Context, Arc<dyn TableSource>),
    Dataset(Dataset<RecordBlock>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Filter(Expr),
    /// Columns by name, in this order, with what they are called from here on.
    Select(Vec<(String, String)>),
    /// A column that takes the place of one of its name, or comes last.
    With(String, Expr),
}

impl Frame {
    /// The table in `source`.
    pub fn from_source(cx: &Context, source: Arc<dyn TableSource>) -> Frame {
        let schema = source.schema().clone();
        Frame { origin: Origin::Files(cx.clone(), source), steps: vec![], schema }
    }
    /// The records of a dataset, all of which have this schema.
    pub fn from_dataset(dataset: Dataset<RecordBlock>, schema: SchemaRef) -> Frame {
        Frame { origin: Origin::Dataset(dataset), steps: vec![], schema }
    }
    /// The columns that it has now.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    /// The context that reads it.
    pub fn context(&self) -> &Context {
        match &self.origin {
            Origin::Files(cx, _) => cx,
            Origin::Dataset(dataset) => dataset.context(),
        }
    }
    fn then(&self, step: Step) -> Result<Frame> {
        let schema = step.schema(&self.schema)?;
        let steps = self.steps.iter().cloned().chain([step]).collect();
        Ok(Frame { origin: self.origin.clone(), steps, schema })
    }
    /// These columns, in this order.
    ///
    /// # Errors
    /// Usage, if one is not there.
    pub fn select(&self, names: &[impl AsRef<str>]) -> Result<Frame> {
        self.then(Step::Select(
            names.iter().map(|n| (n.as_ref().to_string(), n.as_ref().to_string())).collect(),
        ))
    }
    /// All columns but these.
    ///
    /// # Errors
    /// Usage, if one is not there.
    pub fn drop_columns(&self, names: &[impl AsRef<str>]) -> Result<Frame> {
        let gone: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
        if let Some(missing) = gone.iter().find(|n| self.schema.index_of(n).is_err()) {
            return Err(no_column(missing, &self.schema));
        }
        let kept = self.schema.fields().iter().map(|f| f.name().clone());
        self.select(&kept.filter(|n| !gone.contains(n.as_str())).collect::<Vec<_>>())
    }
    /// The column `from` under another name, in its place.
    ///
    /// # Errors
    /// Usage, if it is not there.
    pub fn rename(&self, from: &str, to: &str) -> Result<Frame> {
        self.schema.index_of(from).map_err(|_| no_column(from, &self.schema))?;
        let name = |n: &str| if n == from { to.to_string() } else { n.to_string() };
        self.then(Step::Select(
            self.schema.fields().iter().map(|f| (f.name().clone(), name(f.name()))).collect(),
        ))
    }
    /// The rows that fulfil a condition; null is no.
    ///
    /// # Errors
    /// Usage, if it is none on these columns.
    pub fn filter(&self, condition: Expr) -> Result<Frame> {
        self.then(Step::Filter(condition))
    }
    /// With a column that is made of others. It takes the place of one of the same name.
    ///
    /// # Errors
    /// Usage, if it cannot be made of these columns.
    pub fn with_column(&self, name: &str, value: impl Into<Expr>) -> Result<Frame> {
        self.then(Step::With(name.to_string(), value.into()))
    }
    /// One row for each combination of values of `keys`, with an aggregate of a column each, called as in `sum(rain)`. Rows come
    /// in no order, but always in the same.
    ///
    /// Costs a pass, and a shuffle of a row for each combination and partition. Null is a value like others in keys, and none in
    /// aggregates.
    ///
    /// # Errors
    /// Usage, for a column that is not there, or that cannot be aggregated like this.
    pub fn group_by(&self, keys: &[&str], aggregates: &[(&str, Aggregate)]) -> Result<Frame> {
        grouped(self, keys, aggregates)
    }

    /// The records, lazily: a partition is a piece of the table.
    #[track_caller]
    pub fn dataset(&self) -> Dataset<RecordBlock> {
        let steps = Arc::new(Steps { steps: self.steps.clone(), schema: self.schema.clone() });
        match &self.origin {
            Origin::Dataset(dataset) if self.steps.is_empty() => dataset.clone(),
            Origin::Dataset(dataset) => {
                dataset.try_map(move |block| steps.apply(block.0).map(RecordBlock).map_err(as_bad_record))
            }
            Origin::Files(cx, source) => {
                let scan = self.scan(source.schema());
                cx.read(Pieces { source: source.clone(), scan, steps })
            }
        }
    }

    /// What is asked of the reader.
    fn scan(&self, all: &SchemaRef) -> Scan {
        let mut condition: Option<Expr> = None;
        for step in &self.steps {
            match step {
                // Only while columns are called what they are called in the file.
                Step::Filter(e) => {
                    condition = Some(match condition {
                        Some(before) => before & e.clone(),
                        None => e.clone(),
                    });
                }
                Step::Select(columns) if columns.iter().all(|(from, to)| from == to) => {}
                _ => break,
            }
        }
        let mut needed: BTreeSet<String> = self.schema.fields().iter().map(|f| f.name().clone()).collect();
        for step in self.steps.iter().rev() {
            match step {
                Step::Filter(e) => needed.extend(e.columns().into_iter().map(str::to_string)),
                Step::With(name, e) => {
                    needed.remove(name);
                    needed.extend(e.columns().into_iter().map(str::to_string));
                }
                Step::Select(columns) => {
                    let from =
                        columns.iter().filter(|(_, to)| needed.contains(to)).map(|(from, _)| from.clone());
                    needed = from.collect();
                }
            }
        }
        let columns: Vec<usize> =
            (0..all.fields().len()).filter(|i| needed.contains(all.field(*i).name())).collect();
        Scan { columns: (columns.len() < all.fields().len()).then_some(columns), condition }
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// What reading them fails with.
    pub fn count(&self) -> Result<u64> {
        // Columns that no step needs are not read.
        let rows = self.select(&[] as &[&str])?.dataset();
        rows.aggregate(0, |n, block| *n += block.num_rows() as u64, |a, b| *a += b)
    }
    /// All rows, in this process and in every other.
    ///
    /// # Errors
    /// What reading them fails with.
    pub fn collect(&self) -> Result<RecordBatch> {
        self.concat(self.dataset().collect()?)
    }
    /// The first `rows` rows, or all if there are fewer.
    ///
    /// # Errors
    /// What reading them fails with.
    pub fn head(&self, rows: usize) -> Result<RecordBatch> {
        let dataset = self.dataset();
        let (mut blocks, mut left) = (vec![], rows);
        for partition in 0..dataset.num_partitions() {
            if left == 0 {
                break;
            }
            let wanted = left;
            let some = dataset.run_job(vec![partition], move |_, records| {
                let (mut some, mut left) = (vec![], wanted);
                for block in records {
                    let rows = block.num_rows().min(left);
                    some.push(RecordBlock(block.slice(0, rows)));
                    left -= rows;
                    if left == 0 {
                        break;
                    }
                }
                some
            })?;
            for block in some.into_iter().flatten() {
                left -= block.num_rows().min(left);
                blocks.push(block);
            }
        }
        self.concat(blocks)
    }
    fn concat(&self, blocks: Vec<RecordBlock>) -> Result<RecordBatch> {
        let batches = blocks.iter().map(|b| &b.0);
        concat_batches(&self.schema, batches)
            .map_err(|e| Error::usage(format!("the blocks do not fit together: {e}")))
    }
}

impl Step {
    /// The columns after it.
    fn schema(&self, before: &SchemaRef) -> Result<SchemaRef> {
        Ok(match self {
            Step::Filter(e) => {
                e.check_condition(before)?;
                before.clone()
            }
            Step::Select(columns) => {
                let field = |(from, to): &(String, String)| match before.column_with_name(from) {
                    Some((_, field)) => Ok(field.clone().with_name(to)),
                    None => Err(no_column(from, before)),
                };
                Arc::new(Schema::new(columns.iter().map(field).collect::<Result<Vec<_>>>()?))
            }
            Step::With(name, e) => {
                let field = Field::new(name, e.data_type(before)?, true);
                let mut fields: Vec<Field> = before.fields().iter().map(|f| f.as_ref().clone()).collect();
                match before.index_of(name) {
                    Ok(at) => fields[at] = field,
                    Err(_) => fields.push(field),
                }
                Arc::new(Schema::new(fields))
            }
        })
    }
    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        match self {
            Step::Filter(e) => e.filter(&batch),
            Step::Select(columns) => {
                let schema = self.schema(batch.schema_ref())?;
                let column = |(from, _): &(String, String)| {
                    batch.column_by_name(from).cloned().expect("the schema has it")
                };
                let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let made =
                    RecordBatch::try_new_with_options(schema, columns.iter().map(column).collect(), &rows);
                Ok(made.expect("columns of one batch fit together"))
            }
            Step::With(name, e) => {
                let schema = self.schema(batch.schema_ref())?;
                let mut columns = batch.columns().to_vec();
                let value = e.evaluate(&batch)?;
                match batch.schema_ref().index_of(name) {
                    Ok(at) => columns[at] = value,
                    Err(_) => columns.push(value),
                }
                Ok(RecordBatch::try_new(schema, columns).expect("a value for every row"))
            }
        }
    }
}

/// What is done to batches.
struct Steps {
    steps: Vec<Step>,
    schema: SchemaRef,
}

impl Steps {
    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = self.steps.iter().try_fold(batch, |batch, step| step.apply(batch))?;
        // What may be null in a block may differ, what the table says of it does not.
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = self.schema.fields().iter().map(|f| {
            batch.column_by_name(f.name()).cloned().expect("the last step leaves the columns of the schema")
        });
        RecordBatch::try_new_with_options(self.schema.clone(), columns.collect(), &rows)
            .map_err(|e| Error::usage(format!("the block does not have the columns of the table: {e}")))
    }
}

/// The pieces of a table as partitions.
struct Pieces {
    source: Arc<dyn TableSource>,
    scan: Scan,
    steps: Arc<Steps>,
}

impl Source<RecordBlock> for Pieces {
    fn partitions(&self) -> usize {
        self.source.pieces()
    }
    fn describe(&self) -> String {
        let mut text = self.source.describe();
        if let Some(columns) = &self.scan.columns {
            text += &format!(", {} of {} columns", columns.len(), self.source.schema().fields().len());
        }
        for step in &self.steps.steps {
            match step {
                Step::Filter(e) => text += &format!(", where {e}"),
                Step::With(name, e) => text += &format!(", {} = {e}", col(name.clone())),
                Step::Select(_) => {}
            }
        }
        text
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<RecordBlock>>, Stop> {
        let mut reader: Box<dyn BatchReader> = self.source.open(partition, &self.scan)?;
        let steps = self.steps.clone();
        let read = move |into: &mut Vec<RecordBlock>, on_bad: &mut OnBadRecord<'_>| {
            while let Some(batch) = reader.next_batch(on_bad)? {
                let batch = steps.apply(batch)?;
                if batch.num_rows() > 0 {
                    let rows = batch.num_rows();
                    into.push(RecordBlock(batch));
                    return Ok(rows);
                }
            }
            Ok(0)
        };
        Ok(Box::new(FileCursor::new(read, task)))
    }
}
