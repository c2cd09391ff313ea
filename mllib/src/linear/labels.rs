//! Which labels a classifier takes, and what it makes of them.
//!
//! Two classes: labels 0 and 1, or -1 and +1; the larger is the positive class. Several classes: whole numbers, mapped
//! in ascending order. Anything else is a data error that names the label; the usual cause is a file of a regression.

use super::survey::LABELS_MAX;
use slackwater_dataflow::{BadRecord, Error, Result};

/// The two labels of a binary problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binary {
    /// 0 or -1.
    pub negative: f64,
    /// 1.
    pub positive: f64,
}

const BINARIZE: &str = "`--binarize T` makes labels above T positive and the others negative";

fn refuse(label: f64, expected: &str) -> Error {
    BadRecord::new(format!("label {label}: {expected}")).hint(BINARIZE).into()
}

/// The classes of distinct, ascending labels, of which there must be exactly two that fit together.
///
/// # Errors
/// Data, naming the first label that does not fit.
pub fn binary_classes(labels: &[f64]) -> Result<Binary> {
    const EXPECTED: &str = "two classes are labelled 0 and 1, or -1 and +1";
    if let Some(odd) = labels.iter().find(|l| ![0.0, 1.0, -1.0].contains(l)) {
        return Err(refuse(*odd, EXPECTED));
    }
    match labels {
        [] => Err(Error::input("there are no rows", "")),
        [negative, positive] if *positive == 1.0 => Ok(Binary { negative: *negative, positive: *positive }),
        [only] => Err(Error::input(
            format!("every row has label {only}: there is nothing to tell apart"),
            "look at how the data was split or filtered",
        )),
        [first, ..] => Err(refuse(*first, EXPECTED)),
    }
}

/// The classes of distinct, ascending labels: whole numbers, at least two, fewer than 4,096.
///
/// # Errors
/// Data, naming the first label that is not a whole number; input, for too few or too many classes.
pub fn class_labels(labels: &[f64]) -> Result<Vec<f64>> {
    if let Some(odd) = labels.iter().find(|l| l.fract() != 0.0 || !l.is_finite()) {
        return Err(refuse(*odd, "classes are labelled by whole numbers"));
    }
    match labels {
        [] => Err(Error::input("there are no rows", "")),
        [only] => Err(Error::input(
            format!("every row has label {only}: there is nothing to tell apart"),
            "look at how the data was split or filtered",
        )),
        all if all.len() >= LABELS_MAX => Err(Error::input(
            format!("there are {LABELS_MAX} different labels or more, which are too many for classes"),
            "is this the data of a regression?",
        )),
        _ => Ok(labels.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken() {
        assert_eq!(binary_classes(&[0.0, 1.0]).unwrap(), Binary { negative: 0.0, positive: 1.0 });
        assert_eq!(binary_classes(&[-1.0, 1.0]).unwrap(), Binary { negative: -1.0, positive: 1.0 });
        assert_eq!(class_labels(&[-1.0, 3.0, 7.0]).unwrap(), [-1.0, 3.0, 7.0]);
    }

    #[test]
    fn what_is_refused() {
        for labels in [&[1.0, 2.0][..], &[-1.0, 0.0, 1.0], &[-1.0, 0.0], &[0.5, 1.0], &[f64::NAN]] {
            let e = binary_classes(labels).unwrap_err();
            assert_eq!(e.exit_code(), 3, "{e}");
            assert!(e.to_string().contains("--binarize"), "{e}");
        }
        assert!(binary_classes(&[1.0, 2.5]).unwrap_err().to_string().starts_with("label 2.5"));
        assert!(class_labels(&[0.0, 0.5]).unwrap_err().to_string().starts_with("label 0.5"));
        assert_eq!(binary_classes(&[1.0]).unwrap_err().exit_code(), 3);
    }
}
