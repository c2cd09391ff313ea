//! The careful reader of one line: what the fast one would not take is read again, byte by byte, and what is wrong with
//! it is said with its column.

use super::row::{IndexRange, Line};
use crate::format::fault::Fault;
use slackwater_dataflow::block::CsrBuilder;

/// Reads one line, given without its `\n`. On a fault the builder may hold a part of the row.
pub(super) fn read(line: &[u8], range: IndexRange, rows: &mut CsrBuilder) -> Result<Line, Fault> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = &line[..memchr::memchr(b'#', line).unwrap_or(line.len())];
    let mut words = words(line).peekable();
    let Some((column, word)) = words.next() else { return Ok(Line::Blank) };
    let label = label(column, word)?;
    if let Some((column, word)) = words.next_if(|(_, w)| w.starts_with(b"qid:"))
        && (word.len() == 4 || !word[4..].iter().all(u8::is_ascii_digit))
    {
        return Err(Fault::new(column, word, "the query number is not an integer")
            .hint("a ranking set has `qid:` and a number after the label"));
    }
    let mut before: Option<u64> = None;
    for (column, word) in words {
        let (index, value) = feature(column, word, range, before)?;
        rows.push((index - range.first) as u32, value);
        before = Some(index);
    }
    Ok(Line::Row(label))
}

/// The words of a line and their columns.
fn words(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    line.split(|b| matches!(b, b' ' | b'\t'))
        .map(move |word| {
            let column = at;
            at += word.len() + 1;
            (column, word)
        })
        .filter(|(_, word)| !word.is_empty())
}

fn label(column: usize, word: &[u8]) -> Result<f64, Fault> {
    number(column, word, word, "the label").map_err(|fault| {
        if fault.message.ends_with("NaN") || fault.message.ends_with("infinite") || fault.message.ends_with("text") {
            fault
        } else if word.contains(&b':') {
            fault.hint("the row has no label: a row is `label index:value index:value ...`")
        } else if word.contains(&b',') {
            fault.hint("a row is `label index:value ...` with spaces between; is this file CSV, or has it several labels a row?")
        } else {
            fault.hint("a row is `label index:value index:value ...`; text labels must be numbered first")
        }
    })
}

fn feature(column: usize, word: &[u8], range: IndexRange, before: Option<u64>) -> Result<(u64, f64), Fault> {
    let colon = memchr::memchr(b':', word);
    let index_word = &word[..colon.unwrap_or(word.len())];
    let index = index(column, word, index_word, range)?;
    let Some(colon) = colon else {
        let fault = Fault::new(column, word, "a feature has no colon");
        return Err(fault.hint("features are written `index:value`"));
    };
    match before {
        Some(before) if index == before => {
            let fault = Fault::new(column, word, format!("index {index} occurs twice in its row"));
            return Err(fault.hint("keep one of the two values"));
        }
        Some(before) if index < before => {
            let fault = Fault::new(column, word, format!("index {index} comes after index {before}"));
            return Err(fault.hint("the indices of a row must ascend: sort the features of each row"));
        }
        _ => {}
    }
    let value = &word[colon + 1..];
    if value.is_empty() {
        let fault = Fault::new(column, word, format!("index {index} has no value"));
        return Err(
            fault.hint("write no space between the colon and the value; leave out features that are zero")
        );
    }
    Ok((index, number(column + colon + 1, word, value, &format!("the value of index {index}"))?))
}

/// An index in range, or what is wrong with it. Digits are counted before they are added up, so none overflows.
fn index(column: usize, word: &[u8], digits: &[u8], range: IndexRange) -> Result<u64, Fault> {
    let fault = |message: String| Err(Fault::new(column, word, message));
    if digits.is_empty() {
        return fault("a feature has no index".into())
            .map_err(|f| f.hint("features are written `index:value`"));
    }
    let significant = digits.iter().position(|b| *b != b'0').map_or(&digits[..0], |at| &digits[at..]);
    if !digits.iter().all(u8::is_ascii_digit) {
        if let Some(fault) = not_text(column, digits) {
            return Err(fault);
        }
        return match digits {
            [b'-', d @ ..] if !d.is_empty() && d.iter().all(u8::is_ascii_digit) => {
                fault("the index is negative".into())
            }
            _ => fault("the index is not an integer".into()),
        }
        .map_err(|f| f.hint("features are written `index:value`, with an index of digits only"));
    }
    let value = (significant.len() <= 10)
        .then(|| significant.iter().fold(0, |v, b| v * 10 + u64::from(b - b'0')))
        .filter(|v| *v <= range.last);
    match value {
        Some(v) if v < range.first => fault("index 0: indices start at 1".into())
            .map_err(|f| f.hint("if the file counts from 0, read it with index base zero")),
        Some(v) => Ok(v),
        None if range.last == super::INDEX_MAX => {
            fault(format!("the index is larger than {}, the largest there is", range.last))
                .map_err(|f| f.hint("number the features from 1, or hash them into fewer columns"))
        }
        None => fault(format!("the index is larger than {}, the largest that is allowed", range.last))
            .map_err(|f| f.hint("raise the number of features, or leave the column out")),
    }
}

/// `text` as a finite number; `word` is what a fault shows, `what` is what the number is.
fn number(column: usize, word: &[u8], text: &[u8], what: &str) -> Result<f64, Fault> {
    const NOT_FINITE: &str = "leave out rows or features without a value, or put a number in their place";
    const DECIMAL: &str = "values are decimal numbers such as 12, -0.5 or 1e-3";
    let (x, used) = fast_float2::parse_partial::<f64, _>(text).unwrap_or((0.0, 0));
    if used == text.len() && x.is_finite() {
        return Ok(x);
    }
    if let Some(fault) = not_text(column, text) {
        return Err(fault);
    }
    let number_before = used > 0 && matches!(text[used - 1], b'0'..=b'9' | b'.');
    let (at, message, hint) = if used < text.len() && number_before {
        (used, "has something after its number", DECIMAL)
    } else if used < text.len() {
        (0, "is not a number", DECIMAL)
    } else if x.is_nan() {
        (0, "is NaN", NOT_FINITE)
    } else if text.iter().any(u8::is_ascii_digit) {
        (0, "is too large for a 64-bit float", "scale the values, or leave this one out")
    } else {
        (0, "is infinite", NOT_FINITE)
    };
    Err(Fault::new(column + at, word, format!("{what} {message}")).hint(hint))
}

/// The fault for bytes that no text file of numbers has.
fn not_text(column: usize, bytes: &[u8]) -> Option<Fault> {
    let at = bytes.iter().position(|b| !(b' '..=b'~').contains(b))?;
    let fault = Fault::new(column + at, &bytes[at..], format!("byte 0x{:02x} is not text", bytes[at]));
    Some(fault.hint("LIBSVM files are plain text, outside of comments in ASCII; is this one?"))
}
