//! Dense vectors: `y`, `x` and `w` are slices of equal length; a mismatch panics.

/// Independent partial sums of [`dot`]: enough to hide the latency of an addition (4 cycles, 2 a cycle).
const LANES: usize = 8;

/// Inner product `x'y`.
#[inline(always)]
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "dot of vectors of different lengths");
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in xs.iter().zip(ys) {
        for k in 0..LANES {
            sums[k] += a[k] * b[k];
        }
    }
    let mut rest = 0.0;
    for (a, b) in x_rest.iter().zip(y_rest) {
        rest += a * b;
    }
    (sums[0] + sums[4]) + (sums[1] + sums[5]) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

/// `y += a x`.
#[inline(always)]
pub fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "axpy of vectors of different lengths");
    // Loops and not `for_each`: what that calls is not always compiled into a loop for wide vectors, but beside it.
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// `y += x`.
pub fn add(x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "sum of vectors of different lengths");
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// `x *= a`.
pub fn scale(a: f64, x: &mut [f64]) {
    x.iter_mut().for_each(|x| *x *= a);
}

/// Euclidean norm. Entries beyond 1e154 overflow; a solver meets infinity as a numerical error.
pub fn norm2(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// Sum of absolute values.
pub fn norm1(x: &[f64]) -> f64 {
    x.iter().map(|x| x.abs()).sum()
}

/// Largest absolute value; 0 of an empty vector.
pub fn norm_inf(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// Euclidean norm of `x - y`.
pub fn distance(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "distance of vectors of different lengths");
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// `u'Mv` for a diagonal `M`.
pub fn weighted_dot(u: &[f64], diagonal: &[f64], v: &[f64]) -> f64 {
    assert!(u.len() == v.len() && u.len() == diagonal.len(), "weighted dot of different lengths");
    u.iter().zip(diagonal).zip(v).map(|((u, m), v)| u * m * v).sum()
}

/// True if every entry is a finite number.
pub fn is_finite(x: &[f64]) -> bool {
    x.iter().all(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn against_plain_sums() {
        for n in [0, 1, 7, 8, 9, 31] {
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 3.0).collect();
            let y: Vec<f64> = (0..n).map(|i| 2.0 - 0.5 * i as f64).collect();
            let plain: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&x, &y), plain);
            let mut z = y.clone();
            axpy(2.0, &x, &mut z);
            (0..n).for_each(|i| assert_eq!(z[i], y[i] + 2.0 * x[i]));
        }
        assert_eq!(norm_inf(&[1.0, -3.0, 2.0]), 3.0);
        assert_eq!(norm1(&[1.0, -3.0, 2.0]), 6.0);
        assert_eq!(distance(&[3.0, 0.0], &[0.0, 4.0]), 5.0);
        assert_eq!(weighted_dot(&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0]), 63.0);
    }
}
