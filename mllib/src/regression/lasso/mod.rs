//! The lasso and the elastic net, for many columns.
//!
//! # Problem
//! `min 1/(2n) Σ (x'b + b₀ - y)² + λ (α |b|₁ + (1 - α)/2 |b|²)`, `0 < α <= 1`. With `standardize` the penalty is on the weights
//! of columns divided by their deviation (with `n`); labels are left as they are. That is glmnet's problem as its papers state
//! it, and scikit-learn's `Lasso` and `ElasticNet` on columns that were scaled before. [`super::linear`] is another problem
//! where `standardize` and an L2 part meet: there labels are scaled, too, as in Spark.
//!
//! # Stopping rule
//! The duality gap is at most `tolerance |y|² / (2n)`, where `y` is less its mean if there is an intercept. The gap is computed
//! from all columns; no objective can be lower than the objective less the gap.
//!
//! # Solver
//! Working sets ([`solver`]) on columns ([`design`]), coordinate descent with extrapolation and Newton steps on them
//! ([`inner`]).
//!
//! Or, with [`ScheduleParams`], coordinate descent on many weights at a time that are [chosen](slackwater_paramstore::schedule)
//! so that they do not depend on each other: it keeps to the rows, and to what fits into the memory of several processes.
//!
//! # Guarantees
//! The same rows give the same bits for any number of workers and processes: a product with a column is summed in one order,
//! and all else happens in the main program.
//!
//! # Cost
//! The columns, in memory: 8 bytes a value, or 12 a value that is not zero; where they take less than 32 MiB they are all
//! brought to the main program. A pass takes products of those columns that bounds do not rule out, by all workers; a handful
//! of passes is common. Working sets and what belongs to them are in the main program of every process: `8 n` bytes a column.
//!
//! # When to prefer another
//! For few columns and many rows [`super::linear`] keeps to the rows, and needs no shuffle.
//!
//! # References
//! Massias, Gramfort and Salmon 2018 (working sets, dual points); Ndiaye et al. 2017 (gap-safe screening); Bertrand and
//! Massias 2021 (extrapolation); Friedman, Hastie and Tibshirani, J. Stat. Soft. 33 (2010) (paths).

mod column;
pub(crate) mod columns;
pub(crate) mod cross_validation;
pub(crate) mod design;
pub(crate) mod fit;
pub(crate) mod inner;
mod params;
pub(crate) mod problem;
pub(crate) mod scheduled;
mod shards;
mod solver;
pub(crate) mod working;

pub use crate::linear::PathPoint;
pub use column::{Column, ColumnBlock, Facts, Scaling, Values};
pub use cross_validation::{Scored, Search};
pub use design::{Design, IN_PROGRAM_BYTES};
pub use fit::LassoFit;
pub use params::{Folds, LassoParams, Penalties, Rule};
pub use scheduled::{Chooser, ScheduleParams, Scheduled};
