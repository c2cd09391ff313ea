//! `predict`: some partitions at a time, so memory is bounded by those and not by the data.

use crate::args::{Globals, PredictArgs, PredictFormat};
use crate::data::Input;
use crate::model::Model;
use crate::output::count;
use crate::predictions::{Layout, Sink};
use crate::session::Session;
use slackwater_dataflow::{Error, Result};
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
    if args.out.exists() && !args.overwrite && !is_stdout {
        let out = args.out.display();
        return Err(Error::usage(format!("`{out}` is there already\n  hint: --overwrite replaces it")));
    }
    let model = Arc::new(Model::load(path)?);
    let layout = Layout::new(&model, format, args.raw, args.proba)?;
    let input = Input::open(&args.input.data, &args.input.read, globals.partitions)?;
    Session::run(globals, |session| {
        let rows = write(session, &model, &layout, &input, args)?;
        let bad = session.note_bad_rows();
        let out = args.out.display().to_string();
        if !is_stdout {
            session.output.result(
                || serde_json::json!({"command": "predict", "rows": rows, "bad_rows": bad, "out": out, "model": path}),
                || format!("{} predicted: {out}", count(rows, "row")),
            )?;
        }
        Ok(0)
    })
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

/// Returns the number of rows.
fn write(
    session: &Session,
    model: &Arc<Model>,
    layout: &Layout,
    input: &Input,
    args: &PredictArgs,
) -> Result<u64> {
    let blocks = input.blocks(&session.cx)?;
    let mut sink = session.cx.on_driver(|| Sink::create(&args.out, layout, args.overwrite)).transpose()?;
    let topology = session.cx.topology();
    let at_once = topology.workers * topology.processes * PARTITIONS_PER_WORKER;
    let all: Vec<usize> = (0..blocks.num_partitions()).collect();
    let mut rows = 0;
    for window in all.chunks(at_once) {
        session.check()?;
        let (model_there, layout) = (model.clone(), layout.clone());
        let parts = blocks.run_job(window.to_vec(), move |_, blocks| layout.part(&model_there, blocks))?;
        for part in parts {
            rows += part.rows;
            if !args.input.ignore_extra_columns {
                model.check_columns(part.columns, &input.name())?;
            }
            if let Some(sink) = &mut sink {
                sink.write(part)?;
            }
        }
    }
    sink.map_or(Ok(()), Sink::finish)?;
    Ok(rows)
}
