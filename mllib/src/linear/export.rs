//! Models as LIBLINEAR writes them, for its `predict` and whatever else reads that format.

use super::weights::WeightTable;
use slackwater_dataflow::{Error, Result};
use std::fmt::Write;

/// The text of a LIBLINEAR model file. `classes` are in the order of the outputs; of two classes with one output, the
/// first is the one that a positive score means. An intercept becomes the weight of a bias feature of value 1.
///
/// # Errors
/// Usage, if a class is not a whole number, which the format cannot hold.
pub(crate) fn liblinear_text(solver_type: &str, classes: &[f64], table: &WeightTable) -> Result<String> {
    if let Some(odd) = classes.iter().find(|c| c.fract() != 0.0) {
        return Err(Error::usage(format!("LIBLINEAR's format holds whole numbers as labels, not {odd}")));
    }
    let biased = table.intercepts.iter().any(|b| *b != 0.0);
    let labels: Vec<String> = classes.iter().map(|c| c.to_string()).collect();
    let mut text = format!(
        "solver_type {solver_type}\nnr_class {}\nlabel {}\nnr_feature {}\nbias {}\nw\n",
        classes.len(),
        labels.join(" "),
        table.columns,
        if biased { 1 } else { -1 }
    );
    let bias = biased.then_some(&table.intercepts[..]);
    for row in table.weights.chunks(table.outputs).chain(bias) {
        row.iter().for_each(|w| write!(text, "{w} ").expect("strings take everything"));
        text.push('\n');
    }
    Ok(text)
}
