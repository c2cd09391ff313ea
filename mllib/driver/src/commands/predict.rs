//! `predict`: some partitions at a time, so memory is bounded by those and not by the data.

use super::{clusters, factorization, mapped, topics};
use crate::args::{Globals, PredictArgs, PredictFormat};
use crate::data::Input;
use crate::labels;
use crate::model::{RowModel, Stored, as_taken, features};
use crate::output::count;
use crate::predictions::{Layout, Part, Sink};
use crate::session::Session;
use slackwater_dataflow::{Data, Dataset, Error, Result};
use slackwater_loaders::store::check_output;
use std::path::Path;
use std::sync::Arc;

/// Partitions a worker has at hand: the next ones are computed in one job.
const PARTITIONS_PER_WORKER: usize = 2;

/// Runs `predict`.
pub fn run(globals: &Globals, args: &PredictArgs) -> Result<u8> {
    let path = args.model.as_ref().expect("the parser requires it");
    let format = format(args)?;
    let is_stdout = args.out == Path::new("-");
    if is_stdout && (globals.json || format == PredictFormat::Parquet) {
        let (what, hint) = match globals.json {
            true => ("--json prints a summary", "name a file with --out, or use --format jsonl"),
            false => ("Parquet needs a file", "name one with --out"),
        };
        return Err(Error::usage(format!(
            "{what}, and standard output takes the predictions\n  hint: {hint}"
        )));
    }
    check_output(&args.out)?;
    if args.out.exists() && !args.overwrite && !is_stdout {
        let out = args.out.display();
        return Err(Error::usage(format!("`{out}` is there already\n  hint: --overwrite replaces it")));
    }
    match Stored::load(path)? {
        Stored::Linear(model) => of_rows(globals, args, path, model, format),
        Stored::Network(model) => of_rows(globals, args, path, model, format),
        Stored::Clusters(model) => clusters::predict(globals, args, path, model, format),
        Stored::Ratings(model) => factorization::predict(globals, args, path, model, format),
        Stored::Documents(model) => topics::predict(globals, args, path, model, format),
        Stored::ClassTopics(model) => of_rows(globals, args, path, model, format),
        Stored::Metric(model) => mapped::predict(globals, args, path, model, format),
        Stored::Dictionary(model) => mapped::predict(globals, args, path, model, format),
        Stored::Components(model) => mapped::predict(globals, args, path, model, format),
        Stored::Atoms(model) => mapped::predict(globals, args, path, model, format),
    }
}

/// `predict` for rows of features.
fn of_rows(
    globals: &Globals,
    args: &PredictArgs,
    path: &Path,
    model: impl RowModel,
    format: PredictFormat,
) -> Result<u8> {
    let features = features(path)?;
    let classes = features.as_ref().and_then(|map| map.classes());
    let layout = Layout::new(&model, format, args.raw, args.proba, classes)?;
    let model = Arc::new(model);
    let input = Input::open_for(path, &args.input.data, &args.input.read, globals.partitions)?;
    Session::run(globals, |session| {
        let blocks = as_taken(&*model, input.blocks(&session.cx)?);
        let for_parts = model.clone();
        let rows = write(
            session,
            &layout,
            &blocks,
            args,
            move |layout, blocks| layout.part(&*for_parts, blocks),
            |part| match args.input.ignore_extra_columns {
                true => Ok(()),
                false => model.check_columns(part.columns, &input.name()),
            },
        )
        .map_err(|e| labels::counts_located(e, &input))?;
        finish(session, args, path, rows)
    })
}

/// Says what was done, unless standard output has the predictions; the exit code.
pub fn finish(session: &Session, args: &PredictArgs, model: &Path, rows: u64) -> Result<u8> {
    let bad = session.note_bad_rows();
    let out = args.out.display().to_string();
    if args.out != Path::new("-") {
        session.output.result(
            || serde_json::json!({"command": "predict", "rows": rows, "bad_rows": bad, "out": out, "model": model}),
            || format!("{} predicted: {out}", count(rows, "row")),
        )?;
    }
    Ok(0)
}

fn format(args: &PredictArgs) -> Result<PredictFormat> {
    let extension = args.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match (args.format, extension) {
        (Some(format), _) => Ok(format),
        (None, "csv" | "") => Ok(PredictFormat::Csv),
        (None, "jsonl" | "ndjson") => Ok(PredictFormat::Jsonl),
        (None, "parquet") => Ok(PredictFormat::Parquet),
        (None, other) => {
            Err(Error::usage(format!("--out: `.{other}` is no format\n  hint: say it with --format")))
        }
    }
}

/// Writes what `make` makes of each partition, in their order, if `check` has nothing against it. Returns the number of
/// rows.
pub fn write<T: Data>(
    session: &Session,
    layout: &Layout,
    records: &Dataset<T>,
    args: &PredictArgs,
    make: impl Fn(&Layout, &mut dyn Iterator<Item = T>) -> Part + Send + Sync + 'static,
    check: impl Fn(&Part) -> Result<()>,
) -> Result<u64> {
    let mut sink = session.cx.on_driver(|| Sink::create(&args.out, layout, args.overwrite)).transpose()?;
    let at_once = session.cx.config().workers_at_first() * PARTITIONS_PER_WORKER;
    let all: Vec<usize> = (0..records.num_partitions()).collect();
    let (mut rows, make) = (0, Arc::new(make));
    for window in all.chunks(at_once) {
        session.check()?;
        let (make, layout) = (make.clone(), layout.clone());
        let parts = records.run_job(window.to_vec(), move |_, mut records| make(&layout, &mut records))?;
        for part in parts {
            rows += part.rows;
            check(&part)?;
            if let Some(sink) = &mut sink {
                sink.write(part)?;
            }
        }
    }
    sink.map_or(Ok(()), Sink::finish)?;
    Ok(rows)
}
