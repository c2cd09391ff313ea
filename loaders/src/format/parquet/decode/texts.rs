//! Texts, and bytes that are none.
//!
//! # Cost
//!
//! A text of a dictionary up to a block's length takes one load and one store; longer ones and plain ones, a copy each.

use super::bits::WORD;
use super::fault::{Done, damaged};
use super::values::{NOT_THERE, Rows, TOO_FEW, Values, spread};
use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// Texts of a dictionary up to this length, in bytes, are copied as a block of it.
const BLOCK: usize = 32;
/// Offsets count no further.
const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// Room for texts that are not known yet is no more than this.
const LIKE_BYTES_MAX: usize = 1 << 20;

/// A text of a dictionary.
#[derive(Clone, Copy, Default)]
struct Text {
    /// Its first bytes, and zeros.
    block: [u8; BLOCK],
    start: u32,
    length: u32,
}

/// Texts that follow each other in one buffer.
pub(super) struct Texts {
    is_utf8: bool,
    /// What rows without a text have, which is none; then the texts.
    dictionary: Vec<Text>,
    /// The bytes of all texts of the dictionary.
    bytes: Vec<u8>,
    /// Those of the plain texts that are being added.
    lengths: Vec<u32>,
    /// Of each row that is being added, in the dictionary.
    places: Vec<u32>,
    /// Of the batch.
    rows: usize,
    ends: Vec<i32>,
    out: Vec<u8>,
}

impl Texts {
    pub(super) fn new(is_utf8: bool) -> Texts {
        Texts {
            is_utf8,
            dictionary: vec![],
            bytes: vec![],
            lengths: vec![],
            places: vec![],
            rows: 0,
            ends: vec![],
            out: vec![],
        }
    }
    /// Makes room for so many bytes more, those of `rows` rows.
    fn reserve(&mut self, bytes: usize, rows: usize) -> Done<()> {
        if self.out.len().saturating_add(bytes) > TEXT_BYTES_MAX {
            return damaged("the texts of a batch have more than 2 GiB");
        }
        // Most often texts of the next page are as long, and what is not needed is not touched.
        let left = (self.rows + 1).saturating_sub(self.ends.len() + rows);
        let like = (bytes / rows.max(1)).saturating_mul(left).saturating_mul(9) / 8;
        self.out.reserve_exact(bytes + BLOCK + like.min(LIKE_BYTES_MAX));
        Ok(())
    }
    /// Calls for each row that has a value, in order, and keeps where each row ends.
    fn each(&mut self, rows: Rows<'_>, mut add: impl FnMut(&mut Vec<u8>)) {
        match rows.there {
            None => {
                for _ in 0..rows.count {
                    add(&mut self.out);
                    self.ends.push(self.out.len() as i32);
                }
            }
            Some((there, from)) => {
                for (word, n) in there.words_from(from) {
                    for i in 0..n {
                        if word >> i & 1 == 1 {
                            add(&mut self.out);
                        }
                        self.ends.push(self.out.len() as i32);
                    }
                }
            }
        }
    }
}

/// The length of the plain text at `at`, which is there as a whole.
fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    (length <= rest.len()).then_some(length)
}

impl Values for Texts {
    fn set_dictionary(&mut self, bytes: &[u8], n: usize) -> Done<()> {
        self.dictionary.clear();
        self.bytes.clear();
        self.dictionary.push(Text::default());
        let mut at = 0;
        for _ in 0..n {
            let Some(length) = length(bytes, at) else { return damaged(TOO_FEW) };
            let text = &bytes[at + 4..at + 4 + length];
            if self.is_utf8 && std::str::from_utf8(text).is_err() {
                return damaged("a text of the dictionary is not UTF-8");
            }
            let mut block = [0; BLOCK];
            let first = length.min(BLOCK);
            block[..first].copy_from_slice(&text[..first]);
            self.dictionary.push(Text { block, start: self.bytes.len() as u32, length: length as u32 });
            self.bytes.extend_from_slice(text);
            at += 4 + length;
        }
        Ok(())
    }
    fn begin(&mut self, rows: usize) {
        self.rows = rows;
        self.ends = Vec::with_capacity(rows + 1);
        self.ends.push(0);
        self.out = vec![];
    }
    fn plain(&mut self, bytes: &[u8], at: &mut usize, rows: Rows<'_>) -> Done<()> {
        let mut from = *at;
        let mut lengths = std::mem::take(&mut self.lengths);
        lengths.clear();
        for _ in 0..rows.values {
            let Some(length) = length(bytes, *at) else { return damaged(TOO_FEW) };
            lengths.push(length as u32);
            *at += 4 + length;
        }
        self.reserve(*at - from - 4 * rows.values, rows.count)?;
        let mut next = lengths.iter();
        self.each(rows, |out| {
            let length = next.next().map_or(0, |n| *n as usize);
            let start = from + 4;
            out.extend_from_slice(&bytes[start..start + length]);
            from = start + length;
        });
        self.lengths = lengths;
        Ok(())
    }
    fn pass(&mut self, bytes: &[u8], at: &mut usize, n: usize) -> Done<()> {
        for _ in 0..n {
            let Some(length) = length(bytes, *at) else { return damaged(TOO_FEW) };
            *at += 4 + length;
        }
        Ok(())
    }
    fn numbered(&mut self, numbers: &[u32], rows: Rows<'_>) -> Done<()> {
        let texts = self.dictionary.get(1..).unwrap_or_default();
        let mut sum = 0;
        for number in numbers {
            let Some(text) = texts.get(*number as usize) else { return damaged(NOT_THERE) };
            sum += text.length as usize;
        }
        self.reserve(sum, rows.count)?;
        self.places.clear();
        spread(&mut self.places, numbers, rows, |number| number + 1);
        let mut end = self.out.len();
        // Behind the last text is room for what a block has beyond it.
        self.out.resize(end + sum + BLOCK, 0);
        let (dictionary, bytes, out) = (&self.dictionary[..], &self.bytes[..], &mut self.out[..]);
        for places in self.places.chunks(WORD) {
            let mut ends = [0; WORD];
            for (of_row, place) in ends.iter_mut().zip(places) {
                if let Some(text) = dictionary.get(*place as usize) {
                    let (from, length) = (end, text.length as usize);
                    end += length;
                    if length <= BLOCK {
                        // What is beyond the text is overwritten by the next.
                        out[from..from + BLOCK].copy_from_slice(&text.block);
                    } else {
                        let start = text.start as usize;
                        out[from..end].copy_from_slice(&bytes[start..start + length]);
                    }
                }
                *of_row = end as i32;
            }
            self.ends.extend_from_slice(&ends[..places.len()]);
        }
        self.out.truncate(end);
        Ok(())
    }
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Done<ArrayRef> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(&mut self.ends)));
        let bytes = Buffer::from_vec(std::mem::take(&mut self.out));
        if !self.is_utf8 {
            return match BinaryArray::try_new(offsets, bytes, nulls) {
                Ok(array) => Ok(Arc::new(array)),
                Err(e) => damaged(e.to_string()),
            };
        }
        match StringArray::try_new(offsets, bytes, nulls) {
            Ok(array) => Ok(Arc::new(array)),
            Err(e) => damaged(e.to_string()),
        }
    }
}
