//! Trainings on parameter tables, epoch by epoch: the same stopping rules and the same observer as the solvers have.

use super::{Observer, Progress, Stop};
use slackwater_dataflow::{Data, Dataset, Error, ErrorKind, Record, Result};
use slackwater_paramstore::{Report, Snapshots, Training, Value};

/// Losses this many times that of zero weights are no training any more.
const DIVERGED: f64 = 1000.0;

/// What all trainings on tables are told.
pub(crate) struct TableTraining<'a> {
    /// Where snapshots are kept, if they are.
    pub snapshots: Option<Snapshots>,
    /// Ends after an epoch in which the loss fell by less than this share.
    pub tolerance: Option<f64>,
    /// The objective, of the loss of an epoch.
    pub objective: &'a dyn Fn(f64) -> f64,
}

/// What came of one.
pub(crate) struct TableTrained<S: Record> {
    /// The objective of every epoch, also of those before the training was resumed.
    pub history: Vec<f64>,
    /// Why it ended.
    pub stop: Stop,
    /// The states of the partitions.
    pub states: Dataset<S>,
    /// What the workers did.
    pub report: Report,
}

impl TableTraining<'_> {
    /// Runs a training.
    ///
    /// # Errors
    /// What the training reports.
    #[track_caller]
    pub fn run<T: Data, V: Value, S: Record>(
        self,
        training: Training<'_, T, V, S>,
        observer: &mut Observer<'_>,
    ) -> Result<TableTrained<S>> {
        let (objective, mut stop) = (self.objective, Stop::IterationLimit);
        let training = training.until(|progress| {
            let note = Progress {
                iteration: progress.epochs as usize,
                objective: objective(progress.loss()),
                gradient_norm: f64::NAN,
                weights: &[],
            };
            if observer(&note).is_break() {
                stop = Stop::Observer;
            } else if self.tolerance.is_some_and(|t| progress.loss_change() < t) {
                stop = Stop::Objective;
            }
            stop != Stop::IterationLimit
        });
        let (report, states) = match self.snapshots {
            Some(snapshots) => training.snapshots(snapshots).run_with_locals()?,
            None => training.run_with_locals()?,
        };
        let history = report.losses.iter().map(|loss| objective(*loss)).collect();
        Ok(TableTrained { history, stop, states, report })
    }
}

/// Refuses a training whose last loss is far above that of zero weights.
///
/// # Errors
/// Numerical.
pub(crate) fn require_convergence(losses: &[f64], at_zero: f64, step_size: f64) -> Result<()> {
    if losses.last().is_none_or(|last| *last <= DIVERGED * at_zero) {
        return Ok(());
    }
    let message = format!(
        "the loss is {DIVERGED} times that of zero weights: it diverges\n  hint: a smaller step size than {step_size}, or \
         scaled columns"
    );
    Err(Error::new(ErrorKind::Numerical(message)))
}
