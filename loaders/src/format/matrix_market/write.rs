//! Writing a matrix: coordinates, real, general.

use super::Entry;
use std::io::{self, Write};

/// Writes entries, of a matrix of `rows` by `columns`, as real coordinates. What is written reads back as the same numbers, bit
/// for bit (but for the bits of NaN).
///
/// # Errors
/// What `into` says; `InvalidInput` for an entry outside of the matrix or with an imaginary part, after the entries before it.
///
/// ```
/// use slackwater_loaders::format::matrix_market::{Entry, write_coordinate};
/// let mut text = vec![];
/// write_coordinate(&mut text, 2, 3, [Entry { row: 1, column: 0, value: 0.5, imaginary: 0.0 }].into_iter())?;
/// assert_eq!(text, b"%%MatrixMarket matrix coordinate real general\n2 3 1\n2 1 0.5\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_coordinate(
    into: &mut impl Write,
    rows: u64,
    columns: u64,
    entries: impl ExactSizeIterator<Item = Entry>,
) -> io::Result<()> {
    write_head(into, rows, columns, entries.len() as u64)?;
    for entry in entries {
        write_entry(into, rows, columns, entry)?;
    }
    Ok(())
}

/// Writes the head of a matrix of real coordinates.
///
/// # Errors
/// What `into` says.
pub fn write_head(into: &mut impl Write, rows: u64, columns: u64, entries: u64) -> io::Result<()> {
    writeln!(into, "%%MatrixMarket matrix coordinate real general\n{rows} {columns} {entries}")
}

/// Writes one entry of a matrix of `rows` by `columns`.
///
/// # Errors
/// As [`write_coordinate`].
pub fn write_entry(into: &mut impl Write, rows: u64, columns: u64, entry: Entry) -> io::Result<()> {
    {
        if entry.row >= rows || entry.column >= columns || entry.imaginary != 0.0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("entry {entry:?} is not one of a real matrix of {rows} by {columns}"),
            ));
        }
        // `Debug` writes the shortest digits, with an exponent where there would be many zeros.
        let value = entry.value;
        if value == value.trunc() && value.abs() < 1e15 {
            writeln!(into, "{} {} {value}", entry.row + 1, entry.column + 1)?;
        } else {
            writeln!(into, "{} {} {value:?}", entry.row + 1, entry.column + 1)?;
        }
    }
    Ok(())
}
