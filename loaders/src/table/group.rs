//! Grouping: a row for each combination of keys.

use super::expr::no_column;
use super::{Frame, RecordBlock};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// What is made of the values of a column in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many are not null.
    Count,
    /// Their sum; whole numbers stay whole.
    Sum,
    /// Their mean.
    Mean,
    /// The least one.
    Min,
    /// The largest one.
    Max,
    /// Unbiased estimate of the standard deviation; null for fewer than two values.
    Deviation,
}

impl Aggregate {
    fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Deviation => "std",
        }
    }
}

/// A value of a key, or a least or largest one. Floats by their order of bits: every NaN is one value, -0 is 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Int(i64),
    Float(i64),
    Text(String),
}

/// Floats as whole numbers of the same order.
pub(super) fn ordered(x: f64) -> i64 {
    let x = if x.is_nan() { f64::NAN } else { x + 0.0 };
    let bits = x.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn unordered(i: i64) -> f64 {
    f64::from_bits((i ^ (((i >> 63) as u64) >> 1) as i64) as u64)
}

/// What is known of the values so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum State {
    Count(u64),
    /// 128 bits: a sum that does not fit in the end is an error, one on the way is not.
    SumInt(i128, u64),
    SumFloat(f64, u64),
    Moments {
        n: u64,
        mean: f64,
        m2: f64,
    },
    Least(Cell),
    Largest(Cell),
}

impl State {
    fn merge(&mut self, other: State) {
        let before = std::mem::replace(self, State::Count(0));
        *self = match (before, other) {
            (State::Count(a), State::Count(b)) => State::Count(a + b),
            (State::SumInt(a, n), State::SumInt(b, m)) => State::SumInt(a.saturating_add(b), n + m),
            (State::SumFloat(a, n), State::SumFloat(b, m)) => State::SumFloat(a + b, n + m),
            (State::Moments { n: 0, .. }, b) => b,
            (a, State::Moments { n: 0, .. }) => a,
            (State::Moments { n, mean, m2 }, State::Moments { n: m, mean: other, m2: more }) => {
                let (all, gap) = ((n + m) as f64, other - mean);
                State::Moments {
                    n: n + m,
                    mean: mean + gap * m as f64 / all,
                    m2: m2 + more + gap * gap * n as f64 * m as f64 / all,
                }
            }
            (State::Least(a), State::Least(b)) => State::Least(match (a, b) {
                (Cell::Null, x) | (x, Cell::Null) => x,
                (a, b) => a.min(b),
            }),
            (State::Largest(a), State::Largest(b)) => State::Largest(a.max(b)),
            (a, _) => a,
        };
    }
}

/// A column as it is grouped and aggregated: one of four types, and the one that it comes back as.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) plain: DataType,
    pub(super) back: DataType,
}

pub(super) fn kind(t: &DataType) -> Option<Kind> {
    let plain = match t {
        DataType::Boolean => DataType::Boolean,
        t if t.is_integer() => DataType::Int64,
        t if t.is_temporal() => DataType::Int64,
        t if t.is_floating() || t.is_decimal() => DataType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => return kind(values),
        _ => return None,
    };
    Some(Kind { plain, back: t.clone() })
}

pub(super) fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let failed = |e: arrow_schema::ArrowError| Error::input(format!("a value cannot be grouped: {e}"), "");
    // 32-bit dates and times pass through whole numbers of their own width.
    match (array.data_type(), to) {
        (DataType::Date32 | DataType::Time32(_), DataType::Int64) => {
            let narrow = cast_with_options(array, &DataType::Int32, &options).map_err(failed)?;
            cast_with_options(&narrow, to, &options).map_err(failed)
        }
        (DataType::Int64, DataType::Date32 | DataType::Time32(_)) => {
            let narrow = cast_with_options(array, &DataType::Int32, &options).map_err(failed)?;
            cast_with_options(&narrow, to, &options).map_err(failed)
        }
        _ => cast_with_options(array, to, &options).map_err(failed),
    }
}

/// The cells of a column, one a row.
fn cells(array: &ArrayRef, kind: &Kind) -> Result<Vec<Cell>> {
    let array = cast(array, &kind.plain)?;
    Ok(match kind.plain {
        DataType::Boolean => array.as_boolean().iter().map(|v| v.map_or(Cell::Null, Cell::Boolean)).collect(),
        DataType::Int64 => {
            array.as_primitive::<Int64Type>().iter().map(|v| v.map_or(Cell::Null, Cell::Int)).collect()
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            values.map(|v| v.map_or(Cell::Null, |x| Cell::Float(ordered(x)))).collect()
        }
        _ => array
            .as_string::<i32>()
            .iter()
            .map(|v| v.map_or(Cell::Null, |s| Cell::Text(s.to_string())))
            .collect(),
    })
}

/// The column of some cells.
pub(super) fn column(cells: impl Iterator<Item = Cell>, kind: &Kind) -> Result<ArrayRef> {
    let array: ArrayRef = match kind.plain {
        DataType::Boolean => Arc::new(
            cells.map(|c| if let Cell::Boolean(b) = c { Some(b) } else { None }).collect::<BooleanArray>(),
        ),
        DataType::Int64 => {
            Arc::new(cells.map(|c| if let Cell::Int(i) = c { Some(i) } else { None }).collect::<Int64Array>())
        }
        DataType::Float64 => Arc::new(
            cells
                .map(|c| if let Cell::Float(x) = c { Some(unordered(x)) } else { None })
                .collect::<Float64Array>(),
        ),
        _ => Arc::new(
            cells.map(|c| if let Cell::Text(s) = c { Some(s) } else { None }).collect::<StringArray>(),
        ),
    };
    cast(&array, &kind.back)
}

/// How a frame is grouped.
struct Plan {
    keys: Vec<(usize, Kind)>,
    aggregates: Vec<(usize, Aggregate, Kind)>,
    schema: SchemaRef,
}

pub(super) fn grouped(frame: &Frame, keys: &[&str], aggregates: &[(&str, Aggregate)]) -> Result<Frame> {
    let mut names: Vec<&str> = vec![];
    for name in keys.iter().copied().chain(aggregates.iter().map(|(name, _)| *name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let narrow = frame.select(&names)?;
    let plan = Arc::new(Plan::new(narrow.schema(), keys, aggregates)?);
    let (for_blocks, for_groups) = (plan.clone(), plan.clone());
    let partial = narrow
        .dataset()
        .try_map(move |block| for_blocks.partial(&block).map_err(super::eval_errors::as_bad_record));
    let groups = partial.flat_map(|groups| groups).reduce_by_key(|a: &mut Vec<State>, b: Vec<State>| {
        a.iter_mut().zip(b).for_each(|(a, b)| a.merge(b));
    });
    let blocks = groups
        .map_partitions(move |groups| std::iter::once(for_groups.batch(groups)))
        .try_map(|batch| batch.map(RecordBlock).map_err(slackwater_dataflow::BadRecord::new));
    let blocks = blocks.filter(|block| block.num_rows() > 0);
    Ok(Frame::from_dataset(blocks, plan.schema.clone()))
}

impl Plan {
    fn new(schema: &SchemaRef, keys: &[&str], aggregates: &[(&str, Aggregate)]) -> Result<Plan> {
        let find = |name: &str| -> Result<(usize, Kind)> {
            let at = schema.index_of(name).map_err(|_| no_column(name, schema))?;
            let of = schema.field(at).data_type();
            let kind =
                kind(of).ok_or_else(|| Error::usage(format!("`{name}` of type {of} cannot be grouped")))?;
            Ok((at, kind))
        };
        let keys: Vec<(usize, Kind)> = keys.iter().map(|n| find(n)).collect::<Result<_>>()?;
        let mut fields: Vec<Field> = keys.iter().map(|(at, _)| schema.field(*at).clone()).collect();
        let mut plans = vec![];
        for (name, aggregate) in aggregates {
            let (at, mut kind) = find(name)?;
            let of = schema.field(at).data_type();
            let needs_numbers = matches!(aggregate, Aggregate::Sum | Aggregate::Mean | Aggregate::Deviation);
            if needs_numbers && !of.is_numeric() {
                let what = aggregate.name();
                return Err(Error::usage(format!(
                    "{what}({name}) needs numbers, but the column has the type {of}"
                )));
            }
            let result = match (aggregate, &kind.plain) {
                (Aggregate::Count, _) => DataType::UInt64,
                (Aggregate::Sum, DataType::Int64) => DataType::Int64,
                (Aggregate::Sum | Aggregate::Mean | Aggregate::Deviation, _) => DataType::Float64,
                (Aggregate::Min | Aggregate::Max, _) => kind.back.clone(),
            };
            fields.push(Field::new(format!("{}({name})", aggregate.name()), result.clone(), true));
            if matches!(aggregate, Aggregate::Mean | Aggregate::Deviation) {
                kind.plain = DataType::Float64;
            }
            plans.push((at, *aggregate, kind));
        }
        Ok(Plan { keys, aggregates: plans, schema: Arc::new(Schema::new(fields)) })
    }

    /// The groups of one block, in the order in which they first occur.
    fn partial(&self, block: &RecordBlock) -> Result<Vec<(Vec<Cell>, Vec<State>)>> {
        let columns = |at: usize, kind: &Kind| cells(block.column(at), kind).map(Vec::into_iter);
        let mut keys = self.keys.iter().map(|(at, kind)| columns(*at, kind)).collect::<Result<Vec<_>>>()?;
        let mut values =
            self.aggregates.iter().map(|(at, _, kind)| columns(*at, kind)).collect::<Result<Vec<_>>>()?;
        let mut places: HashMap<Vec<Cell>, usize> = HashMap::new();
        let mut groups: Vec<(Vec<Cell>, Vec<State>)> = vec![];
        for _ in 0..block.num_rows() {
            let key: Vec<Cell> = keys.iter_mut().map(|k| k.next().expect("a cell a row")).collect();
            let states = self.aggregates.iter().zip(&mut values);
            let states: Vec<State> =
                states.map(|((_, a, kind), v)| state(*a, kind, v.next().expect("a cell a row"))).collect();
            match places.get(&key) {
                Some(at) => {
                    groups[*at].1.iter_mut().zip(states).for_each(|(a, b)| a.merge(b));
                }
                None => {
                    places.insert(key.clone(), groups.len());
                    groups.push((key, states));
                }
            }
        }
        Ok(groups)
    }

    fn batch(&self, groups: impl Iterator<Item = (Vec<Cell>, Vec<State>)>) -> Result<RecordBatch, String> {
        let (mut keys, mut states) = (vec![vec![]; self.keys.len()], vec![vec![]; self.aggregates.len()]);
        for (key, values) in groups {
            keys.iter_mut().zip(key).for_each(|(column, cell)| column.push(cell));
            states.iter_mut().zip(values).for_each(|(column, state)| column.push(state));
        }
        let keys = keys.into_iter().zip(&self.keys).map(|(cells, (_, kind))| column(cells.into_iter(), kind));
        let values = states
            .into_iter()
            .zip(&self.aggregates)
            .map(|(states, (_, aggregate, kind))| finished(states, *aggregate, kind));
        let columns = keys.chain(values).collect::<Result<Vec<_>>>().map_err(|e| e.to_string())?;
        let rows = arrow_array::RecordBatchOptions::new()
            .with_row_count(Some(columns.first().map_or(0, |c| c.len())));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows).map_err(|e| e.to_string())
    }
}

/// The state of one value.
fn state(aggregate: Aggregate, kind: &Kind, cell: Cell) -> State {
    let there = u64::from(cell != Cell::Null);
    match (aggregate, cell) {
        (Aggregate::Count, _) => State::Count(there),
        (Aggregate::Min, cell) => State::Least(cell),
        (Aggregate::Max, cell) => State::Largest(cell),
        (Aggregate::Sum, Cell::Int(i)) => State::SumInt(i128::from(i), 1),
        (Aggregate::Sum, Cell::Float(x)) => State::SumFloat(unordered(x), 1),
        (Aggregate::Sum, _) if kind.plain == DataType::Int64 => State::SumInt(0, 0),
        (Aggregate::Sum, _) => State::SumFloat(0.0, 0),
        (_, Cell::Float(x)) => State::Moments { n: 1, mean: unordered(x), m2: 0.0 },
        _ => State::Moments { n: 0, mean: 0.0, m2: 0.0 },
    }
}

/// The column of aggregates.
fn finished(states: Vec<State>, aggregate: Aggregate, kind: &Kind) -> Result<ArrayRef> {
    Ok(match (aggregate, &kind.plain) {
        (Aggregate::Min | Aggregate::Max, _) => {
            let cells = states.into_iter().map(|s| match s {
                State::Least(c) | State::Largest(c) => c,
                _ => Cell::Null,
            });
            column(cells, kind)?
        }
        (Aggregate::Count, _) => {
            let count = |s: &State| if let State::Count(n) = s { *n } else { 0 };
            Arc::new(states.iter().map(count).collect::<UInt64Array>())
        }
        (Aggregate::Sum, DataType::Int64) => {
            let sum = |s: &State| match s {
                State::SumInt(sum, n) if *n > 0 => i64::try_from(*sum).map(Some).map_err(|_| {
                    Error::input("a sum does not fit 64 bits", "multiply the column by 1.0 first")
                }),
                _ => Ok(None),
            };
            Arc::new(states.iter().map(sum).collect::<Result<Int64Array>>()?)
        }
        _ => {
            let value = |s: &State| match s {
                State::SumFloat(sum, n) => (*n > 0).then_some(*sum),
                State::Moments { n, mean, .. } if aggregate == Aggregate::Mean => (*n > 0).then_some(*mean),
                State::Moments { n, m2, .. } => (*n > 1).then(|| (m2 / (*n - 1) as f64).sqrt()),
                _ => None,
            };
            Arc::new(states.iter().map(value).collect::<Float64Array>())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Expr, col};
    use super::*;
    use arrow_array::Date32Array;
    use slackwater_dataflow::Context;

    fn block(city: &[Option<&str>], x: &[Option<f64>], n: &[Option<i32>]) -> RecordBlock {
        let day: Vec<i32> = (0..city.len() as i32).collect();
        let columns: [(&str, ArrayRef, bool); 4] = [
            ("city", Arc::new(StringArray::from(city.to_vec())), true),
            ("x", Arc::new(Float64Array::from(x.to_vec())), true),
            ("n", Arc::new(arrow_array::Int32Array::from(n.to_vec())), true),
            ("day", Arc::new(Date32Array::from(day)), true),
        ];
        RecordBlock(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
    }

    #[test]
    fn floats_keep_their_order() {
        let values = [f64::NEG_INFINITY, -2.0, -1e-300, 0.0, 1e-300, 3.0, f64::INFINITY, f64::NAN];
        for w in values.windows(2) {
            assert!(ordered(w[0]) < ordered(w[1]), "{w:?}");
        }
        assert_eq!(ordered(-0.0), ordered(0.0));
        values.iter().for_each(|x| assert_eq!(unordered(ordered(*x)).to_bits(), x.to_bits()));
    }

    #[test]
    fn groups_are_aggregated() {
        let cx = Context::local(2).unwrap();
        let blocks = vec![
            block(
                &[Some("Rome"), None, Some("Oslo")],
                &[Some(1.0), Some(5.0), None],
                &[Some(1), Some(2), None],
            ),
            block(
                &[Some("Rome"), Some("Oslo"), None],
                &[Some(4.0), None, Some(-0.5)],
                &[Some(i32::MAX), Some(7), Some(2)],
            ),
        ];
        let schema = blocks[0].schema();
        let frame = Frame::from_dataset(cx.parallelize(blocks, 2), schema);
        use Aggregate::*;
        let aggregates = [
            ("x", Count),
            ("x", Sum),
            ("x", Mean),
            ("x", Deviation),
            ("n", Sum),
            ("n", Max),
            ("day", Min),
            ("city", Max),
        ];
        let groups = frame.group_by(&["city"], &aggregates).unwrap();
        let names: Vec<&str> = groups.schema().fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            names,
            ["city", "count(x)", "sum(x)", "mean(x)", "std(x)", "sum(n)", "max(n)", "min(day)", "max(city)"]
        );
        let row = |condition: Expr| {
            let batch = groups.filter(condition).unwrap().collect().unwrap();
            assert_eq!(batch.num_rows(), 1);
            let text = |i: usize| arrow_cast::display::array_value_to_string(batch.column(i), 0).unwrap();
            (1..batch.num_columns()).map(text).collect::<Vec<_>>()
        };
        let deviation = |a: f64, b: f64| ((a - b).powi(2) / 2.0).sqrt().to_string();
        assert_eq!(
            row(col("city").eq("Rome")),
            ["2", "5.0", "2.5", &deviation(1.0, 4.0), "2147483648", "2147483647", "1970-01-01", "Rome"]
        );
        assert_eq!(row(col("city").eq("Oslo")), ["0", "", "", "", "7", "7", "1970-01-02", "Oslo"]);
        assert_eq!(
            row(col("city").is_null()),
            ["2", "4.5", "2.25", &deviation(5.0, -0.5), "4", "2", "1970-01-02", ""]
        );
        let all = frame.group_by(&[], &[("n", Sum)]).unwrap().collect().unwrap();
        assert_eq!((all.num_rows(), all.num_columns()), (1, 1));
        assert!(frame.group_by(&["city"], &[("city", Sum)]).is_err());
        assert!(frame.group_by(&["town"], &[]).is_err());
    }

    #[test]
    fn steps_are_done_in_order() {
        let cx = Context::local(1).unwrap();
        let blocks = vec![block(
            &[Some("a"), Some("b"), Some("c")],
            &[Some(1.0), Some(2.0), None],
            &[Some(3), Some(4), Some(5)],
        )];
        let schema = blocks[0].schema();
        let frame = Frame::from_dataset(cx.parallelize(blocks, 1), schema);
        let made =
            frame.with_column("x", col("x") * 2.0).unwrap().with_column("y", col("x") + col("n")).unwrap();
        let made =
            made.filter(col("y").gt(5.0)).unwrap().rename("y", "z").unwrap().select(&["z", "city"]).unwrap();
        assert_eq!(made.count().unwrap(), 1);
        let batch = made.collect().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Float64Type>().values(), &[8.0]);
        assert_eq!(frame.head(2).unwrap().num_rows(), 2);
        assert_eq!(frame.drop_columns(&["x", "day"]).unwrap().schema().fields().len(), 2);
        for wrong in [
            frame.select(&["q"]),
            frame.filter(col("x")),
            frame.drop_columns(&["q"]),
            frame.rename("q", "r"),
            frame.with_column("a", col("q")),
        ] {
            assert_eq!(wrong.err().map(|e| e.exit_code()), Some(2));
        }
    }
}
