//! Training: from rows to packed rows, to first centres, to a model.

use super::bounds::Assigner;
use super::lloyd::{self, Descent, Measured, direct, measure, told};
use super::minibatch;
use super::model::{Attributes, KMeansModel, KMeansSummary};
use super::params::{Centers, KMeansParams, Solver, Start};
use super::rows::{PackedRows, Packing, UnpackedRows};
use super::start::first_centers;
use crate::optimization::{Observer, Stop, silent};
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::Snapshots;

impl KMeansParams {
    /// Fits a model to a dataset of points or blocks, whose labels are not looked at. Collective: every process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](KMeansParams::fit_observed).
    pub fn fit(&self, rows: impl Into<UnpackedRows>) -> Result<KMeansModel> {
        self.fit_observed(&rows.into(), None, None, &mut silent)
    }
    /// [`fit`](KMeansParams::fit) with centres to begin at, instead of [`start`](KMeansParams::start). They may be those
    /// of a model.
    ///
    /// # Errors
    /// As [`fit_observed`](KMeansParams::fit_observed).
    pub fn fit_from(&self, rows: impl Into<UnpackedRows>, first: &Centers) -> Result<KMeansModel> {
        let params = KMeansParams { start: Start::Given, ..self.clone() };
        params.fit_observed(&rows.into(), Some(first), None, &mut silent)
    }
    /// [`fit`](KMeansParams::fit) with centres to begin at ([`Start::Given`]), with snapshots ([`Solver::Minibatch`]), and
    /// with an observer, which is told the cost before every iteration, or of every epoch. The rows are read once.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; data, for a row with a value that is no finite number or too large, or under
    /// the cosine distance of length 0; input, if there are fewer rows than centres; what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &UnpackedRows,
        first: Option<&Centers>,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<KMeansModel> {
        self.check()?;
        self.check_first(first)?;
        let shuffle = (self.solver == Solver::Minibatch).then_some(self.seed);
        if snapshots.is_some() && shuffle.is_none() {
            return Err(Error::config("snapshots", "are of trainings with the solver `minibatch`"));
        }
        let packing = Packing { distance: self.distance, shuffle, columns_max: usize::MAX };
        let mut rows = PackedRows::new(rows, packing)?;
        let first = first.map(|first| self.fitted(first, &mut rows)).transpose()?;
        if (rows.census.rows as u128) < self.k as u128 {
            return Err(Error::input(
                format!("there are {} centres for {} rows", self.k, rows.census.rows),
                "ask for fewer centres",
            ));
        }
        let attempt = Attempt { params: self, rows: &rows, first };
        match self.solver {
            Solver::Lloyd => attempt.lloyd(observer),
            Solver::Minibatch => attempt.minibatch(snapshots, observer),
        }
    }
    fn check_first(&self, first: Option<&Centers>) -> Result<()> {
        match (self.start, first) {
            (Start::Given, None) => Err(Error::config("init", "there are no centres to begin at")),
            (Start::Given, Some(first)) if first.k() != self.k => {
                Err(Error::config("k", format!("is {}, but there are {} first centres", self.k, first.k())))
            }
            (Start::Given, Some(_)) | (_, None) => Ok(()),
            (start, Some(_)) => {
                Err(Error::config("init", format!("is `{}`, but first centres are given", start.name())))
            }
        }
    }
    /// Given centres and rows, both as wide as the wider.
    fn fitted(&self, first: &Centers, rows: &mut PackedRows) -> Result<Centers> {
        let (known, wanted) = (first.columns(), rows.census.columns());
        if wanted > known {
            return Err(Error::input(
                format!("the rows have {wanted} columns and the first centres {known}"),
                "begin at centres of the same columns",
            ));
        }
        rows.census.means.resize(known, 0.0);
        let mut first = first.clone();
        let directed = (0..first.k()).all(|j| direct(first.row_mut(j), self.distance));
        match directed {
            true => Ok(first),
            false => Err(Error::input("a first centre is zero in all columns, so it has no direction", "")),
        }
    }
}

/// Rows, and where training begins.
struct Attempt<'a> {
    params: &'a KMeansParams,
    rows: &'a PackedRows,
    first: Option<Centers>,
}

impl Attempt<'_> {
    fn first(&self, attempt: usize) -> Result<Centers> {
        match &self.first {
            Some(first) => Ok(first.clone()),
            None => first_centers(self.rows, self.params, attempt),
        }
    }
    /// Trains as often as is asked for; the best remains, of equals the first.
    fn lloyd(&self, observer: &mut Observer<'_>) -> Result<KMeansModel> {
        let mut best: Option<(Descent, Measured)> = None;
        let mut assigner = Assigner::new(self.rows);
        for attempt in 0..self.params.restarts {
            let first = self.first(attempt)?;
            let descent = lloyd::descend(self.rows, &mut assigner, self.params, first, observer)?;
            let measured = measure(&mut assigner, &descent.centers)?;
            let stop = descent.stop;
            if best.as_ref().is_none_or(|(_, best)| measured.cost < best.cost) {
                best = Some((descent, measured));
            }
            if stop == Stop::Observer {
                break;
            }
        }
        let (descent, measured) = best.expect("there is an attempt");
        Ok(self.model(descent, measured))
    }
    /// Trains from the best first centres.
    fn minibatch(&self, snapshots: Option<Snapshots>, observer: &mut Observer<'_>) -> Result<KMeansModel> {
        let mut first = self.first(0)?;
        let mut assigner = Assigner::new(self.rows);
        if self.params.restarts > 1 {
            let mut cost = measure(&mut assigner, &first)?.cost;
            for attempt in 1..self.params.restarts {
                let other = self.first(attempt)?;
                let measured = measure(&mut assigner, &other)?;
                if measured.cost < cost {
                    (first, cost) = (other, measured.cost);
                }
            }
        }
        let descent = minibatch::descend(self.rows, self.params, first, snapshots, observer)?;
        let measured = measure(&mut assigner, &descent.centers)?;
        Ok(self.model(descent, measured))
    }
    fn model(&self, descent: Descent, measured: Measured) -> KMeansModel {
        let summary = KMeansSummary {
            rows: self.rows.census.rows,
            partitions: self.rows.count(),
            iterations: descent.history.len(),
            cost: told(measured.cost, self.params.distance),
            cost_history: descent.history,
            stop: descent.stop,
        };
        let attributes =
            Attributes { columns: descent.centers.columns(), params: self.params.clone(), summary };
        KMeansModel::new(descent.centers, measured.sizes, attributes)
    }
}
