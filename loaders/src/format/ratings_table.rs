//! Ratings as a table: `user`, `item`, `rating` and, where the file has it, `timestamp`.
//!
//! The grammar is that of [ratings](super::ratings). A file has time stamps if the first line of the first file has a fourth
//! field that is a whole number; then every line must have one. Ratings have 64 bits here, and the bits of
//! `str::parse::<f64>`. Guarantees, costs and failures are those of ratings.

use super::fault::Fault;
use super::quick::Quick;
use super::ratings::{Fields, id, is_blank, is_header};
use super::records::{
    LineRecords, RecordReader, RecordSource, RecordTable, describe, field, finite, read_head,
};
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::{Split, splits};
use arrow_array::{ArrayRef, Float64Array, Int64Array, UInt32Array};
use arrow_schema::DataType;
use slackwater_dataflow::Result;
use slackwater_dataflow::block::ID_END;
use std::sync::Arc;

/// A rating with its time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimedRating {
    /// Number of the user.
    pub user: u32,
    /// Number of the item.
    pub item: u32,
    /// The rating, finite.
    pub rating: f64,
    /// When, in whatever unit the file has (MovieLens: seconds since 1970); 0 in a file without.
    pub timestamp: i64,
}

/// Ratings with their times. See the [module](self).
pub struct Ratings {
    timed: bool,
    splits: Vec<Split>,
    limits: ReadLimits,
}

impl Ratings {
    /// Looks at the first line, and divides files into at least `min_splits` pieces unless they would be very small.
    ///
    /// # Errors
    /// I/O; data, for a packed file that is damaged.
    pub fn open(files: &[InputFile], limits: ReadLimits, min_splits: usize) -> Result<Self> {
        let splits = splits(files, min_splits);
        let (mut timed, mut named) = (false, false);
        if let Some(split) = splits.first() {
            read_head(split.file(), limits, |line| {
                if is_blank(line) || (!std::mem::replace(&mut named, true) && is_header(line)) {
                    return Ok(true);
                }
                let mut fields = Fields::of(line);
                let fourth = (0..4).map(|_| fields.next().1).last();
                timed = fourth.and_then(time).is_some();
                Ok(false)
            })?;
        }
        Ok(Ratings { timed, splits, limits })
    }
    /// As a table.
    pub fn into_table(self) -> RecordTable<Ratings> {
        let mut columns = vec![
            field("user", DataType::UInt32),
            field("item", DataType::UInt32),
            field("rating", DataType::Float64),
        ];
        if self.timed {
            columns.push(field("timestamp", DataType::Int64));
        }
        RecordTable::new(self, columns, |ratings: &[TimedRating], column| -> ArrayRef {
            match column {
                0 => Arc::new(UInt32Array::from_iter_values(ratings.iter().map(|r| r.user))),
                1 => Arc::new(UInt32Array::from_iter_values(ratings.iter().map(|r| r.item))),
                2 => Arc::new(Float64Array::from_iter_values(ratings.iter().map(|r| r.rating))),
                _ => Arc::new(Int64Array::from_iter_values(ratings.iter().map(|r| r.timestamp))),
            }
        })
    }
}

fn time(field: &[u8]) -> Option<i64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

impl RecordSource for Ratings {
    type Record = TimedRating;
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe("ratings", &self.splits)
    }
    fn open(&self, piece: usize) -> Result<Box<dyn RecordReader<Record = TimedRating>>> {
        let lines = LineRecords::open(&self.splits[piece], self.limits, 0)?;
        Ok(Box::new(TimedReader { lines, timed: self.timed }))
    }
}

struct TimedReader {
    lines: LineRecords,
    timed: bool,
}

/// A rating as nearly all are written: ids, a number of few digits, a time, and one byte between each.
#[inline(always)]
fn quick_rating(bytes: &[u8], timed: bool) -> Option<(TimedRating, usize)> {
    let mut line = Quick::of(bytes);
    let user = line.whole()?;
    line.one_of(b" \t,")?;
    let item = line.whole()?;
    line.one_of(b" \t,")?;
    let rating = line.decimal()?;
    let mut timestamp = 0;
    if timed {
        line.one_of(b" \t,")?;
        timestamp = i64::try_from(line.whole()?).ok()?;
    }
    let length = line.end()?;
    let end = u64::from(ID_END);
    (user < end && item < end)
        .then_some((TimedRating { user: user as u32, item: item as u32, rating, timestamp }, length))
}

const LINE: &str = "a line is `user item rating timestamp`, with spaces, tabs, a comma or `::` between";

impl RecordReader for TimedReader {
    type Record = TimedRating;
    fn next_record(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<TimedRating>> {
        let timed = self.timed;
        let mut first = self.lines.is_at_start();
        self.lines.next_quick(
            on_bad,
            |bytes| quick_rating(bytes, timed),
            |line| {
                let may_be_header = std::mem::replace(&mut first, false);
                if is_blank(line) || (may_be_header && is_header(line)) {
                    return Ok(None);
                }
                let mut fields = Fields::of(line);
                let (user, item) = (id(&mut fields, "user")?, id(&mut fields, "item")?);
                let (column, field) = fields.next();
                if field.is_empty() {
                    return Err(Fault::new(column, line, "the rating is missing").hint(LINE));
                }
                let rating = finite(column, field, "the rating")?;
                let (column, field) = fields.next();
                let timestamp = match (timed, time(field)) {
                    (false, _) => 0,
                    (true, Some(time)) => time,
                    (true, None) => {
                        let what = if field.is_empty() { "missing" } else { "not a whole number" };
                        return Err(Fault::new(column, field, format!("the time is {what}")).hint(LINE));
                    }
                };
                Ok(Some(TimedRating { user, item, rating, timestamp }))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cut, file, read};
    use super::*;
    use crate::table::TableSource;
    use proptest::prelude::*;

    fn open(text: &str) -> Ratings {
        Ratings::open(&[file(text)], ReadLimits::default(), 1).unwrap()
    }

    #[test]
    fn ratings_of_every_kind() {
        for (text, columns, want) in [
            (
                "1::1193::5::978300760\n1::661::3::978302109\n",
                4,
                vec![(1, 1193, 5.0, 978_300_760), (1, 661, 3.0, 978_302_109)],
            ),
            ("userId,movieId,rating,timestamp\n1,1,4.0,964982703\r\n", 4, vec![(1, 1, 4.0, 964_982_703)]),
            ("196\t242\t3\t881250949", 4, vec![(196, 242, 3.0, 881_250_949)]),
            ("0::2::3\n", 3, vec![(0, 2, 3.0, 0)]),
            ("1 2 -7.82 text\n\n", 3, vec![(1, 2, -7.82, 0)]),
        ] {
            let ratings = open(text);
            let (rows, bad) = read(&ratings).unwrap();
            let rows: Vec<_> = rows.into_iter().map(|r| (r.user, r.item, r.rating, r.timestamp)).collect();
            assert_eq!(
                (rows, bad, ratings.into_table().schema().fields().len()),
                (want, vec![], columns),
                "{text}"
            );
        }
        let (_, bad) = read(&open("1,2,3,4\n1,2,3\n1,2,3,x\n1,2\n1,2,inf,4\n")).unwrap();
        for (bad, part) in bad.iter().zip([
            "t:2:6: the time is missing",
            "t:3:7: the time is not a whole",
            "t:4:4: the rating is missing",
            "t:5:5: the rating is infinite",
        ]) {
            assert!(bad.starts_with(part), "{bad}");
        }
        assert_eq!(bad.len(), 4);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(text in "(u,i,r,t\n)?([0-9]::?[0-9]{1,3}::[0-9](::[0-9])?\r?\n|x\n|\n){0,9}", cuts: [prop::sample::Index; 3]) {
            let mut pieces = open(&text);
            pieces.splits = cut(&file(text.as_str()), &cuts);
            prop_assert_eq!(read(&pieces).unwrap(), read(&open(&text)).unwrap());
        }
    }
}
