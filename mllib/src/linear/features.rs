//! Rows of any kind, for scoring.

use slackwater_dataflow::block::{Row, Vector};

/// One row of features.
///
/// Columns that a model does not know have no weight: a row may be wider than the model.
pub trait Features {
    /// Calls `f` with each stored column and value.
    fn for_each(&self, f: impl FnMut(usize, f64));

    /// Writes the row to `to`, a number a column; columns beyond its end are left out.
    fn write(&self, to: &mut [f32]) {
        to.fill(0.0);
        self.for_each(|j, x| {
            if let Some(place) = to.get_mut(j) {
                *place = x as f32;
            }
        });
    }

    /// Inner product with the weights of output `output` of `outputs`, stored by column.
    fn margin(&self, weights: &[f64], output: usize, outputs: usize) -> f64 {
        let mut sum = 0.0;
        self.for_each(|j, x| {
            if let Some(w) = weights.get(j * outputs + output) {
                sum += x * w;
            }
        });
        sum
    }
}

impl Features for Row<'_> {
    fn for_each(&self, mut f: impl FnMut(usize, f64)) {
        self.indices.iter().zip(self.values).for_each(|(j, x)| f(*j as usize, *x));
    }
}

impl Features for Vector {
    fn for_each(&self, mut f: impl FnMut(usize, f64)) {
        self.iter().for_each(|(j, x)| f(j, x));
    }
}

impl Features for [f64] {
    fn for_each(&self, mut f: impl FnMut(usize, f64)) {
        self.iter().enumerate().for_each(|(j, x)| f(j, *x));
    }
}
