//! Ratings: one cell of a matrix of users by items a line, `user item rating`.
//!
//! # Grammar
//!
//! ```text
//! file    = [header] { line }
//! line    = [blanks] [user sep item sep rating [sep anything]] ["\r"] "\n"
//! sep     = blanks, or "," or "::" with or without blanks around it
//! blanks  = one or more of space, tab
//! user, item = digits, below 2^31
//! rating  = decimal number, finite in 32 bits
//! ```
//!
//! That takes the files of MovieLens (`userId,movieId,rating,timestamp` and, separated by tabs, the older ones), of the
//! Jester set, and coordinate text. The first line of a file is a header if it begins with a letter, `_` or `"`, and is
//! dropped. Blank lines are no ratings. The last line may lack its `\n`; a UTF-8 byte order mark at the start is dropped.
//! A pair read by [`RatingsReader::next_pair`] is such a line of which the rating may be missing; one that is read by
//! [`RatingsReader::next_row_pair`] is of rows of other data, and has no rating.
//!
//! # Guarantees
//!
//! Ratings have the same bits as `str::parse::<f32>` gives. A line that cannot be used is reported once, as
//! `file:line:column` with its bytes and a hint. The ratings, their order and the reports do not depend on how a file is
//! divided. A pair that occurs twice is two ratings.
//!
//! # Cost
//!
//! One pass. The line number of a bad line is counted when it is needed, by reading the part of the file before the
//! split.
//!
//! # References
//!
//! Harper and Konstan 2015, The MovieLens datasets (README, "Ratings Data File Structure").

use super::fault::Fault;
use super::quick::Quick;
use super::records::LineRecords;
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::split::Split;
use slackwater_dataflow::Result;
use slackwater_dataflow::block::{ID_END, Rating};

/// Reads one [`Split`] of a file of ratings. See the [module](self).
pub struct RatingsReader(LineRecords);

impl RatingsReader {
    /// Opens the split's file.
    ///
    /// # Errors
    /// I/O; input, for a packed file that is none.
    pub fn open(split: &Split, limits: ReadLimits) -> Result<Self> {
        Ok(RatingsReader(LineRecords::open(split, limits, 0)?))
    }

    /// The next rating; `None` at the end. Bad lines go to `on_bad` in the order of the file.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers.
    pub fn next_rating(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<Rating>> {
        self.next(on_bad, quick_rating, |line| {
            let mut fields = Fields::of(line);
            let (user, item) = pair(&mut fields)?;
            Ok(Rating::new(user, item, rating(&mut fields)?))
        })
    }

    /// The user and the item of the next line, whether it has a rating or not; `None` at the end.
    ///
    /// # Errors
    /// As [`RatingsReader::next_rating`].
    pub fn next_pair(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<(u32, u32)>> {
        self.next(on_bad, |_| None, |line| pair(&mut Fields::of(line)))
    }

    /// The numbers of the two rows that the next line names, whether more follows or not; `None` at the end.
    ///
    /// # Errors
    /// As [`RatingsReader::next_rating`].
    pub fn next_row_pair(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<(u32, u32)>> {
        self.next(
            on_bad,
            |_| None,
            |line| {
                let mut fields = Fields::like(ROW_PAIR, line);
                Ok((id(&mut fields, "first row")?, id(&mut fields, "second row")?))
            },
        )
    }

    fn next<T>(
        &mut self,
        on_bad: &mut OnBadRecord<'_>,
        quick: impl Fn(&[u8]) -> Option<(T, usize)>,
        parse: impl Fn(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<T>> {
        let mut first = self.0.is_at_start();
        self.0.next_quick(on_bad, quick, |line| {
            let may_be_header = std::mem::replace(&mut first, false);
            match is_blank(line) || (may_be_header && is_header(line)) {
                true => Ok(None),
                false => parse(line).map(Some),
            }
        })
    }
}

/// A rating as nearly all are written. Only one that is the same in 32 bits as in 64: what was rounded to 64 bits must not be
/// rounded once more.
#[inline(always)]
fn quick_rating(bytes: &[u8]) -> Option<(Rating, usize)> {
    let mut line = Quick::of(bytes);
    let user = line.whole()?;
    line.one_of(b" \t,")?;
    let item = line.whole()?;
    line.one_of(b" \t,")?;
    let rating = line.decimal()?;
    let length = line.rest_of_fields()?;
    let end = u64::from(ID_END);
    let is_exact = f64::from(rating as f32) == rating;
    (is_exact && user < end && item < end)
        .then_some((Rating::new(user as u32, item as u32, rating as f32), length))
}

fn blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(blank)
}

pub(super) fn is_header(line: &[u8]) -> bool {
    line.iter().find(|b| !blank(b)).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'"'))
}

/// The fields of a line, one by one.
pub(super) struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    /// What a line looks like.
    form: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        Fields::like(LINE, line)
    }
    /// The fields of a line that should look like `form` says.
    pub(super) fn like(form: &'static str, line: &'a [u8]) -> Self {
        Fields { line, at: 0, form }
    }
    fn skip_blanks(&mut self) {
        self.at += self.line[self.at..].iter().take_while(|b| blank(b)).count();
    }
    /// Where the next field begins, and the field: empty at the end of the line or between two commas.
    pub(super) fn next(&mut self) -> (usize, &'a [u8]) {
        self.skip_blanks();
        let start = self.at;
        let ends =
            |at: usize, b: &u8| blank(b) || *b == b',' || (*b == b':' && self.line[at..].starts_with(b"::"));
        let rest = self.line[start..].iter().enumerate();
        self.at = rest.take_while(|(i, b)| !ends(start + i, b)).count() + start;
        let field = &self.line[start..self.at];
        self.skip_blanks();
        self.at += match &self.line[self.at..] {
            [b',', ..] => 1,
            [b':', b':', ..] => 2,
            _ => 0,
        };
        (start, field)
    }
}

const LINE: &str =
    "a line is `user item rating`, with spaces, tabs or a comma between; further columns are ignored";

const ROW_PAIR: &str =
    "a line is the numbers of two rows, with spaces, tabs or a comma between; further columns are ignored";

fn pair(fields: &mut Fields<'_>) -> Result<(u32, u32), Fault> {
    Ok((id(fields, "user")?, id(fields, "item")?))
}

/// Digits are counted before they are added up, so none overflows.
pub(super) fn id(fields: &mut Fields<'_>, what: &str) -> Result<u32, Fault> {
    let (column, field) = fields.next();
    check_there(fields, column, field, what)?;
    if !field.iter().all(u8::is_ascii_digit) {
        let hint = "ids are written with digits only; number what has a name";
        return Err(
            Fault::new(column, field, format!("the {what} is not a whole number of at least 0")).hint(hint)
        );
    }
    let zeros = field.iter().take_while(|b| **b == b'0').count();
    let value = (field.len() - zeros <= 10)
        .then(|| field.iter().fold(0, |v, b| v * 10 + u64::from(b - b'0')))
        .filter(|v| *v < u64::from(ID_END));
    value.map(|v| v as u32).ok_or_else(|| {
        let message = format!("the {what} is larger than {}, the largest there is", ID_END - 1);
        Fault::new(column, field, message).hint("number from 0 or 1")
    })
}

fn rating(fields: &mut Fields<'_>) -> Result<f32, Fault> {
    let (column, field) = fields.next();
    check_there(fields, column, field, "rating")?;
    let fault =
        |message: &str, hint| Err(Fault::new(column, field, format!("the rating {message}")).hint(hint));
    match fast_float2::parse::<f32, _>(field) {
        Ok(x) if x.is_finite() => Ok(x),
        Ok(x) if x.is_nan() => fault("is NaN", "leave out lines without a rating"),
        Ok(_) if field.iter().any(u8::is_ascii_digit) => {
            fault("is too large for a 32-bit float", "scale the ratings")
        }
        Ok(_) => fault("is infinite", "leave out lines without a rating"),
        Err(_) => fault("is not a number", "ratings are decimal numbers such as 4, -0.5 or 1e-3"),
    }
}

/// The fault of a field that is empty or has bytes that no text file of numbers has.
fn check_there(fields: &Fields<'_>, column: usize, field: &[u8], what: &str) -> Result<(), Fault> {
    if field.is_empty() {
        return Err(Fault::new(column, fields.line, format!("the {what} is missing")).hint(fields.form));
    }
    match field.iter().position(|b| !(b' '..=b'~').contains(b)) {
        Some(at) => {
            let message = format!("byte 0x{:02x} is not text", field[at]);
            Err(Fault::new(column + at, &field[at..], message)
                .hint("ratings are plain text; is this file one?"))
        }
        None => Ok(()),
    }
}
