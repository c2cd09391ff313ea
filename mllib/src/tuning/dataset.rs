//! Cross-validation on datasets.

use super::cross_validation::{Candidate, CrossValidation, fold_of};
use crate::objective::DatasetRows;
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Dataset, Result};

impl CrossValidation {
    /// The rows outside fold `fold`, and those in it.
    pub fn split(&self, rows: &DatasetRows, fold: usize, seed: u64) -> (DatasetRows, DatasetRows) {
        let folds = self.folds;
        let outside = rows.filtered(move |p| fold_of(seed, p, folds).map(move |f| f != fold));
        let inside = rows.filtered(move |p| fold_of(seed, p, folds).map(move |f| f == fold));
        (outside, inside)
    }
    /// Scores every candidate on every fold: `fit(candidate, rest)` makes a model, `evaluate(model, fold)` scores it.
    /// Returns the index of the best candidate and all scores.
    ///
    /// # Errors
    /// As [`CrossValidation::run`].
    pub fn run_on<P, M>(
        &self,
        rows: &DatasetRows,
        candidates: &[P],
        seed: u64,
        mut fit: impl FnMut(&P, &DatasetRows) -> Result<M>,
        mut evaluate: impl FnMut(&M, &Dataset<LabeledBlock>) -> Result<f64>,
    ) -> Result<(usize, Vec<Candidate>)> {
        // Splits are lazy and persisted once used: made once for all candidates.
        let splits: Vec<_> = (0..self.folds).map(|fold| self.split(rows, fold, seed)).collect();
        self.run(candidates, |candidate, fold| {
            let (rest, held_out) = &splits[fold];
            evaluate(&fit(candidate, rest)?, &held_out.blocks())
        })
    }
}
