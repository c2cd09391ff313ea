//! Sparse logistic regression, for many columns and two classes.
//!
//! # Problem
//! `min 1/n Σ log(1 + exp(-y (x'b + b₀))) + λ (α |b|₁ + (1 - α)/2 |b|²)`, `y` = ±1, `0 < α <= 1`. With `standardize` the penalty is
//! on the weights of columns divided by their deviation (with `n`), as in glmnet and in
//! [the lasso](crate::regression::lasso). scikit-learn's `LogisticRegression` with `C = 1 / (n λ)` is the same on columns
//! that were scaled before.
//!
//! # Stopping rule
//! The duality gap is at most `tolerance` times the loss without weights (that of the best intercept alone, if there is
//! one). The gap is computed from all columns; no objective can be lower than the objective less the gap.
//!
//! # Dual
//! `max Σ H(y u) - |v|²/2` where no `|x_j'u + √μ v_j|` exceeds `n λ α`, with `μ = n λ (1 - α)`, `H` the entropy of a probability in nats, and
//! `Σ u = 0` if there is an intercept. The point is the residual (a label as 0 or 1, less its probability) and `-√μ b`, both times
//! what makes them feasible. The intercept is always the best one for the weights, so residuals sum up to zero but for
//! rounding; the class with the larger sum is scaled down to the other's, which leaves no rest ([`problem`]).
//!
//! # Solver
//! Working sets, with the design, bounds of products and screening of the lasso ([`solver`]); on them proximal Newton steps
//! with a line search, whose models are weighted lassos and go to the lasso's inner solver ([`inner`]).
//!
//! Or, with [`ScheduleParams`](crate::regression::lasso::ScheduleParams), coordinate descent on many weights at a time that are
//! [chosen](slackwater_paramstore::schedule) so that they do not depend on each other.
//!
//! # Guarantees
//! The same rows give the same bits for any number of workers and processes, and a unique optimum has a gap even where
//! the classes can be told apart without error: the penalty keeps weights finite.
//!
//! # Cost
//! As the lasso: the columns in memory, a handful of passes that take products with those columns that bounds do not rule
//! out. A working set is in the main program twice: as it is, and weighted by rows.
//!
//! # When to prefer another
//! For few columns and many rows [`super::logistic_regression`] keeps to the rows, and it takes more than two classes.
//!
//! # References
//! Yuan, Ho and Lin, An improved GLMNET for l1-regularized logistic regression, JMLR 13 (2012); Johnson and Guestrin, Blitz,
//! ICML 2015; Massias, Vaiter, Gramfort and Salmon, Dual extrapolation for sparse generalized linear models, JMLR 21 (2020);
//! Ndiaye, Fercoq, Gramfort and Salmon, JMLR 18 (2017) (gap-safe screening); Friedman, Hastie and Tibshirani, J. Stat. Soft.
//! 33 (2010) (paths).

mod fit;
mod inner;
mod params;
mod problem;
mod solver;

pub use fit::SparseLogisticFit;
pub use params::SparseLogisticParams;
