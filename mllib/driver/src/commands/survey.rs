//! `inspect` of tables: their columns, with what is in them, and the first rows.

use crate::args::{Globals, InspectArgs};
use crate::data::{self, table_options};
use crate::output::{count, figure, table};
use crate::session::Session;
use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};
use slackwater_dataflow::{Error, Result};
use slackwater_loaders::table::{ColumnSurvey, Survey};
use slackwater_loaders::{Format, InputFile};

/// Columns and characters of a value that are shown of the first rows.
const COLUMNS_SHOWN: usize = 12;
const WIDTH_SHOWN: usize = 24;
/// Columns that are described as text; JSON has all.
const DESCRIBED: usize = 200;

/// Runs `inspect` for files of a table.
pub fn run(globals: &Globals, args: &InspectArgs, files: &[InputFile], format: Format) -> Result<u8> {
    let options = table_options(format, &args.format)?;
    let condition = args.format.condition()?;
    let splitting = data::splitting(false, globals.partitions);
    Session::run(globals, |session| {
        let mut frame = data::frame(&session.cx, files, &options, splitting)?;
        if let Some(condition) = condition {
            frame = frame.filter(condition)?;
        }
        let survey = frame.survey()?;
        let bad = session.note_bad_rows();
        let first = frame.head(args.top)?;
        let rows = cells(&first)?;
        let names: Vec<&str> = files.iter().map(InputFile::name).collect();
        let document = || {
            json!({
                "command": "inspect",
                "kind": "table",
                "files": names,
                "format": format.name(),
                "rows": survey.rows,
                "partitions": survey.partitions,
                "bad_rows": bad,
                "columns": survey.columns.iter().map(column_json).collect::<Vec<_>>(),
                "first_rows": rows,
            })
        };
        session.output.result(document, || text(&names, format, &survey, &first, &rows))?;
        Ok(0)
    })
}

fn column_json(c: &ColumnSurvey) -> Value {
    json!({
        "name": c.name,
        "type": c.data_type.to_string(),
        "missing": c.missing,
        "nonzeros": c.nonzeros,
        "min": c.min,
        "max": c.max,
        "mean": c.mean.filter(|x| x.is_finite()),
        "width": c.width,
    })
}

/// Values as text, row by row; nothing where nothing is.
fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::default().with_display_error(true);
    let formats = batch.columns().iter().map(|a| ArrayFormatter::try_new(a, &options));
    let formats = formats.collect::<std::result::Result<Vec<_>, _>>();
    let formats = formats.map_err(|e| Error::usage(format!("the rows cannot be shown: {e}")))?;
    let cell = |row: usize| {
        let all = batch.columns().iter().zip(&formats);
        all.map(|(array, format)| array.is_valid(row).then(|| format.value(row).to_string())).collect()
    };
    Ok((0..batch.num_rows()).map(cell).collect())
}

/// The start of a text, in one line.
fn short(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WIDTH_SHOWN + 1).collect();
    match line.chars().count() > WIDTH_SHOWN {
        true => line.chars().take(WIDTH_SHOWN - 1).chain(['…']).collect(),
        false => line,
    }
}

fn text(
    names: &[&str],
    format: Format,
    survey: &Survey,
    first: &RecordBatch,
    rows: &[Vec<Option<String>>],
) -> String {
    let files = match names {
        [one] => (*one).to_string(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        [] => String::new(),
    };
    let mut text = format!(
        "files    {files}\nformat   {}\nrows     {} in {}\ncolumns  {}\n\n",
        format.name(),
        survey.rows,
        count(survey.partitions as u64, "partition"),
        survey.columns.len()
    );
    let line = |c: &ColumnSurvey| {
        let kind = match c.width {
            Some(width) => format!("vector of {width}"),
            None => short(&c.data_type.to_string()),
        };
        vec![
            short(&c.name),
            kind,
            c.missing.to_string(),
            c.nonzeros.map_or(String::new(), |n| n.to_string()),
            c.min.as_deref().map_or(String::new(), short),
            c.max.as_deref().map_or(String::new(), short),
            c.mean.map_or(String::new(), figure),
        ]
    };
    let heading = ["column", "type", "missing", "not zero", "least", "largest", "mean"];
    text += &table(&heading, survey.columns.iter().take(DESCRIBED).map(line));
    if survey.columns.len() > DESCRIBED {
        text += &format!("{} more columns: --json has them\n", survey.columns.len() - DESCRIBED);
    }
    if !rows.is_empty() && !survey.columns.is_empty() {
        let schema = first.schema();
        let shown: Vec<String> =
            schema.fields().iter().take(COLUMNS_SHOWN).map(|f| short(f.name())).collect();
        let heading: Vec<&str> = shown.iter().map(String::as_str).collect();
        let lines = rows.iter().map(|r| {
            r.iter().take(COLUMNS_SHOWN).map(|c| c.as_deref().map_or("-".to_string(), short)).collect()
        });
        text.push('\n');
        text += &table(&heading, lines);
    }
    text
}
