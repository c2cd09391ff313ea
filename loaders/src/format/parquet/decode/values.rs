//! What a column of one kind makes of values.

use super::bits::{Bits, WORD};
use super::fault::{Done, damaged};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, downcast_primitive};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

/// Rows that are added: which of them have a value, if not all do.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) count: usize,
    /// How many have one.
    pub(super) values: usize,
    /// Those from this bit on.
    pub(super) there: Option<(&'a Bits, usize)>,
}

/// A batch of a column while it is made. Positions are those of the bytes of a page, or of its bits.
pub(super) trait Values: Send {
    /// Keeps `n` plain values as the dictionary of what follows.
    fn set_dictionary(&mut self, bytes: &[u8], n: usize) -> Done<()>;
    /// Begins a batch.
    fn begin(&mut self, rows: usize);
    /// The position of a byte.
    fn position(&self, byte: usize) -> usize {
        byte
    }
    /// Adds rows whose values are plain, and moves the position behind them.
    fn plain(&mut self, bytes: &[u8], at: &mut usize, rows: Rows<'_>) -> Done<()>;
    /// Passes over `n` plain values.
    fn pass(&mut self, bytes: &[u8], at: &mut usize, n: usize) -> Done<()>;
    /// Adds rows whose values are these of the dictionary.
    fn numbered(&mut self, numbers: &[u32], rows: Rows<'_>) -> Done<()>;
    /// Adds rows whose values are these bits.
    fn bits(&mut self, _: &Bits, _: Rows<'_>) -> Done<()> {
        damaged("values that are no truths are runs")
    }
    /// The batch.
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Done<ArrayRef>;
}

pub(super) const TOO_FEW: &str = "a page has fewer values than it says";
pub(super) const NOT_THERE: &str = "a number that the dictionary does not have";

/// Numbers of four or of eight bytes.
pub(super) trait Number: ArrowNativeType + Default {
    /// As they are stored.
    type Bytes: Copy + Default;
    fn split(bytes: &[u8]) -> &[Self::Bytes];
    fn of(bytes: Self::Bytes) -> Self;
    /// Itself for 1, 0 for 0.
    fn times(self, bit: u64) -> Self;
}

macro_rules! number {
    ($of:ty, $bytes:literal) => {
        impl Number for $of {
            type Bytes = [u8; $bytes];
            fn split(bytes: &[u8]) -> &[[u8; $bytes]] {
                bytes.as_chunks().0
            }
            fn of(bytes: [u8; $bytes]) -> $of {
                <$of>::from_le_bytes(bytes)
            }
            fn times(self, bit: u64) -> $of {
                self & (0 as $of).wrapping_sub(bit as $of)
            }
        }
    };
}
number!(u32, 4);
number!(u64, 8);

/// Numbers, of whatever type has their bits.
pub(super) struct Numbers<T: Number> {
    of: DataType,
    dictionary: Vec<T>,
    /// Values of rows that have one.
    dense: Vec<T>,
    out: Vec<T>,
}

impl<T: Number> Numbers<T> {
    pub(super) fn new(of: DataType) -> Self {
        Numbers { of, dictionary: vec![], dense: vec![], out: vec![] }
    }
}

/// Adds rows, those with a value from `source`, which has as many, the others 0.
///
/// No branch depends on which rows have one: it would be guessed wrong as often as one has none.
pub(super) fn spread<S: Copy + Default, T: Number>(
    out: &mut Vec<T>,
    mut source: &[S],
    rows: Rows<'_>,
    of: impl Fn(S) -> T,
) {
    let Some((there, from)) = rows.there else {
        out.extend(source.iter().map(|s| of(*s)));
        return;
    };
    for (word, n) in there.words_from(from) {
        let ones = (word.count_ones() as usize).min(source.len());
        let (here, rest) = source.split_at(ones);
        if ones == n {
            out.extend(here.iter().map(|s| of(*s)));
        } else {
            let mut padded;
            let window = match source.first_chunk::<WORD>() {
                Some(window) => window,
                None => {
                    padded = [S::default(); WORD];
                    padded[..ones].copy_from_slice(here);
                    &padded
                }
            };
            // In a place of its own, so that nothing that is counted is in memory.
            let (mut block, mut next) = ([T::default(); WORD], 0);
            for (i, value) in block.iter_mut().enumerate() {
                let bit = word >> i & 1;
                *value = of(window[next % WORD]).times(bit);
                next += bit as usize;
            }
            out.extend_from_slice(&block[..n]);
        }
        source = rest;
    }
}

impl<T: Number> Values for Numbers<T> {
    fn set_dictionary(&mut self, bytes: &[u8], n: usize) -> Done<()> {
        let Some(values) = T::split(bytes).get(..n) else { return damaged(TOO_FEW) };
        self.dictionary.clear();
        self.dictionary.extend(values.iter().map(|v| T::of(*v)));
        Ok(())
    }
    fn begin(&mut self, rows: usize) {
        self.out = Vec::with_capacity(rows);
    }
    fn plain(&mut self, bytes: &[u8], at: &mut usize, rows: Rows<'_>) -> Done<()> {
        let from = *at;
        self.pass(bytes, at, rows.values)?;
        spread(&mut self.out, T::split(&bytes[from..*at]), rows, T::of);
        Ok(())
    }
    fn pass(&mut self, bytes: &[u8], at: &mut usize, n: usize) -> Done<()> {
        let end = at.saturating_add(n.saturating_mul(size_of::<T>()));
        if end > bytes.len() {
            return damaged(TOO_FEW);
        }
        *at = end;
        Ok(())
    }
    fn numbered(&mut self, numbers: &[u32], rows: Rows<'_>) -> Done<()> {
        let mut is_there = true;
        let value = |number: &u32| match self.dictionary.get(*number as usize) {
            Some(value) => *value,
            None => {
                is_there = false;
                T::default()
            }
        };
        match rows.there {
            None => self.out.extend(numbers.iter().map(value)),
            Some(_) => {
                self.dense.clear();
                self.dense.extend(numbers.iter().map(value));
                spread(&mut self.out, &self.dense, rows, |value| value);
            }
        }
        if is_there { Ok(()) } else { damaged(NOT_THERE) }
    }
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Done<ArrayRef> {
        let out = std::mem::take(&mut self.out);
        let (rows, buffer) = (out.len(), Buffer::from_vec(out));
        macro_rules! array {
            ($of:ty) => {
                Ok(Arc::new(primitive::<$of>(buffer, rows, nulls, &self.of)))
            };
        }
        downcast_primitive! {
            &self.of => (array),
            other => damaged(format!("values are not read as {other}"))
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    buffer: Buffer,
    rows: usize,
    nulls: Option<NullBuffer>,
    of: &DataType,
) -> PrimitiveArray<T> {
    PrimitiveArray::new(ScalarBuffer::new(buffer, 0, rows), nulls).with_data_type(of.clone())
}

/// Truths. Positions are those of bits.
#[derive(Default)]
pub(super) struct Truths {
    out: Bits,
}

impl Truths {
    /// Adds rows, those with a value from `source`: 64 of them from the n-th on.
    fn spread(&mut self, rows: Rows<'_>, source: impl Fn(usize) -> u64) {
        let mut next = 0;
        match rows.there {
            None => {
                for from in (0..rows.count).step_by(WORD) {
                    let n = (rows.count - from).min(WORD);
                    self.out.push(source(from) & super::bits::low(n), n);
                }
            }
            Some((there, from)) => {
                for (word, n) in there.words_from(from) {
                    let (mut bits, mut left) = (source(next), word);
                    let mut out = if word == u64::MAX { bits } else { 0 };
                    if word != u64::MAX {
                        while left != 0 {
                            let lowest = left & left.wrapping_neg();
                            out |= lowest & (bits & 1).wrapping_neg();
                            (bits, left) = (bits >> 1, left ^ lowest);
                        }
                    }
                    self.out.push(out, n);
                    next += word.count_ones() as usize;
                }
            }
        }
    }
}

impl Values for Truths {
    fn set_dictionary(&mut self, _: &[u8], _: usize) -> Done<()> {
        damaged("a dictionary of truths")
    }
    fn begin(&mut self, rows: usize) {
        self.out = Bits::with_capacity(rows);
    }
    fn position(&self, byte: usize) -> usize {
        8 * byte
    }
    fn plain(&mut self, bytes: &[u8], at: &mut usize, rows: Rows<'_>) -> Done<()> {
        let from = *at;
        self.pass(bytes, at, rows.values)?;
        self.spread(rows, |next| super::bits::word_at(bytes, from + next));
        Ok(())
    }
    fn pass(&mut self, bytes: &[u8], at: &mut usize, n: usize) -> Done<()> {
        let end = at.saturating_add(n);
        if end > 8 * bytes.len() {
            return damaged(TOO_FEW);
        }
        *at = end;
        Ok(())
    }
    fn numbered(&mut self, _: &[u32], _: Rows<'_>) -> Done<()> {
        damaged("truths of a dictionary")
    }
    fn bits(&mut self, bits: &Bits, rows: Rows<'_>) -> Done<()> {
        self.spread(rows, |next| bits.word(next));
        Ok(())
    }
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Done<ArrayRef> {
        let rows = self.out.len();
        let words = std::mem::take(&mut self.out).into_words();
        Ok(Arc::new(BooleanArray::new(BooleanBuffer::new(Buffer::from_vec(words), 0, rows), nulls)))
    }
}
