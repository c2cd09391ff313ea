//! Edge lists: one edge of a graph a line, `source target [weight]`.
//!
//! # Grammar
//!
//! ```text
//! file    = { comment | blank line } [header] { line | comment | blank line }
//! comment = "#" or "%" or "//", and anything
//! header  = a line that begins with a letter, "_" or a quotation mark
//! line    = source sep target [sep weight [sep anything]]
//! sep     = blanks (spaces, tabs), or "," with or without blanks around it
//! source, target = digits, below 2^64;  weight = decimal number, finite
//! ```
//!
//! That takes the files of SNAP, KONECT and LAW's lists, the `.e` files of LDBC Graphalytics, and CSV with names above its columns.
//! Vertices keep their numbers. Unless it is said, the first edge of the first file decides: a graph has weights if that has a
//! third field. Then every edge must have one; and where it has none, none may. A file of vertices, one a line, such as
//! the `.v` files of LDBC, is read by [`Vertices`].
//!
//! # Guarantees
//!
//! Weights have the same bits as `str::parse::<f64>` gives. A line that cannot be used is reported once, as `file:line:column`.
//! Edges, their order and the reports do not depend on how a file is divided. What is there twice is read twice.
//!
//! # Cost
//!
//! One pass.
//!
//! # References
//!
//! Leskovec and Krevl, SNAP Datasets; LDBC Graphalytics specification, section "Graph data format".

use super::fault::Fault;
use super::quick::Quick;
use super::ratings::Fields;
use super::records::{
    LineRecords, RecordReader, RecordSource, RecordTable, describe, field, finite, read_head, whole,
};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use arrow_array::UInt64Array;
use arrow_schema::DataType;
use slackwater_dataflow::Result;
use slackwater_dataflow::block::Edge;
use std::sync::Arc;

/// A graph as a list of edges. See the [module](self).
pub struct EdgeList {
    /// Pieces, and how many bytes at the start of each one's file are no edges.
    splits: Vec<(Split, u64)>,
    limits: ReadLimits,
    weighted: bool,
}

/// What the head of a file told.
struct Head {
    bytes: u64,
    /// Fields of the first edge; `None` if there is none.
    fields: Option<usize>,
}

fn head(file: &InputFile, limits: ReadLimits) -> Result<Head> {
    let (mut fields, mut named) = (None, false);
    let bytes = read_head(file, limits, |line| {
        if is_empty(line) {
            return Ok(true);
        }
        if !named && is_header(line) {
            named = true;
            return Ok(true);
        }
        let mut rest = Fields::of(line);
        fields = Some((0..4).take_while(|_| !rest.next().1.is_empty()).count());
        Ok(false)
    })?;
    Ok(Head { bytes, fields })
}

impl EdgeList {
    /// Looks at the start of each file, and divides all into at least `min_splits` pieces unless they would be very small.
    /// `weighted`: whether there are weights, if it is known.
    ///
    /// # Errors
    /// I/O; data, for a packed file that is damaged.
    pub fn open(
        files: &[InputFile],
        weighted: Option<bool>,
        limits: ReadLimits,
        min_splits: usize,
    ) -> Result<Self> {
        let mut first = None;
        let mut pieces = vec![];
        for split in splits(files, min_splits) {
            let bytes = match pieces.last() {
                Some((before, bytes)) if same_file(before, &split) => *bytes,
                _ => {
                    let head = head(split.file(), limits)?;
                    first = first.or(head.fields);
                    head.bytes
                }
            };
            pieces.push((split, bytes));
        }
        let weighted = weighted.unwrap_or(first.is_some_and(|n| n > 2));
        Ok(EdgeList { splits: pieces, limits, weighted })
    }
    /// True if edges have weights.
    pub fn is_weighted(&self) -> bool {
        self.weighted
    }
}

/// True for two pieces of a file, which follow each other.
fn same_file(before: &Split, next: &Split) -> bool {
    next.start() > 0 && before.end() == next.start() && before.file().name() == next.file().name()
}

impl RecordSource for EdgeList {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        let splits: Vec<Split> = self.splits.iter().map(|(s, _)| s.clone()).collect();
        describe(if self.weighted { "edges with weights" } else { "edges" }, &splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        let (split, head_bytes) = &self.splits[piece];
        let lines = LineRecords::open(split, self.limits, *head_bytes)?;
        Ok(Box::new(EdgeReader { lines, weighted: self.weighted }))
    }
}

/// Reads the edges of a piece.
struct EdgeReader {
    lines: LineRecords,
    weighted: bool,
}

impl RecordReader for EdgeReader {
    type Record = Edge;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Edge>> {
        let weighted = self.weighted;
        let quick = |bytes: &[u8]| if weighted { quick_weighted(bytes) } else { quick_edge(bytes) };
        let careful = |line: &[u8]| if is_empty(line) { Ok(None) } else { edge(line, weighted).map(Some) };
        self.lines.next_quick(on_bad, quick, careful)
    }
}

/// What is between two fields, mostly.
const SEPARATORS: &[u8] = b"\t ,";

#[inline(always)]
fn quick_edge(bytes: &[u8]) -> Option<(Edge, usize)> {
    let mut line = Quick::of(bytes);
    let source = line.whole()?;
    line.one_of(SEPARATORS)?;
    let target = line.whole()?;
    Some((Edge { source, target, weight: 1.0 }, line.end()?))
}

#[inline(always)]
fn quick_weighted(bytes: &[u8]) -> Option<(Edge, usize)> {
    let mut line = Quick::of(bytes);
    let source = line.whole()?;
    line.one_of(SEPARATORS)?;
    let target = line.whole()?;
    line.one_of(SEPARATORS)?;
    let weight = line.decimal()?;
    Some((Edge { source, target, weight }, line.end()?))
}

pub(super) fn first_byte(line: &[u8]) -> Option<u8> {
    line.iter().copied().find(|b| !matches!(b, b' ' | b'\t'))
}

/// True for a line that is blank or a comment.
pub(super) fn is_empty(line: &[u8]) -> bool {
    match first_byte(line) {
        None | Some(b'#' | b'%') => true,
        Some(b'/') => line.trim_ascii_start().starts_with(b"//"),
        Some(_) => false,
    }
}

fn is_header(line: &[u8]) -> bool {
    first_byte(line).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'"'))
}

const LINE: &str = "a line is `source target` or `source target weight`, with blanks or a comma between; all lines \
                    as the first";

fn edge(line: &[u8], weighted: bool) -> Result<Edge, Fault> {
    let mut fields = Fields::of(line);
    let mut next = |what: &str| {
        let (column, field) = fields.next();
        match field {
            [] => Err(Fault::new(column, line, format!("{what} is missing")).hint(LINE)),
            field => Ok((column, field)),
        }
    };
    let (column, field) = next("the source")?;
    let source = whole(column, field, "the source")?;
    let (column, field) = next("the target")?;
    let target = whole(column, field, "the target")?;
    if weighted {
        let (column, field) = next("the weight")?;
        return Ok(Edge { source, target, weight: finite(column, field, "the weight")? });
    }
    match fields.next() {
        (_, []) => Ok(Edge { source, target, weight: 1.0 }),
        (column, field) => {
            Err(Fault::new(column, field, "the edge has a third field, and the first edge has none")
                .hint(LINE))
        }
    }
}

/// A list of vertices, one a line. Blank lines and comments are left out, as in edge lists.
pub struct Vertices {
    splits: Vec<Split>,
    limits: ReadLimits,
}

impl Vertices {
    /// Divides files into at least `min_splits` pieces unless they would be very small.
    pub fn open(files: &[InputFile], limits: ReadLimits, min_splits: usize) -> Self {
        Vertices { splits: splits(files, min_splits), limits }
    }
    /// As a table with a column `vertex`.
    pub fn into_table(self) -> RecordTable<Vertices> {
        RecordTable::new(self, vec![field("vertex", DataType::UInt64)], |vertices: &[u64], _| {
            Arc::new(UInt64Array::from_iter_values(vertices.iter().copied()))
        })
    }
}

impl RecordSource for Vertices {
    type Record = u64;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("vertices", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = u64>>> {
        Ok(Box::new(VertexReader(LineRecords::open(&self.splits[piece], self.limits, 0)?)))
    }
}

struct VertexReader(LineRecords);

impl RecordReader for VertexReader {
    type Record = u64;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<u64>> {
        self.0.next(on_bad, |line| {
            if is_empty(line) {
                return Ok(None);
            }
            let mut fields = Fields::of(line);
            let (column, field) = fields.next();
            let vertex = whole(column, field, "the vertex")?;
            match fields.next() {
                (_, []) => Ok(Some(vertex)),
                (column, field) => Err(Fault::new(column, field, "the line has something after its vertex")
                    .hint("a file of vertices has one a line; is this one of edges?")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::super::testing::{cut, file, read};
    use super::*;
    use proptest::prelude::*;

    fn open(text: &str, weighted: Option<bool>) -> EdgeList {
        EdgeList::open(&[file(text)], weighted, ReadLimits::default(), 1).unwrap()
    }
    fn edges(list: &EdgeList) -> (Vec<(u64, u64, f64)>, Vec<String>) {
        testing::edges(list).unwrap()
    }

    #[test]
    fn lists_of_every_kind() {
        for (text, want) in [
            (
                "# SNAP\n# From\tTo\n0\t1\n1\t0\r\n\n18446744073709551615 7",
                vec![(0, 1, 1.0), (1, 0, 1.0), (u64::MAX, 7, 1.0)],
            ),
            ("% KONECT\n1 2 .5 1290\n2 3 -1e2\n", vec![(1, 2, 0.5), (2, 3, -100.0)]),
            ("\nsource,target,weight\n1,2,0.5\n1 , 3 , 4\n// none\n", vec![(1, 2, 0.5), (1, 3, 4.0)]),
            ("", vec![]),
            ("# only\n", vec![]),
        ] {
            let list = open(text, None);
            assert_eq!(edges(&list), (want, vec![]), "{text}");
        }
        assert!(open("1 2 3\n", None).is_weighted() && !open("1 2\n", None).is_weighted());
        assert_eq!(edges(&open("1 2 3\n", Some(true))).0, [(1, 2, 3.0)]);
        let vertices = Vertices::open(&[file("1\n\n7\r\n8 9\nx\n")], ReadLimits::default(), 1);
        let (vertices, bad) = read(&vertices).unwrap();
        assert_eq!((vertices, bad.len()), (vec![1, 7], 2));
        assert!(bad[0].starts_with("t:4:3: the line has something after its vertex"), "{bad:?}");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (good, bad) = edges(&open("# c\n1 2\n1\n1 x\n-1 2\n1 2 3\nname 4\n3 4\n", None));
        assert_eq!(good, [(1, 2, 1.0), (3, 4, 1.0)]);
        for (bad, part) in bad.iter().zip([
            "t:3:2: the target is missing",
            "t:4:3: the target is not a whole number",
            "t:5:1: the source is not a whole number",
            "t:6:5: the edge has a third field",
            "t:7:1: the source is not a whole number",
        ]) {
            assert!(bad.starts_with(part), "{part}: {bad}");
        }
        let (_, bad) = edges(&open("1 2 3\n1 2\n1 2 nan\n1 2 1e999\n", None));
        for (bad, part) in bad.iter().zip([
            "t:2:4: the weight is missing",
            "t:3:5: the weight is NaN",
            "t:4:5: the weight is too large",
        ]) {
            assert!(bad.starts_with(part), "{part}: {bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_are_the_whole(
            lines in proptest::collection::vec("([0-9]{1,3}[ \t,][0-9]{1,2}( [0-9]{1,2})?|# c|x|[a-z ]{0,9})\r?", 0..20),
            cuts: [prop::sample::Index; 4],
        ) {
            let text = lines.join("\n");
            let whole = open(&text, None);
            let mut pieces = open(&text, None);
            let head = whole.splits[0].1;
            pieces.splits = cut(&file(text.as_str()), &cuts).into_iter().map(|s| (s, head)).collect();
            prop_assert_eq!(edges(&pieces), edges(&whole));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let list = EdgeList::open(&[file(bytes.clone())], None, ReadLimits::default(), 1);
            if let Ok(list) = list {
                let _ = read(&list);
                let _ = read(&Vertices::open(&[file(bytes)], ReadLimits::default(), 1));
            }
        }

        #[test]
        fn edges_are_those_of_a_naive_reader(edges_given in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<f64>()), 0..9)) {
            let edges_given: Vec<_> = edges_given.into_iter().filter(|e| e.2.is_finite()).collect();
            let text: String = edges_given.iter().map(|(s, t, w)| format!("{s}\t{t}\t{w:e}\n")).collect();
            let (got, bad) = edges(&open(&text, Some(true)));
            prop_assert_eq!(bad, Vec::<String>::new());
            let bits = |e: &(u64, u64, f64)| (e.0, e.1, e.2.to_bits());
            prop_assert_eq!(got.iter().map(bits).collect::<Vec<_>>(), edges_given.iter().map(bits).collect::<Vec<_>>());
        }
    }
}
