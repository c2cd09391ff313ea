//! `try_map`: records that cannot be used are values.

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

impl<T: Data> Dataset<T> {
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
