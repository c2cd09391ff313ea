//! Options of `train tree-lasso` and `train fused-lasso`.

use super::input::{HeldOutArgs, InputArgs};
use super::lasso::{ColumnArgs, PenaltyArgs};
use super::output::OutputArgs;
use super::values::finite;
use clap::Args;
use std::path::PathBuf;

/// Long help of `train tree-lasso`.
pub const TREE_LASSO_EXAMPLES: &str = "\
The problem: 1/(2 rows) * sum of squared errors + reg * sum over nodes of weight * Euclidean norm of the weights of all columns at or
below the node. Where a node has no weight, all below it have none.

The file of --tree has a line for each node and for each column, in any order: its name, the name of the node above it (nothing for a
root), and its weight, with commas or tabs between them. A node has the root of its number of columns for a weight unless one is
given; a column has its absolute value penalised only if one is given. Columns without names have numbers, from 1. A first line
`node,parent,weight` is left out.

Examples:
  slackwater train tree-lasso --data genes.csv --tree ontology.csv --reg-ratio 0.2
  slackwater train tree-lasso --data spectra.csv --tree bands.tsv --path 30";

/// Long help of `train fused-lasso`.
pub const FUSED_LASSO_EXAMPLES: &str = "\
The problem: 1/(2 rows) * sum of squared errors + reg * (sum of absolute weights + fusion * sum over edges of |weight of the edge| *
|difference of the weights of its columns|); for an edge with a negative weight, their sum instead of their difference.

The file of --graph has a line for each edge: two names of columns (numbers from 1, if columns have no names) and its weight, if that
is not 1, with commas, tabs or spaces between them. A first line `from,to,weight` is left out.

Examples:
  slackwater train fused-lasso --data copies.csv --graph chain --fusion 5
  slackwater train fused-lasso --data markers.csv --graph correlated.csv --reg-ratio 0.1";

/// `train tree-lasso`.
#[derive(Debug, Args)]
pub struct TreeLassoArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// A file that says which node each node and each column is below
    #[arg(long, value_name = "FILE", help_heading = "Algorithm")]
    pub tree: PathBuf,

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

/// `train fused-lasso`.
#[derive(Debug, Args)]
pub struct FusedLassoArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Edges between columns: a file, or `chain` for each column and the next one
    #[arg(long, value_name = "chain|FILE", help_heading = "Algorithm")]
    pub graph: String,

    /// Weight of edges relative to that of absolute values; 0 is the lasso
    #[arg(long, value_name = "X", value_parser = finite, default_value = "1", help_heading = "Algorithm")]
    pub fusion: f64,

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
