//! Documents that are lines: `label word:count ...`, and `n word:count ...` of `lda-c`.

use super::super::fault::Fault;
use super::super::records::{
    Count, Counts, LineRecords, RecordReader, RecordSource, Words, describe, finite, whole,
};
use super::check_word;
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::{Document, WORD_END};
use std::sync::Arc;

/// Files of which every line is a document. Its number is that of its line among those that are documents, bad ones too,
/// from 0. Words that are there 0 times are left out.
pub struct RowDocuments {
    /// Whether lines begin with the number of their words; else with a label.
    counted: bool,
    /// What the first word is called.
    base: u32,
    pub(super) word_end: u64,
    pub(super) splits: Vec<Split>,
    limits: ReadLimits,
    counts: Arc<Counts>,
}

impl RowDocuments {
    /// Divides files into at least `min_splits` pieces unless they would be very small. `counted`: whether lines begin with the
    /// number of their words, which is checked, or with a label. `base`: what the first word is called.
    pub fn open(
        files: &[InputFile],
        counted: bool,
        base: u32,
        limits: ReadLimits,
        min_splits: usize,
    ) -> Self {
        let splits = splits(files, min_splits);
        RowDocuments { counted, base, word_end: u64::from(WORD_END), splits, limits, counts: Counts::new() }
    }
}

fn is_document(line: &[u8]) -> bool {
    !matches!(super::super::edges::first_byte(line), None | Some(b'#'))
}

fn count(line: &[u8]) -> Count {
    Count { records: u64::from(is_document(line)), words: 0 }
}

impl RecordSource for RowDocuments {
    type Record = Document;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe(if self.counted { "documents of lda-c" } else { "documents" }, &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = Document>>> {
        let before = self.counts.before(&self.splits, piece, self.limits, 0, count)?;
        Ok(Box::new(DocumentReader {
            lines: LineRecords::open(&self.splits[piece], self.limits, 0)?,
            counted: self.counted,
            base: self.base,
            word_end: self.word_end,
            next: before.records,
        }))
    }
}

struct DocumentReader {
    lines: LineRecords,
    counted: bool,
    base: u32,
    word_end: u64,
    next: u64,
}

impl RecordReader for DocumentReader {
    type Record = Document;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Document>> {
        let DocumentReader { lines, counted, base, word_end, next } = self;
        lines.next(on_bad, |line| {
            if !is_document(line) {
                return Ok(None);
            }
            let number = *next;
            *next += 1;
            let Ok(id) = u32::try_from(number) else {
                return Err(Fault::new(0, line, "there are more than 2^32 documents").hint(""));
            };
            document(line, id, *counted, *base, *word_end).map(Some)
        })
    }
}

const COUNTED: &str = "a document is `n word:count word:count ...`, with n words";
const LABELLED: &str = "a document is `label word:count word:count ...`";

fn document(line: &[u8], id: u32, counted: bool, base: u32, word_end: u64) -> Result<Document, Fault> {
    let form = if counted { COUNTED } else { LABELLED };
    // What comes after `#` is a comment, as in all LIBSVM text.
    let line = match counted {
        true => line,
        false => &line[..memchr::memchr(b'#', line).unwrap_or(line.len())],
    };
    let mut words = Words::of(line);
    let (at, first) = words.need("the first number", form)?;
    let said = match counted {
        true => Some(whole(at, first, "the number of words")?),
        false => finite(at, first, "the label").map(|_| None)?,
    };
    let mut document = Document { id, words: vec![], counts: vec![] };
    let mut found = 0;
    for (at, pair) in words {
        let Some(colon) = memchr::memchr(b':', pair) else {
            return Err(Fault::new(at, pair, "a word has no colon").hint(form));
        };
        let word = whole(at, &pair[..colon], "the word")?;
        let from_zero = match word.checked_sub(u64::from(base)) {
            None => {
                return Err(Fault::new(at, pair, "word 0: words start at 1")
                    .hint("if the file counts from 0, read it with index base zero"));
            }
            Some(word) if word >= u64::from(WORD_END) => {
                return Err(Fault::new(at, pair, format!("the word is not below {WORD_END}"))
                    .hint("number words from 0 or 1"));
            }
            Some(word) => word as u32,
        };
        check_word(pair, from_zero, word_end)?;
        let text = &pair[colon + 1..];
        let count = finite(at + colon + 1, text, "the count")?;
        if !(count.fract() == 0.0 && (0.0..f64::from(1u32 << 31)).contains(&count)) {
            return Err(Fault::new(at + colon + 1, text, "the count is not a whole number from 0 to 2^31")
                .hint("counts say how often a word occurs"));
        }
        found += 1;
        if count > 0.0 {
            document.words.push(from_zero);
            document.counts.push(count as u32);
        }
    }
    match said {
        Some(said) if said != found => {
            let message = format!("the document should have {said} words, and it has {found}");
            Err(Fault::new(0, line, message).hint(COUNTED))
        }
        _ => Ok(document),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{cut, file, read};
    use super::*;
    use proptest::prelude::*;

    fn open(text: &str, counted: bool, base: u32) -> RowDocuments {
        RowDocuments::open(&[file(text)], counted, base, ReadLimits::default(), 1)
    }

    #[test]
    fn documents_are_lines() {
        let (documents, bad) = read(&open("2 0:1 7:3\n\n0\n1 5:2\r\n", true, 0)).unwrap();
        let want = [Document::new(0, [(0, 1), (7, 3)]), Document::new(1, []), Document::new(2, [(5, 2)])];
        assert_eq!((documents, bad), (want.to_vec(), vec![]));
        let (documents, _) = read(&open("-1 1:1 3:2.0 4:0 # c\n", false, 1)).unwrap();
        assert_eq!(documents, [Document::new(0, [(0, 1), (2, 2)])]);
        for (line, part) in [
            ("2 0:1", "t:1:1: the document should have 2 words, and it has 1"),
            ("x 0:1", "t:1:1: the number of words is not a whole number"),
            ("1 0", "t:1:3: a word has no colon"),
            ("1 0:1.5", "t:1:5: the count is not a whole number"),
            ("1 0:-1", "t:1:5: the count is not a whole number"),
            ("1 x:1", "t:1:3: the word is not a whole number"),
            ("1 2147483648:1", "t:1:3: the word is not below 2147483648"),
        ] {
            let (documents, bad) = read(&open(&format!("{line}\n0\n"), true, 0)).unwrap();
            assert_eq!(documents, [Document::new(1, [])], "a bad line has its number");
            assert!(bad[0].starts_with(part), "{line}: {bad:?}");
        }
        assert!(read(&open("1 0:1", false, 1)).unwrap().1[0].starts_with("t:1:3: word 0: words start at 1"));
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(lines in proptest::collection::vec("([0-3]( [0-9]:[0-9]){0,3}|x|)", 0..12), cuts: [prop::sample::Index; 3]) {
            let text = lines.join("\n");
            let mut pieces = open(&text, true, 0);
            pieces.splits = cut(&file(text.as_str()), &cuts);
            prop_assert_eq!(read(&pieces).unwrap(), read(&open(&text, true, 0)).unwrap());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&RowDocuments::open(&[file(bytes)], true, 0, ReadLimits::default(), 1));
        }
    }
}
