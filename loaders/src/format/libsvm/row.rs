//! The fast reader of one row: it takes what is right, and leaves everything else to [`super::careful`].
//!
//! It works on the slice of bytes that are still to be read, which always has the row's `\n` and the padding of
//! [`crate::lines`] after it, so that eight bytes can be looked at at once; and it keeps no state but the smallest
//! index that may follow.

use crate::format::number::{number, short_number};
use crate::lines::PADDING;
use slackwater_dataflow::block::CsrBuilder;

/// All indices there are, with room for leading zeros; the careful reader takes more.
const WINDOW_DIGITS: usize = 12;

/// Which indices a row may have, as written in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexRange {
    pub first: u64,
    pub last: u64,
}

/// What a line was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line {
    /// A row with this label; its values are in the builder and the row is still open.
    Row(f64),
    /// Blank, or a comment.
    Blank,
}

/// Reads one line, and returns how long it was with its `\n`. `None`: something about it is out of the ordinary; the
/// builder may hold a part of the row then.
#[inline(never)] // so that the loop below has the registers for itself
pub(super) fn read(bytes: &[u8], range: IndexRange, rows: &mut CsrBuilder) -> Option<(Line, usize)> {
    let mut rest = skip_blanks(bytes);
    if let Some(rest) = end_of_line(rest) {
        return Some((Line::Blank, bytes.len() - rest.len()));
    }
    let (label, n) = label(rest)?;
    rest = &rest[n..];
    let mut least = range.first;
    loop {
        // `rest` starts with the byte after the label or after a value.
        let Some((index, value, length)) = feature(rest) else {
            // The end of the line, perhaps after blanks, or a run of blanks.
            let word = skip_blanks(rest);
            if let Some(after) = end_of_line(word) {
                return Some((Line::Row(label), bytes.len() - after.len()));
            }
            // Again from the last of the blanks, if that is any further.
            let blanks = rest.len() - word.len();
            if blanks < 2 {
                return None;
            }
            rest = &rest[blanks - 1..];
            continue;
        };
        if index < least || index > range.last {
            return None;
        }
        rows.push((index - range.first) as u32, value);
        least = index + 1;
        rest = &rest[length..];
    }
}

/// The label, with the query number if there is one, and their length.
#[inline]
fn label(bytes: &[u8]) -> Option<(f64, usize)> {
    let plus = usize::from(bytes.first() == Some(&b'+'));
    let (label, n) = match short_number(bytes.get(plus..)?.first_chunk()?) {
        // Not after two signs.
        Some((label, n)) if plus == 0 || bytes[1] != b'-' => (label, n + plus),
        _ => number(bytes)?,
    };
    match bytes[n..].strip_prefix(b" qid:") {
        Some(query) => match query.iter().take_while(|b| b.is_ascii_digit()).count() {
            0 => None,
            digits => Some((label, n + 5 + digits)),
        },
        None => Some((label, n)),
    }
}

/// One blank and a feature: its index, its value, and the length of all.
#[inline(always)]
fn feature(bytes: &[u8]) -> Option<(u64, f64, usize)> {
    // One check of length for all that follows: the padding is there also at the end of the last line.
    let window: &[u8; PADDING] = bytes.first_chunk()?;
    // Digit by digit: within a row indices ascend, so how many digits they have is well predicted, and a predicted
    // branch lets the processor run ahead where a computed length would not.
    let (mut index, mut at) = (0u64, 1);
    while at <= WINDOW_DIGITS {
        let digit = window[at].wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        index = index * 10 + u64::from(digit);
        at += 1;
    }
    if at == 1 || window[at] != b':' || !is_blank(window[0]) {
        return None;
    }
    at += 1;
    if window[at..at + 2] == *b"1 " {
        // Binary features, the commonest value by far.
        return Some((index, 1.0, at + 1));
    }
    let (value, length) = match short_number(window[at..].first_chunk()?) {
        Some(found) => found,
        None => number(&bytes[at..])?,
    };
    Some((index, value, at + length))
}

#[inline(always)]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[inline(always)]
fn skip_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// What follows the line, if `bytes` are at its end or at a comment.
#[inline(always)]
fn end_of_line(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Some(rest),
        [b'#', rest @ ..] => memchr::memchr(b'\n', rest).map(|at| &rest[at + 1..]),
        _ => None,
    }
}
