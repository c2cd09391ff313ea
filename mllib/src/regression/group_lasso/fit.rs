//! Fitting one penalty, or a path.

use super::groups::Groups;
use super::params::GroupLassoParams;
use super::solver::{GroupSolver, Mix};
use crate::linalg::dense;
use crate::objective::DatasetRows;
use crate::optimization::{Observer, Stop, silent};
use crate::regression::LinearRegressionModel;
use crate::regression::lasso::{Design, LassoParams, PathPoint};
use crate::regression::working_sets::Limits;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// How the problem of one penalty was solved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupPoint {
    /// What is known of every penalty.
    #[serde(flatten)]
    pub point: PathPoint,
    /// Groups that have weights.
    pub groups: usize,
}

/// A fitted model, and how it came about.
#[derive(Debug, Clone)]
pub struct GroupLassoFit {
    /// The model of the last penalty.
    pub model: LinearRegressionModel,
    /// The penalties, in the order in which they were fitted.
    pub path: Vec<GroupPoint>,
    /// The least penalty that leaves no weights.
    pub regularization_max: f64,
}

impl GroupLassoParams {
    /// Fits to rows with numbers for labels.
    ///
    /// # Errors
    /// Config for parameters that cannot be; input for rows that cannot, and if not every column has a group; what the engine
    /// reports.
    pub fn fit(&self, data: impl Into<DatasetRows>, groups: &Groups) -> Result<GroupLassoFit> {
        self.train(&data.into(), groups, &mut silent)
    }
    /// [`fit`](GroupLassoParams::fit), with an observer that is called after every pass.
    ///
    /// # Errors
    /// As `fit`.
    pub fn train(
        &self,
        rows: &DatasetRows,
        groups: &Groups,
        observer: &mut Observer<'_>,
    ) -> Result<GroupLassoFit> {
        self.check()?;
        self.train_design(&Design::from_rows(rows, self.scaling())?, groups, observer)
    }
    /// Fits to columns that were made with [`scaling`](GroupLassoParams::scaling).
    ///
    /// # Errors
    /// As `fit`.
    ///
    /// # Panics
    /// If the columns were made with another scaling.
    pub fn train_design(
        &self,
        design: &Design,
        groups: &Groups,
        observer: &mut Observer<'_>,
    ) -> Result<GroupLassoFit> {
        self.check()?;
        assert_eq!(design.scaling, self.scaling(), "columns are made as the parameters say");
        if groups.columns_in_all() != design.columns() {
            let message = format!("groups of {} columns for {}", groups.columns_in_all(), design.columns());
            return Err(Error::input(message, "every column must be in one group"));
        }
        let (n, y) = (design.rows() as f64, design.targets());
        let mut solver = GroupSolver::new(design, groups);
        let largest = solver.largest(self.l1_ratio)? / n;
        let limits =
            Limits { gap: self.tolerance * 0.5 * dense::dot(y, y), passes: self.passes_max, plain: false };
        let lasso = self.as_lasso();
        let (mut path, mut model) = (vec![], None);
        for penalty in lasso.values(largest) {
            let mix = Mix { penalty: n * penalty, l1_ratio: self.l1_ratio };
            let solved = solver.solve(mix, limits, observer)?;
            let weights = solver.weights();
            let is_active = |g: &usize| groups.columns(*g).iter().any(|j| weights[*j as usize] != 0.0);
            let nonzeros = weights.iter().filter(|w| **w != 0.0).count();
            let point = PathPoint::new(penalty, &solved, nonzeros);
            let is_stopped = solved.stop == Stop::Observer;
            let (raw, intercept) = design.to_raw(&weights);
            let lasso = LassoParams { schedule: None, ..lasso.clone() };
            model = Some(lasso.model(design, &point, raw, intercept, solved));
            path.push(GroupPoint { point, groups: (0..groups.len()).filter(is_active).count() });
            if is_stopped {
                break;
            }
        }
        let mut model = model.expect("there is at least one penalty");
        model.summary_mut().keep_path(path.iter().map(|p| p.point.clone()));
        Ok(GroupLassoFit { model, path, regularization_max: largest })
    }
}
