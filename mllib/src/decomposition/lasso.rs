//! Codes of a row at a given dictionary: `min 1/2 ‖x - sB‖² + λ ‖s‖₁`, by cyclic coordinate descent.
//!
//! It needs the products of atoms with each other, `G = BB'`, and with the row, `q = Bx`. Of the vector `r = q - Gs`, which
//! it keeps, a coordinate's best value follows: `s_j <- soft(r_j + G_jj s_j, λ) / G_jj`. A pass costs one operation an atom,
//! and one an atom more for every code that changes.
//! Where `G_jj` is 0 nothing depends on a code but its penalty: it stays, or is 0 if `λ` is not.
//!
//! A penalty `μ/2 ‖s‖²` is `μ` on the diagonal of `G`: as if `x` had a 0 more for every atom, and atom `j` had `√μ` there.

use crate::linalg::dense::{axpy, dot};

/// Passes at most until codes count as exact: only nearly equal atoms need so many.
const PASSES_MAX: usize = 100_000;
/// Codes are exact when the duality gap is below this share of `‖x‖²`,
const GAP_MAX: f64 = 1e-12;
/// and no code moves `sB` by more than this share of `‖x‖`: the gap alone knows codes to half of its digits only. (Without a
/// penalty no multiple of the residual is feasible, so that there is no gap.)
const MOVE_MAX: f64 = 1e-10;

/// The problem, but for the row.
#[derive(Debug, Clone)]
pub(super) struct Lasso {
    atoms: usize,
    /// Products of atoms, `atoms` by `atoms`.
    gram: Vec<f64>,
    lambda: f64,
    non_negative: bool,
}

impl Lasso {
    /// # Panics
    /// If `gram` is not square.
    pub fn new(gram: Vec<f64>, lambda: f64, non_negative: bool) -> Self {
        let atoms = gram.len().isqrt();
        assert_eq!(gram.len(), atoms * atoms, "products of atoms with each other");
        Lasso { atoms, gram, lambda, non_negative }
    }
    fn row(&self, j: usize) -> &[f64] {
        &self.gram[j * self.atoms..][..self.atoms]
    }
    /// Makes `r` of `q`, for the given codes.
    #[inline(always)]
    fn subtract(&self, products: &mut [f64], codes: &[f64]) {
        for (j, s) in codes.iter().enumerate().filter(|(_, s)| **s != 0.0) {
            axpy(-s, self.row(j), products);
        }
    }
    /// One pass; returns by how much a code has moved `sB` at most, squared.
    #[inline(always)]
    fn pass(&self, rest: &mut [f64], codes: &mut [f64]) -> f64 {
        let mut moved = 0.0;
        for j in 0..self.atoms {
            let curvature = self.gram[j * self.atoms + j];
            let before = codes[j];
            let u = rest[j] + curvature * before;
            let size = if self.non_negative { u - self.lambda } else { u.abs() - self.lambda };
            let after = match curvature > 0.0 {
                true if size > 0.0 => size.copysign(u) / curvature,
                false if self.lambda == 0.0 => before,
                _ => 0.0,
            };
            if after != before {
                let by = after - before;
                axpy(-by, self.row(j), rest);
                codes[j] = after;
                moved = f64::max(moved, by * by * curvature);
            }
        }
        moved
    }
    /// Goes on from `codes` by some passes. `products` are `q`, and become `r`.
    #[inline(always)]
    pub fn improve(&self, products: &mut [f64], codes: &mut [f64], passes: usize) {
        self.subtract(products, codes);
        for _ in 0..passes {
            if self.pass(products, codes) == 0.0 {
                break;
            }
        }
    }
    /// The codes of a row of squared length `square`, and how much of its objective is in the squared residual: `‖x - sB‖²`.
    pub fn solve(&self, products: &[f64], square: f64, codes: &mut [f64]) -> f64 {
        codes.fill(0.0);
        let mut rest = products.to_vec();
        for _ in 0..PASSES_MAX {
            let is_still = self.pass(&mut rest, codes) <= MOVE_MAX * MOVE_MAX * square;
            let has_gap = self.lambda > 0.0;
            if is_still && (!has_gap || self.gap(products, &rest, square, codes) <= GAP_MAX * square) {
                break;
            }
        }
        residual(products, &rest, square, codes)
    }
    /// Goes on from `codes` until the duality gap is at most `gap`; there must be a penalty. `rest` is room for `r`.
    #[inline(always)]
    pub fn approach(&self, products: &[f64], square: f64, gap: f64, codes: &mut [f64], rest: &mut Vec<f64>) {
        rest.clear();
        rest.extend_from_slice(products);
        self.subtract(rest, codes);
        for _ in 0..PASSES_MAX {
            if self.pass(rest, codes) == 0.0 || self.gap(products, rest, square, codes) <= gap {
                break;
            }
        }
    }
    /// Objective minus that of a point of the dual problem, `max 1/2 ‖x‖² - 1/2 ‖x - θ‖²` where `|Bθ| <= λ`: the residual,
    /// as far as it has to be shrunk.
    fn gap(&self, products: &[f64], rest: &[f64], square: f64, codes: &[f64]) -> f64 {
        let residual = residual(products, rest, square, codes);
        let size = |r: &f64| if self.non_negative { *r } else { r.abs() };
        let steepest = rest.iter().map(size).fold(0.0, f64::max);
        let shrink = if steepest > self.lambda { self.lambda / steepest } else { 1.0 };
        // Of the residual ρ: x'ρ.
        let along = square - dot(products, codes);
        let primal = 0.5 * residual + self.lambda * codes.iter().map(|s| s.abs()).sum::<f64>();
        let dual = shrink * along - 0.5 * shrink * shrink * residual;
        primal - dual
    }
}

/// `‖x - sB‖²`, at least 0.
fn residual(products: &[f64], rest: &[f64], square: f64, codes: &[f64]) -> f64 {
    // s'Gs = s'q - s'r.
    (square - dot(products, codes) - dot(rest, codes)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    const ATOMS: usize = 12;
    const COLUMNS: usize = 8;

    fn made(lambda: f64, non_negative: bool) -> (Vec<f64>, Vec<f64>, Lasso) {
        let mut rng = rng::stream(3, 0);
        let atoms: Vec<f64> = (0..ATOMS * COLUMNS).map(|_| 0.4 * rng::normal(&mut rng)).collect();
        let x: Vec<f64> = (0..COLUMNS).map(|_| rng::normal(&mut rng)).collect();
        let atom = |j: usize| &atoms[j * COLUMNS..][..COLUMNS];
        let gram =
            (0..ATOMS).flat_map(|i| (0..ATOMS).map(move |j| (i, j))).map(|(i, j)| dot(atom(i), atom(j)));
        let lasso = Lasso::new(gram.collect(), lambda, non_negative);
        (atoms.clone(), x, lasso)
    }

    fn objective(atoms: &[f64], x: &[f64], codes: &[f64], lambda: f64) -> f64 {
        let mut rest = x.to_vec();
        for (atom, s) in atoms.chunks(COLUMNS).zip(codes) {
            rest.iter_mut().zip(atom).for_each(|(r, b)| *r -= s * b);
        }
        0.5 * dot(&rest, &rest) + lambda * codes.iter().map(|s| s.abs()).sum::<f64>()
    }

    /// A row of the dictionary times the residual is `λ` times the sign of its code, and at most `λ` for a code of 0.
    #[test]
    fn codes_are_optimal() {
        for (lambda, non_negative) in [(0.05, false), (0.3, false), (0.1, true), (100.0, false)] {
            let (atoms, x, lasso) = made(lambda, non_negative);
            let products: Vec<f64> = atoms.chunks(COLUMNS).map(|atom| dot(atom, &x)).collect();
            let mut codes = vec![1.0; ATOMS];
            let square = lasso.solve(&products, dot(&x, &x), &mut codes);
            let value = objective(&atoms, &x, &codes, lambda);
            let sizes: f64 = codes.iter().map(|s| s.abs()).sum();
            assert!((value - 0.5 * square - lambda * sizes).abs() < 1e-9);
            let mut rest = products.clone();
            lasso.subtract(&mut rest, &codes);
            for (s, r) in codes.iter().zip(&rest) {
                match *s {
                    0.0 if non_negative => assert!(*r <= lambda + 1e-8, "{r}"),
                    0.0 => assert!(r.abs() <= lambda + 1e-8, "{r}"),
                    s => assert!(
                        (r - lambda * s.signum()).abs() < 1e-8 && (s > 0.0 || !non_negative),
                        "{s} {r}"
                    ),
                }
            }
            let some = codes.iter().filter(|s| **s != 0.0).count();
            assert_eq!(some == 0, lambda == 100.0, "{codes:?}");
            // A few passes from anywhere only come nearer.
            let mut poor: Vec<f64> = (0..ATOMS).map(|j| j as f64 / 10.0).collect();
            let mut before = objective(&atoms, &x, &poor, lambda);
            for _ in 0..200 {
                lasso.improve(&mut products.clone(), &mut poor, 1);
                let after = objective(&atoms, &x, &poor, lambda);
                assert!(after <= before + 1e-12);
                before = after;
            }
            assert!((before - value).abs() < 1e-6, "{before} {value}");
        }
    }

    #[test]
    fn atoms_of_zeros_and_twins() {
        let lasso = Lasso::new(vec![1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], 0.5, false);
        let mut codes = vec![0.0; 3];
        let square = lasso.solve(&[2.0, 2.0, 0.0], 5.0, &mut codes);
        assert_eq!((&codes[..], square), (&[1.5, 0.0, 0.0][..], 5.0 - 1.5 * 2.0 - 1.5 * 0.5));
    }
}
