//! Rows of a CSR block against dense vectors.
//!
//! Both kernels read a row's columns and values once: 12 bytes a stored value. [`dot`] keeps four partial sums, so
//! that additions do not wait for each other; their order is part of the result and fixed. Columns must be below the
//! length of the dense vector, otherwise the kernels panic.

use slackwater_dataflow::block::Row;

/// `x'w` of one row.
#[inline]
pub fn dot(row: Row<'_>, w: &[f64]) -> f64 {
    let (columns, columns_rest) = row.indices.as_chunks::<4>();
    let (values, values_rest) = row.values.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (c, x) in columns.iter().zip(values) {
        for k in 0..4 {
            sums[k] += x[k] * w[c[k] as usize];
        }
    }
    let mut sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    for (c, x) in columns_rest.iter().zip(values_rest) {
        sum += x * w[*c as usize];
    }
    sum
}

/// `y += a x` of one row.
#[inline]
pub fn axpy(a: f64, row: Row<'_>, y: &mut [f64]) {
    for (c, x) in row.indices.iter().zip(row.values) {
        y[*c as usize] += a * x;
    }
}

/// `y += a (x ∘ x)` of one row: a row's part of the diagonal of `X'DX`.
#[inline]
pub fn axpy_squared(a: f64, row: Row<'_>, y: &mut [f64]) {
    for (c, x) in row.indices.iter().zip(row.values) {
        y[*c as usize] += a * x * x;
    }
}

/// `x'x` of one row.
#[inline]
pub fn squared_norm(row: Row<'_>) -> f64 {
    super::dense::dot(row.values, row.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn against_dense() {
        for nnz in 0..11usize {
            let indices: Vec<u32> = (0..nnz as u32).map(|i| 3 * i + 1).collect();
            let values: Vec<f64> = (0..nnz).map(|i| 1.5 - i as f64).collect();
            let row = Row { indices: &indices, values: &values };
            let w: Vec<f64> = (0..40).map(|i| (i * i % 7) as f64).collect();
            let mut dense = vec![0.0; 40];
            indices.iter().zip(&values).for_each(|(i, x)| dense[*i as usize] = *x);
            assert_eq!(dot(row, &w), super::super::dense::dot(&dense, &w));
            let mut y = w.clone();
            axpy(-2.0, row, &mut y);
            let mut z = w.clone();
            axpy_squared(3.0, row, &mut z);
            for i in 0..40 {
                assert_eq!(y[i], w[i] - 2.0 * dense[i]);
                assert_eq!(z[i], w[i] + 3.0 * dense[i] * dense[i]);
            }
            assert_eq!(squared_norm(row), values.iter().map(|x| x * x).sum::<f64>());
        }
    }
}
