//! `inspect` of a neural network: its layers and how large their weights are.

use super::train::widths;
use crate::args::{Globals, InspectArgs};
use crate::model::metadata;
use crate::output::{Output, count, figure, table};
use serde_json::json;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::classification::NeuralNetworkModel;
use slackwater_mllib::classification::neural_network::Layer;
use std::path::Path;

/// Labels that are shown.
const CLASSES_SHOWN: usize = 20;

/// A layer, the Euclidean norms of its weights and of its biases, and the largest absolute value of both.
struct Shown {
    layer: Layer,
    weights: f64,
    biases: f64,
    largest: f64,
}

impl Shown {
    fn new(layer: Layer, parameters: &[f32]) -> Self {
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let (weights, biases) = layer.split(parameters);
        let largest = parameters.iter().fold(0f32, |most, x| most.max(x.abs()));
        Shown { layer, weights: norm(weights), biases: norm(biases), largest: f64::from(largest) }
    }
}

/// Runs `inspect`.
pub fn inspect(globals: &Globals, args: &InspectArgs, path: &Path, model: &NeuralNetworkModel) -> Result<u8> {
    if args.export.is_some() {
        return Err(Error::usage("LIBLINEAR's export is for linear classifiers, not for neural networks"));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let summary = model.summary();
    let layers: Vec<Shown> = model.layers().map(|(layer, part)| Shown::new(layer, part)).collect();
    let document = || {
        let layers = layers.iter().map(|l| {
            json!({
                "inputs": l.layer.inputs,
                "outputs": l.layer.outputs,
                "weights_l2_norm": l.weights,
                "biases_l2_norm": l.biases,
                "largest": l.largest,
            })
        });
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "classes": model.classes(),
            "columns": model.columns(),
            "weights": summary.parameters,
            "layers": layers.collect::<Vec<_>>(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
        })
    };
    let text = || {
        let shown: Vec<String> = model.classes().iter().take(CLASSES_SHOWN).map(f64::to_string).collect();
        let more = match model.classes().len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let trained =
            format!("{} of {}", count(summary.rows, "row"), count(model.columns() as u64, "column"));
        let epochs = count(summary.loss_history.len() as u64, "epoch");
        let parameters = serde_json::to_string(model.params()).expect("parameters are numbers and names");
        let rows = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
            ("classes", shown.join(", ") + &more),
            ("trained on", trained),
            ("training", format!("{epochs}, loss {}, {}", figure(summary.loss), summary.stop)),
            ("network", widths(layers.iter().map(|l| &l.layer))),
            ("weights", count(summary.parameters as u64, "parameter")),
            ("parameters", parameters),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        let of_layers = layers.iter().enumerate().map(|(i, l)| {
            let sizes = [l.layer.inputs, l.layer.outputs].map(|n| n.to_string());
            let norms = [l.weights, l.biases, l.largest].map(figure);
            [vec![(i + 1).to_string()], sizes.to_vec(), norms.to_vec()].concat()
        });
        let heading = ["layer", "inputs", "outputs", "norm of weights", "of biases", "largest"];
        format!("{rows}\n{}", table(&heading, of_layers))
    };
    output.result(document, text)?;
    Ok(0)
}
