//! JSON lines (also NDJSON): an object a line.
//!
//! # Grammar
//!
//! A line is a JSON object (RFC 8259), or blank. `\r\n` ends lines as `\n` does; a byte order mark at the start is dropped.
//!
//! # Guarantees
//!
//! Types are those that fit all of the first [`INFER_BYTES`] of the first file, unless a schema is given: numbers are `Int64`, or `Float64` if
//! one has a fraction; objects are structs, arrays are lists. A line that does not fit is a bad record, with its line and, where
//! it is not JSON, its column. Fields that the schema does not have are not read; fields that a line does not have are null. Rows and reports do
//! not depend on how files are divided.
//!
//! # Cost
//!
//! One pass, of Arrow's decoder; only the fields that are asked for are built.

use crate::OnBadRecord;
use crate::format::fault::Fault;
use crate::guard::guarded;
use crate::lines::{LineChunks, ReadLimits};
use crate::source::InputFile;
use crate::split::Split;
use crate::table::{BATCH_ROWS, BatchReader, Scan, TableSource};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_json::ReaderBuilder;
use arrow_json::reader::{
    ArrayDecoder, Decoder, DecoderContext, DecoderFactory, Tape, TapeElement, infer_json_schema,
};
use arrow_schema::{ArrowError, FieldRef, Schema, SchemaRef};
use memchr::{memchr, memchr_iter};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use slackwater_dataflow::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How much of the first file types are inferred from, in bytes.
pub const INFER_BYTES: usize = 1 << 20;
const HINT: &str = "each line is an object, as {\"x\": 1.5, \"city\": \"Rome\"}";
const TYPES_HINT: &str = "types are those of the first lines; give a schema if later ones differ";

/// How to read JSON lines.
#[derive(Debug, Clone, Default)]
pub struct JsonOptions {
    /// Names and types of the fields. `None`: inferred.
    pub schema: Option<SchemaRef>,
    /// Limits on lines and packed files.
    pub limits: ReadLimits,
}

/// A table in files of JSON lines.
pub struct JsonLinesTable {
    files: Vec<InputFile>,
    splits: Vec<Split>,
    schema: SchemaRef,
    limits: ReadLimits,
}

impl JsonLinesTable {
    /// Infers the schema, if none is given, from the first file that has any lines.
    ///
    /// # Errors
    /// I/O; data, if the first lines are not JSON objects of one schema.
    pub fn open(files: &[InputFile], splits: Vec<Split>, options: JsonOptions) -> Result<Self> {
        let schema = match options.schema {
            Some(schema) => schema,
            None => infer(files, options.limits)?,
        };
        Ok(JsonLinesTable { files: files.to_vec(), splits, schema, limits: options.limits })
    }
}

fn infer(files: &[InputFile], limits: ReadLimits) -> Result<SchemaRef> {
    for file in files {
        let mut chunks = LineChunks::open(&Split::whole(file.clone()), limits)?;
        let mut head = vec![];
        while head.len() < INFER_BYTES && chunks.fill()? {
            let (bytes, length) = chunks.lines();
            head.extend_from_slice(&bytes[..length]);
            chunks.consume(length);
        }
        if head.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let inferred = guarded(file.name(), || Ok(infer_json_schema(&head[..], None)))?;
        return match inferred {
            Ok((schema, _)) if !schema.fields().is_empty() => Ok(as_written(schema, &head)),
            Ok(_) => Err(Error::input(format!("{}: the objects have no fields", file.name()), HINT)),
            Err(e) => Err(first_fault(file, &head, &e)),
        };
    }
    let name = files.first().map_or("", |f| f.name());
    Err(Error::input(format!("`{name}` has no lines"), "a table of JSON lines has at least one"))
}

/// The fields in the order in which they first occur; the library sorts those of one line.
fn as_written(schema: Schema, head: &[u8]) -> SchemaRef {
    let mut names: HashMap<String, usize> = HashMap::new();
    for line in head.split(|b| *b == b'\n') {
        if names.len() == schema.fields().len() {
            break;
        }
        if let Ok(Keys(keys)) = serde_json::from_slice(line) {
            for key in keys {
                let place = names.len();
                names.entry(key).or_insert(place);
            }
        }
    }
    let place = |f: &FieldRef| names.get(f.name()).copied();
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    fields.sort_by_key(place);
    Arc::new(Schema::new(fields))
}

/// The names of an object's fields, in order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = vec![];
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        d.deserialize_map(Object)
    }
}

/// The first line that is not an object, or else that does not agree with those before.
fn first_fault(file: &InputFile, head: &[u8], e: &ArrowError) -> Error {
    let ends: Vec<usize> = memchr_iter(b'\n', head).collect();
    let line = |i: usize| &head[i.checked_sub(1).map_or(0, |before| ends[before] + 1)..ends[i]];
    let alone = (0..ends.len()).find_map(|i| infer_json_schema(line(i), None).err().map(|e| (i, e)));
    let found = alone.or_else(|| {
        // Each is an object: then the first that disagrees is where the lines up to it fail together.
        let all: Vec<usize> = (0..ends.len()).collect();
        let i = all.partition_point(|i| infer_json_schema(&head[..ends[*i]], None).is_ok());
        infer_json_schema(head.get(..*ends.get(i)?)?, None).err().map(|e| (i, e))
    });
    match found {
        Some((i, e)) => explain(line(i), &e).at(file.name(), i as u64 + 1).into(),
        None => Error::input(format!("{}: {e}", file.name()), HINT),
    }
}

/// Why a line cannot be used.
fn explain(line: &[u8], e: &ArrowError) -> Fault {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if let Err(e) = serde_json::from_slice::<IgnoredAny>(line) {
        let at = e.column().saturating_sub(1).min(line.len());
        let text = e.to_string();
        let message = text.split(" at line ").next().unwrap_or_default();
        return Fault::new(at, &line[at..], format!("this is not JSON: {message}")).hint(HINT);
    }
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Fault::new(0, line, "this is not an object").hint(HINT);
    }
    let text = e.to_string();
    let message = text.split_once("error: ").map_or(text.as_str(), |(_, m)| m);
    Fault::new(0, line, message.to_string()).hint(TYPES_HINT)
}

impl TableSource for JsonLinesTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn pieces(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        crate::source::describe("JSON lines", self.files.iter())
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        let chunks = LineChunks::open(&self.splits[piece], self.limits)?;
        let schema = scan.schema(&self.schema);
        Ok(Box::new(Reader { chunks, schema, lines: 0, before: None, done: false }))
    }
}

struct Reader {
    chunks: LineChunks,
    schema: SchemaRef,
    /// Lines of this split read so far.
    lines: u64,
    /// Lines of the file before this split, once a position has been asked for.
    before: Option<u64>,
    done: bool,
}

impl Reader {
    fn decoder(&self) -> Result<Decoder> {
        ReaderBuilder::new(self.schema.clone())
            .with_batch_size(BATCH_ROWS)
            .with_decoder_factory(Arc::new(WholeNumbers))
            .build_decoder()
            .map_err(|e| Error::usage(format!("the fields cannot be read from JSON: {e}")))
    }
    fn decode(&self, lines: &[u8]) -> Result<Result<Vec<RecordBatch>, ArrowError>> {
        let name = self.chunks.split().file().name();
        guarded(name, || {
            let mut decoder = self.decoder()?;
            let (mut rest, mut batches) = (lines, vec![]);
            let mut decode = || -> Result<(), ArrowError> {
                while !rest.is_empty() {
                    let n = decoder.decode(rest)?;
                    rest = &rest[n..];
                    if n == 0 || rest.is_empty() {
                        batches.extend(decoder.flush()?);
                    }
                }
                Ok(())
            };
            let result = decode();
            Ok(result.map(|()| batches))
        })
    }
    fn batch(&self, batches: Vec<RecordBatch>) -> Result<Option<RecordBatch>> {
        let batch = arrow_select::concat::concat_batches(&self.schema, &batches);
        let batch = batch.map_err(|e| Error::usage(format!("batches of one schema fit together: {e}")))?;
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

/// Whole numbers must be whole: the library would cut off fractions.
#[derive(Debug)]
struct WholeNumbers;

impl DecoderFactory for WholeNumbers {
    fn make_default_decoder(
        &self,
        cx: &DecoderContext,
        field: &FieldRef,
        is_nullable: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        if !field.data_type().is_integer() {
            return Ok(None);
        }
        Ok(Some(Box::new(WholeNumber(cx.make_builtin_decoder(field, is_nullable)?))))
    }
}

struct WholeNumber(Box<dyn ArrayDecoder>);

impl ArrayDecoder for WholeNumber {
    fn decode(&mut self, tape: &Tape<'_>, places: &[u32]) -> Result<ArrayRef, ArrowError> {
        for place in places {
            let TapeElement::Number(at) = tape.get(*place) else { continue };
            let text = tape.get_string(at);
            let fraction = text.contains(['.', 'e', 'E']);
            if fraction && text.parse::<f64>().is_ok_and(|x| x.fract() != 0.0) {
                return Err(ArrowError::JsonError(format!("{text} is not a whole number")));
            }
        }
        self.0.decode(tape, places)
    }
}

impl BatchReader for Reader {
    fn next_batch(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<RecordBatch>> {
        while !self.done {
            if !self.chunks.fill()? {
                self.done = true;
                break;
            }
            let (bytes, length) = self.chunks.lines();
            let lines = &bytes[..length];
            let count = memchr_iter(b'\n', lines).count() as u64;
            // As many values as lines, or there are two on one.
            let objects = lines.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count();
            let rows = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            let read = match self.decode(lines)? {
                Ok(batches) if rows(&batches) == objects => self.batch(batches)?,
                _ => {
                    // One by one, to find those that are at fault.
                    let (mut good, mut bad) = (Vec::with_capacity(length), vec![]);
                    let (mut from, mut number) = (0, self.lines);
                    while let Some(end) = memchr(b'\n', &lines[from..]) {
                        let line = &lines[from..from + end];
                        number += 1;
                        match self.decode(line)? {
                            Ok(batches) if batches.iter().map(RecordBatch::num_rows).sum::<usize>() < 2 => {
                                good.extend_from_slice(&lines[from..=from + end]);
                            }
                            Ok(_) => bad.push((
                                number,
                                Fault::new(0, line, "there are two values on a line").hint(HINT),
                            )),
                            Err(e) => bad.push((number, explain(line, &e))),
                        }
                        from += end + 1;
                    }
                    if !bad.is_empty() && self.before.is_none() {
                        self.before = Some(self.chunks.lines_before()?);
                    }
                    let name = self.chunks.split().file().name();
                    for (number, fault) in bad {
                        on_bad(fault.at(name, self.before.unwrap_or(0) + number))?;
                    }
                    match self.decode(&good)? {
                        Ok(batches) => self.batch(batches)?,
                        Err(e) => return Err(Error::input(format!("{name}: {e}"), HINT)),
                    }
                }
            };
            self.chunks.consume(length);
            self.lines += count;
            if read.is_some() {
                return Ok(read);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use proptest::prelude::*;

    fn read(text: &str, cuts: &[u64], schema: Option<SchemaRef>) -> Result<(Vec<RecordBatch>, Vec<String>)> {
        let file = InputFile::from_bytes("t.jsonl", text.as_bytes().to_vec());
        let mut cuts: Vec<u64> =
            cuts.iter().map(|c| (*c).min(file.bytes())).chain([0, file.bytes()]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let splits = cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect();
        let table = JsonLinesTable::open(&[file], splits, JsonOptions { schema, ..JsonOptions::default() })?;
        let (mut batches, mut bad) = (vec![], vec![]);
        for piece in 0..table.pieces() {
            let mut reader = table.open(piece, &Scan::default())?;
            while let Some(batch) = reader.next_batch(&mut |b| {
                bad.push(b.to_string());
                Ok(())
            })? {
                batches.push(batch);
            }
        }
        Ok((batches, bad))
    }

    const TEXT: &str = "{\"a\": 1, \"x\": 0.5, \"s\": \"ß\"}\n\n{\"a\": 2, \"x\": 3, \"tags\": [\"u\", \"v\"]}\r\n{\"a\": null, \"in\": {\"z\": true}}";

    #[test]
    fn objects_are_read() {
        let (batches, bad) = read(TEXT, &[], None).unwrap();
        let batches = [arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()];
        assert_eq!((bad.len(), batches[0].num_rows()), (0, 3));
        let names: Vec<String> = batches[0].schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["a", "x", "s", "tags", "in"]);
        assert_eq!(
            batches[0].column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [Some(1), Some(2), None]
        );
        assert_eq!(
            batches[0].column(1).as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            [Some(0.5), Some(3.0), None]
        );
    }

    #[test]
    fn bad_lines_are_located() {
        let schema = read("{\"a\": 1}\n", &[], None).unwrap().0[0].schema();
        let text =
            "{\"a\": 1}\n{\"a\" 2}\n[3]\n{\"a\": \"x\"}\n{\"a\": 4} {\"a\": 5}\n{\"a\": 6}\n{\"a\": 1.5}\n";
        for cuts in [vec![], vec![10], vec![3, 20, 21, 40]] {
            let (batches, bad) = read(text, &cuts, Some(schema.clone())).unwrap();
            let rows: Vec<i64> = batches
                .iter()
                .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            assert_eq!(rows, [1, 6]);
            assert_eq!(bad.len(), 5, "{bad:?}");
            for (bad, part) in bad.iter().zip([
                "t.jsonl:2:6: this is not JSON",
                "t.jsonl:3:1",
                "t.jsonl:4:1",
                "t.jsonl:5:1",
                "t.jsonl:7:1",
            ]) {
                assert!(bad.starts_with(part), "{part}: {bad}");
            }
        }
        for (text, part) in [
            ("1\n", "t.jsonl:1:1"),
            ("{}\n", "no fields"),
            ("\n\n", "no lines"),
            ("{\"a\": 1}\n{\"a\":\n", "t.jsonl:2:"),
        ] {
            let e = read(text, &[], None).err().unwrap();
            assert!(e.to_string().contains(part) && e.exit_code() == 3, "{text}: {e}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in prop::collection::vec(0u64..100, 0..5)) {
            let whole = read(TEXT, &[], None).unwrap().0;
            let cut = read(TEXT, &cuts, None).unwrap().0;
            let schema = whole[0].schema();
            let concat = |b: &[RecordBatch]| arrow_select::concat::concat_batches(&schema, b).unwrap();
            prop_assert_eq!(concat(&cut), concat(&whole));
        }
        #[test]
        fn any_bytes_have_an_answer(text in "[{}\\[\\]\":,a1.e\\\\\n -]{0,60}") {
            let _ = read(&text, &[7], None);
        }
    }
}
