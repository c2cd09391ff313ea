//! Training: from rows to atoms.

use super::model::Attributes;
use super::{DictionaryModel, DictionaryParams};
use crate::decomposition::alternating::{Census, CodeMove, ComponentMove, Start, Task, Until};
use crate::decomposition::sparse_coding::{Bounds, SparseCodingParams, first_atoms};
use crate::objective::DatasetRows;
use crate::optimization::{Observer, silent};
use crate::params::require;
use slackwater_dataflow::Result;
use slackwater_paramstore::Snapshots;
use std::sync::Arc;

/// Euclidean length of an atom at most.
const LENGTH: f64 = 1.0;

impl DictionaryParams {
    /// Fits a model to a dataset of points or blocks, whose labels are of no use, or to [`DatasetRows`]. Collective: every
    /// process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](DictionaryParams::fit_observed).
    pub fn fit(&self, rows: impl Into<DatasetRows>) -> Result<DictionaryModel> {
        self.fit_observed(&rows.into(), None, &mut silent)
    }
    /// [`fit`](DictionaryParams::fit) with snapshots, and with an observer, which is told the objective of every epoch.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; input, if there are no rows or no columns, or values are too large; what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<DictionaryModel> {
        self.check()?;
        let census = Census::new(rows)?;
        let drawn = SparseCodingParams {
            atoms: self.atoms,
            first_atoms: self.first_atoms,
            seed: self.seed,
            ..SparseCodingParams::default()
        };
        let bounds = Bounds { length: LENGTH, non_negative: self.non_negative_atoms };
        let first = first_atoms(&drawn, bounds, rows, &census.sizes, census.columns)?;
        self.fit_with(rows, &census, first.into_iter().map(f64::from).collect(), snapshots, observer)
    }
    /// [`fit`](DictionaryParams::fit) from given atoms, row by row, a number a column.
    ///
    /// # Errors
    /// As [`fit_observed`](DictionaryParams::fit_observed); config, if atoms do not fit the rows.
    pub fn fit_from(&self, rows: impl Into<DatasetRows>, atoms: Vec<f64>) -> Result<DictionaryModel> {
        self.check()?;
        let rows = rows.into();
        let census = Census::new(&rows)?;
        let length = self.atoms * census.columns;
        require(atoms.len() == length, "atoms", || format!("must be {length} numbers, not {}", atoms.len()))?;
        require(atoms.iter().all(|x| x.is_finite()), "atoms", || "must be finite numbers".into())?;
        self.fit_with(&rows, &census, atoms, None, &mut silent)
    }
    fn fit_with(
        &self,
        rows: &DatasetRows,
        census: &Census,
        first: Vec<f64>,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<DictionaryModel> {
        let columns = census.columns;
        let start = Start {
            codes: Arc::new(|_, _| 0.0),
            components: Arc::new(move |j, column| first[j * columns + column]),
        };
        let task = Task {
            rank: self.atoms,
            code_move: CodeMove {
                until: Until::Gap(self.code_tolerance),
                l1: self.lambda,
                l2: 0.0,
                non_negative: self.non_negative_codes,
            },
            component_move: ComponentMove::Ball { length: LENGTH, non_negative: self.non_negative_atoms },
            epochs: self.epochs,
            tolerance: self.tolerance,
            seed: self.seed,
        };
        let (components, summary) = task.run(rows, census, &start, snapshots, observer)?;
        let attributes = Attributes { columns, params: self.clone(), summary };
        Ok(DictionaryModel::new(components, attributes))
    }
}
