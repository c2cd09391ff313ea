//! Cholesky factorisation of a symmetric positive definite matrix, for normal equations.
//!
//! # Cost
//! `d³/3` multiplications and `d²/2` numbers in place. Meant for `d` up to [`DIMENSION_MAX`]; beyond it an iterative
//! solver is faster and takes less memory.
//!
//! # Errors
//! A pivot that is not above `d ε` times the largest diagonal entry is a numerical error: the matrix is singular up to
//! rounding (for normal equations: collinear columns), and the solution would be noise.
//!
//! # References
//! Golub and Van Loan, *Matrix Computations*, 4th edition, algorithm 4.2.1 (by rows).

use slackwater_dataflow::{Error, ErrorKind, Result};

/// The largest dimension that the normal equations are offered for: 128 MiB of matrix.
pub const DIMENSION_MAX: usize = 4096;

/// The factor `L` of `A = L L'`, lower triangle by rows, packed: row `i` starts at `i (i + 1) / 2`.
#[derive(Debug, Clone)]
pub struct Cholesky {
    dimension: usize,
    factor: Vec<f64>,
}

/// Where row `i` of a packed lower triangle starts.
pub fn packed_row(i: usize) -> usize {
    i * (i + 1) / 2
}

/// Inner product of two row prefixes.
#[inline(always)]
fn prefix_dot(a: &[f64], b: &[f64]) -> f64 {
    super::dense::dot(a, b)
}

impl Cholesky {
    /// Factorises the packed lower triangle of a `dimension` by `dimension` matrix.
    pub fn new(lower: Vec<f64>, dimension: usize) -> Result<Self> {
        super::widest(
            #[inline(always)]
            || Self::factorise(lower, dimension),
        )
    }
    #[inline(always)]
    fn factorise(mut lower: Vec<f64>, dimension: usize) -> Result<Self> {
        assert_eq!(lower.len(), packed_row(dimension), "a packed triangle has d (d + 1) / 2 entries");
        let largest = (0..dimension).fold(0.0f64, |m, i| m.max(lower[packed_row(i) + i]));
        let least = dimension as f64 * f64::EPSILON * largest;
        for i in 0..dimension {
            let (before, rest) = lower.split_at_mut(packed_row(i));
            let row = &mut rest[..=i];
            for j in 0..i {
                let other = &before[packed_row(j)..packed_row(j) + j + 1];
                row[j] = (row[j] - prefix_dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] - prefix_dot(&row[..i], &row[..i]);
            if pivot.is_nan() || pivot <= least {
                return Err(Error::new(ErrorKind::Numerical(format!(
                    "the matrix is not positive definite: pivot {} of {dimension} is {pivot:e}\n  hint: columns may be \
                     collinear or constant; add an L2 regularisation, or use the solver `lbfgs`",
                    i + 1
                ))));
            }
            row[i] = pivot.sqrt();
        }
        Ok(Cholesky { dimension, factor: lower })
    }
    /// Solves `A x = b` in place.
    pub fn solve(&self, b: &mut [f64]) {
        assert_eq!(b.len(), self.dimension, "the right side has one entry a row");
        for i in 0..self.dimension {
            let row = self.row(i);
            b[i] = (b[i] - prefix_dot(&row[..i], &b[..i])) / row[i];
        }
        self.solve_transposed(b);
    }
    /// Solves `L' x = b` in place.
    pub fn solve_transposed(&self, b: &mut [f64]) {
        assert_eq!(b.len(), self.dimension, "the right side has one entry a row");
        for i in (0..self.dimension).rev() {
            let row = self.row(i);
            b[i] /= row[i];
            let x = b[i];
            super::dense::axpy(-x, &row[..i], &mut b[..i]);
        }
    }
    fn row(&self, i: usize) -> &[f64] {
        &self.factor[packed_row(i)..=packed_row(i) + i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves() {
        // A = L L' with L = [2 0 0; 1 3 0; -1 2 1].
        let lower = vec![4.0, 2.0, 10.0, -2.0, 5.0, 6.0];
        let factor = Cholesky::new(lower, 3).unwrap();
        let x = [1.0, -2.0, 3.0];
        let mut b = [4.0 - 4.0 - 6.0, 2.0 - 20.0 + 15.0, -2.0 - 10.0 + 18.0];
        factor.solve(&mut b);
        b.iter().zip(x).for_each(|(b, x)| assert!((b - x).abs() < 1e-12, "{b} {x}"));
        let mut b = [2.0 - 2.0 - 3.0, 3.0 * -2.0 + 2.0 * 3.0, 3.0];
        factor.solve_transposed(&mut b);
        b.iter().zip(x).for_each(|(b, x)| assert!((b - x).abs() < 1e-12, "{b} {x}"));
    }

    #[test]
    fn singular_is_an_error() {
        let e = Cholesky::new(vec![1.0, 1.0, 1.0], 2).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Numerical(_)), "{e}");
        assert!(Cholesky::new(vec![f64::NAN], 1).is_err());
    }
}
