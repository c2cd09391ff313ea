//! The fast readers' parts: numbers and what is between them, read from the buffer without looking for the end of the line first.
//!
//! They take what is common and right, and leave everything else (`None`) to the careful reader of the line, which reads it again. So
//! they may be narrow, but must never take what that would not, nor read another value. Each is given the bytes from some place on
//! to the end of the buffer, which has [`PADDING`](crate::lines::PADDING) after its last line feed.

use super::number;

/// Where a fast reader is in a buffer.
pub(crate) struct Quick<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Digits that fit 64 bits whatever they are.
const DIGITS_MAX: usize = 19;

impl<'a> Quick<'a> {
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Self {
        Quick { bytes, at: 0 }
    }
    /// A whole number.
    #[inline(always)]
    pub fn whole(&mut self) -> Option<u64> {
        let rest = self.bytes.get(self.at..)?;
        let (mut value, mut count) = (0u64, 0);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        (1..=DIGITS_MAX).contains(&count).then_some(value)
    }
    /// A finite decimal number, which a blank or the end of the line follows.
    #[inline(always)]
    pub fn decimal(&mut self) -> Option<f64> {
        let rest = self.bytes.get(self.at..)?;
        let short = rest.first_chunk().and_then(number::short_number);
        let (value, count) = match short {
            Some(found) => found,
            None => number::number(rest)?,
        };
        self.at += count;
        Some(value)
    }
    /// One byte of some.
    #[inline(always)]
    pub fn one_of(&mut self, bytes: &[u8]) -> Option<()> {
        let found = bytes.contains(self.bytes.get(self.at)?);
        self.at += 1;
        found.then_some(())
    }
    /// The end of the line, or a field of digits and then the end: how long the line was.
    #[inline(always)]
    pub fn rest_of_fields(mut self) -> Option<usize> {
        if matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b',')) {
            self.at += 1;
            self.whole()?;
        }
        self.end()
    }
    /// The end of the line, and how long it was with it.
    #[inline(always)]
    pub fn end(self) -> Option<usize> {
        match self.bytes.get(self.at..)? {
            [b'\n', ..] => Some(self.at + 1),
            [b'\r', b'\n', ..] => Some(self.at + 2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bag_of_words::{BagFormat, BagOfWords, BagOptions};
    use super::super::graph::{Graph, GraphFormat, GraphOptions};
    use super::super::matrix_market::MatrixMarket;
    use super::super::ratings::RatingsReader;
    use super::super::ratings_table::Ratings;
    use super::super::records::{RecordReader, RecordSource};
    use super::super::testing::{drain, file, read};
    use crate::lines::ReadLimits;
    use crate::split::Split;
    use proptest::prelude::*;
    use slackwater_dataflow::Result;
    use slackwater_dataflow::block::Rating;
    use std::fmt::Debug;

    /// Records with the bits of their numbers, and how many lines were bad.
    fn show<S: RecordSource>(source: S) -> (String, usize)
    where
        S::Record: Debug,
    {
        let (records, bad) = read(&source).unwrap_or_else(|e| (vec![], vec![e.to_string()]));
        (format!("{records:?}"), bad.len())
    }

    fn graph(text: &str, format: GraphFormat, weighted: Option<bool>) -> (String, usize) {
        let options = GraphOptions { format: Some(format), weighted, limits: ReadLimits::default() };
        show(Graph::open(&[file(text)], &options, 1).unwrap())
    }

    fn bag(text: &str, format: BagFormat) -> (String, usize) {
        let options = BagOptions { format: Some(format), ..BagOptions::default() };
        show(BagOfWords::open(&[file(text)], None, &options, 1).unwrap())
    }

    struct Typed(RatingsReader);

    impl RecordReader for Typed {
        type Record = Rating;
        fn next_record(&mut self, on_bad: &mut crate::OnBadRecord<'_>) -> Result<Option<Rating>> {
            self.0.next_rating(on_bad)
        }
    }

    /// All formats that have a fast reader, of the same lines.
    fn all(lines: &[String], end: &str) -> Vec<(String, usize)> {
        let text = |head: &str, prefix: &str| {
            let lines: String = lines.iter().map(|line| format!("{prefix}{line}{end}\n")).collect();
            head.to_string() + &lines
        };
        let n = lines.len();
        let matrix = |kind: &str| {
            let head = format!("%%MatrixMarket matrix coordinate {kind}\n7 7 {n}\n");
            show(MatrixMarket::open(&file(text(&head, "")), ReadLimits::default(), 1).unwrap())
        };
        vec![
            graph(&text("", ""), GraphFormat::EdgeList, Some(false)),
            graph(&text("", ""), GraphFormat::EdgeList, Some(true)),
            graph(&text("a 0 0 0\n", "a "), GraphFormat::Dimacs, None),
            graph(&text(&format!("p sp 8 {n}\n"), "a "), GraphFormat::Dimacs, None),
            matrix("real general"),
            matrix("integer general"),
            matrix("real skew-symmetric"),
            matrix("pattern general"),
            matrix("integer general\n%%GraphBLAS type int8_t"),
            bag(&text("", ""), BagFormat::Triples),
            bag(&text(&format!("9\n7\n{n}\n"), ""), BagFormat::Uci),
            {
                let split = Split::whole(file(text("1 2 3\n", "")));
                let (ratings, bad) =
                    drain(Typed(RatingsReader::open(&split, ReadLimits::default()).unwrap())).unwrap();
                (format!("{ratings:?}"), bad.len())
            },
            show(Ratings::open(&[file(text("1 2 3\n", ""))], ReadLimits::default(), 1).unwrap()),
            show(Ratings::open(&[file(text("1 2 3 4\n", ""))], ReadLimits::default(), 1).unwrap()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// A blank before the end of a line means nothing, and is nothing that the fast readers take.
        #[test]
        fn fast_readers_read_what_careful_ones_do(lines in proptest::collection::vec(
            "(([0-9]|[0-9]{2}|[0-9]{18,21})[ \t,]{1,2}){1,2}(([0-9]|[+-]?[0-9]{1,3}\\.?[0-9]{0,12}(e-?[0-9]{1,3})?|nan|-inf|\\.5)([ ,](-?[0-9]{1,9}|[0-9]{18,21}|x))?)?\r?|#|%|",
            0..6,
        )) {
            let careful: Vec<String> = lines.iter().map(|l| l.trim_end_matches('\r').to_string()).collect();
            prop_assert_eq!(all(&lines, ""), all(&careful, " "));
        }
    }
}
