//! What is in the columns of a table: how many values are missing or zero, the least, the largest, the mean.

use super::group::{Cell, Kind, cast, column, kind, ordered};
use super::{Frame, RecordBlock, vector};
use arrow_arith::aggregate;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// What is known of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSurvey {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// How many values are missing.
    pub missing: u64,
    /// How many numbers are not zero; of vectors, how many are stored. `None`: not numbers.
    pub nonzeros: Option<u64>,
    /// The least value, as text.
    pub min: Option<String>,
    /// The largest value, as text.
    pub max: Option<String>,
    /// The mean of numbers that are there.
    pub mean: Option<f64>,
    /// Of vectors, how many columns the widest has.
    pub width: Option<u32>,
}

/// What is known of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Rows.
    pub rows: u64,
    /// Partitions.
    pub partitions: usize,
    /// By column.
    pub columns: Vec<ColumnSurvey>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    missing: u64,
    nonzeros: u64,
    sum: f64,
    numbers: u64,
    least: Option<Cell>,
    largest: Option<Cell>,
    width: u32,
}

impl State {
    fn look(&mut self, array: &ArrayRef, kind: Option<&Kind>) -> Result<()> {
        // Columns without a type have no values, and no mask that says so.
        self.missing += array.logical_null_count() as u64;
        if vector::is_vector(array.data_type()) {
            let rows = vector::Rows::of(array.as_struct())?;
            self.width = self.width.max(vector::widest(array.as_struct()));
            for row in (0..array.len()).filter(|r| array.is_valid(*r)) {
                self.nonzeros += rows.row(row)?.count() as u64;
            }
            return Ok(());
        }
        let Some(kind) = kind else { return Ok(()) };
        let plain = cast(array, &kind.plain)?;
        let (least, largest) = match kind.plain {
            DataType::Int64 => {
                let a = plain.as_primitive::<Int64Type>();
                self.nonzeros += a.iter().flatten().filter(|i| *i != 0).count() as u64;
                self.sum += a.iter().flatten().map(|i| i as f64).sum::<f64>();
                (aggregate::min(a).map(Cell::Int), aggregate::max(a).map(Cell::Int))
            }
            DataType::Float64 => {
                let a = plain.as_primitive::<Float64Type>();
                self.nonzeros += a.iter().flatten().filter(|x| *x != 0.0).count() as u64;
                self.sum += a.iter().flatten().sum::<f64>();
                let cell = |x: f64| Cell::Float(ordered(x));
                (aggregate::min(a).map(cell), aggregate::max(a).map(cell))
            }
            DataType::Boolean => {
                let a = plain.as_boolean();
                self.nonzeros += a.true_count() as u64;
                (aggregate::min_boolean(a).map(Cell::Boolean), aggregate::max_boolean(a).map(Cell::Boolean))
            }
            _ => {
                let a = plain.as_string::<i32>();
                let cell = |s: &str| Cell::Text(s.to_string());
                (aggregate::min_string(a).map(cell), aggregate::max_string(a).map(cell))
            }
        };
        self.numbers += (array.len() - array.null_count()) as u64;
        self.merge(State { least, largest, ..State::default() });
        Ok(())
    }
    fn merge(&mut self, other: State) {
        self.missing += other.missing;
        self.nonzeros += other.nonzeros;
        self.sum += other.sum;
        self.numbers += other.numbers;
        self.width = self.width.max(other.width);
        self.least = match (self.least.take(), other.least) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.largest = self.largest.take().max(other.largest);
    }
}

impl Frame {
    /// What is in every column. Costs a pass.
    ///
    /// # Errors
    /// What reading the table fails with.
    pub fn survey(&self) -> Result<Survey> {
        let schema = self.schema().clone();
        let kinds: Vec<Option<Kind>> = schema.fields().iter().map(|f| kind(f.data_type())).collect();
        let blocks = self.dataset();
        let partitions = blocks.num_partitions();
        let none: (u64, Vec<State>, Option<String>) = (0, vec![State::default(); kinds.len()], None);
        let for_blocks = kinds.clone();
        let look = move |all: &mut (u64, Vec<State>, Option<String>), block: &RecordBlock| {
            all.0 += block.num_rows() as u64;
            for ((state, array), kind) in all.1.iter_mut().zip(block.columns()).zip(&for_blocks) {
                if let Err(e) = state.look(array, kind.as_ref()) {
                    all.2.get_or_insert(e.to_string());
                }
            }
        };
        let (rows, states, failed) = blocks.aggregate(none, look, |a, b| {
            a.0 += b.0;
            a.1.iter_mut().zip(b.1).for_each(|(a, b)| a.merge(b));
            a.2 = a.2.take().or(b.2);
        })?;
        if let Some(message) = failed {
            return Err(Error::input(message, ""));
        }
        let columns = states.into_iter().zip(schema.fields()).zip(&kinds).map(|((state, field), kind)| {
            let text = |cell: Option<Cell>| {
                let array = column(std::iter::once(cell?), kind.as_ref()?).ok()?;
                array_value_to_string(&array, 0).ok()
            };
            let is_vector = vector::is_vector(field.data_type());
            let counts =
                is_vector || field.data_type().is_numeric() || *field.data_type() == DataType::Boolean;
            ColumnSurvey {
                name: field.name().clone(),
                data_type: field.data_type().clone(),
                missing: state.missing,
                nonzeros: counts.then_some(state.nonzeros),
                mean: (field.data_type().is_numeric() && state.numbers > 0)
                    .then(|| state.sum / state.numbers as f64),
                min: text(state.least),
                max: text(state.largest),
                width: is_vector.then_some(state.width),
            }
        });
        Ok(Survey { rows, partitions, columns: columns.collect() })
    }
}
