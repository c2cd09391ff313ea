//! `predict` of models that map rows of features to other numbers, and what all have in common that are asked about by
//! `evaluate` and `inspect`.

use super::evaluate::tell;
use super::predict::{finish, write};
use crate::args::{EvaluateArgs, Globals, InspectArgs, PredictArgs, PredictFormat, ReadArgs};
use crate::data::Input;
use crate::evaluation::Evaluation;
use crate::model::{check_columns, metadata};
use crate::output::Output;
use crate::predictions::Layout;
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::block::{CsrBlock, LabeledBlock};
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::decomposition::{DictionaryModel, NmfModel, SparseCodingModel};
use slackwater_mllib::feature::DistanceMetricModel;
use slackwater_mllib::objective::DatasetRows;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model that maps rows.
pub trait Mapper: Clone + Send + Sync + 'static {
    /// What it is, as in "a distance metric".
    const WHAT: &'static str;
    /// What one of the numbers that it gives is called.
    const NUMBER: &'static str;
    /// True if `evaluate` looks at labels.
    const NEEDS_LABELS: bool;
    /// Columns that it knows.
    fn columns(&self) -> usize;
    /// Numbers that it gives for a row.
    fn numbers(&self) -> usize;
    /// Calls `f` with what every row is mapped to, in order.
    fn for_each(&self, rows: &CsrBlock, f: impl FnMut(Vec<f64>));
}

impl Mapper for DistanceMetricModel {
    const WHAT: &'static str = "a distance metric";
    const NUMBER: &'static str = "component";
    const NEEDS_LABELS: bool = true;
    fn columns(&self) -> usize {
        DistanceMetricModel::columns(self)
    }
    fn numbers(&self) -> usize {
        self.rank()
    }
    fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(Vec<f64>)) {
        DistanceMetricModel::for_each(self, rows, |z| f(z.iter().copied().map(f64::from).collect()));
    }
}

impl Mapper for SparseCodingModel {
    const WHAT: &'static str = "a dictionary";
    const NUMBER: &'static str = "code";
    const NEEDS_LABELS: bool = false;
    fn columns(&self) -> usize {
        SparseCodingModel::columns(self)
    }
    fn numbers(&self) -> usize {
        self.atoms()
    }
    fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(Vec<f64>)) {
        SparseCodingModel::for_each(self, rows, |codes| f(codes.to_vec()));
    }
}

impl Mapper for NmfModel {
    const WHAT: &'static str = "a non-negative factorisation";
    const NUMBER: &'static str = "component";
    const NEEDS_LABELS: bool = false;
    fn columns(&self) -> usize {
        NmfModel::columns(self)
    }
    fn numbers(&self) -> usize {
        self.rank()
    }
    fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(Vec<f64>)) {
        NmfModel::for_each(self, rows, |codes| f(codes.to_vec()));
    }
}

impl Mapper for DictionaryModel {
    const WHAT: &'static str = "a dictionary";
    const NUMBER: &'static str = "code";
    const NEEDS_LABELS: bool = false;
    fn columns(&self) -> usize {
        DictionaryModel::columns(self)
    }
    fn numbers(&self) -> usize {
        self.atoms()
    }
    fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(Vec<f64>)) {
        DictionaryModel::for_each(self, rows, |codes| f(codes.to_vec()));
    }
}

/// The rows of options that are for models of classes, too; those that are for such models only are refused.
fn open<M: Mapper>(
    model: &Path,
    data: &[PathBuf],
    read: &ReadArgs,
    globals: &Globals,
    others: &[(&str, bool)],
) -> Result<Input> {
    let why = format!("is for models that predict, and this one is {}", M::WHAT);
    let given = others.iter().find(|(_, given)| *given);
    match given {
        Some((name, _)) => Err(Error::config(*name, why)),
        None => Input::open_for(model, data, read, globals.partitions),
    }
}

/// Runs `predict`: a line has what a row is mapped to.
pub fn predict<M: Mapper>(
    globals: &Globals,
    args: &PredictArgs,
    path: &Path,
    model: M,
    format: PredictFormat,
) -> Result<u8> {
    let others = [("proba", args.proba), ("raw", args.raw), ("binarize", args.input.read.binarize.is_some())];
    let input = open::<M>(path, &args.input.data, &args.input.read, globals, &others)?;
    let names = (0..model.numbers()).map(|k| format!("{}_{k}", M::NUMBER)).collect();
    let (layout, model) = (Layout::of_numbers(format, names), Arc::new(model));
    Session::run(globals, |session| {
        let blocks = input.blocks(&session.cx)?;
        let for_parts = model.clone();
        let make = move |layout: &Layout, blocks: &mut dyn Iterator<Item = LabeledBlock>| {
            let mut columns = 0;
            let mut part = layout.part_of_rows(blocks.flat_map(|block| {
                columns = columns.max(block.features.columns());
                let mut rows = Vec::with_capacity(block.rows());
                for_parts.for_each(&block.features, |row| rows.push(row));
                rows
            }));
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

/// Runs `evaluate`: `measure` is given the rows and the files that they are from.
pub fn evaluate<M: Mapper>(
    globals: &Globals,
    args: &EvaluateArgs,
    path: &Path,
    model: &M,
    measure: impl Fn(&Session, &DatasetRows, &Input) -> Result<Evaluation>,
) -> Result<u8> {
    let others = [
        ("thresholds", args.thresholds.is_some()),
        ("curve", !args.curve.is_empty()),
        ("binarize", args.input.read.binarize.is_some() && !M::NEEDS_LABELS),
    ];
    let input = open::<M>(path, &args.input.data, &args.input.read, globals, &others)?;
    Session::run(globals, |session| {
        let rows = DatasetRows::from_blocks(&input.blocks(&session.cx)?);
        let evaluation = measure(session, &rows, &input)?;
        if !args.input.ignore_extra_columns {
            check_columns(model.columns(), evaluation.columns, &input.name())?;
        }
        tell(session, args, path, &input.name(), &evaluation)
    })
}

/// What `inspect` shows of a model beside what every model has.
pub struct Shown {
    /// Lines of text: name and value.
    pub lines: Vec<(&'static str, String)>,
    /// A table below them.
    pub table: String,
    /// Members of the document.
    pub members: Value,
}

/// Runs `inspect`.
pub fn inspect<M: Mapper>(globals: &Globals, args: &InspectArgs, path: &Path, shown: &Shown) -> Result<u8> {
    if args.export.is_some() {
        let message = format!("LIBLINEAR's export is for classifiers, and this model is {}", M::WHAT);
        return Err(Error::usage(message));
    }
    let about = metadata(path)?;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let document = || {
        let mut document = json!({
            "command": "inspect",
            "kind": "model",
            "path": path,
            "algorithm": about.algorithm,
            "format_version": about.format_version,
            "library_version": about.library_version,
            "schema": about.data.schema,
        });
        if let (Value::Object(all), Value::Object(members)) = (&mut document, &shown.members) {
            all.extend(members.clone());
        }
        document
    };
    let text = || {
        let first = [
            ("algorithm", about.algorithm.clone()),
            ("written by", format!("{} (format {})", about.library_version, about.format_version)),
        ];
        let lines = first.iter().chain(&shown.lines);
        let lines: String = lines.map(|(name, value)| format!("{name:<11} {value}\n")).collect();
        format!("{lines}\n{}", shown.table)
    };
    output.result(document, text)?;
    Ok(0)
}
