//! Dates, in the formats of Java's `SimpleDateFormat` that have a four-digit year and numbers alone.
//!
//! A time is what it says, without a time zone, in milliseconds since 1970.

/// A format of dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A number of so many digits: the letter says of what.
    Digits(u8, usize),
    Literal(u8),
}

impl Default for DateFormat {
    /// ISO 8601 without fractions and zone, as ARFF has it.
    fn default() -> Self {
        DateFormat::new("yyyy-MM-dd'T'HH:mm:ss").expect("a format that is read")
    }
}

impl DateFormat {
    /// `None` for a format with anything but numbers, or without a year.
    pub fn new(format: &str) -> Option<DateFormat> {
        let bytes = format.as_bytes();
        let (mut parts, mut i) = (vec![], 0);
        while i < bytes.len() {
            let letter = bytes[i];
            if letter == b'\'' {
                let end = i + 1 + bytes[i + 1..].iter().position(|b| *b == b'\'')?;
                // Two of them are one.
                let inside = if end == i + 1 { &b"'"[..] } else { &bytes[i + 1..end] };
                parts.extend(inside.iter().map(|b| Part::Literal(*b)));
                i = end + 1;
                continue;
            }
            if !letter.is_ascii_alphabetic() {
                parts.push(Part::Literal(letter));
                i += 1;
                continue;
            }
            let count = bytes[i..].iter().take_while(|b| **b == letter).count();
            let want = match letter {
                b'y' => 4,
                b'M' | b'd' | b'H' | b'm' | b's' => 2,
                b'S' => 3,
                _ => return None,
            };
            if count != want || parts.iter().any(|p| matches!(p, Part::Digits(l, _) if *l == letter)) {
                return None;
            }
            parts.push(Part::Digits(letter, count));
            i += count;
        }
        parts.contains(&Part::Digits(b'y', 4)).then_some(DateFormat(parts))
    }

    /// Milliseconds since 1970.
    pub fn read(&self, text: &[u8]) -> Option<i64> {
        let (mut year, mut month, mut day) = (0, 1, 1);
        let (mut hour, mut minute, mut second, mut milli) = (0, 0, 0, 0);
        let mut rest = text;
        for part in &self.0 {
            match part {
                Part::Literal(byte) => rest = rest.strip_prefix(&[*byte])?,
                Part::Digits(letter, count) => {
                    let (digits, after) = rest.split_at_checked(*count)?;
                    if !digits.iter().all(u8::is_ascii_digit) {
                        return None;
                    }
                    let number = digits.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
                    rest = after;
                    match letter {
                        b'y' => year = number,
                        b'M' => month = number,
                        b'd' => day = number,
                        b'H' => hour = number,
                        b'm' => minute = number,
                        b's' => second = number,
                        _ => milli = number,
                    }
                }
            }
        }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let fits = rest.is_empty() && (1..=last).contains(&day) && hour < 24 && minute < 60 && second < 60;
        if !fits {
            return None;
        }
        // Days from civil, with years that begin in March (Hinnant, "chrono-compatible low-level date algorithms").
        let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let era = y.div_euclid(400);
        let of_era = y.rem_euclid(400);
        let of_year = (153 * m + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_milliseconds() {
        let iso = DateFormat::default();
        for (text, want) in [
            ("1970-01-01T00:00:00", Some(0)),
            ("2001-04-03T12:12:12", Some(986_299_932_000)),
            ("1969-12-31T23:59:59", Some(-1000)),
            ("2000-02-29T00:00:00", Some(951_782_400_000)),
            ("1900-02-29T00:00:00", None),
            ("2001-13-01T00:00:00", None),
            ("2001-04-03T24:00:00", None),
            ("2001-04-03", None),
            ("2001-04-03T12:12:12Z", None),
        ] {
            assert_eq!(iso.read(text.as_bytes()), want, "{text}");
        }
        let other = DateFormat::new("dd.MM.yyyy 'at' HH''mm:ss.SSS").unwrap();
        assert_eq!(other.read(b"02.01.1970 at 00'00:01.500"), Some(86_401_500));
        for format in ["yy-MM-dd", "MM-dd", "yyyy-MMM-dd", "yyyy z", "yyyy 'open", "yyyy yyyy"] {
            assert_eq!(DateFormat::new(format), None, "{format}");
        }
    }
}
