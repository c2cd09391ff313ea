//! Documents of a clock, word by word.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::Document;

/// Tokens of a partition in a clock, about, unless documents are said: with 100 topics the counts of its documents fit a
/// second-level cache, and a word has some tokens for which its row is read.
const TOKENS_MAX: u64 = 1 << 16;
/// As many where nobody waits for them: with 100 topics a token took 137 ns, 156 with half as many and 147 with eight times as many.
const TOKENS_ALONE: u64 = 1 << 17;
/// Fewer would not be worth reading the rows of their words.
const TOKENS_MIN: u64 = 1 << 11;
/// Clocks of an epoch, at least, where partitions are large enough. All partitions sample at once against what was known a
/// clock before: with 4 clocks an epoch of eight partitions the log likelihood of a small corpus took about twice the epochs
/// that it took with 21.
const CLOCKS: u64 = 16;

/// Some documents of a partition. Their tokens stand by word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Its place among those of its partition.
    pub number: usize,
    /// Numbers of its documents.
    pub ids: Vec<u32>,
    /// Its words, ascending.
    pub words: Vec<u32>,
    /// By word: where its tokens end.
    pub ends: Vec<u32>,
    /// By token: the place of its document among `ids`.
    pub documents: Vec<u32>,
}

impl Batch {
    /// The batch of some documents.
    pub fn new(number: usize, documents: &[Document]) -> Self {
        let mut cells: Vec<(u32, u32, u32)> = documents
            .iter()
            .enumerate()
            .flat_map(|(d, document)| document.iter().map(move |(word, count)| (word, d as u32, count)))
            .collect();
        cells.sort_unstable();
        let ids = documents.iter().map(|d| d.id).collect();
        let mut batch = Batch { number, ids, ..Batch::default() };
        for (word, document, count) in cells {
            batch.documents.extend(std::iter::repeat_n(document, count as usize));
            if batch.words.last() != Some(&word) {
                batch.words.push(word);
                batch.ends.push(0);
            }
            *batch.ends.last_mut().expect("a word was just pushed") = batch.documents.len() as u32;
        }
        batch
    }
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.documents.len()
    }
    /// Its tokens.
    pub fn by_word(&self) -> ByWord<'_> {
        ByWord { words: &self.words, ends: &self.ends, documents: &self.documents }
    }
    /// Tokens by document: where those of each begin (and the last ones end), and which they are.
    pub fn by_document(&self) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; self.ids.len() + 1];
        self.documents.iter().for_each(|d| starts[*d as usize + 1] += 1);
        (1..starts.len()).for_each(|d| starts[d] += starts[d - 1]);
        let (mut next, mut tokens) = (starts.clone(), vec![0u32; self.tokens()]);
        for (token, document) in self.documents.iter().enumerate() {
            let at = &mut next[*document as usize];
            tokens[*at as usize] = token as u32;
            *at += 1;
        }
        (starts, tokens)
    }
}

/// Tokens of some documents, word by word.
#[derive(Clone, Copy)]
pub(crate) struct ByWord<'a> {
    pub words: &'a [u32],
    /// By word: where its tokens end.
    pub ends: &'a [u32],
    /// By token: the place of its document.
    pub documents: &'a [u32],
}

impl<'a> ByWord<'a> {
    /// Every word and its tokens.
    pub fn iter(self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + 'a {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| *end as usize));
        let ranges = starts.zip(self.ends).map(|(start, end)| start..*end as usize);
        self.words.iter().map(|w| *w as usize).zip(ranges)
    }
}

/// Documents of a partition in a clock, if nothing is said.
pub(crate) fn batch_of(documents: u64, tokens: u64, partitions: usize) -> usize {
    let of_a_clock = (tokens / (CLOCKS * partitions as u64)).clamp(TOKENS_MIN, TOKENS_MAX);
    (of_a_clock * documents / tokens.max(1)).max(1) as usize
}

/// Documents that are worked on together, where nobody else waits for what comes of them, if nothing is said.
pub(super) fn batch_alone(documents: u64, tokens: u64) -> usize {
    (TOKENS_ALONE * documents / tokens.max(1)).max(1) as usize
}

/// Batches of the documents of a partition. Documents are dropped as their batches are made.
pub(super) fn batches(
    documents: impl Iterator<Item = Document>,
    batch: usize,
) -> impl Iterator<Item = Batch> {
    let (mut documents, mut number) = (documents, 0);
    std::iter::from_fn(move || {
        let some: Vec<Document> = documents.by_ref().take(batch).collect();
        let made = (!some.is_empty()).then(|| Batch::new(number, &some));
        number += 1;
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_by_word() {
        let documents =
            [Document::new(7, [(5, 2), (1, 1)]), Document::new(9, []), Document::new(3, [(1, 3), (8, 1)])];
        let batch = Batch::new(0, &documents);
        assert_eq!((&batch.ids[..], &batch.words[..]), (&[7, 9, 3][..], &[1, 5, 8][..]));
        assert_eq!(batch.documents, [0, 2, 2, 2, 0, 0, 2]);
        assert_eq!(batch.by_word().iter().collect::<Vec<_>>(), [(1, 0..4), (5, 4..6), (8, 6..7)]);
        let (starts, tokens) = batch.by_document();
        assert_eq!((&starts[..], &tokens[..]), (&[0, 3, 3, 7][..], &[0, 4, 5, 1, 2, 3, 6][..]));
    }

    #[test]
    fn partitions_are_cut() {
        let documents = (0..7).map(|d| Document::new(d, [(0, 1)]));
        let cut: Vec<(usize, usize)> = batches(documents, 3).map(|b| (b.number, b.tokens())).collect();
        assert_eq!(cut, [(0, 3), (1, 3), (2, 1)]);
        assert_eq!([batch_of(1000, 100_000, 1), batch_of(1000, 100_000, 4)], [62, 20]);
        assert_eq!(
            [batch_of(10, 10_000_000, 2), batch_of(1 << 20, 1 << 28, 1), batch_of(0, 0, 1)],
            [1, 256, 1]
        );
        assert_eq!(
            [batch_alone(1000, 100_000), batch_alone(10, 10_000_000), batch_alone(0, 0)],
            [1310, 1, 1]
        );
    }
}
