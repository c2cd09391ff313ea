//! Training on standardised columns without touching the data.
//!
//! With weights `w` of the columns `(x_j - m_j) / s_j` the margin is `Σ_j (x_j - m_j) w_j / s_j + b`, which is the
//! margin of the raw columns with weights `u_j = w_j / s_j` and the intercept `b - Σ_j m_j u_j`. So evaluating at `w`
//! is evaluating at `A w` for a matrix `A` that is never formed: gradients are `A'g` and Hessians `A'HA`. It costs
//! `O(d)` an evaluation, and sparse rows stay sparse.

/// Per column: what is subtracted (only with an intercept) and what it is then multiplied by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standardization {
    scale: Vec<f64>,
    shift: Option<Vec<f64>>,
}

impl Standardization {
    /// Divides column `j` by `deviations[j]`; columns that do not vary get weight 0. If `means` are given they are
    /// subtracted before; then the model must have an intercept.
    pub fn new(deviations: &[f64], means: Option<Vec<f64>>) -> Self {
        let scale = deviations.iter().map(|s| if *s > 0.0 { 1.0 / s } else { 0.0 }).collect();
        Standardization { scale, shift: means }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.scale.len()
    }
    /// True if means are subtracted.
    pub fn shifts(&self) -> bool {
        self.shift.is_some()
    }
    /// Weights of standardised columns to weights of raw columns, in place: `w := A w`.
    pub fn to_raw(&self, w: &mut [f64], outputs: usize) {
        let (weights, intercepts) = w.split_at_mut(self.scale.len() * outputs);
        for (j, of_column) in weights.chunks_exact_mut(outputs).enumerate() {
            of_column.iter_mut().for_each(|w| *w *= self.scale[j]);
            if let Some(shift) = &self.shift {
                intercepts.iter_mut().zip(of_column).for_each(|(b, u)| *b -= shift[j] * *u);
            }
        }
    }
    /// The inverse of [`to_raw`](Standardization::to_raw): where a warm start begins.
    pub fn from_raw(&self, w: &mut [f64], outputs: usize) {
        let (weights, intercepts) = w.split_at_mut(self.scale.len() * outputs);
        for (j, of_column) in weights.chunks_exact_mut(outputs).enumerate() {
            if let Some(shift) = &self.shift {
                intercepts.iter_mut().zip(&*of_column).for_each(|(b, u)| *b += shift[j] * u);
            }
            let scale = self.scale[j];
            of_column.iter_mut().for_each(|w| *w = if scale > 0.0 { *w / scale } else { 0.0 });
        }
    }
    /// A gradient in raw weights to one in standardised weights, in place: `g := A' g`.
    pub fn gradient(&self, g: &mut [f64], outputs: usize) {
        let (weights, intercepts) = g.split_at_mut(self.scale.len() * outputs);
        for (j, of_column) in weights.chunks_exact_mut(outputs).enumerate() {
            if let Some(shift) = &self.shift {
                of_column.iter_mut().zip(&*intercepts).for_each(|(g, b)| *g -= shift[j] * b);
            }
            of_column.iter_mut().for_each(|g| *g *= self.scale[j]);
        }
    }
    /// The diagonal of `A'HA` from the diagonal of `H` and its entries between weights and intercepts, in place.
    pub fn diagonal(&self, diagonal: &mut [f64], border: &[f64], outputs: usize) {
        let (weights, intercepts) = diagonal.split_at_mut(self.scale.len() * outputs);
        for (i, h) in weights.iter_mut().enumerate() {
            let (j, c) = (i / outputs, i % outputs);
            if let Some(shift) = &self.shift {
                *h += shift[j] * (shift[j] * intercepts[c] - 2.0 * border[i]);
            }
            *h *= self.scale[j] * self.scale[j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let s = Standardization::new(&[2.0, 0.5], Some(vec![1.0, -3.0]));
        let w = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut u = w.clone();
        s.to_raw(&mut u, 2);
        assert_eq!(u[..4], [0.5, 1.0, 6.0, 8.0]);
        assert_eq!(u[4..], [5.0 - 0.5 + 18.0, 6.0 - 1.0 + 24.0]);
        s.from_raw(&mut u, 2);
        assert_eq!(u, w);
        // <A w, g> = <w, A' g>
        let mut g = vec![0.5, -1.0, 2.0, 0.25, 1.0, -2.0];
        let mut u = w.clone();
        s.to_raw(&mut u, 2);
        let left: f64 = u.iter().zip(&g).map(|(a, b)| a * b).sum();
        s.gradient(&mut g, 2);
        let right: f64 = w.iter().zip(&g).map(|(a, b)| a * b).sum();
        assert_eq!(left, right);
    }
}
