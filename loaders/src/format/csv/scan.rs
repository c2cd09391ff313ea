//! Looking for the end of a field sixteen bytes at a time.

use wide::u8x16;

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Sixteen bytes in a register. Every question is answered with a bit a byte, the first byte's lowest.
#[derive(Clone, Copy)]
struct Block(u8x16);

impl Block {
    #[inline(always)]
    fn new(bytes: &[u8; BLOCK]) -> Block {
        Block(u8x16::new(*bytes))
    }
    #[inline(always)]
    fn equal(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }
    #[inline(always)]
    fn digits(self) -> u32 {
        let values = self.0 - u8x16::splat(b'0');
        values.simd_eq(values.min(u8x16::splat(9))).to_bitmask()
    }
    #[inline(always)]
    fn above_ascii(self) -> u32 {
        self.0.to_bitmask()
    }
}

/// The bytes that end a field that is not quoted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    delimiter: u8,
    quote: u8,
}

/// A field of less than 32 bytes that may be a number.
pub(super) struct Figures {
    pub length: usize,
    /// Which of its bytes (and of those after it) are digits, and which are points.
    pub digits: u32,
    pub points: u32,
}

impl Ends {
    pub fn new(delimiter: u8, quote: Option<u8>) -> Ends {
        // Where there is no quote, one that stops no earlier than a line end does.
        Ends { delimiter, quote: quote.unwrap_or(b'\n') }
    }

    /// Where the first delimiter or `\n` of `bytes` is, and whether all before it is ASCII. `None` if neither is there, or
    /// fewer than [`BLOCK`] bytes are there to look at.
    #[inline(always)]
    pub fn field(self, bytes: &[u8]) -> Option<(usize, bool)> {
        let (mut at, mut seen) = (0, 0);
        loop {
            let block = Block::new(bytes.get(at..)?.first_chunk()?);
            let ends = block.equal(self.delimiter) | block.equal(b'\n');
            if ends != 0 {
                // The bytes before the first end.
                seen |= block.above_ascii() & (ends - 1) & !ends;
                return Some((at + ends.trailing_zeros() as usize, seen == 0));
            }
            seen |= block.above_ascii();
            at += BLOCK;
        }
    }

    /// The field at the start of `bytes`, if it ends within 32 bytes.
    #[inline(always)]
    pub fn figures(self, bytes: &[u8]) -> Option<Figures> {
        let block = Block::new(bytes.first_chunk()?);
        let ends = block.equal(self.delimiter) | block.equal(b'\n');
        let (digits, points) = (block.digits(), block.equal(b'.'));
        if ends != 0 {
            return Some(Figures { length: ends.trailing_zeros() as usize, digits, points });
        }
        let next = Block::new(bytes[BLOCK..].first_chunk()?);
        let ends = next.equal(self.delimiter) | next.equal(b'\n');
        if ends == 0 {
            return None;
        }
        Some(Figures {
            length: BLOCK + ends.trailing_zeros() as usize,
            digits: digits | next.digits() << BLOCK,
            points: points | next.equal(b'.') << BLOCK,
        })
    }

    /// Passes over delimiters, fewer than `count`, as long as there is neither a line end nor a quote. Returns how many
    /// there were and where the bytes are that were not looked at.
    #[inline]
    pub fn delimiters(self, bytes: &[u8], count: usize) -> (usize, usize) {
        let (mut at, mut passed) = (0, 0);
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let block = Block::new(block);
            if block.equal(self.quote) | block.equal(b'\n') != 0 {
                break;
            }
            let here = block.equal(self.delimiter).count_ones() as usize;
            if passed + here >= count {
                break;
            }
            passed += here;
            at += BLOCK;
        }
        (passed, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn fields_end_where_they_do(text in "[a-c\u{e9};\"\u{8d}\u{ac}\u{10a}0-9./:]{0,40}", end in "[,\n]", after in "[0-9a,\u{ac}]{0,9}") {
            let bytes = [text.as_bytes(), end.as_bytes(), after.as_bytes(), &[b','; 32]].concat();
            let want = bytes.iter().position(|b| matches!(b, b',' | b'\n')).unwrap();
            let ends = Ends::new(b',', Some(b'"'));
            prop_assert_eq!(ends.field(&bytes), Some((want, bytes[..want].is_ascii())));
            match ends.figures(&bytes) {
                None => prop_assert!(want >= 32),
                Some(found) => {
                    prop_assert_eq!(found.length, want);
                    for (i, b) in bytes[..want].iter().enumerate() {
                        prop_assert_eq!(found.digits >> i & 1 == 1, b.is_ascii_digit());
                        prop_assert_eq!(found.points >> i & 1 == 1, *b == b'.');
                    }
                }
            }
        }
        #[test]
        fn delimiters_are_counted(text in "[a,\u{ac}]{0,60}[\"\n]?[a,]{0,20}", count in 0usize..30) {
            let bytes = text.as_bytes();
            let (passed, at) = Ends::new(b',', Some(b'"')).delimiters(bytes, count);
            prop_assert_eq!(memchr::memchr_iter(b',', &bytes[..at]).count(), passed);
            prop_assert!(passed < count.max(1));
            prop_assert!(memchr::memchr2(b'"', b'\n', &bytes[..at]).is_none());
            // No further than a block from what stops it.
            let rest = &bytes[at..(at + BLOCK).min(bytes.len())];
            let more = memchr::memchr_iter(b',', rest).count();
            prop_assert!(rest.len() < BLOCK || memchr::memchr2(b'"', b'\n', rest).is_some() || passed + more >= count);
        }
    }
}
