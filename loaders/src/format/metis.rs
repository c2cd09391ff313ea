//! METIS graphs: the neighbours of vertex `i` on line `i`.
//!
//! # Grammar
//!
//! ```text
//! file   = { comment } head { comment | vertex } { blank line }
//! comment = "%" anything
//! head   = n m [fmt [ncon]]          vertices, edges, what is there, weights of each vertex
//! fmt    = up to three digits 0 or 1: vertices have sizes, vertices have weights, edges have weights
//! vertex = [size] { weight } { neighbour [edge weight] }       a line, which may be blank; n of them
//! ```
//!
//! Vertices are numbered from 1 in the file and **from 0 in what is read**. Each undirected edge is in the file twice, and is read
//! twice, once from each end. Sizes and weights of vertices are checked and not kept; vertices without edges leave no trace but in
//! [`Metis::vertices`].
//!
//! # Guarantees
//!
//! The numbers of vertices and of edges are checked against the head by whoever reads the last piece, at its end, so that a file cut
//! short is an error. An edge from a vertex to itself is a bad record, as it is for METIS. That each edge is there from both
//! ends is not checked.
//!
//! # Cost
//!
//! One pass; of a file of several pieces, a pass more to count lines, once a process. The edges of a line in memory.
//!
//! # References
//!
//! Karypis 2013, METIS 5.1.0 manual, section 4.1.1, "Graph file".

use super::edges::first_byte;
use super::fault::Fault;
use super::records::{
    Count, Counts, LineRecords, Pending, RecordReader, RecordSource, Words, describe, finite, read_head,
    whole,
};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{BadRecord, Result};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    vertices: u64,
    edges: u64,
    /// Numbers before the neighbours of a vertex.
    vertex_words: u64,
    weighted: bool,
}

/// A METIS graph. See the [module](self).
pub struct Metis {
    head: Head,
    head_bytes: u64,
    splits: Vec<Split>,
    limits: ReadLimits,
    counts: Arc<Counts>,
}

const HEAD: &str = "the first line is `vertices edges [fmt [ncon]]`, with fmt of up to three digits 0 or 1";
/// More numbers than this before the neighbours are taken for a mistake.
const VERTEX_WEIGHTS_MAX: u64 = 1 << 16;

impl Metis {
    /// Reads the head of a file, and divides it into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense.
    pub fn open(file: &InputFile, limits: ReadLimits, min_splits: usize) -> Result<Self> {
        let mut found = None;
        let head_bytes = read_head(file, limits, |line| {
            if found.is_some() {
                return Ok(false);
            }
            if !is_comment(line) {
                found = Some(head(line)?);
            }
            Ok(true)
        })?;
        let head =
            found.ok_or_else(|| BadRecord::at(file.name(), 0, 0, "the file has no head").hint(HEAD))?;
        let splits = splits(std::slice::from_ref(file), min_splits);
        Ok(Metis { head, head_bytes, splits, limits, counts: Counts::new() })
    }
    /// How many vertices the head says there are.
    pub fn vertices(&self) -> u64 {
        self.head.vertices
    }
    /// How many undirected edges the head says there are.
    pub fn edges(&self) -> u64 {
        self.head.edges
    }
    /// True if edges have weights.
    pub fn is_weighted(&self) -> bool {
        self.head.weighted
    }
}

fn is_comment(line: &[u8]) -> bool {
    first_byte(line) == Some(b'%')
}

fn count(line: &[u8]) -> Count {
    match is_comment(line) {
        true => Count::default(),
        false => Count { records: 1, words: Words::of(line).count() as u64 },
    }
}

fn head(line: &[u8]) -> Result<Head, Fault> {
    let mut words = Words::of(line);
    let mut number = |what| words.need(what, HEAD).and_then(|(at, word)| whole(at, word, what));
    let vertices = number("the number of vertices")?;
    let edges = number("the number of edges")?;
    let (at, format) = words.next().unwrap_or((0, b"0"));
    if format.len() > 3 || !format.iter().all(|b| matches!(b, b'0' | b'1')) {
        return Err(Fault::new(at, format, "the format is not up to three digits 0 or 1").hint(HEAD));
    }
    let digit = |from_end: usize| format.iter().rev().nth(from_end) == Some(&b'1');
    let weights = match words.next() {
        Some((at, word)) => match whole(at, word, "the number of weights of a vertex")? {
            n if n <= VERTEX_WEIGHTS_MAX => n,
            n => {
                return Err(Fault::new(at, word, format!("a vertex cannot have {n} weights")).hint(HEAD));
            }
        },
        None => 1,
    };
    words.end(HEAD)?;
    let vertex_words = u64::from(digit(2)) + if digit(1) { weights } else { 0 };
    Ok(Head { vertices, edges, vertex_words, weighted: digit(0) })
}

impl RecordSource for Metis {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("METIS graph", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        let before = self.counts.before(&self.splits, piece, self.limits, self.head_bytes, count)?;
        Ok(Box::new(MetisReader {
            lines: LineRecords::open(&self.splits[piece], self.limits, self.head_bytes)?,
            head: self.head,
            is_last: piece + 1 == self.splits.len(),
            so_far: before,
            pending: Pending::new(),
        }))
    }
}

struct MetisReader {
    lines: LineRecords,
    head: Head,
    is_last: bool,
    /// Vertices of the file so far, and the words of their lines.
    so_far: Count,
    pending: Pending<Edge>,
}

impl RecordReader for MetisReader {
    type Record = Edge;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Edge>> {
        loop {
            if let Some(edge) = self.pending.take() {
                return Ok(Some(edge));
            }
            let MetisReader { lines, head, so_far, pending, .. } = self;
            let line = lines.next(on_bad, |line| {
                if is_comment(line) {
                    return Ok(None);
                }
                let vertex = so_far.records;
                so_far.records += 1;
                pending.fill(|edges| neighbours(line, vertex, head, &mut so_far.words, edges))?;
                Ok(Some(()))
            })?;
            if line.is_none() {
                self.check_end()?;
                return Ok(None);
            }
        }
    }
}

impl MetisReader {
    /// The head says how many vertices and edges there are.
    fn check_end(&mut self) -> Result<()> {
        if !self.is_last {
            return Ok(());
        }
        let Head { vertices, edges, vertex_words, weighted } = self.head;
        let name = self.lines.split().file().name();
        let error = |message: String| {
            let hint = "the head is wrong, or the file was not copied or downloaded to its end";
            Err(BadRecord::at(name, 0, 0, message).hint(hint).into())
        };
        if self.so_far.records < vertices {
            let found = self.so_far.records;
            return error(format!("the head says that there are {vertices} vertices, and there are {found}"));
        }
        let want = u128::from(vertices) * u128::from(vertex_words)
            + u128::from(edges) * 2 * (1 + u128::from(weighted));
        if u128::from(self.so_far.words) != want {
            let found = self.so_far.words;
            return error(format!(
                "the head says that there are {edges} edges, so {want} numbers, and there are {found}"
            ));
        }
        Ok(())
    }
}

const VERTEX: &str =
    "a line is `[size] [weights] neighbour [edge weight] ...`, as the format of the first line says";

fn neighbours(
    line: &[u8],
    vertex: u64,
    head: &Head,
    count: &mut u64,
    edges: &mut Vec<Edge>,
) -> Result<(), Fault> {
    let result = neighbours_of(line, vertex, head, edges);
    *count += match &result {
        Ok(()) if vertex < head.vertices => {
            head.vertex_words + edges.len() as u64 * (1 + u64::from(head.weighted))
        }
        _ => Words::of(line).count() as u64,
    };
    result
}

fn neighbours_of(line: &[u8], vertex: u64, head: &Head, edges: &mut Vec<Edge>) -> Result<(), Fault> {
    let mut words = Words::of(line);
    if vertex >= head.vertices {
        return match words.next() {
            None => Ok(()),
            Some((at, word)) => {
                let message = format!("a line after those of {} vertices", head.vertices);
                Err(Fault::new(at, word, message).hint("the first line says how many vertices there are"))
            }
        };
    }
    for _ in 0..head.vertex_words {
        let (at, word) = words.need("a size or weight of the vertex", VERTEX)?;
        finite(at, word, "the weight of the vertex")?;
    }
    while let Some((at, word)) = words.next() {
        let number = whole(at, word, "the neighbour")?;
        if number == 0 || number > head.vertices {
            let message = format!("the neighbour {number} is not one of 1 to {}", head.vertices);
            return Err(Fault::new(at, word, message).hint("vertices are numbered from 1"));
        }
        if number - 1 == vertex {
            return Err(Fault::new(at, word, "the vertex is its own neighbour")
                .hint("METIS graphs have no such edges: leave it out"));
        }
        let weight = match head.weighted {
            false => 1.0,
            true => {
                let (at, word) = words.need("the weight of the edge", VERTEX)?;
                finite(at, word, "the weight of the edge")?
            }
        };
        edges.push(Edge { source: vertex, target: number - 1, weight });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cut, edges, file, read};
    use super::*;
    use proptest::prelude::*;

    fn open(text: &str) -> Result<Metis> {
        Metis::open(&file(text), ReadLimits::default(), 1)
    }

    #[test]
    fn graphs_with_and_without_weights() {
        let path = |w: f64| vec![(0, 1, w), (1, 0, w), (1, 2, 2.0 * w - 1.0), (2, 1, 2.0 * w - 1.0)];
        for (text, want) in [
            ("3 2\n2\n1 3\n2\n", path(1.0)),
            ("% c\n3 2 1\n2 5\n% c\n1 5 3 9\n2 9", path(5.0)),
            ("3 2 011\n7 2 5\n7 1 5 3 9\n7 2 9\n\n\n", path(5.0)),
            ("3 2 110 2\n7 1 1 2\n7 2 2 1 3\r\n7 3 3 2\n", path(1.0)),
            ("2 0\n\n\n", vec![]),
        ] {
            assert_eq!(edges(&open(text).unwrap()), Ok((want, vec![])), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("", "t: the file has no head"),
            ("3\n", "t:1:2: the number of edges is missing"),
            ("3 2 2\n", "t:1:5: the format is not up to three digits"),
            ("3 2 1 99999999\n", "t:1:7: a vertex cannot have 99999999 weights"),
            ("3 2 1 1 1\n", "t:1:9: the line has something after its end"),
        ] {
            let e = open(text).map(|_| ()).expect_err(text).to_string();
            assert!(e.starts_with(part), "{text}: {e}");
        }
        for (text, part) in [
            ("3 2\n2\n1 3\n", "t: the head says that there are 3 vertices, and there are 2"),
            ("3 2\n2\n1\n\n", "t: the head says that there are 2 edges, so 4 numbers, and there are 2"),
            ("9999999999999999999 2\n2\n1\n", "t: the head says that there are 9999999999999999999 vertices"),
        ] {
            let e = edges(&open(text).unwrap()).expect_err(text);
            assert!(e.starts_with(part), "{text}: {e}");
        }
        for (text, part) in [
            ("2 1\n2\n3\n", "t:3:1: the neighbour 3 is not one of 1 to 2"),
            ("2 1\n0\n1\n", "t:2:1: the neighbour 0 is not one of 1 to 2"),
            ("2 1\n1\n1\n", "t:2:1: the vertex is its own neighbour"),
            ("2 1\n2\nx\n", "t:3:1: the neighbour is not a whole number"),
            ("1 1\n\n1 1\n", "t:3:1: a line after those of 1 vertices"),
            ("2 1 1\n2 1 7\n1\n", "t:2:5: the neighbour 7 is not"),
            ("1 1 1\n9 1\n7 7", "t:2:1: the neighbour 9 is not"),
        ] {
            let mut reader = open(text).unwrap().open(0).unwrap();
            let mut bad = String::new();
            let mut note = |record: BadRecord| {
                bad = if bad.is_empty() { record.to_string() } else { std::mem::take(&mut bad) };
                Ok(())
            };
            while let Ok(Some(_)) = reader.next_record(&mut note) {}
            assert!(bad.starts_with(part), "{text}: {bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_are_the_whole(
            lines in proptest::collection::vec("([1-5]( [1-5]){0,3}|%c|x)?", 0..9),
            head in "[4-6] [1-7]( 0| 1)?\n",
            cuts: [prop::sample::Index; 4],
        ) {
            let text = head + &lines.join("\n");
            let mut pieces = open(&text).unwrap();
            pieces.splits = cut(&file(text.as_str()), &cuts);
            prop_assert_eq!(edges(&pieces), edges(&open(&text).unwrap()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, head in "[0-9]{0,22} [0-9]{0,22}( [01]{0,3}( [0-9])?)?\n") {
            if let Ok(source) = Metis::open(&file([head.into_bytes(), bytes].concat()), ReadLimits::default(), 1) {
                let _ = read(&source);
            }
        }
    }
}
