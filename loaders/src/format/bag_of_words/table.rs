//! Bags of words as a table of cells.

use super::super::records::{
    Count, Counts, Pending, RecordReader, RecordSource, RecordTable, describe, field, one_file,
};
use super::super::text::{TextReader, read_whole};
use super::{BagFormat, Head, RowDocuments, WordCountReader};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use arrow_array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray, UInt32Array};
use arrow_schema::DataType;
use slackwater_dataflow::block::{Document, WORD_END, WordCount};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// How to read bags of words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BagOptions {
    /// The format; `None`: that of the first file.
    pub format: Option<BagFormat>,
    /// Of rows: what the first word is called, 0 or 1. `None`: 1.
    pub index_base: Option<u32>,
    /// Limits on lines and packed files.
    pub limits: ReadLimits,
}

/// Cells of bags of words. See the [module](super).
pub struct BagOfWords {
    cells: Cells,
    vocabulary: Option<Arc<StringArray>>,
}

enum Cells {
    Triples { splits: Vec<(Split, Head)>, limits: ReadLimits, counts: Arc<Counts>, word_end: u64 },
    Rows(RowDocuments),
}

/// The words of a file with one a line: word 0 first.
///
/// # Errors
/// I/O; data, for a line that is not UTF-8; input, for more than 2^31 words or bytes.
pub fn read_vocabulary(file: &InputFile, limits: ReadLimits) -> Result<StringArray> {
    const BYTES_MAX: u64 = (1 << 31) - 1;
    if file.is_splittable() && file.bytes() > BYTES_MAX {
        // Says what is wrong with its size.
        read_whole(file, BYTES_MAX, limits)?;
    }
    let mut reader = TextReader::open(&Split::whole(file.clone()), limits)?;
    let (mut words, mut bytes) = (vec![], 0u64);
    while let Some(word) = reader.next_line(&mut |bad| Err(bad.into()))? {
        bytes += word.len() as u64;
        if bytes > BYTES_MAX || words.len() as u64 >= u64::from(WORD_END) {
            let message = format!("the vocabulary {} has more than 2^31 bytes or words", file.name());
            return Err(Error::input(message, "is this the vocabulary?"));
        }
        words.push(word);
    }
    Ok(StringArray::from(words))
}

impl BagOfWords {
    /// Looks at the start of each file, and divides all into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a head that makes no sense; input, for several files of UCI's.
    pub fn open(
        files: &[InputFile],
        vocabulary: Option<&InputFile>,
        options: &BagOptions,
        min_splits: usize,
    ) -> Result<Self> {
        let limits = options.limits;
        let format = match (options.format, files.iter().find(|f| f.bytes() > 0)) {
            (Some(format), _) => format,
            (None, Some(file)) => BagFormat::detect(file)?,
            (None, None) => BagFormat::Triples,
        };
        let vocabulary = vocabulary.map(|file| read_vocabulary(file, limits)).transpose()?.map(Arc::new);
        let word_end = vocabulary.as_ref().map_or(u64::from(WORD_END), |v| v.len() as u64);
        let cells = match format {
            BagFormat::Rows | BagFormat::Ldac => {
                let (counted, base) = match format {
                    BagFormat::Ldac => (true, 0),
                    _ => (false, options.index_base.unwrap_or(1)),
                };
                let mut documents = RowDocuments::open(files, counted, base, limits, min_splits);
                documents.word_end = word_end;
                Cells::Rows(documents)
            }
            BagFormat::Triples | BagFormat::Uci => {
                if format == BagFormat::Uci {
                    one_file(files, "UCI bag of words")?;
                }
                let mut pieces: Vec<(Split, Head)> = vec![];
                for split in splits(files, min_splits) {
                    let head = match pieces.last() {
                        Some((_, head)) if split.start() > 0 => *head,
                        _ => Head::read(split.file(), format, limits)?,
                    };
                    pieces.push((split, head));
                }
                Cells::Triples { splits: pieces, limits, counts: Counts::new(), word_end }
            }
        };
        Ok(BagOfWords { cells, vocabulary })
    }
    /// As a table: `document`, `word`, `count`; the word itself if there is a vocabulary.
    pub fn into_table(self) -> RecordTable<BagOfWords> {
        let word = match &self.vocabulary {
            None => DataType::UInt32,
            Some(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        };
        let columns =
            vec![field("document", DataType::UInt32), field("word", word), field("count", DataType::UInt32)];
        let vocabulary = self.vocabulary.clone();
        RecordTable::new(self, columns, move |cells: &[WordCount], column| -> ArrayRef {
            let numbers =
                |of: fn(&WordCount) -> u32| Arc::new(UInt32Array::from_iter_values(cells.iter().map(of)));
            match (column, &vocabulary) {
                (0, _) => numbers(|c| c.document),
                (1, None) => numbers(|c| c.word),
                (1, Some(words)) => {
                    let keys = Int32Array::from_iter_values(cells.iter().map(|c| c.word as i32));
                    Arc::new(DictionaryArray::new(keys, words.clone()))
                }
                _ => numbers(|c| c.count),
            }
        })
    }
}

fn count(line: &[u8]) -> Count {
    Count { records: u64::from(!super::ratings::is_blank(line)), words: 0 }
}

impl RecordSource for BagOfWords {
    type Record = WordCount;
    fn pieces(&self) -> usize {
        match &self.cells {
            Cells::Triples { splits, .. } => splits.len(),
            Cells::Rows(documents) => documents.pieces(),
        }
    }
    fn describe(&self) -> String {
        match &self.cells {
            Cells::Triples { splits, .. } => {
                describe("word counts", &splits.iter().map(|(split, _)| split.clone()).collect::<Vec<_>>())
            }
            Cells::Rows(documents) => documents.describe(),
        }
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = WordCount>>> {
        match &self.cells {
            Cells::Triples { splits, limits, counts, word_end } => {
                let (split, head) = &splits[piece];
                let mut before = None;
                if head.sizes.is_some() && piece + 1 == splits.len() {
                    let all: Vec<Split> = splits.iter().map(|(split, _)| split.clone()).collect();
                    before = Some(counts.before(&all, piece, *limits, head.bytes, count)?.records);
                }
                Ok(Box::new(WordCountReader::after(*head, split, *limits, *word_end, before)?))
            }
            Cells::Rows(documents) => Ok(Box::new(Flat {
                documents: RecordSource::open(documents, piece)?,
                pending: Pending::new(),
            })),
        }
    }
}

/// The cells of documents.
struct Flat {
    documents: Box<dyn RecordReader<Record = Document>>,
    pending: Pending<WordCount>,
}

impl RecordReader for Flat {
    type Record = WordCount;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<WordCount>> {
        loop {
            if let Some(cell) = self.pending.take() {
                return Ok(Some(cell));
            }
            let Some(d) = self.documents.next_record(on_bad)? else { return Ok(None) };
            self.pending.set(d.iter().map(|(word, count)| WordCount { document: d.id, word, count }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{cut, file, read, read_table};
    use super::*;
    use crate::table::{Scan, TableSource};
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;
    use proptest::prelude::*;

    fn open(text: &str, format: Option<BagFormat>) -> BagOfWords {
        BagOfWords::open(&[file(text)], None, &BagOptions { format, ..Default::default() }, 1).unwrap()
    }

    #[test]
    fn the_same_cells_in_every_format() {
        let want: Vec<_> = [(0, 1, 2), (0, 2, 1), (1, 0, 3)]
            .map(|(document, word, count)| WordCount { document, word, count })
            .to_vec();
        for (text, format) in [
            ("doc word n\n0 1 2\n0 2 1\n1 0 3\n", None),
            ("2\n3\n3\n1 2 2\n1 3 1\n2 1 3", None),
            ("0 2:2 3:1\n0 1:3\n", None),
            ("2 1:2 2:1\n1 0:3\n", Some(BagFormat::Ldac)),
        ] {
            assert_eq!(read(&open(text, format)).unwrap(), (want.clone(), vec![]), "{text}");
        }
    }

    #[test]
    fn words_of_the_vocabulary() {
        let words = InputFile::from_bytes("v", "a\nb\nc\n");
        let bag = BagOfWords::open(&[file("0 2 5\n0 3 1\n1 0 1\n")], Some(&words), &Default::default(), 1);
        let table = bag.unwrap().into_table();
        let (batches, bad) =
            read_table(&table, &Scan { columns: Some(vec![1, 2]), ..Scan::default() }).unwrap();
        assert!(
            bad.len() == 1
                && bad[0].starts_with("t:2:1: word 3 (from 0) is not in the vocabulary, which has 3 words"),
            "{bad:?}"
        );
        let column = batches[0].column(0).as_dictionary::<Int32Type>();
        let words: Vec<_> = column
            .keys()
            .values()
            .iter()
            .map(|k| column.values().as_string::<i32>().value(*k as usize))
            .collect();
        assert_eq!(words, ["c", "a"]);
        assert_eq!(table.schema().field(1).data_type(), column.data_type());
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(lines in proptest::collection::vec("([1-3] [1-4] [0-2]|x|)", 0..12), n in 0usize..12, cuts: [prop::sample::Index; 3]) {
            let text = format!("3\n4\n{n}\n{}", lines.join("\n"));
            let mut pieces = open(&text, Some(BagFormat::Uci));
            if let Cells::Triples { splits, .. } = &mut pieces.cells {
                let head = splits[0].1;
                *splits = cut(&file(text.as_str()), &cuts).into_iter().map(|s| (s, head)).collect();
            }
            let show = |bag: &BagOfWords| read(bag).map_err(|e| e.to_string());
            prop_assert_eq!(show(&pieces), show(&open(&text, Some(BagFormat::Uci))));
        }
    }
}
