//! `evaluate` and `inspect` of a dictionary.

use super::mapped::{self, Shown};
use crate::args::{EvaluateArgs, Globals, InspectArgs};
use crate::evaluation::Evaluation;
use crate::output::{count, figure, table};
use serde_json::{Value, json};
use slackwater_dataflow::Result;
use slackwater_mllib::decomposition::SparseCodingModel;
use slackwater_mllib::objective::DatasetRows;
use std::path::Path;

/// Columns of an atom that are shown.
const COLUMNS_SHOWN: usize = 5;

/// How well a dictionary fits rows.
pub fn measure(model: &SparseCodingModel, rows: &DatasetRows) -> Result<Evaluation> {
    let metrics = model.metrics(rows)?;
    let figures = vec![
        ("objective", metrics.mean_objective()),
        ("relative_error", metrics.relative_error()),
        ("codes_per_row", metrics.codes_per_row()),
        ("unused_atoms", metrics.unused() as f64),
    ];
    Ok(Evaluation::of_figures(metrics.rows, metrics.columns, figures))
}

/// Runs `evaluate`.
pub fn evaluate(
    globals: &Globals,
    args: &EvaluateArgs,
    path: &Path,
    model: &SparseCodingModel,
) -> Result<u8> {
    mapped::evaluate(globals, args, path, model, |_, rows, _| measure(model, rows))
}

/// The length of an atom or a component, and its largest values with their indices in the file (from 1).
pub struct Atom {
    pub length: f64,
    pub largest: Vec<(usize, f64)>,
}

impl Atom {
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut largest: Vec<(usize, f64)> = (1..).zip(values).collect();
        let length = largest.iter().map(|(_, x)| x * x).sum::<f64>().sqrt();
        largest.retain(|(_, x)| *x != 0.0);
        largest.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        largest.truncate(COLUMNS_SHOWN);
        Atom { length, largest }
    }
    /// Indices and values, as people read them.
    pub fn text(&self) -> String {
        let values = self.largest.iter().map(|(i, x)| format!("{i}:{}", figure(*x)));
        values.collect::<Vec<_>>().join(" ")
    }
    /// For programs: pairs of index and value.
    pub fn to_json(&self) -> Value {
        self.largest.iter().map(|(i, x)| json!([i, x])).collect()
    }
}

/// Runs `inspect`: the first few atoms.
pub fn inspect(globals: &Globals, args: &InspectArgs, path: &Path, model: &SparseCodingModel) -> Result<u8> {
    let summary = model.summary();
    let atoms = model.dictionary().chunks_exact(model.columns());
    let atoms: Vec<Atom> =
        atoms.take(args.top).map(|atom| Atom::new(atom.iter().copied().map(f64::from))).collect();
    let epochs = count(summary.objective_history.len() as u64, "epoch");
    let rows =
        atoms.iter().enumerate().map(|(k, atom)| vec![k.to_string(), figure(atom.length), atom.text()]);
    let (rows_learnt, columns) = (summary.rows, model.columns() as u64);
    let shown = Shown {
        lines: vec![
            ("trained on", format!("{} of {}", count(rows_learnt, "row"), count(columns, "column"))),
            ("training", format!("{epochs}, objective {}, {}", figure(summary.objective), summary.stop)),
            ("atoms", format!("{}, {} unused", model.atoms(), summary.unused)),
            ("parameters", serde_json::to_string(model.params()).expect("parameters are numbers and names")),
        ],
        table: table(&["atom", "length", "largest values"], rows),
        members: json!({
            "columns": model.columns(),
            "atoms": model.atoms(),
            "parameters": model.params(),
            "summary": summary,
            "top": atoms.iter().enumerate().map(|(k, atom)| json!({
                "atom": k,
                "length": atom.length,
                "largest": atom.to_json(),
            })).collect::<Vec<_>>(),
        }),
    };
    mapped::inspect::<SparseCodingModel>(globals, args, path, &shown)
}
