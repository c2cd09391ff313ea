//! The fast reader of one record: it takes what is right, field by field into the columns, and leaves it to
//! [`super::careful`] to say what is wrong.
//!
//! A field of numbers or plain text is read without looking for its end first. Any other, one that is null, in quotes,
//! has blanks or many digits, is cut out by [`super::fields`] and read in a second way; only then it is at fault.

use super::column::{Column, Values};
use super::fields::{Dialect, Field, Next, end_of_line, undouble};
use super::scan::{Ends, Figures};
use super::value::{self, Kind, Nulls};
use crate::format::number::{decimal, integer, number};
use memchr::memchr_iter;

/// How a table is read.
#[derive(Debug)]
pub(super) struct Rules {
    pub dialect: Dialect,
    pub ends: Ends,
    pub nulls: Nulls,
    pub decimal_comma: bool,
}

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// It is in the columns: its length and how many line ends it has.
    Row(usize, u64),
    /// Something about it is wrong; the columns may hold a part of it.
    Fault,
    /// A quote is not closed in the bytes that there are.
    Open,
}

/// Why a field was not taken.
enum Refused {
    Fault,
    Open,
}

/// Reads the record at the start of `bytes`, the first `length` of which are whole lines, with padding after them, into
/// `columns` as row `row` of the batch.
#[inline(never)] // so that the loop below has the registers for itself
pub(super) fn read(bytes: &[u8], length: usize, rules: &Rules, columns: &mut [Column], row: u32) -> Outcome {
    let mut reader = Reader { bytes, length, rules, row, line_ends: 1 };
    match reader.record(columns) {
        Ok(used) => Outcome::Row(used, reader.line_ends),
        Err(Refused::Fault) => Outcome::Fault,
        Err(Refused::Open) => Outcome::Open,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    length: usize,
    rules: &'a Rules,
    row: u32,
    line_ends: u64,
}

impl Reader<'_> {
    #[inline(always)]
    fn record(&mut self, columns: &mut [Column]) -> Result<usize, Refused> {
        let Some((last, before)) = columns.split_last_mut() else { return Err(Refused::Fault) };
        let mut at = 0;
        for column in before {
            at = self.field::<false>(column, at)?;
            if self.bytes[at] != self.rules.dialect.delimiter {
                return Err(Refused::Fault);
            }
            at += 1;
        }
        at = self.field::<true>(last, at)?;
        end_of_line(&self.bytes[at..]).map(|n| at + n).ok_or(Refused::Fault)
    }

    /// True if the field of a number ends at `at`.
    #[inline(always)]
    fn ends<const LAST: bool>(&self, at: usize) -> bool {
        match LAST {
            false => self.bytes[at] == self.rules.dialect.delimiter,
            true => self.bytes[at] == b'\n' || self.bytes[at..].starts_with(b"\r\n"),
        }
    }

    /// Reads the field at `at`; where it ends.
    #[inline(always)]
    fn field<const LAST: bool>(&mut self, column: &mut Column, at: usize) -> Result<usize, Refused> {
        match &mut column.values {
            Values::Float(values) => {
                if !self.rules.decimal_comma
                    && let Some((figures, n)) = self.figures::<LAST>(at)
                    && let Some(x) = decimal(&self.bytes[at..], n, figures.digits, figures.points)
                {
                    values.push(x);
                    return Ok(at + n);
                }
            }
            Values::Integer(values) => {
                if let Some((figures, n)) = self.figures::<LAST>(at)
                    && let Some(x) = integer(&self.bytes[at..], n, figures.digits)
                {
                    values.push(x);
                    return Ok(at + n);
                }
            }
            Values::Text(ends, texts) => {
                let rest = &self.bytes[at..];
                if Some(rest[0]) != self.rules.dialect.quote
                    && let Some((n, true)) = self.rules.ends.field(rest)
                    && (n == 0 || rest[n - 1] != b'\r')
                    && !self.rules.nulls.has(&rest[..n])
                {
                    texts.extend_from_slice(&rest[..n]);
                    ends.push(texts.len() as i32);
                    return Ok(at + n);
                }
            }
            Values::Skipped(count) => return self.skip(*count, at),
            Values::Boolean(values) => {
                if let Some(content) = self.plain(at)
                    && let Some(x) = value::boolean(content)
                {
                    values.push(x);
                    return Ok(at + content.len());
                }
            }
            Values::Date(values) => {
                if let Some(content) = self.plain(at)
                    && let Some(x) = value::date(content)
                {
                    values.push(x);
                    return Ok(at + content.len());
                }
            }
            Values::Time(values, utc) => {
                if let Some(content) = self.plain(at)
                    && let Some((x, zone)) = value::time(content)
                    && zone == *utc
                {
                    values.push(x);
                    return Ok(at + content.len());
                }
            }
        }
        self.other_field(column, at)
    }

    /// The field at `at`, of less than 32 bytes, and how long it is without a carriage return.
    #[inline(always)]
    fn figures<const LAST: bool>(&self, at: usize) -> Option<(Figures, usize)> {
        let rest = &self.bytes[at..];
        let figures = self.rules.ends.figures(rest)?;
        let n = figures.length;
        Some((figures, n - usize::from(LAST && n > 0 && rest[n - 1] == b'\r' && rest[n] == b'\n')))
    }

    /// The field at `at` up to where it ends if it is not quoted.
    #[inline(always)]
    fn plain(&self, at: usize) -> Option<&[u8]> {
        let rest = &self.bytes[at..];
        let (n, _) = self.rules.ends.field(rest)?;
        Some(&rest[..n - usize::from(rest[n] == b'\n' && n > 0 && rest[n - 1] == b'\r')])
    }

    /// Passes over `count` fields; where the last one ends.
    fn skip(&mut self, count: usize, mut at: usize) -> Result<usize, Refused> {
        let mut left = count;
        loop {
            let (passed, n) = self.rules.ends.delimiters(&self.bytes[at..self.length], left);
            left -= passed;
            // The field that goes on or starts here: no quote was passed, so it starts here or is not quoted.
            let inside = n > 0 && self.bytes[at + n - 1] != self.rules.dialect.delimiter;
            at += n;
            at = match inside || Some(self.bytes[at]) != self.rules.dialect.quote {
                true => at + self.rest_of_field(at),
                false => self.cut(at)?.end,
            };
            left -= 1;
            if left == 0 || self.bytes[at] != self.rules.dialect.delimiter {
                return if left == 0 { Ok(at) } else { Err(Refused::Fault) };
            }
            at += 1;
        }
    }

    /// How long the rest of a field is that is not quoted.
    fn rest_of_field(&self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        let n = self.rules.ends.field(rest).map_or(0, |(n, _)| n);
        n - usize::from(rest[n] == b'\n' && n > 0 && rest[n - 1] == b'\r')
    }

    fn cut(&mut self, at: usize) -> Result<Field<'_>, Refused> {
        let Next::Field(field) = self.rules.dialect.field(self.bytes, at, self.length) else {
            return Err(Refused::Open);
        };
        if field.quoted {
            self.line_ends += memchr_iter(b'\n', field.content).count() as u64;
        }
        Ok(field)
    }

    #[inline(never)]
    fn other_field(&mut self, column: &mut Column, at: usize) -> Result<usize, Refused> {
        let rules = self.rules;
        let row = self.row;
        if self.ends::<false>(at) || self.ends::<true>(at) {
            // Nothing at all, mostly.
            return match rules.nulls.has(b"") && column.nullable {
                true => {
                    column.push_null(row);
                    Ok(at)
                }
                false => self.cut_field(column, at),
            };
        }
        if let Values::Float(values) = &mut column.values
            && !rules.decimal_comma
            && let Some((x, n)) = number(&self.bytes[at..])
            && (self.ends::<false>(at + n) || self.ends::<true>(at + n))
        {
            values.push(x);
            return Ok(at + n);
        }
        self.cut_field(column, at)
    }

    /// Cuts out the field at `at` and reads it.
    fn cut_field(&mut self, column: &mut Column, at: usize) -> Result<usize, Refused> {
        let (rules, row) = (self.rules, self.row);
        let field = self.cut(at)?;
        match take(&field, rules, column, row) {
            true => Ok(field.end),
            false => Err(Refused::Fault),
        }
    }
}

/// Appends a field to its column; false if it is not one of the column.
fn take(field: &Field<'_>, rules: &Rules, column: &mut Column, row: u32) -> bool {
    let Some(kind) = column.kind() else { return true };
    if field.after_quote.is_some() {
        return false;
    }
    if rules.nulls.has_field(kind, field.content, field.quoted) {
        column.push_null(row);
        return column.nullable;
    }
    match &mut column.values {
        Values::Text(ends, texts) => {
            if std::str::from_utf8(field.content).is_err() {
                return false;
            }
            match rules.dialect.quote {
                Some(quote) if field.doubled => undouble(field.content, quote, texts),
                _ => texts.extend_from_slice(field.content),
            }
            ends.push(texts.len() as i32);
            true
        }
        _ => column.push_parsed(field.content, rules.decimal_comma),
    }
}

/// True if a field could be read into a column of `kind`.
pub(super) fn fits(field: &Field<'_>, rules: &Rules, kind: Kind, nullable: bool) -> bool {
    take(field, rules, &mut Column::new(kind, 0, nullable), 0)
}
