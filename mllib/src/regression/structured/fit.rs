//! Fitting one penalty, or a path.

use super::params::{Structure, StructuredLassoParams};
use super::solver::StructuredSolver;
use crate::linalg::dense;
use crate::objective::DatasetRows;
use crate::optimization::{Observer, Stop, silent};
use crate::regression::LinearRegressionModel;
use crate::regression::lasso::{Design, PathPoint};
use crate::regression::working_sets::Limits;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// How the problem of one penalty was solved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StructuredPoint {
    /// What is known of every penalty.
    #[serde(flatten)]
    pub point: PathPoint,
    /// Nodes of the tree that have weights; sets of neighbours in the graph that have the same weight, other than 0.
    pub parts: usize,
}

/// A fitted model, and how it came about.
#[derive(Debug, Clone)]
pub struct StructuredFit {
    /// The model of the last penalty.
    pub model: LinearRegressionModel,
    /// The penalties, in the order in which they were fitted.
    pub path: Vec<StructuredPoint>,
    /// The least penalty that leaves no weights.
    pub regularization_max: f64,
}

impl StructuredLassoParams {
    /// Fits to rows with numbers for labels.
    ///
    /// # Errors
    /// Config for parameters that cannot be; input for rows that cannot, and for a structure of another number of columns;
    /// what the engine reports.
    pub fn fit(&self, data: impl Into<DatasetRows>, structure: &Structure) -> Result<StructuredFit> {
        self.train(&data.into(), structure, &mut silent)
    }
    /// [`fit`](StructuredLassoParams::fit), with an observer that is called after every pass.
    ///
    /// # Errors
    /// As `fit`.
    pub fn train(
        &self,
        rows: &DatasetRows,
        structure: &Structure,
        observer: &mut Observer<'_>,
    ) -> Result<StructuredFit> {
        self.check()?;
        structure.check()?;
        self.train_design(&Design::from_rows(rows, self.scaling())?, structure, observer)
    }
    /// Fits to columns that were made with [`scaling`](StructuredLassoParams::scaling).
    ///
    /// # Errors
    /// As `fit`.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_design(
        &self,
        design: &Design,
        structure: &Structure,
        observer: &mut Observer<'_>,
    ) -> Result<StructuredFit> {
        self.check()?;
        structure.check()?;
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        if structure.columns() != design.columns() {
            let message = format!("a structure of {} columns for {}", structure.columns(), design.columns());
            return Err(Error::input(message, "every column must be in it"));
        }
        let (n, y) = (design.rows() as f64, design.targets());
        let mut solver = StructuredSolver::new(design, structure);
        let largest = solver.largest()? / n;
        let limits =
            Limits { gap: self.tolerance * 0.5 * dense::dot(y, y), passes: self.passes_max, plain: false };
        let lasso = self.as_lasso();
        let (mut path, mut model) = (vec![], None);
        for penalty in lasso.values(largest) {
            let solved = solver.solve(n * penalty, limits, observer)?;
            let weights = solver.weights();
            let nonzeros = weights.iter().filter(|w| **w != 0.0).count();
            let point = PathPoint::new(penalty, &solved, nonzeros);
            let is_stopped = solved.stop == Stop::Observer;
            let (raw, intercept) = design.to_raw(&weights);
            model = Some(lasso.model(design, &point, raw, intercept, solved));
            path.push(StructuredPoint { point, parts: structure.parts(&weights) });
            if is_stopped {
                break;
            }
        }
        let mut model = model.expect("there is at least one penalty");
        model.summary_mut().keep_path(path.iter().map(|p| p.point.clone()));
        Ok(StructuredFit { model, path, regularization_max: largest })
    }
}
