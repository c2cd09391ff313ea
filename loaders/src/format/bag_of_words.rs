//! Documents as bags of words: which word occurs how often.
//!
//! # Grammar
//!
//! Three kinds of files are read; which one a file is can be seen from its first line.
//!
//! ```text
//! triples = { document sep word sep count }              documents and words from 0, as GraphLab's toolkits have it
//! uci     = documents words cells { document sep word sep count }   three numbers on lines of their own, then triples;
//!                                                        documents and words from 1, as `docword` files of UCI have it
//! rows    = { label { word ":" count } }                 a document a line: LIBSVM text
//! ```
//!
//! `sep` is that of [ratings](super::ratings), and so is what may be around: a first line of names, blank lines, `\r`,
//! further columns. A count is a whole number from 1. Of rows, the label is not used, so the files of `lda-c` are rows
//! too (their first number counts the words of the line); words are numbered from 1 unless said, as in all LIBSVM text.
//!
//! # Guarantees
//!
//! A line that cannot be used is reported once, as `file:line:column` with its bytes and a hint; a row, once it is known
//! to be LIBSVM text, with its number in the partition. A pair that occurs twice is added up.
//!
//! # References
//!
//! UCI Machine Learning Repository, Bag of Words data set; GraphLab topic modelling toolkit (`doc_word_count.tsv`).

use super::fault::Fault;
use super::ratings::{Fields, RatingsReader, id};
use crate::OnBadRecord;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use memchr::memchr;
use slackwater_dataflow::Result;
use slackwater_dataflow::block::WordCount;

/// What a file of documents looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BagFormat {
    /// `document word count` a line, numbered from 0.
    Triples,
    /// Three sizes, then triples numbered from 1.
    Uci,
    /// `label word:count ...` a line.
    Rows,
}

const LINE: &str =
    "a line is `document word count`, with spaces, tabs or a comma between; further columns are ignored";
/// Lines before the triples of UCI's files.
const UCI_HEAD_LINES: u64 = 3;

impl BagFormat {
    /// The format that the first line of a file is in.
    ///
    /// # Errors
    /// I/O; input, for a packed file that is none.
    pub fn detect(file: &InputFile) -> Result<BagFormat> {
        let mut chunks = LineChunks::open(&Split::whole(file.clone()), ReadLimits::default())?;
        while chunks.fill()? {
            let (bytes, _) = chunks.lines();
            let end = memchr(b'\n', bytes).expect("lines end with a line feed");
            let mut fields = Fields::of(bytes[..end].trim_ascii());
            let (first, second) = (fields.next().1, fields.next().1);
            match (first, second) {
                ([], _) => chunks.consume(end + 1),
                (_, second) if memchr(b':', second).is_some() => return Ok(BagFormat::Rows),
                (first, []) if first.iter().all(u8::is_ascii_digit) => return Ok(BagFormat::Uci),
                _ => return Ok(BagFormat::Triples),
            }
        }
        Ok(BagFormat::Triples)
    }
}

/// Reads the cells of one [`Split`] of a file of triples. See the [module](self).
pub struct WordCountReader {
    lines: RatingsReader,
    /// What the first document and word are called.
    base: u32,
}

impl WordCountReader {
    /// Opens the split's file, which is not one of rows.
    ///
    /// # Errors
    /// I/O; input, for a packed file that is none.
    pub fn open(split: &Split, format: BagFormat) -> Result<Self> {
        let (head, base) = if format == BagFormat::Uci { (UCI_HEAD_LINES, 1) } else { (0, 0) };
        Ok(WordCountReader { lines: RatingsReader::after(head, split, ReadLimits::default())?, base })
    }
    /// The next cell; `None` at the end. Bad lines go to `on_bad` in the order of the file.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers.
    pub fn next_count(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<WordCount>> {
        let base = self.base;
        self.lines.next(on_bad, |line| {
            let mut fields = Fields::like(LINE, line);
            let document = number(&mut fields, "document", base)?;
            let word = number(&mut fields, "word", base)?;
            let count = id(&mut fields, "count")?;
            if count == 0 {
                let fault = Fault::new(0, line, "the count is 0");
                return Err(fault.hint("leave out words that a document does not have"));
            }
            Ok(WordCount { document, word, count })
        })
    }
}

fn number(fields: &mut Fields<'_>, what: &str, base: u32) -> Result<u32, Fault> {
    let number = id(fields, what)?;
    number.checked_sub(base).ok_or_else(|| {
        Fault::new(0, b"0", format!("there is no {what} 0"))
            .hint("files that begin with three sizes number documents and words from 1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::Error;

    fn file(text: &str) -> InputFile {
        InputFile::from_bytes("t", text.as_bytes().to_vec())
    }
    fn read(text: &str, format: BagFormat) -> (Vec<(u32, u32, u32)>, Vec<String>) {
        let mut reader = WordCountReader::open(&Split::whole(file(text)), format).unwrap();
        let (mut cells, mut bad) = (vec![], vec![]);
        let mut note = |record: slackwater_dataflow::BadRecord| -> Result<(), Error> {
            bad.push(record.to_string());
            Ok(())
        };
        while let Some(c) = reader.next_count(&mut note).unwrap() {
            cells.push((c.document, c.word, c.count));
        }
        (cells, bad)
    }

    #[test]
    fn formats_are_told_apart() {
        for (text, format) in [
            ("0\t60\t2\n", BagFormat::Triples),
            ("doc,word,count\n0,1,2\n", BagFormat::Triples),
            ("\n3430\n6906\n353160\n1 61 2\n", BagFormat::Uci),
            ("1 1:4 2:2\n", BagFormat::Rows),
            ("159 0:1 2:1 6:1", BagFormat::Rows),
            ("", BagFormat::Triples),
        ] {
            assert_eq!(BagFormat::detect(&file(text)).unwrap(), format, "{text:?}");
        }
    }

    #[test]
    fn triples_are_read() {
        let all = ([(0, 60, 2), (0, 75, 1), (1, 0, 3)].to_vec(), vec![]);
        assert_eq!(read("0\t60\t2\n0 75 1\n\n1,0,3", BagFormat::Triples), all);
        assert_eq!(read("2\n90\n3\n1 61 2\n1 76 1\r\n2 1 3\n", BagFormat::Uci), all);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (cells, bad) = read("0 1 0\n0 1 1.5\n0 1\nx 1 1\n0 1 99999999999\n7 7 7\n", BagFormat::Triples);
        assert_eq!((cells, bad.len()), (vec![(7, 7, 7)], 5));
        for (bad, part) in bad.iter().zip(["t:1:1", "t:2:5", "t:3:", "t:4:1", "t:5:5"]) {
            assert!(bad.contains(part), "{part}: {bad}");
        }
        let (_, bad) = read("1\n1\n1\n0 1 1\n1 0 1\n", BagFormat::Uci);
        assert!(bad[0].contains("t:4:1") && bad[0].contains("no document 0"), "{bad:?}");
        assert!(bad[1].contains("no word 0"), "{bad:?}");
    }
}
