//! Options of `train`.

use super::algorithm::TrainingArgs;
use super::clusters::{K_MEANS_EXAMPLES, KMeansArgs};
use super::coding::{CODING_EXAMPLES, SparseCodingArgs};
use super::factorization::{FACTORIZATION_EXAMPLES, MatrixFactorizationArgs};
use super::input::{HeldOutArgs, InputArgs};
use super::lasso::{
    ELASTIC_NET_EXAMPLES, ElasticNetArgs, GROUP_LASSO_EXAMPLES, GroupLassoArgs, LASSO_EXAMPLES, LassoArgs,
    SPARSE_LOGISTIC_EXAMPLES, SparseLogisticArgs,
};
use super::medlda::{MEDLDA_EXAMPLES, MedldaArgs, documents};
use super::metric::{DistanceMetricArgs, METRIC_EXAMPLES};
use super::network::{NETWORK_EXAMPLES, NeuralNetworkArgs};
use super::output::OutputArgs;
use super::parts::{DICTIONARY_EXAMPLES, DictionaryArgs, NMF_EXAMPLES, NmfArgs};
use super::structured::{FUSED_LASSO_EXAMPLES, FusedLassoArgs, TREE_LASSO_EXAMPLES, TreeLassoArgs};
use super::table::{SnapshotArgs, TableArgs};
use super::topics::{TOPICS_EXAMPLES, TopicsArgs};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use slackwater_mllib::classification::{Family, SvmLoss};
use slackwater_paramstore::Snapshots;

const SOLVERS: &str = "\
Solvers:
  newton  trust-region Newton: the default where the loss is smooth and there is no L1 penalty
  lbfgs   L-BFGS, or OWL-QN with an L1 penalty: the default then, and for more than two classes
  dual    dual coordinate descent: the default of the hinge loss
  normal  normal equations: the default of linear regression up to 4096 columns
  sgd     Spark's gradient descent, to have Spark's numbers; --reg 0.01, no intercept, the hinge loss for svm
  minibatch  stochastic gradient descent on a parameter table, with a --consistency (logistic regression)

Examples:
  slackwater train svm
  slackwater train logistic-regression --data a9a.svm --split 0.8,0.2 --metrics --model a9a.model";

const SVM_EXAMPLES: &str = "\
Examples:
  slackwater train svm --data a9a.svm --C 0.5 --model a9a.model
  slackwater train svm --data sample_libsvm_data.txt --solver sgd --split 0.6,0.4 --seed 11 --spark-splits";

const LOGISTIC_EXAMPLES: &str = "\
Examples:
  slackwater train logistic-regression --data 'parts/*.svm.gz' --grid C=0.1,1,10 --folds 5
  slackwater train logistic-regression --data a9a.svm --reg 0.001 --l1-ratio 1 --intercept
  slackwater train logistic-regression --data a9a.svm --solver minibatch --consistency ssp:3 --iterations 10";

const LINEAR_EXAMPLES: &str = "\
Examples:
  slackwater train linear-regression --data housing.svm --reg 0.3 --l1-ratio 0.8
  slackwater train linear-regression --data housing.svm --split 0.7,0.3 --metrics --json";

/// `train`.
#[derive(Debug, Args)]
#[command(after_long_help = SOLVERS)]
pub struct TrainArgs {
    /// What to fit.
    #[command(subcommand)]
    pub algorithm: Algorithm,
}

/// What can be fitted.
#[derive(Debug, Subcommand)]
pub enum Algorithm {
    /// From rows of features.
    #[command(flatten)]
    Linear(LinearAlgorithm),
    /// The lasso, for many columns: one penalty, a path, cross-validation
    #[command(name = "lasso", after_long_help = LASSO_EXAMPLES)]
    Lasso(LassoArgs),
    /// The elastic net, for many columns: one penalty, a path, cross-validation
    #[command(name = "elastic-net", alias = "enet", after_long_help = ELASTIC_NET_EXAMPLES)]
    ElasticNet(ElasticNetArgs),
    /// The group lasso and the sparse group lasso: weights of whole groups of columns are zero
    #[command(name = "group-lasso", alias = "sparse-group-lasso", after_long_help = GROUP_LASSO_EXAMPLES)]
    GroupLasso(GroupLassoArgs),
    /// The tree lasso: weights of whole branches of columns are zero
    #[command(name = "tree-lasso", after_long_help = TREE_LASSO_EXAMPLES)]
    TreeLasso(TreeLassoArgs),
    /// The graph-guided fused lasso: columns that belong together have the same weight
    #[command(name = "fused-lasso", aliases = ["graph-fused-lasso", "gflasso"], after_long_help = FUSED_LASSO_EXAMPLES)]
    FusedLasso(FusedLassoArgs),
    /// Sparse logistic regression, for many columns and two classes: one penalty, a path, cross-validation
    #[command(name = "sparse-logistic", alias = "sparse-logistic-regression", after_long_help = SPARSE_LOGISTIC_EXAMPLES)]
    #[command(mut_arg("tolerance", logistic_tolerance))]
    SparseLogistic(SparseLogisticArgs),
    /// Fully connected neural network, two classes or more
    #[command(name = "neural-network", aliases = ["dnn", "mlp"], after_long_help = NETWORK_EXAMPLES)]
    NeuralNetwork(NeuralNetworkArgs),
    /// k-means, to find the centres that rows are nearest to
    #[command(name = "k-means", alias = "kmeans", after_long_help = K_MEANS_EXAMPLES)]
    KMeans(KMeansArgs),
    /// Matrix factorisation, to predict ratings of items by users
    #[command(name = "mf", alias = "matrix-factorization", after_long_help = FACTORIZATION_EXAMPLES)]
    MatrixFactorization(MatrixFactorizationArgs),
    /// Latent Dirichlet allocation, to find the topics of documents
    #[command(name = "lda", alias = "topics", after_long_help = TOPICS_EXAMPLES)]
    Topics(TopicsArgs),
    /// Max-margin topics (MedLDA), to find topics of documents that tell their classes apart
    #[command(name = "medlda", alias = "max-margin-topics", after_long_help = MEDLDA_EXAMPLES)]
    #[command(mut_arg("data", documents))]
    Medlda(MedldaArgs),
    /// Distance metric learning, to have similar rows close and others apart
    #[command(name = "distance-metric", alias = "dml", after_long_help = METRIC_EXAMPLES)]
    DistanceMetric(DistanceMetricArgs),
    /// Sparse coding, to find the few atoms that each row is made of
    #[command(name = "sparse-coding", alias = "dictionary-learning", after_long_help = CODING_EXAMPLES)]
    SparseCoding(SparseCodingArgs),
    /// Non-negative matrix factorisation, to find the parts that rows are sums of
    #[command(name = "nmf", after_long_help = NMF_EXAMPLES)]
    Nmf(NmfArgs),
    /// Dictionary learning by turns, exact: the atoms that each row is made of a few of
    #[command(name = "dictionary", after_long_help = DICTIONARY_EXAMPLES)]
    Dictionary(DictionaryArgs),
}

/// The gap of another loss than the lasso's.
fn logistic_tolerance(arg: clap::Arg) -> clap::Arg {
    arg.help("When to stop: the duality gap, relative to the loss without weights [default: 1e-6]").long_help(
        "When to stop: the duality gap, relative to the loss without weights [default: 1e-6]\n\n\
         That of the best intercept, where there is one. No objective is lower than that of the model less the gap. Also: \
         --tol, --thresh.",
    )
}

/// What can be fitted to rows of features.
#[derive(Debug, Subcommand)]
pub enum LinearAlgorithm {
    /// Linear support vector machine, two classes
    #[command(alias = "linear-svm", after_long_help = SVM_EXAMPLES)]
    Svm(SvmArgs),
    /// Logistic regression, two classes or more
    #[command(alias = "logistic", after_long_help = LOGISTIC_EXAMPLES)]
    LogisticRegression(LogisticRegressionArgs),
    /// Least squares, ridge, lasso, elastic net
    #[command(alias = "linear", after_long_help = LINEAR_EXAMPLES)]
    LinearRegression(LinearRegressionArgs),
}

fn loss() -> impl TypedValueParser<Value = SvmLoss> {
    PossibleValuesParser::new(["hinge", "squared-hinge", "squared_hinge"])
        .map(|name| if name == "hinge" { SvmLoss::Hinge } else { SvmLoss::SquaredHinge })
}

fn family() -> impl TypedValueParser<Value = Family> {
    PossibleValuesParser::new(["auto", "binary", "binomial", "multinomial"]).map(|name| match name.as_str() {
        "auto" => Family::Auto,
        "multinomial" => Family::Multinomial,
        _ => Family::Binary,
    })
}

/// `train svm`.
#[derive(Debug, Args)]
pub struct SvmArgs {
    /// hinge: max(0, 1 - yz); squared-hinge: its square [default: squared-hinge; hinge for sgd]
    #[arg(long, value_name = "NAME", value_parser = loss(), hide_possible_values = true, help_heading = "Algorithm")]
    pub loss: Option<SvmLoss>,

    /// Options of all algorithms.
    #[command(flatten)]
    pub common: Common,
}

/// `train logistic-regression`.
#[derive(Debug, Args)]
pub struct LogisticRegressionArgs {
    /// binary: one output for two classes; multinomial: one a class; auto: by the number of classes
    #[arg(long, value_name = "NAME", value_parser = family(), default_value = "auto")]
    #[arg(hide_possible_values = true, help_heading = "Algorithm")]
    pub family: Family,

    /// The parameter table of `minibatch`.
    #[command(flatten)]
    pub table: TableArgs,

    /// Snapshots of `minibatch`.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// Options of all algorithms.
    #[command(flatten)]
    pub common: Common,
}

/// `train linear-regression`.
#[derive(Debug, Args)]
pub struct LinearRegressionArgs {
    /// Options of all algorithms.
    #[command(flatten)]
    pub common: Common,
}

/// Options of all algorithms.
#[derive(Debug, Args)]
pub struct Common {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Parameters.
    #[command(flatten)]
    pub training: TrainingArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl LinearAlgorithm {
    /// Its name in the command and in the name of a model.
    pub fn name(&self) -> &'static str {
        match self {
            LinearAlgorithm::Svm(_) => "svm",
            LinearAlgorithm::LogisticRegression(_) => "logistic-regression",
            LinearAlgorithm::LinearRegression(_) => "linear-regression",
        }
    }
    /// Where snapshots of the training are kept, if they are.
    pub fn snapshots(&self) -> Option<Snapshots> {
        match self {
            LinearAlgorithm::LogisticRegression(a) => a.snapshots.spec(),
            LinearAlgorithm::Svm(_) | LinearAlgorithm::LinearRegression(_) => None,
        }
    }
    /// Options that all have.
    pub fn common(&self) -> &Common {
        match self {
            LinearAlgorithm::Svm(a) => &a.common,
            LinearAlgorithm::LogisticRegression(a) => &a.common,
            LinearAlgorithm::LinearRegression(a) => &a.common,
        }
    }
}
