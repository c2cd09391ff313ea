//! What fields mean: the types there are, and the careful reading of a value of each.

use arrow_schema::{DataType, TimeUnit};

/// A type of column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
    /// Days from 1970-01-01.
    Date,
    /// Microseconds from 1970-01-01; `utc`: written with a `Z`, so that it is known where.
    Time {
        utc: bool,
    },
}

impl Kind {
    pub fn of(data_type: &DataType) -> Option<Kind> {
        Some(match data_type {
            DataType::Boolean => Kind::Boolean,
            DataType::Int64 => Kind::Integer,
            DataType::Float64 => Kind::Float,
            DataType::Utf8 => Kind::Text,
            DataType::Date32 => Kind::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Kind::Time { utc: false },
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                Kind::Time { utc: true }
            }
            _ => return None,
        })
    }
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Date => DataType::Date32,
            Kind::Time { utc } => DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "UTC".into())),
        }
    }
    /// How messages call a value.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "true or false",
            Kind::Integer => "an integer of 64 bits",
            Kind::Float => "a number",
            Kind::Text => "UTF-8 text",
            Kind::Date => "a date as 2024-12-31",
            Kind::Time { utc: false } => "a time as 2024-12-31 23:59:59",
            Kind::Time { utc: true } => "a time as 2024-12-31T23:59:59Z",
        }
    }
}

/// What is written where there is no value.
#[derive(Debug, Clone)]
pub(super) struct Nulls {
    texts: Vec<Vec<u8>>,
    /// First bytes of them: most values need no other look.
    firsts: [bool; 256],
    empty: bool,
}

impl Nulls {
    pub fn new(texts: &[String]) -> Nulls {
        let mut firsts = [false; 256];
        for text in texts.iter().filter_map(|t| t.as_bytes().first()) {
            firsts[usize::from(*text)] = true;
        }
        Nulls {
            texts: texts.iter().map(|t| t.as_bytes().to_vec()).collect(),
            firsts,
            empty: texts.iter().any(String::is_empty),
        }
    }
    /// True if a field that is not quoted stands for no value.
    #[inline(always)]
    pub fn has(&self, content: &[u8]) -> bool {
        match content.first() {
            None => self.empty,
            Some(first) => self.firsts[usize::from(*first)] && self.texts.iter().any(|t| t == content),
        }
    }
    /// True if a field of a column of `kind` is null. Blanks around what is no text do not count. In quotes, text is
    /// never null, and of other values only what is empty.
    pub fn has_field(&self, kind: Kind, content: &[u8], quoted: bool) -> bool {
        match (kind, quoted) {
            (Kind::Text, true) => false,
            (Kind::Text, false) => self.has(content),
            (_, true) => self.empty && trim(content).is_empty(),
            (_, false) => self.has(content) || self.has(trim(content)),
        }
    }
}

pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `true` and `false` as they are written by Rust, R and Python.
pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// With the bits of `str::parse::<f64>`, which also takes `NaN` and `inf`, and makes infinity of what is too large.
pub(super) fn float(bytes: &[u8], decimal_comma: bool) -> Option<f64> {
    if decimal_comma {
        if bytes.contains(&b'.') || bytes.len() > COMMA_BYTES_MAX {
            return None;
        }
        let mut copy = [0; COMMA_BYTES_MAX];
        let copy = &mut copy[..bytes.len()];
        copy.copy_from_slice(bytes);
        copy.iter_mut().filter(|b| **b == b',').for_each(|b| *b = b'.');
        return float(copy, false);
    }
    fast_float2::parse(bytes).ok()
}

/// Longer numbers with a decimal comma are none. The longest exact double has 767 digits.
const COMMA_BYTES_MAX: usize = 1024;

/// Days from 1970-01-01 of `YYYY-MM-DD`.
pub(super) fn date(bytes: &[u8]) -> Option<i32> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = bytes else { return None };
    let year = 100 * two(*y0, *y1)? + two(*y2, *y3)?;
    let (month, day) = (two(*m0, *m1)?, two(*d0, *d1)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years from March on, in eras of 400. From: Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
    let year = year - i32::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day; the way back of [`date`].
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    // From: Hinnant, as above, civil_from_days.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

/// Microseconds from 1970-01-01, and whether it was written with a `Z`: `YYYY-MM-DD`, a `T` or a blank, `HH:MM`, then
/// perhaps `:SS` and up to six digits of a second.
pub(super) fn time(bytes: &[u8]) -> Option<(i64, bool)> {
    let (day, rest) = bytes.split_at_checked(10)?;
    let days = i64::from(date(day)?);
    let [b'T' | b' ', h0, h1, b':', m0, m1, rest @ ..] = rest else { return None };
    let (hours, minutes) = (two(*h0, *h1)?, two(*m0, *m1)?);
    let (utc, rest) = match rest {
        [rest @ .., b'Z'] => (true, rest),
        rest => (false, rest),
    };
    let (seconds, fraction) = match rest {
        [] => (0, &[][..]),
        [b':', s0, s1] => (two(*s0, *s1)?, &[][..]),
        [b':', s0, s1, b'.', fraction @ ..] if (1..=6).contains(&fraction.len()) => {
            (two(*s0, *s1)?, fraction)
        }
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |i: usize| fraction.get(i).map_or(0, |b| i64::from(b - b'0'));
    let micros = (0..6).fold(0, |sum, i| 10 * sum + digit(i));
    let seconds = ((days * 24 + i64::from(hours)) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    Some((seconds * 1_000_000 + micros, utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_and_times() {
        for (text, want) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("2013-01-01", Some(15_706)),
            ("0001-01-01", Some(-719_162)),
            ("9999-12-31", Some(2_932_896)),
            ("1900-02-29", None),
            ("2013-13-01", None),
            ("2013-00-01", None),
            ("2013-01-00", None),
            ("2013-1-1", None),
            ("2013-01-1x", None),
        ] {
            assert_eq!(date(text.as_bytes()), want, "{text}");
        }
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some((0, true))),
            ("1970-01-01 00:01", Some((60_000_000, false))),
            ("1969-12-31 23:59:59.5", Some((-500_000, false))),
            ("1970-01-01T00:00:01.000007", Some((1_000_007, false))),
            ("1970-01-01T24:00:00", None),
            ("1970-01-01T00:00:60", None),
            ("1970-01-01T00:00:00.1234567", None),
            ("1970-01-01T00:00:00.", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("1970-01-01", None),
        ] {
            assert_eq!(time(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut day = date(b"1600-01-01").unwrap();
        for year in 1600..2400 {
            for month in 1..=12 {
                for of_month in 1..=31 {
                    if let Some(found) = date(format!("{year}-{month:02}-{of_month:02}").as_bytes()) {
                        assert_eq!(found, day);
                        assert_eq!(civil(i64::from(day)), (year, month, of_month));
                        day += 1;
                    }
                }
            }
        }
        assert_eq!(day, date(b"2400-01-01").unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn numbers_are_those_of_std(text in prop_oneof![
            "[+-]?[0-9]{0,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{0,3})?",
            "[+-]?(nan|NaN|inf|Inf|INF|infinity|Infinity|in|na|infinit)",
            "[-+0-9.eE_ x]{0,6}",
        ]) {
            let want = text.parse::<f64>().ok();
            let found = float(text.as_bytes(), false);
            prop_assert_eq!(found.map(f64::to_bits), want.map(f64::to_bits), "{}", text);
            prop_assert_eq!(integer(text.as_bytes()), text.parse::<i64>().ok());
            let comma = float(text.replace('.', ",").as_bytes(), true);
            prop_assert_eq!(comma.map(f64::to_bits), want.map(f64::to_bits), "{}", text);
        }
    }
}
