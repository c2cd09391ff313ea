//! Products of dense matrices of `f32` or `f64`, row by row in memory.
//!
//! # Cost
//! `2 m n k` operations for an `m` by `k` times a `k` by `n` matrix, on the calling thread, at most of the machine's peak:
//! the kernels are those of faer. They pack both matrices, which is what small ones are slow for.
//!
//! # Guarantees
//! The same matrices give the same bits on the same kind of processor. The order of summation, and whether additions are
//! fused with multiplications, follow the width of the processor's vectors: another kind may round differently.
//!
//! # References
//! Goto and van de Geijn 2008, Anatomy of high-performance matrix multiplication; Sarah El Kazdadi, *faer*.

use faer::linalg::matmul::matmul;
use faer::mat::{MatMut, MatRef};
use faer::traits::ComplexField;
use faer::{Accum, Par};

/// A matrix whose rows lie one after the other, or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32>(MatRef<'a, T>);

impl<'a, T> Matrix<'a, T> {
    /// The matrix of `rows` rows of `columns` values.
    ///
    /// # Panics
    /// If there are not `rows columns` values.
    pub fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} by {columns}");
        Matrix(MatRef::from_row_major_slice(values, rows, columns))
    }
    /// Its transpose; nothing is moved.
    pub fn transposed(self) -> Self {
        Matrix(self.0.transpose())
    }
}

/// Numbers of a matrix.
pub trait Real: ComplexField {}
impl Real for f32 {}
impl Real for f64 {}

/// What is done with the values that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `C = alpha A B`.
    Replace,
    /// `C += alpha A B`.
    Add,
}

/// `C = alpha A B` or `C += alpha A B`, with the rows of `C` one after the other.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm<T: Real>(alpha: T, a: Matrix<'_, T>, b: Matrix<'_, T>, into: Write, c: &mut [T]) {
    let (rows, columns) = (a.0.nrows(), b.0.ncols());
    assert_eq!(a.0.ncols(), b.0.nrows(), "columns of A and rows of B");
    assert_eq!(c.len(), rows * columns, "the product is {rows} by {columns}");
    let accumulate = match into {
        Write::Replace => Accum::Replace,
        Write::Add => Accum::Add,
    };
    let c = MatMut::from_row_major_slice_mut(c, rows, columns);
    matmul(c, accumulate, a.0, b.0, alpha, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = rng::stream(seed, 0);
        (0..n).map(|_| rng::normal(&mut rng) as f32).collect()
    }

    fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|j| (0..rows).map(move |i| values[i * columns + j])).collect()
    }

    /// With the bound on the error that any order of summation keeps: `k ε Σ |a b|`.
    fn check(m: usize, k: usize, n: usize) {
        let (a, b, before) = (random(m * k, 1), random(k * n, 2), random(m * n, 3));
        let (a_turned, b_turned) = (transpose(&a, m, k), transpose(&b, k, n));
        let plain = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
        let turned = (Matrix::new(&a_turned, k, m).transposed(), Matrix::new(&b_turned, n, k).transposed());
        for (a_of, b_of) in [plain, (turned.0, plain.1), (plain.0, turned.1), turned] {
            for into in [Write::Replace, Write::Add] {
                let mut c = before.clone();
                gemm(-0.5, a_of, b_of, into, &mut c);
                for (at, got) in c.iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let terms = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j]));
                    let start = if into == Write::Add { f64::from(before[at]) } else { 0.0 };
                    let (want, size) =
                        terms.fold((start, start.abs()), |(s, t), x| (s - 0.5 * x, t + x.abs()));
                    let error = (f64::from(*got) - want).abs();
                    let bound = (k + 2) as f64 * f64::from(f32::EPSILON) * size;
                    assert!(error <= bound, "{m} x {k} x {n}: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn against_plain_loops() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (1, 40, 17), (33, 1, 9), (31, 64, 65), (70, 300, 129)] {
            check(m, k, n);
        }
    }

    #[test]
    fn of_f64() {
        let (m, k, n) = (31, 64, 17);
        let wide = |n, seed| random(n, seed).into_iter().map(f64::from).collect::<Vec<f64>>();
        let (a, b) = (wide(m * k, 1), wide(k * n, 2));
        let mut c = vec![0.0; m * n];
        gemm(2.0, Matrix::new(&a, m, k), Matrix::new(&b, k, n), Write::Replace, &mut c);
        for (at, got) in c.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let want: f64 = (0..k).map(|l| 2.0 * a[i * k + l] * b[l * n + j]).sum();
            assert!((got - want).abs() < 1e-12, "{got} for {want}");
        }
    }

    #[test]
    fn of_nothing() {
        let mut c = vec![2.0; 6];
        gemm(1.0, Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3), Write::Add, &mut c);
        assert_eq!(c, [2.0; 6]);
        gemm(1.0, Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3), Write::Replace, &mut c);
        assert_eq!(c, [0.0; 6]);
        gemm(1.0, Matrix::new(&[], 0, 2), Matrix::new(&[0.0; 6], 2, 3), Write::Replace, &mut []);
    }

    #[test]
    #[should_panic(expected = "columns of A and rows of B")]
    fn shapes_must_fit() {
        gemm(1.0, Matrix::new(&[0.0; 6], 2, 3), Matrix::new(&[0.0; 4], 2, 2), Write::Replace, &mut [0.0; 4]);
    }
}
