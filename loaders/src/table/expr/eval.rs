//! Expressions applied to batches.

use super::{Binary, Expr, Unary, Value};
use arrow_arith::{boolean, numeric};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Datum, RecordBatch, Scalar, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// A value for each row, or one for all.
enum Evaluated {
    Rows(ArrayRef),
    /// An array of one value, which was written in the expression.
    One(ArrayRef),
}

impl Evaluated {
    fn array(&self) -> &ArrayRef {
        match self {
            Evaluated::Rows(a) | Evaluated::One(a) => a,
        }
    }
    fn is_one(&self) -> bool {
        matches!(self, Evaluated::One(_))
    }
    fn map(&self, f: impl FnOnce(&ArrayRef) -> Result<ArrayRef>) -> Result<Evaluated> {
        Ok(match self {
            Evaluated::Rows(a) => Evaluated::Rows(f(a)?),
            Evaluated::One(a) => Evaluated::One(f(a)?),
        })
    }
    fn datum(&self) -> Box<dyn Datum> {
        match self {
            Evaluated::Rows(a) => Box::new(a.clone()),
            Evaluated::One(a) => Box::new(Scalar::new(a.clone())),
        }
    }
}

impl Expr {
    /// The type of the column that it makes of a table with this schema.
    ///
    /// # Errors
    /// Usage: a column that is not there, or of a type for which this has no meaning.
    pub fn data_type(&self, schema: &Schema) -> Result<DataType> {
        let empty = RecordBatch::new_empty(Arc::new(schema.clone()));
        Ok(self.evaluate(&empty)?.data_type().clone())
    }

    /// Checks that it is a condition on tables with this schema.
    ///
    /// # Errors
    /// As [`Expr::data_type`], and usage if it is not true or false.
    pub fn check_condition(&self, schema: &Schema) -> Result<()> {
        match self.data_type(schema)? {
            DataType::Boolean | DataType::Null => Ok(()),
            other => Err(Error::usage(format!("`{self}` is a condition, but has the type {other}"))),
        }
    }

    /// A value for each row.
    ///
    /// # Errors
    /// Usage: as [`Expr::data_type`]. Input: whole numbers that become too large.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(match self.value(batch)? {
            Evaluated::Rows(array) => array,
            Evaluated::One(one) if one.data_type() == &DataType::Null => {
                new_null_array(&DataType::Null, batch.num_rows())
            }
            Evaluated::One(one) => {
                let indices = arrow_array::UInt32Array::from(vec![0; batch.num_rows()]);
                arrow_select::take::take(&one, &indices, None).map_err(|e| self.failed(&e))?
            }
        })
    }

    /// Which rows fulfil it; null is no.
    ///
    /// # Errors
    /// As [`Expr::evaluate`], and as [`Expr::check_condition`].
    pub fn condition(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let array = self.evaluate(batch)?;
        match array.data_type() {
            DataType::Null => Ok(BooleanArray::from(vec![false; array.len()])),
            DataType::Boolean if array.null_count() == 0 => Ok(array.as_boolean().clone()),
            DataType::Boolean => Ok(arrow_select::filter::prep_null_mask_filter(array.as_boolean())),
            other => Err(Error::usage(format!("`{self}` is a condition, but has the type {other}"))),
        }
    }

    /// The rows that fulfil it.
    ///
    /// # Errors
    /// As [`Expr::condition`].
    pub fn filter(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        filter_record_batch(batch, &self.condition(batch)?).map_err(|e| self.failed(&e))
    }

    fn value(&self, batch: &RecordBatch) -> Result<Evaluated> {
        match self {
            Expr::Column(name) => match batch.schema_ref().index_of(name) {
                Ok(i) => Ok(Evaluated::Rows(plain(batch.column(i))?)),
                Err(_) => Err(no_column(name, batch.schema_ref())),
            },
            Expr::Literal(value) => Ok(Evaluated::One(value.array())),
            Expr::Unary(op, a) => {
                let a = a.value(batch)?;
                a.map(|a| self.changed(*op, a))
            }
            Expr::Binary(op, a, b) => self.binary_value(*op, &a.value(batch)?, &b.value(batch)?),
            Expr::In(a, values) => {
                let a = a.value(batch)?;
                let mut found: Option<Evaluated> = None;
                for value in values {
                    let is = self.binary_value(Binary::Eq, &a, &Evaluated::One(value.array()))?;
                    found = Some(match found {
                        Some(before) => self.binary_value(Binary::Or, &before, &is)?,
                        None => is,
                    });
                }
                found.ok_or_else(|| Error::usage(format!("`{self}` has no values to choose from")))
            }
            Expr::Like(a, pattern) => {
                let a = a.value(batch)?.map(|a| self.cast(a, &DataType::Utf8))?;
                let pattern = Evaluated::One(Value::Text(pattern.clone()).array());
                let like =
                    arrow_string::like::like(&*a.datum(), &*pattern.datum()).map_err(|e| self.failed(&e))?;
                Ok(if a.is_one() { Evaluated::One(Arc::new(like)) } else { Evaluated::Rows(Arc::new(like)) })
            }
        }
    }

    fn changed(&self, op: Unary, a: &ArrayRef) -> Result<ArrayRef> {
        let number = |f: fn(f64) -> f64| -> Result<ArrayRef> {
            let a = self.cast_number(a, &DataType::Float64)?;
            Ok(Arc::new(a.as_primitive::<Float64Type>().unary::<_, Float64Type>(f)))
        };
        match op {
            Unary::Not => boolean::not(self.boolean(a)?.as_boolean())
                .map(|a| Arc::new(a) as _)
                .map_err(|e| self.failed(&e)),
            Unary::IsNull => boolean::is_null(a).map(|a| Arc::new(a) as _).map_err(|e| self.failed(&e)),
            Unary::IsNotNull => {
                boolean::is_not_null(a).map(|a| Arc::new(a) as _).map_err(|e| self.failed(&e))
            }
            Unary::Neg => {
                let to = if a.data_type().is_floating() || a.data_type().is_decimal() {
                    DataType::Float64
                } else {
                    DataType::Int64
                };
                numeric::neg(&self.cast_number(a, &to)?).map_err(|e| self.failed(&e))
            }
            Unary::Abs => number(f64::abs),
            Unary::Ln => number(f64::ln),
            Unary::Ln1p => number(f64::ln_1p),
            Unary::Exp => number(f64::exp),
            Unary::Sqrt => number(f64::sqrt),
            Unary::Floor => number(f64::floor),
        }
    }

    fn binary_value(&self, op: Binary, a: &Evaluated, b: &Evaluated) -> Result<Evaluated> {
        let both_one = a.is_one() && b.is_one();
        let whole = |array: ArrayRef| if both_one { Evaluated::One(array) } else { Evaluated::Rows(array) };
        let result = match op {
            Binary::And | Binary::Or => {
                let rows = if a.is_one() { b.array().len() } else { a.array().len() };
                let spread = |x: &Evaluated| -> Result<ArrayRef> {
                    let array = self.boolean(x.array())?;
                    let one = array.as_boolean();
                    Ok(match x {
                        Evaluated::One(_) if one.is_null(0) => new_null_array(&DataType::Boolean, rows),
                        Evaluated::One(_) => Arc::new(BooleanArray::from(vec![one.value(0); rows])),
                        Evaluated::Rows(_) => array,
                    })
                };
                let (a, b) = (spread(a)?, spread(b)?);
                let f = if op == Binary::And { boolean::and_kleene } else { boolean::or_kleene };
                f(a.as_boolean(), b.as_boolean()).map(|x| Arc::new(x) as ArrayRef)
            }
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => {
                let to = match (op, a.array().data_type(), b.array().data_type()) {
                    (Binary::Div, ..) => DataType::Float64,
                    (_, a, b) if is_whole(a) && is_whole(b) => DataType::Int64,
                    _ => DataType::Float64,
                };
                let (a, b) = (a.map(|a| self.cast_number(a, &to))?, b.map(|b| self.cast_number(b, &to))?);
                let f = match op {
                    Binary::Add => numeric::add,
                    Binary::Sub => numeric::sub,
                    Binary::Mul => numeric::mul,
                    Binary::Div => numeric::div,
                    _ => numeric::rem,
                };
                f(&*a.datum(), &*b.datum())
            }
            _ => {
                let to = self.common(a, b)?;
                let (a, b) = (a.map(|a| self.cast(a, &to))?, b.map(|b| self.cast(b, &to))?);
                let f = match op {
                    Binary::Eq => cmp::eq,
                    Binary::NotEq => cmp::neq,
                    Binary::Lt => cmp::lt,
                    Binary::LtEq => cmp::lt_eq,
                    Binary::Gt => cmp::gt,
                    _ => cmp::gt_eq,
                };
                f(&*a.datum(), &*b.datum()).map(|x| Arc::new(x) as ArrayRef)
            }
        };
        result.map(whole).map_err(|e| self.failed(&e))
    }

    /// The type in which two values are compared.
    fn common(&self, a: &Evaluated, b: &Evaluated) -> Result<DataType> {
        use DataType::{Boolean, Float64, Int64, Null, Utf8};
        let (at, bt) = (a.array().data_type(), b.array().data_type());
        match (at, bt) {
            _ if at == bt => Ok(at.clone()),
            (Null, other) | (other, Null) => Ok(other.clone()),
            _ if is_number(at) && is_number(bt) => match is_whole(at) && is_whole(bt) {
                // Only these are not among the 64-bit ones with a sign.
                true if *at == DataType::UInt64 || *bt == DataType::UInt64 => Ok(DataType::Decimal128(20, 0)),
                true => Ok(Int64),
                false => Ok(Float64),
            },
            // A constant beside a date, a time or the like is one of these.
            (time, Utf8) if b.is_one() && time.is_temporal() => Ok(time.clone()),
            (Utf8, time) if a.is_one() && time.is_temporal() => Ok(time.clone()),
            (t, u) if t.is_temporal() && u.is_temporal() => {
                Ok(DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None))
            }
            (Boolean, _) | (_, Boolean) | (_, _) => {
                Err(Error::usage(format!("`{self}` compares {} with {}", at, bt)))
            }
        }
    }

    fn boolean(&self, a: &ArrayRef) -> Result<ArrayRef> {
        match a.data_type() {
            DataType::Boolean => Ok(a.clone()),
            DataType::Null => Ok(new_null_array(&DataType::Boolean, a.len())),
            other => Err(Error::usage(format!("`{self}` needs conditions, but has one of type {other}"))),
        }
    }

    fn cast_number(&self, a: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        match a.data_type() {
            t if is_number(t) || *t == DataType::Null => self.cast(a, to),
            other => Err(Error::usage(format!("`{self}` needs numbers, but has a value of type {other}"))),
        }
    }

    fn cast(&self, a: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        if a.data_type() == to {
            return Ok(a.clone());
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(a, to, &options).map_err(|e| self.failed(&e))
    }

    fn failed(&self, e: &ArrowError) -> Error {
        match e {
            ArrowError::ArithmeticOverflow(_) => Error::input(
                format!("`{self}` becomes too large for 64 bits"),
                "multiply a value by 1.0 to reckon with fractions",
            ),
            ArrowError::DivideByZero => Error::input(
                format!("`{self}` divides by zero"),
                "leave such rows out, or multiply a value by 1.0",
            ),
            other => Error::usage(format!("`{self}`: {other}")),
        }
    }
}

/// Text in one of its layouts is plain text, and a dictionary is its values, so that there are fewer types to care for.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let to = match array.data_type() {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, values) => match **values {
            DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            ref other => other.clone(),
        },
        _ => return Ok(array.clone()),
    };
    arrow_cast::cast(array, &to).map_err(|e| Error::input(format!("a column cannot be read: {e}"), ""))
}

fn is_whole(t: &DataType) -> bool {
    t.is_integer() || *t == DataType::Null
}

fn is_number(t: &DataType) -> bool {
    t.is_numeric()
}

/// The error for a column that a table does not have, with those that it has.
pub(crate) fn no_column(name: &str, schema: &SchemaRef) -> Error {
    const SHOWN: usize = 20;
    let lower = name.to_lowercase();
    let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let hint = match names.iter().find(|n| n.to_lowercase() == lower) {
        Some(other) => format!("did you mean `{other}`?"),
        None => {
            let more = names.len().saturating_sub(SHOWN);
            names.truncate(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("there are {}{more}", names.join(", "))
        }
    };
    Error::usage(format!("there is no column `{name}`\n  hint: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::super::{col, lit};
    use super::*;
    use arrow_array::{
        ArrayRef, Date32Array, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
        UInt64Array,
    };

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 7] = [
            ("i", Arc::new(Int32Array::from(vec![Some(1), Some(-2), None, Some(4)]))),
            ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::NAN), Some(4.0)]))),
            ("s", Arc::new(StringArray::from(vec![Some("Rome"), Some("rom"), None, Some("")]))),
            ("u", Arc::new(UInt64Array::from(vec![0, 1, u64::MAX, 4]))),
            ("day", Arc::new(Date32Array::from(vec![0, 1, 365, 20_000]))),
            (
                "d",
                Arc::new(
                    vec!["a", "b", "a", "c"]
                        .into_iter()
                        .collect::<DictionaryArray<arrow_array::types::Int32Type>>(),
                ),
            ),
            ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Three values a row, as SQL has them.
    fn truths(text: &str) -> Vec<Option<bool>> {
        Expr::parse(text).unwrap().evaluate(&batch()).unwrap().as_boolean().iter().collect()
    }

    #[test]
    fn conditions_have_three_values() {
        let (t, f, n) = (Some(true), Some(false), None);
        for (text, want) in [
            ("i > 0", [t, f, n, t]),
            ("i = x", [f, n, n, t]),
            ("i > 0 or x = 0.5", [t, n, n, t]),
            ("i > 0 and b", [t, f, n, t]),
            ("not b", [f, t, n, f]),
            ("s = 'Rome'", [t, f, n, f]),
            ("s like 'r%m'", [f, t, n, f]),
            ("s is null", [f, f, t, f]),
            ("x is not null", [t, f, t, t]),
            ("u > 1", [f, f, t, t]),
            ("u > i", [f, t, n, f]),
            ("day >= '1970-01-02'", [f, t, t, t]),
            ("d in ('a', 'c')", [t, f, t, t]),
            ("i in (1, null)", [t, n, n, n]),
            ("i + 1 = 2", [t, f, n, f]),
            ("i / 2 = 0.5", [t, f, n, f]),
            ("i % 2 = 0", [f, t, n, t]),
            ("-i = 2", [f, t, n, f]),
            ("sqrt(x) = 2", [f, n, f, t]),
            ("1 < 2", [t, t, t, t]),
            ("null", [n, n, n, n]),
        ] {
            if text == "null" {
                assert_eq!(Expr::parse(text).unwrap().condition(&batch()).unwrap().true_count(), 0);
            } else {
                assert_eq!(truths(text), want, "{text}");
            }
        }
        let kept = Expr::parse("i > 0").unwrap().filter(&batch()).unwrap();
        assert_eq!(kept.num_rows(), 2);
    }

    #[test]
    fn values_are_made() {
        let x = (col("i") * 2 + lit(1)).evaluate(&batch()).unwrap();
        assert_eq!(x.as_ref(), &Int64Array::from(vec![Some(3), Some(-3), None, Some(9)]) as &dyn Array);
        assert_eq!((col("i") / 2).data_type(&batch().schema()).unwrap(), DataType::Float64);
        assert_eq!(lit("a").evaluate(&batch()).unwrap().len(), 4);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (text, part) in [
            ("age > 3", "no column `age`"),
            ("S = 'x'", "did you mean `s`?"),
            ("s > 3", "compares"),
            ("s + 1", "needs numbers"),
            ("i and b", "needs conditions"),
            ("day > 'yesterday'", "day"),
        ] {
            let e = Expr::parse(text).unwrap().evaluate(&batch()).unwrap_err();
            assert!(e.to_string().contains(part) && e.exit_code() == 2, "{text}: {e}");
        }
        let e = Expr::parse("i * 9223372036854775807 > 0").unwrap().evaluate(&batch()).unwrap_err();
        assert!(e.to_string().contains("too large") && e.exit_code() == 3, "{e}");
        let e = Expr::parse("i % 0 = 1").unwrap().evaluate(&batch()).unwrap_err();
        assert!(e.to_string().contains("divides by zero"), "{e}");
        assert!(col("i").check_condition(&batch().schema()).is_err());
    }
}
