//! Where fields and records end: the grammar of the bytes, whatever they mean.
//!
//! Everything that must be exact about quotes is here and in [`super::starts`]: a quote opens a quoted field if it is the
//! first byte of its field, and a quoted field ends with the first quote that is not doubled. Any other quote is a byte
//! like others.

use memchr::{memchr, memchr2};

/// The bytes that divide a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub comment: Option<u8>,
    /// Quoted fields may have line ends in them.
    pub quoted_line_ends: bool,
}

/// A field, as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// Where it starts.
    pub start: usize,
    /// Where the delimiter or the line end after it is.
    pub end: usize,
    /// What is in it: without the quotes around it, with doubled ones as they are.
    pub content: &'a [u8],
    pub quoted: bool,
    /// A quoted field has doubled quotes in it.
    pub doubled: bool,
    /// Something follows the closing quote: where it is.
    pub after_quote: Option<usize>,
}

/// How a field ends that starts where a line end or a delimiter was.
#[derive(Debug)]
pub(super) enum Next<'a> {
    Field(Field<'a>),
    /// Its quote is not closed in the bytes that there are.
    Open,
}

impl Dialect {
    /// The field that starts at `at`. The first `length` of `bytes` are whole lines.
    pub fn field<'a>(&self, bytes: &'a [u8], at: usize, length: usize) -> Next<'a> {
        match self.quote {
            Some(quote) if bytes[at] == quote => self.quoted(bytes, at, length, quote),
            _ => {
                let end = at + self.bare_end(&bytes[at..length]);
                let content = bytes[at..end].strip_suffix(b"\r");
                let content = content.filter(|_| bytes[end] == b'\n').unwrap_or(&bytes[at..end]);
                let end = at + content.len();
                Next::Field(Field {
                    start: at,
                    end,
                    content,
                    quoted: false,
                    doubled: false,
                    after_quote: None,
                })
            }
        }
    }

    fn quoted<'a>(&self, bytes: &'a [u8], at: usize, length: usize, quote: u8) -> Next<'a> {
        let length = match self.quoted_line_ends {
            true => length,
            false => at + self.line_end(&bytes[at..length]),
        };
        let (mut from, mut doubled) = (at + 1, false);
        let close = loop {
            let Some(n) = memchr(quote, &bytes[from..length]) else { return Next::Open };
            if bytes[from + n + 1] != quote {
                break from + n;
            }
            doubled = true;
            from += n + 2;
            if from > length {
                return Next::Open;
            }
        };
        let mut field = Field {
            start: at,
            end: close + 1,
            content: &bytes[at + 1..close],
            quoted: true,
            doubled,
            after_quote: None,
        };
        if bytes[close + 1] != self.delimiter && end_of_line(&bytes[close + 1..]).is_none() {
            field.after_quote = Some(close + 1);
            field.end += self.bare_end(&bytes[close + 1..]);
        }
        Next::Field(field)
    }

    /// Where the bare field at the start of `bytes` has its delimiter or `\n`.
    fn bare_end(&self, bytes: &[u8]) -> usize {
        memchr2(self.delimiter, b'\n', bytes).expect("lines end with a line feed")
    }

    fn line_end(&self, bytes: &[u8]) -> usize {
        memchr(b'\n', bytes).expect("lines end with a line feed")
    }

    /// How many bytes at the start of `bytes` are no record: an empty line, or a comment.
    #[inline(always)]
    pub fn no_record(&self, bytes: &[u8]) -> Option<usize> {
        match bytes {
            [b'\n', ..] => Some(1),
            [b'\r', b'\n', ..] => Some(2),
            [first, ..] if self.comment == Some(*first) => Some(self.line_end(bytes) + 1),
            _ => None,
        }
    }

    /// Goes through the fields of the record that starts at `at`, and returns where the next record starts and how many
    /// fields there were; `None` if a quote is not closed. `see` gets the number of each field.
    pub fn record<'a>(
        &self,
        bytes: &'a [u8],
        mut at: usize,
        length: usize,
        mut see: impl FnMut(usize, Field<'a>),
    ) -> Option<(usize, usize)> {
        let mut fields = 0;
        loop {
            let Next::Field(field) = self.field(bytes, at, length) else { return None };
            see(fields, field);
            fields += 1;
            match end_of_line(&bytes[field.end..]) {
                Some(n) => return Some((field.end + n, fields)),
                None => at = field.end + 1,
            }
        }
    }
}

/// The length of the line end at the start of `bytes`, if there is one.
#[inline(always)]
pub(super) fn end_of_line(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// Appends the content of a quoted field, with doubled quotes made single.
pub(super) fn undouble(content: &[u8], quote: u8, into: &mut Vec<u8>) {
    let mut rest = content;
    while let Some(n) = memchr(quote, rest) {
        into.extend_from_slice(&rest[..=n]);
        rest = rest.get(n + 2..).unwrap_or_default();
    }
    into.extend_from_slice(rest);
}
