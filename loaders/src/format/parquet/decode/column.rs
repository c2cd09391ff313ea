//! A column of some row groups, a batch at a time.

use super::bits::Bits;
use super::fault::{Done, damaged};
use super::hybrid::Hybrid;
use super::pages::{
    BIT_PACKED, Kind, PLAIN, PLAIN_DICTIONARY, Packing, Page, Pages, RLE, RLE_DICTIONARY, Rooms,
};
use super::values::{Rows, TOO_FEW, Values};
use crate::source::InputFile;
use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use std::ops::Range;
use std::sync::Arc;

/// Rows that are passed over at once, within a page.
const PASS_ROWS: usize = 8192;

/// The column in one row group.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) bytes: Range<u64>,
    pub(super) packing: Packing,
    pub(super) rows: usize,
}

/// Reads a column.
pub(super) struct Column {
    chunks: std::vec::IntoIter<Chunk>,
    pages: Pages,
    values: Box<dyn Values>,
    is_optional: bool,
    /// Rows of the row group that are on pages still to come.
    to_come: usize,
    page: Current,
    dictionary: Dictionary,
    numbers: Vec<u32>,
    /// Bits that are used while they are made.
    bits: Bits,
}

/// What is left of a page.
#[derive(Debug)]
struct Current {
    rows: usize,
    /// Which rows have values, and where that ends.
    there: Option<(Hybrid, usize)>,
    encoded: Encoded,
}

/// Where values are read.
#[derive(Debug)]
enum Encoded {
    /// At this position.
    Plain(usize),
    /// Numbers of the dictionary.
    Numbers(Hybrid),
    /// Truths in runs.
    Runs(Hybrid),
}

#[derive(Debug)]
enum Dictionary {
    None,
    /// It was passed over.
    At(u64, Box<Page>),
    Read,
}

impl Column {
    /// Reads `chunks`, but for their first `skipped` rows.
    pub(super) fn new(
        file: &InputFile,
        rooms: &Arc<Rooms>,
        chunks: Vec<Chunk>,
        values: Box<dyn Values>,
        is_optional: bool,
        skipped: usize,
    ) -> Done<Column> {
        let mut column = Column {
            chunks: chunks.into_iter(),
            pages: Pages::new(file.clone(), rooms.clone()),
            values,
            is_optional,
            to_come: 0,
            page: Current { rows: 0, there: None, encoded: Encoded::Plain(0) },
            dictionary: Dictionary::None,
            numbers: vec![],
            bits: Bits::default(),
        };
        column.skip(skipped)?;
        Ok(column)
    }
    /// The next rows: there must be as many.
    pub(super) fn read(&mut self, rows: usize) -> Done<ArrayRef> {
        let mut there = Bits::with_capacity(if self.is_optional { rows } else { 0 });
        self.values.begin(rows);
        let mut left = rows;
        while left > 0 {
            if self.page.rows == 0 {
                self.next_page(0)?;
            }
            let n = left.min(self.page.rows);
            self.add(n, &mut there)?;
            left -= n;
        }
        let nulls = self.is_optional.then(|| {
            let words = Buffer::from_vec(there.into_words());
            NullBuffer::new(BooleanBuffer::new(words, 0, rows))
        });
        self.values.finish(nulls.filter(|nulls| nulls.null_count() > 0))
    }
    /// Adds `n` rows of the page, which has as many.
    fn add(&mut self, n: usize, there: &mut Bits) -> Done<()> {
        let body = self.pages.body();
        let from = there.len();
        let mut rows = Rows { count: n, values: n, there: None };
        if let Some((levels, end)) = &mut self.page.there {
            levels.fill_bits(&body[..*end], n, there)?;
            rows.values = there.ones_from(from);
            rows.there = (rows.values < n).then_some((there, from));
        }
        match &mut self.page.encoded {
            Encoded::Plain(at) => self.values.plain(body, at, rows)?,
            Encoded::Numbers(numbers) => {
                self.numbers.resize(rows.values, 0);
                numbers.fill(body, &mut self.numbers)?;
                self.values.numbered(&self.numbers, rows)?;
            }
            Encoded::Runs(runs) => {
                self.bits.clear();
                runs.fill_bits(body, rows.values, &mut self.bits)?;
                self.values.bits(&self.bits, rows)?;
            }
        }
        self.page.rows -= n;
        Ok(())
    }
    /// Passes over the next rows: there must be as many.
    fn skip(&mut self, mut rows: usize) -> Done<()> {
        while rows > 0 {
            if self.page.rows == 0 {
                rows -= self.next_page(rows)?;
                continue;
            }
            let n = rows.min(self.page.rows).min(PASS_ROWS);
            self.pass(n)?;
            rows -= n;
        }
        Ok(())
    }
    /// Passes over `n` rows of the page, which has as many.
    fn pass(&mut self, n: usize) -> Done<()> {
        let body = self.pages.body();
        let mut values = n;
        if let Some((levels, end)) = &mut self.page.there {
            self.bits.clear();
            levels.fill_bits(&body[..*end], n, &mut self.bits)?;
            values = self.bits.ones_from(0);
        }
        match &mut self.page.encoded {
            Encoded::Plain(at) => self.values.pass(body, at, values)?,
            Encoded::Numbers(numbers) => {
                self.numbers.resize(values, 0);
                numbers.fill(body, &mut self.numbers)?;
            }
            Encoded::Runs(runs) => {
                self.bits.clear();
                runs.fill_bits(body, values, &mut self.bits)?;
            }
        }
        self.page.rows -= n;
        Ok(())
    }
    /// Goes to the next page that has rows beyond the next `skipped`, or to the end of these. Says how many rows were passed over.
    fn next_page(&mut self, skipped: usize) -> Done<usize> {
        let mut passed = 0;
        loop {
            while self.to_come == 0 {
                let Some(chunk) = self.chunks.next() else {
                    return damaged("there are fewer rows than the row groups say");
                };
                self.pages.begin(chunk.bytes, chunk.packing);
                (self.to_come, self.dictionary) = (chunk.rows, Dictionary::None);
            }
            let Some(page) = self.pages.next(passed == skipped)? else {
                return damaged(format!("the last {} rows of the row group are missing", self.to_come));
            };
            if let Kind::Dictionary { values } = page.kind {
                if !matches!(self.dictionary, Dictionary::None) {
                    return damaged("a second dictionary");
                }
                if passed < skipped {
                    // It may be that no row that is wanted needs it.
                    self.dictionary = Dictionary::At(self.pages.place(), Box::new(page));
                    self.pages.skip(&page)?;
                } else {
                    self.pages.read(&page)?;
                    self.values.set_dictionary(self.pages.body(), values)?;
                    self.dictionary = Dictionary::Read;
                }
                continue;
            }
            if page.rows > self.to_come {
                let (rows, left) = (page.rows, self.to_come);
                return damaged(format!("a page of {rows} rows, where the row group has {left} more"));
            }
            self.to_come -= page.rows;
            if page.rows > skipped - passed {
                self.begin(&page)?;
                return Ok(passed);
            }
            passed += page.rows;
            self.pages.skip(&page)?;
            if passed == skipped && skipped > 0 {
                return Ok(passed);
            }
        }
    }
    /// Begins a page with values.
    fn begin(&mut self, page: &Page) -> Done<()> {
        let (Kind::First { encoding, .. } | Kind::Second { encoding, .. }) = page.kind else {
            return damaged("a page without rows");
        };
        if let (PLAIN_DICTIONARY | RLE_DICTIONARY, Dictionary::At(place, dictionary)) =
            (encoding, &self.dictionary)
            && let Kind::Dictionary { values } = dictionary.kind
        {
            self.pages.read_again(*place, dictionary)?;
            self.values.set_dictionary(self.pages.body(), values)?;
            self.dictionary = Dictionary::Read;
        }
        self.pages.read(page)?;
        let body = self.pages.body();
        // What is of the levels: until where, and from where values are.
        let (there, at) = match page.kind {
            Kind::Second { repetition, definition, .. } => {
                let end = repetition.saturating_add(definition);
                let there = self.is_optional.then(|| Hybrid::new(1, repetition)).transpose()?;
                (there, end)
            }
            Kind::First { levels: RLE, .. } if self.is_optional => {
                let (from, end) = sized(body, 0)?;
                (Some(Hybrid::new(1, from)?), end)
            }
            Kind::First { levels: BIT_PACKED, .. } if self.is_optional => {
                let bytes = page.rows.div_ceil(8);
                (Some(Hybrid::packed_bits(0, bytes)), bytes)
            }
            Kind::First { levels, .. } if self.is_optional => {
                return damaged(format!("levels in encoding {levels}"));
            }
            _ => (None, 0),
        };
        if at > body.len() {
            return damaged(TOO_FEW);
        }
        let encoded = match encoding {
            PLAIN => Encoded::Plain(self.values.position(at)),
            PLAIN_DICTIONARY | RLE_DICTIONARY => {
                if !matches!(self.dictionary, Dictionary::Read) {
                    return damaged("numbers of a dictionary that is not there");
                }
                match body.get(at) {
                    Some(width) => Encoded::Numbers(Hybrid::new(u32::from(*width), at + 1)?),
                    // A page without values need not have any numbers.
                    None => Encoded::Numbers(Hybrid::new(1, at)?),
                }
            }
            RLE => match at == body.len() {
                true => Encoded::Runs(Hybrid::new(1, at)?),
                false => Encoded::Runs(Hybrid::new(1, sized(body, at)?.0)?),
            },
            other => return damaged(format!("values in encoding {other}")),
        };
        self.page = Current { rows: page.rows, there: there.map(|there| (there, at)), encoded };
        Ok(())
    }
}

/// From where to where what begins at `at` with its size is.
fn sized(body: &[u8], at: usize) -> Done<(usize, usize)> {
    let size = body.get(at..).and_then(|rest| rest.first_chunk::<4>());
    let Some(size) = size else { return damaged(TOO_FEW) };
    let (from, size) = (at + 4, u32::from_le_bytes(*size) as usize);
    if size > body.len() - from {
        return damaged(TOO_FEW);
    }
    Ok((from, from + size))
}
