//! `predict`, `evaluate` and `inspect` of a matrix factorisation: what is different from rows of features.

use super::evaluate::tell;
use super::predict::{finish, write};
use crate::args::{EvaluateArgs, Globals, InspectArgs, PredictArgs, PredictFormat, ReadArgs};
use crate::data::Ratings;
use crate::evaluation::Evaluation;
use crate::model::metadata;
use crate::output::{Output, count, figure, table};
use crate::predictions::Layout;
use crate::session::Session;
use serde_json::json;
use slackwater_dataflow::{Error, Result};
use slackwater_loaders::format::libsvm::IndexBase;
use slackwater_mllib::evaluation::RegressionMetrics;
use slackwater_mllib::recommendation::MatrixFactorizationModel;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Refuses options that are for rows of features only, and `others` of which one is given.
pub fn refuse(read: &ReadArgs, others: &[(&str, bool)], why: &str) -> Result<()> {
    let of_rows = [
        ("num-features", read.num_features.is_some()),
        ("max-features", read.max_features.is_some()),
        ("binarize", read.binarize.is_some()),
    ];
    let (columns, format) = (read.columns.given(), read.format.given());
    let input = [("input-format", read.format.input_format.is_some())];
    let of_tables = columns.iter().chain(&format).chain(&input);
    match of_rows.iter().chain(others).chain(of_tables).find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::config(*name, why)),
        None => Ok(()),
    }
}

/// The ratings, or pairs, of options that are for rows too; those that are for rows only are refused.
fn open(data: &[PathBuf], read: &ReadArgs, globals: &Globals, others: &[(&str, bool)]) -> Result<Ratings> {
    let why = "is not for ratings, and the model is a matrix factorisation";
    refuse(read, &[("index-base", read.index_base != IndexBase::One)], why)?;
    refuse(read, others, why)?;
    Ratings::open(data, read.spark_splits, globals.partitions)
}

/// Runs `predict`: a line is a user and an item, whether it has a rating or not.
pub fn predict(
    globals: &Globals,
    args: &PredictArgs,
    path: &Path,
    model: MatrixFactorizationModel,
    format: PredictFormat,
) -> Result<u8> {
    let others =
        [("proba", args.proba), ("raw", args.raw), ("ignore-extra-columns", args.input.ignore_extra_columns)];
    let input = open(&args.input.data, &args.input.read, globals, &others)?;
    let (layout, model) = (Layout::of_ratings(format), Arc::new(model));
    Session::run(globals, |session| {
        let pairs = input.pairs(&session.cx)?;
        let model = model.clone();
        let rows =
            write(
                session,
                &layout,
                &pairs,
                args,
                move |layout, pairs| {
                    layout.part_of_rows(pairs.map(|(user, item)| {
                        vec![f64::from(user), f64::from(item), model.predict(user, item)]
                    }))
                },
                |_| Ok(()),
            )?;
        finish(session, args, path, rows)
    })
}

/// Runs `evaluate`.
pub fn evaluate(
    globals: &Globals,
    args: &EvaluateArgs,
    path: &Path,
    model: &MatrixFactorizationModel,
) -> Result<u8> {
    let others = [
        ("thresholds", args.thresholds.is_some()),
        ("curve", !args.curve.is_empty()),
        ("ignore-extra-columns", args.input.ignore_extra_columns),
    ];
    let input = open(&args.input.data, &args.input.read, globals, &others)?;
    Session::run(globals, |session| {
        let ratings = input.ratings(&session.cx)?;
        let evaluation = Evaluation::of_values(RegressionMetrics::of(&model.score(&ratings))?)?;
        tell(session, args, path, &input.name(), &evaluation)
    })
}

/// An item that is shown: id, bias, norm of its factors.
type Shown = (u32, f64, f64);

/// The items with the largest biases, or without biases the longest factors.
fn top(model: &MatrixFactorizationModel, most: usize) -> Vec<Shown> {
    let norm = |item| model.item_factors(item).map_or(0.0, norm);
    let mut all: Vec<Shown> = model.items().iter().map(|i| (*i, model.item_bias(*i), norm(*i))).collect();
    all.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(b.2.total_cmp(&a.2)).then(a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

fn norm(factors: &[f32]) -> f64 {
    factors.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// Runs `inspect`.
pub fn inspect(
    globals: &Globals,
    args: &InspectArgs,
    path: &Path,
    model: &MatrixFactorizationModel,
) -> Result<u8> {
    if args.export.is_some() {
        return Err(Error::usage("LIBLINEAR's export is for classifiers, not for matrix factorisation"));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let (summary, shown) = (model.summary(), top(model, args.top));
    let document = || {
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "users": model.users().len(),
            "items": model.items().len(),
            "rank": model.rank(),
            "mean": model.mean(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
            "top": shown.iter().map(|(i, b, n)| json!({"item": i, "bias": b, "norm": n})).collect::<Vec<_>>(),
        })
    };
    let text = || {
        let parameters = serde_json::to_string(model.params()).expect("parameters are numbers and names");
        let trained = format!(
            "{} of {} by {}",
            count(summary.ratings, "rating"),
            count(model.items().len() as u64, "item"),
            count(model.users().len() as u64, "user")
        );
        let epochs = count(summary.rmse_history.len() as u64, "epoch");
        let rows = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
            ("trained on", trained),
            ("training", format!("{epochs}, RMSE {}, {}", figure(summary.rmse), summary.stop)),
            ("factors", model.rank().to_string()),
            ("mean", figure(model.mean())),
            ("parameters", parameters),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        let items = shown.iter().map(|(i, bias, norm)| vec![i.to_string(), figure(*bias), figure(*norm)]);
        format!("{rows}\n{}", table(&["item", "bias", "norm"], items))
    };
    output.result(document, text)?;
    Ok(0)
}
