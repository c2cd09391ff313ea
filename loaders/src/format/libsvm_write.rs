//! Writing LIBSVM text: `label index:value ...`, one row a line, indices from 1.
//!
//! Guarantees: what is written reads back as the same numbers, bit for bit (shortest digits that do so), and the same
//! stored values: explicit zeros of sparse rows are written, zeros of dense vectors are not. What the format cannot
//! hold is lost: how many columns a row had beyond its last stored value.
//!
//! Fails for labels and values that are not finite, and for columns beyond 2^31 - 2, since no reader would take
//! them. A row that is refused leaves nothing in the output.

use super::libsvm::INDEX_MAX;
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint};
use slackwater_dataflow::{BadRecord, Result};
use std::fmt::Write as _;

/// Makes LIBSVM text. The text collects in memory; take it with [`LibsvmText::as_bytes`] and [`LibsvmText::clear`], for
/// example when there are 64 KiB of it.
///
/// ```
/// use slackwater_loaders::format::libsvm_write::LibsvmText;
/// let mut text = LibsvmText::default();
/// text.push_row(-1.0, [(0, 0.1), (7, 2.0)])?;
/// assert_eq!(text.as_bytes(), b"-1 1:0.1 8:2\n");
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LibsvmText {
    text: String,
}

impl LibsvmText {
    /// Appends a row: columns from 0, ascending, and their values.
    pub fn push_row(&mut self, label: f64, row: impl IntoIterator<Item = (u32, f64)>) -> Result<()> {
        let start = self.text.len();
        let result = self.try_push(label, row);
        if result.is_err() {
            self.text.truncate(start);
        }
        result
    }

    /// Appends a point. Zeros of a dense vector are left out.
    pub fn push_point(&mut self, point: &LabeledPoint) -> Result<()> {
        let dense = matches!(point.features, slackwater_dataflow::block::Vector::Dense(_));
        // Sizes beyond 32 bits have columns beyond them at most, and those are refused by their number.
        let column = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
        let row = point.features.iter().filter(|(_, x)| !dense || *x != 0.0).map(|(i, x)| (column(i), x));
        self.push_row(point.label, row)
    }

    /// Appends all rows of a block. If one is refused, the ones before it stay.
    pub fn push_block(&mut self, block: &LabeledBlock) -> Result<()> {
        block.iter().try_for_each(|(label, row)| {
            self.push_row(label, row.indices.iter().copied().zip(row.values.iter().copied()))
        })
    }

    /// The rows so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    fn try_push(&mut self, label: f64, row: impl IntoIterator<Item = (u32, f64)>) -> Result<()> {
        if !label.is_finite() {
            return Err(refused(format!("the label is {label}")));
        }
        push_number(&mut self.text, label);
        for (column, value) in row {
            if u64::from(column) >= INDEX_MAX {
                return Err(refused(format!("column {column} is beyond the last one, {}", INDEX_MAX - 1)));
            }
            if !value.is_finite() {
                return Err(refused(format!("the value of column {column} is {value}")));
            }
            let _ = write!(self.text, " {}:", column + 1);
            push_number(&mut self.text, value);
        }
        self.text.push('\n');
        Ok(())
    }
}

/// Integers up to this are written by their digits; all of them are exact.
const INTEGER_MAX: f64 = 1e15;

fn push_number(text: &mut String, x: f64) {
    // Writing to a `String` does not fail.
    let _ = if x == x.trunc() && x.abs() < INTEGER_MAX && (x != 0.0 || x.is_sign_positive()) {
        write!(text, "{}", x as i64)
    } else {
        // Of the two ways to print, this one is not hundreds of digits long for 1e300.
        write!(text, "{x:?}")
    };
}

fn refused(what: String) -> slackwater_dataflow::Error {
    BadRecord::new(format!("LIBSVM text cannot hold this row: {what}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::block::Vector;

    #[test]
    fn numbers_are_short_and_exact() {
        for (x, want) in [
            (0.0, "0"),
            (-0.0, "-0.0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (1e15, "1000000000000000.0"),
            (1e-7, "1e-7"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (123456.75, "123456.75"),
        ] {
            let mut text = String::new();
            push_number(&mut text, x);
            assert_eq!(text, want);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), x.to_bits());
        }
    }

    #[test]
    fn zeros_of_dense_vectors_are_left_out() {
        let mut text = LibsvmText::default();
        text.push_point(&LabeledPoint::new(1.5, Vector::dense([0.0, 2.0, 0.0]))).unwrap();
        text.push_point(&LabeledPoint::new(0.0, Vector::sparse(9, vec![3, 8], vec![0.0, 0.5]).unwrap()))
            .unwrap();
        assert_eq!(text.as_bytes(), b"1.5 2:2\n0 4:0 9:0.5\n");
    }

    #[test]
    fn what_cannot_be_read_is_not_written() {
        let mut text = LibsvmText::default();
        let e = text.push_row(1.0, [(0, 1.0), (3, f64::NAN)]).unwrap_err();
        assert_eq!(e.to_string(), "LIBSVM text cannot hold this row: the value of column 3 is NaN");
        assert!(text.push_row(f64::INFINITY, []).is_err());
        assert!(text.push_row(1.0, [(u32::MAX, 1.0)]).is_err());
        assert!(text.push_row(1.0, [(INDEX_MAX as u32, 1.0)]).is_err());
        assert_eq!(text.as_bytes(), b"", "a refused row leaves nothing");
        text.push_row(1.0, [(INDEX_MAX as u32 - 1, 1.0)]).unwrap();
        assert_eq!(text.as_bytes(), b"1 2147483647:1\n");
    }
}
