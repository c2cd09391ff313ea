//! The CSV reader against a naive one, whatever the splits, and what it says about what is wrong.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use slackwater_dataflow::{BadRecord, Result};
use slackwater_loaders::format::csv::{CsvOptions, CsvTable, CsvWriteOptions, CsvWriter};
use slackwater_loaders::table::{BatchWriter, Scan, TableSource};
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

/// A record, the slow way.
#[derive(Debug, Default, Clone)]
struct NaiveRecord {
    /// Its first line and its last one, from 1.
    lines: (u64, u64),
    /// Content, whether it was quoted, and whether something followed the quote.
    fields: Vec<(Vec<u8>, bool, bool)>,
    /// The last quote is not closed.
    open: bool,
}

/// The grammar as a machine of single bytes.
fn naive(text: &[u8], delimiter: u8, quote: Option<u8>, comment: Option<u8>) -> Vec<NaiveRecord> {
    #[derive(PartialEq)]
    enum At {
        Record,
        Comment,
        Field,
        Bare,
        Quoted,
        Closed,
        Garbage,
    }
    let mut text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).to_vec();
    if text.last().is_some_and(|b| *b != b'\n') {
        text.push(b'\n');
    }
    let (mut records, mut record, mut at, mut line) = (vec![], NaiveRecord::default(), At::Record, 1);
    for (i, &byte) in text.iter().enumerate() {
        let line_end = byte == b'\n' || (byte == b'\r' && text.get(i + 1) == Some(&b'\n'));
        if at == At::Record && !line_end {
            record = NaiveRecord { lines: (line, line), ..Default::default() };
            at = if Some(byte) == comment { At::Comment } else { At::Field };
        }
        if at == At::Field {
            let quoted = Some(byte) == quote;
            record.fields.push((vec![], quoted, false));
            at = if quoted { At::Quoted } else { At::Bare };
            if quoted {
                continue;
            }
        }
        if at == At::Closed && Some(byte) == quote {
            record.fields.last_mut().unwrap().0.push(byte);
            at = At::Quoted;
        } else if at == At::Quoted {
            if Some(byte) == quote {
                at = At::Closed;
            } else {
                record.fields.last_mut().unwrap().0.push(byte);
            }
        } else if at == At::Comment || at == At::Record {
            if byte == b'\n' {
                at = At::Record;
            }
        } else if byte == delimiter {
            at = At::Field;
        } else if byte == b'\n' {
            record.lines.1 = line;
            records.push(std::mem::take(&mut record));
            at = At::Record;
        } else if at == At::Closed && !line_end {
            record.fields.last_mut().unwrap().2 = true;
            at = At::Garbage;
        } else if at == At::Bare && !line_end {
            record.fields.last_mut().unwrap().0.push(byte);
        }
        line += u64::from(byte == b'\n');
    }
    if at == At::Quoted {
        record.open = true;
        record.lines.1 = line;
        records.push(record);
    }
    records
}

/// Rows of some columns of text, and between which lines each bad record is.
fn naive_rows(
    records: &[NaiveRecord],
    columns: usize,
    wanted: &[usize],
    nulls: &[&str],
) -> (Rows, Vec<(u64, u64)>) {
    let (mut rows, mut bad) = (vec![], vec![]);
    for record in records {
        let show = |number: &usize| {
            let (content, quoted, garbage) = record.fields.get(*number)?;
            let text = std::str::from_utf8(content).ok().filter(|_| !garbage)?;
            Some(if !quoted && nulls.contains(&text) { "null".to_string() } else { format!("{text:?}") })
        };
        let row: Option<Vec<String>> = wanted.iter().map(show).collect();
        match row.filter(|_| record.fields.len() == columns && !record.open) {
            Some(row) => rows.push(row),
            None => bad.push(record.lines),
        }
    }
    (rows, bad)
}

fn divided(file: &InputFile, cuts: &[prop::sample::Index]) -> Vec<Split> {
    let mut cuts: Vec<u64> = cuts.iter().map(|c| c.index(file.bytes() as usize + 1) as u64).collect();
    cuts.extend([0, file.bytes()]);
    cuts.sort_unstable();
    cuts.dedup();
    if cuts.len() == 1 {
        return vec![Split::whole(file.clone())];
    }
    cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect()
}

/// Text that is mostly right.
fn a_record() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        8 => "[a-c]{0,12}",
        2 => "[0-9.-]{0,6}",
        1 => Just("NA".to_string()),
        1 => "[a\u{e9}\u{20ac} ]{0,4}",
        4 => "\"[a\n,#;]{0,6}\"",
        3 => "\"([a\r\n,]{0,2}(\"\")?){0,3}\"",
        1 => "\"[a\n,]{0,3}\"[a\"]{0,2}",
        1 => "[ab]\"[a\"]{0,3}",
        1 => "\"[a\n,]{0,3}",
        1 => "#[a\",]{0,3}",
        1 => "a\r",
    ];
    let fields = prop_oneof![8 => 3..4usize, 2 => 0..6usize];
    fields.prop_flat_map(move |n| proptest::collection::vec(field.clone(), n)).prop_map(|f| f.join(","))
}

fn a_text() -> impl Strategy<Value = String> {
    let end = prop_oneof![6 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just("\n#\"x,\"\n"), 1 => Just("\n#,\"\n")];
    let mark = prop_oneof![9 => Just(""), 1 => Just("\u{feff}")];
    let last = prop_oneof![2 => Just(""), 1 => Just("\n")];
    (mark, proptest::collection::vec((a_record(), end), 0..10), a_record(), last).prop_map(
        |(mark, records, tail, last)| {
            let records: String = records.iter().map(|(r, e)| r.clone() + e).collect();
            format!("{mark}{records}{tail}{last}")
        },
    )
}

fn text_options(comment: bool, nulls: &[&str]) -> CsvOptions {
    CsvOptions {
        delimiter: Some(b','),
        header: Some(false),
        comment: comment.then_some(b'#'),
        columns: Some(texts(&["x", "y", "z"])),
        nulls: nulls.iter().map(|n| n.to_string()).collect(),
        ..Default::default()
    }
}

/// What a scan for `wanted` gives of a text, divided at `cuts`, is what the naive reader makes of it.
fn agrees_with_naive(
    text: &[u8],
    records: &[NaiveRecord],
    cuts: &[prop::sample::Index],
    seed: u64,
    options: &CsvOptions,
    wanted: &[usize],
) {
    let file = InputFile::from_bytes("data.csv", text);
    let scan = Scan { columns: Some(wanted.to_vec()), ..Default::default() };
    let whole = CsvTable::open(vec![Split::whole(file.clone())], options).unwrap();
    let whole = read_pieces(&whole, &scan, &[0]).unwrap();
    let nulls: Vec<&str> = options.nulls.iter().map(String::as_str).collect();
    let (rows, bad) = naive_rows(records, 3, wanted, &nulls);
    let shown = text.escape_ascii().to_string();
    assert_eq!(whole.0, rows, "{shown}");
    assert_eq!(whole.1.len(), bad.len(), "{:?} for {shown}", whole.1);
    for (found, lines) in whole.1.iter().zip(bad) {
        assert!((lines.0..=lines.1).contains(&found.line), "{found} is not in {lines:?} of {shown}");
        assert!(found.source == "data.csv" && found.column > 0 && !found.hint.is_empty(), "{found:?}");
    }
    // Divided, with pieces read in any order; then again, when more is known; and in order.
    let table = CsvTable::open(divided(&file, cuts), options).unwrap();
    let in_order: Vec<usize> = (0..table.pieces()).collect();
    let mut order = in_order.clone();
    order.sort_by_key(|p| (*p as u64 + 1).wrapping_mul(seed | 1) % 1009);
    assert_eq!(read_pieces(&table, &scan, &order).unwrap(), whole, "{shown} in order {order:?}");
    assert_eq!(read_pieces(&table, &scan, &in_order).unwrap(), whole, "{shown} again");
    let table = CsvTable::open(divided(&file, cuts), options).unwrap();
    assert_eq!(read_pieces(&table, &scan, &in_order).unwrap(), whole, "{shown} in order");
}

fn wanted_columns() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![0, 1, 2]), proptest::collection::vec(0..3usize, 0..4)]
}

/// Splits at any places.
fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn records_are_those_of_the_naive_reader_whatever_the_splits(
        text in a_text(), cuts in cuts(), seed: u64, comment: bool, wanted in wanted_columns(),
    ) {
        let options = text_options(comment, if seed.is_multiple_of(2) { &["NA", ""] } else { &["a"] });
        let records = naive(text.as_bytes(), b',', options.quote, options.comment);
        agrees_with_naive(text.as_bytes(), &records, &cuts, seed, &options, &wanted);
    }

    #[test]
    fn so_are_those_of_any_bytes(
        text in proptest::collection::vec(prop::sample::select(b"\",\n\r#ab\xc3\xa9\"\",,\n".to_vec()), 0..60),
        cuts in cuts(), seed: u64, comment: bool, wanted in wanted_columns(),
    ) {
        let options = text_options(comment, &[""]);
        let records = naive(&text, b',', options.quote, options.comment);
        agrees_with_naive(&text, &records, &cuts, seed, &options, &wanted);
    }

    #[test]
    fn so_are_those_of_text_without_quotes(text in a_text(), cuts in cuts(), seed: u64, wanted in wanted_columns()) {
        let options = CsvOptions { quote: None, ..text_options(true, &[]) };
        let records = naive(text.as_bytes(), b',', options.quote, options.comment);
        agrees_with_naive(text.as_bytes(), &records, &cuts, seed, &options, &wanted);
    }

    #[test]
    fn so_are_those_where_every_line_is_a_record(
        text in a_text(), cuts in cuts(), seed: u64, comment: bool, wanted in wanted_columns(),
    ) {
        let options = CsvOptions { quoted_line_ends: false, ..text_options(comment, &["NA"]) };
        let mut records = vec![];
        for (i, line) in text.split('\n').enumerate() {
            for mut record in naive((line.to_string() + "\n").as_bytes(), b',', options.quote, options.comment) {
                // What is left open reaches beyond the line that was given.
                record.lines = (i as u64 + 1, i as u64 + 1);
                records.push(record);
            }
        }
        agrees_with_naive(text.as_bytes(), &records, &cuts, seed, &options, &wanted);
    }

    #[test]
    fn values_are_those_of_std(
        rows in proptest::collection::vec(proptest::collection::vec(a_value(), 4), 0..12), cuts in cuts(), end in "\r?\n",
    ) {
        let kinds = [DataType::Float64, DataType::Int64, DataType::Boolean, DataType::Float64];
        let fields: Vec<_> = kinds.iter().enumerate().map(|(i, t)| Field::new(format!("c{i}"), t.clone(), true)).collect();
        let options = CsvOptions {
            header: Some(false),
            delimiter: Some(b','),
            columns: Some(Arc::new(Schema::new(fields))),
            ..Default::default()
        };
        let text: String = rows.iter().map(|r| r.join(",") + &end).collect();
        let file = InputFile::from_bytes("data.csv", text.clone());
        let found = read(&CsvTable::open(divided(&file, &cuts), &options).unwrap());
        let (mut want, mut bad) = (vec![], vec![]);
        for (i, row) in rows.iter().enumerate() {
            let values: Vec<Option<String>> =
                row.iter().zip(&kinds).map(|(text, kind)| naive_value(text, kind)).collect();
            match values.iter().position(Option::is_none) {
                None => want.push(values.into_iter().flatten().collect::<Vec<_>>()),
                Some(at) => bad.push((i as u64 + 1, 1 + row[..at].iter().map(|f| f.len() as u64 + 1).sum::<u64>())),
            }
        }
        prop_assert_eq!(found.0, want, "{}", text);
        let places: Vec<_> = found.1.iter().map(|b| (b.line, b.column)).collect();
        prop_assert_eq!(places, bad, "{}", text);
    }

    /// Nothing is given: whatever is found, nothing panics, and pieces are as the whole.
    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(
        bytes in prop_oneof![
            any::<Vec<u8>>(),
            proptest::collection::vec(prop::sample::select(b"\",\n\r#\t;|1.-enatrueNA ?:T\xc3\xa9\0".to_vec()), 0..200),
        ],
        cuts in cuts(), comment: bool, header: Option<bool>,
    ) {
        let options = CsvOptions { comment: comment.then_some(b'#'), header, infer_bytes: 40, ..Default::default() };
        let file = InputFile::from_bytes("any", bytes);
        if let Ok(table) = CsvTable::of_files(std::slice::from_ref(&file), 1, &options) {
            let whole = read(&table);
            if file.is_splittable() {
                prop_assert_eq!(read(&CsvTable::open(divided(&file, &cuts), &options).unwrap()), whole);
            }
        }
    }
}

/// A field of a number or a boolean, mostly right.
fn a_value() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        4 => "-?[0-9]{1,9}\\.[0-9]{1,9}",
        3 => "-?[0-9]{1,17}",
        2 => "[+-]?[0-9]{0,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?",
        2 => any::<f64>().prop_map(|x| format!("{x:?}")),
        2 => any::<i64>().prop_map(|x| x.to_string()),
        3 => prop::sample::select(vec!["true", "FALSE", "True", "tru", "T", "NA", "", "?", "nan", "-inf", "NaN", "null"])
            .prop_map(String::from),
    ];
    let around = prop::sample::select(vec![
        ("", ""),
        ("", ""),
        ("", ""),
        (" ", ""),
        ("", "\t "),
        ("\"", "\""),
        ("\" ", "\""),
    ]);
    (around, plain).prop_map(|((before, after), value)| format!("{before}{value}{after}"))
}

/// The value of a field; `None` if it is not one.
fn naive_value(text: &str, kind: &DataType) -> Option<String> {
    let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    let text = quoted.unwrap_or(text).trim_matches([' ', '\t']);
    if text.is_empty() || (quoted.is_none() && ["NA", "N/A", "null", "NULL", "?"].contains(&text)) {
        return Some("null".to_string());
    }
    match kind {
        DataType::Float64 => {
            let x: f64 = text.parse().ok()?;
            Some(if x.is_nan() { "NaN".to_string() } else { format!("{x:?}f{:x}", x.to_bits()) })
        }
        DataType::Int64 => text.parse::<i64>().ok().map(|x| x.to_string()),
        _ => match text {
            "true" | "True" | "TRUE" => Some("true".to_string()),
            "false" | "False" | "FALSE" => Some("false".to_string()),
            _ => None,
        },
    }
}

/// The parts of a table of all types, by row.
type Values = (Option<bool>, Option<i64>, Option<f64>, Option<String>, Option<i32>, Option<i64>);

fn some_values() -> impl Strategy<Value = Values> {
    let text = prop_oneof![
        "[a-z ]{0,6}",
        "[\",\n\r\t;#\u{feff}\u{e9}]{0,5}",
        prop::sample::select(vec!["NA", "null", "?", "NULL", "N/A", "", "1", "true", "2024-01-01"])
            .prop_map(String::from),
    ];
    (
        any::<Option<bool>>(),
        any::<Option<i64>>(),
        prop_oneof![
            any::<Option<f64>>(),
            prop::sample::select(vec![Some(0.0), Some(-0.0), Some(1.0), Some(f64::NAN), Some(1e300)])
        ],
        proptest::option::of(text),
        proptest::option::of(-719_528i32..2_932_897),
        proptest::option::of(-62_167_219_200_000_000i64..253_402_300_800_000_000),
    )
}

fn batch_of(rows: &[Values]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 6] = [
        ("b", Arc::new(rows.iter().map(|r| r.0).collect::<BooleanArray>())),
        ("i", Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>())),
        ("x", Arc::new(rows.iter().map(|r| r.2).collect::<Float64Array>())),
        ("a \"text\", so", Arc::new(rows.iter().map(|r| r.3.clone()).collect::<StringArray>())),
        ("d", Arc::new(rows.iter().map(|r| r.4).collect::<Date32Array>())),
        ("t", Arc::new(rows.iter().map(|r| r.5).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn written(batches: &[RecordBatch], options: &CsvWriteOptions) -> Result<Vec<u8>> {
    let mut text = vec![];
    let mut writer = Box::new(CsvWriter::new("out.csv", &mut text, &batches[0].schema(), options)?);
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    Ok(text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_reads_back(
        rows in proptest::collection::vec(some_values(), 0..12),
        columns in prop::sample::subsequence((0..6usize).collect::<Vec<_>>(), 1..=6),
        delimiter in prop::sample::select(b",\t;|".to_vec()),
        header: bool,
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        at in any::<prop::sample::Index>(),
    ) {
        let batch = batch_of(&rows).project(&columns).unwrap();
        let cut = at.index(rows.len() + 1);
        let parts = [batch.slice(0, cut), batch.slice(cut, rows.len() - cut)];
        let text = written(&parts, &CsvWriteOptions { delimiter, header }).unwrap();
        let file = InputFile::from_bytes("out.csv", text.clone());
        let options = CsvOptions {
            delimiter: Some(delimiter),
            header: Some(header),
            columns: Some(batch.schema()),
            ..Default::default()
        };
        let (found, bad) = read(&CsvTable::open(divided(&file, &cuts), &options).unwrap());
        let mut want = vec![];
        rows_of(&batch, &mut want);
        prop_assert_eq!(bad, vec![], "{}", text.escape_ascii());
        prop_assert_eq!(found, want, "{}", text.escape_ascii());
    }
}

fn found(text: &str) -> (String, String) {
    let table = open(text, &CsvOptions::default()).unwrap();
    let names = table.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(" ");
    (names, types(&table))
}

/// Names and types, and so whether there is a header and what is between fields.
#[test]
fn what_is_found_by_looking() {
    for (text, names, kinds) in [
        ("a,b\n1,2.5\n", "a b", "if"),
        ("1,2.5\n", "column_1 column_2", "if"),
        ("a;b\n1,5;2\n", "a b", "si"),
        ("a\tb\n1\tx y\n", "a b", "is"),
        ("a|b\n1|x\n", "a b", "is"),
        ("a\n1\n", "a", "i"),
        ("1\n2.5\n", "column_1", "f"),
        ("a,b\n", "a b", "ss"),
        ("a,b", "a b", "ss"),
        // All text: no header if its values occur again.
        ("p,x\np,y\ne,x\n", "column_1 column_2", "ss"),
        ("carrier,name\n9E,Endeavor\nAA,American\n", "carrier name", "ss"),
        // Row names without a name, and R's quotes.
        (",x\na,1\n", "column_1 x", "si"),
        ("\"\",\"x\"\n\"a\",1\n", "column_1 x", "si"),
        ("NA,x\na,1\n", "column_1 column_2", "ss"),
        ("a,a,a.1,b,,b,a\n1,2,3,4,5,6,7\n", "a a.2 a.1 b column_5 b.1 a.3", "iiiiiii"),
        // Quoted numbers are numbers, gaps are of any type, blanks around numbers are nothing.
        ("a,b,c\n\"1\",NA, 2\n2,,3.5 \n", "a b c", "isf"),
        ("a,b\ntrue,FALSE\nTrue,0\n", "a b", "bs"),
        ("a\n9223372036854775807\n", "a", "i"),
        ("a\n9223372036854775808\n", "a", "f"),
        ("a\n1\nNaN\n-inf\n", "a", "f"),
        ("a,b\n2024-01-31,2024-01-31 10:00\n1999-12-31,2024-01-31T10:00:00.25\n", "a b", "dt"),
        ("a\n2024-01-31T10:00:00Z\n", "a", "z"),
        ("a\n2024-01-31T10:00:00Z\n2024-01-31T10:00:00\n", "a", "s"),
        ("a\n2024-02-30\n", "a", "s"),
        ("\u{feff}\n\n\"a\nb\",c\n1,2\n", "a\nb c", "ii"),
    ] {
        let (found_names, found_kinds) = found(text);
        assert_eq!((found_names.as_str(), found_kinds.as_str()), (names, kinds), "{text:?}");
    }
}

#[test]
fn what_is_given_is_not_looked_for() {
    let rows = |text: &str, options: CsvOptions| {
        let table = open(text, &options).unwrap();
        let (rows, bad) = read(&table);
        assert_eq!(bad, [], "{text}");
        (types(&table), rows.into_iter().map(|r| r.join(" ")).collect::<Vec<_>>().join("; "))
    };
    let default = CsvOptions::default;
    let pair = |a: &str, b: String| (a.to_string(), b);
    let one = 1f64.to_bits();
    let half = 1.5f64.to_bits();
    assert_eq!(
        rows("a,b\n1,2\n", CsvOptions { types: vec![("b".into(), DataType::Float64)], ..default() }),
        pair("if", "1 2.0f4000000000000000".into())
    );
    assert_eq!(
        rows("a,b\n1,2\n", CsvOptions { header: Some(false), ..default() }),
        pair("ss", "\"a\" \"b\"; \"1\" \"2\"".into())
    );
    assert_eq!(rows("1,2\n3,4\n", CsvOptions { header: Some(true), ..default() }), pair("ii", "3 4".into()));
    assert_eq!(
        rows(
            "# x;y\nn;x\n1;1,5\n2;1\n",
            CsvOptions { comment: Some(b'#'), decimal_comma: true, ..default() }
        ),
        pair("if", format!("1 1.5f{half:x}; 2 1.0f{one:x}"))
    );
    assert_eq!(
        rows("a b\n1 2\n", CsvOptions { delimiter: Some(b' '), ..default() }),
        pair("ii", "1 2".into())
    );
    assert_eq!(
        rows(
            "3 rows, of which\nthis is one\na,b\n1,-\n",
            CsvOptions { skip_lines: 2, nulls: vec!["-".into()], ..default() }
        ),
        pair("is", "1 null".into())
    );
    assert_eq!(
        rows("a,b\n'x, y',\"\n", CsvOptions { quote: Some(b'\''), ..default() }),
        pair("ss", "\"x, y\" \"\\\"\"".into())
    );
    let given = CsvOptions { columns: Some(texts(&["a", "b"])), ..default() };
    assert_eq!(rows("a,b\n1,2\n", given.clone()), pair("ss", "\"1\" \"2\"".into()));
    assert_eq!(
        rows("1,2\n", given.clone()),
        pair("ss", "\"1\" \"2\"".into()),
        "no header is looked for in numbers"
    );
    assert_eq!(rows("", given.clone()), pair("ss", "".into()));
    assert_eq!(rows("a,b\n", given), pair("ss", "".into()));
}

#[test]
fn files_of_one_table() {
    let file = |name: &str, text: &str| InputFile::from_bytes(name, text);
    let files = [
        file("0.csv", ""),
        file("1.csv", "a,b\n1,x\n"),
        file("2.csv", "\n"),
        file("3.csv", "\u{feff}a,b\n2,y"),
    ];
    let table = CsvTable::of_files(&files, 1, &CsvOptions::default()).unwrap();
    assert_eq!(read(&table).0, [["1", "\"x\""], ["2", "\"y\""]]);
    assert_eq!(table.describe(), "csv 1.csv, 2.csv, 3.csv, 19 bytes, 2 columns");
    let files = [file("1.csv", "1,x\n2,z\n"), file("3.csv", "\u{feff}2,y")];
    let table = CsvTable::of_files(&files, 1, &CsvOptions::default()).unwrap();
    assert_eq!(read(&table).0, [["1", "\"x\""], ["2", "\"z\""], ["2", "\"y\""]]);
}

#[test]
fn what_is_no_table_is_said() {
    let said = |files: &[(&str, &str)], options: &CsvOptions| {
        let files: Vec<_> = files.iter().map(|(name, text)| InputFile::from_bytes(*name, *text)).collect();
        let e = CsvTable::of_files(&files, 1, options).unwrap_err();
        (e.exit_code(), e.to_string())
    };
    let default = CsvOptions::default;
    assert_eq!(
        said(&[("1.csv", "a,b\n1,x\n"), ("2.csv", "a,c,d\n2,y,z")], &default()),
        (
            3,
            "2.csv: the header differs from that of the first file: column 2 is `c` instead of `b` (3 columns instead of 2)\n  found:    a, c, d\n  expected: a, b\n  hint: the files of a table have the same columns in the same order; has one of them no header?"
                .to_string()
        )
    );
    let given = CsvOptions { columns: Some(texts(&["a", "b", "c"])), header: Some(true), ..default() };
    assert_eq!(
        said(&[("1.csv", "a,b\n1,x\n")], &given),
        (
            3,
            "1.csv: the header differs from the schema given: column 3 is nothing more instead of `c` (2 columns instead of 3)\n  found:    a, b\n  expected: a, b, c\n  hint: the files of a table have the same columns in the same order; has one of them no header?"
                .to_string()
        )
    );
    assert_eq!(
        said(&[("1.csv", "\n\n")], &default()).1,
        "1.csv has no record, so it has no columns\n  hint: is it the right file? A table without rows needs a header, or its columns must be given"
    );
    let typed = CsvOptions { types: vec![("z".into(), DataType::Int64)], ..default() };
    assert_eq!(
        said(&[("1.csv", "a,b\n1,x\n")], &typed).1,
        "1.csv has no column `z`, whose type is given\n  hint: its columns are: a, b"
    );
    for (options, name) in [
        (CsvOptions { delimiter: Some(b'\n'), ..default() }, "delimiter"),
        (CsvOptions { delimiter: Some(b'"'), ..default() }, "quote"),
        (CsvOptions { comment: Some(b'"'), ..default() }, "comment"),
        (CsvOptions { comment: Some(200), ..default() }, "comment"),
        (CsvOptions { delimiter: Some(b','), decimal_comma: true, ..default() }, "delimiter"),
        (CsvOptions { types: vec![("a".into(), DataType::Int8)], ..default() }, "columns"),
    ] {
        let (code, message) = said(&[("1.csv", "a,b\n1,x\n")], &options);
        assert!(code == 2 && message.contains(name), "{message}");
    }
    let cut = InputFile::from_bytes("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0".as_slice());
    let e = CsvTable::of_files(&[cut], 1, &default()).unwrap_err();
    assert!(e.to_string().starts_with("a.csv.gz: the gzip data end too early"), "{e}");
}

/// Each kind of bad record, and all that is said about it.
#[test]
fn what_is_said_about_bad_records() {
    let infer = "the type was found by looking at the start of the first file: give the type of this column (`types`), or let more of the file be looked at (`infer_bytes`)";
    let ragged = "every record must have a field for each column: is a delimiter within a field, which would have to be quoted, or does the header have no name for row names?";
    let quote = "quotes within a quoted field are doubled (\"\"), and after the last one comes a delimiter or the end of the line";
    for (record, want, hint) in [
        ("7,1.5,x", "data.csv:4:8: the record has 3 fields, the table has 4 columns\n  | 7,1.5,x", ragged),
        (
            "7,1.5,x,true,,9",
            "data.csv:4:14: the record has 6 fields, the table has 4 columns\n  | ,9",
            ragged,
        ),
        ("7", "data.csv:4:2: the record has 1 field, the table has 4 columns\n  | 7", ragged),
        ("1.5,1,x,true", "data.csv:4:1: column `n` is not an integer of 64 bits\n  | 1.5", infer),
        ("1,1e5x,x,true", "data.csv:4:3: column `x` is not a number\n  | 1e5x", infer),
        ("1,1,x,yes", "data.csv:4:7: column `ok` is not true or false\n  | yes", infer),
        (
            "1,1,\"x\"y,true",
            "data.csv:4:8: column `s`: something follows the closing quote\n  | \\\"x\\\"y",
            quote,
        ),
        ("1,1,\"x\n\nz\",5", "data.csv:6:4: column `ok` is not true or false\n  | 5", infer),
        ("1,\"a\nb\",x,5", "data.csv:4:3: column `x` is not a number\n  | \\\"a\\nb\\\"", infer),
    ] {
        let text = format!("n,x,s,ok\n\"1\",1.5,\"a\nb\",true\n{record}\n2,2.5,c,false\n");
        let options = CsvOptions { infer_bytes: 34, ..Default::default() };
        let (rows, bad) = read(&open(text, &options).unwrap());
        assert_eq!(rows.len(), 2, "{record}: only the bad record is left out");
        let said: Vec<_> = bad.iter().map(|b| b.to_string()).collect();
        assert_eq!(said, [format!("{want}\n  hint: {hint}")], "{record}");
    }
    let said = |text: &[u8], options: &CsvOptions| {
        let (rows, bad) = read(&open(text, options).unwrap());
        (rows.len(), bad.iter().map(|b| b.to_string()).collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(
        said(b"a,b\n1,2\n3,\"x\n4,5\n", &CsvOptions { infer_bytes: 9, ..Default::default() }),
        (1, "data.csv:3:3: a quoted field is not closed\n  | \\\"x\\n4,5\\n\n  hint: the field begins with a quote, so it goes on to the next one: close it, or read without a quote character".to_string())
    );
    assert_eq!(
        said(b"a,b\nx,\"y\xe9\"\nz,\xff\xff\nz,t\n", &CsvOptions::default()),
        (1, ["2:5: column `b`: byte 0xe9 is not UTF-8\n  | \\\"y\\xe9\\\"", "3:3: column `b`: byte 0xff is not UTF-8\n  | \\xff\\xff"]
            .map(|s| format!("data.csv:{s}\n  hint: the file is in another encoding than UTF-8: convert it first, for example with `iconv -f latin1 -t utf-8`"))
            .join("\n"))
    );
    let never =
        Schema::new(vec![Field::new("a", DataType::Int64, false), Field::new("b", DataType::Int64, true)]);
    let given = CsvOptions { columns: Some(Arc::new(never)), ..Default::default() };
    assert_eq!(
        said(b"a,b\n1,\n,2\nx,3\n", &given),
        (1, "data.csv:3:1: column `a` has no value\n  hint: the given schema says that the column always has a value\ndata.csv:4:1: column `a` is not an integer of 64 bits\n  | x\n  hint: the type of this column was given: give another one, or name what stands for no value (`nulls`)".to_string())
    );
}
