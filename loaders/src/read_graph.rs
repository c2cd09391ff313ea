//! Graphs as datasets: [`ReadGraphExt`] gives a [`Context`] its `read_edges`.
//!
//! What holds for [`crate::read`] holds here: partitions depend on files alone, bad records go where the context's policy
//! says, and every process of a cluster must see the same files. Formats are those of [`crate::format::graph`].

use crate::format::edges::Vertices;
use crate::format::graph::{Graph, GraphOptions};
use crate::read::{Records, check_shared, files};
use crate::source::InputFile;
use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{Context, Dataset, Result};
use std::path::Path;

/// Reading graphs. A path is a file, a pattern, a folder of parts or `-`; see [`crate::source`].
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_loaders::ReadGraphExt;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("path.graph");
/// std::fs::write(&path, "3 2\n2\n1 3\n2\n").unwrap(); // METIS: the neighbours of vertices 1 to 3
/// let cx = Context::local(2)?;
/// let edges = cx.read_edges(&path)?; // numbered from 0, each from both ends
/// assert_eq!(edges.filter(|e| e.source == 1).count()?, 2);
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub trait ReadGraphExt {
    /// The edges of a graph, in whatever format it is.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense; input, for several files of a format of one.
    fn read_edges(&self, path: impl AsRef<Path>) -> Result<Dataset<Edge>>;
    /// [`ReadGraphExt::read_edges`] of several paths, with options, in at least `min_splits` pieces unless they would be very
    /// small.
    ///
    /// # Errors
    /// As [`ReadGraphExt::read_edges`].
    fn read_edges_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: &GraphOptions,
        min_splits: usize,
    ) -> Result<Dataset<Edge>>;
    /// [`ReadGraphExt::read_edges_with`] of files that were resolved before, such as standard input.
    ///
    /// # Errors
    /// As [`ReadGraphExt::read_edges`].
    fn read_edge_files(
        &self,
        files: &[InputFile],
        options: &GraphOptions,
        min_splits: usize,
    ) -> Result<Dataset<Edge>>;
    /// The vertices of a file with one a line, such as LDBC's `.v`.
    ///
    /// # Errors
    /// I/O.
    fn read_vertices(&self, path: impl AsRef<Path>) -> Result<Dataset<u64>>;
}

impl ReadGraphExt for Context {
    #[track_caller]
    fn read_edges(&self, path: impl AsRef<Path>) -> Result<Dataset<Edge>> {
        self.read_edges_with(&[path], &GraphOptions::default(), self.config().default_partitions)
    }
    #[track_caller]
    fn read_edges_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: &GraphOptions,
        min_splits: usize,
    ) -> Result<Dataset<Edge>> {
        self.read_edge_files(&files(self, paths)?, options, min_splits)
    }
    #[track_caller]
    fn read_edge_files(
        &self,
        files: &[InputFile],
        options: &GraphOptions,
        min_splits: usize,
    ) -> Result<Dataset<Edge>> {
        check_shared(self, files)?;
        Ok(self.read(Records(Graph::open(files, options, min_splits)?)))
    }
    #[track_caller]
    fn read_vertices(&self, path: impl AsRef<Path>) -> Result<Dataset<u64>> {
        let files = files(self, &[path])?;
        let min_splits = self.config().default_partitions;
        Ok(self.read(Records(Vertices::open(&files, Default::default(), min_splits))))
    }
}
