//! What a format must give to be written as a table.

use arrow_array::RecordBatch;
use slackwater_dataflow::Result;

/// Writes a table, batch by batch.
pub trait BatchWriter {
    /// Appends the rows of a batch. All batches have the schema that the writer was made for.
    ///
    /// # Errors
    /// I/O; data, for a value that the format cannot hold; usage, for a batch of another schema.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;
    /// Writes what is not written yet. What was written before counts only after this.
    ///
    /// # Errors
    /// I/O.
    fn finish(self: Box<Self>) -> Result<()>;
}
