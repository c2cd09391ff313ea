//! `try_map`, `try_expand`: records that cannot be used are values.

use super::step::Step;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Data, Stop};
use crate::error::BadRecord;
use crate::exec::task::TaskContext;
use std::panic::Location;

struct TryMap<F>(F);

impl<T: Data, U: Data, F: Fn(T) -> Result<U, BadRecord> + Send + Sync + 'static> Step<T, U> for TryMap<F> {
    type Scratch = ();
    fn run(&self, chunk: Chunk<'_, T>, _: &mut (), out: &mut Vec<U>, task: &TaskContext) -> Result<(), Stop> {
        let mut first = None;
        chunk.for_each(|record| {
            if first.is_some() {
                return;
            }
            match (self.0)(record) {
                Ok(good) => out.push(good),
                Err(bad) => first = task.bad_record(bad).err(),
            }
        });
        first.map_or(Ok(()), Err)
    }
}

/// What a record that cannot be used is handed to: `Err` ends the task.
pub type Refuse<'a> = dyn FnMut(BadRecord) -> Result<(), Stop> + 'a;

struct TryExpand<F>(F);

impl<T, U, F> Step<T, U> for TryExpand<F>
where
    T: Data,
    U: Data,
    F: Fn(&T, &mut Vec<U>, &mut Refuse<'_>) -> Result<(), Stop> + Send + Sync + 'static,
{
    type Scratch = ();
    fn run(&self, chunk: Chunk<'_, T>, _: &mut (), out: &mut Vec<U>, task: &TaskContext) -> Result<(), Stop> {
        chunk.as_slice().iter().try_for_each(|record| (self.0)(record, out, &mut |bad| task.bad_record(bad)))
    }
}

impl<T: Data> Dataset<T> {
    /// Appends what `f` makes of each record, which may be many and of which each can be refused for itself: for blocks, of
    /// which some rows cannot be used. What is refused goes where the context's [`OnBad`](crate::OnBad) policy says; an
    /// error that `f` returns fails the job.
    #[track_caller]
    pub fn try_expand<U: Data, F>(&self, f: F) -> Dataset<U>
    where
        F: Fn(&T, &mut Vec<U>, &mut Refuse<'_>) -> Result<(), Stop> + Send + Sync + 'static,
    {
        self.step::<U, F>("try_expand", Location::caller(), false, TryExpand(f))
    }

    /// Applies `f` to every record; what it refuses goes where the context's [`OnBad`](crate::OnBad) policy says: the
    /// job fails, or the record is left out and counted, and perhaps written to the quarantine folder.
    #[track_caller]
    pub fn try_map<U: Data, F>(&self, f: F) -> Dataset<U>
    where
        F: Fn(T) -> Result<U, BadRecord> + Send + Sync + 'static,
    {
        self.step::<U, F>("try_map", Location::caller(), false, TryMap(f))
    }
}
