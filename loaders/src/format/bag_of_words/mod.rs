//! Documents as bags of words: which word occurs how often.
//!
//! # Grammar
//!
//! Four kinds of files are read; which of the first three a file is can be seen from its first line.
//!
//! ```text
//! triples = { document sep word sep count }              documents and words from 0, as GraphLab's toolkits have it
//! uci     = documents words cells { document sep word sep count }   three numbers on lines of their own, then triples;
//!                                                        documents and words from 1, as `docword` files of UCI have it
//! rows    = { label { word ":" count } }                 a document a line: LIBSVM text
//! ldac    = { n { word ":" count } }                     a document a line, n being how many words it has; words from 0
//! ```
//!
//! `sep` is that of [ratings], and so is what may be around: a first line of names, blank lines, `\r`,
//! further columns. A count is a whole number from 1. Of rows, the label is not used; words are numbered from 1 unless said, as in
//! all LIBSVM text. The files of `lda-c` look like rows, so they must be asked for; their `n` is checked. Documents of rows and
//! of `ldac` are numbered as they come, from 0, over all files.
//!
//! **Table** ([`BagOfWords`]): `document`, `word`, `count`, all from 0; with a file of the vocabulary, a word a line, `word` is that word.
//!
//! # Guarantees
//!
//! A line that cannot be used is reported once, as `file:line:column` with its bytes and a hint (a row that is read as LIBSVM text,
//! with its number in the partition). A pair that occurs twice is added up in documents, and is twice in tables. The sizes at the
//! head of a UCI file are checked: documents and words line by line, the number of cells at the end of the file, by whoever reads
//! that. No size allocates anything.
//!
//! # Cost
//!
//! One pass. A pass more, once a process, of files in several pieces: of rows and `ldac` as tables, to number documents; of UCI's, to
//! check the number of cells. A vocabulary is in memory.
//!
//! # References
//!
//! UCI Machine Learning Repository, Bag of Words data set; GraphLab topic modelling toolkit (`doc_word_count.tsv`); Blei, lda-c.

mod documents;
mod table;

pub use documents::RowDocuments;
pub use table::{BagOfWords, BagOptions, read_vocabulary};

use super::fault::Fault;
use super::quick::Quick;
use super::ratings::{self, Fields, id};
use super::records::{LineRecords, RecordReader, Words, read_head, whole};
use crate::OnBadRecord;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use memchr::memchr;
use slackwater_dataflow::block::{WORD_END, WordCount};
use slackwater_dataflow::{BadRecord, Error, Result};

/// What a file of documents looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BagFormat {
    /// `document word count` a line, numbered from 0.
    Triples,
    /// Three sizes, then triples numbered from 1.
    Uci,
    /// `label word:count ...` a line.
    Rows,
    /// `n word:count ...` a line, with n words.
    Ldac,
}

const LINE: &str =
    "a line is `document word count`, with spaces, tabs or a comma between; further columns are ignored";
const UCI_HEAD: &str = "the file begins with three lines: how many documents, words and cells there are";

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

/// What is before the cells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    bytes: u64,
    /// Documents, words and cells, of UCI's files.
    sizes: Option<[u64; 3]>,
}

impl Head {
    fn read(file: &InputFile, format: BagFormat, limits: ReadLimits) -> Result<Head> {
        let (mut sizes, mut named) = (vec![], false);
        let bytes = read_head(file, limits, |line| {
            if ratings::is_blank(line) {
                return Ok(true);
            }
            if format == BagFormat::Uci && sizes.len() < 3 {
                let mut words = Words::of(line);
                let (at, word) = words.need("a size", UCI_HEAD)?;
                sizes.push(whole(at, word, "the size").map_err(|fault| fault.hint(UCI_HEAD))?);
                words.end(UCI_HEAD)?;
                return Ok(true);
            }
            Ok(format == BagFormat::Triples && !named && {
                named = true;
                ratings::is_header(line)
            })
        })?;
        match (format, sizes[..].try_into()) {
            (BagFormat::Uci, Err(_)) => {
                Err(BadRecord::at(file.name(), 0, 0, "the file ends within its head").hint(UCI_HEAD).into())
            }
            (_, sizes) => Ok(Head { bytes, sizes: sizes.ok() }),
        }
    }
}

/// Reads the cells of one [`Split`] of a file of triples. See the [module](self).
pub struct WordCountReader {
    lines: LineRecords,
    sizes: Option<[u64; 3]>,
    /// Words are below this.
    word_end: u64,
    /// How many cells the file had before, where the number is to be checked at the end.
    cells: Option<u64>,
}

impl WordCountReader {
    /// Opens the split's file, which is one of triples or UCI's.
    ///
    /// # Errors
    /// I/O; usage, for another format; data, for a packed file that is damaged.
    pub fn open(split: &Split, format: BagFormat) -> Result<Self> {
        if !matches!(format, BagFormat::Triples | BagFormat::Uci) {
            return Err(Error::usage("documents that are lines are not read cell by cell"));
        }
        let head = Head::read(split.file(), format, ReadLimits::default())?;
        let is_whole = split.start() == 0 && split.end() == split.file().bytes();
        Self::after(head, split, ReadLimits::default(), u64::from(WORD_END), is_whole.then_some(0))
    }
    fn after(
        head: Head,
        split: &Split,
        limits: ReadLimits,
        word_end: u64,
        cells: Option<u64>,
    ) -> Result<Self> {
        let lines = LineRecords::open(split, limits, head.bytes)?;
        Ok(WordCountReader {
            lines,
            sizes: head.sizes,
            word_end,
            cells: cells.filter(|_| head.sizes.is_some()),
        })
    }
    /// The next cell; `None` at the end. Bad lines go to `on_bad` in the order of the file.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers; data, if a UCI file has not as many cells as it says.
    pub fn next_count(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<WordCount>> {
        let WordCountReader { lines, sizes, word_end, cells } = self;
        let base = u32::from(sizes.is_some());
        let mut quick_cells = 0;
        let quick = |bytes: &[u8]| quick_cell(bytes, *sizes, *word_end).inspect(|_| quick_cells += 1);
        let cell = lines.next_quick(on_bad, quick, |line| {
            if ratings::is_blank(line) {
                return Ok(None);
            }
            cells.iter_mut().for_each(|n| *n += 1);
            let mut fields = Fields::like(LINE, line);
            let document = number(&mut fields, "document", base, sizes.map(|s| s[0]))?;
            let word = number(&mut fields, "word", base, sizes.map(|s| s[1]))?;
            let count = id(&mut fields, "count")?;
            if count == 0 {
                let fault = Fault::new(0, line, "the count is 0");
                return Err(fault.hint("leave out words that a document does not have"));
            }
            check_word(line, word, *word_end)?;
            Ok(Some(WordCount { document, word, count }))
        })?;
        cells.iter_mut().for_each(|n| *n += quick_cells);
        match (cell, self.sizes, self.cells) {
            (None, Some([_, _, said]), Some(found)) if said != found => {
                let message = format!("the head says that {said} cells follow, and there are {found}");
                let hint = "the head is wrong, or the file was not copied or downloaded to its end";
                Err(BadRecord::at(self.lines.split().file().name(), 0, 0, message).hint(hint).into())
            }
            _ => Ok(cell),
        }
    }
}

impl RecordReader for WordCountReader {
    type Record = WordCount;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<WordCount>> {
        self.next_count(on_bad)
    }
}

/// A cell as nearly all are written.
#[inline(always)]
fn quick_cell(bytes: &[u8], sizes: Option<[u64; 3]>, word_end: u64) -> Option<(WordCount, usize)> {
    let mut line = Quick::of(bytes);
    let document = line.whole()?;
    line.one_of(b" \t,")?;
    let word = line.whole()?;
    line.one_of(b" \t,")?;
    let count = line.whole()?;
    let length = line.end()?;
    let end = u64::from(WORD_END);
    if document >= end || word >= end || count >= end || count == 0 {
        return None;
    }
    let (document, word) = match sizes {
        None => (document, word),
        Some([documents, words, _]) if (1..=documents).contains(&document) && (1..=words).contains(&word) => {
            (document - 1, word - 1)
        }
        Some(_) => return None,
    };
    (word < word_end)
        .then_some((WordCount { document: document as u32, word: word as u32, count: count as u32 }, length))
}

/// A number from `base`, as one from 0; `count` is how many there are.
fn number(fields: &mut Fields<'_>, what: &str, base: u32, count: Option<u64>) -> Result<u32, Fault> {
    let number = id(fields, what)?;
    let from_zero = number.checked_sub(base).ok_or_else(|| {
        Fault::new(0, b"0", format!("there is no {what} 0"))
            .hint("files that begin with three sizes number documents and words from 1")
    })?;
    match count {
        Some(count) if u64::from(from_zero) >= count => {
            let message = format!("there is no {what} {number}: the head says that there are {count}");
            Err(Fault::new(0, number.to_string().as_bytes(), message).hint(UCI_HEAD))
        }
        _ => Ok(from_zero),
    }
}

fn check_word(line: &[u8], word: u32, end: u64) -> Result<(), Fault> {
    if u64::from(word) < end {
        return Ok(());
    }
    Err(Fault::new(0, line, format!("word {word} (from 0) is not in the vocabulary, which has {end} words"))
        .hint("does the vocabulary belong to this file?"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (_, bad) = read("9\n9\n3\n0 1 1\n1 0 1\n1 10 1\n", BagFormat::Uci);
        assert!(bad[0].contains("t:4:1") && bad[0].contains("no document 0"), "{bad:?}");
        assert!(bad[1].contains("no word 0"), "{bad:?}");
        assert!(bad[2].contains("there is no word 10: the head says that there are 9"), "{bad:?}");
        for (text, part) in [
            ("1\n1\n", "t: the file ends within its head"),
            ("1\n1 2\n3\n", "t:2:3: the line has something after its end"),
            ("1\nx\n3\n", "t:2:1: the size is not a whole number"),
        ] {
            let e = WordCountReader::open(&Split::whole(file(text)), BagFormat::Uci).map(|_| ()).unwrap_err();
            assert!(e.to_string().starts_with(part), "{e}");
        }
        let mut short =
            WordCountReader::open(&Split::whole(file("9\n9\n9\n1 1 1\n")), BagFormat::Uci).unwrap();
        assert!(short.next_count(&mut |bad| Err(bad.into())).unwrap().is_some());
        let e = short.next_count(&mut |bad| Err(bad.into())).unwrap_err();
        assert!(e.to_string().starts_with("t: the head says that 9 cells follow, and there are 1"), "{e}");
    }
}
