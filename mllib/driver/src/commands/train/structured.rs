//! `train tree-lasso`, `train fused-lasso`: as the lasso, with a file that says how columns belong together.

use super::lasso::{Fitted, Parts, Run, intercept, penalties};
use crate::args::{ColumnArgs, FusedLassoArgs, Globals, PenaltyArgs, TreeLassoArgs};
use crate::structures::{Columns, GraphOption, tree};
use slackwater_dataflow::Result;
use slackwater_mllib::optimization::Progress;
use slackwater_mllib::regression::StructuredLassoParams;
use slackwater_mllib::regression::lasso::Design;
use slackwater_mllib::regression::structured::{Graph, Structure};

/// Runs `train tree-lasso`.
pub fn run_tree(globals: &Globals, args: &TreeLassoArgs) -> Result<u8> {
    let run = Run {
        globals,
        name: "tree-lasso",
        input: &args.input,
        held_out: &args.held_out,
        output: &args.output,
    };
    let params = params(&args.penalty, &args.columns);
    go(&run, &params, |columns| Ok(Structure::Tree(tree(&args.tree, columns)?)))
}

/// Runs `train fused-lasso`.
pub fn run_fused(globals: &Globals, args: &FusedLassoArgs) -> Result<u8> {
    let run = Run {
        globals,
        name: "fused-lasso",
        input: &args.input,
        held_out: &args.held_out,
        output: &args.output,
    };
    let (option, fusion) = (GraphOption::of(&args.graph), args.fusion);
    // What can be wrong without a look at the data comes first.
    Structure::Graph { graph: Graph::chain(0), fusion }.check()?;
    let params = params(&args.penalty, &args.columns);
    go(&run, &params, |columns| Ok(Structure::Graph { graph: option.graph(columns)?, fusion }))
}

fn params(penalty: &PenaltyArgs, columns: &ColumnArgs) -> StructuredLassoParams {
    let default = StructuredLassoParams::default();
    StructuredLassoParams {
        penalties: penalties(penalty, default.penalties),
        intercept: intercept(columns, default.intercept),
        standardize: columns.standardize.unwrap_or(default.standardize),
        tolerance: columns.tolerance.unwrap_or(default.tolerance),
        passes_max: columns.iterations.unwrap_or(default.passes_max),
    }
}

fn go(
    run: &Run<'_>,
    params: &StructuredLassoParams,
    structure: impl Fn(&Columns<'_>) -> Result<Structure>,
) -> Result<u8> {
    params.check()?;
    run.go(|session, files, rows| {
        let design = Design::from_rows(&rows.training, params.scaling())?;
        let names = files.input.features().map(|f| f.names(design.columns()));
        let structure = structure(&Columns::new(design.columns(), names.as_deref()))?;
        let passes = params.passes_max;
        let mut observer = |progress: &Progress<'_>| session.iteration(run.name, passes, progress);
        let fit = params.train_design(&design, &structure, &mut observer)?;
        let active = fit.path.iter().map(|p| p.parts).collect();
        let parts = match &structure {
            Structure::Tree(tree) => Parts { key: "nodes", what: "node", all: tree.len(), active },
            Structure::Graph { graph, .. } => {
                Parts { key: "edges", what: "edge", all: graph.edges().len(), active }
            }
        };
        let path: Vec<_> = fit.path.into_iter().map(|p| p.point).collect();
        Ok(Fitted::structured(fit.model, path, fit.regularization_max, parts))
    })
}
