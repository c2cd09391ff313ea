//! Options of `train lasso` and `train elastic-net`.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::regression::lasso::{Chooser, Rule};

/// Long help of `train lasso`.
pub const LASSO_EXAMPLES: &str = "\
The problem: 1/(2 rows) * sum of squared errors + reg * sum of absolute weights, as in scikit-learn and glmnet.

Examples:
  slackwater train lasso --data expression.csv --reg-ratio 0.05
  slackwater train lasso --data expression.csv --path 100 --folds 10 --select one-standard-error";

/// Long help of `train elastic-net`.
pub const ELASTIC_NET_EXAMPLES: &str = "\
The problem: 1/(2 rows) * sum of squared errors + reg * (l1-ratio * sum of absolute weights + (1 - l1-ratio)/2 * sum of squared
weights), as in scikit-learn and glmnet.

Examples:
  slackwater train elastic-net --data expression.csv --reg 0.2 --l1-ratio 0.8
  slackwater train elastic-net --data expression.csv --path 50 --path-ratio 0.01 --folds 5";

/// Long help of `train sparse-logistic`.
pub const SPARSE_LOGISTIC_EXAMPLES: &str = "\
The problem: mean of log(1 + exp(-y (x'w + b))) + reg * (l1-ratio * sum of absolute weights + (1 - l1-ratio)/2 * sum of squared
weights), as in glmnet; scikit-learn's C is 1 / (rows * reg). Two classes; the model is that of logistic-regression.

Examples:
  slackwater train sparse-logistic --data expression.csv --reg-ratio 0.1
  slackwater train sparse-logistic --data expression.csv --l1-ratio 0.8 --path 50 --folds 5";

fn rule() -> impl TypedValueParser<Value = Rule> {
    PossibleValuesParser::new(["minimum", "min", "one-standard-error", "1se"]).map(|name| {
        match name.as_str() {
            "minimum" | "min" => Rule::Minimum,
            _ => Rule::OneStandardError,
        }
    })
}

/// Who chooses the weights of a step; nobody if working sets are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduler(pub Option<Chooser>);

fn scheduler() -> impl TypedValueParser<Value = Scheduler> {
    PossibleValuesParser::new(["none", "sap", "random", "cyclic"]).map(|name| {
        Scheduler(match name.as_str() {
            "sap" => Some(Chooser::Sap),
            "random" => Some(Chooser::Random),
            "cyclic" => Some(Chooser::Cyclic),
            _ => None,
        })
    })
}

/// Which penalties are fitted.
#[derive(Debug, Args)]
pub struct PenaltyArgs {
    /// Weight of the penalty, mean loss + reg * penalty [default: --reg-ratio 0.1]
    ///
    /// Also: --lambda (glmnet), --alpha (scikit-learn), --regParam.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["lambda", "alpha", "reg-param", "regParam"], conflicts_with_all = ["reg_ratio", "path"])]
    pub reg: Option<f64>,

    /// Weight of the penalty, relative to the least that leaves no weights
    #[arg(long, value_name = "X", value_parser = finite, conflicts_with = "path", help_heading = "Algorithm")]
    pub reg_ratio: Option<f64>,

    /// Fit so many penalties, from the least that leaves no weights down; the model is of the last one, or --folds chooses
    ///
    /// Each begins where the one before has ended. Also: --n-alphas, --nlambda.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["n-alphas", "n_alphas", "nlambda"])]
    pub path: Option<usize>,

    /// The last penalty of the path, relative to the first [default: 0.001]
    ///
    /// Also: --eps (scikit-learn), --lambda-min-ratio (glmnet).
    #[arg(long, value_name = "X", value_parser = finite, requires = "path", help_heading = "Algorithm")]
    #[arg(aliases = ["eps", "lambda-min-ratio"])]
    pub path_ratio: Option<f64>,
}

/// What is fitted to columns, and how exactly.
#[derive(Debug, Args)]
pub struct ColumnArgs {
    /// Fit no intercept
    #[arg(long, help_heading = "Algorithm")]
    pub no_intercept: bool,

    /// Fit an intercept [default: yes]
    ///
    /// Also: --fit-intercept, --fit_intercept, --fitIntercept.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(aliases = ["fit-intercept", "fit_intercept", "fitIntercept"], conflicts_with = "no_intercept")]
    #[arg(help_heading = "Algorithm")]
    pub intercept: Option<bool>,

    /// Penalise the weights of columns scaled to unit deviation, as glmnet does [default: yes]
    ///
    /// The model is for the columns as they are. scikit-learn does not scale. Also: --standardization.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(alias = "standardization", help_heading = "Algorithm")]
    pub standardize: Option<bool>,

    /// When to stop: the duality gap, relative to half the mean square of the labels [default: 1e-6]
    ///
    /// Labels are less their mean where there is an intercept. No objective is lower than that of the model less the gap. Also:
    /// --tol, --thresh.
    #[arg(long, value_name = "X", value_parser = finite, aliases = ["tol", "thresh"], help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Passes over the columns at most, for each penalty [default: 100]
    ///
    /// Also: --max-iter, --max_iter, --maxIter.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["max-iter", "max_iter", "maxIter"])]
    pub iterations: Option<usize>,
}

/// `train lasso`.
#[derive(Debug, Args)]
pub struct LassoArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// The penalty.
    #[command(flatten)]
    pub penalty: PenaltyArgs,

    /// Choose among the penalties of the path by cross-validation with K folds
    ///
    /// Also: --cv, --nfolds, --numFolds.
    #[arg(long, value_name = "K", requires = "path", help_heading = "Algorithm")]
    #[arg(aliases = ["cv", "nfolds", "num-folds", "numFolds"])]
    pub folds: Option<usize>,

    /// Which penalty is chosen: minimum, one-standard-error [default: minimum]
    ///
    /// minimum: that of the least mean error (glmnet's lambda.min). one-standard-error: the largest whose mean error is within a
    /// standard error of that (lambda.1se). Also: min, 1se.
    #[arg(long, value_name = "RULE", value_parser = rule(), hide_possible_values = true)]
    #[arg(requires = "folds", help_heading = "Algorithm")]
    pub select: Option<Rule>,

    /// Change many weights at a time: none, sap, random, cyclic [default: none]
    ///
    /// none: working sets, which are faster on one machine. sap: weights by how much they change, without such as depend on
    /// each other. random, cyclic: whatever depends on whatever. The rows are cut into --partitions.
    #[arg(long, value_name = "HOW", value_parser = scheduler(), hide_possible_values = true)]
    #[arg(conflicts_with = "path", help_heading = "Schedule")]
    pub scheduler: Option<Scheduler>,

    /// Weights that change at a time, at most [default: 32]
    ///
    /// Also: --schedule-size (STRADS).
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "scheduler", alias = "schedule-size")]
    #[arg(help_heading = "Schedule")]
    pub parallelism: Option<usize>,

    /// Columns that correlate by as much as this never change at the same time [default: 0.3]
    ///
    /// Also: --infthreshold (STRADS).
    #[arg(long, value_name = "X", value_parser = finite, requires = "scheduler", alias = "infthreshold")]
    #[arg(help_heading = "Schedule")]
    pub correlation: Option<f64>,

    /// Steps by which weights are chosen before their turn [default: 1]
    ///
    /// Also: --pipeline (STRADS).
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "scheduler", alias = "pipeline")]
    #[arg(help_heading = "Schedule")]
    pub depth: Option<usize>,

    /// Steps at most [default: 1000000]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "scheduler", help_heading = "Schedule")]
    pub steps: Option<usize>,

    /// What is fitted, and how exactly.
    #[command(flatten)]
    pub columns: ColumnArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `train elastic-net`.
#[derive(Debug, Args)]
pub struct ElasticNetArgs {
    /// Share of absolute values in the penalty, above 0 (ridge) to 1 (lasso)
    ///
    /// Also: --l1_ratio, --elasticNetParam. glmnet calls it alpha.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "0.5", help_heading = "Algorithm")]
    #[arg(aliases = ["l1_ratio", "elastic-net-param", "elasticNetParam"])]
    pub l1_ratio: f64,

    /// What it has in common with the lasso.
    #[command(flatten)]
    pub common: LassoArgs,
}

/// `train sparse-logistic`.
#[derive(Debug, Args)]
pub struct SparseLogisticArgs {
    /// Share of absolute values in the penalty, above 0 (ridge) to 1
    ///
    /// Also: --l1_ratio, --elasticNetParam. glmnet calls it alpha.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "1", help_heading = "Algorithm")]
    #[arg(aliases = ["l1_ratio", "elastic-net-param", "elasticNetParam"])]
    pub l1_ratio: f64,

    /// What it has in common with the lasso.
    #[command(flatten)]
    pub common: LassoArgs,
}

/// Long help of `train group-lasso`.
pub const GROUP_LASSO_EXAMPLES: &str = "\
The problem: 1/(2 rows) * sum of squared errors + reg * (l1-ratio * sum of absolute weights + (1 - l1-ratio) * sum over groups of
root of its size * Euclidean norm of its weights). With --l1-ratio it is the sparse group lasso.

The file of --groups has a line for each column: its name (its number, from 1, if columns have no names), a comma or tab, and the
name of its group. A first line `column,group` is left out.

Examples:
  slackwater train group-lasso --data genes.csv --groups pathways.csv --reg-ratio 0.2
  slackwater train group-lasso --data spectra.csv --groups 10 --l1-ratio 0.3 --path 50";

/// `train group-lasso`.
#[derive(Debug, Args)]
pub struct GroupLassoArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Groups of columns: how many neighbouring ones make a group, or a file
    #[arg(long, value_name = "SIZE|FILE", help_heading = "Algorithm")]
    pub groups: String,

    /// Share of absolute values in the penalty: 0 (group lasso) to 1 (lasso)
    ///
    /// Also: --l1_ratio. sparsegl calls it asparse, SGL alpha.
    #[arg(long, value_name = "X", value_parser = finite, default_value = "0", help_heading = "Algorithm")]
    #[arg(alias = "l1_ratio")]
    pub l1_ratio: f64,

    /// The penalty.
    #[command(flatten)]
    pub penalty: PenaltyArgs,

    /// What is fitted, and how exactly.
    #[command(flatten)]
    pub columns: ColumnArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}
