//! What is wrong with a record that could not be read, and where.

use super::fields::{Field, Next};
use super::row::{Rules, fits};
use super::value::Kind;
use crate::format::fault::Fault;
use arrow_schema::Schema;
use memchr::{memchr_iter, memrchr};

/// What a careful look needs to know of the table.
pub(super) struct About<'a> {
    pub schema: &'a Schema,
    /// The columns that are wanted, ascending.
    pub wanted: &'a [usize],
    /// The types were given, not found.
    pub given: bool,
}

const RAGGED: &str = "every record must have a field for each column: is a delimiter within a field, which would have to be quoted, or does the header have no name for row names?";
const QUOTE: &str = "quotes within a quoted field are doubled (\"\"), and after the last one comes a delimiter or the end of the line";
const OPEN: &str = "the field begins with a quote, so it goes on to the next one: close it, or read without a quote character";
const FOUND: &str = "the type was found by looking at the start of the first file: give the type of this column (`types`), or let more of the file be looked at (`infer_bytes`)";
const GIVEN: &str =
    "the type of this column was given: give another one, or name what stands for no value (`nulls`)";
pub(super) const UTF8: &str = "the file is in another encoding than UTF-8: convert it first, for example with `iconv -f latin1 -t utf-8`";
const NULL: &str = "the given schema says that the column always has a value";

/// What is wrong with the record at the start of `bytes`, and how many lines after its first one. The first `length`
/// bytes are whole lines.
pub(super) fn explain(bytes: &[u8], length: usize, rules: &Rules, about: &About<'_>) -> (Fault, u64) {
    let columns = about.schema.fields().len();
    let mut wanted = about.wanted.iter().peekable();
    let mut bad: Option<Fault> = None;
    let mut bad_at = 0;
    let mut beyond = None;
    let counted = rules.dialect.record(bytes, 0, length, |number, field| {
        if number == columns {
            beyond = Some(field.start);
        }
        if wanted.next_if(|n| **n == number).is_some()
            && bad.is_none()
            && let Some(fault) = fault(bytes, &field, rules, about, number)
        {
            (bad, bad_at) = (Some(fault.0), fault.1);
        }
    });
    let Some((used, fields)) = counted else {
        let open = first_open(bytes, length, rules);
        let shown = &bytes[open..length];
        return place(bytes, open, |column| {
            Fault::new(column, shown, "a quoted field is not closed").hint(OPEN)
        });
    };
    if fields != columns {
        let message = format!(
            "the record has {fields} {}, the table has {columns} {}",
            s(fields, "field"),
            s(columns, "column")
        );
        // What is beyond the last column, or where the next field would be.
        let at = beyond.unwrap_or(used - 1 - usize::from(bytes[..used].ends_with(b"\r\n")));
        let shown = if beyond.is_some() { &bytes[at..used] } else { &bytes[..used] };
        let shown = shown.trim_ascii_end();
        return place(bytes, at, |column| Fault::new(column, shown, message).hint(RAGGED));
    }
    match bad {
        Some(bad) => (bad, lines(bytes, bad_at)),
        None => (Fault::new(0, &bytes[..used], "the record cannot be read"), 0),
    }
}

fn s(count: usize, noun: &str) -> String {
    format!("{noun}{}", if count == 1 { "" } else { "s" })
}

/// What is wrong with a field, and where it is.
fn fault(
    bytes: &[u8],
    field: &Field<'_>,
    rules: &Rules,
    about: &About<'_>,
    number: usize,
) -> Option<(Fault, usize)> {
    let column = about.schema.field(number);
    let kind = Kind::of(column.data_type())?;
    if fits(field, rules, kind, column.is_nullable()) {
        return None;
    }
    let shown = &bytes[field.start..field.end];
    let name = column.name();
    let (at, message, hint) = if let Some(at) = field.after_quote {
        (at, format!("column `{name}`: something follows the closing quote"), QUOTE)
    } else if rules.nulls.has_field(kind, field.content, field.quoted) {
        (field.start, format!("column `{name}` has no value"), NULL)
    } else if kind == Kind::Text {
        let valid = std::str::from_utf8(field.content).map_or_else(|e| e.valid_up_to(), str::len);
        let at = field.start + usize::from(field.quoted) + valid;
        (at, format!("column `{name}`: byte 0x{:02x} is not UTF-8", bytes[at]), UTF8)
    } else {
        let hint = if about.given { GIVEN } else { FOUND };
        (field.start, format!("column `{name}` is not {}", kind.name()), hint)
    };
    let (fault, _) = place(bytes, at, |column| Fault::new(column, shown, message).hint(hint));
    Some((fault, at))
}

/// Where the first field starts whose quote is not closed.
fn first_open(bytes: &[u8], length: usize, rules: &Rules) -> usize {
    let mut at = 0;
    while let Next::Field(field) = rules.dialect.field(bytes, at, length) {
        at = field.end + 1;
    }
    at
}

/// The fault of a byte of the record, with its column in its line, and how many lines after the record's first one.
fn place(bytes: &[u8], at: usize, fault: impl FnOnce(usize) -> Fault) -> (Fault, u64) {
    let line = memrchr(b'\n', &bytes[..at]).map_or(0, |n| n + 1);
    (fault(at - line), lines(bytes, at))
}

fn lines(bytes: &[u8], at: usize) -> u64 {
    memchr_iter(b'\n', &bytes[..at]).count() as u64
}
