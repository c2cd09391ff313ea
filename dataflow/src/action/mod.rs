//! Actions: what makes a dataset's records, or something computed from them, come to the main program. One a file.

mod aggregate;
mod checkpoint;
mod collect;
mod count;
mod foreach;
mod save;
mod stats;
mod take;

pub(crate) use checkpoint::{Frame, frame};
pub(crate) use count::count_records;
pub use save::SUCCESS;
pub use stats::Stats;

use crate::dataset::Dataset;
use crate::dataset::lineage::{Cursor, Data, Record, Stop};
use crate::error::Result;
use crate::exec::job;
use crate::exec::task::TaskContext;
use std::rc::Rc;

impl<T: Data> Dataset<T> {
    /// Computes `f` of each partition; results in the order of the partitions.
    pub(crate) fn run_action<R: Record>(
        &self,
        action: &'static str,
        f: impl Fn(&mut dyn Cursor<T>, &Rc<TaskContext>) -> Result<R, Stop> + Send + Sync + 'static,
    ) -> Result<Vec<R>> {
        let partitions = (0..self.num_partitions()).collect();
        job::run(self.engine(), action, self.lineage().clone(), partitions, Box::new(f))
    }
    /// As `run_action`, on chosen partitions, which must ascend.
    pub(crate) fn run_action_on<R: Record>(
        &self,
        action: &'static str,
        partitions: Vec<usize>,
        f: impl Fn(&mut dyn Cursor<T>, &Rc<TaskContext>) -> Result<R, Stop> + Send + Sync + 'static,
    ) -> Result<Vec<R>> {
        job::run(self.engine(), action, self.lineage().clone(), partitions, Box::new(f))
    }
}

/// Folds all records of a cursor.
pub(crate) fn fold<T, A>(
    cursor: &mut dyn Cursor<T>,
    task: &TaskContext,
    mut acc: A,
    f: impl Fn(&mut A, &T),
) -> Result<A, Stop> {
    let node = task.state.actor;
    while let Some(chunk) = cursor.next()? {
        task.enter(node);
        chunk.as_slice().iter().for_each(|x| f(&mut acc, x));
    }
    Ok(acc)
}
