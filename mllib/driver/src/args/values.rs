//! Values of options.

use slackwater_dataflow::parse_bytes;
use std::str::FromStr;

/// A size in bytes, written with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        parse_bytes(text).map(Bytes)
    }
}

/// A number of which NaN and infinity are none.
pub fn finite(text: &str) -> Result<f64, String> {
    let x: f64 = text.trim().parse().map_err(|_| "not a number".to_string())?;
    if x.is_finite() { Ok(x) } else { Err("not a finite number".to_string()) }
}

/// A count of at least 1.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) => Err("must be at least 1".to_string()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a whole number".to_string()),
    }
}
