//! Graphs in files of any format, as edges.
//!
//! [`GraphFormat::detect`] goes by what is in the file, and by its name where that does not tell:
//!
//! | what | format |
//! |---|---|
//! | begins with `%%MatrixMarket`, or is called `*.mtx`, `*.mmt` | [`matrix_market`](super::matrix_market): an entry is an edge from its row to its column |
//! | first line that is no comment begins with `p ` or `a `, or `*.gr` | [`dimacs`](super::dimacs) |
//! | `*.graph`, `*.metis` | [`metis`](super::metis) |
//! | anything else | [`edges`](super::edges) |
//!
//! [`adjacency`](super::adjacency) lists look like edge lists, so they must be asked for. What each format does with the numbers of
//! vertices stands there: **formats that number from 1 are read from 0**, edge lists as they are.
//!
//! Costs, guarantees and failures are those of the formats. Formats with a head are of one file each.

use super::adjacency::Adjacency;
use super::dimacs::Dimacs;
use super::edges::EdgeList;
use super::matrix_market::{Entry, MatrixMarket, Values};
use super::metis::Metis;
use super::records::{RecordReader, RecordSource, RecordTable, field, one_file, read_head};
use crate::OnBadRecord;
use crate::codec::Compression;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;
use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// What a file with a graph looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// `source target [weight]` a line.
    EdgeList,
    /// `vertex neighbour ...` a line.
    Adjacency,
    /// The neighbours of vertex `i` on line `i`.
    Metis,
    /// `a source target weight` a line.
    Dimacs,
    /// A matrix whose entries are edges.
    MatrixMarket,
}

impl GraphFormat {
    /// The format of a file. See the [module](self).
    ///
    /// # Errors
    /// I/O; data, for a packed file that is damaged.
    pub fn detect(file: &InputFile, limits: ReadLimits) -> Result<GraphFormat> {
        let mut found = None;
        read_head(file, limits, |line| {
            let line = line.trim_ascii_start();
            if line.len() > 13 && line[..14].eq_ignore_ascii_case(b"%%MatrixMarket") {
                found = Some(GraphFormat::MatrixMarket);
            } else if line.starts_with(b"p ") || line.starts_with(b"a ") {
                found = Some(GraphFormat::Dimacs);
            } else {
                let comment = matches!(line, [] | [b'%' | b'#' | b'c', ..]);
                return Ok(comment);
            }
            Ok(false)
        })?;
        Ok(found.unwrap_or_else(|| match extension(file.name()).as_str() {
            "mtx" | "mmt" => GraphFormat::MatrixMarket,
            "gr" => GraphFormat::Dimacs,
            "graph" | "metis" => GraphFormat::Metis,
            _ => GraphFormat::EdgeList,
        }))
    }
}

/// The extension of a name without that of its codec, in lower case.
pub(crate) fn extension(name: &str) -> String {
    let mut path = Path::new(name);
    if Compression::from_extension(path) != Compression::None {
        path = Path::new(path.file_stem().unwrap_or_default());
    }
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// How to read a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// The format; `None`: that of the first file.
    pub format: Option<GraphFormat>,
    /// Whether an edge list has weights; `None`: the first edge tells.
    pub weighted: Option<bool>,
    /// Limits on lines and packed files.
    pub limits: ReadLimits,
}

/// A graph in files, as edges. See the [module](self).
pub struct Graph {
    source: Box<dyn RecordSource<Record = Edge>>,
    weighted: bool,
    vertices: Option<u64>,
}

impl Graph {
    /// Looks at the files, and divides them into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense; input, for several files of a format of one.
    pub fn open(files: &[InputFile], options: &GraphOptions, min_splits: usize) -> Result<Self> {
        let Some(first) = files.iter().find(|f| f.bytes() > 0).or(files.first()) else {
            return Err(Error::input("no input files", "name at least one file"));
        };
        let limits = options.limits;
        let format = match options.format {
            Some(format) => format,
            None => GraphFormat::detect(first, limits)?,
        };
        Ok(match format {
            GraphFormat::EdgeList => {
                let list = EdgeList::open(files, options.weighted, limits, min_splits)?;
                Graph { weighted: list.is_weighted(), vertices: None, source: Box::new(list) }
            }
            GraphFormat::Adjacency => {
                let lists = Adjacency::open(files, limits, min_splits);
                Graph { weighted: false, vertices: None, source: Box::new(lists) }
            }
            GraphFormat::Metis => {
                let metis = Metis::open(one_file(files, "METIS graph")?, limits, min_splits)?;
                Graph {
                    weighted: metis.is_weighted(),
                    vertices: Some(metis.vertices()),
                    source: Box::new(metis),
                }
            }
            GraphFormat::Dimacs => {
                let graph = Dimacs::open(one_file(files, "DIMACS graph")?, limits, min_splits)?;
                Graph { weighted: graph.is_weighted(), vertices: graph.vertices(), source: Box::new(graph) }
            }
            GraphFormat::MatrixMarket => {
                let matrix = MatrixMarket::open(one_file(files, "matrix")?, limits, min_splits)?;
                let header = *matrix.header();
                if header.values == Values::Complex {
                    return Err(Error::input(
                        format!("{} is a complex matrix, not a graph", first.name()),
                        "edges have real weights",
                    ));
                }
                Graph {
                    weighted: header.values != Values::Pattern,
                    vertices: Some(header.rows.max(header.columns)),
                    source: Box::new(Entries(matrix)),
                }
            }
        })
    }
    /// True if edges have weights; without, all are 1.
    pub fn is_weighted(&self) -> bool {
        self.weighted
    }
    /// How many vertices there are, where the file says so.
    pub fn vertices(&self) -> Option<u64> {
        self.vertices
    }
    /// As a table: `source`, `target` and, if there are any, `weight`.
    pub fn into_table(self) -> RecordTable<Graph> {
        let mut columns = vec![field("source", DataType::UInt64), field("target", DataType::UInt64)];
        if self.weighted {
            columns.push(field("weight", DataType::Float64));
        }
        RecordTable::new(self, columns, |edges: &[Edge], column| -> ArrayRef {
            match column {
                0 => Arc::new(UInt64Array::from_iter_values(edges.iter().map(|e| e.source))),
                1 => Arc::new(UInt64Array::from_iter_values(edges.iter().map(|e| e.target))),
                _ => Arc::new(Float64Array::from_iter_values(edges.iter().map(|e| e.weight))),
            }
        })
    }
}

impl RecordSource for Graph {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.source.pieces()
    }
    fn describe(&self) -> String {
        self.source.describe()
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        self.source.open(piece)
    }
}

/// The entries of a matrix as edges.
struct Entries(MatrixMarket);

impl RecordSource for Entries {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.0.pieces()
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        Ok(Box::new(EntryReader(self.0.open(piece)?)))
    }
}

struct EntryReader(Box<dyn RecordReader<Record = Entry>>);

impl RecordReader for EntryReader {
    type Record = Edge;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Edge>> {
        let entry = self.0.next_record(on_bad)?;
        Ok(entry.map(|e| Edge { source: e.row, target: e.column, weight: e.value }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (name, text, format) in [
            ("a.txt", "# c\n1 2\n", GraphFormat::EdgeList),
            ("a", "", GraphFormat::EdgeList),
            ("a.mtx", "1 1 0\n", GraphFormat::MatrixMarket),
            ("a", "%%matrixmarket matrix coordinate real general\n", GraphFormat::MatrixMarket),
            ("a.gr", "c none\n", GraphFormat::Dimacs),
            ("a", "c road\np sp 3 3\n", GraphFormat::Dimacs),
            ("a.txt", "a 1 2 3\n", GraphFormat::Dimacs),
            ("a.graph", "% c\n3 2\n", GraphFormat::Metis),
            ("a.metis.gz", "3 2\n", GraphFormat::Metis),
        ] {
            let found = GraphFormat::detect(&InputFile::from_bytes(name, text), ReadLimits::default());
            assert_eq!(found.unwrap(), format, "{name} {text}");
        }
    }

    #[test]
    fn the_same_graph_in_every_format() {
        for (name, text) in [
            ("a.txt", "0 1 5\n1 0 5\n"),
            ("a.mtx", "%%MatrixMarket matrix coordinate integer symmetric\n2 2 1\n1 2 5\n"),
            ("a.gr", "p sp 2 2\na 1 2 5\na 2 1 5\n"),
            ("a.graph", "2 1 1\n2 5\n1 5\n"),
        ] {
            let graph =
                Graph::open(&[InputFile::from_bytes(name, text)], &GraphOptions::default(), 1).unwrap();
            assert!(graph.is_weighted(), "{name}");
            let (edges, bad) = read(&graph).unwrap();
            assert_eq!((edges, bad.len()), (vec![Edge::new(0, 1, 5.0), Edge::new(1, 0, 5.0)], 0), "{name}");
        }
        let files = ["a.graph", "b.graph"].map(|name| InputFile::from_bytes(name, "1 0\n"));
        let e = Graph::open(&files, &GraphOptions::default(), 1).map(|_| ()).unwrap_err();
        assert!(e.to_string().starts_with("2 files were given for one METIS graph"), "{e}");
    }
}
