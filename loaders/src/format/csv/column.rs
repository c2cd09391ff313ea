//! Columns of a batch while it is being read.

use super::value::{self, Kind};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use slackwater_dataflow::{BadRecord, Result};
use std::mem::take;
use std::sync::Arc;

/// The values of a column, or fields that nobody wants.
#[derive(Debug)]
pub(super) enum Values {
    /// This many fields one after the other.
    Skipped(usize),
    Boolean(Vec<bool>),
    Integer(Vec<i64>),
    Float(Vec<f64>),
    /// Where each text ends, and all of them.
    Text(Vec<i32>, Vec<u8>),
    Date(Vec<i32>),
    Time(Vec<i64>, bool),
}

#[derive(Debug)]
pub(super) struct Column {
    pub values: Values,
    /// Which rows have no value, ascending.
    pub nulls: Vec<u32>,
    /// Its number in the table.
    pub number: usize,
    pub nullable: bool,
}

impl Column {
    pub fn new(kind: Kind, number: usize, nullable: bool) -> Column {
        let values = match kind {
            Kind::Boolean => Values::Boolean(vec![]),
            Kind::Integer => Values::Integer(vec![]),
            Kind::Float => Values::Float(vec![]),
            Kind::Text => Values::Text(vec![0], vec![]),
            Kind::Date => Values::Date(vec![]),
            Kind::Time { utc } => Values::Time(vec![], utc),
        };
        Column { values, nulls: vec![], number, nullable }
    }
    /// `count` fields from `number` on that are skipped.
    pub fn skipped(number: usize, count: usize) -> Column {
        Column { values: Values::Skipped(count), nulls: vec![], number, nullable: true }
    }

    pub fn kind(&self) -> Option<Kind> {
        Some(match &self.values {
            Values::Skipped(_) => return None,
            Values::Boolean(_) => Kind::Boolean,
            Values::Integer(_) => Kind::Integer,
            Values::Float(_) => Kind::Float,
            Values::Text(..) => Kind::Text,
            Values::Date(_) => Kind::Date,
            Values::Time(_, utc) => Kind::Time { utc: *utc },
        })
    }

    /// Makes room for `rows`.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Skipped(_) => {}
            Values::Boolean(v) => v.reserve(rows),
            Values::Integer(v) | Values::Time(v, _) => v.reserve(rows),
            Values::Float(v) => v.reserve(rows),
            Values::Text(ends, _) => ends.reserve(rows),
            Values::Date(v) => v.reserve(rows),
        }
    }

    pub fn push_null(&mut self, row: u32) {
        self.nulls.push(row);
        match &mut self.values {
            Values::Skipped(_) => {}
            Values::Boolean(v) => v.push(false),
            Values::Integer(v) | Values::Time(v, _) => v.push(0),
            Values::Float(v) => v.push(0.0),
            Values::Text(ends, bytes) => ends.push(bytes.len() as i32),
            Values::Date(v) => v.push(0),
        }
    }

    /// Appends a value that is no text; false if `content` is not one of this column.
    pub fn push_parsed(&mut self, content: &[u8], decimal_comma: bool) -> bool {
        let content = value::trim(content);
        match &mut self.values {
            Values::Skipped(_) | Values::Text(..) => return false,
            Values::Boolean(v) => value::boolean(content).map(|x| v.push(x)),
            Values::Integer(v) => value::integer(content).map(|x| v.push(x)),
            Values::Float(v) => value::float(content, decimal_comma).map(|x| v.push(x)),
            Values::Date(v) => value::date(content).map(|x| v.push(x)),
            Values::Time(v, utc) => {
                value::time(content).filter(|(_, zone)| zone == utc).map(|(x, _)| v.push(x))
            }
        }
        .is_some()
    }

    /// Forgets what comes after the first `rows` rows.
    pub fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Skipped(_) => return,
            Values::Boolean(v) => v.truncate(rows),
            Values::Integer(v) | Values::Time(v, _) => v.truncate(rows),
            Values::Float(v) => v.truncate(rows),
            Values::Text(ends, bytes) => {
                ends.truncate(rows + 1);
                bytes.truncate(*ends.last().expect("the end of no text") as usize);
            }
            Values::Date(v) => v.truncate(rows),
        }
        while self.nulls.last().is_some_and(|row| *row as usize >= rows) {
            self.nulls.pop();
        }
    }

    /// The array of `rows` rows; the column is empty then.
    pub fn finish(&mut self, rows: usize) -> Result<Option<ArrayRef>> {
        let nulls = validity(&take(&mut self.nulls), rows);
        Ok(Some(match &mut self.values {
            Values::Skipped(_) => return Ok(None),
            Values::Boolean(v) => Arc::new(BooleanArray::new(BooleanBuffer::from(take(v)), nulls)),
            Values::Integer(v) => Arc::new(Int64Array::new(take(v).into(), nulls)),
            Values::Float(v) => Arc::new(Float64Array::new(take(v).into(), nulls)),
            Values::Text(ends, bytes) => {
                let ends = std::mem::replace(ends, vec![0]);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                let texts = StringArray::try_new(offsets, take(bytes).into(), nulls);
                Arc::new(texts.map_err(|e| BadRecord::new(format!("column {}: {e}", self.number + 1)))?)
            }
            Values::Date(v) => Arc::new(Date32Array::new(take(v).into(), nulls)),
            Values::Time(v, utc) => {
                let times = TimestampMicrosecondArray::new(take(v).into(), nulls);
                Arc::new(if *utc { times.with_timezone("UTC") } else { times })
            }
        }))
    }
}

fn validity(nulls: &[u32], rows: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, true);
    nulls.iter().for_each(|row| bits.set_bit(*row as usize, false));
    Some(NullBuffer::new(bits.finish()))
}
