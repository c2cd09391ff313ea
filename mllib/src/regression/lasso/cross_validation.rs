//! Cross-validation of a path.
//!
//! # Cost
//! For each fold, the columns of the other rows are put together by a shuffle, the path is fitted to them, and one pass
//! over the fold's rows has the errors of all penalties.

use super::fit::RawWeights;
use super::params::{Folds, Rule};
use crate::objective::{DatasetRows, Sweep, add_vectors};
use crate::tuning::{Candidate, CrossValidation, Direction};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// How well a penalty predicts what was held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The penalty.
    pub regularization: f64,
    /// Mean losses (squared errors, for the lasso), one a fold.
    pub scores: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their sample deviation over the root of their number.
    pub standard_error: f64,
}

/// What cross-validation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// How it was done.
    pub folds: Folds,
    /// The penalties, from the largest on.
    pub penalties: Vec<Scored>,
    /// The one with the least mean loss.
    pub minimum: usize,
    /// The largest whose mean loss is within a standard error of that.
    pub one_standard_error: usize,
    /// The one that the rule chooses.
    pub chosen: usize,
}

/// Scores the penalties of a path on every fold: `fit` fits them to the other rows, and `loss` is that of a label and what is
/// predicted for it.
pub(crate) fn search(
    folds: Folds,
    seed: u64,
    rows: &DatasetRows,
    penalties: &[f64],
    mut fit: impl FnMut(&DatasetRows) -> Result<Vec<RawWeights>>,
    loss: impl Fn(f64, f64) -> f64 + Copy + Send + Sync + 'static,
) -> Result<Search> {
    let cv = CrossValidation { folds: folds.count, direction: Direction::Smaller };
    let mut errors = Vec::with_capacity(folds.count);
    for fold in 0..folds.count {
        let (rest, held_out) = cv.split(rows, fold, seed);
        let models: Vec<Sparse> = fit(&rest)?.into_iter().map(Sparse::new).collect();
        let mut of_fold = mean_losses(&held_out, &models, loss, fold)?;
        // What an observer has cut short has no score.
        of_fold.resize(penalties.len(), f64::NAN);
        errors.push(of_fold);
    }
    let places: Vec<usize> = (0..penalties.len()).collect();
    let (minimum, scores) = cv.run(&places, |place, fold| Ok(errors[fold][*place]))?;
    let scored = |(regularization, c): (&f64, Candidate)| Scored {
        regularization: *regularization,
        mean: c.mean,
        standard_error: c.deviation / (folds.count as f64).sqrt(),
        scores: c.scores,
    };
    let penalties: Vec<Scored> = penalties.iter().zip(scores).map(scored).collect();
    let limit = penalties[minimum].mean + penalties[minimum].standard_error;
    let one_standard_error = penalties.iter().position(|p| p.mean <= limit).unwrap_or(minimum);
    let chosen = match folds.rule {
        Rule::Minimum => minimum,
        Rule::OneStandardError => one_standard_error,
    };
    Ok(Search { folds, penalties, minimum, one_standard_error, chosen })
}

/// Weights that are not zero.
struct Sparse {
    weights: Vec<(usize, f64)>,
    intercept: f64,
}

impl Sparse {
    fn new((weights, intercept): RawWeights) -> Self {
        let weights = weights.into_iter().enumerate().filter(|(_, w)| *w != 0.0).collect();
        Sparse { weights, intercept }
    }
}

/// The mean loss of each model on some rows.
fn mean_losses(
    rows: &DatasetRows,
    models: &[Sparse],
    loss: impl Fn(f64, f64) -> f64 + Copy + Send + Sync + 'static,
    fold: usize,
) -> Result<Vec<f64>> {
    let count = models.len();
    // The weights of a column for all models are together; most columns have none.
    let mut used: Vec<usize> = models.iter().flat_map(|m| m.weights.iter().map(|(j, _)| *j)).collect();
    used.sort_unstable();
    used.dedup();
    let mut table = vec![0.0; used.len() * count];
    for (m, model) in models.iter().enumerate() {
        for (j, w) in &model.weights {
            table[used.partition_point(|u| u < j) * count + m] = *w;
        }
    }
    let intercepts: Vec<f64> = models.iter().map(|m| m.intercept).collect();
    let shared = Arc::new((used, table, intercepts));
    let sums = rows.fold(
        move |_, blocks: &[LabeledBlock]| {
            let (used, table, intercepts) = &*shared;
            // The number of rows comes last.
            let mut sums = vec![0.0; intercepts.len() + 1];
            let mut predictions = vec![0.0; intercepts.len()];
            for (y, row) in blocks.iter().flat_map(|b| b.iter()) {
                predictions.copy_from_slice(intercepts);
                for (j, x) in row.indices.iter().zip(row.values) {
                    if let Ok(at) = used.binary_search(&(*j as usize)) {
                        let of_column = &table[at * intercepts.len()..][..intercepts.len()];
                        crate::linalg::dense::axpy(*x, of_column, &mut predictions);
                    }
                }
                sums.iter_mut().zip(&predictions).for_each(|(s, p)| *s += loss(y, *p));
                sums[intercepts.len()] += 1.0;
            }
            Ok(sums)
        },
        add_vectors,
    )?;
    let mut sums = sums.unwrap_or_default();
    let rows = sums.pop().unwrap_or(0.0);
    if rows == 0.0 {
        return Err(Error::input(format!("fold {} has no rows", fold + 1), "take fewer folds"));
    }
    sums.iter_mut().for_each(|s| *s /= rows);
    Ok(sums)
}
