//! Decimal numbers from bytes, exactly as `str::parse::<f64>` reads them, eight digits at a time.
//!
//! A number is `[+-] digits [. digits] [e [+-] digits]`, with a digit before or after the point. `NaN` and `inf` are
//! not numbers here.
//!
//! The commonest form, one digit, a point and up to eight digits, is read without a loop: its digits make an integer m
//! below 2^53 and its power of ten is at most 10^8, both exact in a double, so that one division rounds once and is
//! right (Clinger, "How to read floating point numbers accurately", PLDI 1990). Numbers with up to 19 digits and no
//! exponent take one product of 64 by 128 bits. All others go to `fast_float2` (Lemire, "Number parsing at a gigabyte per
//! second", 2021), which is right for all.

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// 0x80 - 10 in every byte: pushes any value above 9 into the high bit.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

/// 10^0 to 10^15, as integers and as doubles, all of them exact. An index of four bits is always in range.
const POWERS_OF_TEN: [u64; 16] = {
    let mut table = [1; 16];
    let mut i = 1;
    while i < 16 {
        table[i] = 10 * table[i - 1];
        i += 1;
    }
    table
};
const POWERS_OF_TEN_F64: [f64; 16] = {
    let mut table = [1.0; 16];
    let mut i = 1;
    while i < 16 {
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
    Some((number_of_eight(word), count))
}

/// The number whose digits are the values of the bytes of `word`.
#[inline(always)]
fn number_of_eight(word: u64) -> u64 {
    // Pairs, fours, eights: each step adds ten, a hundred, ten thousand times the earlier half to the later one.
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(100 + (1_000_000 << 32));
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(1 + (10_000 << 32));
    low.wrapping_add(high) >> 32
}

/// The number whose digits are the first `count` bytes of `word`, which are 1 to 8.
#[inline(always)]
fn known_digits(word: u64, count: usize) -> u64 {
    debug_assert!((1..=8).contains(&count));
    number_of_eight((word ^ ASCII_ZEROS) << ((64 - 8 * count) & 63))
}

/// The first eight of `bytes`.
#[inline(always)]
fn word(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// How many bytes [`short_number`] looks at: a sign, a digit, a point, eight digits and what ends them.
pub(super) const NUMBER_WINDOW: usize = 12;

/// A number of which it is known where it ends, which bytes are digits and which are points: digits with at most one
/// point among them, perhaps a minus before. At most 8 digits before the point, 24 in all, and 19 that count. What other
/// numbers there are is `None`, and so are those with fewer than 32 bytes in `bytes`.
#[inline(always)]
pub(super) fn decimal(bytes: &[u8], length: usize, digits: u32, points: u32) -> Option<f64> {
    debug_assert!(length < 32);
    let negative = usize::from(*bytes.first()? == b'-');
    let all = (1u32 << length) - 1;
    let points = points & all;
    if (digits | points | negative as u32) & all != all || points & points.wrapping_sub(1) != 0 {
        return None;
    }
    let point = if points == 0 { length } else { points.trailing_zeros() as usize };
    let places = point - negative;
    if places == 0 || places > 8 {
        return None;
    }
    let figures = length - negative - usize::from(points != 0);
    let after = figures - places;
    let unsigned = &bytes[negative..];
    // Eight digits without the point: those before it, and what is one byte further.
    let before = u64::MAX >> (64 - 8 * places);
    let first = (word(unsigned)? & before) | (word(&unsigned[1..])? & !before);
    let mut mantissa = known_digits(first, figures.min(8));
    if figures > 8 {
        // The point is among the nine bytes before.
        let count = (figures - 8).min(8);
        mantissa = mantissa * POWERS_OF_TEN[count & 15] + known_digits(word(&unsigned[9..])?, count);
    }
    let sign = (negative as u64) << 63;
    let value = if figures <= 15 {
        // At most 15 digits: exact. (Signed, since the processor has an instruction for that.)
        mantissa as i64 as f64 / POWERS_OF_TEN_F64[after & 15]
    } else {
        if figures > 16 {
            let count = figures - 16;
            if count > 8 {
                return None;
            }
            let more = known_digits(word(&unsigned[17..])?, count);
            mantissa = mantissa.checked_mul(POWERS_OF_TEN[count & 15])?.checked_add(more)?;
        }
        over_power_of_ten(mantissa, after)?
    };
    Some(f64::from_bits(value.to_bits() | sign))
}

/// As [`decimal`], an integer of at most sixteen digits.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], length: usize, digits: u32) -> Option<i64> {
    debug_assert!(length < 32);
    let negative = usize::from(*bytes.first()? == b'-');
    let all = (1u32 << length) - 1;
    let places = length.checked_sub(negative)?;
    if (digits | negative as u32) & all != all || places == 0 || places > 16 {
        return None;
    }
    let unsigned = &bytes[negative..];
    let mut value = known_digits(word(unsigned)?, places.min(8));
    if places > 8 {
        value = value * POWERS_OF_TEN[(places - 8) & 15] + known_digits(word(&unsigned[8..])?, places - 8);
    }
    let value = value as i64;
    Some(if negative == 1 { -value } else { value })
}

/// The largest power of five that 64 bits hold is 5^27.
const RECIPROCALS: usize = 28;

/// 2^b / 5^k, rounded down, with b such that it has 128 bits; and b.
const FIFTHS: [(u128, i32); RECIPROCALS] = {
    let mut table = [(0, 0); RECIPROCALS];
    let (mut k, mut power) = (0, 1u128);
    while k < RECIPROCALS {
        // Long division of a one and as many zeros as it takes.
        let (mut quotient, mut rest, mut bits) = (0u128, 1u128, 0);
        loop {
            quotient <<= 1;
            if rest >= power {
                rest -= power;
                quotient |= 1;
            }
            if quotient >> 127 == 1 {
                break;
            }
            rest <<= 1;
            bits += 1;
        }
        table[k] = (quotient, bits);
        power *= 5;
        k += 1;
    }
    table
};

/// `mantissa / 10^k`, rounded once. `None` where that takes more than 128 bits to decide, and for large `k`.
///
/// With w the mantissa shifted up to 64 bits and T <= 2^b / 5^k < T + 1, w T <= w 2^b / 5^k < w T + 2^64. So what the
/// quotient has above the low 64 bits of w T, u, is between u and u + 2, and rounds as u does unless half a unit of the
/// last place is in that. (Eisel and Lemire's method, for negative exponents alone.)
#[inline]
fn over_power_of_ten(mantissa: u64, k: usize) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    let (fifth, b) = *FIFTHS.get(k)?;
    let shift = mantissa.leading_zeros();
    let w = u128::from(mantissa << shift);
    let (high, low) = (fifth >> 64, fifth & u128::from(u64::MAX));
    let u = w * high + ((w * low) >> 64);
    // u has 127 or 128 bits; 53 stay.
    let dropped = 75 - (u.leading_zeros() as i32);
    let rest = u & ((1 << dropped) - 1);
    let half = 1u128 << (dropped - 1);
    if rest == half || rest + 1 == half {
        return None;
    }
    let kept = (u >> dropped) as u64 + u64::from(rest > half);
    // u is the mantissa times 2^(shift + b + k - 64) / 10^k; the exponent is far from its limits.
    let exponent = dropped + 64 - shift as i32 - b - k as i32;
    // A mantissa that was rounded up to 2^53 carries into the exponent.
    Some(f64::from_bits((((exponent + 1075) as u64) << 52) + (kept - (1 << 52))))
}

/// A number with one digit before the point and at most eight after it, followed by a blank or the end of the line,
/// and its length. What other numbers there are is `None`. Without a branch on the sign: signs are hard to predict.
#[inline(always)]
pub(super) fn short_number(window: &[u8; NUMBER_WINDOW]) -> Option<(f64, usize)> {
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
pub(super) fn number(bytes: &[u8]) -> Option<(f64, usize)> {
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

    /// Which bytes of a text `is` is true of.
    fn mask(text: &str, is: impl Fn(u8) -> bool) -> u32 {
        text.bytes().take(32).enumerate().fold(0, |mask, (i, b)| mask | u32::from(is(b)) << i)
    }
    fn known_decimal(text: &str) -> Option<f64> {
        let bytes = [text.as_bytes(), &[b','; 40]].concat();
        let (digits, points) = (mask(text, |b| b.is_ascii_digit()), mask(text, |b| b == b'.'));
        if text.len() < 32 { decimal(&bytes, text.len(), digits, points) } else { None }
    }
    fn known_integer(text: &str) -> Option<i64> {
        let bytes = [text.as_bytes(), &[b','; 40]].concat();
        let digits = mask(text, |b| b.is_ascii_digit());
        if text.len() < 32 { integer(&bytes, text.len(), digits) } else { None }
    }

    fn same_as_std(text: &str) {
        let want: f64 = text.parse().unwrap();
        let window = *[text.as_bytes(), &[b' '; 40]].concat().first_chunk().unwrap();
        if let Some((x, n)) = short_number(&window) {
            assert_eq!((x.to_bits(), n), (want.to_bits(), text.len()), "{text}");
        }
        if let Some(x) = known_decimal(text) {
            assert_eq!(x.to_bits(), want.to_bits(), "{text}");
        }
        if let Some(x) = known_integer(text) {
            assert_eq!(Ok(x), text.parse::<i64>(), "{text}");
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

    /// Which numbers are read the quick way.
    #[test]
    fn quick_numbers() {
        for text in [
            "0",
            "-12.50",
            "12345678.12345678",
            "5.",
            "-5",
            "0.30000000000000004",
            "-1.7976931348623157",
            "0.00000000000000000000001",
            "0.0000000000000000",
            "-0.00000000001",
            "90071.99254740993",
        ] {
            let want: f64 = text.parse().unwrap();
            assert_eq!(known_decimal(text).map(f64::to_bits), Some(want.to_bits()), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "-.",
            ".5",
            "--1",
            "1e5",
            "1.2.3",
            "1-2",
            "123456789",
            "0.18446744073709551616",
            "+1",
            "1 ",
        ] {
            assert_eq!(known_decimal(text), None, "{text}");
        }
        for (text, want) in [
            ("-0", Some(0)),
            ("1234567890123456", Some(1_234_567_890_123_456)),
            ("-12345678", Some(-12_345_678)),
            ("12345678901234567", None),
            ("1.5", None),
            ("", None),
            ("-", None),
            ("+1", None),
        ] {
            assert_eq!(known_integer(text), want, "{text}");
        }
        // 2^53 + 1 is half way between two doubles: 128 bits do not decide it.
        assert_eq!(over_power_of_ten(9_007_199_254_740_993, 0), None);
        assert_eq!(over_power_of_ten(9_007_199_254_740_992, 0), Some(9_007_199_254_740_992.0));
        assert_eq!(over_power_of_ten(1, 28), None);
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
        fn any_quotient_is_rounded_once(shift in 0u32..64, mantissa: u64, k in 0usize..28) {
            let mantissa = mantissa >> shift;
            if let Some(x) = over_power_of_ten(mantissa, k) {
                let want: f64 = format!("{mantissa}e-{k}").parse().unwrap();
                prop_assert_eq!(x.to_bits(), want.to_bits(), "{}e-{}", mantissa, k);
            }
        }
        #[test]
        fn halves_are_rounded_right_or_not_at_all(m in 1u64 << 52..1 << 53, up in 0u64..3, k in 0usize..20) {
            // Around the middle between two doubles, with zeros after it.
            let middle = 2 * m + up;
            let text = format!("{middle}.{}", "0".repeat(k));
            let want: f64 = text.parse().unwrap();
            let ten = 10u64.checked_pow(k as u32).and_then(|p| middle.checked_mul(p));
            if let Some(x) = ten.and_then(|mantissa| over_power_of_ten(mantissa, k)) {
                prop_assert_eq!(x.to_bits(), want.to_bits(), "{}", text);
            }
        }
        #[test]
        fn any_double_of_moderate_size_comes_back(x in -1e7f64..1e7, small in 0.0001f64..1.0) {
            same_as_std(&format!("{x:?}"));
            same_as_std(&format!("{small:?}"));
            same_as_std(&format!("{small:.19}"));
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
