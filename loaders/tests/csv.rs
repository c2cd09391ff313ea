//! The CSV reader against a naive one, whatever the splits, and what it says about what is wrong.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use slackwater_dataflow::{BadRecord, Result};
use slackwater_loaders::format::csv::{CsvOptions, CsvTable};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, Split};
use std::sync::Arc;

/// A value, written so that what is different reads different.
fn show(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_string();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => {
            let x = array.as_primitive::<Float64Type>().value(row);
            if x.is_nan() { "NaN".to_string() } else { format!("{x:?}f{:x}", x.to_bits()) }
        }
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
        DataType::Date32 => format!("day {}", array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => {
            format!("µs {}", array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        other => panic!("{other}"),
    }
}

type Rows = Vec<Vec<String>>;

fn rows_of(batch: &RecordBatch, into: &mut Rows) {
    for row in 0..batch.num_rows() {
        into.push(batch.columns().iter().map(|c| show(c, row)).collect());
    }
}

/// All rows of a table, and the bad records; pieces in the order given.
fn read_pieces(table: &CsvTable, scan: &Scan, order: &[usize]) -> Result<(Rows, Vec<BadRecord>)> {
    let mut pieces = vec![(vec![], vec![]); table.pieces()];
    for piece in order {
        let (rows, bad) = &mut pieces[*piece];
        let mut reader = table.open(*piece, scan)?;
        while let Some(batch) = reader.next_batch(&mut |record| {
            bad.push(record);
            Ok(())
        })? {
            assert!(batch.num_rows() > 0);
            assert_eq!(batch.schema(), scan.schema(table.schema()));
            rows_of(&batch, rows);
        }
    }
    let (rows, bad): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
    Ok((rows.concat(), bad.concat()))
}

fn read(table: &CsvTable) -> (Rows, Vec<BadRecord>) {
    let order: Vec<_> = (0..table.pieces()).collect();
    read_pieces(table, &Scan::default(), &order).expect("the table can be read")
}

fn open(text: impl Into<Vec<u8>>, options: &CsvOptions) -> Result<CsvTable> {
    CsvTable::of_files(&[InputFile::from_bytes("data.csv", text)], 1, options)
}

/// Columns of text.
fn texts(names: &[&str]) -> SchemaRef {
    let fields: Vec<_> = names.iter().map(|n| Field::new(*n, DataType::Utf8, true)).collect();
    Arc::new(Schema::new(fields))
}

/// What the types of a table are called, for short.
fn types(table: &CsvTable) -> String {
    let names = table.schema().fields().iter().map(|f| match f.data_type() {
        DataType::Boolean => "b",
        DataType::Int64 => "i",
        DataType::Float64 => "f",
        DataType::Utf8 => "s",
        DataType::Date32 => "d",
        DataType::Timestamp(_, None) => "t",
        DataType::Timestamp(..) => "z",
        other => panic!("{other}"),
    });
    names.collect()
}

#[test]
fn a_table_is_read() {
    let text = "\u{feff}name,n,x,ok,day,at\r\n\"a,\"\"b\"\"\nc\",1,0.5,true,2024-02-29,2024-02-29T12:00:00Z\r\nNA,-2,1e3,false,?,\n,NA,NaN,NA,1970-01-01,1970-01-01 00:00:01Z";
    let table = open(text, &CsvOptions::default()).unwrap();
    assert_eq!(types(&table), "sifbdz");
    let (rows, bad) = read(&table);
    assert_eq!(bad, []);
    assert_eq!(
        rows,
        [
            ["\"a,\\\"b\\\"\\nc\"", "1", "0.5f3fe0000000000000", "true", "day 19782", "µs 1709208000000000"],
            ["null", "-2", "1000.0f408f400000000000", "false", "null", "null"],
            ["null", "null", "NaN", "null", "day 0", "µs 1000000"],
        ]
    );
}
