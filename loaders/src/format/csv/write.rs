//! Writing CSV.
//!
//! Guarantees: what is written reads back as the same values, with the schema given (but for the sign of NaN, and for the
//! types that CSV has not, which come back as the ones it has). Text is quoted only where it must be: if it holds a delimiter,
//! a quote or a line end, or could be taken for a missing value, as `""` and `"NA"`. No value is nothing between
//! delimiters; in a table of one column, where that would be a blank line, it is `NA`. Numbers have the fewest digits
//! that read back as the same bits, and floats always a point or an exponent, so that they are found to be floats.
//! A column of vectors ([`crate::table::vector`]) is written as one column an index, named `1`, `2` and so on.
//!
//! Costs a buffer of 64 KiB. Fails for types that CSV has no text for, such as lists, before anything is written.

use super::{NULLS, value};
use crate::table::{BatchWriter, vector};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Schema, SchemaRef, TimeUnit};
use slackwater_dataflow::{BadRecord, Error, Result};
use std::io::Write;

/// How to write CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvWriteOptions {
    /// What is between fields: `,`, tab, or another ASCII character.
    pub delimiter: u8,
    /// Whether the names of the columns are written first.
    pub header: bool,
}

impl Default for CsvWriteOptions {
    fn default() -> Self {
        CsvWriteOptions { delimiter: b',', header: true }
    }
}

/// Writes batches as CSV. See the [module](self).
///
/// ```
/// use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
/// use slackwater_loaders::format::csv::{CsvWriteOptions, CsvWriter};
/// use slackwater_loaders::table::BatchWriter;
/// use std::sync::Arc;
///
/// let columns: [(&str, ArrayRef); 2] = [
///     ("city", Arc::new(StringArray::from(vec![Some("Halle, Saale"), Some(""), None]))),
///     ("x", Arc::new(Float64Array::from(vec![0.1, 2.0, 1e300]))),
/// ];
/// let batch = RecordBatch::try_from_iter(columns).unwrap();
/// let mut text = vec![];
/// let options = CsvWriteOptions::default();
/// let mut writer = Box::new(CsvWriter::new("cities.csv", &mut text, &batch.schema(), &options)?);
/// writer.write(&batch)?;
/// writer.finish()?;
/// assert_eq!(text, b"city,x\n\"Halle, Saale\",0.1\n\"\",2.0\n,1e300\n");
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub struct CsvWriter<W> {
    name: String,
    out: W,
    schema: SchemaRef,
    options: CsvWriteOptions,
    text: Vec<u8>,
    /// By column: how many a vector has; 0 for what is none. `None` before the first batch, which says so.
    widths: Option<Vec<usize>>,
}

const PIECE_BYTES: usize = 64 << 10;

impl<W: Write> CsvWriter<W> {
    /// A writer of batches of `schema`. `name` is what `out` is called in messages.
    ///
    /// # Errors
    /// Usage, for a schema that CSV cannot hold; configuration.
    pub fn new(
        name: impl Into<String>,
        out: W,
        schema: &Schema,
        options: &CsvWriteOptions,
    ) -> Result<CsvWriter<W>> {
        let delimiter = options.delimiter;
        if !delimiter.is_ascii() || delimiter.is_ascii_alphanumeric() || b"\n\r\"\0.-+".contains(&delimiter) {
            return Err(Error::config("delimiter", "must be one ASCII character that no number has"));
        }
        if schema.fields().is_empty() {
            return Err(Error::usage("a table without columns cannot be written as CSV"));
        }
        for field in schema.fields() {
            if canonical(field.data_type()).is_none() && !vector::is_vector(field.data_type()) {
                return Err(Error::usage(format!(
                    "column `{}` is {}, which CSV has no text for: leave it out, or make columns of numbers or text of it",
                    field.name(),
                    field.data_type()
                )));
            }
        }
        Ok(CsvWriter {
            name: name.into(),
            out,
            schema: schema.clone().into(),
            options: options.clone(),
            text: vec![],
            widths: None,
        })
    }

    fn flush(&mut self, least: usize) -> Result<()> {
        if self.text.len() >= least {
            self.out.write_all(&self.text).map_err(|e| Error::io(&self.name, "write", &e))?;
            self.text.clear();
        }
        Ok(())
    }

    /// Learns how long vectors are and writes the header.
    fn start(&mut self, widths: Vec<usize>) {
        if self.options.header {
            let mut first = true;
            for (field, width) in self.schema.fields().iter().zip(&widths) {
                let names = match vector::is_vector(field.data_type()) {
                    true => (1..=*width).map(|i| i.to_string()).collect(),
                    false => vec![field.name().clone()],
                };
                for name in names {
                    if !std::mem::take(&mut first) {
                        self.text.push(self.options.delimiter);
                    }
                    push_text(&mut self.text, &name, self.options.delimiter);
                }
            }
            self.text.push(b'\n');
        }
        self.widths = Some(widths);
    }
}

impl<W: Write> BatchWriter for CsvWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let types =
            |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        if types(&batch.schema()) != types(&self.schema) {
            let (found, wanted) = (batch.schema(), &self.schema);
            return Err(Error::usage(format!("a batch has the columns {found} instead of {wanted}")));
        }
        let cells = batch.columns().iter().map(Cells::of).collect::<Result<Vec<_>>>()?;
        if batch.num_rows() > 0 && self.widths.is_none() {
            let width = |c: &Cells| (0..batch.num_rows()).map(|row| c.width(row)).find(|w| *w > 0);
            let widths = cells.iter().map(|c| width(c).unwrap_or(0)).collect();
            self.start(widths);
        }
        let widths = self.widths.clone().unwrap_or_default();
        let null = if widths.len() == 1 && widths[0] < 2 { NULLS[1] } else { "" };
        for row in 0..batch.num_rows() {
            let mut first = true;
            for (number, cell) in cells.iter().enumerate() {
                if widths[number] == 0 && matches!(cell, Cells::Vector(..)) {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    self.text.push(self.options.delimiter);
                }
                cell.push(row, &mut self.text, &self.options, null, widths[number]).map_err(|message| {
                    let name = self.schema.field(number).name();
                    Error::from(BadRecord::new(format!(
                        "column `{name}` cannot be written as CSV: {message}"
                    )))
                })?;
            }
            self.text.push(b'\n');
            self.flush(PIECE_BYTES)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.widths.is_none() {
            let none = vec![0; self.schema.fields().len()];
            self.start(none);
        }
        self.flush(0)?;
        self.out.flush().map_err(|e| Error::io(&self.name, "write", &e))
    }
}

/// The type as which a column is written.
fn canonical(of: &DataType) -> Option<DataType> {
    Some(match of {
        DataType::Boolean | DataType::UInt64 | DataType::Float32 | DataType::Float64 => of.clone(),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => DataType::Int64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => DataType::Utf8,
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of.clone(),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Dictionary(_, values) => canonical(values)?,
        _ => return None,
    })
}

/// A column as it is written.
enum Cells {
    Boolean(BooleanArray),
    Integer(PrimitiveArray<Int64Type>),
    Unsigned(PrimitiveArray<UInt64Type>),
    Single(PrimitiveArray<Float32Type>),
    Float(PrimitiveArray<Float64Type>),
    Text(StringArray),
    Date(PrimitiveArray<arrow_array::types::Date32Type>),
    /// Whether it is known where.
    Time(PrimitiveArray<TimestampMicrosecondType>, bool),
    Nanoseconds(PrimitiveArray<TimestampNanosecondType>, bool),
    Vector(StructArray),
}

impl Cells {
    fn of(array: &ArrayRef) -> Result<Cells> {
        let Some(wanted) = canonical(array.data_type()) else {
            return Ok(Cells::Vector(vector::canonical(array.as_struct())?));
        };
        let array = match array.data_type() == &wanted {
            true => array.clone(),
            false => arrow_cast::cast(array, &wanted)
                .map_err(|e| BadRecord::new(format!("a column cannot be written as CSV: {e}")))?,
        };
        Ok(match wanted {
            DataType::Boolean => Cells::Boolean(array.as_boolean().clone()),
            DataType::Int64 => Cells::Integer(array.as_primitive().clone()),
            DataType::UInt64 => Cells::Unsigned(array.as_primitive().clone()),
            DataType::Float32 => Cells::Single(array.as_primitive().clone()),
            DataType::Float64 => Cells::Float(array.as_primitive().clone()),
            DataType::Date32 => Cells::Date(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                Cells::Nanoseconds(array.as_primitive().clone(), zone.is_some())
            }
            DataType::Timestamp(_, zone) => Cells::Time(array.as_primitive().clone(), zone.is_some()),
            _ => Cells::Text(array.as_string().clone()),
        })
    }

    /// How many columns row `row` has of a vector, 0 for other columns.
    fn width(&self, row: usize) -> usize {
        match self {
            Cells::Vector(vectors) => Vector::of(vectors, row).map_or(0, |v| v.size),
            _ => 0,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Boolean(a) => a.is_null(row),
            Cells::Integer(a) => a.is_null(row),
            Cells::Unsigned(a) => a.is_null(row),
            Cells::Single(a) => a.is_null(row),
            Cells::Float(a) => a.is_null(row),
            Cells::Text(a) => a.is_null(row),
            Cells::Date(a) => a.is_null(row),
            Cells::Time(a, _) => a.is_null(row),
            Cells::Nanoseconds(a, _) => a.is_null(row),
            Cells::Vector(_) => false,
        }
    }

    /// Appends row `row`. `null` is written where there is no value.
    fn push(
        &self,
        row: usize,
        text: &mut Vec<u8>,
        options: &CsvWriteOptions,
        null: &str,
        width: usize,
    ) -> Result<(), String> {
        if self.is_null(row) {
            text.extend_from_slice(null.as_bytes());
            return Ok(());
        }
        // Writing to a vector does not fail.
        let _ = match self {
            Cells::Boolean(a) => write!(text, "{}", a.value(row)),
            Cells::Integer(a) => write!(text, "{}", a.value(row)),
            Cells::Unsigned(a) => write!(text, "{}", a.value(row)),
            Cells::Single(a) => write!(text, "{:?}", a.value(row)),
            Cells::Float(a) => write!(text, "{:?}", a.value(row)),
            Cells::Text(a) => {
                push_text(text, a.value(row), options.delimiter);
                Ok(())
            }
            Cells::Date(a) => return push_date(text, i64::from(a.value(row))),
            Cells::Time(a, utc) => {
                let x = a.value(row);
                return push_time(text, x.div_euclid(1_000_000), x.rem_euclid(1_000_000) * 1000, *utc);
            }
            Cells::Nanoseconds(a, utc) => {
                let x = a.value(row);
                return push_time(text, x.div_euclid(1_000_000_000), x.rem_euclid(1_000_000_000), *utc);
            }
            Cells::Vector(vectors) => {
                return push_vector(text, vectors, row, width, options.delimiter, null);
            }
        };
        Ok(())
    }
}

fn push_text(text: &mut Vec<u8>, value: &str, delimiter: u8) {
    let bytes = value.as_bytes();
    let must = memchr::memchr3(delimiter, b'"', b'\n', bytes).is_some()
        || memchr::memchr(b'\r', bytes).is_some()
        || value.starts_with('\u{feff}')
        || NULLS.contains(&value);
    if !must {
        text.extend_from_slice(bytes);
        return;
    }
    text.push(b'"');
    for (i, piece) in bytes.split(|b| *b == b'"').enumerate() {
        if i > 0 {
            text.extend_from_slice(b"\"\"");
        }
        text.extend_from_slice(piece);
    }
    text.push(b'"');
}

fn push_date(text: &mut Vec<u8>, days: i64) -> Result<(), String> {
    let (year, month, day) = value::civil(days);
    if !(0..=9999).contains(&year) {
        return Err(format!("the year {year} does not have four digits"));
    }
    let _ = write!(text, "{year:04}-{month:02}-{day:02}");
    Ok(())
}

fn push_time(text: &mut Vec<u8>, seconds: i64, nanoseconds: i64, utc: bool) -> Result<(), String> {
    const DAY: i64 = 86_400;
    push_date(text, seconds.div_euclid(DAY))?;
    let of_day = seconds.rem_euclid(DAY);
    let _ = write!(text, "T{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    let _ = match nanoseconds {
        0 => Ok(()),
        n if n % 1000 == 0 => write!(text, ".{:06}", n / 1000),
        n => write!(text, ".{n:09}"),
    };
    if utc {
        text.push(b'Z');
    }
    Ok(())
}

/// A row of a column of vectors.
struct Vector {
    size: usize,
    /// `None`: dense.
    indices: Option<Vec<i32>>,
    values: Vec<f64>,
}

impl Vector {
    /// `None` where there is none.
    fn of(vectors: &StructArray, row: usize) -> Option<Vector> {
        if vectors.is_null(row) {
            return None;
        }
        let kind = vectors.column(0).as_primitive::<Int8Type>().value(row);
        let values =
            vectors.column(3).as_list::<i32>().value(row).as_primitive::<Float64Type>().values().to_vec();
        if kind == vector::DENSE {
            return Some(Vector { size: values.len(), indices: None, values });
        }
        let size = vectors.column(1).as_primitive::<Int32Type>().value(row);
        let indices =
            vectors.column(2).as_list::<i32>().value(row).as_primitive::<Int32Type>().values().to_vec();
        Some(Vector { size: usize::try_from(size).unwrap_or(0), indices: Some(indices), values })
    }
}

fn push_vector(
    text: &mut Vec<u8>,
    vectors: &StructArray,
    row: usize,
    width: usize,
    delimiter: u8,
    null: &str,
) -> Result<(), String> {
    let vector = Vector::of(vectors, row);
    if let Some(vector) = &vector
        && vector.size != width
    {
        return Err(format!("a vector has {} values, the first one {width}", vector.size));
    }
    let mut stored = 0;
    for i in 0..width {
        if i > 0 {
            text.push(delimiter);
        }
        let Some(vector) = &vector else {
            text.extend_from_slice(null.as_bytes());
            continue;
        };
        let x = match &vector.indices {
            None => vector.values.get(i).copied(),
            Some(indices) if indices.get(stored).is_some_and(|at| *at as usize == i) => {
                stored += 1;
                vector.values.get(stored - 1).copied()
            }
            Some(_) => None,
        };
        let x = x.unwrap_or(0.0);
        let _ = write!(text, "{x:?}");
    }
    Ok(())
}
