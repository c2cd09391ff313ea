//! Where the first record of a split starts.
//!
//! A line end in quotes ends no record, and whether a byte is in quotes depends on all quotes before it. So the start is
//! found by going from a place where it is known, the first record of the file or of a split before, from quote to
//! quote, which is many times faster than reading the fields. Records, blank lines and comments all start where a line
//! starts that is not in quotes.
//!
//! Guarantees: exact, whatever is in the file, since [`super::fields`] goes by the same rule for quotes.
//!
//! Costs one pass over the part of the file that is skipped, in one buffer; nothing if no quoted field
//! may hold a line end. A reader that comes to the end of its split says where the next one starts, so that splits that
//! are read one after the other cost nothing either.

use super::fields::Dialect;
use crate::codec::{Decoder, ExpansionLimit};
use crate::source::InputFile;
use memchr::{memchr, memchr2, memchr3};
use slackwater_dataflow::Result;

/// The first byte after `after` of a file that is not packed where a record starts, or the end of the file. At `from` a
/// record starts.
pub(super) fn first_after(
    file: &InputFile,
    from: u64,
    after: u64,
    dialect: &Dialect,
    buffer_bytes: usize,
) -> Result<u64> {
    if from > after {
        return Ok(from);
    }
    let quote = dialect.quote.filter(|_| dialect.quoted_line_ends);
    let mut offset = if quote.is_some() { from } else { after };
    let mut scan = Scan {
        delimiter: dialect.delimiter,
        quote,
        // Where quotes do not count, every line end does.
        comment: dialect.comment.filter(|_| quote.is_some()),
        place: Place::Bare,
        before: b'\n',
        closed: false,
    };
    let mut decoder = Decoder::open_at(file, offset..after, ExpansionLimit::NONE)?;
    let mut buffer = vec![0; buffer_bytes.max(1)];
    loop {
        let n = decoder.read(&mut buffer)?;
        if n == 0 {
            return Ok(offset);
        }
        let wanted = usize::try_from(after.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(end) = scan.pass(&buffer[..n], wanted) {
            return Ok(offset + end as u64);
        }
        offset += n as u64;
    }
}

/// Where a byte is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Bare,
    Quoted,
    Comment,
}

struct Scan {
    delimiter: u8,
    quote: Option<u8>,
    comment: Option<u8>,
    place: Place,
    /// The last byte of what came before.
    before: u8,
    /// It is a quote that has closed a field, so that another quote goes on with the field.
    closed: bool,
}

impl Scan {
    /// Goes over `bytes`. The position after the first line end at or after `wanted` that is not in quotes, if it is there.
    fn pass(&mut self, bytes: &[u8], wanted: usize) -> Option<usize> {
        let (mut at, mut closed_at) = (0, None);
        loop {
            let needle = match self.place {
                Place::Bare => self.next_bare(bytes, at, wanted),
                Place::Quoted => memchr(self.quote?, &bytes[at..]).map(|n| at + n),
                Place::Comment => memchr(b'\n', &bytes[at..]).map(|n| at + n),
            };
            let Some(found) = needle else { break };
            at = found + 1;
            match self.place {
                Place::Quoted => {
                    self.place = Place::Bare;
                    closed_at = Some(found);
                }
                _ if bytes[found] == b'\n' => {
                    self.place = Place::Bare;
                    if found >= wanted {
                        return Some(at);
                    }
                }
                _ => {
                    let (before, closed) = match found.checked_sub(1) {
                        Some(before) => (bytes[before], closed_at == Some(before)),
                        None => (self.before, self.closed),
                    };
                    if Some(bytes[found]) == self.comment {
                        if before == b'\n' {
                            self.place = Place::Comment;
                        }
                    } else if closed || before == self.delimiter || before == b'\n' {
                        self.place = Place::Quoted;
                    }
                }
            }
        }
        self.closed = closed_at.is_some_and(|at| at + 1 == bytes.len());
        self.before = *bytes.last()?;
        None
    }

    /// The next byte that may change the place; line ends count from `wanted` on.
    fn next_bare(&self, bytes: &[u8], at: usize, wanted: usize) -> Option<usize> {
        let wanted = wanted.clamp(at, bytes.len());
        let early = &bytes[at..wanted];
        let found = match (self.quote, self.comment) {
            (Some(quote), Some(comment)) => memchr2(quote, comment, early),
            (Some(quote), None) => memchr(quote, early),
            (None, _) => None,
        };
        if let Some(n) = found {
            return Some(at + n);
        }
        let late = &bytes[wanted..];
        let found = match (self.quote, self.comment) {
            (Some(quote), Some(comment)) => memchr3(quote, comment, b'\n', late),
            (Some(quote), None) => memchr2(quote, b'\n', late),
            (None, _) => memchr(b'\n', late),
        };
        found.map(|n| wanted + n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// What a buffer ends in the middle of is known in the next one.
        #[test]
        fn starts_do_not_depend_on_buffers(
            text in "[a,\"\n#]{0,40}", after in 0u64..40, buffer in 1usize..9, comment: bool, quoted_line_ends: bool,
        ) {
            let dialect =
                Dialect { delimiter: b',', quote: Some(b'"'), comment: comment.then_some(b'#'), quoted_line_ends };
            let file = InputFile::from_bytes("f", text.clone());
            let after = after.min(file.bytes());
            let whole = first_after(&file, 0, after, &dialect, 64).unwrap();
            prop_assert_eq!(first_after(&file, 0, after, &dialect, buffer).unwrap(), whole, "{:?}", text);
            prop_assert!(whole > after || whole == file.bytes());
        }
    }
}
