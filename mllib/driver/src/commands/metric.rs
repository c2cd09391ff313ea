//! `evaluate` and `inspect` of a distance metric.

use super::mapped::{self, Shown};
use crate::args::{EvaluateArgs, Globals, InspectArgs, NEIGHBOURS};
use crate::data::Input;
use crate::evaluation::Evaluation;
use crate::labels::{self, Accepts};
use crate::output::{count, figure, table};
use serde_json::json;
use slackwater_dataflow::Result;
use slackwater_mllib::feature::DistanceMetricModel;
use slackwater_mllib::feature::distance_metric::{NearestNeighbours, PairDifferences};
use slackwater_mllib::linear::Survey;
use slackwater_mllib::objective::DatasetRows;
use std::path::Path;

/// How well a metric tells the labels of rows, beside Euclid's: by the nearest of `references`, or of the other rows, and by
/// pairs that are drawn as those that it learnt from were.
pub fn measure(
    model: &DistanceMetricModel,
    rows: &DatasetRows,
    references: Option<&DatasetRows>,
    nearest: NearestNeighbours,
    seed: u64,
) -> Result<Evaluation> {
    let survey = Survey::new(rows, false)?;
    let pairs = PairDifferences::of_labels(rows, model.params().pairs, seed)?;
    let accuracy = |model| nearest.accuracy(rows, references, model);
    let area = |model| -> Result<f64> { Ok(pairs.metrics(model)?.area_under_roc()) };
    let figures = vec![
        ("accuracy", accuracy(Some(model))?),
        ("euclidean_accuracy", accuracy(None)?),
        ("area_under_roc", area(Some(model))?),
        ("euclidean_area_under_roc", area(None)?),
    ];
    Ok(Evaluation::of_figures(survey.rows, survey.columns, figures))
}

/// Runs `evaluate`.
pub fn evaluate(
    globals: &Globals,
    args: &EvaluateArgs,
    path: &Path,
    model: &DistanceMetricModel,
) -> Result<u8> {
    let options = &args.neighbours;
    let references = match &options.reference[..] {
        [] => None,
        files => Some(Input::open_for(path, files, &args.input.read, globals.partitions)?),
    };
    let nearest = NearestNeighbours::new(options.neighbours.unwrap_or(NEIGHBOURS));
    let seed = globals.seed.unwrap_or(model.params().seed);
    mapped::evaluate(globals, args, path, model, |session, rows, input| {
        let known = references.as_ref().map(|input| input.blocks(&session.cx)).transpose()?;
        let known = known.as_ref().map(DatasetRows::from_blocks);
        measure(model, rows, known.as_ref(), nearest, seed)
            .map_err(|e| labels::located(e, input, Some(&Accepts::Classes)))
    })
}

/// The columns that weigh most: index in the file (from 1), and the distance of two rows that differ by 1 there alone.
fn top(model: &DistanceMetricModel, most: usize) -> Vec<(usize, f64)> {
    let mut squares = vec![0.0; model.columns()];
    for row in model.map().chunks_exact(model.columns()) {
        squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x).powi(2));
    }
    let mut all: Vec<(usize, f64)> = (1..).zip(squares.into_iter().map(f64::sqrt)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

/// Runs `inspect`.
pub fn inspect(
    globals: &Globals,
    args: &InspectArgs,
    path: &Path,
    model: &DistanceMetricModel,
) -> Result<u8> {
    let (summary, top) = (model.summary(), top(model, args.top));
    let norm = model.map().iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let (similar, dissimilar) = (summary.similar, summary.dissimilar);
    let epochs = count(summary.loss_history.len() as u64, "epoch");
    let shown = Shown {
        lines: vec![
            ("trained on", format!("{similar} similar and {dissimilar} dissimilar pairs")),
            ("training", format!("{epochs}, loss {}, {}", figure(summary.loss), summary.stop)),
            ("map", format!("{} by {}, norm {}", model.rank(), model.columns(), figure(norm))),
            ("parameters", serde_json::to_string(model.params()).expect("parameters are numbers and names")),
        ],
        table: table(&["index", "weight"], top.iter().map(|(i, w)| vec![i.to_string(), figure(*w)])),
        members: json!({
            "columns": model.columns(),
            "rank": model.rank(),
            "norm": norm,
            "parameters": model.params(),
            "summary": summary,
            "top": top.iter().map(|(i, w)| json!({"index": i, "weight": w})).collect::<Vec<_>>(),
        }),
    };
    mapped::inspect::<DistanceMetricModel>(globals, args, path, &shown)
}
