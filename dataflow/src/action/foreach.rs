//! `foreach`, `foreach_partition`, `run_job`.

use crate::dataset::lineage::{Data, Record, Stop};
use crate::dataset::{Dataset, PartitionIter};
use crate::error::{Error, Result};
use crate::exec::job;

impl<T: Data> Dataset<T> {
    /// Calls `f` with every record, in the process that computes its partition, for its effects. A partition whose task
    /// is retried is seen again; accumulators count it once.
    pub fn foreach(&self, f: impl Fn(&T) + Send + Sync + 'static) -> Result<()> {
        self.run_action("foreach", move |cursor, task| super::fold(cursor, task, (), |(), x| f(x))).map(drop)
    }
    /// Calls `f` with every partition's number and records.
    pub fn foreach_partition(
        &self,
        f: impl Fn(usize, PartitionIter<T>) + Send + Sync + 'static,
    ) -> Result<()> {
        self.run_job((0..self.num_partitions()).collect(), f).map(drop)
    }
    /// Calls `f` with the number and records of each partition listed, and returns what it returns, in ascending order
    /// of the partitions.
    pub fn run_job<R: Record>(
        &self,
        mut partitions: Vec<usize>,
        f: impl Fn(usize, PartitionIter<T>) -> R + Send + Sync + 'static,
    ) -> Result<Vec<R>> {
        partitions.sort_unstable();
        partitions.dedup();
        if let Some(p) = partitions.iter().find(|p| **p >= self.num_partitions()) {
            return Err(Error::usage(format!("partition {p} of {} was asked for", self.num_partitions())));
        }
        let node = self.lineage().clone();
        // The iterator owns its cursor, so the task opens one of its own instead of using the one it is lent.
        let compute = move |_: &mut dyn crate::Cursor<T>, task: &std::rc::Rc<crate::TaskContext>| {
            let cursor = node.clone().open(task.partition(), task)?;
            let records = PartitionIter::new(cursor, task, task.state.actor);
            let stop = records.stop();
            task.enter(task.state.actor);
            let result = f(task.partition(), records);
            match stop.borrow_mut().take() {
                Some(stop) => Err(stop),
                None => Ok::<R, Stop>(result),
            }
        };
        job::run(self.engine(), "run_job", self.lineage().clone(), partitions, Box::new(compute))
    }
}
