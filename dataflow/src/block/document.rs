//! Documents as bags of words.

use serde::{Deserialize, Serialize};

/// Numbers of documents and words are below this.
pub const WORD_END: u32 = super::ID_END;

/// How often one word occurs in one document: one cell of a matrix of documents by words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WordCount {
    /// Number of the document, from 0.
    pub document: u32,
    /// Number of the word, from 0, below [`WORD_END`].
    pub word: u32,
    /// Occurrences.
    pub count: u32,
}

/// A document as a bag of words: which words, and how often each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Document {
    /// Its number.
    pub id: u32,
    /// Numbers of its words, from 0.
    pub words: Vec<u32>,
    /// Occurrences, one a word.
    pub counts: Vec<u32>,
}

impl Document {
    /// A document of some words, each with its occurrences.
    pub fn new(id: u32, words: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let (words, counts) = words.into_iter().unzip();
        Document { id, words, counts }
    }
    /// Words with their occurrences.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.words.iter().copied().zip(self.counts.iter().copied())
    }
    /// Occurrences of all words.
    pub fn tokens(&self) -> u64 {
        self.counts.iter().map(|n| u64::from(*n)).sum()
    }
}
