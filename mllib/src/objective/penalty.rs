//! Penalties on weights and the two scalings of an objective.

use serde::{Deserialize, Serialize};

/// How the sum of losses and the penalty are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Scaling {
    /// LIBLINEAR: `penalty(w) + C Σ loss`, with `C` > 0.
    Sum {
        /// Cost of a unit of loss.
        c: f64,
    },
    /// Spark: `1/n Σ loss + reg penalty(w)`, with `reg` >= 0.
    Mean {
        /// Weight of the penalty.
        regularization: f64,
    },
}

impl Scaling {
    /// The factor of the sum of losses over `rows` rows.
    pub fn loss_factor(&self, rows: u64) -> f64 {
        match self {
            Scaling::Sum { c } => *c,
            Scaling::Mean { .. } => 1.0 / rows.max(1) as f64,
        }
    }
    /// The factor of the penalty.
    pub fn penalty_factor(&self) -> f64 {
        match self {
            Scaling::Sum { .. } => 1.0,
            Scaling::Mean { regularization } => *regularization,
        }
    }
}

/// `Σ_j (l2/2 p2_j w_j² + l1 p1_j |w_j|)` over the weights of columns; intercepts are free.
///
/// `p1`, `p2` are 1 unless given by [`Penalty::column_factors`].
#[derive(Debug, Clone, Default)]
pub struct Penalty {
    l2: f64,
    l1: f64,
    factors: Option<(Vec<f64>, Vec<f64>)>,
    intercepts: bool,
}

impl Penalty {
    /// The elastic net: `strength (1/2 (1 - l1_ratio) w'w + l1_ratio ‖w‖₁)`, `l1_ratio` in [0, 1].
    pub fn elastic_net(strength: f64, l1_ratio: f64) -> Self {
        Penalty { l2: strength * (1.0 - l1_ratio), l1: strength * l1_ratio, ..Default::default() }
    }
    /// `strength / 2 w'w`.
    pub fn l2(strength: f64) -> Self {
        Penalty::elastic_net(strength, 0.0)
    }
    /// `strength ‖w‖₁`.
    pub fn l1(strength: f64) -> Self {
        Penalty::elastic_net(strength, 1.0)
    }
    /// Factors per column of the squared and of the absolute part.
    pub fn column_factors(mut self, squared: Vec<f64>, absolute: Vec<f64>) -> Self {
        self.factors = Some((squared, absolute));
        self
    }
    /// Intercepts are penalised like weights (LIBLINEAR's `-B`: a column of ones).
    pub fn with_intercepts(mut self, penalised: bool) -> Self {
        self.intercepts = penalised;
        self
    }
    /// True if there is an absolute part.
    pub fn has_l1(&self) -> bool {
        self.l1 > 0.0
    }
    /// Coefficient of `w_j²/2` for every weight; weights are `columns` times `outputs`, by column, then `outputs`
    /// intercepts if `dimension` has room for them.
    pub(super) fn squared_part(&self, columns: usize, outputs: usize, dimension: usize) -> Vec<f64> {
        let factors = self.factors.as_ref().map(|f| &f.0[..]);
        self.expand(self.l2, factors, columns, outputs, dimension)
    }
    /// Coefficient of `|w_j|` for every weight, in the same order.
    pub(super) fn absolute_part(&self, columns: usize, outputs: usize, dimension: usize) -> Vec<f64> {
        let factors = self.factors.as_ref().map(|f| &f.1[..]);
        self.expand(self.l1, factors, columns, outputs, dimension)
    }
    fn expand(
        &self,
        strength: f64,
        factors: Option<&[f64]>,
        columns: usize,
        outputs: usize,
        n: usize,
    ) -> Vec<f64> {
        let of_column = |j: usize| match factors {
            _ if j >= columns => f64::from(self.intercepts),
            Some(factors) => factors[j],
            None => 1.0,
        };
        (0..n).map(|i| strength * of_column(i / outputs)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intercepts_are_free_unless_asked() {
        let p = Penalty::elastic_net(2.0, 0.25);
        assert_eq!(p.squared_part(2, 2, 6), [1.5, 1.5, 1.5, 1.5, 0.0, 0.0]);
        assert_eq!(p.absolute_part(2, 1, 2), [0.5, 0.5]);
        let p = p.column_factors(vec![1.0, 2.0], vec![3.0, 4.0]).with_intercepts(true);
        assert_eq!(p.squared_part(2, 1, 3), [1.5, 3.0, 1.5]);
        assert_eq!(p.absolute_part(2, 1, 3), [1.5, 2.0, 0.5]);
    }

    #[test]
    fn scalings_agree() {
        let (sum, mean) = (Scaling::Sum { c: 0.5 }, Scaling::Mean { regularization: 0.02 });
        // C = 1 / (n reg)
        let ratio = |s: &Scaling| s.loss_factor(100) / s.penalty_factor();
        assert!((ratio(&sum) - ratio(&mean)).abs() < 1e-15);
    }
}
