//! `inspect` of max-margin topics: the words of every topic, and the class that it speaks for.

use super::topics::{Topics, of_topics};
use crate::args::{Globals, InspectArgs};
use crate::model::metadata;
use crate::output::{Output, count, figure};
use serde_json::json;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::classification::MaxMarginTopicsModel;
use std::path::Path;

/// Labels that are shown.
const CLASSES_SHOWN: usize = 20;

impl Topics for MaxMarginTopicsModel {
    fn topics(&self) -> usize {
        MaxMarginTopicsModel::topics(self)
    }
    fn name(&self, word: u32) -> Option<&str> {
        MaxMarginTopicsModel::name(self, word)
    }
    fn total(&self, topic: usize) -> f64 {
        MaxMarginTopicsModel::total(self, topic)
    }
    fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        MaxMarginTopicsModel::top_words(self, topic, n)
    }
}

/// The class in whose favour a topic is most, and its weight there: of two classes the sign of the only weight says which.
fn favoured(model: &MaxMarginTopicsModel, topic: usize) -> (f64, f64) {
    let scores: Vec<f64> = (0..model.tasks()).map(|task| model.weights(task)[topic]).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (model.class_of(&scores), largest)
}

/// Runs `inspect`.
pub fn inspect(
    globals: &Globals,
    args: &InspectArgs,
    path: &Path,
    model: &MaxMarginTopicsModel,
) -> Result<u8> {
    if args.export.is_some() {
        return Err(Error::usage("LIBLINEAR's export is for linear classifiers, not for topics"));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let summary = model.summary();
    let document = || {
        let topics = of_topics(model, args.top).into_iter().enumerate().map(|(k, mut topic)| {
            let weights: Vec<f64> = (0..model.tasks()).map(|task| model.weights(task)[k]).collect();
            topic["weights"] = json!(weights);
            topic["class"] = json!(favoured(model, k).0);
            topic
        });
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "classes": model.classes(),
            "words": model.words(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
            "topics": topics.collect::<Vec<_>>(),
        })
    };
    let text = || {
        let shown: Vec<String> = model.classes().iter().take(CLASSES_SHOWN).map(f64::to_string).collect();
        let more = match model.classes().len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let parameters = serde_json::to_string(model.params()).expect("parameters are numbers and names");
        let trained = format!("{}, {}", count(summary.documents, "document"), count(summary.tokens, "token"));
        let (epochs, loss) = (count(summary.epochs as u64, "epoch"), figure(summary.loss));
        let training =
            format!("{epochs}, loss {loss}, accuracy {}, {}", figure(summary.accuracy), summary.stop);
        let rows = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
            ("classes", shown.join(", ") + &more),
            ("trained on", trained),
            ("training", training),
            ("words", model.words().to_string()),
            ("parameters", parameters),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        let line = |k: usize| {
            let (class, weight) = favoured(model, k);
            let words = super::topics::shown_words(model, k, args.top);
            format!(" {k:>5}  {:>8}  {class:>5}  {:>9}  {words}\n", model.total(k).round(), figure(weight))
        };
        let lines: String = (0..model.topics()).map(line).collect();
        format!("{rows}\n topic    tokens  class     weight  words\n{lines}")
    };
    output.result(document, text)?;
    Ok(0)
}
