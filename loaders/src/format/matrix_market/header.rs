//! The head of a MatrixMarket file: what it holds, and how large it is.

use super::super::fault::Fault;
use super::super::records::{Words, read_head, whole};
use crate::lines::ReadLimits;
use crate::source::InputFile;
use slackwater_dataflow::{BadRecord, Result};

/// Whether all values are there, or those that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `row column value` a line.
    Coordinate,
    /// A value a line, column by column.
    Array,
}

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Decimal numbers.
    Real,
    /// Whole numbers.
    Integer,
    /// Pairs of decimal numbers.
    Complex,
    /// None: where there is an entry, it is 1.
    Pattern,
}

/// Which half of the matrix the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetry {
    /// All of it.
    General,
    /// One half; the other is the same.
    Symmetric,
    /// One half without the diagonal; the other has the opposite sign.
    SkewSymmetric,
    /// One half; the other is the complex conjugate.
    Hermitian,
}

/// What the head of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is written.
    pub layout: Layout,
    /// What values are.
    pub values: Values,
    /// Which half is written.
    pub symmetry: Symmetry,
    /// Rows of the matrix.
    pub rows: u64,
    /// Columns of the matrix.
    pub columns: u64,
    /// Lines of entries that follow; entries of symmetric files stand for two.
    pub entries: u64,
    /// The least and the largest whole number that the declared type holds; `None`: values are of floating point.
    pub(super) range: Option<(i128, i128)>,
}

const FIRST_LINE: &str = "the first line is `%%MatrixMarket matrix coordinate|array real|integer|complex|pattern \
                          general|symmetric|skew-symmetric|hermitian`";
const SIZES: &str =
    "after the comments comes a line of sizes: `rows columns entries`, or `rows columns` of an array";

/// Reads the head, and says how many bytes it takes.
pub(super) fn read(file: &InputFile, limits: ReadLimits) -> Result<(Header, u64)> {
    let mut head = Reading::default();
    let bytes = read_head(file, limits, |line| {
        if head.header.is_some() {
            return Ok(false);
        }
        head.line(line).map(|()| true)
    })?;
    match head.header {
        Some(header) => Ok((header, bytes)),
        None => {
            Err(BadRecord::at(file.name(), 0, 0, "the file ends before its line of sizes").hint(SIZES).into())
        }
    }
}

/// The words of the first line.
type Kind = (Layout, Values, Symmetry);

#[derive(Default)]
struct Reading {
    begun: bool,
    kind: Option<Kind>,
    /// From a comment `%%GraphBLAS type NAME`.
    declared: Option<Declared>,
    header: Option<Header>,
}

#[derive(Clone, Copy)]
enum Declared {
    Float,
    Whole(i128, i128),
}

impl Reading {
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut words = Words::of(line);
        match words.next() {
            None => Ok(()),
            Some((_, word)) if first && word.eq_ignore_ascii_case(b"%%MatrixMarket") => {
                self.kind = Some(kind(words)?);
                Ok(())
            }
            Some((_, word)) if word.eq_ignore_ascii_case(b"%%GraphBLAS") => self.declaration(words),
            Some((_, word)) if word.starts_with(b"%") => Ok(()),
            Some(_) => {
                self.header = Some(self.sizes(line)?);
                Ok(())
            }
        }
    }

    /// `%%GraphBLAS type int8_t`: values that the type does not hold are refused.
    fn declaration(&mut self, mut words: Words<'_>) -> Result<(), Fault> {
        if words.next().is_none_or(|(_, word)| word != b"type") {
            return Ok(());
        }
        let (column, name) =
            words.need("the name of the type", "types are bool, int8_t to uint64_t, float and double")?;
        let signed = |bits: u32| Declared::Whole(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
        let unsigned = |bits: u32| Declared::Whole(0, (1 << bits) - 1);
        self.declared = Some(match name {
            b"bool" => Declared::Whole(0, 1),
            b"int8_t" | b"int8" => signed(8),
            b"int16_t" | b"int16" => signed(16),
            b"int32_t" | b"int32" => signed(32),
            b"int64_t" | b"int64" => signed(64),
            b"uint8_t" | b"uint8" => unsigned(8),
            b"uint16_t" | b"uint16" => unsigned(16),
            b"uint32_t" | b"uint32" => unsigned(32),
            b"uint64_t" | b"uint64" => unsigned(64),
            b"float" | b"double" | b"fp32" | b"fp64" => Declared::Float,
            _ => {
                return Err(Fault::new(column, name, "no such type of values")
                    .hint("types are bool, int8_t to uint64_t, float and double"));
            }
        });
        Ok(())
    }

    fn sizes(&self, line: &[u8]) -> Result<Header, Fault> {
        let mut words = Words::of(line);
        let fault = |message: &str, hint| Err(Fault::new(0, line, message).hint(hint));
        let mut size = |what| words.need(what, SIZES).and_then(|(at, word)| whole(at, word, what));
        let (rows, columns) = (size("the number of rows")?, size("the number of columns")?);
        let third = words.next();
        let (layout, values, symmetry) = self.kind.unwrap_or(match third {
            Some(_) => (Layout::Coordinate, Values::Real, Symmetry::General),
            None => (Layout::Array, Values::Real, Symmetry::General),
        });
        if symmetry != Symmetry::General && rows != columns {
            return fault("a symmetric matrix has as many rows as columns", SIZES);
        }
        let entries = match (layout, third) {
            (Layout::Coordinate, Some((at, word))) => whole(at, word, "the number of entries")?,
            (Layout::Coordinate, None) => return fault("the number of entries is missing", SIZES),
            (Layout::Array, third) => {
                let n = u128::from(rows);
                let entries = match symmetry {
                    Symmetry::General => n * u128::from(columns),
                    Symmetry::Symmetric | Symmetry::Hermitian => n * (n + 1) / 2,
                    Symmetry::SkewSymmetric => n * n.saturating_sub(1) / 2,
                };
                match (u64::try_from(entries), third) {
                    (Err(_), _) => return fault("the array has more than 2^64 values", SIZES),
                    // Some programs write the number of values, too.
                    (Ok(n), Some((at, word))) if whole(at, word, "the number of values")? != n => {
                        return Err(
                            Fault::new(at, word, format!("an array of this size has {n} values")).hint(SIZES)
                        );
                    }
                    (Ok(n), _) => n,
                }
            }
        };
        words.end(SIZES)?;
        let range = match (self.declared, values) {
            (_, Values::Complex | Values::Pattern) | (Some(Declared::Float), _) | (None, Values::Real) => {
                None
            }
            (Some(Declared::Whole(least, largest)), _) => Some((least, largest)),
            (None, Values::Integer) => Some((i128::from(i64::MIN), i128::from(u64::MAX))),
        };
        if symmetry == Symmetry::SkewSymmetric && matches!(self.declared, Some(Declared::Whole(0, _))) {
            return fault(
                "values of this type have no sign, and a skew-symmetric matrix has each with both signs",
                "the type is in the comment `%%GraphBLAS type`",
            );
        }
        Ok(Header { layout, values, symmetry, rows, columns, entries, range })
    }
}

fn kind(mut words: Words<'_>) -> Result<Kind, Fault> {
    let mut next = |what: &str, names: &[&'static str]| -> Result<&'static str, Fault> {
        let (column, word) = words.need(what, FIRST_LINE)?;
        names.iter().copied().find(|name| word.eq_ignore_ascii_case(name.as_bytes())).ok_or_else(|| {
            Fault::new(column, word, format!("{what} is not one that is known")).hint(FIRST_LINE)
        })
    };
    next("the object", &["matrix"])?;
    let layout = match next("the format", &["coordinate", "array"])? {
        "coordinate" => Layout::Coordinate,
        _ => Layout::Array,
    };
    let values = match next("the field", &["real", "double", "integer", "complex", "pattern"])? {
        "integer" => Values::Integer,
        "complex" => Values::Complex,
        "pattern" => Values::Pattern,
        _ => Values::Real,
    };
    let symmetry = match next("the symmetry", &["general", "symmetric", "skew-symmetric", "hermitian"])? {
        "general" => Symmetry::General,
        "symmetric" => Symmetry::Symmetric,
        "skew-symmetric" => Symmetry::SkewSymmetric,
        _ => Symmetry::Hermitian,
    };
    words.end(FIRST_LINE)?;
    let refuse = |message: &str, hint| Err(Fault::new(0, b"%%MatrixMarket", message).hint(hint));
    match (layout, values, symmetry) {
        (Layout::Array, Values::Pattern, _) => {
            refuse("an array has values, and a pattern has none", "a pattern is written in coordinates")
        }
        (_, Values::Real | Values::Integer | Values::Pattern, Symmetry::Hermitian) => {
            refuse("a hermitian matrix is complex", "a matrix of real numbers is called symmetric")
        }
        (_, Values::Pattern, Symmetry::SkewSymmetric) => {
            refuse("a pattern has no signs", "a pattern is general or symmetric")
        }
        _ => Ok((layout, values, symmetry)),
    }
}
