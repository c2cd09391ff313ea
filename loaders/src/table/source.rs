//! What a format must give to be read as a table.

use super::Expr;
use crate::OnBadRecord;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use slackwater_dataflow::Result;

/// About how many rows a batch has: enough that work by column prevails, few enough that a batch stays in the
/// second-level cache. Readers may give fewer, and a few more.
pub const BATCH_ROWS: usize = 8192;
/// A batch of many columns has fewer rows, so that it does not have many more values than this.
const BATCH_VALUES: usize = 1 << 20;
const BATCH_ROWS_MIN: usize = 64;

/// How many rows a batch of `columns` columns has.
pub fn batch_rows(columns: usize) -> usize {
    (BATCH_VALUES / columns.max(1)).clamp(BATCH_ROWS_MIN, BATCH_ROWS)
}

/// A table in files, divided into pieces.
///
/// The schema, the number of pieces and what each holds depend on the files, on how they are to be divided, and on
/// nothing else: they are the same in every process, and for any number of workers.
pub trait TableSource: Send + Sync {
    /// All columns.
    fn schema(&self) -> &SchemaRef;
    /// How many pieces there are: the partitions of a dataset. At least one.
    fn pieces(&self) -> usize;
    /// What it is, in a line, for plans: format, files, bytes. Processes compare it.
    fn describe(&self) -> String;
    /// Starts to read piece `piece`, in order.
    ///
    /// # Errors
    /// I/O; input, for a file that is not of its format.
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>>;
}

/// What is wanted of a table.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The columns, by number, in the order in which batches have them. `None`: all. A reader need not look at others,
    /// so what is wrong with those may go unseen.
    pub columns: Option<Vec<usize>>,
    /// Rows for which this is not true may be left out, and nothing more: who asks filters what comes. It may name columns
    /// that are not among [`Scan::columns`].
    pub condition: Option<Expr>,
}

impl Scan {
    /// The schema of the batches that a reader of a table with `all` columns gives.
    pub fn schema(&self, all: &SchemaRef) -> SchemaRef {
        match &self.columns {
            Some(columns) => all.project(columns).expect("a scan names columns that there are").into(),
            None => all.clone(),
        }
    }
}

/// Reads one piece of a table.
pub trait BatchReader {
    /// The next rows in order, at least one; `None` at the end. Bad records go to `on_bad` in the order of the file.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers; input, where the file is damaged so that the rest of it cannot be read.
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>>;
}
