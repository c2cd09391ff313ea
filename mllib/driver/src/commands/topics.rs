//! `predict`, `evaluate` and `inspect` of topics: what is different from rows of features.

use super::evaluate::tell;
use super::factorization::refuse;
use super::predict::{finish, write};
use crate::args::{EvaluateArgs, Globals, InspectArgs, PredictArgs, PredictFormat, ReadArgs};
use crate::data::Documents;
use crate::evaluation::Evaluation;
use crate::model::metadata;
use crate::output::{Output, count, figure};
use crate::predictions::Layout;
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::clustering::LdaModel;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Words of a topic that are shown.
const WORDS_SHOWN: usize = 10;

/// Words with how often they occur, as people read them.
fn top_words<'n>(words: &[(u32, f32)], name: impl Fn(u32) -> Option<&'n str>) -> String {
    let some = words.iter().filter(|(_, n)| *n > 0.0);
    let word = some.map(|(w, n)| {
        let name = name(*w).map_or_else(|| w.to_string(), str::to_string);
        format!("{name}({})", n.round())
    });
    word.collect::<Vec<_>>().join(", ")
}

/// Tells the most frequent words of all topics, to standard error.
pub fn note_topics(
    session: &Session,
    topics: usize,
    names: Option<&[String]>,
    top: impl Fn(usize) -> Vec<(u32, f32)>,
) {
    let name = |w: u32| names.and_then(|names| names.get(w as usize)).map(String::as_str);
    for topic in 0..topics {
        session.output.note(&format!("topic {topic}: {}", top_words(&top(topic), name)));
    }
}

/// A model whose topics can be looked at.
pub trait Topics {
    /// Number of topics.
    fn topics(&self) -> usize;
    /// The name of a word, if words have names.
    fn name(&self, word: u32) -> Option<&str>;
    /// Tokens of a topic.
    fn total(&self, topic: usize) -> f64;
    /// The most probable words of a topic, and their counts.
    fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)>;
}

impl Topics for LdaModel {
    fn topics(&self) -> usize {
        LdaModel::topics(self)
    }
    fn name(&self, word: u32) -> Option<&str> {
        LdaModel::name(self, word)
    }
    fn total(&self, topic: usize) -> f64 {
        LdaModel::total(self, topic)
    }
    fn top_words(&self, topic: usize, n: usize) -> Vec<(u32, f32)> {
        LdaModel::top_words(self, topic, n)
    }
}

/// Every topic with its `top` most probable words, for programs.
pub fn of_topics(model: &impl Topics, top: usize) -> Vec<Value> {
    let topic = |k: usize| {
        let words = model.top_words(k, top);
        let words = words.iter().map(|(w, n)| json!({"word": w, "name": model.name(*w), "count": n}));
        json!({"topic": k, "tokens": model.total(k), "words": words.collect::<Vec<_>>()})
    };
    (0..model.topics()).map(topic).collect()
}

/// The `top` most probable words of a topic, or those that fit a line, for people.
pub fn shown_words(model: &impl Topics, topic: usize, top: usize) -> String {
    top_words(&model.top_words(topic, top.min(WORDS_SHOWN)), |w| model.name(w))
}

/// The documents of options that are for rows too; those that are for rows only are refused.
fn open(data: &[PathBuf], read: &ReadArgs, globals: &Globals, others: &[(&str, bool)]) -> Result<Documents> {
    let why = "is not for documents, and the model is one of topics";
    refuse(read, &[("spark-splits", read.spark_splits)], why)?;
    refuse(read, others, why)?;
    Documents::open(data, None, read.index_base, globals.partitions)
}

/// Runs `predict`: the most probable topic of every document, or the proportions of all.
pub fn predict(
    globals: &Globals,
    args: &PredictArgs,
    path: &Path,
    model: LdaModel,
    format: PredictFormat,
) -> Result<u8> {
    let others = [("raw", args.raw), ("ignore-extra-columns", args.input.ignore_extra_columns)];
    let input = open(&args.input.data, &args.input.read, globals, &others)?;
    let layout = Layout::of_documents(format, model.topics(), args.proba);
    let (model, all) = (Arc::new(model), args.proba);
    Session::run(globals, |session| {
        let documents = input.documents(&session.cx)?;
        let model = model.clone();
        let make = move |layout: &Layout, documents: &mut dyn Iterator<Item = _>| {
            layout.part_of_rows(documents.map(|document| {
                let theta = model.infer(&document);
                let best = (0..theta.len()).fold(0, |best, k| if theta[k] > theta[best] { k } else { best });
                let mut row = vec![f64::from(document.id), best as f64, theta[best]];
                row.extend(theta.into_iter().filter(|_| all));
                row
            }))
        };
        let rows = write(session, &layout, &documents, args, make, |_| Ok(()))?;
        finish(session, args, path, rows)
    })
}

/// Runs `evaluate`: a half of every document foretold from the other.
pub fn evaluate(globals: &Globals, args: &EvaluateArgs, path: &Path, model: &LdaModel) -> Result<u8> {
    let others = [
        ("thresholds", args.thresholds.is_some()),
        ("curve", !args.curve.is_empty()),
        ("ignore-extra-columns", args.input.ignore_extra_columns),
    ];
    let input = open(&args.input.data, &args.input.read, globals, &others)?;
    Session::run(globals, |session| {
        let evaluation = Evaluation::of_words(model.perplexity(&input.documents(&session.cx)?)?);
        tell(session, args, path, &input.name(), &evaluation)
    })
}

/// Runs `inspect`: the words of every topic.
pub fn inspect(globals: &Globals, args: &InspectArgs, path: &Path, model: &LdaModel) -> Result<u8> {
    if args.export.is_some() {
        return Err(Error::usage("LIBLINEAR's export is for classifiers, not for topics"));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let summary = model.summary();
    let document = || {
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "words": model.words(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
            "topics": of_topics(model, args.top),
        })
    };
    let text = || {
        let parameters = serde_json::to_string(model.params()).expect("parameters are numbers and names");
        let trained = format!("{}, {}", count(summary.documents, "document"), count(summary.tokens, "token"));
        let epochs = count(summary.epochs as u64, "epoch");
        let rows = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
            ("trained on", trained),
            (
                "training",
                format!("{epochs}, log likelihood {}, {}", figure(summary.log_likelihood), summary.stop),
            ),
            ("words", model.words().to_string()),
            ("parameters", parameters),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        let line = |k: usize| {
            let words = shown_words(model, k, args.top);
            format!(" {k:>5}  {:>8}  {words}\n", model.total(k).round())
        };
        let lines: String = (0..model.topics()).map(line).collect();
        format!("{rows}\n topic    tokens  words\n{lines}")
    };
    output.result(document, text)?;
    Ok(0)
}
