//! CSV and its relatives: a table as text, with a delimiter between fields, as RFC 4180 describes it.
//!
//! # Grammar
//!
//! ```text
//! file    = [byte order mark] { skipped line } { blank line | comment } [header] { record | blank line | comment }
//! record  = field { delimiter field } end
//! field   = quoted | bare
//! quoted  = quote { any byte but a quote | quote quote } quote
//! bare    = bytes without delimiter and "\n", of which the first is no quote
//! comment = comment character, first byte of its line, { any byte but "\n" } end
//! end     = ["\r"] "\n"
//! ```
//!
//! The last line may lack its `\n`. A quote that is not the first byte of its field is a byte like others (`5" pipe`).
//! Quoted fields may hold delimiters and line ends. Blank lines are no records, in any table.
//!
//! **What is found by looking** (at the first [`CsvOptions::infer_bytes`] of the first file): the delimiter among `,`, tab,
//! `;` and `|`; whether there is a header: all its fields are text, and the rest of some column is not, or, where all is
//! text, none of them occurs again in its column; and the types, of each column the first of these that all its values
//! are of: Boolean, Int64, Float64, Date32 (`2024-12-31`), Timestamp (`2024-12-31T23:59:59Z`, microseconds), Utf8.
//! Columns without a header are called `column_1`, `column_2`, ..., and so is a column whose name is empty; a name that
//! occurs again gets `.1`, `.2` after it, as in pandas.
//!
//! **Values.** Booleans are `true`, `True`, `TRUE` and the same of false. Numbers may be quoted and may have blanks around
//! them; `NaN` and `inf` are numbers. No value (null) is what [`CsvOptions::nulls`] lists: by default the empty field,
//! `NA`, `N/A`, `null`, `NULL` and `?`. In a column of text they are only null if they are not quoted: `""` is an empty
//! text, `"NA"` the text NA, which is how R writes them.
//!
//! # Guarantees
//!
//! Numbers have the same bits as `str::parse` gives. Rows, their order and what is said about bad ones do not depend on how
//! a file is divided, for any bytes: a record belongs to the split that has its first byte, and where the first one of a
//! split starts is found exactly ([`starts`]), not guessed. A record that cannot be used is reported once, as
//! `file:line:column` (lines as an editor counts them) with its bytes and a hint, and leaves nothing in a batch: it has too
//! many or too few fields, a value that is not of its column's type, a quote that is not closed or that is followed by
//! something, or text that is not UTF-8. What is wrong with the values of columns that a scan does not ask for goes
//! unseen; their number does not.
//!
//! # Cost
//!
//! One pass. Where a split is opened before the one before it has been read, which two threads do all the time, the rest
//! of that one is passed over from quote to quote first, at some 5 GB/s; another process passes over all that is before
//! its splits. Not so with [`CsvOptions::quoted_line_ends`] off, or without a quote. Memory: a buffer of 256 KiB (larger only
//! for a record that is longer than that) and the batch, which has fewer rows where they are wide. Opening reads the
//! start of the first file, and the header of every other.
//!
//! # Failure
//!
//! Opening fails with input errors: files whose headers differ, or differ from a given schema (both are printed), no
//! columns at all, names that are not UTF-8. A record longer than [`ReadLimits::line_bytes_max`] ends the reading.
//!
//! # References
//!
//! Shafranovich, RFC 4180. Why starts of splits are not guessed: Ge, Li, Eilebrecht, Chandramouli and Kossmann 2019,
//! Speculative distributed CSV data parsing for big data analytics, SIGMOD.

mod careful;
mod chunks;
mod column;
mod fields;
mod infer;
mod reader;
mod row;
mod scan;
mod starts;
mod table;
mod value;
mod write;

pub use table::CsvTable;
pub use write::{CsvWriteOptions, CsvWriter};

use crate::lines::ReadLimits;
use arrow_schema::{DataType, SchemaRef};
use fields::Dialect;
use slackwater_dataflow::{Error, Result};
use value::Kind;

/// How to read CSV.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// What is between fields. `None`: found among `,`, tab, `;`, `|`.
    pub delimiter: Option<u8>,
    /// True if the first record of every file has the names of the columns. `None`: found.
    pub header: Option<bool>,
    /// What is around fields that hold delimiters or line ends. `None`: nothing is.
    pub quote: Option<u8>,
    /// How many lines at the start of every file are no part of the table.
    pub skip_lines: usize,
    /// Lines that begin with this are left out.
    pub comment: Option<u8>,
    /// What stands for no value.
    pub nulls: Vec<String>,
    /// All columns, names and types: Boolean, Int64, Float64, Utf8, Date32, Timestamp in microseconds without a zone or
    /// with `UTC`. Nothing is looked for then. A header must have these names.
    pub columns: Option<SchemaRef>,
    /// Types of some columns, by name; the others are found.
    pub types: Vec<(String, DataType)>,
    /// How much of the first file is looked at, in bytes of what it unpacks to. Default: 1 MiB.
    pub infer_bytes: usize,
    /// False: a line end ends a record wherever it is, and a quoted field that is not closed there is a bad record. Then a
    /// split is read without a look at what is before it, which pays where files are far away.
    pub quoted_line_ends: bool,
    /// Numbers have a comma where others have a point (`0,5`).
    pub decimal_comma: bool,
    /// Limits on records and packed files.
    pub limits: ReadLimits,
}

/// What stands for no value unless something else is said.
pub const NULLS: [&str; 6] = ["", "NA", "N/A", "null", "NULL", "?"];

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: None,
            header: None,
            quote: Some(b'"'),
            skip_lines: 0,
            comment: None,
            nulls: NULLS.map(String::from).to_vec(),
            columns: None,
            types: vec![],
            infer_bytes: 1 << 20,
            quoted_line_ends: true,
            decimal_comma: false,
            limits: ReadLimits::default(),
        }
    }
}

impl CsvOptions {
    /// Tab-separated values.
    pub fn tsv() -> Self {
        CsvOptions { delimiter: Some(b'\t'), ..Default::default() }
    }

    /// Checks the values; the error names the setting.
    pub fn check(&self) -> Result<()> {
        let named = [("delimiter", self.delimiter), ("quote", self.quote), ("comment", self.comment)];
        for (i, (name, byte)) in named.iter().enumerate() {
            let Some(byte) = byte else { continue };
            if !byte.is_ascii() || matches!(byte, b'\n' | b'\r' | 0) {
                return Err(Error::config(*name, "must be one ASCII character, and no line end"));
            }
            if let Some((other, _)) = named[..i].iter().find(|(_, b)| *b == Some(*byte)) {
                return Err(Error::config(*name, format!("must not be the same as the {other}")));
            }
        }
        if self.decimal_comma && self.delimiter == Some(b',') {
            return Err(Error::config("delimiter", "must not be a comma where numbers have one"));
        }
        let columns = self.columns.iter().flat_map(|s| s.fields().iter());
        let given = columns.map(|f| (f.name(), f.data_type()));
        for (name, data_type) in given.chain(self.types.iter().map(|(n, t)| (n, t))) {
            if Kind::of(data_type).is_none() {
                return Err(Error::config(
                    "columns",
                    format!(
                        "column `{name}` cannot be {data_type}: CSV is read as Boolean, Int64, Float64, Utf8, Date32, or Timestamp in microseconds without a zone or with UTC"
                    ),
                ));
            }
        }
        if self.columns.as_ref().is_some_and(|s| s.fields().is_empty()) {
            return Err(Error::config("columns", "must not be empty"));
        }
        Ok(())
    }

    fn dialect(&self, delimiter: u8) -> Dialect {
        Dialect {
            delimiter,
            quote: self.quote,
            comment: self.comment,
            quoted_line_ends: self.quoted_line_ends,
        }
    }
}
