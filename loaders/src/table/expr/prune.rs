//! What can be left out unread: stretches of a file of which only the least and the largest values are known.

use super::{Binary, Expr, Unary, Value};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use std::sync::Arc;

/// What is known of one column in each of some stretches of a file (row groups, pages).
pub struct ColumnBounds {
    /// Least values; null where they are not known.
    pub min: ArrayRef,
    /// Largest values.
    pub max: ArrayRef,
    /// How many values are null; null where that is not known.
    pub nulls: UInt64Array,
    /// How many rows there are.
    pub rows: UInt64Array,
}

/// Stretches of a file.
pub trait Stretches {
    /// How many they are.
    fn count(&self) -> usize;
    /// What is known of a column.
    fn bounds(&self, column: &str) -> Option<ColumnBounds>;
}

impl Expr {
    /// For each stretch: false if none of its rows can fulfil the condition. True is always a right answer, and the one
    /// given where nothing is known.
    pub fn may_hold(&self, stretches: &dyn Stretches) -> Vec<bool> {
        self.may_be(true, stretches)
    }

    /// False where the condition is `wanted` for no row.
    fn may_be(&self, wanted: bool, stretches: &dyn Stretches) -> Vec<bool> {
        let unknown = || vec![true; stretches.count()];
        match self {
            Expr::Unary(Unary::Not, a) => a.may_be(!wanted, stretches),
            Expr::Binary(op @ (Binary::And | Binary::Or), a, b) => {
                let (a, b) = (a.may_be(wanted, stretches), b.may_be(wanted, stretches));
                let both = (*op == Binary::And) == wanted;
                a.into_iter().zip(b).map(|(a, b)| if both { a && b } else { a || b }).collect()
            }
            Expr::Binary(op, a, b) => match (&**a, &**b) {
                (Expr::Column(c), Expr::Literal(v)) => compare(c, *op, v, wanted, stretches),
                (Expr::Literal(v), Expr::Column(c)) => match turned(*op) {
                    Some(op) => compare(c, op, v, wanted, stretches),
                    None => None,
                },
                _ => None,
            }
            .unwrap_or_else(unknown),
            Expr::In(a, values) if wanted => {
                let Expr::Column(c) = &**a else { return unknown() };
                let mut any = vec![false; stretches.count()];
                for value in values {
                    match compare(c, Binary::Eq, value, true, stretches) {
                        Some(may) => any.iter_mut().zip(may).for_each(|(any, may)| *any |= may),
                        None => return unknown(),
                    }
                }
                any
            }
            Expr::Unary(op @ (Unary::IsNull | Unary::IsNotNull), a) => {
                let Expr::Column(c) = &**a else { return unknown() };
                let Some(bounds) = stretches.bounds(c) else { return unknown() };
                let wants_null = (*op == Unary::IsNull) == wanted;
                let known = bounds.nulls.iter().zip(&bounds.rows);
                known
                    .map(|(nulls, rows)| match (nulls, wants_null) {
                        (None, _) => true,
                        (Some(nulls), true) => nulls > 0,
                        (Some(nulls), false) => Some(nulls) != rows,
                    })
                    .collect()
            }
            Expr::Literal(Value::Boolean(b)) => vec![*b == wanted; stretches.count()],
            _ => unknown(),
        }
    }
}

fn turned(op: Binary) -> Option<Binary> {
    Some(match op {
        Binary::Lt => Binary::Gt,
        Binary::LtEq => Binary::GtEq,
        Binary::Gt => Binary::Lt,
        Binary::GtEq => Binary::LtEq,
        Binary::Eq | Binary::NotEq => op,
        _ => return None,
    })
}

fn negated(op: Binary) -> Option<Binary> {
    Some(match op {
        Binary::Lt => Binary::GtEq,
        Binary::LtEq => Binary::Gt,
        Binary::Gt => Binary::LtEq,
        Binary::GtEq => Binary::Lt,
        Binary::Eq => Binary::NotEq,
        Binary::NotEq => Binary::Eq,
        _ => return None,
    })
}

/// Where `column op value` may be `wanted`. `None`: nothing is known.
fn compare(
    column: &str,
    op: Binary,
    value: &Value,
    wanted: bool,
    stretches: &dyn Stretches,
) -> Option<Vec<bool>> {
    let mut bounds = stretches.bounds(column)?;
    let all_null: Vec<bool> =
        bounds.nulls.iter().zip(&bounds.rows).map(|(nulls, rows)| nulls.is_some() && nulls == rows).collect();
    let floating = bounds.min.data_type().is_floating();
    if floating {
        // Some writers leave numbers that are none out of the bounds, and a zero may stand for the other one.
        if !wanted || matches!(op, Binary::NotEq | Binary::Gt | Binary::GtEq) {
            // A NaN is larger than all, so it may be there and fulfil this.
            return Some(all_null.into_iter().map(|none| !none).collect());
        }
        bounds = signed_zeros(bounds)?;
    }
    let op = if wanted { op } else { negated(op)? };
    let table = RecordBatch::try_from_iter([("min", bounds.min), ("max", bounds.max)]).ok()?;
    let (min, max) = (Expr::Column("min".to_string()), Expr::Column("max".to_string()));
    let value = Expr::Literal(value.clone());
    let may = match op {
        Binary::Lt | Binary::LtEq => Expr::binary(op, min, value),
        Binary::Gt | Binary::GtEq => Expr::binary(op, max, value),
        Binary::Eq => min.lt_eq(value.clone()) & max.gt_eq(value),
        Binary::NotEq => !(min.eq(value.clone()) & max.eq(value)),
        _ => return None,
    };
    // A constant that has no meaning for the column is not found here, but when the rows are looked at.
    let may = may.evaluate(&table).ok()?;
    let may: &BooleanArray = may.as_boolean_opt()?;
    Some(may.iter().zip(all_null).map(|(may, none)| !none && may.unwrap_or(true)).collect())
}

/// A least value of 0 may stand for -0, and a largest of -0 for 0.
fn signed_zeros(bounds: ColumnBounds) -> Option<ColumnBounds> {
    let widen = |a: &ArrayRef, zero: f64| -> Option<ArrayRef> {
        let a = arrow_cast::cast(a, &arrow_schema::DataType::Float64).ok()?;
        let a = a.as_primitive::<arrow_array::types::Float64Type>();
        Some(Arc::new(a.unary::<_, arrow_array::types::Float64Type>(|x| if x == 0.0 { zero } else { x })))
    };
    let (min, max) = (widen(&bounds.min, -0.0)?, widen(&bounds.max, 0.0)?);
    Some(ColumnBounds { min, max, ..bounds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, StringArray};
    use proptest::prelude::*;

    struct Cut(Vec<RecordBatch>);

    impl Stretches for Cut {
        fn count(&self) -> usize {
            self.0.len()
        }
        fn bounds(&self, column: &str) -> Option<ColumnBounds> {
            let columns: Vec<&ArrayRef> =
                self.0.iter().map(|b| b.column_by_name(column)).collect::<Option<_>>()?;
            let nulls = columns.iter().map(|c| Some(c.null_count() as u64)).collect();
            let rows = columns.iter().map(|c| Some(c.len() as u64)).collect();
            let (min, max): (ArrayRef, ArrayRef) = match column {
                "i" => {
                    let all = || columns.iter().map(|c| c.as_primitive::<arrow_array::types::Int64Type>());
                    let min: Int64Array = all().map(arrow_arith::aggregate::min).collect();
                    let max: Int64Array = all().map(arrow_arith::aggregate::max).collect();
                    (Arc::new(min), Arc::new(max))
                }
                "x" => {
                    // As Parquet has it: NaN left out.
                    let all = |f: fn(f64, f64) -> f64| -> Float64Array {
                        let values = columns.iter().map(|c| {
                            let c = c.as_primitive::<arrow_array::types::Float64Type>();
                            c.iter().flatten().filter(|x| !x.is_nan()).reduce(f)
                        });
                        values.collect()
                    };
                    (Arc::new(all(f64::min)), Arc::new(all(f64::max)))
                }
                _ => {
                    let all = || columns.iter().map(|c| c.as_string::<i32>());
                    let min: StringArray = all().map(arrow_arith::aggregate::min_string).collect();
                    let max: StringArray = all().map(arrow_arith::aggregate::max_string).collect();
                    (Arc::new(min), Arc::new(max))
                }
            };
            Some(ColumnBounds { min, max, nulls, rows })
        }
    }

    type Row = (Option<i64>, Option<f64>, Option<String>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("i", Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>())),
            ("x", Arc::new(rows.iter().map(|r| r.1).collect::<Float64Array>())),
            ("s", Arc::new(rows.iter().map(|r| r.2.clone()).collect::<StringArray>())),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn condition() -> impl Strategy<Value = Expr> {
        let op = || {
            prop::sample::select(vec![
                Binary::Eq,
                Binary::NotEq,
                Binary::Lt,
                Binary::LtEq,
                Binary::Gt,
                Binary::GtEq,
            ])
        };
        let float = || prop::sample::select(vec![-1.0, -0.0, 0.0, 1.5, f64::INFINITY]);
        let leaf = prop_oneof![
            (op(), -3i64..3).prop_map(|(op, v)| Expr::binary(op, super::super::col("i"), v.into())),
            (op(), float()).prop_map(|(op, v)| Expr::binary(op, super::super::col("x"), v.into())),
            (op(), "[a-c]{0,2}").prop_map(|(op, v)| Expr::binary(op, Expr::from(v), super::super::col("s"))),
            prop::sample::select(vec!["i", "x", "s"]).prop_map(|c| super::super::col(c).is_null()),
            prop::sample::select(vec!["i", "x", "s"]).prop_map(|c| super::super::col(c).is_not_null()),
            prop::collection::vec(-3i64..3, 1..3).prop_map(|v| super::super::col("i").is_in(v)),
        ];
        leaf.prop_recursive(3, 8, 2, |e| {
            prop_oneof![
                (e.clone(), e.clone()).prop_map(|(a, b)| a & b),
                (e.clone(), e.clone()).prop_map(|(a, b)| a | b),
                e.prop_map(|e| !e),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// A stretch that is left out has no row that is wanted.
        #[test]
        fn nothing_wanted_is_left_out(
            rows in prop::collection::vec(
                (prop::option::of(-3i64..3), prop::option::of(prop::sample::select(vec![-1.0, -0.0, 0.0, 1.5, f64::NAN])), prop::option::of("[a-c]{0,2}")),
                0..4,
            ),
            more in prop::collection::vec((prop::option::of(0i64..3), Just(None), Just(None)), 1..3),
            condition in condition(),
        ) {
            let batches = vec![batch(&rows), batch(&more)];
            let may = condition.may_hold(&Cut(batches.clone()));
            for (batch, may) in batches.iter().zip(may) {
                let holds = condition.condition(batch).unwrap().true_count() > 0;
                prop_assert!(may || !holds, "{} on {:?}", condition, batch);
            }
        }
    }

    #[test]
    fn what_is_not_wanted_is_left_out() {
        let batches = vec![
            batch(&[(Some(1), Some(1.0), None), (Some(3), Some(2.0), None)]),
            batch(&[(Some(7), None, Some("b".into()))]),
        ];
        for (text, want) in [
            ("i > 3", [false, true]),
            ("i >= 3 and not i = 7", [true, false]),
            ("7 > i", [true, false]),
            ("x < 1", [false, false]),
            ("x > 100", [true, false]), // a NaN could be there
            ("s = 'b'", [false, true]),
            ("s is null", [true, false]),
            ("i in (4, 5, 2)", [true, false]),
            ("i + 1 = 100", [true, true]),
        ] {
            assert_eq!(Expr::parse(text).unwrap().may_hold(&Cut(batches.clone())), want, "{text}");
        }
    }
}
