//! `evaluate`: all metrics of a model on labelled rows.

use super::{clusters, coding, factorization, metric, parts, topics};
use crate::args::{CurveKind, EvaluateArgs, Globals};
use crate::data::{Binarize, Input};
use crate::evaluation::{Evaluation, direction, thinned_curve, thresholds};
use crate::labels::{self, Accepts};
use crate::model::{RowModel, Stored};
use crate::output::{figure, table};
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::evaluation::CurvePoint;
use slackwater_mllib::tuning::Direction;
use std::path::Path;

/// Exit code of a requirement that is not met.
const NO: u8 = 1;
/// Points of a curve that are shown as text; JSON has all.
const CURVE_POINTS: usize = 20;

/// Runs `evaluate`.
pub fn run(globals: &Globals, args: &EvaluateArgs) -> Result<u8> {
    let path = args.model.as_ref().expect("the parser requires it");
    let model = Stored::load(path)?;
    if !matches!(model, Stored::Metric(_)) {
        args.neighbours.refuse()?;
    }
    match model {
        Stored::Linear(model) => of_rows(globals, args, path, &model),
        Stored::Network(model) => of_rows(globals, args, path, &model),
        Stored::Clusters(model) => clusters::evaluate(globals, args, path, &model),
        Stored::Ratings(model) => factorization::evaluate(globals, args, path, &model),
        Stored::Documents(model) => topics::evaluate(globals, args, path, &model),
        Stored::ClassTopics(model) => of_rows(globals, args, path, &model),
        Stored::Metric(model) => metric::evaluate(globals, args, path, &model),
        Stored::Dictionary(model) => coding::evaluate(globals, args, path, &model),
        Stored::Components(model) => parts::evaluate(globals, args, path, &model),
        Stored::Atoms(model) => parts::evaluate(globals, args, path, &model),
    }
}

/// `evaluate` on rows of features.
fn of_rows(globals: &Globals, args: &EvaluateArgs, path: &Path, model: &impl RowModel) -> Result<u8> {
    let mut input = Input::open_for(path, &args.input.data, &args.input.read, globals.partitions)?;
    input.needs_labels();
    let classes = model.classes();
    input.binarize = match (input.binarize, classes.as_deref()) {
        (Some(b), Some([negative, positive])) => Some(Binarize { classes: [*negative, *positive], ..b }),
        (Some(_), _) => return Err(Error::config("binarize", "is for models of two classes")),
        (None, _) => None,
    };
    Session::run(globals, |session| {
        let evaluation = Evaluation::new(model, &input.blocks(&session.cx)?)
            .map_err(|e| labels::counts_located(e, &input))
            .map_err(|e| labels::located(e, &input, classes.map(Accepts::Known).as_ref()))?;
        if !args.input.ignore_extra_columns {
            model.check_columns(evaluation.columns, &input.name())?;
        }
        let bad = session.note_bad_rows();
        let extras = Extras::new(&evaluation, args)?;
        let document = || {
            json!({
                "command": "evaluate",
                "model": path,
                "data": input.name(),
                "bad_rows": bad,
                "metrics": evaluation.to_json(),
                "thresholds": extras.thresholds.iter().map(|[t, precision, recall, f1]| {
                    json!({"threshold": t, "precision": precision, "recall": recall, "f1": f1})
                }).collect::<Vec<_>>(),
                "curves": extras.curves_json(),
            })
        };
        session.output.result(document, || evaluation.text() + &extras.text())?;
        let answer = requirements(session, &evaluation, args)?;
        Ok(answer)
    })
}

/// Tells metrics that have nothing beside them; the exit code.
pub fn tell(
    session: &Session,
    args: &EvaluateArgs,
    path: &Path,
    data: &str,
    evaluation: &Evaluation,
) -> Result<u8> {
    let bad = session.note_bad_rows();
    let document = || {
        json!({
            "command": "evaluate",
            "model": path,
            "data": data,
            "bad_rows": bad,
            "metrics": evaluation.to_json(),
        })
    };
    session.output.result(document, || evaluation.text())?;
    requirements(session, evaluation, args)
}

/// 1 if a requirement is not met, else 0.
fn requirements(session: &Session, evaluation: &Evaluation, args: &EvaluateArgs) -> Result<u8> {
    let mut answer = 0;
    for requirement in &args.require {
        let value = evaluation.figure("require", &requirement.metric)?;
        let (met, word) = match direction(&requirement.metric.replace('-', "_")) {
            Direction::Larger => (value >= requirement.bound, "at least"),
            Direction::Smaller => (value <= requirement.bound, "at most"),
        };
        if !met {
            answer = NO;
            let (metric, bound) = (&requirement.metric, figure(requirement.bound));
            session.output.note(&format!("no: {metric} is {}, not {word} {bound}", figure(value)));
        }
    }
    Ok(answer)
}

/// What was asked for beside the metrics.
struct Extras {
    thresholds: Vec<[f64; 4]>,
    curves: Vec<(CurveKind, Vec<CurvePoint>)>,
}

impl Extras {
    fn new(evaluation: &Evaluation, args: &EvaluateArgs) -> Result<Self> {
        let thresholds = match args.thresholds {
            Some(points) => thresholds(evaluation.ranking("thresholds")?, points),
            None => vec![],
        };
        let mut curves = vec![];
        for kind in &args.curve {
            let ranking = evaluation.ranking("curve")?;
            curves.push(match kind {
                CurveKind::Roc => (*kind, ranking.roc()),
                CurveKind::Pr => (*kind, ranking.precision_recall()),
            });
        }
        Ok(Extras { thresholds, curves })
    }
    fn curves_json(&self) -> Value {
        let curve = |(kind, points): &(CurveKind, Vec<CurvePoint>)| {
            let name = if *kind == CurveKind::Roc { "roc" } else { "pr" };
            (name.to_string(), points.iter().map(|p| json!([p.x, p.y])).collect())
        };
        Value::Object(self.curves.iter().map(curve).collect())
    }
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.thresholds.is_empty() {
            let rows = self.thresholds.iter().map(|t| t.map(figure).to_vec());
            text += "\n";
            text += &table(&["threshold", "precision", "recall", "F1"], rows);
        }
        for (kind, points) in &self.curves {
            let heading = match kind {
                CurveKind::Roc => ["false positives", "true positives"],
                CurveKind::Pr => ["recall", "precision"],
            };
            let rows =
                thinned_curve(points, CURVE_POINTS).into_iter().map(|p| vec![figure(p.x), figure(p.y)]);
            text += "\n";
            text += &table(&heading, rows);
        }
        text
    }
}
