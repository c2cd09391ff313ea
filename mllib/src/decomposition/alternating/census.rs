//! What is known of the rows before they are learnt from.

use crate::objective::DatasetRows;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledBlock, pod};
use slackwater_dataflow::{BadRecord, Error, Result};

/// What a partition tells of its rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    rows: u64,
    columns: usize,
    square: f64,
    sum: f64,
    /// Columns that have values, ascending.
    #[serde(with = "pod")]
    present: Vec<u32>,
    /// The first value below 0: its row of the partition, column, and itself.
    negative: Option<(u64, u32, f64)>,
}

impl Part {
    fn new(blocks: &[LabeledBlock]) -> Self {
        let mut part = Part { rows: 0, columns: 0, square: 0.0, sum: 0.0, present: vec![], negative: None };
        let mut seen = vec![];
        for block in blocks {
            part.columns = part.columns.max(block.features.columns());
            seen.resize(part.columns, false);
            for (i, row) in (part.rows..).zip(block.features.iter()) {
                for (j, x) in row.indices.iter().zip(row.values) {
                    seen[*j as usize] = true;
                    part.square += x * x;
                    part.sum += x;
                    if *x < 0.0 && part.negative.is_none() {
                        part.negative = Some((i, *j, *x));
                    }
                }
            }
            part.rows += block.rows() as u64;
        }
        part.present = (0..).zip(&seen).filter(|(_, seen)| **seen).map(|(j, _)| j).collect();
        part
    }
}

/// What is known of all rows, in every process.
#[derive(Debug)]
pub(in crate::decomposition) struct Census {
    /// By partition: rows.
    pub sizes: Vec<u64>,
    pub columns: usize,
    /// By partition: sum of the squares of all values.
    pub squares: Vec<f64>,
    /// Sum of all values.
    pub sum: f64,
    /// By partition: columns that have values, ascending.
    pub present: Vec<Vec<u32>>,
    negative: Option<(u64, u32, f64)>,
}

impl Census {
    /// One pass over the rows. Collective.
    ///
    /// # Errors
    /// Input, if there are no rows, or no columns, or values are too large to be squared; what the engine reports.
    pub fn new(rows: &DatasetRows) -> Result<Self> {
        let parts = rows.map(|_, blocks| Part::new(blocks)).collect()?;
        let (mut start, mut negative) = (0, None);
        for part in &parts {
            let found = part.negative.map(|(i, j, x)| (start + i, j, x));
            negative = negative.or(found);
            start += part.rows;
        }
        let census = Census {
            sizes: parts.iter().map(|p| p.rows).collect(),
            columns: parts.iter().map(|p| p.columns).max().unwrap_or(0),
            squares: parts.iter().map(|p| p.square).collect(),
            sum: parts.iter().map(|p| p.sum).sum(),
            present: parts.into_iter().map(|p| p.present).collect(),
            negative,
        };
        let refuse = |what: &str| Err(Error::input(what, ""));
        match census.rows() {
            0 => refuse("there are no rows to learn from"),
            _ if census.columns == 0 => refuse("the rows have no columns to learn from"),
            _ if !census.square().is_finite() => refuse("the rows have values that are too large"),
            _ => Ok(census),
        }
    }
    pub fn rows(&self) -> u64 {
        self.sizes.iter().sum()
    }
    /// Sum of the squares of all values.
    pub fn square(&self) -> f64 {
        self.squares.iter().sum()
    }
    /// Mean of all elements, those that are zero among them.
    pub fn mean(&self) -> f64 {
        self.sum / self.rows() as f64 / self.columns as f64
    }
    /// Refuses values below 0.
    ///
    /// # Errors
    /// Data, for the first of them.
    pub fn require_non_negative(&self) -> Result<()> {
        let Some((row, column, value)) = self.negative else { return Ok(()) };
        let message =
            format!("value {value} of row {} in column {}: it must be at least 0", row + 1, column + 1);
        let hint = "shift or scale the columns so that nothing is below 0, or learn a dictionary, which takes any values";
        Err(BadRecord::new(message).hint(hint).into())
    }
}
