//! Looking for the end of a field eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The bytes that end a field that is not quoted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    delimiter: u64,
    quote: u64,
}

/// The high bit of every byte of `word` that is `repeated`'s. Exact for all bytes.
#[inline(always)]
fn equal(word: u64, repeated: u64) -> u64 {
    let other = word ^ repeated;
    !(((other & LOW) + LOW) | other) & HIGH
}

impl Ends {
    pub fn new(delimiter: u8, quote: Option<u8>) -> Ends {
        // Where there is no quote, one that occurs as little as a line end within the bytes that are looked at.
        Ends { delimiter: ONES * u64::from(delimiter), quote: ONES * u64::from(quote.unwrap_or(b'\n')) }
    }

    /// Where the first delimiter or `\n` of `bytes` is, and whether all before it is ASCII. One of them is there, and at
    /// least eight bytes after it.
    #[inline(always)]
    pub fn field(self, bytes: &[u8]) -> Option<(usize, bool)> {
        let (mut at, mut seen) = (0, 0);
        loop {
            let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
            let ends = equal(word, self.delimiter) | equal(word, ONES * u64::from(b'\n'));
            if ends != 0 {
                let n = ends.trailing_zeros() / 8;
                // Shifted so that what comes from the end on is gone; in two steps, since 64 is too far.
                seen |= word << (8 * (7 - n)) << 8;
                return Some((at + n as usize, seen & HIGH == 0));
            }
            seen |= word;
            at += 8;
        }
    }

    /// Passes over delimiters, at most `count`, as long as there is neither a line end nor a quote. Returns how many there
    /// were and where the bytes are that were not looked at.
    #[inline]
    pub fn delimiters(self, bytes: &[u8], count: usize) -> (usize, usize) {
        let (mut at, mut passed) = (0, 0);
        while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            if equal(word, self.quote) | equal(word, ONES * u64::from(b'\n')) != 0 {
                break;
            }
            let here = equal(word, self.delimiter).count_ones() as usize;
            if passed + here >= count {
                break;
            }
            passed += here;
            at += 8;
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
        fn fields_end_where_they_do(text in "[a-c\u{e9},;\"\u{2c}\u{8d}\u{ac}\u{10a}]{0,40}", end in "[,\n]") {
            let bytes = [text.as_bytes(), end.as_bytes(), &[b','; 16]].concat();
            let want = bytes.iter().position(|b| matches!(b, b',' | b'\n')).unwrap();
            prop_assert_eq!(Ends::new(b',', Some(b'"')).field(&bytes), Some((want, bytes[..want].is_ascii())));
        }
        #[test]
        fn delimiters_are_counted(text in "[a,\u{ac}]{0,60}[\"\n]?[a,]{0,10}", count in 0usize..30) {
            let bytes = text.as_bytes();
            let (passed, at) = Ends::new(b',', Some(b'"')).delimiters(bytes, count);
            prop_assert_eq!(memchr::memchr_iter(b',', &bytes[..at]).count(), passed);
            prop_assert!(passed < count.max(1));
            prop_assert!(memchr::memchr2(b'"', b'\n', &bytes[..at]).is_none());
            // No further than eight bytes from what stops it.
            let rest = &bytes[at..(at + 8).min(bytes.len())];
            let more = memchr::memchr_iter(b',', rest).count();
            prop_assert!(rest.len() < 8 || memchr::memchr2(b'"', b'\n', rest).is_some() || passed + more >= count);
        }
    }
}
