//! What a user writes to have groups of variables updated.

use super::shared::Shared;
use slackwater_dataflow::Record;

/// A model of variables that are updated one by one, whose data lie by variables.
///
/// A record is what is known of one variable, such as its column of a design matrix. What variables have in common, such as the
/// residuals of the rows, is a table of which all partitions see the same: an update reads it and adds to it. The sequential
/// program that this stands for is, sweep by sweep:
///
/// ```text
/// for group in groups { for variable in group { update(variable, its record, its values, the table) } }
/// ```
///
/// The groups of a partition are updated one after the other, and each sees at once what the one before has added; partitions
/// work at the same time. All functions must depend on nothing but what they are given.
pub trait GroupProgram: Send + Sync + 'static {
    /// What is known of a variable.
    type Record: Record;

    /// Numbers of a variable.
    fn width(&self) -> usize {
        1
    }
    /// How much work an update is, in any unit: of a sparse column, its non-zeros and some constant. Partitions are
    /// balanced by it.
    fn weight(&self, record: &Self::Record) -> u64 {
        let _ = record;
        1
    }
    /// The first values of a variable; 0 unless said. The table must begin with what follows from them.
    fn first(&self, variable: usize, record: &Self::Record, values: &mut [f64]) {
        let _ = (variable, record);
        values.fill(0.0);
    }
    /// Replaces the values of a variable, and adds to the table what follows from that.
    fn update(&self, variable: usize, record: &Self::Record, values: &mut [f64], shared: &mut Shared<'_, '_>);
    /// What a variable adds to the objective by itself.
    fn penalty(&self, variable: usize, record: &Self::Record, values: &[f64]) -> f64 {
        let _ = (variable, record, values);
        0.0
    }
    /// What a row of the table adds to the objective.
    fn objective(&self, row: usize, shared: &[f64]) -> f64 {
        let _ = (row, shared);
        0.0
    }
}
