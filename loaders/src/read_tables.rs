//! Tables that are read from files: [`ReadTables`] gives a [`Context`] its `read_table`.
//!
//! In a cluster every process must see the same files under the same names, as for all that is read.

use crate::open::{TableOptions, open_table};
use crate::read::{check_shared, files};
use crate::source::InputFile;
use crate::table::Frame;
use slackwater_dataflow::{Context, Result};
use std::path::Path;

/// Reading files as tables. A path is a file, a pattern, a folder of parts or `-`; see [`crate::source`].
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_loaders::{ReadTables, table::{Aggregate, col}};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("trips.csv");
/// std::fs::write(&path, "city,km\nRome,3.5\nOslo,2\nRome,0.5\n").unwrap();
/// let cx = Context::local(2)?;
/// let trips = cx.read_table(&path)?;
/// let long = trips.filter(col("km").gt(1))?;
/// assert_eq!(long.count()?, 2);
/// let by_city = trips.group_by(&["city"], &[("km", Aggregate::Sum)])?;
/// assert_eq!(by_city.count()?, 2);
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub trait ReadTables {
    /// Files of any format that [`crate::open`] knows.
    ///
    /// # Errors
    /// I/O; input, for files that are not of their format, or do not have the same columns.
    fn read_table(&self, path: impl AsRef<Path>) -> Result<Frame>;
    /// [`ReadTables::read_table`] of several paths, with options.
    ///
    /// # Errors
    /// As [`ReadTables::read_table`].
    fn read_table_with<P: AsRef<Path>>(&self, paths: &[P], options: &TableOptions) -> Result<Frame>;
    /// [`ReadTables::read_table`] of files that were resolved before, in at least `min_pieces` partitions unless they would be
    /// very small.
    ///
    /// # Errors
    /// As [`ReadTables::read_table`].
    fn read_table_files(
        &self,
        files: &[InputFile],
        options: &TableOptions,
        min_pieces: usize,
    ) -> Result<Frame>;
}

impl ReadTables for Context {
    fn read_table(&self, path: impl AsRef<Path>) -> Result<Frame> {
        self.read_table_with(&[path], &TableOptions::default())
    }
    fn read_table_with<P: AsRef<Path>>(&self, paths: &[P], options: &TableOptions) -> Result<Frame> {
        self.read_table_files(&files(self, paths)?, options, self.config().default_partitions)
    }
    fn read_table_files(
        &self,
        files: &[InputFile],
        options: &TableOptions,
        min_pieces: usize,
    ) -> Result<Frame> {
        check_shared(self, files)?;
        Ok(Frame::from_source(self, open_table(files, options, min_pieces)?))
    }
}
