//! `evaluate` and `inspect` of models of parts of which rows are combinations: non-negative factorisations, and dictionaries
//! that were learnt by turns.

use super::coding::Atom;
use super::mapped::{self, Mapper, Shown};
use crate::args::{EvaluateArgs, Globals, InspectArgs};
use crate::evaluation::Evaluation;
use crate::output::{count, figure, table};
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::decomposition::sparse_coding::CodingMetrics;
use slackwater_mllib::decomposition::{AlternationSummary, DictionaryModel, NmfModel};
use slackwater_mllib::model::Persist;
use slackwater_mllib::objective::DatasetRows;
use std::path::Path;

/// A model of parts of which rows are combinations, found by turns.
pub trait Parts: Mapper + Persist {
    /// What a part is called, and how many of no use there are.
    const PART: &'static str;
    const UNUSED: &'static str;
    /// The parts, row by row.
    fn parts(&self) -> &[f64];
    /// What training did.
    fn summary(&self) -> &AlternationSummary;
    /// For programs.
    fn parameters(&self) -> Value;
    /// How well the parts fit rows.
    fn measure(&self, rows: &DatasetRows) -> Result<CodingMetrics>;
}

impl Parts for NmfModel {
    const PART: &'static str = "component";
    const UNUSED: &'static str = "unused_components";
    fn parts(&self) -> &[f64] {
        self.components()
    }
    fn summary(&self) -> &AlternationSummary {
        NmfModel::summary(self)
    }
    fn parameters(&self) -> Value {
        json!(self.params())
    }
    fn measure(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        self.metrics(rows)
    }
}

impl Parts for DictionaryModel {
    const PART: &'static str = "atom";
    const UNUSED: &'static str = "unused_atoms";
    fn parts(&self) -> &[f64] {
        self.dictionary()
    }
    fn summary(&self) -> &AlternationSummary {
        DictionaryModel::summary(self)
    }
    fn parameters(&self) -> Value {
        json!(self.params())
    }
    fn measure(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        self.metrics(rows)
    }
}

/// Figures of rows and what parts make of their codes.
pub fn evaluation<M: Parts>(model: &M, rows: &DatasetRows) -> Result<Evaluation> {
    let metrics = model.measure(rows)?;
    let figures = vec![
        ("relative_frobenius", metrics.relative_error().sqrt()),
        ("explained", 1.0 - metrics.relative_error()),
        ("objective", metrics.objective),
        ("codes_per_row", metrics.codes_per_row()),
        (M::UNUSED, metrics.unused() as f64),
    ];
    Ok(Evaluation::of_figures(metrics.rows, metrics.columns, figures))
}

/// Runs `evaluate`.
pub fn evaluate<M: Parts>(globals: &Globals, args: &EvaluateArgs, path: &Path, model: &M) -> Result<u8> {
    mapped::evaluate(globals, args, path, model, |_, rows, _| evaluation(model, rows))
}

/// Runs `inspect`: the first few parts.
pub fn inspect<M: Parts>(globals: &Globals, args: &InspectArgs, path: &Path, model: &M) -> Result<u8> {
    let (summary, parameters) = (model.summary(), model.parameters());
    let parts = model.parts().chunks_exact(model.columns()).take(args.top);
    let parts: Vec<Atom> = parts.map(|part| Atom::new(part.iter().copied())).collect();
    let epochs = count(summary.objective_history.len() as u64, "epoch");
    let rows = parts.iter().enumerate();
    let rows = rows.map(|(k, part)| vec![k.to_string(), figure(part.length), part.text()]);
    let (rows_learnt, columns) = (summary.rows, model.columns() as u64);
    let numbers = count(model.numbers() as u64, M::PART);
    let shown = Shown {
        lines: vec![
            ("trained on", format!("{} of {}", count(rows_learnt, "row"), count(columns, "column"))),
            ("training", format!("{epochs}, objective {}, {}", figure(summary.objective), summary.stop)),
            ("found", format!("{numbers}, {} unused", summary.unused)),
            ("parameters", parameters.to_string()),
        ],
        table: table(&[M::PART, "length", "largest values"], rows),
        members: json!({
            "columns": columns,
            "rank": model.numbers(),
            "parameters": parameters,
            "summary": summary,
            "top": parts.iter().enumerate().map(|(k, part)| json!({
                (M::PART): k,
                "length": part.length,
                "largest": part.to_json(),
            })).collect::<Vec<_>>(),
        }),
    };
    mapped::inspect::<M>(globals, args, path, &shown)
}
