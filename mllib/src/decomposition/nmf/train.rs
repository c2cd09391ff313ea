//! Training: from rows to components.

use super::model::Attributes;
use super::{NmfModel, NmfParams};
use crate::decomposition::alternating::{Census, CodeMove, ComponentMove, Start, Task, Until};
use crate::objective::DatasetRows;
use crate::optimization::{Observer, silent};
use crate::params::require;
use crate::random::unit_of;
use slackwater_dataflow::Result;
use slackwater_paramstore::Snapshots;
use std::sync::Arc;

/// Which factor a first element is of.
const OF_CODES: u64 = 0;
const OF_COMPONENTS: u64 = 1;

impl NmfParams {
    /// Fits a model to a dataset of points or blocks, whose labels are of no use, or to [`DatasetRows`]. Collective: every
    /// process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](NmfParams::fit_observed).
    pub fn fit(&self, rows: impl Into<DatasetRows>) -> Result<NmfModel> {
        self.fit_observed(&rows.into(), None, &mut silent)
    }
    /// [`fit`](NmfParams::fit) with snapshots, and with an observer, which is told the objective of every epoch.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; data, for a value below 0; input, if there are no rows or no columns, or values are too large;
    /// what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<NmfModel> {
        self.check()?;
        let census = self.census(rows)?;
        let (size, seed) = ((census.mean() / self.rank as f64).sqrt(), self.seed);
        let start = Start {
            codes: Arc::new(move |row, j| size * half_normal([seed, OF_CODES, row, j as u64])),
            components: Arc::new(move |j, column| {
                size * half_normal([seed, OF_COMPONENTS, column as u64, j as u64])
            }),
        };
        self.fit_with(rows, &census, &start, snapshots, observer)
    }
    /// [`fit`](NmfParams::fit) from given factors: `codes`, a row of `rank` numbers for every row in the order of the dataset, and
    /// `components`, `rank` rows of a number a column.
    ///
    /// # Errors
    /// As [`fit_observed`](NmfParams::fit_observed); config, if factors do not fit the rows or are below 0.
    pub fn fit_from(
        &self,
        rows: impl Into<DatasetRows>,
        codes: Vec<f64>,
        components: Vec<f64>,
    ) -> Result<NmfModel> {
        self.check()?;
        let rows = rows.into();
        let census = self.census(&rows)?;
        let (rank, columns) = (self.rank, census.columns);
        for (name, factor, length) in
            [("codes", &codes, census.rows() as usize * rank), ("components", &components, rank * columns)]
        {
            require(factor.len() == length, name, || {
                format!("must be {length} numbers, not {}", factor.len())
            })?;
            let fit = factor.iter().all(|x| *x >= 0.0 && x.is_finite());
            require(fit, name, || "must be numbers of at least 0".into())?;
        }
        let start = Start {
            codes: Arc::new(move |row, j| codes[row as usize * rank + j]),
            components: Arc::new(move |j, column| components[j * columns + column]),
        };
        self.fit_with(&rows, &census, &start, None, &mut silent)
    }
    fn census(&self, rows: &DatasetRows) -> Result<Census> {
        let census = Census::new(rows)?;
        census.require_non_negative()?;
        Ok(census)
    }
    fn fit_with(
        &self,
        rows: &DatasetRows,
        census: &Census,
        start: &Start,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<NmfModel> {
        let task = Task {
            rank: self.rank,
            code_move: CodeMove {
                until: Until::Passes(self.passes),
                l1: self.l1_codes,
                l2: self.l2_codes,
                non_negative: true,
            },
            component_move: ComponentMove::Columns {
                passes: self.passes,
                l1: self.l1_components,
                l2: self.l2_components,
            },
            epochs: self.epochs,
            tolerance: self.tolerance,
            seed: self.seed,
        };
        let (components, summary) = task.run(rows, census, start, snapshots, observer)?;
        let attributes = Attributes { columns: census.columns, params: self.clone(), summary };
        Ok(NmfModel::new(components, attributes))
    }
}

/// The size of a normal number that is the key's own (Box and Muller 1958).
fn half_normal([seed, factor, line, j]: [u64; 4]) -> f64 {
    let unit = |which| unit_of([seed, factor, line, j, which]);
    (-2.0 * (1.0 - unit(0)).ln()).sqrt() * (std::f64::consts::TAU * unit(1)).cos().abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_are_sizes_of_normal_ones() {
        let n = 20_000;
        let numbers: Vec<f64> = (0..n).map(|i| half_normal([3, OF_CODES, i / 10, i % 10])).collect();
        let mean = numbers.iter().sum::<f64>() / n as f64;
        let square = numbers.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(numbers.iter().all(|x| *x >= 0.0));
        assert!(
            (mean - std::f64::consts::FRAC_2_PI.sqrt()).abs() < 0.02 && (square - 1.0).abs() < 0.05,
            "{mean} {square}"
        );
    }
}
