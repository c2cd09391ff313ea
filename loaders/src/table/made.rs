//! Tables that are made up, to try and to measure things on.

use super::{BATCH_ROWS, BatchReader, Scan, TableSource};
use crate::OnBadRecord;
use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::{Error, Result, rng};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// How many columns of each kind a made-up table has. They come in this order, named by kind and number: `float1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeColumns {
    /// The number of the row, from 0: `id1`.
    pub ids: usize,
    /// Normal numbers.
    pub floats: usize,
    /// Whole numbers to a million, small ones more often.
    pub integers: usize,
    /// A thousand texts of one to four words, common ones more often; one in sixteen with a comma, a quote or a line end.
    pub texts: usize,
    /// Days of 30 years.
    pub dates: usize,
    /// Microseconds of the same years, at whole seconds.
    pub times: usize,
    /// True or false.
    pub flags: usize,
}

impl Default for MadeColumns {
    fn default() -> Self {
        MadeColumns { ids: 1, floats: 4, integers: 2, texts: 2, dates: 1, times: 1, flags: 1 }
    }
}

/// A table that is made up while it is read. What a row is depends on the seed and on its number alone.
///
/// Costs a random number a value, or two, and what a reader keeps of [`BATCH_ROWS`] rows.
#[derive(Debug, Clone)]
pub struct MadeTable {
    rows: u64,
    columns: Vec<(Kind, u64)>,
    digits: u32,
    missing: f64,
    seed: u64,
    pieces: usize,
    schema: SchemaRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Id,
    Float,
    Integer,
    Text,
    Date,
    Time,
    Flag,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Id => "id",
            Kind::Float => "float",
            Kind::Integer => "integer",
            Kind::Text => "text",
            Kind::Date => "date",
            Kind::Time => "time",
            Kind::Flag => "flag",
        }
    }
    fn data_type(self) -> DataType {
        match self {
            Kind::Id | Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Flag => DataType::Boolean,
        }
    }
}

/// Digits behind the point that keep all that a number of 64 bits has.
pub const DIGITS_ALL: u32 = 17;
const DAYS: u64 = 30 * 365;
const DAY_SECONDS: i64 = 86_400;
/// 1995-01-01, in days from 1970.
const DAY_FIRST: i32 = 9131;
const TEXTS: f64 = 1000.0;
const INTEGERS: f64 = 1e6;

impl MadeTable {
    /// `rows` rows, divided into `pieces`. Floats have `digits` digits behind the point ([`DIGITS_ALL`]: all that there are),
    /// and a share of `missing` of all values but the first column's are missing.
    ///
    /// # Errors
    /// Config, naming the value that is wrong.
    pub fn new(
        rows: u64,
        columns: MadeColumns,
        digits: u32,
        missing: f64,
        seed: u64,
        pieces: usize,
    ) -> Result<Self> {
        let kinds = [
            (Kind::Id, columns.ids),
            (Kind::Float, columns.floats),
            (Kind::Integer, columns.integers),
            (Kind::Text, columns.texts),
            (Kind::Date, columns.dates),
            (Kind::Time, columns.times),
            (Kind::Flag, columns.flags),
        ];
        if !(0.0..1.0).contains(&missing) {
            return Err(Error::config("missing", format!("must be from 0 to less than 1, not {missing}")));
        }
        let all: Vec<(Kind, usize)> = kinds.iter().flat_map(|(k, n)| (1..=*n).map(|i| (*k, i))).collect();
        if all.is_empty() {
            return Err(Error::config("columns", "a table has one at least"));
        }
        let name = |(kind, i): &(Kind, usize)| format!("{}{i}", kind.name());
        let field = |c: &(Kind, usize)| Field::new(name(c), c.0.data_type(), missing > 0.0);
        let schema = Arc::new(Schema::new(all.iter().map(field).collect::<Vec<_>>()));
        let columns = all.iter().map(|c| (c.0, hash_of(&(seed, name(c))))).collect();
        Ok(MadeTable { rows, columns, digits, missing, seed, pieces: pieces.max(1), schema })
    }
    fn range(&self, piece: usize) -> Range<u64> {
        let at = |n: usize| (u128::from(self.rows) * n as u128 / self.pieces as u128) as u64;
        at(piece)..at(piece + 1)
    }
    fn column(&self, column: usize, rows: Range<u64>) -> ArrayRef {
        let (kind, seed) = self.columns[column];
        let n = (rows.end - rows.start) as usize;
        let missing = if column == 0 { 0.0 } else { self.missing };
        let scale = 10f64.powi(self.digits as i32);
        // Each row has a stream of its own, so that pieces do not matter; the first number says whether it has a value.
        let draws = rows.map(|row| {
            let mut rng = rng::stream(seed, row);
            let is_there = missing == 0.0 || rng::unit_f64(&mut rng) >= missing;
            (row, is_there.then_some(rng))
        });
        macro_rules! build {
            ($builder:expr, $value:expr) => {{
                let mut builder = $builder;
                for (row, rng) in draws {
                    builder.append_option(rng.map(|mut rng| $value(row, &mut rng)));
                }
                Arc::new(builder.finish())
            }};
        }
        match kind {
            Kind::Id => build!(Int64Builder::with_capacity(n), |row, _: &mut rng::Stream| row as i64),
            Kind::Float => build!(Float64Builder::with_capacity(n), |_, rng: &mut rng::Stream| {
                let x = rng::normal(rng);
                if self.digits >= DIGITS_ALL { x } else { (x * scale).round() / scale }
            }),
            Kind::Integer => build!(Int64Builder::with_capacity(n), |_, rng: &mut rng::Stream| {
                INTEGERS.powf(rng::unit_f64(rng)) as i64 - 1
            }),
            Kind::Text => build!(StringBuilder::with_capacity(n, n * 16), |_, rng: &mut rng::Stream| {
                text(TEXTS.powf(rng::unit_f64(rng)) as u64)
            }),
            Kind::Date => build!(Date32Builder::with_capacity(n), |_, rng: &mut rng::Stream| {
                DAY_FIRST + rng::below(rng, DAYS) as i32
            }),
            Kind::Time => {
                build!(TimestampMicrosecondBuilder::with_capacity(n), |_, rng: &mut rng::Stream| {
                    let seconds = rng::below(rng, DAYS * DAY_SECONDS as u64) as i64;
                    (i64::from(DAY_FIRST) * DAY_SECONDS + seconds) * 1_000_000
                })
            }
            Kind::Flag => build!(BooleanBuilder::with_capacity(n), |_, rng: &mut rng::Stream| {
                rng::below(rng, 2) == 1
            }),
        }
    }
}

/// Text number `n`: always the same.
fn text(n: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "an", "be", "cor", "du", "el", "fin", "ga", "hul", "im", "jo", "kar", "lu", "men", "no", "ost", "pri",
    ];
    let mut bits = hash_of(&(n, "text"));
    let mut take = |below: u64| {
        let taken = bits % below;
        bits /= below;
        taken
    };
    let mut out = String::new();
    for word in 0..1 + take(4) {
        if word > 0 {
            out.push(' ');
        }
        for _ in 0..1 + take(3) {
            let _ = out.write_str(SYLLABLES[take(16) as usize]);
        }
    }
    match take(16) {
        0 => out + ", jr.",
        _ if n.is_multiple_of(64) => format!("\"{out}\""),
        _ if n % 64 == 63 => out + "\nand more",
        _ => out,
    }
}

impl TableSource for MadeTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.pieces
    }
    fn describe(&self) -> String {
        let (rows, columns) = (self.rows, self.columns.len());
        format!("made up: {rows} rows of {columns} columns, seed {}", self.seed)
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let columns = scan.columns.clone().unwrap_or_else(|| (0..self.columns.len()).collect());
        let schema = scan.schema(&self.schema);
        Ok(Box::new(Reader { table: self.clone(), columns, schema, left: self.range(piece) }))
    }
}

struct Reader {
    table: MadeTable,
    columns: Vec<usize>,
    schema: SchemaRef,
    left: Range<u64>,
}

impl BatchReader for Reader {
    fn next_batch(&mut self, _: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let end = self.left.end.min(self.left.start + BATCH_ROWS as u64);
        let rows = std::mem::replace(&mut self.left.start, end)..end;
        let options =
            arrow_array::RecordBatchOptions::new().with_row_count(Some((end - rows.start) as usize));
        let columns = self.columns.iter().map(|c| self.table.column(*c, rows.clone())).collect();
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        Ok(Some(batch.expect("columns are of the schema's types")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Frame, col, lit};
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Array, Float64Array};
    use slackwater_dataflow::Context;
    use std::collections::BTreeSet;

    fn made(missing: f64, seed: u64, pieces: usize) -> Frame {
        let table = MadeTable::new(20_000, MadeColumns::default(), 3, missing, seed, pieces).unwrap();
        Frame::from_source(&Context::local(2).unwrap(), Arc::new(table))
    }

    #[test]
    fn the_seed_decides_and_pieces_do_not() {
        let one = made(0.1, 7, 1).collect().unwrap();
        assert_eq!((one.num_rows(), one.num_columns()), (20_000, 12));
        assert_eq!(made(0.1, 7, 5).collect().unwrap(), one);
        assert_ne!(made(0.1, 8, 1).collect().unwrap(), one);
        let some = made(0.1, 7, 3).select(&["text2", "id1"]).unwrap();
        let some = some.filter(col("id1").lt(lit(10_i64))).unwrap().collect().unwrap();
        assert_eq!(some, one.slice(0, 10).project(&[8, 0]).unwrap());
    }

    #[test]
    fn values_are_as_said() {
        let all = made(0.25, 1, 2).collect().unwrap();
        assert!(all.column(0).as_primitive::<Int64Type>().values().iter().copied().eq(0..20_000));
        for column in &all.columns()[1..] {
            let gaps = column.null_count() as f64 / 20_000.0;
            assert!((gaps - 0.25).abs() < 0.02, "{gaps}");
        }
        let floats: &Float64Array = all.column(1).as_primitive::<Float64Type>();
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for x in floats.iter().flatten() {
            assert!((x * 1e3 - (x * 1e3).round()).abs() < 1e-9, "{x}");
            (sum, squares, n) = (sum + x, squares + x * x, n + 1.0);
        }
        assert!((sum / n).abs() < 0.05 && (squares / n - 1.0).abs() < 0.05);
        let texts: BTreeSet<&str> = all.column(7).as_string::<i32>().iter().flatten().collect();
        assert!((500..=1000).contains(&texts.len()), "{}", texts.len());
        for odd in [',', '"', '\n'] {
            assert!(texts.iter().any(|t| t.contains(odd)), "{odd:?}");
        }
        assert_eq!(made(0.0, 1, 2).collect().unwrap().column(5).null_count(), 0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let none = MadeColumns { ids: 0, floats: 0, integers: 0, texts: 0, dates: 0, times: 0, flags: 0 };
        for (columns, missing, said) in [(none, 0.0, "columns"), (MadeColumns::default(), 1.0, "missing")] {
            let e = MadeTable::new(1, columns, 3, missing, 1, 1).unwrap_err();
            assert!(e.to_string().contains(said), "{e}");
        }
    }
}
