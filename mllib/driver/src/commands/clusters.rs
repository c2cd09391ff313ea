//! `predict`, `evaluate` and `inspect` of k-means: what is different from classes and values of rows.

use super::evaluate::tell;
use super::predict::{finish, write};
use crate::args::{EvaluateArgs, Globals, InspectArgs, PredictArgs, PredictFormat};
use crate::data::Input;
use crate::evaluation::Evaluation;
use crate::model::{check_columns, metadata};
use crate::output::{Output, count, figure, table};
use crate::predictions::Layout;
use crate::session::Session;
use serde_json::json;
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::clustering::KMeansModel;
use slackwater_mllib::clustering::k_means::Solver;
use std::path::Path;
use std::sync::Arc;

/// How many rows the smallest and the largest of some clusters have.
pub fn sizes(sizes: &[u64]) -> String {
    let (least, most) = sizes.iter().fold((u64::MAX, 0), |(a, b), n| (a.min(*n), b.max(*n)));
    format!("{least} to {} each", count(most, "row"))
}

/// Refuses an option that is given and does nothing here.
fn refuse(options: &[(&str, bool)]) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::config(*name, "is for classes, and the model is one of k-means")),
        None => Ok(()),
    }
}

/// Runs `predict`: the nearest centre of every row, and how far it is.
pub fn predict(
    globals: &Globals,
    args: &PredictArgs,
    path: &Path,
    model: KMeansModel,
    format: PredictFormat,
) -> Result<u8> {
    refuse(&[("proba", args.proba), ("raw", args.raw), ("binarize", args.input.read.binarize.is_some())])?;
    let input = Input::open_for(path, &args.input.data, &args.input.read, globals.partitions)?;
    let (layout, model) = (Layout::of_clusters(format), Arc::new(model));
    Session::run(globals, |session| {
        let blocks = input.blocks(&session.cx)?;
        let for_parts = model.clone();
        let make = move |layout: &Layout, blocks: &mut dyn Iterator<Item = LabeledBlock>| {
            let (mut rows, mut columns) = (vec![], 0);
            for block in blocks {
                columns = columns.max(block.features.columns());
                for_parts
                    .for_each(&block.features, |center, distance| rows.push(vec![center as f64, distance]));
            }
            let mut part = layout.part_of_rows(rows.into_iter());
            part.columns = columns;
            part
        };
        let rows =
            write(session, &layout, &blocks, args, make, |part| match args.input.ignore_extra_columns {
                true => Ok(()),
                false => check_columns(model.columns(), part.columns, &input.name()),
            })?;
        finish(session, args, path, rows)
    })
}

/// Runs `evaluate`: how well clusters are apart, and how well they agree with the labels.
pub fn evaluate(globals: &Globals, args: &EvaluateArgs, path: &Path, model: &KMeansModel) -> Result<u8> {
    refuse(&[("thresholds", args.thresholds.is_some()), ("curve", !args.curve.is_empty())])?;
    let input = Input::open_for(path, &args.input.data, &args.input.read, globals.partitions)?;
    Session::run(globals, |session| {
        let metrics = model.evaluate(&input.blocks(&session.cx)?)?;
        if !args.input.ignore_extra_columns {
            check_columns(model.columns(), metrics.columns, &input.name())?;
        }
        tell(session, args, path, &input.name(), &Evaluation::of_clusters(metrics))
    })
}

/// A centre that is shown: its number, its rows, its norm, and its largest values by index in the file (from 1).
struct Shown {
    center: usize,
    rows: u64,
    norm: f64,
    top: Vec<(usize, f64)>,
}

/// Largest values of a centre that are shown as text.
const VALUES_SHOWN: usize = 8;

impl Shown {
    fn new(model: &KMeansModel, center: usize, most: usize) -> Self {
        let values = model.centers().row(center);
        let mut top: Vec<_> = values.iter().enumerate().filter(|(_, x)| **x != 0.0).collect();
        top.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        Shown {
            center,
            rows: model.sizes()[center],
            norm: values.iter().map(|x| x * x).sum::<f64>().sqrt(),
            top: top.into_iter().take(most).map(|(j, x)| (j + 1, *x)).collect(),
        }
    }
}

/// Runs `inspect`: the centres, those with most rows first.
pub fn inspect(globals: &Globals, args: &InspectArgs, path: &Path, model: &KMeansModel) -> Result<u8> {
    if args.export.is_some() {
        return Err(Error::usage("LIBLINEAR's export is for linear classifiers, not for k-means"));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let summary = model.summary();
    let mut centers: Vec<Shown> = (0..model.k()).map(|j| Shown::new(model, j, args.top)).collect();
    centers.sort_by(|a, b| b.rows.cmp(&a.rows).then(a.center.cmp(&b.center)));
    let document = || {
        let center = |c: &Shown| {
            let top = c.top.iter().map(|(j, x)| json!({"index": j, "value": x}));
            json!({"center": c.center, "rows": c.rows, "norm": c.norm, "top": top.collect::<Vec<_>>()})
        };
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "columns": model.columns(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
            "centers": centers.iter().map(center).collect::<Vec<_>>(),
        })
    };
    let text = || {
        let params = model.params();
        let trained =
            format!("{} of {}", count(summary.rows, "row"), count(model.columns() as u64, "column"));
        let passes = if params.solver == Solver::Lloyd { "iteration" } else { "epoch" };
        let passes = count(summary.iterations as u64, passes);
        let parameters = serde_json::to_string(params).expect("parameters are numbers and names");
        let rows = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
            ("trained on", trained),
            (
                "training",
                format!(
                    "{}, {passes}, cost {}, {}",
                    params.solver.name(),
                    figure(summary.cost),
                    summary.stop
                ),
            ),
            ("centres", format!("{}, {}", model.k(), sizes(model.sizes()))),
            ("parameters", parameters),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        let line = |c: &Shown| {
            let top = c.top.iter().take(VALUES_SHOWN).map(|(j, x)| format!("{j}:{}", figure(*x)));
            vec![c.center.to_string(), c.rows.to_string(), figure(c.norm), top.collect::<Vec<_>>().join(" ")]
        };
        format!("{rows}\n{}", table(&["centre", "rows", "norm", "largest values"], centers.iter().map(line)))
    };
    output.result(document, text)?;
    Ok(0)
}
