//! Parameters of k-means.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};
use slackwater_paramstore::Consistency;
use std::str::FromStr;

/// Names of an enumeration, in options and files.
macro_rules! names {
    ($kind:ident: $($variant:ident = $name:literal),+) => {
        impl $kind {
            /// Name in options and files.
            pub fn name(self) -> &'static str {
                match self {
                    $($kind::$variant => $name),+
                }
            }
        }
        impl FromStr for $kind {
            type Err = String;
            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok($kind::$variant),)+
                    _ => Err(format!("`{name}` is not one of {}", [$($name),+].join(", "))),
                }
            }
        }
    };
}

/// How far a row is from a centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// `‖x - c‖`; a row costs its square.
    Euclidean,
    /// `1 - x'c / (‖x‖ ‖c‖)`; rows and centres are taken at length 1, and a row costs the distance itself.
    Cosine,
}

names!(Distance: Euclidean = "euclidean", Cosine = "cosine");

/// Where the centres begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// k-means||: a few rounds that each draw `2 k` rows, then the best `k` of these.
    #[serde(rename = "k-means||")]
    Parallel,
    /// k-means++: row by row, each by its squared distance from those before.
    #[serde(rename = "k-means++")]
    PlusPlus,
    /// Rows, each as likely as any other.
    Random,
    /// Centres that are given: see [`KMeansParams::fit_from`].
    Given,
}

names!(Start: Parallel = "k-means||", PlusPlus = "k-means++", Random = "random", Given = "given");

/// How the centres move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// All rows, then all centres, again and again.
    Lloyd,
    /// Some rows at a time, with the centres in a parameter table.
    Minibatch,
}

names!(Solver: Lloyd = "lloyd", Minibatch = "minibatch");

/// What only [`Solver::Minibatch`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MinibatchParams {
    /// Passes over the rows at most.
    pub epochs: usize,
    /// Rows of each partition in a clock.
    pub batch: usize,
    /// What the rows of an epoch still count in the next one: 1 for all alike, 0 for the last epoch alone.
    pub decay: f64,
    /// How old the centres may be that a minibatch reads.
    pub consistency: Consistency,
}

impl Default for MinibatchParams {
    fn default() -> Self {
        MinibatchParams { epochs: 10, batch: 1024, decay: 0.5, consistency: Consistency::Bsp }
    }
}

/// Centres at most: a row's is kept in 32 bits, of which some are spare.
const CENTERS_MAX: usize = 1 << 24;
/// [`KMeansParams::tolerance`] of [`Solver::Lloyd`] unless said.
const TOLERANCE: f64 = 1e-4;

/// Parameters of k-means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeansParams {
    /// Number of centres.
    pub k: usize,
    /// How far a row is from a centre.
    pub distance: Distance,
    /// How the centres move.
    pub solver: Solver,
    /// Iterations at most, of [`Solver::Lloyd`].
    pub iterations_max: usize,
    /// When to end; `None`: 1e-4 for [`Solver::Lloyd`], never for [`Solver::Minibatch`]. What is compared stands in the
    /// [module](super).
    pub tolerance: Option<f64>,
    /// Where the centres begin.
    pub start: Start,
    /// Rounds of [`Start::Parallel`].
    pub start_rounds: usize,
    /// Attempts with centres that begin elsewhere, of which the best is kept: whole trainings of [`Solver::Lloyd`],
    /// first centres of [`Solver::Minibatch`].
    pub restarts: usize,
    /// What [`Solver::Minibatch`] takes besides.
    pub minibatch: MinibatchParams,
    /// Seed of the first centres and of the order of rows.
    pub seed: u64,
}

impl Default for KMeansParams {
    fn default() -> Self {
        KMeansParams {
            k: 8,
            distance: Distance::Euclidean,
            solver: Solver::Lloyd,
            iterations_max: 100,
            tolerance: None,
            start: Start::Parallel,
            start_rounds: 2,
            restarts: 1,
            minibatch: MinibatchParams::default(),
            seed: 42,
        }
    }
}

impl KMeansParams {
    /// `k` centres; other parameters at their defaults.
    pub fn new(k: usize) -> Self {
        KMeansParams { k, ..Default::default() }
    }
    /// The tolerance of Lloyd's iterations.
    pub(super) fn movement_min(&self) -> f64 {
        self.tolerance.unwrap_or(TOLERANCE)
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let least = |value: usize, name| require(value >= 1, name, || "must be at least 1".into());
        require((1..=CENTERS_MAX).contains(&self.k), "k", || {
            format!("must be 1 to {CENTERS_MAX}, not {}", self.k)
        })?;
        least(self.iterations_max, "iterations")?;
        least(self.start_rounds, "init-steps")?;
        least(self.restarts, "restarts")?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())?;
        require(self.start != Start::Given || self.restarts == 1, "restarts", || {
            "would all begin at the centres that are given".into()
        })?;
        let table = &self.minibatch;
        least(table.epochs, "epochs")?;
        least(table.batch, "batch")?;
        require((0.0..=1.0).contains(&table.decay), "decay", || {
            format!("must be 0 to 1, not {}", table.decay)
        })
    }
}

/// Centres: `k` rows of as many columns as the data has.
#[derive(Debug, Clone, PartialEq)]
pub struct Centers {
    k: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Centers {
    /// Centres of rows that lie one after the other.
    ///
    /// # Errors
    /// Usage, if there are none, or not as many values in each; input, for a value that is no finite number.
    pub fn new(values: Vec<f64>, k: usize) -> Result<Self> {
        if k == 0 || !values.len().is_multiple_of(k) {
            return Err(Error::usage(format!("{} values do not make {k} centres", values.len())));
        }
        if values.iter().any(|x| !x.is_finite()) {
            return Err(Error::input("a centre has a value that is no finite number", ""));
        }
        Ok(Centers::of(values, k))
    }
    pub(super) fn of(values: Vec<f64>, k: usize) -> Self {
        Centers { k, columns: values.len() / k, values }
    }
    /// Number of centres.
    pub fn k(&self) -> usize {
        self.k
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// All values, centre by centre.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
    /// One centre.
    ///
    /// # Panics
    /// If there is no such centre.
    pub fn row(&self, center: usize) -> &[f64] {
        assert!(center < self.k, "there is no centre {center} of {}", self.k);
        &self.values[center * self.columns..][..self.columns]
    }
    pub(super) fn row_mut(&mut self, center: usize) -> &mut [f64] {
        &mut self.values[center * self.columns..][..self.columns]
    }
    /// All centres.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> + '_ {
        (0..self.k).map(|j| self.row(j))
    }
    /// Sum of the squared ways from these centres to `others`.
    pub(super) fn moved(&self, others: &Centers) -> f64 {
        self.values.iter().zip(&others.values).map(|(a, b)| (a - b) * (a - b)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = KMeansParams::default;
        good().check().unwrap();
        let table = |minibatch| KMeansParams { minibatch, ..good() };
        let of_table = MinibatchParams::default;
        for (bad, name) in [
            (KMeansParams { k: 0, ..good() }, "k"),
            (KMeansParams { k: CENTERS_MAX + 1, ..good() }, "k"),
            (KMeansParams { iterations_max: 0, ..good() }, "iterations"),
            (KMeansParams { start_rounds: 0, ..good() }, "init-steps"),
            (KMeansParams { restarts: 0, ..good() }, "restarts"),
            (KMeansParams { restarts: 2, start: Start::Given, ..good() }, "restarts"),
            (KMeansParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
            (KMeansParams { tolerance: Some(f64::NAN), ..good() }, "tolerance"),
            (table(MinibatchParams { epochs: 0, ..of_table() }), "epochs"),
            (table(MinibatchParams { batch: 0, ..of_table() }), "batch"),
            (table(MinibatchParams { decay: 1.5, ..of_table() }), "decay"),
            (table(MinibatchParams { decay: f64::NAN, ..of_table() }), "decay"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for start in [Start::Parallel, Start::PlusPlus, Start::Random, Start::Given] {
            assert_eq!(start.name().parse(), Ok(start));
            assert_eq!(serde_json::to_value(start).unwrap(), start.name());
        }
        for distance in [Distance::Euclidean, Distance::Cosine] {
            assert_eq!(distance.name().parse(), Ok(distance));
        }
        for solver in [Solver::Lloyd, Solver::Minibatch] {
            assert_eq!(solver.name().parse(), Ok(solver));
        }
        assert!("median".parse::<Start>().unwrap_err().contains("k-means||"));
    }

    #[test]
    fn centers_are_checked() {
        assert_eq!(Centers::new(vec![1.0, 2.0, 3.0], 2).unwrap_err().exit_code(), 2);
        assert_eq!(Centers::new(vec![], 0).unwrap_err().exit_code(), 2);
        assert_eq!(Centers::new(vec![f64::NAN], 1).unwrap_err().exit_code(), 3);
        let centers = Centers::new(vec![1.0, 2.0, 3.0, 5.0], 2).unwrap();
        assert_eq!((centers.k(), centers.columns(), centers.row(1)), (2, 2, &[3.0, 5.0][..]));
    }
}
