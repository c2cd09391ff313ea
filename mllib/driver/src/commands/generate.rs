//! `generate`: made-up rows, to try things on.

use super::table_out::TableOut;
use crate::args::{
    ClassificationArgs, FolderArgs, GenerateArgs, GenerateCommand, GenerateTableArgs, Globals,
    RegressionArgs, SparseArgs,
};
use crate::output::count;
use crate::session::Session;
use serde_json::{Value, json};
use slackwater_dataflow::block::LabeledPoint;
use slackwater_dataflow::{Context, Dataset, Result};
use slackwater_loaders::SaveLibsvm;
use slackwater_loaders::sink::Existing;
use slackwater_loaders::store::check_output;
use slackwater_loaders::table::{Frame, MadeTable};
use slackwater_mllib::generate::{Classification, Regression, Sparse};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Runs `generate`.
pub fn run(globals: &Globals, args: &GenerateArgs) -> Result<u8> {
    match &args.command {
        GenerateCommand::Classification(args) => classification(globals, args),
        GenerateCommand::Regression(args) => regression(globals, args),
        GenerateCommand::Sparse(args) => sparse(globals, args),
        GenerateCommand::Table(args) => table(globals, args),
    }
}

/// What is said of rows that were made up.
struct Made<'a> {
    kind: &'a str,
    rows: u64,
    columns: usize,
    partitions: usize,
    seed: u64,
    out: &'a Path,
    /// What else there is to say: for the document, and for the text.
    more: (Vec<(&'a str, Value)>, String),
    start: Instant,
}

impl Made<'_> {
    fn say(&self, session: &Session) -> Result<()> {
        let document = || {
            let mut document = json!({
                "command": "generate",
                "kind": self.kind,
                "rows": self.rows,
                "columns": self.columns,
                "partitions": self.partitions,
                "seed": self.seed,
                "out": self.out,
                "seconds": self.start.elapsed().as_secs_f64(),
            });
            self.more.0.iter().for_each(|(name, value)| document[*name] = value.clone());
            document
        };
        let text = || {
            let (rows, columns) = (count(self.rows, "row"), count(self.columns as u64, "column"));
            format!("{rows} of {columns}, {}: {}", self.more.1, self.out.display())
        };
        session.output.result(document, text)
    }
}

/// How many partitions rows are made in, and of which seed.
fn parts(globals: &Globals, cx: &Context) -> (usize, u64) {
    let config = cx.config();
    (globals.partitions.unwrap_or(config.default_partitions), config.seed)
}

fn save(rows: &Dataset<LabeledPoint>, folder: &FolderArgs) -> Result<()> {
    let existing = if folder.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let out = folder.out.as_ref().expect("the parser requires it");
    check_output(out)?;
    rows.save_as_libsvm_with(out, existing)
}

fn classification(globals: &Globals, args: &ClassificationArgs) -> Result<u8> {
    let start = Instant::now();
    let rows = Classification {
        rows: args.samples as u64,
        columns: args.features,
        classes: args.classes,
        labels: args.labels.labels(),
        noise: args.noise,
    };
    rows.check()?;
    Session::run(globals, |session| {
        let (partitions, seed) = parts(globals, &session.cx);
        save(&rows.dataset(&session.cx, partitions, seed), &args.folder)?;
        session.check()?;
        let classes =
            if args.classes == 1 { "1 class".to_string() } else { format!("{} classes", args.classes) };
        let made = Made {
            kind: "classification",
            rows: rows.rows,
            columns: rows.columns,
            partitions,
            seed,
            out: args.folder.out.as_ref().expect("the parser requires it"),
            more: (
                vec![("classes", json!(args.classes))],
                format!("{classes}, in {}", count(partitions as u64, "file")),
            ),
            start,
        };
        made.say(session)?;
        Ok(0)
    })
}

fn regression(globals: &Globals, args: &RegressionArgs) -> Result<u8> {
    let start = Instant::now();
    let rows = Regression {
        rows: args.samples as u64,
        columns: args.features,
        informative: args.informative,
        noise: args.noise,
        groups: args.groups,
        correlation: args.correlation,
        density: args.density,
    };
    rows.check()?;
    Session::run(globals, |session| {
        let (partitions, seed) = parts(globals, &session.cx);
        save(&rows.dataset(&session.cx, partitions, seed), &args.folder)?;
        session.check()?;
        let made = Made {
            kind: "regression",
            rows: rows.rows,
            columns: rows.columns,
            partitions,
            seed,
            out: args.folder.out.as_ref().expect("the parser requires it"),
            more: (
                vec![
                    ("informative", json!(args.informative)),
                    ("noise", json!(args.noise)),
                    ("groups", json!(args.groups)),
                    ("correlation", json!(args.correlation)),
                    ("density", json!(args.density)),
                ],
                format!("{} informative, in {}", args.informative, count(partitions as u64, "file")),
            ),
            start,
        };
        made.say(session)?;
        Ok(0)
    })
}

fn sparse(globals: &Globals, args: &SparseArgs) -> Result<u8> {
    let start = Instant::now();
    let rows = Sparse {
        rows: args.samples as u64,
        columns: args.features as u64,
        nonzeros: args.nonzeros,
        flip: args.flip,
    };
    rows.check()?;
    Session::run(globals, |session| {
        let (partitions, seed) = parts(globals, &session.cx);
        save(&rows.dataset(&session.cx, partitions, seed), &args.folder)?;
        session.check()?;
        let made = Made {
            kind: "sparse",
            rows: rows.rows,
            columns: args.features,
            partitions,
            seed,
            out: args.folder.out.as_ref().expect("the parser requires it"),
            more: (
                vec![("nonzeros", json!(args.nonzeros)), ("flip", json!(args.flip))],
                format!("about {} values each, in {}", args.nonzeros, count(partitions as u64, "file")),
            ),
            start,
        };
        made.say(session)?;
        Ok(0)
    })
}

fn table(globals: &Globals, args: &GenerateTableArgs) -> Result<u8> {
    let start = Instant::now();
    let out = args.path.as_ref().expect("the parser requires it");
    let target = TableOut::of(out, &args.out)?;
    Session::run(globals, |session| {
        let (partitions, seed) = parts(globals, &session.cx);
        let columns = args.made_columns();
        let made = MadeTable::new(args.samples as u64, columns, args.digits, args.missing, seed, partitions)?;
        let frame = Frame::from_source(&session.cx, Arc::new(made));
        let rows = target.write(session, &frame)?;
        let made = Made {
            kind: "table",
            rows,
            columns: frame.schema().fields().len(),
            partitions,
            seed,
            out,
            more: (vec![("to", json!(target.format.name()))], target.format.name().to_string()),
            start,
        };
        made.say(session)?;
        Ok(0)
    })
}
