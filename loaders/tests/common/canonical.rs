//! Values as text that other programs can write just as well: what golden files have checksums of.
//!
//! `-` is null. Numbers are decimal; floats are the hexadecimal digits of their bits, after `h`, `f` or `d` for 16, 32 or 64 of
//! them; decimals are the unscaled number, `e` and the power of ten. Texts and bytes are `x` and hexadecimal digits. Times are numbers
//! and their unit, and `Z` if there is a time zone. `[..]` is a list or a map, whose entries are `key=value`, `{name:value,..}` a struct.
#![allow(dead_code)] // each test file uses a part

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, downcast_dictionary_array};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use std::fmt::{Display, Write as _};

/// Writes the value at `row`.
pub fn write(out: &mut String, array: &dyn Array, row: usize) {
    let kind = array.data_type();
    if *kind == DataType::Null || array.is_null(row) {
        out.push('-');
        return;
    }
    macro_rules! number {
        ($t:ty) => {
            put(out, array.as_primitive::<$t>().value(row))
        };
        ($t:ty, $unit:expr) => {{
            number!($t);
            out.push_str($unit)
        }};
    }
    macro_rules! decimal {
        ($t:ty, $scale:expr) => {
            put(out, format_args!("{}e{}", array.as_primitive::<$t>().value(row), -i32::from(*$scale)))
        };
    }
    match kind {
        DataType::Boolean => out.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => {
            put(out, format_args!("h{:04x}", array.as_primitive::<Float16Type>().value(row).to_bits()));
        }
        DataType::Float32 => {
            put(out, format_args!("f{:08x}", array.as_primitive::<Float32Type>().value(row).to_bits()));
        }
        DataType::Float64 => {
            put(out, format_args!("d{:016x}", array.as_primitive::<Float64Type>().value(row).to_bits()));
        }
        DataType::Decimal32(_, scale) => decimal!(Decimal32Type, scale),
        DataType::Decimal64(_, scale) => decimal!(Decimal64Type, scale),
        DataType::Decimal128(_, scale) => decimal!(Decimal128Type, scale),
        DataType::Decimal256(_, scale) => decimal!(Decimal256Type, scale),
        DataType::Utf8 => bytes(out, array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => bytes(out, array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => bytes(out, array.as_string_view().value(row).as_bytes()),
        DataType::Binary => bytes(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytes(out, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => number!(Date32Type, "day"),
        DataType::Date64 => number!(Date64Type, "ms"),
        DataType::Time32(TimeUnit::Second) => number!(Time32SecondType, "s"),
        DataType::Time32(_) => number!(Time32MillisecondType, "ms"),
        DataType::Time64(TimeUnit::Microsecond) => number!(Time64MicrosecondType, "us"),
        DataType::Time64(_) => number!(Time64NanosecondType, "ns"),
        DataType::Duration(unit) => {
            time_of::<
                DurationSecondType,
                DurationMillisecondType,
                DurationMicrosecondType,
                DurationNanosecondType,
            >(out, array, row, unit);
        }
        DataType::Timestamp(unit, zone) => {
            time_of::<
                TimestampSecondType,
                TimestampMillisecondType,
                TimestampMicrosecondType,
                TimestampNanosecondType,
            >(out, array, row, unit);
            out.push_str(if zone.is_some() { "Z" } else { "" });
        }
        DataType::Interval(IntervalUnit::YearMonth) => number!(IntervalYearMonthType, "mon"),
        DataType::Interval(IntervalUnit::DayTime) => {
            let v = array.as_primitive::<IntervalDayTimeType>().value(row);
            put(out, format_args!("{}day{}ms", v.days, v.milliseconds));
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let v = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            put(out, format_args!("{}mon{}day{}ns", v.months, v.days, v.nanoseconds));
        }
        DataType::List(_) => list(out, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(out, &array.as_list::<i64>().value(row)),
        DataType::ListView(_) => list(out, &array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => list(out, &array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(out, &array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            surrounded(out, '[', ']', entries.len(), |out, i| {
                write(out, entries.column(0), i);
                out.push('=');
                write(out, entries.column(1), i);
            });
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            surrounded(out, '{', '}', columns.len(), |out, i| {
                put(out, format_args!("{}:", fields[i].name()));
                write(out, &columns[i], row);
            });
        }
        DataType::Union(..) => {
            let union = array.as_union();
            put(out, format_args!("{}:", union.type_id(row)));
            write(out, &union.value(row), 0);
        }
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => {
                let key = array.key(row).expect("it is not null");
                write(out, array.values(), key);
            }
            _ => unreachable!("it is a dictionary")
        ),
        other => panic!("no text for values of {other}"),
    }
}

/// How many values of a column are null.
pub fn nulls(array: &dyn Array) -> usize {
    if *array.data_type() == DataType::Null { array.len() } else { array.null_count() }
}

pub fn put(out: &mut String, value: impl Display) {
    let _ = write!(out, "{value}");
}

pub fn bytes(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push('x');
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// `count` things between two marks, with commas.
pub fn surrounded(
    out: &mut String,
    open: char,
    close: char,
    count: usize,
    mut each: impl FnMut(&mut String, usize),
) {
    out.push(open);
    for i in 0..count {
        if i > 0 {
            out.push(',');
        }
        each(out, i);
    }
    out.push(close);
}

fn list(out: &mut String, values: &ArrayRef) {
    surrounded(out, '[', ']', values.len(), |out, i| write(out, values, i));
}

pub fn unit_name(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn time_of<S, Ms, Us, Ns>(out: &mut String, array: &dyn Array, row: usize, unit: &TimeUnit)
where
    S: ArrowPrimitiveType<Native = i64>,
    Ms: ArrowPrimitiveType<Native = i64>,
    Us: ArrowPrimitiveType<Native = i64>,
    Ns: ArrowPrimitiveType<Native = i64>,
{
    let value = match unit {
        TimeUnit::Second => array.as_primitive::<S>().value(row),
        TimeUnit::Millisecond => array.as_primitive::<Ms>().value(row),
        TimeUnit::Microsecond => array.as_primitive::<Us>().value(row),
        TimeUnit::Nanosecond => array.as_primitive::<Ns>().value(row),
    };
    put(out, value);
    out.push_str(unit_name(unit));
}
