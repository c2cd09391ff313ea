//! Predictions as text or tables, and where they are written.

use crate::args::PredictFormat;
use crate::model::{RowModel, RowScores};
use crate::output::{exact, written};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, ErrorKind, Result};
use slackwater_loaders::sink::{AtomicFile, Existing};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Which columns are written, and as what.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Names of the columns.
    names: Vec<String>,
    format: PredictFormat,
    raw: bool,
    proba: bool,
    /// The texts of classes, in the order of their numbers, if labels were texts.
    classes: Arc<[String]>,
}

/// The predictions of one partition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Part {
    /// Rows.
    pub rows: u64,
    /// Columns of the widest block.
    pub columns: usize,
    /// Lines, unless the format is a table.
    text: String,
    /// One vector a column of a table.
    table: Vec<Vec<f64>>,
}

impl Layout {
    /// Columns for what was asked of a model.
    ///
    /// # Errors
    /// Usage, if the model has no probabilities.
    pub fn new(
        model: &impl RowModel,
        format: PredictFormat,
        raw: bool,
        proba: bool,
        texts: Option<&[String]>,
    ) -> Result<Self> {
        let texts: Arc<[String]> = texts.unwrap_or_default().into();
        let text = |class: f64| texts.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
        let classes: Vec<String> = model.classes().unwrap_or_default().into_iter().map(text).collect();
        let mut names = vec!["prediction".to_string()];
        if raw && model.outputs() == 1 {
            names.push("score".to_string());
        } else if raw {
            names.extend(classes.iter().map(|c| format!("score_{c}")));
        }
        if proba {
            if !model.has_probabilities() {
                return Err(Error::usage(
                    "--proba: this model has no probabilities\n  hint: --raw gives its scores",
                ));
            }
            names.extend(classes.iter().map(|c| format!("probability_{c}")));
        }
        Ok(Layout { names, format, raw, proba, classes: texts })
    }
    /// Columns for ratings: what they are of, and what is predicted.
    pub fn of_ratings(format: PredictFormat) -> Self {
        let names = ["user", "item", "prediction"].map(str::to_string).to_vec();
        Layout { names, format, raw: false, proba: false, classes: Arc::default() }
    }
    /// Columns for clusters: the nearest centre, and how far it is.
    pub fn of_clusters(format: PredictFormat) -> Self {
        let names = ["prediction", "distance"].map(str::to_string).to_vec();
        Layout { names, format, raw: false, proba: false, classes: Arc::default() }
    }
    /// Columns for what rows are mapped to.
    pub fn of_numbers(format: PredictFormat, names: Vec<String>) -> Self {
        Layout { names, format, raw: false, proba: false, classes: Arc::default() }
    }
    /// Columns for documents: which, its most probable topic and how probable that is, and perhaps all topics.
    pub fn of_documents(format: PredictFormat, topics: usize, proba: bool) -> Self {
        let mut names = ["document", "topic", "probability"].map(str::to_string).to_vec();
        if proba {
            names.extend((0..topics).map(|k| format!("probability_{k}")));
        }
        Layout { names, format, raw: false, proba, classes: Arc::default() }
    }
    fn row(&self, row: &dyn RowScores) -> Vec<f64> {
        let mut values = vec![row.prediction()];
        if self.raw {
            values.extend(row.margins());
        }
        if self.proba {
            values.extend(row.probabilities().unwrap_or_default());
        }
        values
    }
    /// The predictions of some blocks.
    pub fn part(&self, model: &impl RowModel, blocks: impl Iterator<Item = LabeledBlock>) -> Part {
        let mut part = self.empty();
        for block in blocks {
            part.columns = part.columns.max(block.features.columns());
            model.score(&block.features, &mut |row| self.push(&mut part, self.row(row)));
        }
        part
    }
    /// Rows with a value a column.
    pub fn part_of_rows(&self, rows: impl Iterator<Item = Vec<f64>>) -> Part {
        let mut part = self.empty();
        rows.for_each(|values| self.push(&mut part, values));
        part
    }
    fn empty(&self) -> Part {
        Part { table: vec![vec![]; self.names.len()], ..Part::default() }
    }
    fn push(&self, part: &mut Part, values: Vec<f64>) {
        part.rows += 1;
        match self.format {
            PredictFormat::Csv => {
                let mut cells: Vec<String> = values.iter().copied().map(exact).collect();
                if let Some(class) = self.class(values[0]) {
                    cells[0] = quoted(class);
                }
                part.text += &cells.join(",");
                part.text.push('\n');
            }
            PredictFormat::Jsonl => {
                let class = self.class(values[0]).map(|c| serde_json::Value::from(c).to_string());
                let cells = values.iter().enumerate().map(|(i, x)| match &class {
                    Some(class) if i == 0 => class.clone(),
                    _ => json(*x),
                });
                let name = |n: &String| serde_json::Value::from(n.as_str()).to_string();
                let pairs = self.names.iter().zip(cells).map(|(n, x)| format!("{}:{x}", name(n)));
                part.text += &format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(","));
            }
            PredictFormat::Parquet => part.table.iter_mut().zip(values).for_each(|(c, x)| c.push(x)),
        }
    }
    /// The text of a class, if classes have any.
    fn class(&self, prediction: f64) -> Option<&str> {
        self.classes.get(prediction as usize).map(String::as_str)
    }
    fn schema(&self) -> Arc<Schema> {
        let of =
            |i: usize| if i == 0 && !self.classes.is_empty() { DataType::Utf8 } else { DataType::Float64 };
        let fields = self.names.iter().enumerate().map(|(i, n)| Field::new(n, of(i), false));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// A text as a field of CSV.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

/// JSON has no NaN and no infinity.
fn json(x: f64) -> String {
    if x.is_finite() { exact(x) } else { "null".to_string() }
}

/// Where predictions go. A file is there when [`Sink::finish`] has returned, or not at all.
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file of lines.
    Lines(AtomicFile),
    /// A Parquet file.
    Table(Box<ArrowWriter<AtomicFile>>, Layout),
}

impl Sink {
    /// Starts writing.
    pub fn create(out: &Path, layout: &Layout, overwrite: bool) -> Result<Sink> {
        let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
        let mut sink = match layout.format {
            PredictFormat::Parquet => {
                let file = AtomicFile::create(out, existing)?;
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                let writer = ArrowWriter::try_new(file, layout.schema(), Some(properties));
                Sink::Table(Box::new(writer.map_err(|e| parquet_error(&e))?), layout.clone())
            }
            _ if out == Path::new("-") => Sink::Stdout,
            _ => Sink::Lines(AtomicFile::create(out, existing)?),
        };
        if layout.format == PredictFormat::Csv {
            let names: Vec<String> = layout.names.iter().map(|n| quoted(n)).collect();
            let heading = Part { text: names.join(",") + "\n", ..Part::default() };
            sink.write(heading)?;
        }
        Ok(sink)
    }
    /// Appends the predictions of a partition.
    pub fn write(&mut self, part: Part) -> Result<()> {
        match self {
            Sink::Stdout => written(std::io::stdout().lock().write_all(part.text.as_bytes())),
            Sink::Lines(file) => file.append(part.text.as_bytes()),
            Sink::Table(writer, layout) => {
                let column = |(i, values): (usize, Vec<f64>)| -> ArrayRef {
                    let text = |x: &f64| layout.class(*x).unwrap_or_default();
                    match i == 0 && !layout.classes.is_empty() {
                        true => Arc::new(values.iter().map(text).map(Some).collect::<StringArray>()),
                        false => Arc::new(Float64Array::from(values)),
                    }
                };
                let columns = part.table.into_iter().enumerate().map(column);
                let batch = RecordBatch::try_new(layout.schema(), columns.collect());
                let batch = batch.expect("every column has a value for every row");
                writer.write(&batch).map_err(|e| parquet_error(&e))
            }
        }
    }
    /// Completes the output.
    pub fn finish(self) -> Result<()> {
        match self {
            Sink::Stdout => written(std::io::stdout().flush()),
            Sink::Lines(file) => file.commit(),
            Sink::Table(writer, _) => writer.into_inner().map_err(|e| parquet_error(&e))?.commit(),
        }
    }
}

fn parquet_error(e: &parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io {
        path: "<parquet>".into(),
        action: "write".to_string(),
        cause: e.to_string(),
        input: false,
    })
}
