//! Parameters of the tree lasso and the graph-guided fused lasso.

use super::fused::FusedPenalty;
use super::graph::Graph;
use super::penalty::Penalty;
use super::tree::Tree;
use crate::params::require;
use crate::regression::lasso::{LassoParams, Penalties, Scaling};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;

/// How columns belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Structure {
    /// As the leaves of a tree: the tree lasso.
    Tree(Tree),
    /// By edges between them: the graph-guided fused lasso.
    Graph {
        /// The edges.
        graph: Graph,
        /// The weight of edges relative to that of absolute values.
        fusion: f64,
    },
}

impl Structure {
    /// How many columns it is of.
    pub fn columns(&self) -> usize {
        match self {
            Structure::Tree(tree) => tree.columns(),
            Structure::Graph { graph, .. } => graph.columns(),
        }
    }
    /// How many nodes of the tree have weights; how many sets of neighbours have the same one.
    pub fn parts(&self, weights: &[f64]) -> usize {
        match self {
            Structure::Tree(tree) => tree.active(weights),
            Structure::Graph { graph, .. } => {
                graph.fused(weights).iter().filter(|p| weights[p[0].0 as usize] != 0.0).count()
            }
        }
    }
    /// The penalty of some columns, where all others have no weight.
    pub(super) fn penalty(&self, columns: &[usize]) -> Box<dyn Penalty> {
        match self {
            Structure::Tree(tree) => Box::new(tree.penalty(columns)),
            Structure::Graph { graph, fusion } => Box::new(FusedPenalty::new(graph, *fusion, columns)),
        }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        match self {
            Structure::Tree(_) => Ok(()),
            Structure::Graph { fusion, .. } => {
                require(*fusion >= 0.0 && fusion.is_finite(), "fusion", || {
                    format!("must be at least 0, not {fusion}")
                })
            }
        }
    }
}

/// Parameters of the tree lasso and the graph-guided fused lasso.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StructuredLassoParams {
    /// Which penalties are fitted; the model is that of the last one.
    pub penalties: Penalties,
    /// Adds an intercept, which is not penalised.
    pub intercept: bool,
    /// Penalises the weights of columns scaled to deviation 1 (with `n`). The model is for the columns as they are.
    pub standardize: bool,
    /// The gap at which a problem is solved, relative to `|y|² / (2n)`.
    pub tolerance: f64,
    /// Passes over the columns at most, for each penalty.
    pub passes_max: usize,
}

impl Default for StructuredLassoParams {
    fn default() -> Self {
        StructuredLassoParams {
            penalties: Penalties::Ratio(0.1),
            intercept: true,
            standardize: true,
            tolerance: 1e-6,
            passes_max: 100,
        }
    }
}

impl StructuredLassoParams {
    /// How the columns of a design must be made.
    pub fn scaling(&self) -> Scaling {
        Scaling { center: self.intercept, standardize: self.standardize }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        self.as_lasso().check()
    }
    /// What is the same in a lasso.
    pub(super) fn as_lasso(&self) -> LassoParams {
        LassoParams {
            penalties: self.penalties,
            intercept: self.intercept,
            standardize: self.standardize,
            tolerance: self.tolerance,
            passes_max: self.passes_max,
            ..Default::default()
        }
    }
}
