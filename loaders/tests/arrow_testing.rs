//! Every Arrow file and stream of apache/arrow-testing, against the JSON beside it, and every fuzzed one, when `SLACKWATER_DATA` says
//! where they are.

#[path = "common/canonical.rs"]
mod canonical;
mod common;

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use common::data;
use peak_alloc::PeakAlloc;
use serde_json::Value;
use slackwater_dataflow::Result;
use slackwater_loaders::format::arrow_ipc::{ArrowFileTable, ArrowStreamTable};
use slackwater_loaders::format::text::read_whole;
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Held by each test, so that what one allocates is not taken for what another does.
static READING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    READING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most bytes that reading any fuzzed file may take.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Longest that any may take, on a machine that does other things, too.
const TIME_MAX: Duration = Duration::from_secs(30);

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut todo, mut files) = (vec![folder.to_path_buf()], vec![]);
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => todo.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// The rows of some columns, each in canonical form.
fn rows(table: &dyn TableSource, columns: Option<Vec<usize>>) -> Result<Vec<String>> {
    let mut rows = vec![];
    let scan = Scan { columns, condition: None };
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &scan)?;
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            for row in 0..batch.num_rows() {
                let mut text = String::new();
                for column in batch.columns() {
                    canonical::write(&mut text, column, row);
                    text.push('\t');
                }
                rows.push(text);
            }
        }
    }
    Ok(rows)
}

/// The JSON form of a table.
struct Gold {
    json: Value,
}

impl Gold {
    fn read(path: &Path) -> Gold {
        let file = InputFile::from_path(path).expect("the gold");
        let text = read_whole(&file, 1 << 28, ReadLimits::default()).expect("the gold is a text");
        Gold { json: serde_json::from_str(&text).expect("the gold is JSON") }
    }
    fn fields(&self) -> &[Value] {
        array(&self.json["schema"]["fields"])
    }
    fn rows(&self, columns: &[usize]) -> Vec<String> {
        let dictionaries = self.json["dictionaries"].as_array().map(Vec::as_slice).unwrap_or_default();
        let dictionaries =
            dictionaries.iter().map(|d| (integer(&d["id"]), &d["data"]["columns"][0])).collect();
        let mut rows = vec![];
        for batch in array(&self.json["batches"]) {
            for row in 0..index(&batch["count"]) {
                let mut text = String::new();
                for c in columns {
                    value(&mut text, &self.fields()[*c], &batch["columns"][*c], row, &dictionaries);
                    text.push('\t');
                }
                rows.push(text);
            }
        }
        rows
    }
}

fn array(json: &Value) -> &[Value] {
    json.as_array().expect("an array")
}
fn text(json: &Value) -> &str {
    json.as_str().expect("a text")
}
/// A number, which is in quotes where it may have 64 bits.
fn integer(json: &Value) -> i128 {
    json.to_string().trim_matches('"').parse().expect("a whole number")
}
fn index(json: &Value) -> usize {
    usize::try_from(integer(json)).expect("an index")
}

/// Writes a value in canonical form.
fn value(out: &mut String, field: &Value, column: &Value, row: usize, dictionaries: &HashMap<i128, &Value>) {
    if let Some(id) = field.get("dictionary").map(|d| integer(&d["id"])) {
        match integer(&column["VALIDITY"][row]) {
            0 => out.push('-'),
            _ => plain(out, field, dictionaries[&id], index(&column["DATA"][row]), dictionaries),
        }
    } else {
        plain(out, field, column, row, dictionaries);
    }
}

fn plain(out: &mut String, field: &Value, column: &Value, row: usize, dictionaries: &HashMap<i128, &Value>) {
    let kind = &field["type"];
    let fields = array(&field["children"]);
    let data = || &column["DATA"][row];
    let child = |out: &mut String, c: usize, row: usize| {
        value(out, &fields[c], &column["children"][c], row, dictionaries);
    };
    let unit = || canonical::unit_name(&time_unit(kind));
    match text(&kind["name"]) {
        "null" => return out.push('-'),
        "union" => {
            let id = &column["TYPE_ID"][row];
            let place = array(&kind["typeIds"]).iter().position(|i| i == id).expect("one of the types");
            canonical::put(out, format_args!("{id}:"));
            let at = if kind["mode"] == "DENSE" { index(&column["OFFSET"][row]) } else { row };
            return child(out, place, at);
        }
        _ if integer(&column["VALIDITY"][row]) == 0 => return out.push('-'),
        _ => {}
    }
    let offsets = || index(&column["OFFSET"][row])..index(&column["OFFSET"][row + 1]);
    let list = |out: &mut String, range: std::ops::Range<usize>| {
        canonical::surrounded(out, '[', ']', range.len(), |out, i| child(out, 0, range.start + i));
    };
    match text(&kind["name"]) {
        "int" => canonical::put(out, integer(data())),
        "bool" => out.push(if matches!(data(), Value::Bool(true)) || *data() == 1 { 't' } else { 'f' }),
        "floatingpoint" => {
            let digits = data().to_string();
            match text(&kind["precision"]) {
                "SINGLE" => {
                    canonical::put(
                        out,
                        format_args!("f{:08x}", digits.parse::<f32>().expect("a number").to_bits()),
                    );
                }
                "DOUBLE" => {
                    canonical::put(
                        out,
                        format_args!("d{:016x}", digits.parse::<f64>().expect("a number").to_bits()),
                    );
                }
                other => panic!("no text for numbers of {other} precision"),
            }
        }
        "utf8" | "largeutf8" => canonical::bytes(out, text(data()).as_bytes()),
        "binary" | "largebinary" | "fixedsizebinary" => {
            canonical::put(out, format_args!("x{}", text(data()).to_lowercase()));
        }
        "decimal" => canonical::put(out, format_args!("{}e{}", text(data()), -integer(&kind["scale"]))),
        "date" => {
            canonical::put(out, integer(data()));
            out.push_str(if kind["unit"] == "DAY" { "day" } else { "ms" });
        }
        "time" | "duration" => canonical::put(out, format_args!("{}{}", integer(data()), unit())),
        "timestamp" => {
            let zone = if kind.get("timezone").is_some() { "Z" } else { "" };
            canonical::put(out, format_args!("{}{}{zone}", integer(data()), unit()));
        }
        "interval" if kind["unit"] == "YEAR_MONTH" => canonical::put(out, format_args!("{}mon", data())),
        "interval" => {
            canonical::put(out, format_args!("{}day{}ms", data()["days"], data()["milliseconds"]));
        }
        "list" | "largelist" => list(out, offsets()),
        "fixedsizelist" => {
            let size = index(&kind["listSize"]);
            list(out, row * size..(row + 1) * size);
        }
        "map" => {
            let (entries, columns) = (array(&fields[0]["children"]), &column["children"][0]["children"]);
            let range = offsets();
            canonical::surrounded(out, '[', ']', range.len(), |out, i| {
                value(out, &entries[0], &columns[0], range.start + i, dictionaries);
                out.push('=');
                value(out, &entries[1], &columns[1], range.start + i, dictionaries);
            });
        }
        "struct" => canonical::surrounded(out, '{', '}', fields.len(), |out, c| {
            canonical::put(out, format_args!("{}:", text(&fields[c]["name"])));
            child(out, c, row);
        }),
        other => panic!("no text for values of {other}"),
    }
}

fn time_unit(kind: &Value) -> TimeUnit {
    match text(&kind["unit"]) {
        "SECOND" => TimeUnit::Second,
        "MILLISECOND" => TimeUnit::Millisecond,
        "MICROSECOND" => TimeUnit::Microsecond,
        "NANOSECOND" => TimeUnit::Nanosecond,
        other => panic!("no unit of time: {other}"),
    }
}

/// The type of a field of the JSON form.
fn data_type(field: &Value) -> DataType {
    let plain = plain_type(field);
    match field.get("dictionary") {
        Some(d) => {
            let index = serde_json::json!({"type": d["indexType"], "children": []});
            DataType::Dictionary(Box::new(plain_type(&index)), Box::new(plain))
        }
        None => plain,
    }
}

fn plain_type(field: &Value) -> DataType {
    let kind = &field["type"];
    let child = |c: usize| Arc::new(as_field(&field["children"][c]));
    let size = |key: &str| i32::try_from(integer(&kind[key])).expect("a size");
    let bits = || integer(&kind["bitWidth"]);
    match text(&kind["name"]) {
        "null" => DataType::Null,
        "bool" => DataType::Boolean,
        "int" => match (kind["isSigned"] == true, bits()) {
            (true, 8) => DataType::Int8,
            (true, 16) => DataType::Int16,
            (true, 32) => DataType::Int32,
            (true, 64) => DataType::Int64,
            (false, 8) => DataType::UInt8,
            (false, 16) => DataType::UInt16,
            (false, 32) => DataType::UInt32,
            (false, 64) => DataType::UInt64,
            other => panic!("no whole numbers of {other:?}"),
        },
        "floatingpoint" if kind["precision"] == "SINGLE" => DataType::Float32,
        "floatingpoint" => DataType::Float64,
        "utf8" => DataType::Utf8,
        "largeutf8" => DataType::LargeUtf8,
        "binary" => DataType::Binary,
        "largebinary" => DataType::LargeBinary,
        "fixedsizebinary" => DataType::FixedSizeBinary(size("byteWidth")),
        "decimal" => {
            let precision = u8::try_from(size("precision")).expect("digits");
            let scale = i8::try_from(size("scale")).expect("digits");
            match kind.get("bitWidth").map(integer) {
                Some(256) => DataType::Decimal256(precision, scale),
                _ => DataType::Decimal128(precision, scale),
            }
        }
        "date" if kind["unit"] == "DAY" => DataType::Date32,
        "date" => DataType::Date64,
        "time" if bits() == 32 => DataType::Time32(time_unit(kind)),
        "time" => DataType::Time64(time_unit(kind)),
        "timestamp" => DataType::Timestamp(time_unit(kind), kind.get("timezone").map(|z| text(z).into())),
        "duration" => DataType::Duration(time_unit(kind)),
        "interval" if kind["unit"] == "YEAR_MONTH" => DataType::Interval(IntervalUnit::YearMonth),
        "interval" => DataType::Interval(IntervalUnit::DayTime),
        "list" => DataType::List(child(0)),
        "largelist" => DataType::LargeList(child(0)),
        "fixedsizelist" => DataType::FixedSizeList(child(0), size("listSize")),
        "map" => DataType::Map(child(0), kind["keysSorted"] == true),
        "struct" => DataType::Struct(array(&field["children"]).iter().map(as_field).collect()),
        "union" => {
            let ids = array(&kind["typeIds"]).iter().map(|i| i8::try_from(integer(i)).expect("an id"));
            let fields = UnionFields::try_new(ids, array(&field["children"]).iter().map(as_field));
            let mode = if kind["mode"] == "DENSE" { UnionMode::Dense } else { UnionMode::Sparse };
            DataType::Union(fields.expect("as many ids as types"), mode)
        }
        other => panic!("no type: {other}"),
    }
}

fn as_field(field: &Value) -> Field {
    Field::new(text(&field["name"]), data_type(field), field["nullable"] == true)
}

fn open(path: &Path) -> Result<Box<dyn TableSource>> {
    let file = [InputFile::from_path(path)?];
    Ok(match path.extension().is_some_and(|e| e == "stream") {
        true => Box::new(ArrowStreamTable::open(&file)?),
        false => Box::new(ArrowFileTable::open(&file, 3)?),
    })
}

#[test]
fn files_and_streams_equal_their_json() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let mut compared = 0;
    for gold_path in files(&data.join("arrow-testing/data/arrow-ipc-stream/integration")) {
        let name = gold_path.to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".json.gz") else { continue };
        let gold = Gold::read(&gold_path);
        for ending in ["arrow_file", "stream"] {
            let path = PathBuf::from(format!("{stem}.{ending}"));
            let table = open(&path).unwrap_or_else(|e| panic!("{e}"));
            let fields = table.schema().fields();
            assert_eq!(fields.len(), gold.fields().len(), "{}", path.display());
            for (have, want) in fields.iter().zip(gold.fields()) {
                let want = as_field(want);
                assert_eq!((have.name(), have.is_nullable()), (want.name(), want.is_nullable()), "{name}");
                assert!(have.data_type().equals_datatype(want.data_type()), "{name}: {have} and not {want}");
            }
            let count = fields.len();
            // Also the columns from the last to the second, and the first alone.
            let (turned, first): (Vec<usize>, Vec<usize>) =
                ((1..count).rev().collect(), (0..count.min(1)).collect());
            for columns in [None, Some(turned), Some(first)] {
                let have = rows(&*table, columns.clone()).unwrap_or_else(|e| panic!("{e}"));
                let want = gold.rows(&columns.clone().unwrap_or_else(|| (0..count).collect()));
                assert_eq!(have.len(), want.len(), "rows of {}, columns {columns:?}", path.display());
                for (row, (have, want)) in have.iter().zip(&want).enumerate() {
                    assert_eq!(have, want, "{} row {row}, columns {columns:?}", path.display());
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 56, "files and streams");
}

#[test]
fn fuzzed_files_take_neither_long_nor_much() {
    let Some(data) = data() else { return };
    let _alone = alone();
    let (mut read, mut refused) = (0, 0);
    let (mut most, mut longest) = ((0, String::new()), (Duration::ZERO, String::new()));
    for folder in ["arrow-ipc-file", "arrow-ipc-stream", "arrow-ipc-tensor-stream"] {
        for path in files(&data.join("arrow-testing/data").join(folder)) {
            if path.components().any(|c| c.as_os_str() == "integration") {
                continue;
            }
            let file = [InputFile::from_path(&path).expect("a file")];
            let name = file[0].name().to_string();
            // As what it is, and as what it is not.
            for stream in [false, true] {
                MEMORY.reset_peak_usage();
                let (before, started) = (MEMORY.current_usage(), Instant::now());
                let result = match stream {
                    true => ArrowStreamTable::open(&file).and_then(|t| visit(&t)),
                    false => ArrowFileTable::open(&file, 3).and_then(|t| visit(&t)),
                };
                most = most.max((MEMORY.peak_usage().saturating_sub(before), name.clone()));
                longest = longest.max((started.elapsed(), name.clone()));
                match result {
                    Ok(_) => read += 1,
                    Err(e) => {
                        assert_eq!(e.exit_code(), 3, "{name}: {e}");
                        assert!(e.to_string().starts_with(&name), "{name}: {e}");
                        refused += 1;
                    }
                }
            }
        }
    }
    eprintln!("{read} read, {refused} refused; most memory {most:?}, longest {longest:?}");
    assert!(read + refused >= 2 * 79, "files");
    assert!(most.0 < MEMORY_BYTES_MAX, "{most:?}");
    assert!(longest.0 < TIME_MAX, "{longest:?}");
}

/// Looks at all values of a table.
fn visit(table: &dyn TableSource) -> Result<usize> {
    let (mut bytes, mut text) = (0, String::new());
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default())?;
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            for column in batch.columns() {
                for row in 0..column.len() {
                    text.clear();
                    canonical::write(&mut text, column, row);
                    bytes += text.len();
                }
            }
        }
    }
    Ok(bytes)
}
