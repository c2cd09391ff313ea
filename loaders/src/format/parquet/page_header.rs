//! Headers of pages, as the Parquet library reads them.
//!
//! The library takes a field for what its number says, whatever type it is said to have, lets the last of several count and
//! cuts numbers to 32 bits. A reader that is stricter would take for something else what the library takes for a header,
//! so this one is as lenient.
//!
//! From: parquet.thrift, `PageHeader`, in the compact protocol of Thrift.

/// What begins with some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// A page of so many bytes.
    Page {
        /// When it is unpacked.
        unpacked: u64,
        /// As it is.
        packed: u64,
    },
    /// It may be the header of a page, and goes on beyond the bytes.
    Cut,
    /// No header that could be read.
    Other,
}

/// What a header says of its page, as far as values are read by it. What is not said is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Said {
    /// Bytes of the header.
    pub(super) header_bytes: usize,
    /// Kind, size when unpacked, size, checksum.
    pub(super) page: [Option<i32>; 4],
    /// Of a data page: values, encoding, encodings of definition and of repetition levels.
    pub(super) first: [Option<i32>; 4],
    /// Of a dictionary: values, encoding.
    pub(super) dictionary: [Option<i32>; 2],
    /// Of a data page of the second version: values, nulls, rows, encoding, bytes of definition and of repetition levels.
    pub(super) second: [Option<i32>; 6],
    /// The same: whether its values are packed.
    pub(super) is_packed: Option<bool>,
}

/// Reads what `bytes` begin with.
pub(super) fn read(bytes: &[u8]) -> Header {
    read_all(bytes).0
}

/// The same, with all that it says.
pub(super) fn read_all(bytes: &[u8]) -> (Header, Said) {
    let (mut said, mut from) = (Said::default(), Compact(bytes));
    let done = page(&mut from, &mut said);
    said.header_bytes = bytes.len() - from.0.len();
    let header = match (done, said.page) {
        (Ok(()), [Some(_), Some(unpacked), Some(packed), _]) => {
            match (u64::try_from(unpacked), u64::try_from(packed)) {
                (Ok(unpacked), Ok(packed)) => Header::Page { unpacked, packed },
                // A size below zero is refused.
                _ => Header::Other,
            }
        }
        (Err(Stop::End), [Some(kind), Some(_), Some(_), _]) if KINDS.contains(&kind) => Header::Cut,
        _ => Header::Other,
    };
    (header, said)
}

/// Kinds of pages.
const KINDS: std::ops::Range<i32> = 0..4;
/// Structures in structures: what the library allows.
const DEPTH: u32 = 64;

/// Why reading ended.
enum Stop {
    End,
    Wrong,
}

type Done<T> = Result<T, Stop>;

/// The structure of a page.
fn page(from: &mut Compact<'_>, said: &mut Said) -> Done<()> {
    from.fields(|from, id, kind| match id {
        1..=4 => from.keep(&mut said.page, id),
        5 => from.fields(|from, id, kind| match id {
            1..=4 => from.keep(&mut said.first, id),
            _ => from.skip(kind, DEPTH),
        }),
        6 => from.fields(|from, _, kind| from.skip(kind, DEPTH)),
        7 => from.fields(|from, id, kind| match id {
            1..=2 => from.keep(&mut said.dictionary, id),
            _ => from.skip(kind, DEPTH),
        }),
        8 => from.fields(|from, id, kind| match id {
            1..=6 => from.keep(&mut said.second, id),
            7 => {
                // A truth is in the type of its field.
                said.is_packed = match kind {
                    1 => Some(true),
                    2 => Some(false),
                    _ => return Err(Stop::Wrong),
                };
                Ok(())
            }
            _ => from.skip(kind, DEPTH),
        }),
        _ => from.skip(kind, DEPTH),
    })
}

/// Reads the compact protocol.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn byte(&mut self) -> Done<u8> {
        let (first, rest) = self.0.split_first().ok_or(Stop::End)?;
        self.0 = rest;
        Ok(*first)
    }
    fn bytes(&mut self, n: u64) -> Done<()> {
        let n = usize::try_from(n).map_err(|_| Stop::Wrong)?;
        self.0 = self.0.get(n..).ok_or(Stop::End)?;
        Ok(())
    }
    fn varint(&mut self) -> Done<u64> {
        let (mut value, mut shift) = (0u64, 0u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift = shift.wrapping_add(7);
        }
    }
    fn zigzag(&mut self) -> Done<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
    /// Reads the number of field `id` of those that count from 1.
    fn keep(&mut self, numbers: &mut [Option<i32>], id: i16) -> Done<()> {
        let number = self.zigzag()? as i32;
        if let Some(kept) = numbers.get_mut((id - 1) as usize) {
            *kept = Some(number);
        }
        Ok(())
    }
    /// All fields of a structure, with their numbers and types.
    fn fields(&mut self, mut each: impl FnMut(&mut Self, i16, u8) -> Done<()>) -> Done<()> {
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            let (delta, kind) = (head >> 4, head & 0xf);
            if kind == 0 {
                return Ok(());
            }
            let id = match delta {
                0 => self.zigzag()? as i16,
                _ => last.checked_add(i16::from(delta)).ok_or(Stop::Wrong)?,
            };
            each(self, id, kind)?;
            last = id;
        }
    }
    fn skip(&mut self, kind: u8, depth: u32) -> Done<()> {
        if depth == 0 {
            return Err(Stop::Wrong);
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.bytes(8),
            8 => {
                let length = self.varint()?;
                self.bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = match head >> 4 {
                    15 => self.varint()?,
                    short => u64::from(short),
                };
                self.elements(length, &[head & 0xf], depth - 1)
            }
            11 => {
                let length = self.varint()?;
                let kinds = if length > 0 { self.byte()? } else { 0 };
                self.elements(length, &[kinds >> 4, kinds & 0xf], depth - 1)
            }
            12 => self.fields(|from, _, kind| from.skip(kind, depth - 1)),
            13 => self.bytes(16),
            _ => Err(Stop::Wrong),
        }
    }
    /// Skips the elements of a list or a map. Truths take no bytes, so that a few bytes could say billions of them.
    fn elements(&mut self, length: u64, kinds: &[u8], depth: u32) -> Done<()> {
        if kinds.iter().all(|kind| matches!(kind, 1 | 2)) {
            return Ok(());
        }
        (0..length).try_for_each(|_| kinds.iter().try_for_each(|kind| self.skip(*kind, depth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data page of 300 bytes that are 70 in the file.
    const DATA: &[u8] = b"\x15\0\x15\xd8\x04\x15\x8c\x01\x2c\x15\x06\x15\0\x15\x06\x15\x06\0\0";

    #[test]
    fn headers_are_told() {
        let page = Header::Page { unpacked: 300, packed: 70 };
        assert_eq!(read(DATA), page);
        assert_eq!(read(&[DATA, b"and what follows"].concat()), page);
        for n in 0..DATA.len() {
            let want = if n < 8 { Header::Other } else { Header::Cut };
            assert_eq!(read(&DATA[..n]), want, "{n}");
        }
        for other in [&b"PAR1 \0"[..], b"\0\0\0\0", b"\x15\x01\x15\x01\x15\x02\0", b"\x15\xff\xff"] {
            assert_eq!(read(other), Header::Other, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn what_the_library_reads_is_read() {
        // Other types, an unknown field before, a long number, and sizes that come again after the rest.
        let page = Header::Page { unpacked: i32::MAX as u64, packed: 2 };
        let sizes = b"\x16\0\x14\xfe\xff\xff\xff\x0f\x13\x04\0";
        assert_eq!(read(sizes), page);
        assert_eq!(read(b"\x08\x20\x02xy\x05\x02\0\x15\xfe\xff\xff\xff\x8f\x80\x80\0\x15\x04\0"), page);
        let again = [&DATA[..DATA.len() - 1], b"\x05\x04\xfe\xff\xff\xff\x0f\x15\x04\0"].concat();
        assert_eq!(read(&again), page);
        // Statistics are passed over, and lists that would never end are not.
        let with = |more: &[u8]| {
            let head =
                [&b"\x15\0\x15\xd8\x04\x15\x8c\x01\x2c\x15\x06\x15\0\x15\x06\x15\x06"[..], more].concat();
            read(&[&head[..], b"\0\0"].concat())
        };
        let page = Header::Page { unpacked: 300, packed: 70 };
        assert_eq!(with(b"\x1c\x18\x03abc\x18\x03abd\x16\x02\0"), page);
        assert_eq!(with(b"\x19\x2510"), page);
        assert_eq!(with(b"\x19\xf1\xff\xff\xff\xff\x0f"), page);
        let truths = [&DATA[..DATA.len() - 1], b"\x09\x28\x31\x05\x04\x80\x80\x01\x15\x04\0"].concat();
        assert_eq!(read(&truths), Header::Page { unpacked: 8192, packed: 2 });
        let mut deep = vec![0x1c];
        deep.extend([0x1c; 80]);
        assert_eq!(with(&deep), Header::Other);
    }
}
