//! DIMACS graphs: arcs with a length, as of road networks (`.gr`).
//!
//! # Grammar
//!
//! ```text
//! file    = { comment | blank line } [problem] { arc | edge | comment | blank line }
//! comment = "c" [blanks anything]
//! problem = "p" kind n m                   kind: "sp", "max", "edge", "col", ...
//! arc     = "a" source target weight
//! edge    = "e" source target
//! ```
//!
//! With a line `p`, vertices are numbered from 1 to `n` in the file and **from 0 in what is read**. Without one, as some programs write
//! it, they keep their numbers, which may begin with 0. An edge is read as it is, not once more the other way. The first arc or
//! edge decides whether there are weights, and all must be like it.
//!
//! # Guarantees
//!
//! The number of arcs is checked against the line `p` by whoever reads the last piece, at its end, so that a file cut short is an
//! error; and vertices against `n`.
//!
//! # Cost
//!
//! One pass; of a file of several pieces with a line `p`, a pass more to count lines, once a process.
//!
//! # References
//!
//! 9th DIMACS Implementation Challenge 2005, Shortest Paths, "File formats"; 2nd Challenge 1993 (`p edge`).

use super::fault::Fault;
use super::quick::Quick;
use super::records::{
    Count, Counts, LineRecords, RecordReader, RecordSource, Words, describe, finite, read_head, whole,
};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{BadRecord, Result};
use std::sync::Arc;

/// A DIMACS graph. See the [module](self).
pub struct Dimacs {
    problem: Option<Problem>,
    /// Whether lines are arcs; else they are edges.
    arcs: bool,
    head_bytes: u64,
    splits: Vec<Split>,
    limits: ReadLimits,
    counts: Arc<Counts>,
}

/// What the line `p` says.
#[derive(Debug, Clone, Copy)]
struct Problem {
    vertices: u64,
    arcs: u64,
}

const PROBLEM: &str = "the problem is written `p sp vertices arcs`, once, before the arcs";
const ARC: &str =
    "an arc is written `a source target weight`, an edge `e source target`, and a file has one of these";

impl Dimacs {
    /// Reads the head of a file, and divides it into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense.
    pub fn open(file: &InputFile, limits: ReadLimits, min_splits: usize) -> Result<Self> {
        let (mut problem, mut arcs) = (None, true);
        let head_bytes = read_head(file, limits, |line| {
            let mut words = Words::of(line);
            match words.next() {
                None | Some((_, b"c")) => Ok(true),
                Some((at, b"p")) if problem.is_some() => {
                    Err(Fault::new(at, line, "there are two problems").hint(PROBLEM))
                }
                Some((_, b"p")) => {
                    words.need("the kind of the problem", PROBLEM)?;
                    let mut number =
                        |what| words.need(what, PROBLEM).and_then(|(at, word)| whole(at, word, what));
                    let (vertices, arcs) = (number("the number of vertices")?, number("the number of arcs")?);
                    words.end(PROBLEM)?;
                    problem = Some(Problem { vertices, arcs });
                    Ok(true)
                }
                Some((_, word)) => {
                    arcs = word != b"e";
                    Ok(false)
                }
            }
        })?;
        let splits = splits(std::slice::from_ref(file), min_splits);
        Ok(Dimacs { problem, arcs, head_bytes, splits, limits, counts: Counts::new() })
    }
    /// How many vertices the file says there are.
    pub fn vertices(&self) -> Option<u64> {
        self.problem.map(|p| p.vertices)
    }
    /// True if there are weights.
    pub fn is_weighted(&self) -> bool {
        self.arcs
    }
}

fn is_arc(line: &[u8]) -> bool {
    Words::of(line).next().is_some_and(|(_, word)| word != b"c")
}

fn count(line: &[u8]) -> Count {
    Count { records: u64::from(is_arc(line)), words: 0 }
}

impl RecordSource for Dimacs {
    type Record = Edge;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("DIMACS graph", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Edge>>> {
        let checks = self.problem.is_some() && piece + 1 == self.splits.len();
        let before = match checks {
            true => self.counts.before(&self.splits, piece, self.limits, self.head_bytes, count)?.records,
            false => 0,
        };
        Ok(Box::new(DimacsReader {
            lines: LineRecords::open(&self.splits[piece], self.limits, self.head_bytes)?,
            problem: self.problem,
            arcs: self.arcs,
            checks,
            so_far: before,
        }))
    }
}

struct DimacsReader {
    lines: LineRecords,
    problem: Option<Problem>,
    arcs: bool,
    /// Compares the number of arcs at the end.
    checks: bool,
    so_far: u64,
}

impl RecordReader for DimacsReader {
    type Record = Edge;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Edge>> {
        let DimacsReader { lines, problem, arcs, so_far, .. } = self;
        let quick = |bytes: &[u8]| quick_arc(bytes, problem.as_ref(), *arcs);
        let mut quick_arcs = 0;
        let edge = lines.next_quick(
            on_bad,
            |bytes| quick(bytes).inspect(|_| quick_arcs += 1),
            |line| {
                if !is_arc(line) {
                    return Ok(None);
                }
                *so_far += 1;
                arc(line, *problem, *arcs).map(Some)
            },
        )?;
        *so_far += quick_arcs;
        match (&edge, self.problem.filter(|_| self.checks)) {
            (None, Some(problem)) if problem.arcs != self.so_far => {
                let (said, found) = (problem.arcs, self.so_far);
                let message = format!("the problem says that {said} arcs follow, and there are {found}");
                let hint = "the line `p` is wrong, or the file was not copied or downloaded to its end";
                Err(BadRecord::at(self.lines.split().file().name(), 0, 0, message).hint(hint).into())
            }
            _ => Ok(edge),
        }
    }
}

#[inline(always)]
fn quick_arc(bytes: &[u8], problem: Option<&Problem>, arcs: bool) -> Option<(Edge, usize)> {
    let mut line = Quick::of(bytes.strip_prefix(b"a ").filter(|_| arcs)?);
    let source = line.whole()?;
    line.one_of(b" ")?;
    let target = line.whole()?;
    line.one_of(b" ")?;
    let weight = line.decimal()?;
    let length = line.end()? + 2;
    let base = match problem {
        None => 0,
        Some(p) if source.min(target) >= 1 && source.max(target) <= p.vertices => 1,
        Some(_) => return None,
    };
    Some((Edge { source: source - base, target: target - base, weight }, length))
}

fn arc(line: &[u8], problem: Option<Problem>, arcs: bool) -> Result<Edge, Fault> {
    let mut words = Words::of(line);
    let (at, kind) = words.need("the kind of the line", ARC)?;
    if kind != (if arcs { b"a" } else { b"e" }) {
        let hint = if kind == b"p" { PROBLEM } else { ARC };
        return Err(Fault::new(at, kind, "the line is not like the first arc").hint(hint));
    }
    let mut vertex = |what| {
        let (at, word) = words.need(what, ARC)?;
        let number = whole(at, word, what)?;
        match problem {
            None => Ok(number),
            Some(problem) if (1..=problem.vertices).contains(&number) => Ok(number - 1),
            Some(problem) => {
                Err(Fault::new(at, word, format!("{what} {number} is not one of 1 to {}", problem.vertices))
                    .hint("the line `p` says how many vertices there are; they are numbered from 1"))
            }
        }
    };
    let (source, target) = (vertex("the source")?, vertex("the target")?);
    let weight = match arcs {
        false => 1.0,
        true => {
            let (at, word) = words.need("the weight", ARC)?;
            finite(at, word, "the weight")?
        }
    };
    words.end(ARC)?;
    Ok(Edge { source, target, weight })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cut, edges, file, read};
    use super::*;
    use proptest::prelude::*;

    fn open(text: &str) -> Result<Dimacs> {
        Dimacs::open(&file(text), ReadLimits::default(), 1)
    }

    #[test]
    fn graphs_with_and_without_a_problem() {
        for (text, want) in [
            ("c road\nc\n\np sp 3 2\nc x\na 1 2 17\na 2 3 0.5\r\n", vec![(0, 1, 17.0), (1, 2, 0.5)]),
            ("a 0 24021 172\na 1 539 146", vec![(0, 24021, 172.0), (1, 539, 146.0)]),
            ("p edge 2 1\ne 1 2\n", vec![(0, 1, 1.0)]),
            ("p sp 5 0\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(edges(&open(text).unwrap()), Ok((want, vec![])), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("p sp 3\n", "t:1:7: the number of arcs is missing"),
            ("p sp 3 3\np sp 3 3\n", "t:2:1: there are two problems"),
            ("p sp x 3\n", "t:1:6: the number of vertices is not a whole number"),
        ] {
            let e = open(text).map(|_| ()).expect_err(text).to_string();
            assert!(e.starts_with(part), "{text}: {e}");
        }
        let e = edges(&open("p sp 3 2\na 1 2 3\n").unwrap()).unwrap_err();
        assert!(e.starts_with("t: the problem says that 2 arcs follow, and there are 1"), "{e}");
        for (line, part) in [
            ("a 4 1 1", "t:2:3: the source 4 is not one of 1 to 3"),
            ("a 1 0 1", "t:2:5: the target 0 is not one of 1 to 3"),
            ("a 1 2", "t:2:6: the weight is missing"),
            ("a 1 2 nan", "t:2:7: the weight is NaN"),
            ("a 1 2 3 4", "t:2:9: the line has something after its end"),
            ("x 1 2 3", "t:2:1: the line is not like the first arc"),
        ] {
            let (_, bad) = edges(&open(&format!("p sp 3 1\n{line}\n")).unwrap()).unwrap();
            assert!(bad[0].starts_with(part), "{line}: {bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn pieces_are_the_whole(
            lines in proptest::collection::vec("(a [0-9] [0-9] [0-9]{1,3}|c|x|)", 0..20),
            head in "(p sp [5-9] [0-9]\n)?",
            cuts: [prop::sample::Index; 4],
        ) {
            let text = head + &lines.join("\n");
            let mut pieces = open(&text).unwrap();
            pieces.splits = cut(&file(text.as_str()), &cuts);
            prop_assert_eq!(edges(&pieces), edges(&open(&text).unwrap()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, head in "(p sp [0-9]{0,22} [0-9]{0,22}\n)?a ?") {
            if let Ok(source) = Dimacs::open(&file([head.into_bytes(), bytes].concat()), ReadLimits::default(), 1) {
                let _ = read(&source);
            }
        }
    }
}
