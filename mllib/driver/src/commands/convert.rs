//! `convert`: files of one format as files of another.

use crate::args::{ConvertArgs, Globals};
use crate::data::{self, format_of, table_options};
use crate::output::count;
use crate::session::Session;
use serde_json::json;
use slackwater_dataflow::{Error, Result};
use slackwater_loaders::format::csv::CsvWriteOptions;
use slackwater_loaders::sink::Existing;
use slackwater_loaders::store::check_output;
use slackwater_loaders::table::{FeatureMap, Frame};
use slackwater_loaders::write::{WriteOptions, check};
use slackwater_loaders::{Compression, Format};
use std::path::Path;
use std::time::Instant;

/// Runs `convert`.
pub fn run(globals: &Globals, args: &ConvertArgs) -> Result<u8> {
    let start = Instant::now();
    let (out, inputs) = args.paths.split_last().expect("the parser requires two");
    check_output(out)?;
    let is_folder = out.to_string_lossy().ends_with('/') || (out.is_dir() && args.to.is_some());
    let to = match (args.to, Format::of_path(out)) {
        (Some(format), _) => format,
        (None, Some(format)) if !is_folder => format,
        _ => {
            return Err(Error::usage(format!(
                "`{}` does not say what to write\n  hint: say it with --to, as in --to parquet",
                out.display()
            )));
        }
    };
    for (name, given) in [("out-delimiter", args.out_delimiter.is_some()), ("no-header", args.no_header)] {
        if given && !matches!(to, Format::Csv | Format::Tsv) {
            return Err(Error::config(name, format!("is for CSV, and this writes {}", to.name())));
        }
    }
    if out.exists() && !args.overwrite && !is_folder && !out.is_dir() {
        let shown = out.display();
        return Err(Error::usage(format!("`{shown}` is there already\n  hint: --overwrite replaces it")));
    }
    let files = data::files(inputs)?;
    let format = format_of(&files, &args.format)?.ok_or_else(|| {
        let name = files.first().map_or("", |f| f.name());
        Error::input(
            format!("what `{name}` is in cannot be told from its name or its first line"),
            "say it with --input-format",
        )
    })?;
    let options = table_options(format, &args.format)?;
    let condition = args.format.condition()?;
    let features = args.features.options();
    let csv = CsvWriteOptions { delimiter: args.out_delimiter.unwrap_or(b','), header: !args.no_header };
    let compression = args.compression.or_else(|| match is_folder {
        true => None,
        false => Some(Compression::from_extension(out)).filter(|c| *c != Compression::None),
    });
    let write = WriteOptions { compression, csv, ..WriteOptions::default() };
    let splitting = data::splitting(false, globals.partitions);
    Session::run(globals, |session| {
        let mut frame = data::frame(&session.cx, &files, &options, splitting)?;
        if let Some(condition) = &condition {
            frame = frame.filter(condition.clone())?;
        }
        if !args.select.is_empty() {
            frame = frame.select(&args.select)?;
        }
        // LIBSVM text is rows of features, of whatever they are made.
        let is_rows = check(to, frame.schema()).is_ok();
        if args.features.is_given() || (to == Format::Libsvm && !is_rows) {
            frame = rows(&frame, &features)?;
        }
        let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
        let rows = match is_folder {
            true => frame.save(out, existing, to, &write)?,
            false => frame.save_file(out, existing, to, &write, &mut |_| session.check())?,
        };
        let bad = session.note_bad_rows();
        let seconds = start.elapsed().as_secs_f64();
        let columns: Vec<_> =
            frame.schema().fields().iter().map(|f| json!([f.name(), f.data_type().to_string()])).collect();
        let document = || {
            json!({
                "command": "convert",
                "files": files.iter().map(|f| f.name()).collect::<Vec<_>>(),
                "from": format.name(),
                "to": to.name(),
                "out": out,
                "rows": rows,
                "bad_rows": bad,
                "schema": columns,
                "seconds": seconds,
            })
        };
        session.output.result(document, || text(out, rows, columns.len(), format, to, seconds))?;
        Ok(0)
    })
}

fn text(out: &Path, rows: u64, columns: usize, from: Format, to: Format, seconds: f64) -> String {
    format!(
        "{}, {}: {} -> {}\nwritten    {}\ntime       {seconds:.3} s",
        count(rows, "row"),
        count(columns as u64, "column"),
        from.name(),
        to.name(),
        out.display()
    )
}

/// The table of labels and vectors that training would learn from.
fn rows(frame: &Frame, options: &slackwater_loaders::table::FeatureOptions) -> Result<Frame> {
    let map = FeatureMap::fit(frame, options)?;
    map.frame(frame)
}
