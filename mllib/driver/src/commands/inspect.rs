//! `inspect`: what a model, or a LIBSVM file, holds.

use super::{clusters, coding, factorization, medlda, metric, network, parts, survey, topics};
use crate::args::{ExportFormat, FeatureArgs, Globals, InspectArgs, ReadArgs};
use crate::data::{Input, files, format_of, has_parts};
use crate::model::{LinearModel, RowModel, Stored, is_model, metadata};
use crate::output::{Output, count, figure, table};
use crate::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result, Stats};
use slackwater_loaders::Format;
use slackwater_loaders::format::libsvm::IndexBase;
use slackwater_loaders::sink::{AtomicFile, Existing};
use slackwater_loaders::store::check_output;
use slackwater_mllib::model::Metadata;
use std::path::Path;

/// Distinct labels that are counted apart.
const LABELS_MAX: usize = 4096;

/// Runs `inspect`.
pub fn run(globals: &Globals, args: &InspectArgs) -> Result<u8> {
    match &args.what[..] {
        [path] if is_model(path) || args.export.is_some() => inspect_model(globals, args, path),
        [path] if path.is_dir() && !has_parts(path) && files(&args.what).is_err() => {
            metadata(path).map(|_| 0)
        }
        _ if args.export.is_some() => Err(Error::usage("--export is for one model")),
        _ => {
            let files = files(&args.what)?;
            match format_of(&files, &args.format)? {
                None | Some(Format::Libsvm) => inspect_rows(globals, args),
                Some(format) => survey::run(globals, args, &files, format),
            }
        }
    }
}

fn inspect_model(globals: &Globals, args: &InspectArgs, path: &Path) -> Result<u8> {
    let about = metadata(path)?;
    let model = match Stored::load(path)? {
        Stored::Linear(model) => model,
        Stored::Network(model) => return network::inspect(globals, args, path, &model),
        Stored::Clusters(model) => return clusters::inspect(globals, args, path, &model),
        Stored::Ratings(model) => return factorization::inspect(globals, args, path, &model),
        Stored::Documents(model) => return topics::inspect(globals, args, path, &model),
        Stored::ClassTopics(model) => return medlda::inspect(globals, args, path, &model),
        Stored::Metric(model) => return metric::inspect(globals, args, path, &model),
        Stored::Dictionary(model) => return coding::inspect(globals, args, path, &model),
        Stored::Components(model) => return parts::inspect(globals, args, path, &model),
        Stored::Atoms(model) => return parts::inspect(globals, args, path, &model),
    };
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    if let (Some(ExportFormat::Liblinear), Some(out)) = (args.export, &args.out) {
        export(&model, out, args.overwrite)?;
        let document = || json!({"command": "inspect", "model": path, "export": "liblinear", "out": out});
        output.result(document, || format!("exported to {}", out.display()))?;
        return Ok(0);
    }
    let top = top(&model, args.top);
    let norm = model.weights().iter().map(|w| w * w).sum::<f64>().sqrt();
    let nonzero = model.weights().iter().filter(|w| **w != 0.0).count();
    let summary = model.summary();
    let document = || {
        json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "classes": model.classes(),
            "columns": model.columns(),
            "outputs": model.outputs(),
            "nonzero_weights": nonzero,
            "weights_l2_norm": norm,
            "intercepts": model.intercepts(),
            "parameters": model.params(),
            "summary": summary,
            "schema": about.data.schema,
            "top": top.iter().map(|(i, c, w)| json!({"index": i, "output": c, "weight": w})).collect::<Vec<_>>(),
        })
    };
    output.result(document, || model_text(&model, &about, nonzero, norm, &top))?;
    Ok(0)
}

fn model_text(
    model: &LinearModel,
    about: &Metadata<String>,
    nonzero: usize,
    norm: f64,
    top: &[(usize, usize, f64)],
) -> String {
    let summary = model.summary();
    let classes = model.classes().map(|c| c.iter().map(f64::to_string).collect::<Vec<_>>().join(", "));
    let intercepts: Vec<String> = model.intercepts().into_iter().map(figure).collect();
    let rows = [
        ("algorithm", about.algorithm.clone()),
        ("written by", format!("{} (format {})", about.library_version, about.format_version)),
        ("classes", classes.unwrap_or_else(|| "none: it predicts values".to_string())),
        (
            "trained on",
            format!("{} of {}", count(summary.rows, "row"), count(summary.columns as u64, "column")),
        ),
        (
            "solver",
            format!("{}, {} iterations, {}", summary.solver, summary.report.iterations, summary.report.stop),
        ),
        ("objective", figure(summary.objective)),
        ("weights", format!("{nonzero} not zero, norm {}", figure(norm))),
        ("intercepts", intercepts.join(", ")),
        ("parameters", model.params().to_string()),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
    let heading: &[&str] =
        if model.outputs() > 1 { &["index", "class", "weight"] } else { &["index", "weight"] };
    let weights = top.iter().map(|(i, c, w)| {
        let class = model.classes().filter(|_| model.outputs() > 1).map(|classes| classes[*c].to_string());
        std::iter::once(i.to_string()).chain(class).chain([figure(*w)]).collect()
    });
    format!("{rows}\n{}", table(heading, weights))
}

/// The largest weights: index in the file (from 1), output, weight.
fn top(model: &LinearModel, most: usize) -> Vec<(usize, usize, f64)> {
    let outputs = model.outputs();
    let weights = model.weights().iter().enumerate().filter(|(_, w)| **w != 0.0);
    let mut all: Vec<_> = weights.map(|(i, w)| (i / outputs + 1, i % outputs, *w)).collect();
    all.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()).then((a.0, a.1).cmp(&(b.0, b.1))));
    all.truncate(most);
    all
}

fn export(model: &LinearModel, out: &Path, overwrite: bool) -> Result<()> {
    check_output(out)?;
    let text = model.export_liblinear()?;
    if out.exists() && !overwrite {
        return Err(Error::usage(format!(
            "`{}` is there already\n  hint: --overwrite replaces it",
            out.display()
        )));
    }
    let mut file = AtomicFile::create(out, Existing::Overwrite)?;
    file.append(text.as_bytes())?;
    file.commit()
}

/// What is known of some rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Survey {
    rows: u64,
    columns: usize,
    nonzeros: u64,
    labels: Stats,
    values: Stats,
    /// Distinct labels, ascending, with their counts: the first [`LABELS_MAX`] that occur.
    counts: Vec<(f64, u64)>,
}

impl Survey {
    fn count(&mut self, label: f64, n: u64) {
        // Adding 0 makes -0 and 0 one label.
        let label = label + 0.0;
        match self.counts.binary_search_by(|(l, _)| l.total_cmp(&label)) {
            Ok(at) => self.counts[at].1 += n,
            Err(at) if self.counts.len() < LABELS_MAX => self.counts.insert(at, (label, n)),
            Err(_) => {}
        }
    }
    fn push(&mut self, block: &LabeledBlock) {
        self.rows += block.rows() as u64;
        self.columns = self.columns.max(block.features.columns());
        self.nonzeros += block.features.nnz() as u64;
        block.features.values().iter().for_each(|x| self.values.add(*x));
        for label in &block.labels {
            self.labels.add(*label);
            self.count(*label, 1);
        }
    }
    fn merge(&mut self, other: Survey) {
        self.rows += other.rows;
        self.columns = self.columns.max(other.columns);
        self.nonzeros += other.nonzeros;
        self.labels.merge(&other.labels);
        self.values.merge(&other.values);
        other.counts.iter().for_each(|(label, n)| self.count(*label, *n));
    }
    fn density(&self) -> f64 {
        self.nonzeros as f64 / (self.rows as f64 * self.columns as f64).max(1.0)
    }
}

fn inspect_rows(globals: &Globals, args: &InspectArgs) -> Result<u8> {
    let index_base = if args.index_base == 0 { IndexBase::Zero } else { IndexBase::One };
    let read = ReadArgs {
        num_features: None,
        max_features: None,
        index_base,
        binarize: None,
        spark_splits: false,
        format: args.format.clone(),
        columns: FeatureArgs::default(),
    };
    let input = Input::open(&args.what, &read, globals.partitions)?;
    Session::run(globals, |session| {
        let blocks = input.blocks(&session.cx)?;
        let partitions = blocks.num_partitions();
        let survey = blocks.aggregate(Survey::default(), Survey::push, Survey::merge)?;
        let bad = session.note_bad_rows();
        let document = || -> Value {
            json!({
                "command": "inspect",
                "kind": "rows",
                "files": input.files.iter().map(|f| f.name()).collect::<Vec<_>>(),
                "rows": survey.rows,
                "columns": survey.columns,
                "nonzeros": survey.nonzeros,
                "density": survey.density(),
                "partitions": partitions,
                "bad_rows": bad,
                "labels": survey.counts.iter().map(|(l, n)| json!([l, n])).collect::<Vec<_>>(),
            })
        };
        session.output.result(document, || rows_text(&input, &survey, partitions, args.top))?;
        Ok(0)
    })
}

fn rows_text(input: &Input, survey: &Survey, partitions: usize, top: usize) -> String {
    let range = |s: &Stats| format!("{} to {}, mean {}", figure(s.min), figure(s.max), figure(s.mean));
    let rows = [
        ("files", input.name()),
        ("rows", format!("{} in {}", survey.rows, count(partitions as u64, "partition"))),
        ("columns", survey.columns.to_string()),
        (
            "values",
            format!("{} ({} of all), {}", survey.nonzeros, figure(survey.density()), range(&survey.values)),
        ),
        ("labels", range(&survey.labels)),
    ];
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<8} {value}\n")).collect();
    let distinct = survey.counts.len();
    let mut counts = survey.counts.clone();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts.truncate(top);
    text += "\n";
    text += &table(&["label", "rows"], counts.iter().map(|(l, n)| vec![l.to_string(), n.to_string()]));
    if distinct > counts.len() {
        let least = if distinct == LABELS_MAX { "at least " } else { "" };
        text += &format!("{least}{} more labels\n", distinct - counts.len());
    }
    text
}
