//! A first look at the data: one sweep before training.

use crate::objective::Sweep;
use crate::stat::{ColumnMoments, Moments};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::LabeledBlock;

/// How many distinct labels are remembered: more are no classes.
pub(super) const LABELS_MAX: usize = 4096;

/// What is known of rows before training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Number of rows.
    pub rows: u64,
    /// Number of columns.
    pub columns: usize,
    /// Distinct labels, ascending, at most 4,096 of them.
    pub labels: Vec<f64>,
    /// Moments of the labels.
    pub targets: Moments,
    /// Moments of the columns, if they were asked for.
    pub moments: Option<ColumnMoments>,
}

impl Survey {
    /// Looks at all rows; with `moments` also at all values.
    pub fn new<S: Sweep>(rows: &S, moments: bool) -> Result<Survey> {
        let survey = rows.fold(
            move |_, blocks| {
                let moments = moments.then(|| ColumnMoments::new(0));
                let mut survey = Survey { moments, ..Default::default() };
                blocks.iter().for_each(|b| survey.push(b));
                Ok(survey)
            },
            Survey::merge,
        )?;
        Ok(survey.unwrap_or_default())
    }
    fn push(&mut self, block: &LabeledBlock) {
        self.rows += block.rows() as u64;
        self.columns = self.columns.max(block.features.columns());
        block.labels.iter().for_each(|y| {
            self.targets.push(*y);
            self.note_label(*y);
        });
        if let Some(moments) = &mut self.moments {
            moments.push(&block.features);
        }
    }
    fn note_label(&mut self, label: f64) {
        // Adding 0 makes -0 and 0 one label.
        let label = label + 0.0;
        if let Err(place) = self.labels.binary_search_by(|l| l.total_cmp(&label))
            && self.labels.len() < LABELS_MAX
        {
            self.labels.insert(place, label);
        }
    }
    fn merge(mut self, other: Survey) -> Survey {
        self.rows += other.rows;
        self.columns = self.columns.max(other.columns);
        other.labels.iter().for_each(|l| self.note_label(*l));
        self.targets = self.targets.merge(other.targets);
        self.moments = match (self.moments, other.moments) {
            (Some(a), Some(b)) => Some(a.merge(b)),
            (a, b) => a.or(b),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::LocalRows;
    use slackwater_dataflow::block::{LabeledPoint, Vector, pack};

    #[test]
    fn looks_at_everything() {
        let part = |labels: &[f64]| {
            pack(labels.iter().map(|y| LabeledPoint::new(*y, Vector::dense([*y, 1.0])))).collect::<Vec<_>>()
        };
        let rows = LocalRows::new(vec![part(&[3.0, 1.0, 3.0]), vec![], part(&[-0.0, 0.0])], 2);
        let s = Survey::new(&rows, true).unwrap();
        assert_eq!((s.rows, s.columns), (5, 2));
        assert_eq!(s.labels, [0.0, 1.0, 3.0]);
        assert_eq!(s.targets.mean, 1.4);
        assert_eq!(s.moments.unwrap().means(), [1.4, 1.0]);
        assert_eq!(Survey::new(&LocalRows::new(vec![], 1), false).unwrap(), Survey::default());
    }
}
