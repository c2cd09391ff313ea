//! What a metric is for: rows are told by the labels of the rows that are nearest.

use super::DistanceMetricModel;
use crate::linear::Features;
use crate::objective::DatasetRows;
use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;

/// Numbers that are subtracted at once.
const LANES: usize = 8;

/// How rows are told by their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearestNeighbours {
    /// Rows that have a vote.
    pub neighbours: usize,
    /// Rows that are asked, at most: about as many as this, evenly taken. `None`: all.
    pub rows_max: Option<usize>,
}

impl NearestNeighbours {
    /// This many neighbours, of all rows.
    pub fn new(neighbours: usize) -> Self {
        NearestNeighbours { neighbours, rows_max: None }
    }
    /// Share of `rows` whose label is that of most of the nearest rows of `references`; without references, of the other
    /// rows. Nearest by `‖L(x - y)‖` of a model, or without one by `‖x - y‖`. Of labels that equally many neighbours have
    /// the smallest counts, of equal distances the row that comes first.
    ///
    /// Every row is compared with every reference: `3 rows references rank` operations, or with `columns` for `rank`. All
    /// references are in every process, as `f32`. Collective.
    ///
    /// # Errors
    /// Config, for a number of neighbours or of rows of 0; input, if there are no rows, or fewer references than neighbours;
    /// what the engine reports.
    pub fn accuracy(
        &self,
        rows: &DatasetRows,
        references: Option<&DatasetRows>,
        model: Option<&DistanceMetricModel>,
    ) -> Result<f64> {
        let neighbours = self.neighbours;
        require(neighbours >= 1, "neighbours", || "must be at least 1".into())?;
        require(self.rows_max != Some(0), "rows_max", || "must be at least 1".into())?;
        let place = Arc::new(Place { model: model.cloned(), columns: width(rows, references, model)? });
        let sizes = rows.by_partition(|b| vec![b.rows()])?;
        let sizes: Vec<usize> = sizes.iter().map(|blocks| blocks.iter().sum()).collect();
        let every = self.rows_max.map_or(1, |most| sizes.iter().sum::<usize>().div_ceil(most).max(1));
        // By partition: the number of its first row. Without references a row is the reference of its number.
        let starts: Vec<usize> = sizes.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let is_reference = references.is_none();
        let known = {
            let place = place.clone();
            let placed = move |_: usize, blocks: &[LabeledBlock]| place.rows(blocks, |_| true);
            references.unwrap_or(rows).map(placed).collect()?
        };
        let known = Arc::new(known.into_iter().fold(Placed::default(), Placed::append));
        if known.labels.len() < neighbours + usize::from(is_reference) {
            let message =
                format!("there are only {} rows to find {neighbours} neighbours in", known.labels.len());
            return Err(Error::input(message, ""));
        }
        let counts = rows.map(move |partition, blocks| {
            let asked = |at: usize| (starts[partition] + at).is_multiple_of(every);
            let placed = place.rows(blocks, asked);
            let (mut right, count) = (0u64, placed.labels.len());
            let numbers = (starts[partition]..).filter(|number| number.is_multiple_of(every));
            for (i, number) in (0..count).zip(numbers) {
                let vote = known.vote(placed.row(i), is_reference.then_some(number), neighbours);
                right += u64::from(vote == Some(placed.labels[i]));
            }
            (right, count as u64)
        });
        match counts.reduce(|a, b| (a.0 + b.0, a.1 + b.1))? {
            Some((right, rows)) if rows > 0 => Ok(right as f64 / rows as f64),
            _ => Err(Error::input("there are no rows to measure on", "")),
        }
    }
}

/// Values of a placed row.
fn width(
    rows: &DatasetRows,
    references: Option<&DatasetRows>,
    model: Option<&DistanceMetricModel>,
) -> Result<usize> {
    if let Some(model) = model {
        return Ok(model.rank());
    }
    let widest = |rows: &DatasetRows| -> Result<usize> {
        let widths = rows.by_partition(|b| vec![b.features.columns()])?;
        Ok(widths.into_iter().flatten().max().unwrap_or(0))
    };
    Ok(widest(rows)?.max(references.map_or(Ok(0), widest)?))
}

/// Where rows are.
struct Place {
    model: Option<DistanceMetricModel>,
    /// Values of a placed row.
    columns: usize,
}

impl Place {
    /// The rows of a partition whose places in it `keep` is true for.
    fn rows(&self, blocks: &[LabeledBlock], keep: impl Fn(usize) -> bool) -> Placed {
        let mut placed = Placed { columns: self.columns, ..Placed::default() };
        let mut first = 0;
        for block in blocks {
            let kept = block.filter(|i| keep(first + i));
            first += block.rows();
            placed.labels.extend(kept.labels.iter().map(|label| label + 0.0));
            match &self.model {
                Some(model) => model.for_each(&kept.features, |z| placed.values.extend_from_slice(z)),
                None => kept.features.iter().for_each(|row| {
                    let start = placed.values.len();
                    placed.values.resize(start + self.columns, 0.0);
                    row.write(&mut placed.values[start..]);
                }),
            }
        }
        placed
    }
}

/// Rows and their labels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Placed {
    columns: usize,
    labels: Vec<f64>,
    values: Vec<f32>,
}

impl Placed {
    fn append(mut self, mut other: Placed) -> Placed {
        self.columns = other.columns;
        self.labels.append(&mut other.labels);
        self.values.append(&mut other.values);
        self
    }
    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..][..self.columns]
    }
    /// The label that most of the rows next to `x` have, but for row `own`.
    fn vote(&self, x: &[f32], own: Option<usize>, neighbours: usize) -> Option<f64> {
        // (squared distance, row), the nearest first.
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(neighbours + 1);
        for i in (0..self.labels.len()).filter(|i| Some(*i) != own) {
            let square = squared_distance(x, self.row(i));
            if nearest.len() < neighbours || nearest.last().is_some_and(|(last, _)| square < *last) {
                let at = nearest.partition_point(|(before, _)| *before <= square);
                nearest.insert(at, (square, i));
                nearest.truncate(neighbours);
            }
        }
        let mut labels: Vec<f64> = nearest.iter().map(|(_, i)| self.labels[*i]).collect();
        labels.sort_by(f64::total_cmp);
        let mut best: Option<(usize, f64)> = None;
        for same in labels.chunk_by(|a, b| a == b) {
            if best.is_none_or(|(votes, _)| same.len() > votes) {
                best = Some((same.len(), same[0]));
            }
        }
        best.map(|(_, label)| label)
    }
}

fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in xs.iter().zip(ys) {
        for k in 0..LANES {
            sums[k] += (a[k] - b[k]) * (a[k] - b[k]);
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_and_ties() {
        let rows = Placed {
            columns: 1,
            labels: vec![5.0, 3.0, 3.0, 5.0, 1.0],
            values: vec![0.0, 1.0, 2.0, 3.0, 9.0],
        };
        assert_eq!(rows.vote(&[0.1], None, 1), Some(5.0));
        assert_eq!(rows.vote(&[0.1], Some(0), 1), Some(3.0));
        assert_eq!(rows.vote(&[0.1], None, 2), Some(3.0), "of equal votes the smallest label");
        assert_eq!(rows.vote(&[1.5], None, 1), Some(3.0), "of equal distances the first row");
        assert_eq!(rows.vote(&[0.5], None, 1), Some(5.0));
        assert_eq!(rows.vote(&[9.0], None, 5), Some(3.0));
        let wide: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let want: f32 = (0..19).map(|i| (i * i) as f32).sum();
        assert_eq!(squared_distance(&wide, &[0.0; 19]), want);
    }
}
