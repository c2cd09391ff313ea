//! What is printed: results on standard output, as text or as one JSON document; notes on standard error.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;
use slackwater_dataflow::{Error, Result};
use std::io::{self, Write};

/// Where results and notes go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
    /// No notes.
    pub quiet: bool,
    /// This process speaks for all: it is the only one, or process 0 of a cluster.
    pub speaks: bool,
}

impl Output {
    /// Says something on standard error.
    pub fn note(&self, text: &str) {
        if self.speaks && !self.quiet {
            eprintln!("{text}");
        }
    }
    /// Prints the result.
    ///
    /// # Errors
    /// I/O, but for a reader that has gone.
    pub fn result(&self, document: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Result<()> {
        if !self.speaks {
            return Ok(());
        }
        let text = if self.json {
            serde_json::to_string_pretty(&document()).expect("keys are text")
        } else {
            text()
        };
        print(text.trim_end())
    }
}

/// Prints text and a line end.
pub fn print(text: &str) -> Result<()> {
    written(writeln!(io::stdout().lock(), "{text}").and_then(|()| io::stdout().flush()))
}

/// The error of writing to standard output, unless the reader has seen enough.
pub fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("<stdout>", "write", &e)),
        _ => Ok(()),
    }
}

/// A number for people: six digits, no zeros at the end.
pub fn figure(x: f64) -> String {
    if x != 0.0 && x.is_finite() && !(1e-4..1e15).contains(&x.abs()) {
        return format!("{x:.6e}");
    }
    let text = format!("{x:.6}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

/// A number that reads back as the same bits, as short as that can be.
pub fn exact(x: f64) -> String {
    const INTEGER_MAX: f64 = 1e15;
    let whole = x == x.trunc() && x.abs() < INTEGER_MAX && (x != 0.0 || x.is_sign_positive());
    if whole { format!("{}", x as i64) } else { format!("{x:?}") }
}

/// A table of text with a heading; columns but the first are numbers.
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(|l| format!(" {}\n", l.trim_end())).collect()
}

/// One thing or several: `1 row`, `2 rows`, `2 processes`, `2 penalties`.
pub fn count(n: u64, what: &str) -> String {
    match (n, what.strip_suffix("ty")) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{n} {stem}ties"),
        _ if what.ends_with('s') => format!("{n} {what}es"),
        _ => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted() {
        let all = [(1, "row"), (0, "row"), (2, "process"), (1, "process"), (3, "penalty"), (5, "pass")];
        assert_eq!(
            all.map(|(n, what)| count(n, what)),
            ["1 row", "0 rows", "2 processes", "1 process", "3 penalties", "5 passes"]
        );
    }
}
