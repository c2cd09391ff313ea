//! Options of all trainers.

use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::linear::Solver;
use std::str::FromStr;

/// A solver, or the one that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SolverChoice(pub Option<Solver>);

fn solver() -> impl TypedValueParser<Value = SolverChoice> {
    PossibleValuesParser::new(["auto", "sgd", "lbfgs", "newton", "dual", "normal", "minibatch"])
        .map(|name| SolverChoice(name.parse().ok()))
}

/// Values of one parameter that cross-validation tries: `C=0.1,1,10`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The parameter, by the name of its option.
    pub name: String,
    /// The values.
    pub values: Vec<f64>,
}

/// Parameters that a grid can vary.
const GRID_NAMES: [&str; 6] = ["C", "reg", "l1-ratio", "iterations", "tolerance", "step-size"];

impl FromStr for Grid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').ok_or("write NAME=VALUE,VALUE,...")?;
        if !GRID_NAMES.contains(&name) {
            return Err(format!("`{name}` is not one of {}", GRID_NAMES.join(", ")));
        }
        let values = values.split(',').map(|v| finite(v).map_err(|e| format!("`{v}`: {e}")));
        Ok(Grid { name: name.to_string(), values: values.collect::<Result<_, _>>()? })
    }
}

/// What all trainers have.
#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// How to minimise; which solver can do what is said by `help train`
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = solver(), help_heading = "Algorithm")]
    pub solver: SolverChoice,

    /// Iterations at most [default: the solver's: 100; dual: 300 passes; minibatch: 20 epochs]
    ///
    /// Also: --max-iter, --max_iter, --maxIter, --numIterations.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["max-iter", "max_iter", "maxIter", "num-iterations", "numIterations"])]
    pub iterations: Option<usize>,

    /// When to stop [default: the solver's: newton, dual, sgd 1e-3; lbfgs 1e-6]
    ///
    /// What is compared depends on the solver: newton: the gradient's norm relative to that at the start; dual: the
    /// duality gap relative to the objective; lbfgs: the fall of the objective; sgd: the change of weights; minibatch: the fall of the loss from epoch to epoch. Also: --tol,
    /// --convergenceTol.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["tol", "convergence-tol", "convergenceTol"])]
    pub tolerance: Option<f64>,

    /// Weight of losses, penalty + C * sum of losses, as in LIBLINEAR [default: 1, unless --reg]
    ///
    /// As C of scikit-learn's LinearSVC and LogisticRegression. Also: --cost.
    #[arg(long = "C", value_name = "X", value_parser = finite, conflicts_with = "reg", help_heading = "Algorithm")]
    #[arg(aliases = ["c", "cost"])]
    pub c: Option<f64>,

    /// Weight of the penalty, mean loss + reg * penalty, as in Spark [default: 0.01 for sgd; 0 for linear regression]
    ///
    /// The same problem as --C with C = 1 / (rows * reg). Also: --regParam, --lambda, --alpha (as in scikit-learn's Lasso
    /// and SGDClassifier; Ridge's alpha is `rows` times this).
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["reg-param", "regParam", "lambda", "alpha"])]
    pub reg: Option<f64>,

    /// Share of absolute values in the penalty, 0 (ridge) to 1 (lasso)
    ///
    /// Also: --l1_ratio, --elasticNetParam.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "0", help_heading = "Algorithm")]
    #[arg(aliases = ["l1_ratio", "elastic-net-param", "elasticNetParam"])]
    pub l1_ratio: f64,

    /// Fit an intercept [default: no; yes for linear regression unless sgd]
    ///
    /// The solvers sgd and dual penalise it like a weight, as Spark's and LIBLINEAR's do. Also: --fit-intercept,
    /// --fit_intercept, --fitIntercept.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(aliases = ["fit-intercept", "fit_intercept", "fitIntercept"], help_heading = "Algorithm")]
    pub intercept: Option<bool>,

    /// Fit no intercept
    #[arg(long, conflicts_with = "intercept", help_heading = "Algorithm")]
    pub no_intercept: bool,

    /// Penalise the weights of columns scaled to unit deviation, as Spark does [default: no; yes for linear regression]
    ///
    /// The model is for the columns as they are. Also: --standardization.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(alias = "standardization", help_heading = "Algorithm")]
    pub standardize: Option<bool>,

    /// First step of sgd, the i-th is this over the square root of i; of minibatch, see --decay
    ///
    /// Also: --stepSize, --eta0.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "1", help_heading = "Algorithm")]
    #[arg(aliases = ["step_size", "stepSize", "eta0"])]
    pub step_size: f64,

    /// Share of rows in a batch of sgd
    ///
    /// Also: --miniBatchFraction.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "1", help_heading = "Algorithm")]
    #[arg(alias = "miniBatchFraction")]
    pub mini_batch_fraction: f64,

    /// Cross-validate with K folds before training [default with --grid: 3]
    ///
    /// Also: --cv, --numFolds.
    #[arg(long, value_name = "K", aliases = ["cv", "num-folds", "numFolds"], help_heading = "Algorithm")]
    pub folds: Option<usize>,

    /// Try all combinations of values, as 'C=0.1,1,10', and train with the best (may be repeated)
    #[arg(long, value_name = "NAME=X,X", help_heading = "Algorithm")]
    pub grid: Vec<Grid>,

    /// What the best of a grid is best in [default: area-under-roc; accuracy for several classes; rmse]
    #[arg(long, value_name = "METRIC", help_heading = "Algorithm")]
    pub select_by: Option<String>,
}
