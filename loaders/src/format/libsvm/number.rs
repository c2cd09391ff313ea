//! Decimal numbers from bytes, exactly as `str::parse::<f64>` reads them, eight digits at a time.
//!
//! A number is `[+-] digits [. digits] [e [+-] digits]`, with a digit before or after the point. `NaN` and `inf` are
//! not numbers here.
//!
//! The commonest form, one digit, a point and up to eight digits, is read without a loop: its digits make an integer m
//! below 2^53 and its power of ten is at most 10^8, both exact in a double, so that one division rounds once and is
//! right (Clinger, "How to read floating point numbers accurately", PLDI 1990). All other numbers go to `fast_float2`
//! (Lemire, "Number parsing at a gigabyte per second", 2021), which is right for all.

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// 0x80 - 10 in every byte: pushes any value above 9 into the high bit.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

/// 10^0 to 10^8, as integers and as doubles. Longer than that so that an index of four bits is always in range.
const POWERS_OF_TEN: [u64; 16] = {
    let mut table = [1; 16];
    let mut i = 1;
    while i <= 8 {
        table[i] = 10 * table[i - 1];
        i += 1;
    }
    table
};
const POWERS_OF_TEN_F64: [f64; 16] = {
    let mut table = [1.0; 16];
    let mut i = 1;
    while i <= 8 {
        table[i] = POWERS_OF_TEN[i] as f64;
        i += 1;
    }
    table
};

/// Digits at the start of `bytes`: their value and their number, at most 8. `None` if fewer than 8 bytes are there.
#[inline(always)]
fn digits(bytes: &[u8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes.first_chunk::<8>()?) ^ ASCII_ZEROS;
    // A carry out of a byte above 9 can only spoil the bytes after it, and those are not looked at.
    let others = (word.wrapping_add(ABOVE_NINE) | word) & HIGH_BITS;
    let count = others.trailing_zeros() as usize / 8;
    // Shifted so that the digits end the word; what comes in front of them are zeros. (Twice, since 64 is too far.)
    let word = word << (8 * (7 - count.min(7))) << (8 * usize::from(count < 8));
    // Pairs, fours, eights: each step adds ten, a hundred, ten thousand times the earlier half to the later one.
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(100 + (1_000_000 << 32));
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(1 + (10_000 << 32));
    Some((low.wrapping_add(high) >> 32, count))
}

/// How many bytes [`short_number`] looks at: a sign, a digit, a point, eight digits and what ends them.
pub(in crate::format) const NUMBER_WINDOW: usize = 12;

/// A number with one digit before the point and at most eight after it, followed by a blank or the end of the line,
/// and its length. What other numbers there are is `None`. Without a branch on the sign: signs are hard to predict.
#[inline(always)]
pub(in crate::format) fn short_number(window: &[u8; NUMBER_WINDOW]) -> Option<(f64, usize)> {
    let negative = usize::from(window[0] == b'-');
    let digit = window[negative].wrapping_sub(b'0');
    if digit > 9 {
        return None;
    }
    let sign = (negative as u64) << 63;
    if window[negative + 1] <= b' ' {
        // What binary features are made of.
        return Some((f64::from_bits(f64::from(digit).to_bits() | sign), negative + 1));
    }
    let (fraction, count) = digits(&window[negative + 2..])?;
    let end = negative + 2 + count;
    if window[negative + 1] != b'.' || *window.get(end)? > b' ' {
        return None;
    }
    // At most 9 digits: exact.
    let mantissa = u64::from(digit) * POWERS_OF_TEN[count & 15] + fraction;
    let value = mantissa as f64 / POWERS_OF_TEN_F64[count & 15];
    Some((f64::from_bits(value.to_bits() | sign), end))
}

/// The number at the start of `bytes` and its length. `None` if there is none, or if it is not finite.
#[inline(never)]
pub(in crate::format) fn number(bytes: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(bytes.first()?, b'+' | b'-'));
    let unsigned = &bytes[sign..];
    if !matches!(unsigned.first()?, b'0'..=b'9' | b'.') {
        // "inf", "nan", a second sign.
        return None;
    }
    let (value, n) = fast_float2::parse_partial::<f64, _>(unsigned).ok().filter(|(x, _)| x.is_finite())?;
    Some((if bytes[0] == b'-' { -value } else { value }, n + sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(f64, usize)> {
        number(&[text.as_bytes(), &[b' '; 40]].concat())
    }

    fn same_as_std(text: &str) {
        let want: f64 = text.parse().unwrap();
        let window = *[text.as_bytes(), &[b' '; 40]].concat().first_chunk().unwrap();
        if let Some((x, n)) = short_number(&window) {
            assert_eq!((x.to_bits(), n), (want.to_bits(), text.len()), "{text}");
        }
        match read(text) {
            Some((x, n)) => {
                assert_eq!((x.to_bits(), n), (want.to_bits(), text.len()), "{text}");
            }
            None => assert!(want.is_infinite(), "{text} was refused"),
        }
    }

    #[test]
    fn digits_of_every_length() {
        for n in 0..=8 {
            let text = &"98765432"[..n];
            let want = text.parse().unwrap_or(0);
            for end in [" ", ":", "\n", "\u{e9}", "~", "/"] {
                let bytes = [text.as_bytes(), end.as_bytes(), b"12345678"].concat();
                assert_eq!(digits(&bytes), Some((want, n)), "{text}{end}");
            }
        }
        assert_eq!(digits(b"1234567"), None);
    }

    #[test]
    fn hard_numbers() {
        for text in [
            "0",
            "-0",
            "+0",
            "0.0",
            "-0.0",
            "1",
            "+1",
            "-1",
            "1.",
            ".5",
            "-.5",
            "00001",
            "0.1",
            "0.30000000000000004",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.0",
            "9007199254740992e22",
            "123456789012345678901",
            "1e22",
            "1e23",
            "1e-22",
            "1e-23",
            "8.98846567431158e307",
            "1.7976931348623157e308",
            "1.7976931348623159e308",
            "4.9e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "2.2250738585072011e-308",
            "1e-400",
            "1e400",
            "0e400",
            "0e99999999999",
            "1E5",
            "1e+5",
            "1e-05",
            "9.1e-05",
            "0.00000000000000000000000001",
            "12345678.9",
            "12345678",
            "123456781234567812345678",
            "0.12345678",
            "0.1234567812345678",
            "3.141592653589793",
            "1e0000000000000005",
            "6.02214076e23",
            "00000000000000000000000000000000000001.5",
        ] {
            same_as_std(text);
        }
    }

    #[test]
    fn not_numbers() {
        for text in [
            "", "+", "-", ".", "-.", "e5", ".e5", "nan", "NaN", "inf", "-inf", "infinity", "+-1", "--1",
            "1e999",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        // What follows a number is for the caller to judge.
        assert_eq!(read("1.5.5"), Some((1.5, 3)));
        assert_eq!(read("12abc"), Some((12.0, 2)));
        assert_eq!(read("1e+"), Some((1.0, 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn any_number_has_the_bits_of_std(text in "[+-]?([0-9]{1,22}(\\.[0-9]{0,22})?|\\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?") {
            same_as_std(&text);
        }
        #[test]
        fn any_printed_double_comes_back(bits: u64) {
            let x = f64::from_bits(bits);
            if x.is_finite() {
                same_as_std(&format!("{x:?}"));
                same_as_std(&format!("{x:.6e}"));
            }
        }
        #[test]
        fn short_values_come_back(m in -99_999_999i64..99_999_999, n in 0usize..9) {
            same_as_std(&format!("{:.n$}", m as f64 / 10f64.powi(n as i32)));
        }
    }
}
